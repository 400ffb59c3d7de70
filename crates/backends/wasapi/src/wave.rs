//! Formats as Windows describes them, and the order in which they are tried. No call of Windows is made here.

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

/// Formats that devices take exclusively, the best first. 24 in 32 bits is what most hardware has, floats hardly any.
pub(crate) const EXCLUSIVE_FORMATS: [SampleFormat; 5] = [
    SampleFormat::INT32,
    SampleFormat::INT24_IN_32,
    SampleFormat::INT24,
    SampleFormat::INT16,
    SampleFormat::FLOAT32,
];

/// Formats that the system's mixer takes. It computes in 32-bit floats, so that 24 bits pass it.
pub(crate) const SHARED_FORMATS: [SampleFormat; 4] =
    [SampleFormat::INT32, SampleFormat::FLOAT32, SampleFormat::INT24, SampleFormat::INT16];

/// All channel masks worth trying for so many channels: the usual loudspeakers, the lowest bits, none.
fn masks(channels: u16) -> Vec<u32> {
    let usual: &[u32] = match channels {
        1 => &[0x4],
        2 => &[0x3],
        4 => &[0x33],
        // The surround forms first: what Windows itself sets up for 5.1 and 7.1 today.
        6 => &[0x60F, 0x3F],
        8 => &[0x63F, 0xFF],
        _ => &[],
    };
    let mut masks = usual.to_vec();
    // Windows names 18 loudspeakers.
    if channels <= 18 {
        let lowest = (1_u32 << channels) - 1;
        if !masks.contains(&lowest) {
            masks.push(lowest);
        }
    }
    masks.push(0);
    masks
}

/// All descriptions of one format, in the order in which they are tried.
pub(crate) fn descriptions(format: SampleFormat, rate: RateHz, channels: u16) -> Vec<WaveFormat> {
    let long = |mask| WaveFormat { format, rate, channels, mask, is_extensible: true };
    let mut all: Vec<WaveFormat> = masks(channels).into_iter().map(long).collect();
    // Some drivers take up to two channels in the short form alone (Microsoft, "Device Formats"). Never for 24 bits: a
    // Realtek driver of 2017 takes packed 24 bits in the short form and then plays noise (wasapi-rs issue 62).
    if channels <= 2 && matches!(format.encoding, Encoding::Int16 | Encoding::Int32) {
        all.push(WaveFormat { mask: 0, is_extensible: false, ..long(0) });
    }
    all
}

/// Frames after which both a frame and 128 bytes end: what hardware that moves 128 bytes at a time can have as a period
/// (Intel HDA; van Eerde, Microsoft, 2014).
pub(crate) fn aligned_step(frame_bytes: usize) -> u32 {
    const HARDWARE_BYTES: usize = 128;
    let (mut a, mut b) = (HARDWARE_BYTES, frame_bytes.max(1));
    while b > 0 {
        (a, b) = (b, a % b);
    }
    u32::try_from(HARDWARE_BYTES / a).unwrap_or(1)
}

/// Units of 100 ns a second.
const HNS: u64 = 10_000_000;

/// The time of `frames` in units of 100 ns, rounded to the nearest: rounded down the device would be asked for one frame
/// less, and refuse for ever.
pub(crate) fn frames_to_hns(frames: u32, rate: RateHz) -> i64 {
    let rate = u64::from(rate.get());
    i64::try_from((u64::from(frames) * HNS + rate / 2) / rate).unwrap_or(i64::MAX)
}

/// The frames in a time of units of 100 ns, rounded to the nearest.
pub(crate) fn hns_to_frames(hns: i64, rate: RateHz) -> u32 {
    let hns = u64::try_from(hns).unwrap_or(0);
    u32::try_from((hns * u64::from(rate.get()) + HNS / 2) / HNS).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_short_form_for_24_bits() {
        for format in [SampleFormat::INT24, SampleFormat::INT24_IN_32] {
            assert!(descriptions(format, RateHz::DAT, 2).iter().all(|wave| wave.is_extensible));
        }
        assert!(descriptions(SampleFormat::INT16, RateHz::DAT, 2).iter().any(|w| !w.is_extensible));
    }

    #[test]
    fn steps_end_with_frame_and_hardware() {
        let steps = [(4, 32), (6, 64), (8, 16), (12, 32), (128, 1), (3, 128), (192, 2)];
        for (bytes, frames) in steps {
            assert_eq!(aligned_step(bytes), frames, "{bytes} bytes a frame");
        }
    }

    fn any_format() -> impl Strategy<Value = WaveFormat> {
        (0..5_usize, 8_000..768_000_u32, 1..=64_u16, any::<u32>(), any::<bool>()).prop_map(
            |(n, rate, channels, mask, is_extensible)| {
                let format = EXCLUSIVE_FORMATS[n];
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
        fn frames_survive_their_time(frames in 1..1_000_000_u32, rate in 8_000..768_000_u32) {
            let rate = RateHz::new(rate).unwrap();
            prop_assert_eq!(hns_to_frames(frames_to_hns(frames, rate), rate), frames);
        }

        #[test]
        fn hostile_bytes_are_no_format(bytes in proptest::collection::vec(any::<u8>(), 0..48)) {
            let _ = WaveFormat::from_bytes(&bytes);
        }
    }
}
