//! Several channels at once between planes and interleaved memory: 2 channels side by side, or 8 of any number, 8 frames at a
//! time (AVX2). What these leave over (frames below 8, other channel counts, other formats) goes by the rows of one channel,
//! which are also the reference.

use super::Weave;
use barewire_rt::{Area, AreaMut};
use barewire_types::SampleFormat;
#[cfg(target_arch = "x86")]
use std::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Frames of one step.
const STEP: usize = 8;

/// The weave from planes of one format into 2 or 8 interleaved channels of another.
pub(crate) fn weave(from: SampleFormat, to: SampleFormat, channels: usize) -> Option<Weave> {
    pick(from, to, channels, true)
}

/// The way back: from interleaved channels into planes.
pub(crate) fn unweave(from: SampleFormat, to: SampleFormat, channels: usize) -> Option<Weave> {
    pick(from, to, channels, false)
}

fn pick(from: SampleFormat, to: SampleFormat, channels: usize, weave: bool) -> Option<Weave> {
    macro_rules! of_to {
        ($from:ty) => {
            match to {
                SampleFormat::INT16 => of_channels::<$from, Int16>(channels, weave),
                SampleFormat::INT24 => of_channels::<$from, Int24>(channels, weave),
                SampleFormat::INT24_IN_32 => of_channels::<$from, Int24In32>(channels, weave),
                SampleFormat::INT32 => of_channels::<$from, Int32>(channels, weave),
                _ => None,
            }
        };
    }
    match from {
        SampleFormat::INT16 => of_to!(Int16),
        SampleFormat::INT24 => of_to!(Int24),
        SampleFormat::INT24_IN_32 => of_to!(Int24In32),
        SampleFormat::INT32 => of_to!(Int32),
        _ => None,
    }
}

fn of_channels<F: Lay, T: Lay>(channels: usize, weave: bool) -> Option<Weave> {
    match (channels, weave) {
        (2, true) => Some(weave_safe::<F, T, 2>),
        (8, true) => Some(weave_safe::<F, T, 8>),
        (2, false) => Some(unweave_safe::<F, T, 2>),
        (8, false) => Some(unweave_safe::<F, T, 8>),
        _ => None,
    }
}

/// `planes` names the source's channels, `first` the first of the destination's, `C` of them.
fn weave_safe<F: Lay, T: Lay, const C: usize>(
    from: Area<'_>,
    to: &mut AreaMut<'_>,
    first: usize,
    planes: &[usize],
) -> (u32, u32) {
    let frames = from.frames().min(to.frames());
    let steps = frames as usize / STEP;
    let stride = to.channels() * T::BYTES;
    let mut pointers = [std::ptr::null(); C];
    let whole = C != 2 || to.channels() == 2;
    let Some(base) = to.interleaved_base() else { return (0, 0) };
    if from.sample_bytes() != F::BYTES
        || to.sample_bytes() != T::BYTES
        || first + C > to.channels()
        || planes.len() != C
        || !whole
    {
        return (0, 0);
    }
    for (pointer, &channel) in pointers.iter_mut().zip(planes) {
        let plane = from.plane(channel);
        if plane.step_bytes() != F::BYTES || plane.frames() < frames {
            return (0, 0);
        }
        *pointer = plane.as_ptr();
    }
    let base = base.wrapping_add(first * T::BYTES);
    // SAFETY: the planes hold `frames` samples of `F` one after another, the destination as many frames of at least
    // `first + C` channels of `T`; the way here is the AVX2 table, which is given out where AVX2 is there.
    let set = unsafe {
        if F::IS_INT16 && T::IS_INT16 {
            // Nothing can be lost.
            weave_16(&pointers, base, stride, steps);
            0
        } else {
            weave_steps::<F, T, C>(&pointers, base, stride, steps)
        }
    };
    (done(steps), set)
}

/// `planes` names the destination's channels, `first` the first of the source's, `C` of them.
fn unweave_safe<F: Lay, T: Lay, const C: usize>(
    from: Area<'_>,
    to: &mut AreaMut<'_>,
    first: usize,
    planes: &[usize],
) -> (u32, u32) {
    let frames = from.frames().min(to.frames());
    let steps = frames as usize / STEP;
    let stride = from.channels() * F::BYTES;
    let mut pointers = [std::ptr::null_mut(); C];
    let whole = C != 2 || from.channels() == 2;
    let Some(base) = from.interleaved_base() else { return (0, 0) };
    if from.sample_bytes() != F::BYTES
        || to.sample_bytes() != T::BYTES
        || first + C > from.channels()
        || planes.len() != C
        || !whole
    {
        return (0, 0);
    }
    for (pointer, &channel) in pointers.iter_mut().zip(planes) {
        let plane = to.plane(channel);
        if plane.step_bytes() != T::BYTES || plane.frames() < frames {
            return (0, 0);
        }
        *pointer = plane.as_ptr();
    }
    let base = base.wrapping_add(first * F::BYTES);
    // SAFETY: as in `weave_safe`, the other way round.
    let set = unsafe {
        if F::IS_INT16 && T::IS_INT16 {
            unweave_16(base, stride, &pointers, steps);
            0
        } else {
            unweave_steps::<F, T, C>(base, stride, &pointers, steps)
        }
    };
    (done(steps), set)
}

fn done(steps: usize) -> u32 {
    u32::try_from(steps * STEP).unwrap_or(0)
}

/// # Safety
/// AVX2 must be there; `steps * 8` samples of `F` must be readable at each plane, and as many frames of `C` channels of `T`
/// writable at `to`, `stride` bytes apart.
#[target_feature(enable = "avx2")]
unsafe fn weave_steps<F: Lay, T: Lay, const C: usize>(
    planes: &[*const u8; C],
    to: *mut u8,
    stride: usize,
    steps: usize,
) -> u32 {
    let mut set = _mm256_setzero_si256();
    for step in 0..steps {
        // SAFETY: the step lies within the planes.
        let sources = planes.map(|plane| unsafe { plane.add(step * STEP * F::BYTES) });
        // Two channels fill a row with four frames, eight with one.
        let gap = if C == 2 { STEP * T::BYTES } else { stride };
        // SAFETY: the step lies within the destination.
        let place = unsafe { to.add(step * STEP * stride) };
        let targets: [*mut u8; C] = std::array::from_fn(|n| place.wrapping_add(n * gap));
        // SAFETY: as above.
        set = _mm256_or_si256(set, unsafe { one_step::<F, T, C>(&sources, &targets, zip) });
    }
    any(set)
}

/// # Safety
/// As for [`weave_steps`], the other way round.
#[target_feature(enable = "avx2")]
unsafe fn unweave_steps<F: Lay, T: Lay, const C: usize>(
    from: *const u8,
    stride: usize,
    planes: &[*mut u8; C],
    steps: usize,
) -> u32 {
    let mut set = _mm256_setzero_si256();
    for step in 0..steps {
        let gap = if C == 2 { STEP * F::BYTES } else { stride };
        // SAFETY: the step lies within the source.
        let place = unsafe { from.add(step * STEP * stride) };
        let sources: [*const u8; C] = std::array::from_fn(|n| place.wrapping_add(n * gap));
        // SAFETY: the step lies within the planes.
        let targets = planes.map(|plane| unsafe { plane.add(step * STEP * T::BYTES) });
        // SAFETY: as above.
        set = _mm256_or_si256(set, unsafe { one_step::<F, T, C>(&sources, &targets, unzip) });
    }
    any(set)
}

/// Turns eight samples from each source into eight at each target: two rows by `pair`, eight as a square. Returns the OR of
/// all samples.
///
/// # Safety
/// AVX2 must be there, and eight samples readable at each source and writable at each target.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn one_step<F: Lay, T: Lay, const C: usize>(
    sources: &[*const u8; C],
    targets: &[*mut u8; C],
    pair: unsafe fn([__m256i; 2]) -> [__m256i; 2],
) -> __m256i {
    let mut set = _mm256_setzero_si256();
    if C == 2 {
        // SAFETY: promised by the caller.
        let rows = unsafe { [F::load(sources[0]), F::load(sources[1])] };
        set = _mm256_or_si256(rows[0], rows[1]);
        // SAFETY: AVX2 is there.
        let rows = unsafe { pair(rows) };
        for (row, &target) in rows.into_iter().zip(targets) {
            // SAFETY: promised by the caller.
            unsafe { T::store(row, target) };
        }
        return set;
    }
    for half in 0..2 {
        // The fourth row on lies in the high lane, so that no lane need be crossed later.
        let rows: [__m256i; 4] = std::array::from_fn(|n| {
            // SAFETY: promised by the caller.
            unsafe { F::load_half(sources[n], sources[n + 4], half) }
        });
        for row in rows {
            set = _mm256_or_si256(set, row);
        }
        for (n, row) in squares(rows).into_iter().enumerate() {
            // SAFETY: promised by the caller.
            unsafe { T::store(row, targets[4 * half + n]) };
        }
    }
    set
}

/// [`weave_steps`] of 16-bit samples as they are, which fill half a vector.
///
/// # Safety
/// As for [`weave_steps`].
#[target_feature(enable = "avx2")]
unsafe fn weave_16<const C: usize>(
    planes: &[*const u8; C],
    to: *mut u8,
    stride: usize,
    steps: usize,
) {
    let pairs = if C == 2 { steps / 2 } else { 0 };
    for pair in 0..pairs {
        // SAFETY: two steps lie within the planes.
        let [a, b] = [0, 1].map(|n| unsafe { _mm256_loadu_si256(planes[n].add(pair * 32).cast()) });
        let (low, high) = (_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b));
        let first = _mm256_permute2x128_si256(low, high, 0x20);
        let second = _mm256_permute2x128_si256(low, high, 0x31);
        // SAFETY: two steps of two channels lie within the destination.
        let place = unsafe { to.add(pair * 64) };
        // SAFETY: as above.
        unsafe { _mm256_storeu_si256(place.cast(), first) };
        // SAFETY: as above.
        unsafe { _mm256_storeu_si256(place.add(32).cast(), second) };
    }
    for step in 2 * pairs..steps {
        // SAFETY: the step lies within the planes.
        let rows = planes.map(|plane| unsafe { _mm_loadu_si128(plane.add(step * 16).cast()) });
        // SAFETY: the step lies within the destination.
        let place = unsafe { to.add(step * STEP * stride) };
        for (n, row) in turn_16(rows, true).into_iter().enumerate() {
            let gap = if C == 2 { 16 } else { stride };
            // SAFETY: as above.
            unsafe { _mm_storeu_si128(place.add(n * gap).cast(), row) };
        }
    }
}

/// [`unweave_steps`] of 16-bit samples as they are.
///
/// # Safety
/// As for [`weave_steps`].
#[target_feature(enable = "avx2")]
unsafe fn unweave_16<const C: usize>(
    from: *const u8,
    stride: usize,
    planes: &[*mut u8; C],
    steps: usize,
) {
    let pairs = if C == 2 { steps / 2 } else { 0 };
    for pair in 0..pairs {
        // SAFETY: two steps of two channels lie within the source.
        let [a, b] =
            [0, 32].map(|at| unsafe { _mm256_loadu_si256(from.add(pair * 64 + at).cast()) });
        let places = _mm256_broadcastsi128_si256(even_then_odd());
        let (a, b) = (_mm256_shuffle_epi8(a, places), _mm256_shuffle_epi8(b, places));
        let (even, odd) = (_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
        for (plane, row) in planes.iter().zip([even, odd]) {
            let row = _mm256_permute4x64_epi64(row, 0b11_01_10_00);
            // SAFETY: two steps lie within the plane.
            unsafe { _mm256_storeu_si256(plane.add(pair * 32).cast(), row) };
        }
    }
    for step in 2 * pairs..steps {
        // SAFETY: the step lies within the source.
        let place = unsafe { from.add(step * STEP * stride) };
        let gap = if C == 2 { 16 } else { stride };
        let rows: [__m128i; C] = std::array::from_fn(|n| {
            // SAFETY: as above.
            unsafe { _mm_loadu_si128(place.add(n * gap).cast()) }
        });
        for (row, plane) in turn_16(rows, false).into_iter().zip(planes) {
            // SAFETY: the step lies within the plane.
            unsafe { _mm_storeu_si128(plane.add(step * 16).cast(), row) };
        }
    }
}

/// Where the bytes of even samples go, below, and those of odd ones, above.
#[target_feature(enable = "avx2")]
#[inline]
fn even_then_odd() -> __m128i {
    _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15)
}

/// Rows of one channel each become rows as they lie interleaved, or back: two by zipping, eight as a square.
#[target_feature(enable = "avx2")]
#[inline]
fn turn_16<const C: usize>(rows: [__m128i; C], weave: bool) -> [__m128i; C] {
    let mut turned = rows;
    if C == 2 {
        let (a, b) = (rows[0], rows[1]);
        (turned[0], turned[1]) = if weave {
            (_mm_unpacklo_epi16(a, b), _mm_unpackhi_epi16(a, b))
        } else {
            let places = even_then_odd();
            let (a, b) = (_mm_shuffle_epi8(a, places), _mm_shuffle_epi8(b, places));
            (_mm_unpacklo_epi64(a, b), _mm_unpackhi_epi64(a, b))
        };
    } else if let Ok(square) = <[__m128i; 8]>::try_from(&rows[..]) {
        turned.copy_from_slice(&transpose_16(square)[..C]);
    }
    turned
}

#[target_feature(enable = "avx2")]
#[inline]
fn transpose_16(r: [__m128i; 8]) -> [__m128i; 8] {
    let pairs = |a, b| (_mm_unpacklo_epi16(a, b), _mm_unpackhi_epi16(a, b));
    let (a0, a1) = pairs(r[0], r[1]);
    let (a2, a3) = pairs(r[2], r[3]);
    let (a4, a5) = pairs(r[4], r[5]);
    let (a6, a7) = pairs(r[6], r[7]);
    let fours = |a, b| (_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
    let (b0, b1) = fours(a0, a2);
    let (b2, b3) = fours(a1, a3);
    let (b4, b5) = fours(a4, a6);
    let (b6, b7) = fours(a5, a7);
    let eights = |a, b| [_mm_unpacklo_epi64(a, b), _mm_unpackhi_epi64(a, b)];
    let ([c0, c1], [c2, c3]) = (eights(b0, b4), eights(b1, b5));
    let ([c4, c5], [c6, c7]) = (eights(b2, b6), eights(b3, b7));
    [c0, c1, c2, c3, c4, c5, c6, c7]
}

#[target_feature(enable = "avx2")]
#[inline]
fn any(set: __m256i) -> u32 {
    let half = _mm_or_si128(_mm256_castsi256_si128(set), _mm256_extracti128_si256(set, 1));
    let pair = _mm_or_si128(half, _mm_shuffle_epi32(half, 0b01_00_11_10));
    let one = _mm_or_si128(pair, _mm_shuffle_epi32(pair, 0b10_11_00_01));
    _mm_cvtsi128_si32(one).cast_unsigned()
}

#[target_feature(enable = "avx2")]
#[inline]
fn zip([a, b]: [__m256i; 2]) -> [__m256i; 2] {
    let low = _mm256_unpacklo_epi32(a, b);
    let high = _mm256_unpackhi_epi32(a, b);
    [_mm256_permute2x128_si256(low, high, 0x20), _mm256_permute2x128_si256(low, high, 0x31)]
}

#[target_feature(enable = "avx2")]
#[inline]
fn unzip([a, b]: [__m256i; 2]) -> [__m256i; 2] {
    let low = _mm256_castsi256_ps(_mm256_permute2x128_si256(a, b, 0x20));
    let high = _mm256_castsi256_ps(_mm256_permute2x128_si256(a, b, 0x31));
    [
        _mm256_castps_si256(_mm256_shuffle_ps(low, high, 0b10_00_10_00)),
        _mm256_castps_si256(_mm256_shuffle_ps(low, high, 0b11_01_11_01)),
    ]
}

/// Four rows of four become columns, in each lane.
#[target_feature(enable = "avx2")]
#[inline]
fn squares([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    let (ab_low, ab_high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    let (cd_low, cd_high) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
    [
        _mm256_unpacklo_epi64(ab_low, cd_low),
        _mm256_unpackhi_epi64(ab_low, cd_low),
        _mm256_unpacklo_epi64(ab_high, cd_high),
        _mm256_unpackhi_epi64(ab_high, cd_high),
    ]
}

/// How eight samples one after another become a row of left-justified integers, and back.
trait Lay {
    const BYTES: usize;
    const IS_INT16: bool = false;
    /// # Safety
    /// AVX2 must be there and `8 * BYTES` bytes at `from` readable.
    unsafe fn load(from: *const u8) -> __m256i;
    /// The first or second four of eight samples, from two places.
    ///
    /// # Safety
    /// AVX2 must be there and `8 * BYTES` bytes readable at each place.
    unsafe fn load_half(low: *const u8, high: *const u8, half: usize) -> __m256i;
    /// # Safety
    /// AVX2 must be there and `8 * BYTES` bytes at `to` writable.
    unsafe fn store(row: __m256i, to: *mut u8);
}

struct Int16;
struct Int24;
struct Int24In32;
struct Int32;

impl Lay for Int16 {
    const BYTES: usize = 2;
    const IS_INT16: bool = true;

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn load(from: *const u8) -> __m256i {
        // SAFETY: promised by the caller.
        let packed = unsafe { _mm_loadu_si128(from.cast()) };
        _mm256_slli_epi32(_mm256_cvtepi16_epi32(packed), 16)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn load_half(low: *const u8, high: *const u8, half: usize) -> __m256i {
        // SAFETY: promised by the caller; half of 16 bytes.
        let (low, high) = unsafe {
            (_mm_loadl_epi64(low.add(8 * half).cast()), _mm_loadl_epi64(high.add(8 * half).cast()))
        };
        _mm256_slli_epi32(_mm256_cvtepi16_epi32(_mm_unpacklo_epi64(low, high)), 16)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn store(row: __m256i, to: *mut u8) {
        let low = _mm256_srai_epi32(row, 16);
        let packed = _mm_packs_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
        // SAFETY: promised by the caller.
        unsafe { _mm_storeu_si128(to.cast(), packed) };
    }
}

impl Lay for Int24 {
    const BYTES: usize = 3;

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn load(from: *const u8) -> __m256i {
        // SAFETY: promised by the caller: 24 bytes, the last 16 of which begin at the 8th.
        let (low, high) =
            unsafe { (_mm_loadu_si128(from.cast()), _mm_loadu_si128(from.add(8).cast())) };
        let both = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
        #[rustfmt::skip]
        let places = _mm256_setr_epi8(
            -1, 0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11,
            -1, 4, 5, 6, -1, 7, 8, 9, -1, 10, 11, 12, -1, 13, 14, 15,
        );
        _mm256_shuffle_epi8(both, places)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn load_half(low: *const u8, high: *const u8, half: usize) -> __m256i {
        // SAFETY: promised by the caller; the first or the last 16 of 24 bytes.
        let (low, high) = unsafe {
            (_mm_loadu_si128(low.add(8 * half).cast()), _mm_loadu_si128(high.add(8 * half).cast()))
        };
        #[rustfmt::skip]
        let places = if half == 0 {
            _mm_setr_epi8(-1, 0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11)
        } else {
            _mm_setr_epi8(-1, 4, 5, 6, -1, 7, 8, 9, -1, 10, 11, 12, -1, 13, 14, 15)
        };
        let both = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
        _mm256_shuffle_epi8(both, _mm256_broadcastsi128_si256(places))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn store(row: __m256i, to: *mut u8) {
        #[rustfmt::skip]
        let places = _mm256_setr_epi8(
            1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15, -1, -1, -1, -1,
            1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15, -1, -1, -1, -1,
        );
        let halves = _mm256_shuffle_epi8(row, places);
        let packed = _mm256_permutevar8x32_epi32(halves, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7));
        // SAFETY: promised by the caller: the first 16 of 24 bytes.
        unsafe { _mm_storeu_si128(to.cast(), _mm256_castsi256_si128(packed)) };
        // SAFETY: the last 8 of them.
        unsafe { _mm_storel_epi64(to.add(16).cast(), _mm256_extracti128_si256(packed, 1)) };
    }
}

impl Lay for Int24In32 {
    const BYTES: usize = 4;

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn load(from: *const u8) -> __m256i {
        // SAFETY: promised by the caller.
        let row = unsafe { _mm256_loadu_si256(from.cast()) };
        _mm256_and_si256(row, _mm256_set1_epi32(-256))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn load_half(low: *const u8, high: *const u8, half: usize) -> __m256i {
        // SAFETY: promised by the caller; half of 32 bytes.
        let (low, high) = unsafe {
            (
                _mm_loadu_si128(low.add(16 * half).cast()),
                _mm_loadu_si128(high.add(16 * half).cast()),
            )
        };
        let row = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
        _mm256_and_si256(row, _mm256_set1_epi32(-256))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn store(row: __m256i, to: *mut u8) {
        let row = _mm256_and_si256(row, _mm256_set1_epi32(-256));
        // SAFETY: promised by the caller.
        unsafe { _mm256_storeu_si256(to.cast(), row) };
    }
}

impl Lay for Int32 {
    const BYTES: usize = 4;

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn load(from: *const u8) -> __m256i {
        // SAFETY: promised by the caller.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn load_half(low: *const u8, high: *const u8, half: usize) -> __m256i {
        // SAFETY: promised by the caller; half of 32 bytes.
        let (low, high) = unsafe {
            (
                _mm_loadu_si128(low.add(16 * half).cast()),
                _mm_loadu_si128(high.add(16 * half).cast()),
            )
        };
        _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn store(row: __m256i, to: *mut u8) {
        // SAFETY: promised by the caller.
        unsafe { _mm256_storeu_si256(to.cast(), row) };
    }
}
