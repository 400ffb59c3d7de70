//! Peaks of a client's outputs, for those who look.

use barewire_types::{ByteOrder, Encoding, SampleFormat};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The highest sample of one channel since it was last asked for.
#[derive(Debug, Default)]
pub(crate) struct Peak(AtomicU32);

impl Peak {
    /// Takes in one channel's samples.
    pub(crate) fn add(&self, format: SampleFormat, samples: &[u8]) {
        let bytes = format.bytes();
        let mut highest = 0.0_f32;
        for sample in samples.chunks_exact(bytes) {
            highest = highest.max(level(format, sample));
        }
        // Positive floats are in the order of their bits.
        self.0.fetch_max(highest.to_bits(), Relaxed);
    }

    /// What it was, 1 being full scale; begins anew.
    pub(crate) fn take(&self) -> f32 {
        f32::from_bits(self.0.swap(0, Relaxed))
    }
}

/// How far from silence a sample is; 0 for single bits, which have no level.
fn level(format: SampleFormat, sample: &[u8]) -> f32 {
    let mut word = [0; 4];
    let count = sample.len().min(4);
    match format.order {
        ByteOrder::Little => word[4 - count..].copy_from_slice(&sample[..count]),
        ByteOrder::Big => {
            for (place, byte) in word[4 - count..].iter_mut().zip(sample[..count].iter().rev()) {
                *place = *byte;
            }
        }
    }
    let integer = |bits: u32| {
        let value = f64::from(i32::from_le_bytes(word)) * f64::from(1_u32 << (32 - bits));
        level_of(value / 2_147_483_648.0)
    };
    match format.encoding {
        Encoding::Int16 | Encoding::Int24 | Encoding::Int24In32 | Encoding::Int32 => {
            level_of(f64::from(i32::from_le_bytes(word)) / 2_147_483_648.0)
        }
        Encoding::Int32Low16 => integer(16),
        Encoding::Int32Low18 => integer(18),
        Encoding::Int32Low20 => integer(20),
        Encoding::Int32Low24 => integer(24),
        Encoding::Float32 => level_of(f64::from(f32::from_le_bytes(word))),
        Encoding::Float64 => {
            let double = <[u8; 8]>::try_from(sample).map_or(0.0, |bytes| match format.order {
                ByteOrder::Little => f64::from_le_bytes(bytes),
                ByteOrder::Big => f64::from_be_bytes(bytes),
            });
            level_of(double)
        }
        Encoding::Dsd8Lsb | Encoding::Dsd8Msb | Encoding::DsdNer8 => 0.0,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a level is looked at, not played")]
fn level_of(value: f64) -> f32 {
    let level = value.abs();
    if level.is_finite() { level as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_full_scale_is_half_in_every_format() {
        let peak = Peak::default();
        let cases: [(SampleFormat, Vec<u8>); 6] = [
            (SampleFormat::INT16, 0x4000_i16.to_le_bytes().to_vec()),
            (SampleFormat::INT24, vec![0, 0, 0x40]),
            (SampleFormat::INT32, i32::to_le_bytes(-0x4000_0000).to_vec()),
            (SampleFormat::big(Encoding::Int32), 0x4000_0000_i32.to_be_bytes().to_vec()),
            (SampleFormat::FLOAT32, 0.5_f32.to_le_bytes().to_vec()),
            (SampleFormat::FLOAT64, (-0.5_f64).to_le_bytes().to_vec()),
        ];
        for (format, bytes) in cases {
            peak.add(format, &bytes);
            assert_eq!(peak.take(), 0.5, "{format}");
        }
        peak.add(SampleFormat::little(Encoding::Int32Low24), &0x0040_0000_i32.to_le_bytes());
        assert_eq!(peak.take(), 0.5);
        peak.add(SampleFormat::FLOAT32, &f32::NAN.to_le_bytes());
        assert_eq!(peak.take(), 0.0);
    }
}
