//! What arrived at the device, in one word and with the reason.

use crate::{RateHz, SampleFormat};
use std::fmt;

/// How samples travel through the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Integers untouched: copied, shifted between containers, interleaved.
    Exact,
    /// Integers of several clients added in 64 bits and saturated.
    Sum,
    /// Computed on an f64 bus and dithered.
    Mixed,
}

/// What arrived of what the client gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Integrity {
    /// Every bit, of the stated width.
    Exact {
        /// Bits of each sample that reach the device.
        bits: u8,
    },
    /// The exact sum of several clients.
    Sum {
        /// Bits of each sample that reach the device.
        bits: u8,
    },
    /// Computed: gain, narrowing, floats; dithered where that is called for.
    Mixed,
    /// The rate was converted.
    Resampled,
    /// Bits that were set below the device's width were cut off.
    Truncated {
        /// Bits of each sample that reach the device.
        bits: u8,
    },
    /// What arrived is exact, but not all arrived: the device was lost for a while.
    Interrupted {
        /// Bits of each sample that reach the device.
        bits: u8,
    },
    /// The system's own mixer lies in the path: what it does to the samples is not ours to promise.
    Shared,
}

impl Integrity {
    /// Whether every bit that the client set arrives.
    pub const fn is_exact(self) -> bool {
        matches!(self, Self::Exact { .. })
    }
}

impl fmt::Display for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact { bits } => write!(f, "exact ({bits} bits)"),
            Self::Sum { bits } => write!(f, "sum ({bits} bits)"),
            Self::Mixed => f.write_str("mixed"),
            Self::Resampled => f.write_str("resampled"),
            Self::Truncated { bits } => write!(f, "truncated ({bits} bits)"),
            Self::Interrupted { bits } => write!(f, "interrupted ({bits} bits)"),
            Self::Shared => f.write_str("shared by the system"),
        }
    }
}

/// Why the integrity is what it is. `Copy`, so that the device thread can publish it; `Display` is a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// One client at unity gain, integers all the way.
    OneClient,
    /// Several clients at unity gain, added as integers.
    SeveralClients {
        /// How many.
        clients: u16,
    },
    /// The device takes fewer bits than the client set; `cut` has a one for each bit lost, in a
    /// left-justified 32-bit sample.
    NarrowDevice {
        /// What the device takes.
        device: SampleFormat,
        /// Which bits of a left-justified 32-bit sample were set and lost.
        cut: u32,
    },
    /// A float stands in the path, which carries 24 bits exactly.
    FloatPath {
        /// The format that is a float.
        format: SampleFormat,
    },
    /// A gain other than 1 is in force.
    Gain,
    /// The device runs at another rate than the client.
    RateConverted {
        /// The client's rate.
        client: RateHz,
        /// The device's rate.
        device: RateHz,
    },
    /// Two clocks are joined; the follower is resampled to the leader.
    ClocksJoined,
    /// The operating system's mixer lies in the path.
    SystemMixer,
    /// A volume control of the device or system is not at unity.
    Volume,
    /// Nothing has been played yet; the integrity is what the path promises.
    NotYetPlayed,
    /// The device was lost and silence was played for a while.
    DeviceLost,
    /// The device has no outputs.
    NoOutput,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::OneClient => f.write_str("one client at unity gain, integers all the way"),
            Self::SeveralClients { clients } => {
                write!(f, "{clients} clients at unity gain, added as integers")
            }
            Self::NarrowDevice { device, cut } => write!(
                f,
                "the device takes {device}, and {} bits that were set below its width were cut off",
                cut.count_ones()
            ),
            Self::FloatPath { format } => {
                write!(
                    f,
                    "{format} lies in the path and carries {} bits exactly",
                    format.exact_bits()
                )
            }
            Self::Gain => f.write_str("a gain other than 1 is in force"),
            Self::RateConverted { client, device } => {
                write!(f, "converted from {client} to the device's {device}")
            }
            Self::ClocksJoined => f.write_str(
                "two devices with clocks of their own are joined, one resampled to the other",
            ),
            Self::SystemMixer => f.write_str("the system's mixer lies between us and the device"),
            Self::Volume => {
                f.write_str("a volume control of the device or the system is not at unity")
            }
            Self::NotYetPlayed => f.write_str("nothing has been played yet"),
            Self::DeviceLost => f.write_str("the device was lost and silence was played meanwhile"),
            Self::NoOutput => f.write_str("the device has no outputs"),
        }
    }
}
