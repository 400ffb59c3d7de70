//! Who runs the cycle, on the server in simulated time: libjack's thread while the server is in time, the engine's own when
//! it is late, stands still or is gone.

use super::rules::{Ending, PERIOD_FRAMES, request};
use super::{Server, backend};
use barewire_device::Backend as _;
use barewire_engine::{
    BlockTime, Client, ClientPlan, Conduct, Engine, Fallback, FallbackControl, Links, Output,
    OutputMode, Plan, Telemetry, run,
};
use barewire_rt::{Area, AreaMut, Role, System, Thread, Waker};
use barewire_testkit::BatonSystem;
use barewire_types::{Half, Ns, RateHz, SampleFormat, frames_to_ns};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const SECOND_NS: Ns = 1_000_000_000;

/// A client that notes on which thread it was called and where its blocks lay.
#[derive(Default)]
struct Notes {
    on_server: AtomicU32,
    elsewhere: AtomicU32,
    position: AtomicU64,
    gaps: AtomicU32,
}

struct Noting(Arc<Notes>);

impl Client for Noting {
    fn inputs(&mut self, _: Half) -> AreaMut<'_> {
        AreaMut::EMPTY
    }

    fn outputs(&self, _: Half) -> Area<'_> {
        Area::EMPTY
    }

    fn begin(&mut self, _: Half, time: &BlockTime) {
        let is_server = std::thread::current().name() == Some("server");
        let count = if is_server { &self.0.on_server } else { &self.0.elsewhere };
        count.fetch_add(1, Ordering::Relaxed);
        let before = self.0.position.swap(time.position_frames, Ordering::Relaxed);
        if time.position_frames != 0 && time.position_frames != before + u64::from(PERIOD_FRAMES) {
            self.0.gaps.fetch_add(1, Ordering::Relaxed);
        }
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

/// An engine on a device of the server, run by a thread of its own.
struct World {
    system: Arc<dyn System>,
    notes: Arc<Notes>,
    telemetry: Arc<Telemetry>,
    control: FallbackControl,
    waker: Waker,
    conduct: Arc<Run>,
    thread: Thread,
    engine: Arc<Mutex<Option<Box<Engine>>>>,
    // Last: the server ends when everything that uses it is gone.
    ending: Ending,
}

impl World {
    fn new(seed: u64) -> Self {
        println!("seed {seed}");
        let baton = BatonSystem::new(seed);
        let system: Arc<dyn System> = baton.clone();
        let server = Server::start(&system, PERIOD_FRAMES, false);
        let ending = Ending { baton, server };
        let stream = backend(&system).open(&request()).expect("the device");
        let telemetry = Arc::<Telemetry>::default();
        let (stream, control) =
            Fallback::new(stream, system.clone(), telemetry.clone(), barewire_rt::events(64).0);
        let links = Links {
            system: system.clone(),
            telemetry: telemetry.clone(),
            events: barewire_rt::events(64).0,
        };
        let client = ClientPlan {
            format: SampleFormat::FLOAT32,
            inputs: Vec::new(),
            outputs: Vec::new(),
            output_mode: OutputMode::Auto,
            gain: 1.0,
        };
        let notes = Arc::<Notes>::default();
        let waker = barewire_device::Stream::waker(&stream);
        let clients: Vec<Box<dyn Client>> = vec![Box::new(Noting(notes.clone()))];
        let plan = Plan::one(PERIOD_FRAMES, client);
        let engine = Engine::compile(&plan, Box::new(stream), clients, links).expect("an engine");
        let (conduct, home) = (Arc::<Run>::default(), Arc::new(Mutex::new(None)));
        let (its_conduct, its_home) = (conduct.clone(), home.clone());
        let body = move || {
            let conduct: Arc<dyn Conduct> = its_conduct;
            let (engine, _) = run(Box::new(engine), &conduct, |started| started.expect("a start"));
            *its_home.lock().expect("the engine's place") = Some(engine);
        };
        let thread = system.spawn("device", Role::Device, Box::new(body)).expect("a thread");
        Self { system, notes, telemetry, control, waker, conduct, thread, engine: home, ending }
    }

    fn pass(&self, length_ns: Ns) {
        let until = self.system.now_ns() + length_ns;
        while self.system.now_ns() < until {
            self.system.sleep(&AtomicU32::new(0), 0, until);
        }
    }

    /// Blocks on the server's thread and elsewhere, since the last call.
    fn blocks(&self) -> (u32, u32) {
        let notes = &self.notes;
        (notes.on_server.swap(0, Ordering::Relaxed), notes.elsewhere.swap(0, Ordering::Relaxed))
    }

    fn stop(&self) {
        self.conduct.0.store(true, Ordering::Release);
        self.waker.wake();
        assert!(self.thread.join(self.system.join_deadline_ns(SECOND_NS)), "the run does not end");
        assert!(self.engine.lock().expect("the engine's place").is_some(), "the engine came back");
    }
}

fn blocks_in(length_ns: Ns) -> u32 {
    let period_ns = frames_to_ns(PERIOD_FRAMES.into(), RateHz::DAT);
    u32::try_from(length_ns / period_ns).expect("a number of blocks")
}

#[test]
fn the_servers_thread_runs_the_cycle_without_a_hop() {
    for seed in 0..8 {
        let world = World::new(seed);
        world.pass(SECOND_NS / 10);
        world.blocks();
        world.pass(SECOND_NS);
        let (on_server, elsewhere) = world.blocks();
        assert_eq!(elsewhere, 0, "seed {seed}");
        assert!(on_server.abs_diff(blocks_in(SECOND_NS)) <= 1, "seed {seed}: {on_server}");
        assert_eq!(world.ending.server.xruns(), 0);
        assert_eq!(world.telemetry.snapshot().xruns, 0);
        world.stop();
        let then = world.blocks();
        world.pass(SECOND_NS / 10);
        assert_eq!(world.blocks(), (0, 0), "seed {seed}: after {then:?}, stopped");
    }
}

#[test]
fn a_server_that_stands_still_costs_silence_and_each_of_its_xruns_is_counted_once() {
    for seed in 0..8 {
        let world = World::new(seed);
        world.pass(SECOND_NS / 10);
        let mut blocks = 0;
        for n in 1..=100_u32 {
            world.blocks();
            // From a part of a period to many.
            world.ending.server.pause(u64::from(n) * 700_000);
            world.pass(SECOND_NS / 5);
            let (on_server, elsewhere) = world.blocks();
            blocks += on_server + elsewhere;
            assert!(on_server > elsewhere, "seed {seed}: {n}: the server's thread has it back");
        }
        let xruns = world.ending.server.xruns();
        let counted = world.telemetry.snapshot();
        assert!(xruns >= 90, "seed {seed}: {xruns}");
        assert_eq!(counted.xruns, u64::from(xruns), "seed {seed}: {counted:?}");
        assert!(blocks > 0);
        world.stop();
    }
}

#[test]
fn a_server_that_dies_is_replaced_and_its_successors_thread_takes_over() {
    for seed in 0..8 {
        let mut world = World::new(seed);
        for n in 0..10 {
            world.pass(SECOND_NS / 10);
            world.blocks();
            world.ending.server.kill();
            world.pass(SECOND_NS / 5);
            assert!(world.control.is_lost(), "seed {seed}: {n}");
            let (_, elsewhere) = world.blocks();
            let expected = blocks_in(SECOND_NS / 5 - 40_000_000);
            assert!(elsewhere >= expected, "seed {seed}: {n}: {elsewhere} blocks from the timer");
            drop(world.control.take_dead());
            world.ending.server = Server::start(&world.system, PERIOD_FRAMES, false);
            let stream = backend(&world.system).open(&request()).expect("the device");
            assert!(world.control.offer(stream).is_ok());
            world.pass(SECOND_NS / 10);
            world.blocks();
            world.pass(SECOND_NS / 10);
            let (on_server, elsewhere) = world.blocks();
            assert!(on_server > 0 && elsewhere == 0, "seed {seed}: {n}: {on_server}, {elsewhere}");
        }
        assert_eq!(world.notes.gaps.load(Ordering::Relaxed), 0, "seed {seed}: positions go on");
        world.stop();
    }
}

#[test]
fn a_server_that_changes_its_period_is_a_device_that_changed() {
    let world = World::new(1);
    world.pass(SECOND_NS / 10);
    world.ending.server.resize(2 * PERIOD_FRAMES);
    world.pass(SECOND_NS / 5);
    assert!(world.control.is_lost());
    world.blocks();
    world.pass(SECOND_NS / 5);
    let (on_server, elsewhere) = world.blocks();
    assert!(on_server == 0 && elsewhere.abs_diff(blocks_in(SECOND_NS / 5)) <= 1, "{elsewhere}");
    drop(world.control.take_dead());
    let again = backend(&world.system).open(&request()).expect("the device");
    assert!(!world.control.fits(&again.shape()), "the host has to make its buffers anew");
    drop(again);
    world.stop();
}
