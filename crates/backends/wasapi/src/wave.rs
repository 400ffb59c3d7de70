//! The order in which formats are tried, and periods in the units of WASAPI. No call of Windows is made here.

pub use barewire_wave::WaveFormat;

use barewire_types::{Encoding, RateHz, SampleFormat};

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

    proptest! {
        #[test]
        fn frames_survive_their_time(frames in 1..1_000_000_u32, rate in 8_000..768_000_u32) {
            let rate = RateHz::new(rate).unwrap();
            prop_assert_eq!(hns_to_frames(frames_to_hns(frames, rate), rate), frames);
        }
    }
}
