//! A client that is late three times in a row, block by block: silence while it is late, one block later from then on, in time
//! again after 256 blocks, at the first silence of its own or, if it has none, 2048 blocks after that.

use crate::client::{admit, device_frame, due, fill, nap, stream};
use crate::reference::Heard;
use crate::world::{PREFILL_PERIODS, Random, World, device};
use barewire_device::{Below, Stream};
use barewire_hub_client::HubStream;
use barewire_share::message::ClientReport;
use barewire_testkit::BatonSystem;
use std::sync::Arc;

/// As the hub has it: blocks in time before a client is waited for again, and how long it is waited for its silence.
const TIMELY_BLOCKS: usize = 256;
const SILENCE_WAIT_BLOCKS: usize = 2048;

struct Followed {
    world: Arc<World>,
    stream: HubStream,
    below: Arc<dyn Below>,
    next: u64,
    /// The device's frame of each block and what it was given.
    given: Vec<(u64, Vec<i32>)>,
}

impl Followed {
    /// One block with its samples on the first channel, or silence, handed over in time or just too late.
    fn block(&mut self, is_silent: bool, late: bool) {
        assert!(due(&self.world, &mut self.stream), "no cycle");
        let frame = device_frame(&mut self.stream);
        // Channel 2 is none: both are silence.
        let channel = if is_silent { 2 } else { 0 };
        let mut samples = fill(&mut self.stream, channel, 1, &mut self.next);
        samples.resize(self.world.block_frames as usize, 0);
        if late {
            // The hub keeps 20 µs of the period for itself, so this is past the deadline and before the next block.
            nap(&*self.world.system, self.world.period_ns() - 10_000);
        }
        self.stream.commit(self.world.block_frames);
        self.given.push((frame, samples));
    }

    fn report(&self) -> ClientReport {
        self.world.hub.report().clients.remove(0)
    }

    /// Frames that the client is told to add to its latency.
    fn added(&self) -> u32 {
        self.below.added_latency().output_frames
    }

    /// What was heard of block `n` if it was played `later` blocks late.
    fn heard(&self, heard: &Heard, n: usize, later: u64) -> Vec<i32> {
        let block = u64::from(self.world.block_frames);
        let at = self.given[n].0 + (u64::from(PREFILL_PERIODS) + later) * block;
        let openings = heard.openings.lock().unwrap();
        let frames = openings[0].iter().skip(at as usize).take(block as usize);
        frames.map(|frame| frame[0]).collect()
    }
}

pub fn follow(seed: u64) {
    let mut random = Random(seed << 8 | 1);
    let baton = BatonSystem::new(seed);
    let heard = Arc::new(Heard::default());
    let description = device(&heard, &mut random, false);
    let block_frames = [64, 128, 256][random.below(3) as usize];
    let world = World::new(baton.clone(), heard.clone(), description, block_frames, false);
    let (admission, _) = admit(&world, 1).expect("let in");
    let mut stream = stream(&world, admission);
    let below = stream.below().expect("the hub tells");
    stream.start().expect("started");
    let mut client = Followed { world, stream, below, next: 0, given: Vec::new() };
    let is_ever_silent = seed.is_multiple_of(2);
    let early = 3 + random.below(5) as usize;
    (0..early).for_each(|_| client.block(false, false));
    // Two, and none: nobody is served later for that.
    (0..2).for_each(|_| client.block(false, true));
    (0..2).for_each(|_| client.block(false, false));
    assert_eq!((client.report().lates, client.report().changes), (2, 0));
    (0..3).for_each(|_| client.block(false, true));
    // The verdict on the third one is passed before the next one is due.
    client.block(false, false);
    let report = client.report();
    assert_eq!((report.lates, report.changes, report.later), (5, 1, true), "{report:?}");
    assert_eq!(client.added(), block_frames, "the client is told of its latency");
    // One that is late again begins to count anew.
    let before = random.below(TIMELY_BLOCKS as u64 - 2) as usize;
    (0..before).for_each(|_| client.block(false, false));
    nap(&*client.world.system, 3 * client.world.period_ns());
    assert!(client.report().later);
    let from = client.given.len();
    while client.added() != 0 {
        let count = client.given.len() - from;
        assert!(count <= TIMELY_BLOCKS + SILENCE_WAIT_BLOCKS + 4, "it never comes back");
        let is_silent = is_ever_silent && count >= TIMELY_BLOCKS / 2;
        client.block(is_silent, false);
    }
    let took = client.given.len() - from;
    let least = if is_ever_silent { TIMELY_BLOCKS } else { TIMELY_BLOCKS + SILENCE_WAIT_BLOCKS };
    assert!((least..least + 4).contains(&took), "back after {took} blocks, not {least}");
    let report = client.report();
    assert_eq!((report.changes, report.later), (2, false), "{report:?}");
    let back = client.given.len();
    (0..4).for_each(|_| client.block(false, false));
    (0..2).for_each(|_| client.block(true, false));
    let events = client.world.hub.report().events;
    let told = |words: &str| events.iter().filter(|event| event.contains(words)).count();
    let both = ["is served one block later", "is served in time"];
    assert_eq!(both.map(told), [1, 1], "{events:?}");
    for n in 0..early {
        assert_eq!(client.heard(&heard, n, 0), client.given[n].1, "block {n} in time");
    }
    for n in [early, early + 1, early + 4, early + 5, early + 6] {
        assert!(client.heard(&heard, n, 0).iter().all(|&sample| sample == 0), "late block {n}");
    }
    for n in early + 8..early + 8 + before.saturating_sub(1) {
        assert_eq!(client.heard(&heard, n, 1), client.given[n].1, "block {n}, one later");
    }
    for n in back..back + 4 {
        assert_eq!(client.heard(&heard, n, 0), client.given[n].1, "block {n} in time again");
    }
    drop(client);
    assert!(baton.finish(10_000_000_000), "the world does not end");
}
