//! Real time is sacred: on the device thread, from the first pass of its loop to the last, nothing is allocated or
//! freed, by Rust or by C, and no system call is made but the backend's wait and what wakes others.
//!
//! The allocators of this program count what happens on an armed thread. The system calls are strace's account of a
//! second run of this program in real time. Each detector is shown to work by a fault that is planted in the device's
//! sink, which runs on the device thread.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may stop the world"
)]

mod counted_heap;
mod rig;
mod system_calls;

use barewire_abi::constants::message;
use barewire_abi::{AsioDriver, HostCallbacks, TimeInfo};
use barewire_device::Backend;
use barewire_driver::{Driver, FixedConfig, Options};
use barewire_rt::{RealSystem, SimulatedSystem, System};
use barewire_types::Half;
use barewire_virtual::{Description, Remote, Sink, SinkFunction, VirtualBackend};
use rig::{HANG, both};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

/// A host that does nothing but answer, without memory and without locks, so that it needs no exemption.
#[derive(Default)]
struct Quiet {
    blocks: AtomicU64,
    driver: OnceLock<Weak<dyn AsioDriver>>,
}

impl HostCallbacks for Quiet {
    fn has_time_info(&self) -> bool {
        true
    }
    fn buffer_switch(&self, _: Half) {
        self.blocks.fetch_add(1, Ordering::Release);
        if let Some(driver) = self.driver.get().and_then(Weak::upgrade) {
            driver.output_ready().unwrap();
        }
    }
    fn buffer_switch_time_info(&self, half: Half, _: &TimeInfo) {
        self.buffer_switch(half);
    }
    fn sample_rate_did_change(&self, _: f64) {}
    fn message(&self, selector: i32, _: i32) -> i32 {
        if selector == message::ENGINE_VERSION { 2 } else { 1 }
    }
}

/// What a planted sink does at every period.
type Plant = fn();

fn nothing() {}

fn device(plant: Plant) -> Description {
    let make = move || -> SinkFunction { Box::new(move |_, _| plant()) };
    Description { sink: Sink::Call(Arc::new(make)), ..Description::default() }
}

struct Run {
    driver: Arc<Driver>,
    host: Arc<Quiet>,
    remote: Arc<Remote>,
}

impl Run {
    fn new(system: Arc<dyn System>, plant: Plant) -> Self {
        let backend = VirtualBackend::new(system.clone(), vec![device(plant)]);
        let remote = backend.remote("loop").unwrap();
        let backends: Vec<Arc<dyn Backend>> = vec![Arc::new(backend)];
        let config = Arc::new(FixedConfig::default());
        let driver = Arc::new(Driver::new(Options { system, backends, config }));
        let host = Arc::new(Quiet::default());
        let shared: Arc<dyn AsioDriver> = driver.clone();
        host.driver.set(Arc::downgrade(&shared)).ok().unwrap();
        driver.init(std::ptr::null_mut()).unwrap();
        Self { driver, host, remote }
    }

    /// Until this many more blocks have come.
    fn pass(&self, blocks: u64) {
        let goal = self.host.blocks.load(Ordering::Acquire) + blocks;
        let begin = Instant::now();
        let mut last = (self.host.blocks.load(Ordering::Acquire), begin);
        while last.0 < goal {
            std::thread::sleep(Duration::from_millis(1));
            let now = self.host.blocks.load(Ordering::Acquire);
            if now != last.0 {
                last = (now, Instant::now());
            }
            assert!(last.1.elapsed() < HANG, "the host is not called any more");
        }
    }

    /// The life of a driver: runs, a rate changed while it plays, a device pulled out and put back.
    fn live(self, runs: u64, blocks: u64) -> u64 {
        self.driver.create_buffers(&both(), 32, self.host.clone()).unwrap();
        for run in 0..runs {
            self.driver.start().unwrap();
            self.pass(blocks / 3);
            let rate = if run % 2 == 0 { 96_000.0 } else { 48_000.0 };
            self.driver.set_sample_rate(rate).unwrap();
            self.pass(blocks / 3);
            self.remote.unplug();
            self.pass(blocks / 6);
            self.remote.replug();
            self.pass(blocks / 6);
            self.driver.stop().unwrap();
        }
        self.driver.dispose_buffers().unwrap();
        let played = self.host.blocks.load(Ordering::Acquire);
        drop(self.host);
        AsioDriver::released(Box::new(Arc::into_inner(self.driver).expect("nobody else has it")));
        played
    }
}

/// The counters are the whole program's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn simulated(plant: Plant, runs: u64, blocks: u64) -> (u64, counted_heap::Alarms) {
    let _alone = alone();
    let before = counted_heap::alarms();
    let played = Run::new(SimulatedSystem::new(1_000_000), plant).live(runs, blocks);
    (played, counted_heap::alarms().since(before))
}

#[test]
fn nothing_is_allocated_or_freed_on_the_device_thread_in_a_million_blocks_with_everything_that_happens()
 {
    let (played, alarms) = simulated(nothing, 10, 102_000);
    assert!(played >= 1_000_000, "{played}");
    assert_eq!(alarms, counted_heap::Alarms::default());
}

#[test]
fn a_planted_allocation_is_caught() {
    let (_, alarms) = simulated(|| drop(std::hint::black_box(Box::new(1))), 1, 60);
    assert!(alarms.rust >= 2 && alarms.c >= 2, "{alarms:?}");
}

#[test]
fn an_allocation_that_a_c_library_makes_is_caught() {
    let (_, alarms) = simulated(counted_heap::allocate_in_c, 1, 60);
    assert!(alarms.rust == 0 && alarms.c >= 2, "{alarms:?}");
}

#[test]
fn a_planted_print_of_a_number_is_caught() {
    if system_calls::is_missing() {
        return;
    }
    let calls = system_calls::of_a_run("print");
    assert!(calls.foreign.iter().any(|call| call.starts_with("write(")), "{:?}", calls.foreign);
}

#[test]
fn a_planted_lock_that_is_held_elsewhere_is_caught() {
    if system_calls::is_missing() {
        return;
    }
    let calls = system_calls::of_a_run("lock");
    assert!(calls.foreign.iter().any(|call| call.starts_with("futex(")), "{:?}", calls.foreign);
}

#[test]
fn the_device_thread_makes_no_system_call_but_its_wait_and_wakes() {
    if system_calls::is_missing() {
        return;
    }
    let (mut marks, mut waits) = (0, 0);
    // A machine under load gives a run fewer turns of the device: as many runs as it takes to see enough of them.
    for _ in 0..50 {
        let calls = system_calls::of_a_run("nothing");
        assert!(calls.marks > 0 && calls.waits > 0, "nothing was seen of a run: {calls:?}");
        assert!(calls.foreign.is_empty(), "{:?}", calls.foreign);
        marks += calls.marks;
        waits += calls.waits;
        if marks > 500 && waits > 300 {
            return;
        }
    }
    panic!("50 runs showed {marks} periods of the device and {waits} waits");
}

static HELD: Mutex<u64> = Mutex::new(0);

/// The run that strace looks at. Does nothing if nobody does.
#[test]
fn traced() {
    let Some(plant) = system_calls::wanted() else { return };
    let plant: Plant = match plant.as_str() {
        "print" => || {
            system_calls::mark();
            println!("{}", HANG.as_nanos());
        },
        "lock" => || {
            system_calls::mark();
            *HELD.lock().unwrap() += 1;
        },
        _ => system_calls::mark,
    };
    let over = Arc::new(AtomicBool::new(false));
    let holder = {
        let over = over.clone();
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let held = HELD.lock().unwrap();
                std::thread::sleep(Duration::from_millis(5));
                drop(held);
                // The device's turn: locks are not fair.
                std::thread::sleep(Duration::from_millis(1));
            }
        })
    };
    Run::new(RealSystem::new(), plant).live(2, 600);
    over.store(true, Ordering::Relaxed);
    holder.join().unwrap();
}
