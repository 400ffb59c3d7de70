//! Work-arounds for what others get wrong, each with its source.

use std::io::Read;
use std::path::Path;

/// Whether a file is an AIFF: `FORM` in its first four bytes.
pub(crate) fn is_aiff(path: &Path) -> bool {
    let mut first = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut first));
    read.is_ok() && first == *b"FORM"
}

/// The frames that an AIFF holds, of those that Symphonia promises.
///
/// Symphonia 0.5.5 takes the eight bytes of offset and block size at the beginning of the sound chunk for samples: it
/// promises, and reads from whatever lies behind the chunk, as many frames as they would hold (`aiff/mod.rs`, where
/// `data_end_pos` is the length of the chunk behind them).
pub(crate) fn aiff_frames(promised: u64, channels: usize, bits: u32) -> u64 {
    let frame_bytes = channels as u64 * u64::from(bits.div_ceil(8));
    promised.saturating_sub(8_u64.checked_div(frame_bytes).unwrap_or(0))
}
