//! A driver that answers with fixed values and remembers what it was asked. Used by the tests of this folder.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "part of a test; each test file uses a part of it"
)]

use barewire_abi::*;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What a test sees of a fake after it was given away.
#[derive(Default)]
pub struct Seen {
    pub calls: Mutex<Vec<String>>,
    pub host: Mutex<Option<Arc<dyn HostCallbacks>>>,
    pub released: AtomicUsize,
}

impl Seen {
    pub fn last(&self) -> String {
        self.calls.lock().unwrap().last().cloned().unwrap_or_default()
    }
    pub fn count(&self) -> usize {
        self.calls.lock().unwrap().len()
    }
}

/// How the fake behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Good,
    Refuses,
    Panics,
    /// Asks the host a question inside `createBuffers`.
    Asks,
    /// Makes one entry less than wanted.
    Forgets,
    /// Says that there are buffers already.
    HasBuffers,
}

pub struct Fake {
    pub manner: Manner,
    pub seen: Arc<Seen>,
    memory: Mutex<Vec<[u8; 64]>>,
}

pub const CLASS: Guid = Guid::from_u128(0x1234_5678_9ABC_DEF0_0102_0304_0506_0708);
pub const LONG_NAME: &str = "Ein Gerät mit einem sehr langen Namen, der nirgends hineinpasst: ööööööööööööööööööööööööööööööööööööööööööö";

impl Fake {
    pub fn object<D: Dialect>(manner: Manner) -> (*mut c_void, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        let fake = Self { manner, seen: seen.clone(), memory: Mutex::default() };
        (create::<D, _>(fake, CLASS), seen)
    }

    fn called<T>(&self, what: impl Into<String>, value: T) -> AsioResult<T> {
        self.seen.calls.lock().unwrap().push(what.into());
        match self.manner {
            Manner::Refuses => Err(AsioError::new(Code::NO_CLOCK, LONG_NAME)),
            Manner::Panics => panic!("planted"),
            _ => Ok(value),
        }
    }
}

impl AsioDriver for Fake {
    fn init(&self, handle: *mut c_void) -> AsioResult<()> {
        self.called(format!("init {}", handle.addr()), ())
    }
    fn driver_name(&self) -> String {
        self.called("name", ()).ok();
        LONG_NAME.into()
    }
    fn driver_version(&self) -> i32 {
        self.called("version", ()).ok();
        0x0102_0304
    }
    fn start(&self) -> AsioResult<()> {
        self.called("start", ())
    }
    fn stop(&self) -> AsioResult<()> {
        self.called("stop", ())
    }
    fn channels(&self) -> AsioResult<(i32, i32)> {
        self.called("channels", (3, 5))
    }
    fn latencies(&self) -> AsioResult<(i32, i32)> {
        self.called("latencies", (111, 222))
    }
    fn buffer_size(&self) -> AsioResult<BufferSize> {
        let size =
            BufferSize { min_frames: 32, max_frames: 4096, preferred_frames: 256, granularity: -1 };
        self.called("buffer_size", size)
    }
    fn can_sample_rate(&self, rate_hz: f64) -> AsioResult<()> {
        self.called(format!("can {rate_hz}"), ())
    }
    fn sample_rate(&self) -> AsioResult<f64> {
        self.called("rate", 44_100.5)
    }
    fn set_sample_rate(&self, rate_hz: f64) -> AsioResult<()> {
        self.called(format!("set {rate_hz}"), ())
    }
    fn clock_sources(&self) -> AsioResult<Vec<ClockSource>> {
        let source = |n: i32| ClockSource {
            index: n,
            channel: (n > 0).then_some(n * 2),
            group: (n > 0).then_some(n * 3),
            is_current: n == 1,
            name: format!("clock {n}"),
        };
        self.called("clocks", (0..3).map(source).collect())
    }
    fn set_clock_source(&self, index: i32) -> AsioResult<()> {
        self.called(format!("clock {index}"), ())
    }
    fn sample_position(&self) -> AsioResult<SamplePosition> {
        let position =
            SamplePosition { position_frames: 0x1_2345_6789, time_ns: 0x0ABC_DEF0_1122_3344 };
        self.called("position", position)
    }
    fn channel_info(&self, channel: i32, is_input: bool) -> AsioResult<ChannelInfo> {
        let info = ChannelInfo {
            is_active: true,
            group: 7,
            sample_type: SampleType(18),
            name: LONG_NAME.into(),
        };
        self.called(format!("channel {channel} {is_input}"), info)
    }
    fn create_buffers(
        &self,
        wanted: &[BufferRequest],
        frames: i32,
        host: Arc<dyn HostCallbacks>,
    ) -> AsioResult<Vec<Halves>> {
        if self.manner == Manner::Asks {
            host.message(2, 0);
            let released = self.seen.released.load(Ordering::SeqCst);
            self.seen.calls.lock().unwrap().push(format!("after the question: {released}"));
        }
        if self.manner == Manner::HasBuffers {
            return Err(AsioError::new(Code::INVALID_MODE, "there are buffers already"));
        }
        *self.seen.host.lock().unwrap() = Some(host);
        let mut memory = self.memory.lock().unwrap();
        let made = wanted.len() - usize::from(self.manner == Manner::Forgets);
        memory.resize(made, [0; 64]);
        let halves = memory.iter_mut().map(|m| [m.as_mut_ptr(), m[32..].as_mut_ptr()]).collect();
        self.called(format!("create {wanted:?} {frames}"), halves)
    }
    fn dispose_buffers(&self) -> AsioResult<()> {
        self.called("dispose", ())
    }
    fn control_panel(&self) -> AsioResult<()> {
        self.called("panel", ())
    }
    fn future(&self, call: FutureCall<'_>) -> AsioResult<()> {
        self.called(format!("future {call:?}"), ())?;
        match call {
            FutureCall::GetInternalBuffers(place) => {
                *place = InternalBuffers { input_frames: 12, output_frames: 34 };
            }
            FutureCall::GetIoFormat(place) => *place = IoFormat::Dsd,
            FutureCall::GetInputMeter(place) | FutureCall::GetOutputMeter(place) => {
                place.meter = 99;
            }
            FutureCall::Unknown(_) => {
                return Err(AsioError::new(Code::INVALID_PARAMETER, "no such selector"));
            }
            _ => {}
        }
        Ok(())
    }
    fn output_ready(&self) -> AsioResult<()> {
        self.called("ready", ())
    }
    fn released(self: Box<Self>) {
        self.seen.released.fetch_add(1, Ordering::SeqCst);
    }
}
