//! An engine on a stream, run as the driver runs it, with a client that notes on which thread it is called.

use super::SECOND_NS;
use barewire_device::Stream;
use barewire_engine::{
    BlockTime, Client, ClientPlan, Conduct, Engine, EngineEvent, Fallback, FallbackControl, Links,
    Output, OutputMode, Plan, Telemetry, run,
};
use barewire_rt::{Area, AreaMut, EventReader, RealSystem, Role, System, Thread, Waker, events};
use barewire_types::{Half, Ns, SampleFormat};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The thread that runs the engine when libjack's does not.
pub const OWN_THREAD: &str = "own-device-thread";

/// Blocks by the thread that began them.
#[derive(Default)]
pub struct Notes {
    pub own: AtomicU32,
    pub foreign: AtomicU32,
}

struct Noting(Arc<Notes>);

impl Client for Noting {
    fn inputs(&mut self, _: Half) -> AreaMut<'_> {
        AreaMut::EMPTY
    }

    fn outputs(&self, _: Half) -> Area<'_> {
        Area::EMPTY
    }

    fn begin(&mut self, _: Half, _: &BlockTime) {
        let is_own = std::thread::current().name() == Some(OWN_THREAD);
        let count = if is_own { &self.0.own } else { &self.0.foreign };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn finish(&mut self, _: Ns) -> Output {
        Output::This
    }
}

#[derive(Default)]
struct Run(AtomicBool);

impl Conduct for Run {
    fn stop(&self) -> &AtomicBool {
        &self.0
    }

    fn inside(&self, passes: &mut dyn FnMut()) {
        passes();
    }
}

/// A running engine.
pub struct Running {
    pub system: Arc<RealSystem>,
    pub notes: Arc<Notes>,
    pub telemetry: Arc<Telemetry>,
    pub control: FallbackControl,
    pub events: EventReader<EngineEvent>,
    waker: Waker,
    conduct: Arc<Run>,
    thread: Thread,
}

impl Running {
    pub fn start(stream: Box<dyn Stream>) -> Self {
        let system = RealSystem::new();
        let telemetry = Arc::<Telemetry>::default();
        let (writer, _) = events(1 << 12);
        let (stream, control) = Fallback::new(stream, system.clone(), telemetry.clone(), writer);
        let waker = stream.waker();
        let client = ClientPlan {
            format: SampleFormat::FLOAT32,
            inputs: Vec::new(),
            outputs: Vec::new(),
            output_mode: OutputMode::Auto,
            gain: 1.0,
        };
        let (writer, reader) = events(1 << 12);
        let links = Links { system: system.clone(), telemetry: telemetry.clone(), events: writer };
        let notes = Arc::<Notes>::default();
        let clients: Vec<Box<dyn Client>> = vec![Box::new(Noting(notes.clone()))];
        let plan = Plan::one(stream.shape().period_frames, client);
        let engine = Engine::compile(&plan, Box::new(stream), clients, links).unwrap();
        let conduct = Arc::<Run>::default();
        let its: Arc<dyn Conduct> = conduct.clone();
        let body = move || {
            // Dropped here: the engine closes the connection.
            drop(run(Box::new(engine), &its, |started| started.unwrap()));
        };
        let thread = system.spawn(OWN_THREAD, Role::Device, Box::new(body)).unwrap();
        Self { system, notes, telemetry, control, events: reader, waker, conduct, thread }
    }

    /// Waits until the count has grown by so many.
    #[track_caller]
    pub fn await_blocks(&self, foreign: bool, more: u32) {
        let count = if foreign { &self.notes.foreign } else { &self.notes.own };
        let goal = count.load(Ordering::Relaxed) + more;
        let end = self.system.now_ns() + 20 * SECOND_NS;
        while count.load(Ordering::Relaxed) < goal {
            assert!(self.system.now_ns() < end, "foreign: {foreign}, no {more} more blocks");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    pub fn stop(self) {
        self.conduct.0.store(true, Ordering::Release);
        self.waker.wake();
        assert!(self.thread.join(self.system.now_ns() + 5 * SECOND_NS), "the run does not end");
    }
}
