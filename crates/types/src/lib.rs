//! The words that every room of Barewire shares: sample formats, rates, positions, latency,
//! integrity and errors. No operating system, no `unsafe`, no dependency on another crate of ours.

#![forbid(unsafe_code)]

mod error;
mod format;
mod integrity;
pub mod pack;
mod time;

pub use error::{Error, ErrorKind, Result};
pub use format::{ByteOrder, Encoding, SampleFormat};
pub use integrity::{Integrity, Lane, Reason};
pub use time::{Half, Latency, Ns, RateHz, frames_to_ns, ns_to_frames};

/// The most channels that one direction of a device or client may have.
///
/// The largest interfaces in use (MADI, Dante) offer 64 to 128 channels a direction; twice that leaves
/// room and keeps every per-channel array bounded.
pub const MAX_CHANNELS: usize = 256;

/// The most frames in a block or a period. DSD blocks count one-bit samples, eight to a byte, hence the room.
pub const MAX_FRAMES: u32 = 1 << 20;
