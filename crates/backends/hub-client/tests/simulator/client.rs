//! Clients of all manners, each a thread of the simulation, over the product's own stream.

use crate::reference::{Block, sample};
use crate::world::{Random, World};
use barewire_device::{Loss, Stream, Wake};
use barewire_hub::{Admission, Hub};
use barewire_hub_client::{HubStream, Link, Parts};
use barewire_rt::System;
use barewire_share::message::{Who, Wish};
use barewire_types::Ns;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const PATIENCE_NS: Ns = 3_000_000_000;

/// The hub called without a socket.
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

/// What a client in trouble does about its blocks.
pub enum Manner {
    /// Takes too long now and then.
    Stall,
    /// Stops in the middle of a block and never comes back; the hub hears of it later.
    Die,
    /// Writes what it likes into all memory that it was given.
    Scribble,
}

pub fn nap(system: &dyn System, length_ns: Ns) {
    system.await_word(&AtomicU32::new(0), 0, system.now_ns() + length_ns);
}

pub fn who(number: u32) -> Who {
    let word = if number == 99 { "trouble" } else { "client" };
    Who { program: format!("{word} {number}"), process: number }
}

pub fn admit(world: &World, number: u32) -> Option<(Admission, usize)> {
    let wish =
        Wish { rate_hz: 48_000, period_frames: world.block_frames, captures: true, plays: true };
    let admission = world.hub.attach(&who(number), &wish).ok()?;
    let opening = world.heard.openings.lock().unwrap().len() - 1;
    Some((admission, opening))
}

pub fn stream(world: &World, admission: Admission) -> HubStream {
    let (hub, client) = (world.hub.clone(), admission.attached.client);
    let Admission { attached, blocks } = admission;
    let parts = Parts { attached, blocks, device: "virtual".to_owned() };
    let link = |_| Ok(Box::new(Direct { hub, client }) as Box<dyn Link>);
    HubStream::new(parts, world.system.clone(), link).unwrap()
}

/// The device's frame that a block of captured frames begins with, as the counter tells it.
pub fn device_frame(stream: &mut HubStream) -> u64 {
    let area = stream.capture();
    let plane = area.plane(0);
    // SAFETY: the piece that was lent has a first sample.
    let word = unsafe { plane.as_ptr().cast::<u32>().read_unaligned() };
    let frames = area.frames();
    stream.release(frames);
    u64::from(word >> 8)
}

/// Writes a block's samples to one channel; gives them.
pub fn fill(stream: &mut HubStream, channel: usize, number: u32, next: &mut u64) -> Vec<i32> {
    let mut area = stream.playback();
    let frames = area.frames();
    let mut samples = Vec::new();
    for at in 0..2 {
        let plane = area.plane(at);
        for n in 0..frames as usize {
            let value = if at == channel { sample(number, *next + n as u64) } else { 0 };
            let place = plane.as_ptr().wrapping_add(n * plane.step_bytes()).cast::<i32>();
            // SAFETY: within the piece that was lent.
            unsafe { place.write_unaligned(value) };
            if at == channel {
                samples.push(value);
            }
        }
    }
    *next += u64::from(frames);
    samples
}

pub fn due(world: &World, stream: &mut HubStream) -> bool {
    let end = world.system.now_ns() + PATIENCE_NS;
    loop {
        match stream.wait(world.system.now_ns() + 1_000_000_000) {
            Wake::Due(_) => return true,
            Wake::Idle if world.system.now_ns() < end => {}
            _ => return false,
        }
    }
}

/// A client that keeps time: comes, plays, perhaps stops and starts again, and goes.
pub fn honest(world: &World, number: u32, mut random: Random) {
    let mut next = 0;
    for _ in 0..1 + random.below(3) {
        nap(&*world.system, random.below(30) * world.period_ns() + random.below(500_000));
        let Some((admission, opening)) = admit(world, number) else {
            world.complain(format!("client {number} was not let in"));
            return;
        };
        let mut stream = stream(world, admission);
        for _ in 0..1 + random.below(2) {
            if stream.start().is_err() {
                world.complain(format!("client {number} could not start"));
                return;
            }
            world.joins.fetch_add(1, Ordering::Relaxed);
            for _ in 0..1 + random.below(25) {
                if !due(world, &mut stream) {
                    world.complain(format!("client {number} got no cycle"));
                    return;
                }
                let device_frame = device_frame(&mut stream);
                let samples = fill(&mut stream, 0, number, &mut next);
                stream.commit(world.block_frames);
                let block = Block { opening, device_frame, samples };
                world.book.honest.lock().unwrap().push(block);
            }
            stream.stop();
        }
    }
}

/// A client in trouble: what it hands over goes to the second channel.
pub fn troubled(world: &World, number: u32, mut random: Random, manner: &Manner) {
    let mut next = 0;
    for _ in 0..3 {
        nap(&*world.system, random.below(20) * world.period_ns());
        let Some((admission, opening)) = admit(world, number) else { return };
        let [_, gate, segment] = admission.blocks.clone();
        let client = admission.attached.client;
        let mut stream = stream(world, admission);
        if stream.start().is_err() {
            return;
        }
        for _ in 0..5 + random.below(40) {
            if !due(world, &mut stream) {
                break;
            }
            let device_frame = device_frame(&mut stream);
            let samples = fill(&mut stream, 1, number, &mut next);
            match manner {
                Manner::Stall if random.below(4) == 0 => {
                    nap(&*world.system, random.below(5 * world.period_ns()));
                }
                Manner::Die if random.below(12) == 0 => {
                    // As one that was killed: nothing is said, and its memory stays as it is.
                    let hub = world.hub.clone();
                    std::mem::forget(stream);
                    nap(&*world.system, random.below(30) * world.period_ns());
                    hub.detach(client);
                    return;
                }
                Manner::Scribble => scribble(world, &mut random, &gate, &segment),
                _ => {}
            }
            stream.commit(world.block_frames);
            let block = Block { opening, device_frame, samples };
            world.book.troubled.lock().unwrap().push(block);
        }
    }
}

/// Random bytes at random places: words that the hub reads, words that it writes, samples, and the gate of all.
fn scribble(
    world: &World,
    random: &mut Random,
    gate: &barewire_share::Block,
    segment: &barewire_share::Block,
) {
    for _ in 0..random.below(4) {
        let bytes: Vec<u8> = (0..4 + random.below(28)).map(|_| random.below(256) as u8).collect();
        let block = if random.below(3) == 0 { gate } else { segment };
        // The second channel and the words; what it plays on the first one would be its own right to play.
        let most = if std::ptr::eq(block, gate) { 4 } else { 192 };
        block.scribble(random.below(most) as usize, &bytes);
        if random.below(3) == 0 {
            nap(&*world.system, random.below(world.period_ns()));
        }
    }
}

/// Someone who says too much: all messages in all orders.
pub fn flood(world: &World, number: u32, mut random: Random) {
    let mut mine: Vec<u32> = Vec::new();
    for _ in 0..60 {
        match random.below(9) {
            0 => mine.extend(admit(world, number).map(|(admission, _)| admission.attached.client)),
            1 => {
                let wish = Wish { rate_hz: 44_100, period_frames: 7, captures: true, plays: false };
                if let Ok(admission) = world.hub.attach(&who(number), &wish) {
                    mine.push(admission.attached.client);
                    if admission.attached.rate_hz != 44_100 {
                        world
                            .complain(format!("another rate was let in: {:?}", admission.attached));
                    }
                }
            }
            2 => drop(world.hub.describe(&who(number))),
            3 => drop(world.hub.report()),
            4 => drop(world.hub.tune("nobody", Some(0.5), Some(true))),
            5 => {
                if let Some(&client) = mine.last() {
                    let _ = world.hub.start(client);
                }
            }
            6 => mine.iter().for_each(|&client| world.hub.stop(client)),
            7 => drop(world.hub.start(u32::MAX)),
            _ => {
                if let Some(client) = mine.pop() {
                    world.hub.detach(client);
                }
            }
        }
        if random.below(3) == 0 {
            nap(&*world.system, random.below(2 * world.period_ns()));
        }
    }
    mine.into_iter().for_each(|client| world.hub.detach(client));
}
