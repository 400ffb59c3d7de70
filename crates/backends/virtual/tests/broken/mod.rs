//! Backends and streams that are each broken in one way: what the contract's suite must catch. Wrapped around the virtual
//! device, which is right in all the rest.

use barewire_device::{
    Backend, DeviceId, DeviceInfo, Layout, Loss, OpenRequest, Period, Shape, SideRequest, Stream,
    Wake,
};
use barewire_rt::{Area, AreaMut, System, Waker};
use barewire_types::{Error, ErrorKind, Ns, RateHz, Result, SampleFormat};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

macro_rules! faults {
    ($($fault:ident $rule:literal),* $(,)?) => {
        /// One way of being broken, named for what is done wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Fault { $($fault),* }

        pub(crate) const FAULTS: &[Fault] = &[$(Fault::$fault),*];

        impl Fault {
            /// The rule that must catch it.
            pub(crate) fn rule(self) -> &'static str {
                match self { $(Self::$fault => $rule),* }
            }
        }
    };
}

faults! {
    IdChanges "ids-stable",
    RatesDescend "caps-in-order",
    AnyIdOpens "unknown-device-refused",
    RateIgnored "unlisted-rate-refused",
    FormatIgnored "unlisted-format-refused",
    ChannelsIgnored "too-many-channels-refused",
    NothingOpens "nothing-asked-refused",
    NoRemedy "errors-have-remedy",
    OtherRate "shape-as-asked",
    OtherFormat "shape-within-caps",
    ShapeChanges "shape-constant",
    StaysOpen "drop-closes",
    RunsBeforeStart "stopped-until-started",
    SecondStopStarts "stop-idempotent",
    PositionGoesOn "restart-at-zero",
    LossForgotten "lost-for-good",
    DropPanics "drop-after-anything",
    WakerDies "waker-outlives-stream",
    PositionSlips "positions-sum",
    TimeGoesBack "times-ascend",
    ClockRunsFast "position-follows-clock",
    CommitBeforeDue "commit-by-after-at",
    CountsDiffer "duplex-counts-equal",
    MaxTooSmall "within-max-period",
    OddPeriods "steady-multiples",
    PieceMissing "pieces-sum-to-period",
    OtherLayout "areas-have-shape",
    SharedMemory "areas-do-not-alias",
    XrunHidden "xrun-counted",
    PollBlocks "past-deadline-polls",
    DeadlineIgnored "deadline-kept",
    WakeLost "waker-before-wait",
    WakeLostLater "waker-during-wait",
    PrefillShort "prefill-heard",
    FrameLost "heard-exactly",
    OldSoundAgain "unwritten-is-silence",
    XrunTearsFrames "xrun-resumes-on-a-frame",
    LatencyWrong "latency-as-stated",
    UnreadShifts "unread-is-dropped",
}

/// A backend with a fault.
pub(crate) struct BrokenBackend {
    pub(crate) inner: Box<dyn Backend>,
    pub(crate) system: Arc<dyn System>,
    pub(crate) fault: Fault,
    pub(crate) count: AtomicU32,
}

impl Backend for BrokenBackend {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        let mut devices = self.inner.devices()?;
        let listing = self.count.fetch_add(1, Ordering::Relaxed);
        for device in &mut devices {
            match self.fault {
                Fault::IdChanges if listing > 0 => {
                    device.id = DeviceId::new(self.name(), &format!("loop{listing}"));
                }
                Fault::RatesDescend => {
                    device.playback.iter_mut().for_each(|caps| caps.rates.reverse());
                }
                Fault::OtherFormat => {
                    let caps = device.playback.iter_mut();
                    caps.for_each(|caps| caps.formats = vec![SampleFormat::INT16]);
                }
                _ => {}
            }
        }
        Ok(devices)
    }

    fn open(&self, request: &OpenRequest) -> Result<Box<dyn Stream>> {
        let mut request = request.clone();
        let any = SideRequest { channels: 1, format: None };
        match self.fault {
            Fault::AnyIdOpens => request.id = self.inner.devices()?.remove(0).id,
            Fault::RateIgnored => request.rate = RateHz::DAT,
            Fault::FormatIgnored => {
                let sides = request.playback.iter_mut().chain(&mut request.capture);
                sides.for_each(|side| side.format = None);
            }
            Fault::ChannelsIgnored => {
                let sides = request.playback.iter_mut().chain(&mut request.capture);
                sides.for_each(|side| side.channels = side.channels.min(2));
            }
            Fault::NothingOpens => request.playback = request.playback.or(Some(any)),
            Fault::StaysOpen if self.count.fetch_add(1, Ordering::Relaxed) > 0 => {
                return Err(Error::new(ErrorKind::Busy, "still open"));
            }
            _ => {}
        }
        let opened = self.inner.open(&request);
        let inner = match opened {
            Err(error) if self.fault == Fault::NoRemedy => {
                return Err(Error::new(error.kind(), error.message().to_owned()));
            }
            other => other?,
        };
        let bytes = inner.shape().max_period_frames as usize * 1024;
        Ok(Box::new(BrokenStream {
            system: self.system.clone(),
            fault: self.fault,
            memory: vec![0; bytes],
            state: State::default(),
            alive: Arc::new(AtomicBool::new(true)),
            inner,
        }))
    }
}

#[derive(Default)]
struct State {
    periods: u32,
    stops: u32,
    started: bool,
    was_lost: bool,
    had_xrun: bool,
    pieces: u32,
    begun_ns: Ns,
    offset_frames: u64,
    last: Period,
}

/// A stream with a fault.
struct BrokenStream {
    inner: Box<dyn Stream>,
    system: Arc<dyn System>,
    fault: Fault,
    memory: Vec<u8>,
    state: State,
    alive: Arc<AtomicBool>,
}

/// The period at which a fault that happens once happens.
const AT: u32 = 10;

impl BrokenStream {
    fn spoil(&mut self, period: &mut Period) {
        let state = &mut self.state;
        state.periods += 1;
        state.pieces = 0;
        state.had_xrun |= period.missed_frames > 0;
        let length = 1_000_000;
        match self.fault {
            Fault::PositionGoesOn => period.position_frames += state.offset_frames,
            Fault::PositionSlips if state.periods >= AT => period.position_frames += 1,
            Fault::TimeGoesBack if state.periods == AT => period.at_ns -= 2 * length,
            Fault::ClockRunsFast => period.at_ns += (period.at_ns - state.begun_ns) / 5,
            Fault::CommitBeforeDue => period.commit_by_ns = period.at_ns - 1,
            Fault::CountsDiffer => period.playback_frames -= 1,
            Fault::XrunHidden => period.missed_frames = 0,
            Fault::UnreadShifts if state.last.capture_frames > 0 => self.inner.release(1),
            _ => {}
        }
        self.state.last = *period;
    }

    /// The first frame that is lent becomes silence.
    fn tear(&mut self) {
        let format = self.inner.shape().playback.map(|side| side.format);
        if let Some(format) = format {
            barewire_dsp::silence(format, self.inner.playback().part(0, 1));
        }
    }

    fn area(&self, frames: u32) -> Area<'_> {
        let Some(side) = self.inner.shape().capture else { return Area::EMPTY };
        let (channels, bytes) = (usize::from(side.channels), side.format.bytes());
        Area::from_slice(&self.memory, channels, bytes).part(0, frames)
    }
}

impl Stream for BrokenStream {
    fn shape(&self) -> Shape {
        let mut shape = self.inner.shape();
        match self.fault {
            Fault::OtherRate => shape.rate = RateHz::CD,
            Fault::ShapeChanges => shape.period_frames += self.state.stops,
            Fault::MaxTooSmall => shape.max_period_frames = shape.period_frames,
            Fault::OddPeriods => shape.period_frames -= 1,
            Fault::PrefillShort => shape.prefill_frames += 1,
            Fault::LatencyWrong => shape.latency.output_frames += 1,
            Fault::OtherLayout => {
                let sides = shape.capture.iter_mut().chain(&mut shape.playback);
                sides.for_each(|side| side.layout = Layout::Planar);
            }
            _ => {}
        }
        shape
    }

    fn waker(&self) -> Waker {
        struct Deaf;
        impl barewire_rt::Wake for Deaf {
            fn wake(&self) {}
        }
        struct Mortal(Arc<AtomicBool>);
        impl barewire_rt::Wake for Mortal {
            fn wake(&self) {
                assert!(self.0.load(Ordering::Relaxed), "woken after the end");
            }
        }
        match self.fault {
            Fault::WakeLost | Fault::WakeLostLater => Arc::new(Deaf),
            Fault::WakerDies => Arc::new(Mortal(self.alive.clone())),
            _ => self.inner.waker(),
        }
    }

    fn start(&mut self) -> Result<(), Loss> {
        self.state.started = true;
        self.state.offset_frames += self.state.last.position_frames;
        self.state.begun_ns = self.system.now_ns();
        self.inner.start()
    }

    fn stop(&mut self) {
        self.state.stops += 1;
        self.inner.stop();
    }

    fn wait(&mut self, until: Ns) -> Wake {
        match self.fault {
            Fault::RunsBeforeStart if !self.state.started => return Wake::Idle,
            Fault::SecondStopStarts if self.state.stops % 3 == 2 => return Wake::Idle,
            Fault::LossForgotten if self.state.was_lost => return Wake::Stopped,
            Fault::OldSoundAgain => loop {
                let frames = self.inner.playback().frames();
                if frames == 0 {
                    break;
                }
                self.inner.commit(frames);
            },
            _ => {}
        }
        let until = match self.fault {
            Fault::PollBlocks => until.max(self.system.now_ns() + 300_000),
            Fault::DeadlineIgnored => u64::MAX,
            _ => until,
        };
        let left = self.inner.capture().frames();
        match self.inner.wait(until) {
            Wake::Due(mut period) => {
                self.state.last.capture_frames = left;
                self.spoil(&mut period);
                Wake::Due(period)
            }
            other => {
                self.state.was_lost |= matches!(other, Wake::Lost(_));
                other
            }
        }
    }

    fn capture(&mut self) -> Area<'_> {
        match self.fault {
            Fault::PieceMissing if self.state.pieces > 0 => Area::EMPTY,
            Fault::SharedMemory => {
                let frames = self.inner.capture().frames();
                self.area(frames)
            }
            _ => self.inner.capture(),
        }
    }

    fn release(&mut self, frames: u32) {
        self.state.pieces += 1;
        self.inner.release(frames);
    }

    fn playback(&mut self) -> AreaMut<'_> {
        if self.fault != Fault::SharedMemory {
            return self.inner.playback();
        }
        let frames = self.inner.playback().frames();
        let Some(side) = self.inner.shape().playback else { return AreaMut::EMPTY };
        let (channels, bytes) = (usize::from(side.channels), side.format.bytes());
        AreaMut::from_slice(&mut self.memory, channels, bytes).part(0, frames)
    }

    fn commit(&mut self, frames: u32) {
        match self.fault {
            Fault::FrameLost if self.state.periods == AT => self.tear(),
            Fault::XrunTearsFrames if self.state.had_xrun => self.tear(),
            _ => {}
        }
        self.inner.commit(frames);
    }
}

impl Drop for BrokenStream {
    fn drop(&mut self) {
        self.alive.store(false, Ordering::Relaxed);
        let panics = self.fault == Fault::DropPanics && self.state.started;
        assert!(!panics || std::thread::panicking(), "the end of a stream");
    }
}
