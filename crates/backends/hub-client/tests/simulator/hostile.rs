//! A hub that lies: random words anywhere in the page, the gate and the segment, under a client's hands. The client's end may
//! lose its device; it never panics, never waits beyond what it was told and never lends what is not there.

use crate::client::{admit, due, stream};
use crate::reference::Heard;
use crate::world::{Random, World, device};
use barewire_device::{Loss, Stream, Wake};
use barewire_hub_client::HubStream;
use barewire_share::slot::turn;
use barewire_share::{Cycle, Page, PageWriter};
use barewire_testkit::BatonSystem;
use std::sync::Arc;

/// Damage to one block: a word of its own choice more often than noise.
fn damage(random: &mut Random, block: &barewire_share::Block) {
    let words = [0, 1, 2, 3, u32::MAX, u32::MAX - 1, 1 << 31, 0x4248_5742];
    for _ in 0..random.below(4) {
        let at = random.below(block.bytes().min(256) as u64 / 4) as usize * 4;
        let word = match random.below(3) {
            0 => random.below(1 << 32) as u32,
            1 => words[random.below(words.len() as u64) as usize],
            _ => random.below(300) as u32,
        };
        block.scribble(at, &word.to_le_bytes());
    }
}

/// A cycle that is well-formed and not true, and what has to become of the stream then.
fn lie(random: &mut Random, honest: Cycle) -> (Cycle, Option<Loss>) {
    match random.below(5) {
        0 => (Cycle { rate_hz: 44_100, ..honest }, Some(Loss::Changed)),
        1 => (Cycle { block_frames: 65, ..honest }, Some(Loss::Changed)),
        2 => (Cycle { position_frames: u64::MAX - 3, ..honest }, Some(Loss::Failed)),
        3 => (Cycle { position_frames: 1, ..honest }, Some(Loss::Failed)),
        _ => {
            let (at_ns, answer_by_ns) = (random.below(1 << 31), random.below(1 << 31));
            (Cycle { at_ns, answer_by_ns, ..honest }, None)
        }
    }
}

/// Publishes a lie in the hub's place, which cannot move meanwhile, and looks at what the stream makes of it.
fn try_lie(
    world: &World,
    random: &mut Random,
    blocks: &[Arc<barewire_share::Block>; 3],
    stream: &mut HubStream,
) {
    let page = Page::new(blocks[0].clone()).unwrap();
    let honest = page.words().read().expect("a cycle has begun");
    let honest = Cycle {
        number: honest.number + 1,
        position_frames: honest.position_frames + u64::from(honest.block_frames),
        ..honest
    };
    let (told, loss) = lie(random, honest);
    PageWriter::new(page).publish(&told);
    blocks[2].scribble(64, &turn(told.number, 1).to_le_bytes());
    let wake = stream.wait(world.system.now_ns());
    match (wake, loss) {
        (Wake::Lost(lost), Some(loss)) => assert_eq!(lost, loss, "{told:?}"),
        (Wake::Due(period), None) => assert!(period.commit_by_ns >= period.at_ns, "{told:?}"),
        _ => panic!("{told:?} makes {wake:?}"),
    }
}

pub fn run(seed: u64) {
    let mut random = Random(seed << 8 | 5);
    let baton = BatonSystem::new(seed);
    let heard = Arc::new(Heard::default());
    let description = device(&heard, &mut random, false);
    let world = World::new(baton.clone(), heard, description, 64, false);
    let (admission, _) = admit(&world, 1).expect("let in");
    let blocks = admission.blocks.clone();
    let mut stream = stream(&world, admission);
    let below = stream.below().expect("the hub tells");
    stream.start().expect("started");
    for _ in 0..2 + random.below(3) {
        assert!(due(&world, &mut stream), "no cycle");
        stream.playback();
        stream.commit(64);
    }
    try_lie(&world, &mut random, &blocks, &mut stream);
    for _ in 0..50 {
        blocks.iter().for_each(|block| damage(&mut random, block));
        let until = world.system.now_ns() + random.below(3_000_000);
        let wake = stream.wait(until);
        assert!(world.system.now_ns() <= until, "waited beyond what it was told");
        let _ = (
            below.integrity().map(|(integrity, reason)| format!("{integrity}{reason}")),
            below.added_latency(),
        );
        match wake {
            Wake::Due(period) => {
                assert_eq!((period.capture_frames, period.playback_frames), (64, 64));
                assert_eq!(stream.capture().frames(), 64);
                assert_eq!(stream.capture().channels(), 2);
                stream.release(64);
                assert_eq!(stream.playback().frames(), 64);
                assert_eq!(stream.playback().channels(), 2);
                stream.commit(64);
            }
            Wake::Idle => {}
            Wake::Stopped | Wake::Lost(_) => break,
        }
    }
    drop(stream);
    world.hub.close();
    assert!(baton.finish(10_000_000_000), "the world does not end");
}
