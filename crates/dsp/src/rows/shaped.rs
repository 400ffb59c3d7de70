//! Shaped dither for AVX2, four channels in the lanes of a vector: the compiler mixes up the plain body's taps and lanes. The
//! plain body is its twin.

use super::{BLOCK_FRAMES, Block, bodies};
use crate::shape::{LANES, SHAPE_TAPS, Shape};
#[cfg(target_arch = "x86")]
use std::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Frames of one step: a square of lanes.
const STEP: usize = 4;

/// As `bodies::shape`, which also does the frames that fill no step.
pub(super) fn shape(
    bus: [&[f64]; LANES],
    noise: &Block<f64>,
    bits: u32,
    shape: &mut Shape,
    to: &mut Block<i32>,
) -> u64 {
    let frames = bus.iter().fold(BLOCK_FRAMES, |least, row| least.min(row.len()));
    let steps = frames / STEP;
    let bits = bits.clamp(2, 32);
    // SAFETY: each row holds at least `steps * STEP` frames; the way here is the AVX2 table, which is given out where AVX2
    // is there.
    let clamped = unsafe { steps_of(bus, noise, bits, shape, to, steps) };
    clamped | bodies::shape_from(steps * STEP, bus, noise, bits, shape, to)
}

/// # Safety
/// AVX2 must be there, and each row of the bus as long as `steps` steps.
#[target_feature(enable = "avx2")]
unsafe fn steps_of(
    bus: [&[f64]; LANES],
    noise: &Block<f64>,
    bits: u32,
    shape: &mut Shape,
    to: &mut Block<i32>,
    steps: usize,
) -> u64 {
    let most = f64::from(1_u32 << (bits - 1));
    let (least, greatest) = (_mm256_set1_pd(-most), _mm256_set1_pd(most - 1.0));
    let scale = _mm256_set1_pd(most / bodies::FULL_SCALE);
    let rounder = _mm256_set1_pd(bodies::ROUNDER);
    let shift = _mm_cvtsi32_si128((32 - bits).cast_signed());
    let taps = shape.taps.map(|tap| _mm256_set1_pd(tap));
    // SAFETY: each frame holds four floats.
    let mut ahead = shape.ahead.map(|frame| unsafe { _mm256_loadu_pd(frame.as_ptr()) });
    let mut clamped = _mm256_setzero_pd();
    for step in 0..steps.min(BLOCK_FRAMES / STEP) {
        let at = step * STEP;
        // SAFETY: the step lies within each row.
        let exact = square(bus.map(|row| unsafe { _mm256_loadu_pd(row.as_ptr().add(at)) }));
        // SAFETY: as above.
        let noisy = square(std::array::from_fn(|lane| unsafe {
            _mm256_loadu_pd(noise[lane].as_ptr().add(at))
        }));
        let mut ints = [_mm_setzero_si128(); STEP];
        for ((int, exact), noise) in ints.iter_mut().zip(exact).zip(noisy) {
            let exact = _mm256_mul_pd(exact, scale);
            let noisy = _mm256_add_pd(_mm256_add_pd(exact, noise), ahead[0]);
            let rounded = _mm256_sub_pd(_mm256_add_pd(noisy, rounder), rounder);
            let wanted = _mm256_add_pd(exact, ahead[0]);
            let error = _mm256_sub_pd(rounded, wanted);
            ahead[0] = _mm256_add_pd(
                _mm256_sub_pd(ahead[1], _mm256_mul_pd(taps[0], wanted)),
                _mm256_mul_pd(taps[0], rounded),
            );
            for tap in 1..SHAPE_TAPS {
                ahead[tap] = _mm256_add_pd(ahead[tap + 1], _mm256_mul_pd(taps[tap], error));
            }
            let held = _mm256_min_pd(greatest, _mm256_max_pd(least, rounded));
            clamped = _mm256_or_pd(clamped, _mm256_xor_pd(held, rounded));
            *int = _mm_sll_epi32(_mm256_cvtpd_epi32(held), shift);
        }
        for (row, int) in to.iter_mut().zip(square_of_ints(ints)) {
            // SAFETY: the step lies within the block.
            unsafe { _mm_storeu_si128(row.as_mut_ptr().add(at).cast(), int) };
        }
    }
    for (frame, ahead) in shape.ahead.iter_mut().zip(ahead) {
        // SAFETY: each frame holds four floats.
        unsafe { _mm256_storeu_pd(frame.as_mut_ptr(), ahead) };
    }
    let mut lanes = [0_u64; LANES];
    // SAFETY: four words of 64 bits.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), _mm256_castpd_si256(clamped)) };
    lanes.into_iter().fold(0, |all, lane| all | lane)
}

/// Rows of four become columns.
#[target_feature(enable = "avx2")]
#[inline]
fn square([a, b, c, d]: [__m256d; 4]) -> [__m256d; 4] {
    let (ab_even, ab_odd) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
    let (cd_even, cd_odd) = (_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
    [
        _mm256_permute2f128_pd(ab_even, cd_even, 0x20),
        _mm256_permute2f128_pd(ab_odd, cd_odd, 0x20),
        _mm256_permute2f128_pd(ab_even, cd_even, 0x31),
        _mm256_permute2f128_pd(ab_odd, cd_odd, 0x31),
    ]
}

/// As [`square`], of integers.
#[target_feature(enable = "avx2")]
#[inline]
fn square_of_ints([a, b, c, d]: [__m128i; 4]) -> [__m128i; 4] {
    let (ab_low, ab_high) = (_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
    let (cd_low, cd_high) = (_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
    [
        _mm_unpacklo_epi64(ab_low, cd_low),
        _mm_unpackhi_epi64(ab_low, cd_low),
        _mm_unpacklo_epi64(ab_high, cd_high),
        _mm_unpackhi_epi64(ab_high, cd_high),
    ]
}
