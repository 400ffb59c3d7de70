//! A driver with chosen bad manners and a thread of its own, for the tests of this folder.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "part of a test; each test file uses a part of it"
)]

use barewire_abi::constants::message;
use barewire_abi::*;
use barewire_host::Source;
use barewire_types::Half;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How the driver behaves; the default is well.
#[derive(Clone)]
pub struct Manners {
    /// Answers init with no, and these words.
    pub no_device: Option<&'static str>,
    /// Only this size is taken, whatever is told.
    pub only_size: Option<i32>,
    pub told: BufferSize,
    /// Calls the first block on the thread that calls `start`.
    pub block_inside_start: bool,
    /// Never calls a block.
    pub mute: bool,
    /// Goes on calling after `stop`.
    pub restless: bool,
    /// Does not wait for its thread in `disposeBuffers`.
    pub leaves: bool,
    /// Every block is called twice, with one position.
    pub stutters: bool,
    /// Always half 0.
    pub always_zero: bool,
    /// The first position it tells.
    pub first_position: u64,
    /// Uses time info if the host wants it.
    pub timed: bool,
    /// Asks for a reset at once, and after so many blocks.
    pub reset_at_start: bool,
    pub reset_after: Option<u64>,
    /// Leaves the buffers of the last channel out.
    pub forgets: bool,
    /// The sample type of output 1; the rest have 18.
    pub second_type: i32,
    /// The rate is set and not taken until a new instance is made.
    pub slow_rate: bool,
    pub output_ready: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            no_device: None,
            only_size: None,
            told: BufferSize {
                min_frames: 32,
                max_frames: 1024,
                preferred_frames: 64,
                granularity: -1,
            },
            block_inside_start: false,
            mute: false,
            restless: false,
            leaves: false,
            stutters: false,
            always_zero: false,
            first_position: 0,
            timed: true,
            reset_at_start: false,
            reset_after: None,
            forgets: false,
            second_type: 18,
            slow_rate: false,
            output_ready: true,
        }
    }
}

/// What a test sees of all instances that a source has made.
#[derive(Default)]
pub struct Seen {
    pub calls: Mutex<Vec<String>>,
    pub host: Mutex<Option<Arc<dyn HostCallbacks>>>,
    pub readies: AtomicUsize,
    pub alive: AtomicI32,
    /// The outputs' first bytes after each block, in order.
    pub played: Mutex<Vec<u8>>,
    pub position: Mutex<(u64, u64)>,
    /// Hertz; with `slow_rate` an instance takes what is here when it is made.
    pub rate_hz: AtomicI32,
}

impl Seen {
    pub fn call(&self, what: impl Into<String>) {
        self.calls.lock().unwrap().push(what.into());
    }
    pub fn has(&self, what: &str) -> bool {
        self.calls.lock().unwrap().iter().any(|call| call == what)
    }
}

pub struct Fake {
    manners: Manners,
    seen: Arc<Seen>,
    rate_hz: AtomicI32,
    memory: Mutex<Vec<[Box<[u8]>; 2]>>,
    run: Mutex<Option<Arc<Running>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Running {
    host: Arc<dyn HostCallbacks>,
    frames: u64,
    stop: AtomicBool,
    timed: bool,
    halves: Vec<[usize; 2]>,
}

pub const BYTES: usize = 4;

pub fn source(manners: Manners) -> (Source, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    seen.rate_hz.store(48_000, Ordering::SeqCst);
    let theirs = seen.clone();
    let make = move || {
        theirs.alive.fetch_add(1, Ordering::SeqCst);
        Fake {
            manners: manners.clone(),
            rate_hz: AtomicI32::new(theirs.rate_hz.load(Ordering::SeqCst)),
            seen: theirs.clone(),
            memory: Mutex::default(),
            run: Mutex::default(),
            thread: Mutex::default(),
        }
    };
    (Source::in_process("fake", make), seen)
}

impl Running {
    fn block(&self, manners: &Manners, seen: &Seen, number: u64) {
        let position = manners.first_position + number * self.frames;
        *seen.position.lock().unwrap() = (position, number * 1000);
        let second = number % 2 == 1 && !manners.always_zero;
        let half = if second { Half::One } else { Half::Zero };
        for _ in 0..=usize::from(manners.stutters) {
            if self.timed {
                let time = TimeInfo {
                    position_frames: position,
                    time_ns: number * 1000,
                    rate_hz: 48_000.0,
                    rate_changed: false,
                };
                self.host.buffer_switch_time_info(half, &time);
            } else {
                self.host.buffer_switch(half);
            }
        }
        if let Some(first) = self.halves.first() {
            // SAFETY: memory of this driver's, alive until `dispose_buffers` has joined this thread.
            let byte = unsafe { *std::ptr::with_exposed_provenance::<u8>(first[half.index()]) };
            seen.played.lock().unwrap().push(byte);
        }
        if manners.reset_after == Some(number) {
            self.host.message(message::RESET_REQUEST, 0);
            self.host.message(message::OVERLOAD, 0);
            self.host.sample_rate_did_change(44_100.0);
        }
    }
}

impl Fake {
    fn no(code: Code) -> AsioError {
        AsioError::new(code, "the fake\nsays no")
    }

    fn join(&self) {
        let thread = self.thread.lock().unwrap().take();
        if let Some(run) = &*self.run.lock().unwrap() {
            run.stop.store(true, Ordering::SeqCst);
        }
        if let Some(thread) = thread {
            thread.join().unwrap();
        }
    }
}

impl AsioDriver for Fake {
    fn init(&self, handle: *mut c_void) -> AsioResult<()> {
        assert!(handle.is_null());
        self.seen.call("init");
        self.manners.no_device.map_or(Ok(()), |words| Err(AsioError::new(Code::NOT_PRESENT, words)))
    }
    fn driver_name(&self) -> String {
        "Fake".into()
    }
    fn driver_version(&self) -> i32 {
        7
    }
    fn start(&self) -> AsioResult<()> {
        self.seen.call("start");
        let run = self.run.lock().unwrap().clone().ok_or_else(|| Self::no(Code::INVALID_MODE))?;
        if self.manners.reset_at_start {
            run.host.message(message::RESET_REQUEST, 0);
        }
        if self.manners.mute {
            return Ok(());
        }
        let mut number = 0;
        if self.manners.block_inside_start {
            run.block(&self.manners, &self.seen, 0);
            number = 1;
        }
        run.stop.store(false, Ordering::SeqCst);
        let (manners, seen) = (self.manners.clone(), self.seen.clone());
        let body = move || {
            while !run.stop.load(Ordering::SeqCst) {
                run.block(&manners, &seen, number);
                number += 1;
                std::thread::sleep(Duration::from_micros(200));
            }
        };
        *self.thread.lock().unwrap() = Some(std::thread::spawn(body));
        Ok(())
    }
    fn stop(&self) -> AsioResult<()> {
        self.seen.call("stop");
        if !self.manners.restless {
            self.join();
        }
        Ok(())
    }
    fn channels(&self) -> AsioResult<(i32, i32)> {
        Ok((1, 2))
    }
    fn latencies(&self) -> AsioResult<(i32, i32)> {
        Err(Self::no(Code::NOT_PRESENT))
    }
    fn buffer_size(&self) -> AsioResult<BufferSize> {
        Ok(self.manners.told)
    }
    fn can_sample_rate(&self, rate_hz: f64) -> AsioResult<()> {
        let known = rate_hz.to_bits() == 48_000_f64.to_bits();
        if known { Ok(()) } else { Err(Self::no(Code::NO_CLOCK)) }
    }
    fn sample_rate(&self) -> AsioResult<f64> {
        Ok(self.rate_hz.load(Ordering::SeqCst).into())
    }
    fn set_sample_rate(&self, rate_hz: f64) -> AsioResult<()> {
        #[expect(clippy::cast_possible_truncation, reason = "the tests' rates fit")]
        let rate = rate_hz as i32;
        self.seen.rate_hz.store(rate, Ordering::SeqCst);
        if !self.manners.slow_rate {
            self.rate_hz.store(rate, Ordering::SeqCst);
        }
        Ok(())
    }
    fn clock_sources(&self) -> AsioResult<Vec<ClockSource>> {
        let (channel, group) = (None, None);
        let name = "inside".into();
        Ok(vec![ClockSource { index: 0, channel, group, is_current: true, name }])
    }
    fn set_clock_source(&self, _: i32) -> AsioResult<()> {
        Ok(())
    }
    fn sample_position(&self) -> AsioResult<SamplePosition> {
        let (position_frames, time_ns) = *self.seen.position.lock().unwrap();
        Ok(SamplePosition { position_frames, time_ns })
    }
    fn channel_info(&self, channel: i32, is_input: bool) -> AsioResult<ChannelInfo> {
        let kind = if channel == 1 { self.manners.second_type } else { 18 };
        let name = format!("{} {channel}", if is_input { "in" } else { "out" });
        Ok(ChannelInfo { is_active: false, group: 0, sample_type: SampleType(kind), name })
    }
    fn create_buffers(
        &self,
        wanted: &[BufferRequest],
        frames: i32,
        host: Arc<dyn HostCallbacks>,
    ) -> AsioResult<Vec<Halves>> {
        self.seen.call(format!("create {frames}"));
        if self.manners.only_size.is_some_and(|only| only != frames) {
            return Err(Self::no(Code::INVALID_PARAMETER));
        }
        let timed = self.manners.timed
            && host.supports(message::SUPPORTS_TIME_INFO)
            && host.message(message::SUPPORTS_TIME_INFO, 0) == 1;
        assert_eq!(host.message(message::ENGINE_VERSION, 0), 2);
        assert_eq!(host.message(message::SUPPORTS_TIME_CODE, 0), 0);
        *self.seen.host.lock().unwrap() = Some(host.clone());
        let bytes = usize::try_from(frames).unwrap() * BYTES;
        let half = || vec![0xEE_u8; bytes].into_boxed_slice();
        let mut memory: Vec<_> = wanted.iter().map(|_| [half(), half()]).collect();
        let mut pointers: Vec<Halves> =
            memory.iter_mut().map(|pair| pair.each_mut().map(|half| half.as_mut_ptr())).collect();
        let outputs = wanted.iter().zip(&pointers).filter(|(request, _)| !request.is_input);
        let halves = outputs.map(|(_, pair)| pair.map(|half| half.expose_provenance())).collect();
        if self.manners.forgets {
            *pointers.last_mut().unwrap() = [std::ptr::null_mut(); 2];
        }
        let frames = u64::try_from(frames).unwrap();
        let run = Running { host, frames, stop: AtomicBool::new(false), timed, halves };
        *self.run.lock().unwrap() = Some(Arc::new(run));
        *self.memory.lock().unwrap() = memory;
        Ok(pointers)
    }
    fn dispose_buffers(&self) -> AsioResult<()> {
        self.seen.call("dispose");
        if !self.manners.leaves {
            self.join();
        }
        *self.run.lock().unwrap() = None;
        Ok(())
    }
    fn control_panel(&self) -> AsioResult<()> {
        Err(Self::no(Code::NOT_PRESENT))
    }
    fn future(&self, call: FutureCall<'_>) -> AsioResult<()> {
        match call {
            FutureCall::CanReportOverload => Ok(()),
            _ => Err(Self::no(Code::INVALID_PARAMETER)),
        }
    }
    fn output_ready(&self) -> AsioResult<()> {
        self.seen.readies.fetch_add(1, Ordering::SeqCst);
        if self.manners.output_ready { Ok(()) } else { Err(Self::no(Code::NOT_PRESENT)) }
    }
    fn released(self: Box<Self>) {
        self.join();
        self.seen.alive.fetch_sub(1, Ordering::SeqCst);
    }
}
