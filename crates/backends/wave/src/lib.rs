//! Formats as Windows describes them, `WAVEFORMATEX` and `WAVEFORMATEXTENSIBLE`, for all backends that speak of them. No call of
//! Windows is made here; which formats are tried, and in which order, is each backend's own.

use barewire_types::{Encoding, RateHz, SampleFormat};

/// What a `WAVEFORMATEXTENSIBLE` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaveFormat {
    /// How a sample lies in memory.
    pub format: SampleFormat,
    /// Frames a second.
    pub rate: RateHz,
    /// Channels of a frame.
    pub channels: u16,
    /// Which loudspeaker each channel is for; 0 if for none.
    pub mask: u32,
    /// Whether it is described at length; the short form knows neither mask nor valid bits.
    pub is_extensible: bool,
}

/// `WAVE_FORMAT_PCM`.
const TAG_PCM: u16 = 1;
/// `WAVE_FORMAT_IEEE_FLOAT`.
const TAG_FLOAT: u16 = 3;
/// `WAVE_FORMAT_EXTENSIBLE`.
const TAG_EXTENSIBLE: u16 = 0xFFFE;
/// What follows the tag in `KSDATAFORMAT_SUBTYPE_PCM` and `…_IEEE_FLOAT`.
const SUBTYPE_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];
/// Bytes of the long form.
pub const EXTENSIBLE_BYTES: usize = 40;
/// Bytes of the short form.
const SHORT_BYTES: usize = 18;

impl WaveFormat {
    /// Bytes of a frame.
    pub fn frame_bytes(&self) -> usize {
        usize::from(self.channels) * self.format.bytes()
    }

    /// As `WAVEFORMATEXTENSIBLE` lies in memory, or `WAVEFORMATEX` in its first 18 bytes.
    pub fn to_bytes(&self) -> [u8; EXTENSIBLE_BYTES] {
        let is_float = self.format.is_float();
        let plain = if is_float { TAG_FLOAT } else { TAG_PCM };
        let tag = if self.is_extensible { TAG_EXTENSIBLE } else { plain };
        let frame = u32::try_from(self.frame_bytes()).unwrap_or(0);
        let container = u16::try_from(self.format.bytes() * 8).unwrap_or(0);
        let valid = match self.format.encoding {
            Encoding::Int24In32 => 24,
            _ => container,
        };
        let mut bytes = [0; EXTENSIBLE_BYTES];
        let mut at = 0;
        let mut put = |value: &[u8]| {
            bytes[at..at + value.len()].copy_from_slice(value);
            at += value.len();
        };
        put(&tag.to_le_bytes());
        put(&self.channels.to_le_bytes());
        put(&self.rate.get().to_le_bytes());
        put(&self.rate.get().saturating_mul(frame).to_le_bytes());
        put(&u16::try_from(frame).unwrap_or(0).to_le_bytes());
        put(&container.to_le_bytes());
        if self.is_extensible {
            put(&22_u16.to_le_bytes());
            put(&valid.to_le_bytes());
            put(&self.mask.to_le_bytes());
            put(&plain.to_le_bytes());
            put(&SUBTYPE_TAIL);
        }
        bytes
    }

    /// What lies in memory, if it is a format that is known.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let long = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let (tag, container) = (word(0)?, word(14)?);
        let is_extensible = tag == TAG_EXTENSIBLE;
        let (plain, valid, mask) =
            if is_extensible { (word(24)?, word(18)?, long(20)?) } else { (tag, container, 0) };
        let format = match (plain, container, valid) {
            (TAG_PCM, 16, 16) => SampleFormat::INT16,
            (TAG_PCM, 24, 24) => SampleFormat::INT24,
            (TAG_PCM, 32, 20 | 24) => SampleFormat::INT24_IN_32,
            (TAG_PCM, 32, 32) => SampleFormat::INT32,
            (TAG_FLOAT, 32, _) => SampleFormat::FLOAT32,
            (TAG_FLOAT, 64, _) => SampleFormat::FLOAT64,
            _ => return None,
        };
        let this =
            Self { format, rate: RateHz::new(long(4)?)?, channels: word(2)?, mask, is_extensible };
        (this.channels > 0 && usize::from(word(12)?) == this.frame_bytes()).then_some(this)
    }

    /// How many bytes of [`to_bytes`](Self::to_bytes) count.
    pub fn byte_count(&self) -> usize {
        if self.is_extensible { EXTENSIBLE_BYTES } else { SHORT_BYTES }
    }
}

/// A format as calls of Windows want it pointed at: at an address that suits all of its words.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct Described([u8; EXTENSIBLE_BYTES]);

impl Described {
    /// The description of `format`.
    pub fn new(format: &WaveFormat) -> Self {
        Self(format.to_bytes())
    }

    /// Where it lies; it says itself how long it is.
    pub fn place<T>(&self) -> *const T {
        self.0.as_ptr().cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORMATS: [SampleFormat; 5] = [
        SampleFormat::INT32,
        SampleFormat::INT24_IN_32,
        SampleFormat::INT24,
        SampleFormat::INT16,
        SampleFormat::FLOAT32,
    ];

    fn any_format() -> impl Strategy<Value = WaveFormat> {
        (0..5_usize, 8_000..768_000_u32, 1..=64_u16, any::<u32>(), any::<bool>()).prop_map(
            |(n, rate, channels, mask, is_extensible)| {
                let format = FORMATS[n];
                let is_extensible = is_extensible || format == SampleFormat::INT24_IN_32;
                let rate = RateHz::new(rate).unwrap();
                let mask = if is_extensible { mask } else { 0 };
                WaveFormat { format, rate, channels, mask, is_extensible }
            },
        )
    }

    proptest! {
        #[test]
        fn a_format_survives_its_bytes(wave in any_format()) {
            prop_assert_eq!(WaveFormat::from_bytes(&wave.to_bytes()[..wave.byte_count()]), Some(wave));
        }

        #[test]
        fn hostile_bytes_are_no_format(bytes in proptest::collection::vec(any::<u8>(), 0..48)) {
            let _ = WaveFormat::from_bytes(&bytes);
        }
    }
}
