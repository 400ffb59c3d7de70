//! Rows: the innermost loops, which move one channel's samples between foreign memory and blocks of our own.
//!
//! The only module of this crate that holds `unsafe`: everything above it works on slices and views. The plain rows are
//! the reference. Each row checks that the area's samples have its width and does nothing if they have not, so that no
//! wrong area can make it leave its memory.

#![allow(unsafe_code)]

pub(crate) mod plain;

use barewire_rt::{Area, AreaMut};
use barewire_types::{ByteOrder, Encoding, SampleFormat};

/// Frames that are converted at a time between two formats: two `f64` blocks of it fit the smallest L1 cache in use
/// (32 KiB) beside source and destination.
pub(crate) const BLOCK_FRAMES: usize = 256;

/// Reads one channel as left-justified integers; stops at the shorter of the two.
pub(crate) type LoadInts = fn(Area<'_>, usize, &mut [i32]);
/// Writes left-justified integers; returns the OR of the set bits that the format could not hold.
pub(crate) type StoreInts = fn(&[i32], &mut AreaMut<'_>, usize) -> u32;
/// Reads float samples; what is not finite becomes 0 and is counted.
pub(crate) type LoadFloats = fn(Area<'_>, usize, &mut [f64]) -> u32;
/// Writes float samples, rounded half to even; what the format cannot hold as a finite number becomes 0 and is counted.
pub(crate) type StoreFloats = fn(&[f64], &mut AreaMut<'_>, usize) -> u32;
/// Moves bytes of one-bit samples.
pub(crate) type MoveBytes = fn(Area<'_>, usize, &mut AreaMut<'_>, usize);

/// The row that reads an integer format.
pub(crate) fn load_ints(format: SampleFormat) -> Option<LoadInts> {
    plain::load_ints(format)
}

/// The row that writes an integer format.
pub(crate) fn store_ints(format: SampleFormat) -> Option<StoreInts> {
    plain::store_ints(format)
}

/// The row that reads a float format.
pub(crate) fn load_floats(format: SampleFormat) -> Option<LoadFloats> {
    Some(match (format.encoding, format.order) {
        (Encoding::Float32, ByteOrder::Little) => plain::load_f32::<false>,
        (Encoding::Float32, ByteOrder::Big) => plain::load_f32::<true>,
        (Encoding::Float64, ByteOrder::Little) => plain::load_f64::<false>,
        (Encoding::Float64, ByteOrder::Big) => plain::load_f64::<true>,
        _ => return None,
    })
}

/// The row that writes a float format.
pub(crate) fn store_floats(format: SampleFormat) -> Option<StoreFloats> {
    Some(match (format.encoding, format.order) {
        (Encoding::Float32, ByteOrder::Little) => plain::store_f32::<false>,
        (Encoding::Float32, ByteOrder::Big) => plain::store_f32::<true>,
        (Encoding::Float64, ByteOrder::Little) => plain::store_f64::<false>,
        (Encoding::Float64, ByteOrder::Big) => plain::store_f64::<true>,
        _ => return None,
    })
}
