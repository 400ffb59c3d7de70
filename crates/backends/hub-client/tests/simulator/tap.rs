//! A recorder with the tap beside clients that come and go: what it is given is what the device was played, frame for frame.

use crate::client::{admit, due, honest, stream};
use crate::reference::Heard;
use crate::world::{PREFILL_PERIODS, Random, World, device};
use barewire_device::Stream;
use barewire_hub_client::HubStream;
use barewire_rt::{Role, System};
use barewire_testkit::BatonSystem;
use std::sync::Arc;

const PLAYERS: u32 = 3;

/// The device's frame that a block begins with, and the two channels of its tap.
fn take(stream: &mut HubStream) -> (u64, Vec<[i32; 2]>) {
    let area = stream.capture();
    let (planes, frames) = ([0, 2, 3].map(|channel| area.plane(channel)), area.frames());
    let word = |plane: usize, n: u32| {
        let plane = planes[plane];
        let place = plane.as_ptr().wrapping_add(n as usize * plane.step_bytes());
        // SAFETY: within the piece that was lent.
        unsafe { place.cast::<i32>().read_unaligned() }
    };
    let device_frame = u64::from(word(0, 0) as u32 >> 8);
    let tapped = (0..frames).map(|n| [word(1, n), word(2, n)]).collect();
    stream.release(frames);
    (device_frame, tapped)
}

pub fn compare(seed: u64) {
    let mut random = Random(seed << 8 | 3);
    let baton = BatonSystem::new(seed);
    let system: Arc<dyn System> = baton.clone();
    let heard = Arc::new(Heard::default());
    let description = device(&heard, &mut random, true);
    let block_frames = [16, 64, 128][random.below(3) as usize];
    let world = World::new(system.clone(), heard.clone(), description, block_frames, true);
    let (admission, opening) = admit(&world, 1).expect("let in");
    assert_eq!(admission.attached.inputs, 4, "two of the device and two of the tap");
    let mut stream = stream(&world, admission);
    stream.start().expect("started");
    for number in 2..2 + PLAYERS {
        let (its, random) = (world.clone(), Random(random.below(1 << 31) << 20 | 1));
        let body = Box::new(move || honest(&its, number, random));
        drop(system.spawn(&format!("client {number}"), Role::Helper, body).unwrap());
    }
    let mut taken = Vec::new();
    for _ in 0..150 {
        assert!(due(&world, &mut stream), "no cycle");
        taken.push(take(&mut stream));
        stream.playback();
        stream.commit(block_frames);
    }
    drop(stream);
    assert!(baton.finish(10_000_000_000), "the world does not end");
    assert_eq!(world.complaints(), Vec::<String>::new());
    let openings = heard.openings.lock().unwrap();
    let (mut compared, mut sounding) = (0, 0);
    for (device_frame, tapped) in &taken {
        // What was filled in the period before.
        let first = device_frame + u64::from((PREFILL_PERIODS - 1) * block_frames);
        for (n, frame) in (first..).zip(tapped) {
            let Some(played) = openings[opening].get(n as usize) else { continue };
            assert_eq!(frame, played, "frame {n} of the tap");
            compared += 1;
            sounding += u32::from(*played != [0; 2]);
        }
    }
    assert!(compared >= 100 * block_frames, "only {compared} frames were compared");
    assert!(sounding > 0, "nobody played");
}
