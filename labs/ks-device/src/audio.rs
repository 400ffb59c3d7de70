//! The hardware: moves frames between rings, packets and the loop from output to input, as its clock says.

use crate::description::Description;
use crate::pin::{Packet, Pin};
use crate::status;
use crate::surroundings::Surroundings;

/// Played parts of a ring are filled with this, so that what was not written anew is seen.
pub(crate) const POISON: u8 = 0xA5;

/// Where the header says how much is used.
const DATA_USED: usize = 36;
/// What the driver leaves in them: data discontinuity.
const LEFT_FLAGS: u32 = 4;

/// What went wrong in a client's care, counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Frames that were played although nobody wrote them.
    pub(crate) stale: u64,
    /// Frames of silence because there was no packet.
    pub(crate) starved: u64,
    /// Frames captured with no packet to put them in.
    pub(crate) dropped: u64,
}

/// Frames from the ring or packet to the jack, or back.
pub(crate) fn delay_frames(description: &Description, pin: &Pin) -> u64 {
    let fifo = u64::from(description.fifo_bytes) / pin.frame_bytes() as u64;
    let units = u64::from(description.chipset_hns) + u64::from(description.codec_hns);
    fifo + (units * u64::from(pin.format.rate) + 5_000_000) / 10_000_000
}

fn is_poison(frame: &[u8]) -> bool {
    frame.iter().all(|&byte| byte == POISON)
}

fn place(pin: &Pin, frame: u64) -> (usize, usize) {
    let bytes = pin.ring.map_or(1, |ring| ring.bytes);
    let at = usize::try_from(frame * pin.frame_bytes() as u64 % bytes as u64).unwrap_or(0);
    (at, bytes - at)
}

/// Reads `frames` frames of the ring from frame `from` of the run on, over its end.
fn read_ring(pin: &Pin, from: u64, frames: u64, world: &mut dyn Surroundings) -> Vec<u8> {
    let Some(ring) = pin.ring else { return Vec::new() };
    let mut bytes = vec![0; usize::try_from(frames).unwrap_or(0) * pin.frame_bytes()];
    let (mut at, mut done) = (place(pin, from).0, 0);
    while done < bytes.len() {
        let piece = (bytes.len() - done).min(ring.bytes - at);
        world.get(ring.share, at, &mut bytes[done..done + piece]);
        done += piece;
        at = (at + piece) % ring.bytes;
    }
    bytes
}

fn write_ring(pin: &Pin, from: u64, bytes: &[u8], world: &mut dyn Surroundings) {
    let Some(ring) = pin.ring else { return };
    let (mut at, mut done) = (place(pin, from).0, 0);
    while done < bytes.len() {
        let piece = (bytes.len() - done).min(ring.bytes - at);
        world.put(ring.share, at, &bytes[done..done + piece]);
        done += piece;
        at = (at + piece) % ring.bytes;
    }
}

/// How far a run can go up to `to` with what the client has given: a ring without meeting poison, packets without running out
/// of them. Nothing tells whether a ring's captured frames were read.
pub(crate) fn possible(pin: &Pin, to: u64, world: &mut dyn Surroundings) -> u64 {
    if pin.ring.is_none() {
        let bytes: usize = pin.queue.iter().map(|packet| packet.bytes - packet.done).sum();
        return to.min(pin.moved + (bytes / pin.frame_bytes()) as u64);
    }
    if !pin.plays {
        return to;
    }
    let bytes = read_ring(pin, pin.moved, to.saturating_sub(pin.moved), world);
    let stale = bytes.chunks_exact(pin.frame_bytes()).position(is_poison);
    stale.map_or(to, |frame| pin.moved + frame as u64)
}

/// Plays up to frame `to` of the run.
pub(crate) fn play(pin: &mut Pin, to: u64, counts: &mut Counts, world: &mut dyn Surroundings) {
    if pin.ring.is_some() {
        while pin.moved < to {
            // In pieces of a ring, so that each round meets the poison of the one before.
            let ring = pin.ring.map_or(1, |ring| ring.bytes / pin.frame_bytes()) as u64;
            let frames = (to - pin.moved).min(ring.max(1));
            let bytes = read_ring(pin, pin.moved, frames, world);
            let frame_bytes = pin.frame_bytes();
            counts.stale += bytes.chunks_exact(frame_bytes).filter(|f| is_poison(f)).count() as u64;
            write_ring(pin, pin.moved, &vec![POISON; bytes.len()], world);
            pin.heard.extend_from_slice(&bytes);
            pin.moved += frames;
        }
        return;
    }
    let mut left = usize::try_from(to.saturating_sub(pin.moved)).unwrap_or(0) * pin.frame_bytes();
    while left > 0 {
        let Some(packet) = pin.queue.front_mut() else {
            pin.heard.resize(pin.heard.len() + left, 0);
            counts.starved += (left / pin.format.frame_bytes()) as u64;
            break;
        };
        let piece = left.min(packet.bytes - packet.done);
        let begin = pin.heard.len();
        pin.heard.resize(begin + piece, 0);
        let address = packet.address + packet.done as u64;
        world.read_memory(pin.client, address, &mut pin.heard[begin..]);
        packet.done += piece;
        left -= piece;
        if packet.done == packet.bytes
            && let Some(packet) = pin.queue.pop_front()
        {
            finish(packet, None, world);
        }
    }
    pin.moved = pin.moved.max(to);
}

/// Ends a packet; `used` is what was captured.
fn finish(mut packet: Packet, used: Option<usize>, world: &mut dyn Surroundings) {
    if let Some(used) = used {
        let used = u32::try_from(used).unwrap_or(0).to_le_bytes();
        packet.header[DATA_USED..DATA_USED + 4].copy_from_slice(&used);
    }
    let flags = packet.flags_at;
    packet.header[flags..flags + 4].copy_from_slice(&LEFT_FLAGS.to_le_bytes());
    world.complete(packet.request, status::SUCCESS, &packet.header);
}

/// Ends a packet that the driver will not use.
pub(crate) fn finish_empty(packet: Packet, world: &mut dyn Surroundings) {
    finish(packet, Some(0), world);
}

/// What comes in: what `source` played, `delay` frames of the card ago; silence where it played nothing.
pub(crate) struct Inlet<'a> {
    pub(crate) source: Option<&'a Pin>,
    pub(crate) delay: u64,
}

impl Inlet<'_> {
    fn frames(&self, pin: &Pin, from: u64, to: u64) -> Vec<u8> {
        let bytes = pin.frame_bytes();
        let mut frames = vec![0; usize::try_from(to - from).unwrap_or(0) * bytes];
        let Some(source) = self.source.filter(|source| source.format == pin.format) else {
            return frames;
        };
        // Frame n of this pin is frame n + shift of the source.
        let shift = pin.began.cast_signed() - source.began.cast_signed() - self.delay.cast_signed();
        let first = from.cast_signed() + shift;
        let begin = first.max(source.heard_from.cast_signed());
        let end = (to.cast_signed() + shift).min(source.heard_to().cast_signed());
        if begin < end {
            let to_bytes = |frames: i64| usize::try_from(frames).unwrap_or(0) * bytes;
            let place = to_bytes(begin - first);
            let heard = to_bytes(begin - source.heard_from.cast_signed());
            let length = to_bytes(end - begin);
            frames[place..place + length].copy_from_slice(&source.heard[heard..heard + length]);
        }
        frames
    }
}

/// Captures up to frame `to` of the run.
pub(crate) fn capture(
    pin: &mut Pin,
    to: u64,
    inlet: &Inlet<'_>,
    description: &Description,
    counts: &mut Counts,
    world: &mut dyn Surroundings,
) {
    if to <= pin.moved {
        return;
    }
    let frames = inlet.frames(pin, pin.moved, to);
    if let Some(ring) = pin.ring {
        // What does not fit has been overwritten.
        let room = ring.bytes / pin.frame_bytes() * pin.frame_bytes();
        let skipped = frames.len().saturating_sub(room);
        let from = pin.moved + (skipped / pin.frame_bytes()) as u64;
        write_ring(pin, from, &frames[skipped..], world);
        pin.moved = to;
        return;
    }
    let mut frames = &frames[..];
    while !frames.is_empty() {
        let Some(packet) = pin.queue.front_mut() else {
            counts.dropped += (frames.len() / pin.format.frame_bytes()) as u64;
            break;
        };
        let full = if description.half_reads { packet.bytes / 2 } else { packet.bytes };
        let piece = frames.len().min(full - packet.done);
        let address = packet.address + packet.done as u64;
        world.write_memory(pin.client, address, &frames[..piece]);
        packet.done += piece;
        frames = &frames[piece..];
        if packet.done >= full
            && let Some(packet) = pin.queue.pop_front()
        {
            let used = packet.done;
            finish(packet, Some(used), world);
        }
    }
    pin.moved = to;
}
