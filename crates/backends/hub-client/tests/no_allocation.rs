//! The hub's device thread and a client's neither allocate nor free between the first block and the last: clients that come
//! and go, gains, mutes, meters, the tap, and one that is late and served later. Real time, real threads, mapped memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]

use barewire_device::{Loss, Stream, Wake};
use barewire_hub::{Admission, Hub, Options};
use barewire_hub_client::{HubStream, Link, Parts};
use barewire_rt::{RealSystem, System, alarm};
use barewire_share::message::{Who, Wish};
use barewire_virtual::{Description, VirtualBackend};
use std::alloc::{GlobalAlloc, Layout, System as Heap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

static ALARMS: AtomicU64 = AtomicU64::new(0);

struct Counting;

fn count() {
    if alarm::is_inside() {
        ALARMS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { Heap.alloc(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count();
        // SAFETY: as the caller promised.
        unsafe { Heap.dealloc(memory, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

const PERIOD_FRAMES: u32 = 512;

struct Direct {
    hub: Arc<Hub>,
    client: u32,
}

impl Link for Direct {
    fn start(&self) -> Result<(), Loss> {
        self.hub.start(self.client).map_err(|_| Loss::Failed)
    }
    fn stop(&self) {
        self.hub.stop(self.client);
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        self.hub.detach(self.client);
    }
}

fn stream(hub: &Arc<Hub>, system: &Arc<dyn System>, number: u32) -> HubStream {
    let who = Who { program: format!("client {number}"), process: number };
    let wish = Wish { rate_hz: 48_000, period_frames: PERIOD_FRAMES, captures: true, plays: true };
    let Admission { attached, blocks } = hub.attach(&who, &wish).unwrap();
    let (hub, client) = (hub.clone(), attached.client);
    let parts = Parts { attached, blocks, device: "virtual".to_owned() };
    let link = |_| Ok(Box::new(Direct { hub, client }) as Box<dyn Link>);
    HubStream::new(parts, system.clone(), link).unwrap()
}

/// A client's device thread until `ends`; while `sleeps` it answers nothing.
fn client(mut stream: HubStream, system: &dyn System, ends: &AtomicBool, sleeps: &AtomicBool) {
    stream.start().unwrap();
    let inside = alarm::enter();
    while !ends.load(Ordering::Acquire) {
        let Wake::Due(_) = stream.wait(system.now_ns() + 100_000_000) else { continue };
        while sleeps.load(Ordering::Acquire) && !ends.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(1));
        }
        stream.capture();
        stream.release(PERIOD_FRAMES);
        stream.playback();
        stream.commit(PERIOD_FRAMES);
    }
    drop(inside);
}

#[track_caller]
fn wait(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn nothing_is_allocated_between_the_first_block_and_the_last() {
    {
        let _inside = alarm::enter();
        drop(std::hint::black_box(vec![1]));
    }
    assert_eq!(ALARMS.swap(0, Ordering::SeqCst), 2, "the alarm rings if there is something");
    let system: Arc<dyn System> = RealSystem::new();
    let description = Description { prefill_periods: 4, ..Description::default() };
    let hub = Hub::new(Options {
        system: system.clone(),
        backends: vec![Arc::new(VirtualBackend::new(system.clone(), vec![description]))],
        wanted: Arc::new(|device| device.is_default),
        leader: None,
        taps: true,
        most_clients: 8,
    })
    .unwrap();
    let (ends, sleeps, never) = <(Arc<AtomicBool>, Arc<AtomicBool>, Arc<AtomicBool>)>::default();
    let start = |number: u32, ends: &Arc<AtomicBool>, sleeps: &Arc<AtomicBool>| {
        let (stream, system) = (stream(&hub, &system, number), system.clone());
        let (ends, sleeps) = (ends.clone(), sleeps.clone());
        std::thread::spawn(move || client(stream, &*system, &ends, &sleeps))
    };
    let blocks = || hub.report().blocks;
    let first = start(1, &ends, &never);
    wait("the first one plays", || blocks() > 5);
    let second = start(2, &ends, &sleeps);
    wait("two play", || hub.report().clients.iter().filter(|c| c.blocks > 5).count() == 2);
    for (gain, muted) in [(Some(0.5), None), (None, Some(true)), (Some(1.0), Some(false))] {
        let before = blocks();
        hub.tune("client", gain, muted).unwrap();
        wait("tuned", || blocks() > before + 5);
    }
    sleeps.store(true, Ordering::Release);
    wait("late and served later", || hub.report().clients.iter().any(|c| c.changes > 0));
    sleeps.store(false, Ordering::Release);
    for number in 3..6 {
        let leaves = Arc::<AtomicBool>::default();
        let third = start(number, &leaves, &never);
        wait("it plays", || {
            hub.report().clients.iter().any(|c| c.client == number && c.blocks > 5)
        });
        leaves.store(true, Ordering::Release);
        third.join().unwrap();
    }
    ends.store(true, Ordering::Release);
    [first, second].into_iter().for_each(|thread| thread.join().unwrap());
    hub.close();
    assert_eq!(ALARMS.load(Ordering::SeqCst), 0, "allocations or releases inside the loop");
}
