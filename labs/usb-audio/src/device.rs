//! What the host asks on endpoint 0 and what is answered: standard requests (USB 2.0, section 9.4), and those of the clock
//! and the volume (USB Audio Class 2.0, section 5.2).

use crate::descriptors::{
    self, CAPTURE, CAPTURED, CLOCK, PLAYBACK, PLAYED, RATES_HZ, Setting, VOLUME,
};
use crate::record::say;

/// Attributes of requests.
const CUR: u8 = 1;
const RANGE: u8 = 2;
/// Control selectors.
const CLOCK_FREQUENCY: u8 = 1;
const CLOCK_VALID: u8 = 2;
const MUTE: u8 = 1;
const LEVEL: u8 = 2;

/// The volume's range and step, in 1/256 dB.
const LEAST_VOLUME: i16 = -64 * 256;
const MOST_VOLUME: i16 = 6 * 256;
const VOLUME_STEP: i16 = 256;

/// What the host has set.
pub(crate) struct Device {
    pub(crate) rate_hz: u32,
    /// In 1/256 dB.
    volume: i16,
    is_muted: bool,
    played: u8,
    captured: u8,
}

/// What is done with a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Data(Vec<u8>),
    Stall,
}

/// What a request changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Nothing,
    Rate,
    Volume,
    Played,
    Captured,
}

impl Device {
    pub(crate) fn new(volume_db: i16) -> Self {
        let volume = volume_db.saturating_mul(256).clamp(LEAST_VOLUME, MOST_VOLUME);
        Self { rate_hz: 48_000, volume, is_muted: false, played: 0, captured: 0 }
    }

    /// The setting in which samples are played now.
    pub(crate) fn played(&self) -> Option<Setting> {
        PLAYED.get(usize::from(self.played.checked_sub(1)?)).copied()
    }

    /// The setting in which samples are captured now.
    pub(crate) fn captured(&self) -> Option<Setting> {
        CAPTURED.get(usize::from(self.captured.checked_sub(1)?)).copied()
    }

    /// What is heard of a sample.
    pub(crate) fn gain(&self) -> f64 {
        if self.is_muted { 0.0 } else { 10_f64.powf(f64::from(self.volume) / 256.0 / 20.0) }
    }

    /// A request with what came along.
    pub(crate) fn ask(&mut self, setup: [u8; 8], data: &[u8]) -> (Answer, Change) {
        let [kind, request, low, high, index, unit, _, _] = setup;
        let data_answer = |bytes: Option<Vec<u8>>| bytes.map_or(Answer::Stall, Answer::Data);
        let answered = |bytes| (data_answer(bytes), Change::Nothing);
        match (kind, request) {
            (0x80, 6) => answered(match high {
                1 => Some(descriptors::DEVICE.to_vec()),
                2 => Some(descriptors::configuration()),
                3 => descriptors::string(low),
                _ => None,
            }),
            (0x80, 0) => answered(Some(vec![1, 0])),
            (0x80, 8) => answered(Some(vec![1])),
            (0x81, 10) => answered(Some(vec![self.alternate(index)])),
            (0x01, 11) => (Answer::Data(Vec::new()), self.choose(index, low)),
            (0x00..=0x02, _) => answered(Some(Vec::new())),
            (0xA1, attribute) => answered(self.read(unit, attribute, high)),
            (0x21, CUR) => self.write(unit, high, data),
            _ => (Answer::Stall, Change::Nothing),
        }
    }

    fn alternate(&self, interface: u8) -> u8 {
        match interface {
            PLAYBACK => self.played,
            CAPTURE => self.captured,
            _ => 0,
        }
    }

    fn choose(&mut self, interface: u8, alternate: u8) -> Change {
        match interface {
            PLAYBACK => {
                self.played = alternate;
                Change::Played
            }
            CAPTURE => {
                self.captured = alternate;
                Change::Captured
            }
            _ => Change::Nothing,
        }
    }

    fn read(&self, unit: u8, attribute: u8, selector: u8) -> Option<Vec<u8>> {
        match (unit, attribute, selector) {
            (CLOCK, CUR, CLOCK_FREQUENCY) => Some(self.rate_hz.to_le_bytes().to_vec()),
            (CLOCK, CUR, CLOCK_VALID) => Some(vec![1]),
            (CLOCK, RANGE, CLOCK_FREQUENCY) => {
                let count = u16::try_from(RATES_HZ.len()).ok()?;
                let triple = |rate: u32| [rate, rate, 0].map(u32::to_le_bytes).concat();
                let rates = RATES_HZ.iter().flat_map(|&rate| triple(rate));
                Some(count.to_le_bytes().into_iter().chain(rates).collect())
            }
            (VOLUME, CUR, MUTE) => Some(vec![u8::from(self.is_muted)]),
            (VOLUME, CUR, LEVEL) => Some(self.volume.to_le_bytes().to_vec()),
            (VOLUME, RANGE, LEVEL) => {
                let range = [1, LEAST_VOLUME, MOST_VOLUME, VOLUME_STEP];
                Some(range.map(i16::to_le_bytes).concat())
            }
            _ => None,
        }
    }

    fn write(&mut self, unit: u8, selector: u8, data: &[u8]) -> (Answer, Change) {
        let change = match (unit, selector, data) {
            (CLOCK, CLOCK_FREQUENCY, &[a, b, c, d, ..]) => {
                let rate_hz = u32::from_le_bytes([a, b, c, d]);
                if !RATES_HZ.contains(&rate_hz) {
                    return (Answer::Stall, Change::Nothing);
                }
                self.rate_hz = rate_hz;
                say(format_args!("rate {rate_hz}"));
                Change::Rate
            }
            (VOLUME, MUTE, &[muted, ..]) => {
                self.is_muted = muted != 0;
                say(format_args!("mute {muted}"));
                Change::Volume
            }
            (VOLUME, LEVEL, &[low, high, ..]) => {
                self.volume = i16::from_le_bytes([low, high]).clamp(LEAST_VOLUME, MOST_VOLUME);
                say(format_args!("volume {}/256 dB", self.volume));
                Change::Volume
            }
            _ => return (Answer::Stall, Change::Nothing),
        };
        (Answer::Data(Vec::new()), change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(kind: u8, request: u8, high: u8, unit: u8) -> [u8; 8] {
        [kind, request, 0, high, 0, unit, 0, 0]
    }

    #[test]
    fn the_clock_takes_the_rates_that_it_lists_and_no_other() {
        let mut device = Device::new(0);
        for rate in RATES_HZ {
            let (answer, change) = device.ask(setup(0x21, CUR, 1, CLOCK), &rate.to_le_bytes());
            assert_eq!((answer, change), (Answer::Data(Vec::new()), Change::Rate));
            let (answer, _) = device.ask(setup(0xA1, CUR, 1, CLOCK), &[]);
            assert_eq!(answer, Answer::Data(rate.to_le_bytes().to_vec()));
        }
        let (answer, change) = device.ask(setup(0x21, CUR, 1, CLOCK), &11_025_u32.to_le_bytes());
        assert_eq!((answer, change), (Answer::Stall, Change::Nothing));
    }

    #[test]
    fn only_0_db_leaves_samples_as_they_are() {
        assert_eq!(Device::new(0).gain().to_bits(), 1_f64.to_bits());
        assert!(Device::new(6).gain() > 1.9);
        let mut device = Device::new(-6);
        assert!((device.gain() - 0.501).abs() < 0.001);
        device.ask(setup(0x21, CUR, LEVEL, VOLUME), &[0, 0]);
        assert_eq!(device.gain().to_bits(), 1_f64.to_bits());
        device.ask(setup(0x21, CUR, MUTE, VOLUME), &[1]);
        assert!(device.gain() <= 0.0);
    }
}
