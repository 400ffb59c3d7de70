//! Rows: the innermost loops, which move one channel's samples between foreign memory and blocks of our own, and
//! compute on blocks.
//!
//! The only module of this crate that holds `unsafe`: everything above it works on slices and views. Each row that touches
//! an area checks that its samples have the row's width and does nothing if they have not, so that no wrong area can make it
//! leave its memory.

#![allow(unsafe_code)]

mod bodies;
pub(crate) mod bytes;
mod containers;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod shaped;
mod tiers;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod weave;

use crate::noise::Noise;
use crate::shape::{LANES, Shape};
use barewire_rt::{Area, AreaMut};
use barewire_types::{MAX_CHANNELS, SampleFormat};

/// Frames that are converted at a time between two formats: two `f64` blocks of it fit the smallest L1 cache in use
/// (32 KiB) beside source and destination.
pub(crate) const BLOCK_FRAMES: usize = 256;
/// [`BLOCK_FRAMES`] as frames are counted.
#[expect(clippy::cast_possible_truncation, reason = "a small constant")]
pub(crate) const BLOCK: u32 = BLOCK_FRAMES as u32;

/// A set of vector instructions that the rows are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// What every processor of the target has.
    Plain,
    /// SSE4.1: 128 bits.
    Sse41,
    /// AVX2: 256 bits.
    Avx2,
}

/// Reads one channel as left-justified integers; stops at the shorter of the two.
pub(crate) type LoadInts = fn(Area<'_>, usize, &mut [i32]);
/// Writes left-justified integers; returns the OR of the set bits that the format could not hold.
pub(crate) type StoreInts = fn(&[i32], &mut AreaMut<'_>, usize) -> u32;
/// Adds one channel of integers to the bus, in units of a left-justified integer; `true` begins the bus.
pub(crate) type AddInts = fn(Area<'_>, usize, bool, &mut [f64]);
/// Reads float samples; what is not finite becomes 0 and is counted.
pub(crate) type LoadFloats = fn(Area<'_>, usize, &mut [f64]) -> u32;
/// Writes float samples, rounded half to even; what the format cannot hold as a finite number becomes 0 and is counted.
pub(crate) type StoreFloats = fn(&[f64], &mut AreaMut<'_>, usize) -> u32;
/// Moves bytes of one-bit samples.
pub(crate) type MoveBytes = fn(Area<'_>, usize, &mut AreaMut<'_>, usize);
/// Copies 2 or 8 channels between planes (the slice names them) and interleaved memory (from a channel on); returns the
/// frames done, which may be fewer or none, and the OR of their left-justified samples.
pub(crate) type Weave = fn(Area<'_>, &mut AreaMut<'_>, usize, &[usize]) -> (u32, u32);
/// The weave from one format to another for so many channels, if the tier has it.
pub(crate) type PickWeave = fn(SampleFormat, SampleFormat, usize) -> Option<Weave>;
/// Rounds the bus to integers of some bits with dither; returns how many samples were clamped.
pub(crate) type Round = fn(&[f64], u32, Noise, &mut [i32]) -> u32;

/// A block of samples of each lane.
pub(crate) type Block<T> = [[T; BLOCK_FRAMES]; LANES];
/// Rounds a block of lanes with shaped dither; returns 0 if nothing was clamped.
pub(crate) type RoundShaped =
    fn([&[f64]; LANES], &Block<f64>, u32, &mut Shape, &mut Block<i32>) -> u64;
/// Two channels through the filter at a place of the piece whose rows are given.
pub(crate) type FilterTwo = fn(&[f64], f64, [&[f64]; 2]) -> [f64; 2];

/// One tier's rows.
pub(crate) struct Rows {
    pub(crate) tier: Tier,
    pub(crate) load_ints: fn(SampleFormat) -> Option<LoadInts>,
    pub(crate) store_ints: fn(SampleFormat) -> Option<StoreInts>,
    pub(crate) add_ints: fn(SampleFormat) -> Option<AddInts>,
    /// From planes into interleaved memory.
    pub(crate) weave: PickWeave,
    /// From interleaved memory into planes.
    pub(crate) unweave: PickWeave,
    pub(crate) load_floats: fn(SampleFormat) -> Option<LoadFloats>,
    pub(crate) store_floats: fn(SampleFormat) -> Option<StoreFloats>,
    pub(crate) scale: fn(&mut [f64], f64),
    pub(crate) ints_to_floats: fn(&[i32], &mut [f64]),
    pub(crate) floats_to_ints: fn(&[f64], u32, &mut [i32]),
    pub(crate) lost_in_f32: fn(&[i32]) -> u32,
    pub(crate) add_scaled: fn(&[f64], f64, bool, &mut [f64]),
    pub(crate) add_ramped: fn(&[f64], &[f64], bool, &mut [f64]),
    pub(crate) saturate: fn(&[f64], &mut [i32]) -> u32,
    pub(crate) dither_flat: Round,
    pub(crate) dither_high: Round,
    pub(crate) triangles: fn(Noise, &mut [f64]),
    pub(crate) coefficients: fn(&[f64], f64, &mut [f64]),
    pub(crate) dot: fn(&[f64], &[f64]) -> f64,
    pub(crate) filter_two: FilterTwo,
    pub(crate) round: fn(&[f64], u32, &mut [i32]) -> u32,
    pub(crate) shape: RoundShaped,
    pub(crate) count_ends: fn(&[i32], u32) -> u32,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rows({:?})", self.tier)
    }
}

/// Runs something on rows of `BLOCK_FRAMES` integers each, as an area of a channel a row and `frames` frames.
pub(crate) fn with_ints<R>(rows: &[i32], frames: u32, run: impl FnOnce(Area<'_>) -> R) -> R {
    let mut planes = [std::ptr::null(); MAX_CHANNELS];
    let mut channels = 0;
    for (plane, row) in planes.iter_mut().zip(rows.chunks_exact(BLOCK_FRAMES)) {
        *plane = row.as_ptr().cast();
        channels += 1;
    }
    // SAFETY: each row holds BLOCK_FRAMES integers, and the slice outlives the call.
    run(unsafe { Area::planar(&planes[..channels], 4, frames.min(BLOCK)) })
}
