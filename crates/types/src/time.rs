//! Rates, positions, time and latency.

use std::fmt;

/// Nanoseconds of the one clock that a stream was opened with.
pub type Ns = u64;

/// Frames a second; for DSD, one-bit samples a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RateHz(u32);

impl RateHz {
    /// 44.1 kHz.
    pub const CD: Self = Self(44_100);
    /// 48 kHz.
    pub const DAT: Self = Self(48_000);
    /// The slowest rate that is accepted anywhere: 8 kHz, telephone quality.
    pub const MIN: Self = Self(8_000);
    /// The fastest rate that is accepted anywhere: DSD1024 of the 48 kHz family.
    pub const MAX: Self = Self(49_152_000);
    /// The rates that hosts ask about.
    pub const COMMON: [Self; 16] = [
        Self(8_000),
        Self(11_025),
        Self(16_000),
        Self(22_050),
        Self(32_000),
        Self(44_100),
        Self(48_000),
        Self(64_000),
        Self(88_200),
        Self(96_000),
        Self(176_400),
        Self(192_000),
        Self(352_800),
        Self(384_000),
        Self(705_600),
        Self(768_000),
    ];

    /// `hz` if it lies between [`MIN`](Self::MIN) and [`MAX`](Self::MAX).
    pub const fn new(hz: u32) -> Option<Self> {
        if hz >= Self::MIN.0 && hz <= Self::MAX.0 { Some(Self(hz)) } else { None }
    }

    /// The rate that lies within half a hertz of `hz`; `None` for what no device has, infinities and not-a-number.
    pub fn from_f64(hz: f64) -> Option<Self> {
        let rounded = hz.round();
        if !(f64::from(Self::MIN.0)..=f64::from(Self::MAX.0)).contains(&rounded) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "range checked above"
        )]
        Self::new(rounded as u32)
    }

    /// Hertz.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Hertz as the ASIO interface passes them.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0)
    }
}

impl fmt::Display for RateHz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.0)
    }
}

/// The time that `frames` take at `rate`, rounded down.
pub fn frames_to_ns(frames: u64, rate: RateHz) -> Ns {
    let ns = u128::from(frames) * 1_000_000_000 / u128::from(rate.get());
    u64::try_from(ns).unwrap_or(u64::MAX)
}

/// The whole frames that pass in `ns` at `rate`, rounded down.
pub fn ns_to_frames(ns: Ns, rate: RateHz) -> u64 {
    let frames = u128::from(ns) * u128::from(rate.get()) / 1_000_000_000;
    u64::try_from(frames).unwrap_or(u64::MAX)
}

/// One of the two ASIO buffer halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Half {
    /// Half 0, which the first callback after a start names.
    Zero,
    /// Half 1.
    One,
}

impl Half {
    /// 0 or 1.
    pub const fn index(self) -> usize {
        match self {
            Self::Zero => 0,
            Self::One => 1,
        }
    }

    /// The half that is not this one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Zero => Self::One,
            Self::One => Self::Zero,
        }
    }
}

/// Latency of each direction, in frames at the stream's rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Latency {
    /// Age of the first frame of a piece of input when it is handed over.
    pub input_frames: u32,
    /// Time from the hand-over of a piece of output until its first frame sounds.
    pub output_frames: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_rates_are_no_rates() {
        for hz in [0.0, -1.0, 1.0, 7_999.4, 1e9, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 5e-324]
        {
            assert_eq!(RateHz::from_f64(hz), None, "{hz}");
        }
        assert_eq!(RateHz::from_f64(44_100.2), Some(RateHz::CD));
    }

    #[test]
    fn frames_and_time_agree_over_days() {
        let rate = RateHz::CD;
        let frames = 44_100 * 3600 * 24 * 365;
        assert_eq!(ns_to_frames(frames_to_ns(frames, rate), rate), frames);
    }
}
