//! Where captured frames come from.

use crate::description::{Description, Source, SourceFunction};
use crate::wav;
use barewire_device::{Shape, Side};
use barewire_types::{ByteOrder, Encoding, Result, SampleFormat};
use std::sync::Arc;

impl Source {
    /// Frames from an output to the input of the same number; 0 if this is no loop.
    pub(crate) fn delay_frames(&self) -> u32 {
        if let Self::Loop { delay_frames } = self { *delay_frames } else { 0 }
    }
}

/// A source, ready to be read.
pub(crate) enum OpenSource {
    Silence,
    Loop,
    Counter,
    Memory(Arc<Vec<u8>>),
    Call(SourceFunction),
}

impl OpenSource {
    pub(crate) fn new(device: &Description, shape: &Shape) -> Result<Self> {
        let Some(side) = shape.capture else { return Ok(Self::Silence) };
        Ok(match &device.source {
            Source::Silence => Self::Silence,
            Source::Loop { .. } => Self::Loop,
            Source::Counter => Self::Counter,
            Source::Memory(bytes) => Self::Memory(bytes.clone()),
            Source::Raw(path) => {
                let bytes = std::fs::read(path);
                Self::Memory(Arc::new(bytes.map_err(|e| wav::file_error(path, e))?))
            }
            Source::Wav(path) => Self::Memory(Arc::new(converted(&wav::read(path)?, side))),
            Source::Call(make) => Self::Call(make()),
        })
    }

    /// Fills an interleaved piece whose first frame has this position. A loop is filled by the stream.
    pub(crate) fn fill(&mut self, side: Side, position: u64, piece: &mut [u8]) {
        match self {
            Self::Silence | Self::Loop => piece.fill(side.format.silence_byte()),
            Self::Counter => count(side, position, piece),
            Self::Memory(bytes) => {
                let frame_bytes = side.format.bytes() * usize::from(side.channels);
                let from = usize::try_from(position)
                    .ok()
                    .and_then(|position| position.checked_mul(frame_bytes))
                    .map_or(bytes.len(), |at| at.min(bytes.len()));
                let there = (bytes.len() - from).min(piece.len());
                let (head, tail) = piece.split_at_mut(there);
                head.copy_from_slice(&bytes[from..from + there]);
                tail.fill(side.format.silence_byte());
            }
            Self::Call(function) => function(position, piece),
        }
    }
}

/// The counter's left-justified sample.
#[expect(clippy::cast_possible_truncation, reason = "the low bits are what is counted")]
pub(crate) fn counter_sample(position: u64, channel: usize) -> i32 {
    ((position as u32) << 8 | (channel as u32 & 0xFF)).cast_signed()
}

fn count(side: Side, position: u64, piece: &mut [u8]) {
    let bytes = side.format.bytes();
    let frames = piece.chunks_exact_mut(bytes * usize::from(side.channels));
    for (n, frame) in (position..).zip(frames) {
        for (channel, sample) in frame.chunks_exact_mut(bytes).enumerate() {
            encode(side.format, counter_sample(n, channel), sample);
        }
    }
}

/// The samples of a file as the device has them: shifted, missing channels silent, surplus ones left out.
fn converted(file: &wav::Samples, side: Side) -> Vec<u8> {
    let bytes = side.format.bytes();
    let channels = usize::from(side.channels);
    let frames = file.frames();
    let mut out = vec![side.format.silence_byte(); frames * channels * bytes];
    for (n, frame) in out.chunks_exact_mut(channels * bytes).enumerate() {
        for (channel, sample) in frame.chunks_exact_mut(bytes).enumerate() {
            if let Some(value) = file.sample(n, channel) {
                encode(side.format, value, sample);
            }
        }
    }
    out
}

/// Writes a left-justified 32-bit sample in `format`: integers by shifting, floats by a power of two.
pub(crate) fn encode(format: SampleFormat, value: i32, place: &mut [u8]) {
    let little: [u8; 8] = match format.encoding {
        Encoding::Int16 => ((i64::from(value) >> 16) & 0xFFFF).to_le_bytes(),
        Encoding::Int24 => ((i64::from(value) >> 8) & 0xFF_FFFF).to_le_bytes(),
        Encoding::Int24In32 => i64::from(value & !0xFF).to_le_bytes(),
        Encoding::Int32 => i64::from(value).to_le_bytes(),
        Encoding::Int32Low16 => i64::from(value >> 16).to_le_bytes(),
        Encoding::Int32Low18 => i64::from(value >> 14).to_le_bytes(),
        Encoding::Int32Low20 => i64::from(value >> 12).to_le_bytes(),
        Encoding::Int32Low24 => i64::from(value >> 8).to_le_bytes(),
        Encoding::Float32 => {
            #[expect(clippy::cast_possible_truncation, reason = "rounding to nearest is meant")]
            let rounded = (f64::from(value) / 2_147_483_648.0) as f32;
            u64::from(rounded.to_bits()).to_le_bytes()
        }
        Encoding::Float64 => (f64::from(value) / 2_147_483_648.0).to_le_bytes(),
        Encoding::Dsd8Lsb | Encoding::Dsd8Msb | Encoding::DsdNer8 => {
            i64::from(value >> 24).to_le_bytes()
        }
    };
    let bytes = format.bytes().min(place.len());
    place[..bytes].copy_from_slice(&little[..bytes]);
    if format.order == ByteOrder::Big {
        place[..bytes].reverse();
    }
}

/// Reads a sample of `format`, left-justified in 32 bits; floats are rounded.
pub(crate) fn decode(format: SampleFormat, raw: &[u8]) -> i32 {
    let mut wide = [0_u8; 8];
    let bytes = format.bytes().min(raw.len());
    wide[..bytes].copy_from_slice(&raw[..bytes]);
    if format.order == ByteOrder::Big {
        wide[..bytes].reverse();
    }
    let value = u64::from_le_bytes(wide);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the container has 32 bits; floats saturate"
    )]
    let (low, double) =
        (value as u32, |float: f64| (float * 2_147_483_648.0).round_ties_even() as i32);
    match format.encoding {
        Encoding::Int16 | Encoding::Int32Low16 => (low << 16).cast_signed(),
        Encoding::Int24 | Encoding::Int32Low24 => (low << 8).cast_signed(),
        Encoding::Int24In32 | Encoding::Int32 => low.cast_signed(),
        Encoding::Int32Low18 => (low << 14).cast_signed(),
        Encoding::Int32Low20 => (low << 12).cast_signed(),
        Encoding::Float32 => double(f64::from(f32::from_bits(low))),
        Encoding::Float64 => double(f64::from_bits(value)),
        Encoding::Dsd8Lsb | Encoding::Dsd8Msb | Encoding::DsdNer8 => (low << 24).cast_signed(),
    }
}
