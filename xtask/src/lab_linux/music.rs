//! Files that are played: random samples, never silent, in plain WAV.

/// A WAV file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Music {
    pub(crate) name: &'static str,
    pub(crate) rate_hz: u32,
    pub(crate) channels: u16,
    pub(crate) bytes: u16,
    pub(crate) frames: usize,
}

const fn music(name: &'static str, rate_hz: u32, channels: u16, bytes: u16, ms: u32) -> Music {
    Music { name, rate_hz, channels, bytes, frames: (rate_hz / 1000 * ms) as usize }
}

/// What QEMU's own cards play.
pub(crate) const STEREO_16: Music = music("music", 48_000, 2, 2, 3000);
/// What the USB interface and the loop play.
pub(crate) const FILES: [Music; 10] = [
    STEREO_16,
    music("r44100", 44_100, 2, 4, 1000),
    music("r48000", 48_000, 2, 4, 1000),
    music("r96000", 96_000, 2, 4, 1000),
    music("r192000", 192_000, 2, 4, 500),
    music("r384000", 384_000, 2, 4, 500),
    music("b24", 88_200, 2, 3, 500),
    music("b16", 44_100, 2, 2, 500),
    music("c8b32", 48_000, 8, 4, 500),
    music("c8b24", 96_000, 8, 3, 500),
];

impl Music {
    /// All samples, interleaved: the first byte of each is odd, so that none is silent.
    pub(crate) fn samples(&self) -> Vec<u8> {
        let mut random = 0x6261_7265_u64 ^ u64::from(self.rate_hz) << 32 ^ u64::from(self.bytes);
        let count = self.frames * usize::from(self.channels);
        let width = usize::from(self.bytes);
        let mut samples = Vec::with_capacity(count * width);
        for _ in 0..count {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let bytes = (random >> 24 | 1).to_le_bytes();
            samples.extend_from_slice(&bytes[..width]);
        }
        samples
    }

    /// The file with these samples.
    pub(crate) fn wav(&self, samples: &[u8]) -> Vec<u8> {
        let length = u32::try_from(samples.len()).unwrap_or(0);
        let frame = self.channels * self.bytes;
        let mut file = Vec::with_capacity(samples.len() + 44);
        file.extend(b"RIFF");
        file.extend((length + 36).to_le_bytes());
        file.extend(b"WAVEfmt ");
        file.extend(16_u32.to_le_bytes());
        file.extend(1_u16.to_le_bytes());
        file.extend(self.channels.to_le_bytes());
        file.extend(self.rate_hz.to_le_bytes());
        file.extend((self.rate_hz * u32::from(frame)).to_le_bytes());
        file.extend(frame.to_le_bytes());
        file.extend((8 * self.bytes).to_le_bytes());
        file.extend(b"data");
        file.extend(length.to_le_bytes());
        file.extend(samples);
        file
    }
}
