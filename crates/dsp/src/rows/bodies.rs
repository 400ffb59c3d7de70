//! The bodies of the rows, in plain Rust: the reference. `tiers` compiles the same bodies once a tier of vector
//! instructions, where the compiler vectorises them; floats are never contracted, so all tiers give the same bits.

use super::containers::Integer;
use super::{BLOCK_FRAMES, Block};
use crate::filter::GROUP;
use crate::noise::Noise;
use crate::shape::{LANES, SHAPE_TAPS, Shape};
use barewire_rt::{Area, AreaMut};

/// 2^31: a left-justified integer of this magnitude is full scale.
pub(super) const FULL_SCALE: f64 = 2_147_483_648.0;
/// 1.5·2^52: adding it leaves no room for a fraction, so the sum is rounded half to even and the low 32 bits of its
/// significand are the integer.
pub(super) const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// Where sample `n` lies.
///
/// # Safety
/// `n` must be below the frames of the plane that `base` and `step` were taken from.
#[inline(always)]
pub(super) unsafe fn at(base: *const u8, step: usize, n: usize) -> *const u8 {
    // SAFETY: the sample lies within the plane, as the caller promises.
    unsafe { base.add(n * step) }
}

/// As [`at`], for writing.
///
/// # Safety
/// As for [`at`].
#[inline(always)]
pub(super) unsafe fn at_mut(base: *mut u8, step: usize, n: usize) -> *mut u8 {
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
pub(super) fn source(
    area: Area<'_>,
    channel: usize,
    bytes: usize,
    most: usize,
) -> (*const u8, usize, usize) {
    let plane = area.plane(channel);
    let fits = area.sample_bytes() == bytes;
    let frames = if fits { most.min(plane.frames() as usize) } else { 0 };
    (plane.as_ptr(), plane.step_bytes(), frames)
}

/// As [`source`], for writing.
pub(super) fn target(
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

#[inline(always)]
pub(super) fn load<I: Integer>(from: Area<'_>, channel: usize, to: &mut [i32]) {
    let (base, step, frames) = source(from, channel, I::BYTES, to.len());
    let to = &mut to[..frames];
    each_sample!(step, I::BYTES, frames, |n, stride| {
        // SAFETY: `n` is below the plane's frames.
        let place = unsafe { at(base, stride, n) };
        // SAFETY: the area's samples are `I::BYTES` wide.
        to[n] = unsafe { I::load(place) };
    });
}

#[inline(always)]
pub(super) fn store<I: Integer>(from: &[i32], to: &mut AreaMut<'_>, channel: usize) -> u32 {
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
#[inline(always)]
fn load_f32<const BIG: bool>(from: Area<'_>, channel: usize, to: &mut [f64]) -> u32 {
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
#[inline(always)]
fn load_f64<const BIG: bool>(from: Area<'_>, channel: usize, to: &mut [f64]) -> u32 {
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
#[inline(always)]
fn store_f32<const BIG: bool>(from: &[f64], to: &mut AreaMut<'_>, channel: usize) -> u32 {
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
#[inline(always)]
fn store_f64<const BIG: bool>(from: &[f64], to: &mut AreaMut<'_>, channel: usize) -> u32 {
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

/// Adds one channel of integers to the bus, or begins it. Exact: a bus in units of a left-justified integer holds sums
/// of 2^21 full-scale channels within the 53 bits of its significand.
#[inline(always)]
pub(super) fn add<I: Integer>(from: Area<'_>, channel: usize, begin: bool, bus: &mut [f64]) {
    let (base, step, frames) = source(from, channel, I::BYTES, bus.len());
    let bus = &mut bus[..frames];
    // Two loops: what begins the bus does not read it.
    if begin {
        each_sample!(step, I::BYTES, frames, |n, stride| {
            // SAFETY: `n` is below the plane's frames.
            let place = unsafe { at(base, stride, n) };
            // SAFETY: the area's samples are `I::BYTES` wide.
            bus[n] = f64::from(unsafe { I::load(place) });
        });
        return;
    }
    each_sample!(step, I::BYTES, frames, |n, stride| {
        // SAFETY: `n` is below the plane's frames.
        let place = unsafe { at(base, stride, n) };
        // SAFETY: the area's samples are `I::BYTES` wide.
        bus[n] += f64::from(unsafe { I::load(place) });
    });
}

/// Left-justified integers as floats, exactly.
#[inline(always)]
pub(super) fn ints_to_floats(from: &[i32], to: &mut [f64]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = f64::from(from) * (1.0 / FULL_SCALE);
    }
}

/// Finite floats as left-justified integers of `bits` bits: scaled by a power of two, clamped, rounded half to even.
#[inline(always)]
pub(super) fn floats_to_ints(from: &[f64], bits: u32, to: &mut [i32]) {
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
#[inline(always)]
pub(super) fn lost_in_f32(samples: &[i32]) -> u32 {
    let mut lost = 0;
    for &sample in samples {
        let exact = f64::from(sample);
        #[expect(clippy::cast_possible_truncation, reason = "the rounding is what is measured")]
        let rounded = exact as f32;
        lost |= low_word((exact - f64::from(rounded)).abs() + ROUNDER);
    }
    lost.cast_unsigned()
}

/// Adds floats times a gain to the bus, or begins it.
#[inline(always)]
pub(super) fn add_scaled(from: &[f64], gain: f64, begin: bool, bus: &mut [f64]) {
    for (bus, &from) in bus.iter_mut().zip(from) {
        let sample = from * gain;
        *bus = if begin { sample } else { *bus + sample };
    }
}

/// Adds floats to the bus, or begins it, each frame with a gain of its own.
#[inline(always)]
pub(super) fn add_ramped(from: &[f64], gains: &[f64], begin: bool, bus: &mut [f64]) {
    for ((bus, &from), &gain) in bus.iter_mut().zip(from).zip(gains) {
        let sample = from * gain;
        *bus = if begin { sample } else { *bus + sample };
    }
}

/// The bus without its fractions as left-justified integers, saturated; returns how many samples were.
#[inline(always)]
pub(super) fn saturate(bus: &[f64], to: &mut [i32]) -> u32 {
    let target = Target::of(32);
    let mut held = 0;
    for (to, &sum) in to.iter_mut().zip(bus) {
        held |= target.round(sum, to);
    }
    target.clipped(held, bus.iter().copied())
}

/// The bus as left-justified integers of `bits` bits, rounded half to even; returns how many samples were clamped.
#[inline(always)]
pub(super) fn round(bus: &[f64], bits: u32, to: &mut [i32]) -> u32 {
    let target = Target::of(bits);
    let mut held = 0;
    for (to, &sum) in to.iter_mut().zip(bus) {
        held |= target.round(sum * target.scale, to);
    }
    target.clipped(held, bus.iter().map(|sum| sum * target.scale))
}

/// The bus as left-justified integers of `bits` bits, rounded half to even after dither of ±1 LSB; returns how many
/// samples were clamped.
///
/// The dither is a triangle: the sum of two numbers of 16 bits, of one word of noise a sample.
#[inline(always)]
pub(super) fn dither_flat(bus: &[f64], bits: u32, noise: Noise, to: &mut [i32]) -> u32 {
    for (to, n) in to.iter_mut().zip(0_u32..) {
        *to = triangle(noise.word(n));
    }
    dither(bus, bits, TRIANGLE_UNIT, to)
}

/// As [`dither_flat`] with high-pass dither: each sample's noise less the one before it.
#[inline(always)]
pub(super) fn dither_high(bus: &[f64], bits: u32, noise: Noise, to: &mut [i32]) -> u32 {
    let before = noise.before();
    for (to, n) in to.iter_mut().zip(0_u32..) {
        // Halved, so that the difference of two 31-bit numbers fits 32 bits.
        *to = (noise.word(n).cast_signed() >> 1) - (before.word(n).cast_signed() >> 1);
    }
    dither(bus, bits, 1.0 / FULL_SCALE, to)
}

/// Rounds the bus with the dither that `to` holds, in `unit`s of an LSB. Two loops rather than one: integers go twice as
/// wide as floats.
#[inline(always)]
fn dither(bus: &[f64], bits: u32, unit: f64, to: &mut [i32]) -> u32 {
    let target = Target::of(bits);
    let mut held = 0;
    for (to, &sum) in to.iter_mut().zip(bus) {
        held |= target.round(sum * target.scale + f64::from(*to) * unit, to);
    }
    if held == 0 {
        return 0;
    }
    // Rare: dither does not carry a sample far beyond the end, so those held are counted by where they stand.
    count_ends(to, bits)
}

/// The triangular dither of each sample, for the shaped rounding, which runs over several channels at once.
#[inline(always)]
pub(super) fn triangles(noise: Noise, to: &mut [f64]) {
    for (to, n) in to.iter_mut().zip(0_u32..) {
        *to = f64::from(triangle(noise.word(n))) * TRIANGLE_UNIT;
    }
}

/// What the triangle counts in.
const TRIANGLE_UNIT: f64 = 1.0 / 65_536.0;

/// The sum of a word's two halves, in (−2^16, 2^16) with a mean of exactly 0.
#[inline(always)]
fn triangle(word: u32) -> i32 {
    let high = word.cast_signed() >> 16;
    let low = (word << 16).cast_signed() >> 16;
    high + low + 1
}

/// What bus samples are rounded to.
#[derive(Clone, Copy)]
struct Target {
    scale: f64,
    most: f64,
    shift: u32,
}

impl Target {
    #[inline(always)]
    fn of(bits: u32) -> Self {
        let bits = bits.clamp(2, 32);
        let most = f64::from(1_u32 << (bits - 1));
        Self { scale: most / FULL_SCALE, most, shift: 32 - bits }
    }

    #[inline(always)]
    fn hold(self, x: f64) -> f64 {
        x.clamp(-self.most, self.most - 1.0)
    }

    /// Rounds `x`, in LSB; returns 0 if it was not clamped.
    #[inline(always)]
    fn round(self, x: f64, to: &mut i32) -> u64 {
        let held = self.hold(x);
        *to = low_word(held + ROUNDER) << self.shift;
        held.to_bits() ^ x.to_bits()
    }

    /// How many of `samples`, in LSB, are clamped, given whether any was.
    #[inline(always)]
    fn clipped(self, any: u64, samples: impl Iterator<Item = f64>) -> u32 {
        if any == 0 {
            return 0;
        }
        let clamped = samples.filter(|&x| self.hold(x) != x).count();
        u32::try_from(clamped).unwrap_or(u32::MAX)
    }

    /// Whether a left-justified integer is the greatest or the least that there is.
    #[inline(always)]
    fn is_end(self, x: i32) -> bool {
        x == i32::MIN || x == (i32::MAX >> self.shift) << self.shift
    }
}

/// Multiplies in place; by a power of two that is exact.
#[inline(always)]
pub(super) fn scale(samples: &mut [f64], by: f64) {
    for sample in samples {
        *sample *= by;
    }
}

macro_rules! both_orders {
    ($($generic:ident $little:ident $big:ident ($($argument:ident: $kind:ty),*);)*) => {
        $(#[inline(always)]
        pub(super) fn $little($($argument: $kind),*) -> u32 {
            $generic::<false>($($argument),*)
        }
        #[inline(always)]
        pub(super) fn $big($($argument: $kind),*) -> u32 {
            $generic::<true>($($argument),*)
        })*
    };
}

both_orders! {
    load_f32 load_f32_little load_f32_big (from: Area<'_>, channel: usize, to: &mut [f64]);
    load_f64 load_f64_little load_f64_big (from: Area<'_>, channel: usize, to: &mut [f64]);
    store_f32 store_f32_little store_f32_big (from: &[f64], to: &mut AreaMut<'_>, channel: usize);
    store_f64 store_f64_little store_f64_big (from: &[f64], to: &mut AreaMut<'_>, channel: usize);
}

/// Rounds up to [`LANES`] channels side by side with shaped error feedback; returns 0 if nothing was clamped. Transposed form:
/// the errors of the frame before wait for one multiplication and one addition; all else runs beside that.
#[inline(always)]
pub(super) fn shape(
    bus: [&[f64]; LANES],
    noise: &Block<f64>,
    bits: u32,
    shape: &mut Shape,
    to: &mut Block<i32>,
) -> u64 {
    shape_from(0, bus, noise, bits, shape, to)
}

/// As [`shape`], from a frame of the block on.
#[inline(always)]
pub(super) fn shape_from(
    start: usize,
    bus: [&[f64]; LANES],
    noise: &Block<f64>,
    bits: u32,
    shape: &mut Shape,
    to: &mut Block<i32>,
) -> u64 {
    let target = Target::of(bits);
    let frames = bus.iter().fold(BLOCK_FRAMES, |least, row| least.min(row.len()));
    let bus = bus.map(|row| &row[..frames]);
    let taps = shape.taps;
    let mut ahead = shape.ahead;
    let mut clamped = 0;
    for n in start..frames {
        let mut error = [0.0; LANES];
        let mut rounded = [0.0; LANES];
        for lane in 0..LANES {
            // The noise joins the sample first, which does not wait for the frame before.
            let exact = bus[lane][n] * target.scale;
            let noisy = exact + noise[lane][n];
            rounded[lane] = ((noisy + ahead[0][lane]) + ROUNDER) - ROUNDER;
            let wanted = exact + ahead[0][lane];
            error[lane] = rounded[lane] - wanted;
            // taps[0] · error in two parts, so that the next frame need not wait for their difference.
            ahead[0][lane] = (ahead[1][lane] - taps[0] * wanted) + taps[0] * rounded[lane];
        }
        for tap in 1..SHAPE_TAPS {
            for lane in 0..LANES {
                ahead[tap][lane] = ahead[tap + 1][lane] + taps[tap] * error[lane];
            }
        }
        for lane in 0..LANES {
            clamped |= target.round(rounded[lane], &mut to[lane][n]);
        }
    }
    shape.ahead = ahead;
    clamped
}

/// How many left-justified integers are the greatest or the least of their width.
#[inline(always)]
pub(super) fn count_ends(samples: &[i32], bits: u32) -> u32 {
    let target = Target::of(bits);
    let ends = samples.iter().filter(|&&x| target.is_end(x));
    u32::try_from(ends.count()).unwrap_or(u32::MAX)
}

/// A filter's coefficients at `x` of a piece: the cubics that its four rows hold.
#[inline(always)]
pub(super) fn coefficients(rows: &[f64], x: f64, to: &mut [f64]) {
    let taps = to.len();
    let (a, rest) = rows.split_at(taps);
    let (b, rest) = rest.split_at(taps);
    let (c, d) = rest.split_at(taps);
    for ((((to, a), b), c), d) in to.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *to = a + x * (b + x * (c + x * d));
    }
}

/// The sum of products; groups are added side by side, in an order that is the same on all tiers.
#[inline(always)]
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; GROUP];
    for (a, b) in a.chunks_exact(GROUP).zip(b.chunks_exact(GROUP)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    total(sums)
}

/// Two channels through a filter at `x` of the piece that `rows` holds.
#[inline(always)]
pub(super) fn filter_two(rows: &[f64], x: f64, channels: [&[f64]; 2]) -> [f64; 2] {
    let taps = channels[0].len().min(channels[1].len()).min(rows.len() / 4);
    let (a, rest) = rows.split_at(taps);
    let (b, rest) = rest.split_at(taps);
    let (c, d) = rest.split_at(taps);
    let cubics = a.chunks_exact(GROUP).zip(b.chunks_exact(GROUP));
    let cubics = cubics.zip(c.chunks_exact(GROUP)).zip(d.chunks_exact(GROUP));
    let samples = channels[0].chunks_exact(GROUP).zip(channels[1].chunks_exact(GROUP));
    let (mut left, mut right) = ([0.0; GROUP], [0.0; GROUP]);
    for ((((a, b), c), d), (l, r)) in cubics.zip(samples) {
        for n in 0..GROUP {
            let coefficient = a[n] + x * (b[n] + x * (c[n] + x * d[n]));
            left[n] += coefficient * l[n];
            right[n] += coefficient * r[n];
        }
    }
    [total(left), total(right)]
}

#[inline(always)]
fn total(mut sums: [f64; GROUP]) -> f64 {
    let mut count = GROUP / 2;
    while count > 0 {
        for n in 0..count {
            sums[n] += sums[n + count];
        }
        count /= 2;
    }
    sums[0]
}
