//! Bytes of one-bit samples, and fills: as fast as they need to be without a tier of their own.

use super::bodies::{at, at_mut, source, target};
use barewire_rt::{Area, AreaMut};

/// Moves the bytes of one channel of one-bit samples; `REVERSE` turns each byte round, for the other bit order.
pub(crate) fn move_bytes<const REVERSE: bool>(
    from: Area<'_>,
    from_channel: usize,
    to: &mut AreaMut<'_>,
    to_channel: usize,
) {
    let (from, from_step, from_frames) = source(from, from_channel, 1, usize::MAX);
    let (to, to_step, frames) = target(to, to_channel, 1, from_frames);
    for n in 0..frames {
        // SAFETY: `n` is below the plane's frames.
        let place = unsafe { at(from, from_step, n) };
        // SAFETY: the area's samples are bytes.
        let byte = unsafe { place.read() };
        // SAFETY: `n` is below the plane's frames.
        let place = unsafe { at_mut(to, to_step, n) };
        // SAFETY: the area's samples are bytes.
        unsafe { place.write(if REVERSE { byte.reverse_bits() } else { byte }) };
    }
}

/// Fills one channel with a pattern of `bytes` wide samples: sample n is `pattern(n)`.
pub(crate) fn fill(
    to: &mut AreaMut<'_>,
    channel: usize,
    bytes: usize,
    pattern: impl Fn(usize) -> u8,
) {
    let (base, step, frames) = target(to, channel, bytes, usize::MAX);
    for n in 0..frames {
        // SAFETY: `n` is below the plane's frames.
        let place = unsafe { at_mut(base, step, n) };
        // SAFETY: the area's samples are `bytes` wide.
        unsafe { place.write_bytes(pattern(n), bytes) };
    }
}

/// Reads the bytes of one channel; stops at the shorter of the two.
pub(crate) fn load(from: Area<'_>, channel: usize, to: &mut [u8]) {
    let (base, step, frames) = source(from, channel, 1, to.len());
    for (n, byte) in to.iter_mut().enumerate().take(frames) {
        // SAFETY: `n` is below the plane's frames.
        let place = unsafe { at(base, step, n) };
        // SAFETY: the area's samples are bytes.
        *byte = unsafe { place.read() };
    }
}

/// Writes the bytes of one channel; stops at the shorter of the two.
pub(crate) fn store(from: &[u8], to: &mut AreaMut<'_>, channel: usize) {
    let (base, step, frames) = target(to, channel, 1, from.len());
    for (n, &byte) in from.iter().enumerate().take(frames) {
        // SAFETY: `n` is below the plane's frames.
        let place = unsafe { at_mut(base, step, n) };
        // SAFETY: the area's samples are bytes.
        unsafe { place.write(byte) };
    }
}
