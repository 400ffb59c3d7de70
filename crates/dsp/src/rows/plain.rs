//! The plain rows: the reference that every vector row must equal bit for bit, and what runs where there is no vector row.

use super::{LoadInts, StoreInts};
use barewire_rt::{Area, AreaMut};
use barewire_types::{ByteOrder, Encoding, SampleFormat};

/// 2^31: a left-justified integer of this magnitude is full scale.
const FULL_SCALE: f64 = 2_147_483_648.0;
/// 1.5·2^52: adding it leaves no room for a fraction, so the sum is rounded half to even and the low 32 bits of its
/// significand are the integer.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// Applies `$run` to the integer type that describes `$format`.
macro_rules! of_format {
    ($format:expr, $run:ident) => {
        match ($format.encoding, $format.order) {
            (Encoding::Int16, ByteOrder::Little) => Some($run::<Int<2, 16, false, false>>),
            (Encoding::Int16, ByteOrder::Big) => Some($run::<Int<2, 16, false, true>>),
            (Encoding::Int24, ByteOrder::Little) => Some($run::<Int<3, 24, false, false>>),
            (Encoding::Int24, ByteOrder::Big) => Some($run::<Int<3, 24, false, true>>),
            (Encoding::Int24In32, ByteOrder::Little) => Some($run::<Int<4, 24, false, false>>),
            (Encoding::Int24In32, ByteOrder::Big) => Some($run::<Int<4, 24, false, true>>),
            (Encoding::Int32, ByteOrder::Little) => Some($run::<Int<4, 32, false, false>>),
            (Encoding::Int32, ByteOrder::Big) => Some($run::<Int<4, 32, false, true>>),
            (Encoding::Int32Low16, ByteOrder::Little) => Some($run::<Int<4, 16, true, false>>),
            (Encoding::Int32Low16, ByteOrder::Big) => Some($run::<Int<4, 16, true, true>>),
            (Encoding::Int32Low18, ByteOrder::Little) => Some($run::<Int<4, 18, true, false>>),
            (Encoding::Int32Low18, ByteOrder::Big) => Some($run::<Int<4, 18, true, true>>),
            (Encoding::Int32Low20, ByteOrder::Little) => Some($run::<Int<4, 20, true, false>>),
            (Encoding::Int32Low20, ByteOrder::Big) => Some($run::<Int<4, 20, true, true>>),
            (Encoding::Int32Low24, ByteOrder::Little) => Some($run::<Int<4, 24, true, false>>),
            (Encoding::Int32Low24, ByteOrder::Big) => Some($run::<Int<4, 24, true, true>>),
            _ => None,
        }
    };
}

/// The plain row that reads `format`.
pub(crate) fn load_ints(format: SampleFormat) -> Option<LoadInts> {
    of_format!(format, load)
}

/// The plain row that writes `format`.
pub(crate) fn store_ints(format: SampleFormat) -> Option<StoreInts> {
    of_format!(format, store)
}

/// An integer format: bytes of its container, bits of its value, whether the value stands in the low bits, byte order.
struct Int<const BYTES: usize, const BITS: u32, const LOW: bool, const BIG: bool>;

trait Integer {
    const BYTES: usize;
    /// The bits of a left-justified sample that the format does not hold.
    const LOST: u32;
    /// # Safety
    /// `BYTES` bytes at `from` must be readable.
    unsafe fn load(from: *const u8) -> i32;
    /// # Safety
    /// `BYTES` bytes at `to` must be writable.
    unsafe fn store(sample: i32, to: *mut u8);
}

impl<const BYTES: usize, const BITS: u32, const LOW: bool, const BIG: bool> Integer
    for Int<BYTES, BITS, LOW, BIG>
{
    const BYTES: usize = BYTES;
    const LOST: u32 = if BITS == 32 { 0 } else { u32::MAX >> BITS };

    #[inline(always)]
    unsafe fn load(from: *const u8) -> i32 {
        // SAFETY: promised by the caller.
        let bytes = unsafe { from.cast::<[u8; BYTES]>().read_unaligned() };
        let mut wide = [0_u8; 4];
        // The container fills the high bytes: little-endian ones from the end, big-endian ones from the start.
        let raw = if BIG {
            wide[..BYTES].copy_from_slice(&bytes);
            u32::from_be_bytes(wide)
        } else {
            wide[4 - BYTES..].copy_from_slice(&bytes);
            u32::from_le_bytes(wide)
        };
        (if LOW { raw << (32 - BITS) } else { raw & !Self::LOST }).cast_signed()
    }

    #[inline(always)]
    unsafe fn store(sample: i32, to: *mut u8) {
        let raw = if LOW {
            (sample >> (32 - BITS)).cast_unsigned()
        } else {
            sample.cast_unsigned() & !Self::LOST
        };
        let mut bytes = [0_u8; BYTES];
        if BIG {
            bytes.copy_from_slice(&raw.to_be_bytes()[..BYTES]);
        } else {
            bytes.copy_from_slice(&raw.to_le_bytes()[4 - BYTES..]);
        }
        // SAFETY: promised by the caller.
        unsafe { to.cast::<[u8; BYTES]>().write_unaligned(bytes) };
    }
}

/// Where sample `n` lies.
///
/// # Safety
/// `n` must be below the frames of the plane that `base` and `step` were taken from.
#[inline(always)]
unsafe fn at(base: *const u8, step: usize, n: usize) -> *const u8 {
    // SAFETY: the sample lies within the plane, as the caller promises.
    unsafe { base.add(n * step) }
}

/// As [`at`], for writing.
///
/// # Safety
/// As for [`at`].
#[inline(always)]
unsafe fn at_mut(base: *mut u8, step: usize, n: usize) -> *mut u8 {
    // SAFETY: the sample lies within the plane, as the caller promises.
    unsafe { base.add(n * step) }
}

/// Runs `each` over the first samples of a plane of `bytes` wide samples, one after another. Samples that touch get a loop
/// of their own, which the compiler can vectorise.
macro_rules! each_sample {
    ($step:expr, $bytes:expr, $count:expr, |$n:ident, $stride:ident| $body:block) => {
        if $step == $bytes {
            let $stride = $bytes;
            for $n in 0..$count {
                $body
            }
        } else {
            let $stride = $step;
            for $n in 0..$count {
                $body
            }
        }
    };
}

/// The channel's first byte, step and frames if samples of `bytes` bytes lie there; else no frame.
fn source(area: Area<'_>, channel: usize, bytes: usize, most: usize) -> (*const u8, usize, usize) {
    let plane = area.plane(channel);
    let fits = area.sample_bytes() == bytes;
    let frames = if fits { most.min(plane.frames() as usize) } else { 0 };
    (plane.as_ptr(), plane.step_bytes(), frames)
}

/// As [`source`], for writing.
fn target(
    area: &mut AreaMut<'_>,
    channel: usize,
    bytes: usize,
    most: usize,
) -> (*mut u8, usize, usize) {
    let fits = area.sample_bytes() == bytes;
    let plane = area.plane(channel);
    let frames = if fits { most.min(plane.frames() as usize) } else { 0 };
    (plane.as_ptr(), plane.step_bytes(), frames)
}

fn load<I: Integer>(from: Area<'_>, channel: usize, to: &mut [i32]) {
    let (base, step, frames) = source(from, channel, I::BYTES, to.len());
    let to = &mut to[..frames];
    each_sample!(step, I::BYTES, frames, |n, stride| {
        // SAFETY: `n` is below the plane's frames.
        let place = unsafe { at(base, stride, n) };
        // SAFETY: the area's samples are `I::BYTES` wide.
        to[n] = unsafe { I::load(place) };
    });
}

fn store<I: Integer>(from: &[i32], to: &mut AreaMut<'_>, channel: usize) -> u32 {
    let (base, step, frames) = target(to, channel, I::BYTES, from.len());
    let from = &from[..frames];
    let mut set = 0;
    each_sample!(step, I::BYTES, frames, |n, stride| {
        set |= from[n].cast_unsigned();
        // SAFETY: `n` is below the plane's frames.
        let place = unsafe { at_mut(base, stride, n) };
        // SAFETY: the area's samples are `I::BYTES` wide.
        unsafe { I::store(from[n], place) };
    });
    set & I::LOST
}

/// Reads one channel of 32-bit floats.
pub(crate) fn load_f32<const BIG: bool>(from: Area<'_>, channel: usize, to: &mut [f64]) -> u32 {
    let (base, step, frames) = source(from, channel, 4, to.len());
    let to = &mut to[..frames];
    let mut bad = 0;
    each_sample!(step, 4, frames, |n, stride| {
        // SAFETY: `n` is below the plane's frames.
        let place = unsafe { at(base, stride, n) };
        // SAFETY: the area's samples are 4 bytes wide.
        let bytes = unsafe { place.cast::<[u8; 4]>().read_unaligned() };
        let sample = if BIG { f32::from_be_bytes(bytes) } else { f32::from_le_bytes(bytes) };
        bad += u32::from(!sample.is_finite());
        to[n] = if sample.is_finite() { f64::from(sample) } else { 0.0 };
    });
    bad
}

/// Reads one channel of 64-bit floats.
pub(crate) fn load_f64<const BIG: bool>(from: Area<'_>, channel: usize, to: &mut [f64]) -> u32 {
    let (base, step, frames) = source(from, channel, 8, to.len());
    let to = &mut to[..frames];
    let mut bad = 0;
    each_sample!(step, 8, frames, |n, stride| {
        // SAFETY: `n` is below the plane's frames.
        let place = unsafe { at(base, stride, n) };
        // SAFETY: the area's samples are 8 bytes wide.
        let bytes = unsafe { place.cast::<[u8; 8]>().read_unaligned() };
        let sample = if BIG { f64::from_be_bytes(bytes) } else { f64::from_le_bytes(bytes) };
        bad += u32::from(!sample.is_finite());
        to[n] = if sample.is_finite() { sample } else { 0.0 };
    });
    bad
}

/// Writes one channel of 32-bit floats.
pub(crate) fn store_f32<const BIG: bool>(
    from: &[f64],
    to: &mut AreaMut<'_>,
    channel: usize,
) -> u32 {
    let (base, step, frames) = target(to, channel, 4, from.len());
    let from = &from[..frames];
    let mut bad = 0;
    each_sample!(step, 4, frames, |n, stride| {
        #[expect(clippy::cast_possible_truncation, reason = "rounds; the overflow is caught below")]
        let rounded = from[n] as f32;
        bad += u32::from(!rounded.is_finite());
        let sample = if rounded.is_finite() { rounded } else { 0.0 };
        let bytes = if BIG { sample.to_be_bytes() } else { sample.to_le_bytes() };
        // SAFETY: `n` is below the plane's frames.
        let place = unsafe { at_mut(base, stride, n) };
        // SAFETY: the area's samples are 4 bytes wide.
        unsafe { place.cast::<[u8; 4]>().write_unaligned(bytes) };
    });
    bad
}

/// Writes one channel of 64-bit floats.
pub(crate) fn store_f64<const BIG: bool>(
    from: &[f64],
    to: &mut AreaMut<'_>,
    channel: usize,
) -> u32 {
    let (base, step, frames) = target(to, channel, 8, from.len());
    let from = &from[..frames];
    let mut bad = 0;
    each_sample!(step, 8, frames, |n, stride| {
        bad += u32::from(!from[n].is_finite());
        let sample = if from[n].is_finite() { from[n] } else { 0.0 };
        let bytes = if BIG { sample.to_be_bytes() } else { sample.to_le_bytes() };
        // SAFETY: `n` is below the plane's frames.
        let place = unsafe { at_mut(base, stride, n) };
        // SAFETY: the area's samples are 8 bytes wide.
        unsafe { place.cast::<[u8; 8]>().write_unaligned(bytes) };
    });
    bad
}

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

/// Left-justified integers as floats, exactly.
pub(crate) fn ints_to_floats(from: &[i32], to: &mut [f64]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = f64::from(from) * (1.0 / FULL_SCALE);
    }
}

/// Finite floats as left-justified integers of `bits` bits: scaled by a power of two, clamped, rounded half to even.
pub(crate) fn floats_to_ints(from: &[f64], bits: u32, to: &mut [i32]) {
    let bits = bits.clamp(2, 32);
    let scale = f64::from(1_u32 << (bits - 1));
    for (to, &from) in to.iter_mut().zip(from) {
        *to = low_word((from * scale).clamp(-scale, scale - 1.0) + ROUNDER) << (32 - bits);
    }
}

/// The low 32 bits of a float's significand.
#[inline(always)]
fn low_word(x: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
    let low = x.to_bits() as u32;
    low.cast_signed()
}

/// The OR of what 32-bit floats cannot hold of left-justified integers: the distances to the nearest float, as integers.
pub(crate) fn lost_in_f32(samples: &[i32]) -> u32 {
    let mut lost = 0;
    for &sample in samples {
        let exact = f64::from(sample);
        #[expect(clippy::cast_possible_truncation, reason = "the rounding is what is measured")]
        let rounded = exact as f32;
        lost |= low_word((exact - f64::from(rounded)).abs() + ROUNDER);
    }
    lost.cast_unsigned()
}
