//! A device that is open, with its engine on a thread of its own. Control threads make and end it.

use crate::measured::Measured;
use crate::star::Star;
use crate::tapped::Tapped;
use barewire_device::{Backend, DeviceInfo, OpenRequest, Shape, SideRequest, Stream};
use barewire_dsp::Dither;
use barewire_engine::{
    Conduct, Engine, EngineEvent, Fallback, FallbackControl, Guests, Links, Plan, Telemetry,
    latency,
};
use barewire_rt::{EventReader, Lock, Role, System, Thread, Waker, alarm, events};
use barewire_share::layout::{GateWords, PageWords};
use barewire_share::{Block, Closed, Gate, Page, PageWriter};
use barewire_types::{Encoding, Error, ErrorKind, Latency, Ns, RateHz, Result, SampleFormat};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// How long a device may take to start, and a thread to end.
const PATIENCE_NS: Ns = 5_000_000_000;
/// Events that wait to be read.
const EVENTS: usize = 1024;
/// Fixes the dither: a run that is repeated gives the same samples.
const SEED: u64 = 2;

/// A way to a device, and what is known of it.
#[derive(Clone)]
pub(crate) struct Chosen {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) info: DeviceInfo,
}

/// See the module.
pub(crate) struct Running {
    chosen: Chosen,
    rate: RateHz,
    /// The period that was asked for; the device may have another one.
    wished_frames: u32,
    pub(crate) shape: Shape,
    pub(crate) star: Arc<Star>,
    pub(crate) page: Arc<Block>,
    pub(crate) gate: Arc<Block>,
    pub(crate) guests: Guests,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) notes: Vec<String>,
    control: FallbackControl,
    events: [EventReader<EngineEvent>; 2],
    stop: Arc<Stop>,
    waker: Waker,
    thread: Thread,
    engine: Arc<Lock<Option<Box<Engine>>>>,
    taps: bool,
}

/// Ends a run.
#[derive(Default)]
struct Stop(AtomicBool);

impl Conduct for Stop {
    fn stop(&self) -> &AtomicBool {
        &self.0
    }

    fn inside(&self, passes: &mut dyn FnMut()) {
        let _inside = alarm::enter();
        passes();
    }
}

/// Memory for other processes, or of this one where nobody else is to see it (simulated time).
pub(crate) fn memory(system: &dyn System, bytes: usize, for_readers: bool) -> Result<Arc<Block>> {
    if system.is_simulated() { Block::heap(bytes) } else { Block::shared(bytes, for_readers) }
}

/// How samples of clients lie in memory: as the device has them, if both directions agree and it is usual.
pub(crate) fn client_format(
    capture: Option<SampleFormat>,
    playback: Option<SampleFormat>,
) -> SampleFormat {
    let usual = |format: &SampleFormat| {
        let plain = matches!(
            format.encoding,
            Encoding::Int16
                | Encoding::Int24
                | Encoding::Int24In32
                | Encoding::Int32
                | Encoding::Float32
                | Encoding::Float64
        );
        plain && *format == SampleFormat::little(format.encoding)
    };
    let one = match (capture, playback) {
        (Some(capture), Some(playback)) => (capture == playback).then_some(playback),
        (one, other) => one.or(other),
    };
    one.filter(usual).unwrap_or(SampleFormat::INT32)
}

impl Running {
    /// Opens and starts the device.
    pub(crate) fn open(
        system: &Arc<dyn System>,
        chosen: Chosen,
        rate: RateHz,
        period_frames: u32,
        taps: bool,
    ) -> Result<Self> {
        let stream = open(&chosen, rate, period_frames)?;
        let notes = stream.notes().into_iter().map(|note| note.text).collect();
        let stream = tapped(stream, taps)?;
        let shape = stream.shape();
        let block_frames = shape.period_frames;
        let page = memory(&**system, size_of::<PageWords>(), true)?;
        let gate = memory(&**system, size_of::<GateWords>(), false)?;
        let star = Star::new(
            system.clone(),
            PageWriter::new(Page::new(page.clone())?),
            Gate::new(gate.clone())?,
            rate.get(),
            block_frames,
        );
        let telemetry = Arc::<Telemetry>::default();
        let (engine_events, engine_reader) = events(EVENTS);
        let (stream_events, stream_reader) = events(EVENTS);
        let stream = Box::new(Measured::new(stream, star.clone()));
        let (stream, control) =
            Fallback::new(stream, system.clone(), telemetry.clone(), stream_events);
        let waker = stream.waker();
        let links =
            Links { system: system.clone(), telemetry: telemetry.clone(), events: engine_events };
        let plan = Plan {
            block_frames,
            clients: Vec::new(),
            below: None,
            dither: Dither::default(),
            seed: SEED,
        };
        let engine = Engine::compile(&plan, Box::new(stream), Vec::new(), links)?;
        let guests = engine.guests();
        let stop = Arc::<Stop>::default();
        let (thread, engine) = launch(system, Box::new(engine), stop.clone())?;
        Ok(Self {
            chosen,
            rate,
            wished_frames: period_frames,
            shape,
            star,
            page,
            gate,
            guests,
            telemetry,
            notes,
            control,
            events: [engine_reader, stream_reader],
            stop,
            waker,
            thread,
            engine,
            taps,
        })
    }

    pub(crate) fn device(&self) -> &DeviceInfo {
        &self.chosen.info
    }

    pub(crate) fn rate(&self) -> RateHz {
        self.rate
    }

    /// Whether it would be the same if `period_frames` were asked for.
    pub(crate) fn wished(&self, period_frames: u32) -> bool {
        [self.wished_frames, self.shape.period_frames].contains(&period_frames)
    }

    pub(crate) fn format(&self) -> SampleFormat {
        client_format(
            self.shape.capture.map(|side| side.format),
            self.shape.playback.map(|side| side.format),
        )
    }

    /// What clients with blocks as long as ours add to the latency of their own, which is none.
    pub(crate) fn latency(&self) -> Latency {
        let own = latency(&self.shape, self.shape.period_frames, true);
        let block = self.shape.period_frames;
        Latency { input_frames: own.input_frames.saturating_sub(block), ..own }
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.control.is_lost()
    }

    /// Closes what is out of use and opens the device again if it is lost; what was to be said of it.
    pub(crate) fn look_after(&self) -> Option<Error> {
        drop(self.control.take_dead());
        if !self.control.is_lost() || self.control.has_offer() {
            return None;
        }
        let reopened = open(&self.chosen, self.rate, self.shape.period_frames)
            .and_then(|stream| tapped(stream, self.taps));
        match reopened {
            Ok(stream) if self.control.fits(&stream.shape()) => {
                let stream = Box::new(Measured::new(stream, self.star.clone()));
                drop(self.control.offer(stream).err());
                None
            }
            Ok(_) => Some(Error::new(ErrorKind::Lost, "the device came back with another shape")),
            Err(error) => Some(error),
        }
    }

    pub(crate) fn next_event(&mut self) -> Option<EngineEvent> {
        self.events.iter_mut().find_map(EventReader::pop)
    }

    /// Ends the run and closes the device. Clients are told why.
    pub(crate) fn end(self, system: &dyn System, why: Closed) {
        self.stop.0.store(true, Ordering::Release);
        self.waker.wake();
        self.star.close(why);
        if self.thread.join(system.join_deadline_ns(PATIENCE_NS)) {
            drop(self.engine.lock().take());
        }
        drop(self.control.take_dead());
        drop(self.control.take_back());
        while let Some(seat) = self.guests.take_left() {
            drop(seat);
        }
    }
}

fn open(chosen: &Chosen, rate: RateHz, period_frames: u32) -> Result<Box<dyn Stream>> {
    let side = |caps: &Option<barewire_device::Caps>| {
        let channels = caps.as_ref()?.channels.counts.last().copied()?;
        Some(SideRequest { channels, format: None })
    };
    let request = OpenRequest {
        id: chosen.info.id.clone(),
        rate,
        capture: side(&chosen.info.capture),
        playback: side(&chosen.info.playback),
        period_frames,
    };
    chosen.backend.open(&request)
}

fn tapped(stream: Box<dyn Stream>, taps: bool) -> Result<Box<dyn Stream>> {
    let has_outputs = stream.shape().playback.is_some();
    if taps && has_outputs { Ok(Box::new(Tapped::new(stream)?)) } else { Ok(stream) }
}

type Parcel = Arc<Lock<Option<Box<Engine>>>>;

/// Runs the engine on a device thread; returns once the device runs.
fn launch(
    system: &Arc<dyn System>,
    engine: Box<Engine>,
    stop: Arc<Stop>,
) -> Result<(Thread, Parcel)> {
    const STARTING: u32 = 0;
    const RUNS: u32 = 1;
    const FAILED: u32 = 2;
    let parcel = Arc::new(Lock::new(system.clone(), Some(engine)));
    let started = Arc::new(AtomicU32::new(STARTING));
    let (its, told, waking) = (parcel.clone(), started.clone(), system.clone());
    let conduct: Arc<dyn Conduct> = stop;
    let body = move || {
        let Some(engine) = its.lock().take() else { return };
        let (engine, _) = barewire_engine::run(engine, &conduct, |result| {
            told.store(if result.is_ok() { RUNS } else { FAILED }, Ordering::Release);
            waking.wake(&told);
        });
        *its.lock() = Some(engine);
    };
    let thread = system.spawn("barewire-device", Role::Device, Box::new(body))?;
    let until = system.join_deadline_ns(PATIENCE_NS);
    while started.load(Ordering::Acquire) == STARTING
        && system.await_word(&started, STARTING, until) == barewire_rt::Woken::Word
    {}
    if started.load(Ordering::Acquire) == RUNS {
        return Ok((thread, parcel));
    }
    thread.join(system.join_deadline_ns(PATIENCE_NS));
    Err(Error::new(ErrorKind::Malfunction, "the device did not start")
        .remedy("unplug it and plug it in again, or choose another"))
}
