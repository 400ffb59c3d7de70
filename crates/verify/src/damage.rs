//! Damage done on purpose, to test that it is named: and the words for it.

use std::fmt;

/// What a path did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DamageKind {
    /// Frames were left out.
    Dropped {
        /// How many.
        frames: usize,
    },
    /// Frames came twice.
    Repeated {
        /// How many.
        frames: usize,
    },
    /// Two channels changed places.
    Swapped {
        /// The lower one.
        first: usize,
        /// The higher one.
        second: usize,
    },
    /// Samples were multiplied.
    Scaled {
        /// By this.
        gain: f64,
    },
    /// Signs were turned round.
    Inverted,
    /// Low bits were cut off.
    Truncated {
        /// Bits that are left.
        bits: u8,
    },
    /// Noise of about one step of this width was added.
    Dithered {
        /// The width.
        bits: u8,
    },
    /// Samples went through 32-bit floats.
    FloatRounded,
    /// One bit is always set or always clear.
    StuckBit {
        /// Which, 0 the lowest of 32.
        bit: u8,
        /// Always set.
        set: bool,
    },
    /// Silence in place of samples.
    Silenced {
        /// For so many frames.
        frames: usize,
    },
    /// Single samples are wrong in some other way.
    Altered {
        /// How many samples.
        samples: usize,
    },
}

impl fmt::Display for DamageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Dropped { frames } => write!(f, "{frames} frames were dropped"),
            Self::Repeated { frames } => write!(f, "{frames} frames were repeated"),
            Self::Swapped { first, second } => {
                write!(f, "channels {first} and {second} are swapped")
            }
            Self::Scaled { gain } => write!(f, "scaled by {gain:.9}"),
            Self::Inverted => f.write_str("polarity is inverted"),
            Self::Truncated { bits } => write!(f, "truncated to {bits} bits"),
            Self::Dithered { bits } => write!(f, "dithered to {bits} bits"),
            Self::FloatRounded => f.write_str("rounded to 32-bit floats, which carry 24 bits"),
            Self::StuckBit { bit, set } => {
                write!(f, "bit {bit} is always {}", if set { "set" } else { "clear" })
            }
            Self::Silenced { frames } => write!(f, "{frames} frames are silent"),
            Self::Altered { samples } => write!(f, "{samples} samples are altered"),
        }
    }
}

/// Damage, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Damage {
    /// What.
    pub kind: DamageKind,
    /// The first frame it touches.
    pub at_frame: usize,
}

impl Damage {
    /// Does it to interleaved samples. Damage without an end lasts from `at_frame` on.
    pub fn apply(&self, samples: &mut Vec<i32>, channels: usize) {
        let at = (self.at_frame * channels).min(samples.len());
        let end = |frames: usize| (at + frames * channels).min(samples.len());
        match self.kind {
            DamageKind::Dropped { frames } => drop(samples.drain(at..end(frames))),
            DamageKind::Repeated { frames } => {
                let again: Vec<i32> = samples[at..end(frames)].to_vec();
                samples.splice(at..at, again);
            }
            DamageKind::Silenced { frames } => {
                let end = end(frames);
                samples[at..end].fill(0);
            }
            kind => {
                let mut state = 0x9E37_79B9_u64;
                for frame in samples[at..].chunks_exact_mut(channels) {
                    if let DamageKind::Swapped { first, second } = kind {
                        frame.swap(first, second);
                        continue;
                    }
                    frame.iter_mut().for_each(|sample| *sample = alter(kind, *sample, &mut state));
                }
            }
        }
    }
}

/// Rounds and saturates.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, which is what is meant")]
fn rounded(value: f64) -> i32 {
    value.round_ties_even() as i32
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to 32-bit floats is the damage")]
fn alter(kind: DamageKind, sample: i32, state: &mut u64) -> i32 {
    let mut draw = || {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from((*state >> 32) as u32) / 4_294_967_296.0
    };
    match kind {
        DamageKind::Scaled { gain } => rounded(f64::from(sample) * gain),
        DamageKind::Inverted => sample.saturating_neg(),
        DamageKind::Truncated { bits } => sample & (-1_i32 << (32 - u32::from(bits))),
        DamageKind::Dithered { bits } => {
            let step = 2.0_f64.powi(32 - i32::from(bits));
            rounded(((f64::from(sample) / step) + draw() - draw()).round_ties_even() * step)
        }
        DamageKind::FloatRounded => {
            rounded(f64::from((f64::from(sample) / 2_147_483_648.0) as f32) * 2_147_483_648.0)
        }
        DamageKind::StuckBit { bit, set: true } => sample | 1 << bit,
        DamageKind::StuckBit { bit, set: false } => sample & !(1 << bit),
        _ => sample,
    }
}
