//! Between the first and the last pass nothing is allocated and nothing freed on the device thread: a million cycles with
//! clients that come and go, gains, late ones, missed frames, and streams made of streams, one of them lost and replaced.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a test may stop the world"
)]

mod rig;

use barewire_device::{Layout, Shape, Stream};
use barewire_engine::{
    BlockTime, Client, Clocks, Engine, Fallback, Links, Looped, Output, Paired, Plan, Resampled,
    Telemetry,
};
use barewire_rt::{Area, AreaMut, SimulatedSystem, System, alarm, events};
use barewire_types::{Half, Ns, RateHz, SampleFormat};
use rig::{Random, shape, side, straight};
use std::alloc::{GlobalAlloc, Layout as Memory, System as Heap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

static ALARMS: AtomicU64 = AtomicU64::new(0);

struct Counting;

fn count() {
    if alarm::is_inside() {
        ALARMS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Memory) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { Heap.alloc(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Memory) {
        count();
        // SAFETY: as the caller promised.
        unsafe { Heap.dealloc(memory, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

/// A client that does next to nothing, without memory.
struct Quiet {
    halves: [Vec<u8>; 2],
    outputs: [Vec<u8>; 2],
    random: Random,
}

impl Quiet {
    fn boxed(block: u32, seed: u64) -> Box<dyn Client> {
        let half = || vec![1; block as usize * 8];
        let (halves, outputs) = ([half(), half()], [half(), half()]);
        Box::new(Self { halves, outputs, random: Random(seed) })
    }
}

impl Client for Quiet {
    fn inputs(&mut self, half: Half) -> AreaMut<'_> {
        AreaMut::from_planes(&mut self.halves[half.index()], 2, 4)
    }
    fn outputs(&self, half: Half) -> Area<'_> {
        Area::from_planes(&self.outputs[half.index()], 2, 4)
    }
    fn begin(&mut self, _: Half, _: &BlockTime) {}
    fn finish(&mut self, _: Ns) -> Output {
        match self.random.from(0, 20) {
            0 => Output::Late,
            1 => Output::Previous,
            _ => Output::This,
        }
    }
}

/// A device without a tape that is lost after some periods.
struct Endless {
    shape: Shape,
    memory: [Vec<u8>; 2],
    left: [u32; 2],
    position: u64,
    lives: u64,
    random: Random,
    system: Arc<SimulatedSystem>,
}

impl Endless {
    fn boxed(shape: Shape, lives: u64, system: &Arc<SimulatedSystem>) -> Box<dyn Stream> {
        let memory = || vec![3; 8 * shape.max_period_frames as usize];
        let memory = [memory(), memory()];
        let system = system.clone();
        let (left, position, random) = ([0, 0], 0, Random(lives));
        Box::new(Self { shape, memory, left, position, lives, random, system })
    }
}

impl Stream for Endless {
    fn shape(&self) -> Shape {
        self.shape
    }
    fn waker(&self) -> barewire_rt::Waker {
        barewire_rt::Gate::new(self.system.clone())
    }
    fn start(&mut self) -> Result<(), barewire_device::Loss> {
        self.position = self.system.now_ns() * 48 / 1_000_000;
        Ok(())
    }
    fn stop(&mut self) {}
    fn wait(&mut self, until: Ns) -> barewire_device::Wake {
        use barewire_device::{Loss, Period, Wake};
        if self.lives == 0 {
            return Wake::Lost(Loss::Gone);
        }
        let frames = self.shape.period_frames;
        let due = (self.position + u64::from(frames)) * 1_000_000 / 48;
        let word = std::sync::atomic::AtomicU32::new(0);
        self.system.sleep(&word, 0, due.min(until));
        if self.system.now_ns() < due {
            return Wake::Idle;
        }
        self.lives -= 1;
        let missed_frames = if self.random.from(0, 50) == 0 { 100 } else { 0 };
        self.position += u64::from(frames);
        self.left =
            [self.shape.capture, self.shape.playback].map(|side| side.map_or(0, |_| frames));
        Wake::Due(Period {
            capture_frames: self.left[0],
            playback_frames: self.left[1],
            position_frames: self.position,
            at_ns: due,
            commit_by_ns: due + 1_000_000,
            missed_frames,
        })
    }
    fn capture(&mut self) -> Area<'_> {
        Area::from_slice(&self.memory[0], 2, 4).part(0, self.left[0])
    }
    fn release(&mut self, frames: u32) {
        self.left[0] -= frames;
    }
    fn playback(&mut self) -> AreaMut<'_> {
        AreaMut::from_slice(&mut self.memory[1], 2, 4).part(0, self.left[1])
    }
    fn commit(&mut self, frames: u32) {
        self.left[1] -= frames;
    }
}

fn engine(
    system: &Arc<SimulatedSystem>,
    stream: Box<dyn Stream>,
    block: u32,
    clients: usize,
) -> Engine {
    let telemetry = Arc::new(Telemetry::default());
    // Nobody reads: events that do not fit are counted, not stored.
    let (writer, _) = events(8);
    let links = Links { system: system.clone(), telemetry, events: writer };
    let mut plan = Plan::one(block, straight(2, 2));
    plan.clients = vec![straight(2, 2); clients];
    let clients = (0..clients).map(|n| Quiet::boxed(block, n as u64)).collect();
    Engine::compile(&plan, stream, clients, links).unwrap()
}

/// Passes armed; gives the alarms raised.
fn steps(engine: &mut Engine, system: &Arc<SimulatedSystem>, count: u32) -> u64 {
    let before = ALARMS.load(Ordering::Relaxed);
    let _inside = alarm::enter();
    for _ in 0..count {
        engine.step(system.now_ns() + 1_000_000_000);
    }
    ALARMS.load(Ordering::Relaxed) - before
}

fn both(format: SampleFormat) -> Shape {
    let io = side(format, 2, Layout::Interleaved);
    shape(io, io, 64)
}

/// One test, since the alarms of all threads are counted together.
#[test]
fn nothing_is_allocated_between_the_first_and_the_last_pass() {
    a_planted_allocation_is_seen();
    clients_that_come_and_go();
    a_device_that_is_lost_and_replaced();
    streams_made_of_streams();
}

fn a_planted_allocation_is_seen() {
    let before = ALARMS.load(Ordering::Relaxed);
    {
        let _inside = alarm::enter();
        drop(std::hint::black_box(Box::new(1)));
    }
    assert_eq!(ALARMS.load(Ordering::Relaxed) - before, 2);
}

fn clients_that_come_and_go() {
    let system = SimulatedSystem::new(0);
    let stream = Endless::boxed(both(SampleFormat::INT24_IN_32), u64::MAX, &system);
    let mut engine = engine(&system, stream, 64, 2);
    let guests = engine.guests();
    engine.start().unwrap();
    let mut controls = Vec::new();
    for n in 0..1000 {
        let seat = guests.seat(&straight(2, 2), Quiet::boxed(64, n)).unwrap();
        controls.push(seat.control());
        assert!(guests.join(seat).is_ok());
        if n % 3 == 0 {
            controls[n as usize].set_gain(0.5);
        }
        if n >= 5 {
            controls[n as usize - 5].leave();
        }
        assert_eq!(steps(&mut engine, &system, 700), 0);
        assert_eq!(guests.take_left().is_some(), n >= 5);
    }
}

fn a_device_that_is_lost_and_replaced() {
    let system = SimulatedSystem::new(0);
    let shape = both(SampleFormat::INT32);
    let (writer, _) = events(8);
    let telemetry = Arc::new(Telemetry::default());
    let first = Endless::boxed(shape, 200, &system);
    let (fallback, control) = Fallback::new(first, system.clone(), telemetry, writer);
    let mut engine = engine(&system, Box::new(fallback), 100, 1);
    engine.start().unwrap();
    for n in 0..1000 {
        assert_eq!(steps(&mut engine, &system, 300), 0);
        assert!(control.take_dead().is_some());
        let rate = if n % 2 == 0 { RateHz::DAT } else { RateHz::CD };
        assert!(control.offer(Endless::boxed(Shape { rate, ..shape }, 200, &system)).is_ok());
    }
}

fn streams_made_of_streams() {
    let system = SimulatedSystem::new(0);
    let one_way = |is_leader: bool| {
        let shape = both(SampleFormat::INT32);
        let shape = Shape {
            capture: shape.capture.filter(|_| !is_leader),
            playback: shape.playback.filter(|_| is_leader),
            ..shape
        };
        Endless::boxed(shape, u64::MAX, &system)
    };
    let (pair, _) =
        Paired::new(one_way(true), one_way(false), Clocks::Own, system.clone(), 1).unwrap();
    let looped = Looped::new(Box::new(pair)).unwrap();
    let stream = Resampled::new(Box::new(looped), RateHz::CD, 1).unwrap();
    let (writer, _) = events(8);
    let telemetry = Arc::new(Telemetry::default());
    let (stream, _control) = Fallback::new(Box::new(stream), system.clone(), telemetry, writer);
    let mut engine = engine(&system, Box::new(stream), 48, 1);
    engine.start().unwrap();
    assert_eq!(steps(&mut engine, &system, 20_000), 0);
}
