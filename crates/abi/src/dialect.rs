//! What differs between the interface on Windows and cwASIO on Unix: the width of `long`, and how 64-bit values lie.

use std::fmt::Debug;

/// The interface's `long`.
pub trait Long: Copy + Debug + Default + PartialEq + Send + Sync + 'static {
    /// `value`, exactly.
    fn from_i32(value: i32) -> Self;
    /// The value, or the nearest end of the range: no number of the interface needs more than 32 bits.
    fn to_i32(self) -> i32;
    /// The unsigned sibling's value of flags.
    fn from_flags(flags: u32) -> Self;
}

impl Long for i32 {
    fn from_i32(value: i32) -> Self {
        value
    }
    fn to_i32(self) -> i32 {
        self
    }
    fn from_flags(flags: u32) -> Self {
        flags.cast_signed()
    }
}

impl Long for i64 {
    fn from_i32(value: i32) -> Self {
        value.into()
    }
    fn to_i32(self) -> i32 {
        i32::try_from(self).unwrap_or(if self < 0 { i32::MIN } else { i32::MAX })
    }
    fn from_flags(flags: u32) -> Self {
        flags.into()
    }
}

/// A 64-bit position or time.
pub trait Samples: Copy + Debug + Default + PartialEq + Send + Sync + 'static {
    /// `value` as it lies in memory.
    fn from_u64(value: u64) -> Self;
    /// The value.
    fn to_u64(self) -> u64;
}

/// Two 32-bit words, the high one first whatever the machine's byte order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HighLow {
    /// Bits 32 to 63.
    pub high: u32,
    /// Bits 0 to 31.
    pub low: u32,
}

impl Samples for HighLow {
    #[expect(clippy::cast_possible_truncation, reason = "each word takes its own bits")]
    fn from_u64(value: u64) -> Self {
        Self { high: (value >> 32) as u32, low: value as u32 }
    }
    fn to_u64(self) -> u64 {
        u64::from(self.high) << 32 | u64::from(self.low)
    }
}

impl Samples for i64 {
    fn from_u64(value: u64) -> Self {
        value.cast_signed()
    }
    fn to_u64(self) -> u64 {
        self.cast_unsigned()
    }
}

/// One of the two dialects.
pub trait Dialect: Copy + Debug + Default + Send + Sync + 'static {
    /// `long` and everything that is one: booleans, codes, sample types.
    type Long: Long;
    /// Positions and times.
    type Samples: Samples;
}

/// 32-bit longs, 64-bit values as pairs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Windows;

/// cwASIO: the C `long`, which has 64 bits on 64-bit Unix, and native 64-bit integers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unix;

impl Dialect for Windows {
    type Long = i32;
    type Samples = HighLow;
}

impl Dialect for Unix {
    #[cfg(target_pointer_width = "64")]
    type Long = i64;
    #[cfg(not(target_pointer_width = "64"))]
    type Long = i32;
    type Samples = i64;
}

/// The dialect of the system that this is compiled for.
#[cfg(windows)]
pub type Native = Windows;
/// The dialect of the system that this is compiled for.
#[cfg(not(windows))]
pub type Native = Unix;
