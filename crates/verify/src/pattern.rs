//! Signals that show what a path does to them. Each sample is a function of its frame and channel, so that any piece of
//! one tells where it belongs.

use std::fmt;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Uniform random words, different on each channel: every bit toggles, nothing repeats.
    Random,
    /// One bit set, walking from the lowest to the highest.
    WalkingOnes,
    /// One bit clear, walking.
    WalkingZeros,
    /// The number of the frame, spread over the width by an invertible multiplication.
    Counter,
    /// Full scale, then steps of 6 dB down to silence and up again: what volume controls and limiters touch first.
    LevelSteps,
}

impl Pattern {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Random, Self::WalkingOnes, Self::WalkingZeros, Self::Counter, Self::LevelSteps];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::WalkingOnes => "walking ones",
            Self::WalkingZeros => "walking zeros",
            Self::Counter => "counter",
            Self::LevelSteps => "level steps",
        }
    }

    /// The sample of a frame and channel, of which the top `bits` bits are used.
    #[expect(clippy::cast_possible_truncation, reason = "low bits are what is meant")]
    pub fn sample(self, frame: u64, channel: usize, bits: u8) -> i32 {
        let shift = 32 - u32::from(bits.clamp(1, 32));
        let own = frame.wrapping_add((channel as u64).wrapping_mul(0x5851_F42D));
        let width = 32 - shift;
        let word = match self {
            Self::Random => mix(frame << 8 | channel as u64 & 0xFF) as u32,
            Self::WalkingOnes => (1_u32 << (own % u64::from(width))) << shift,
            Self::WalkingZeros => !((1_u32 << (own % u64::from(width))) << shift),
            Self::Counter => spread((own as u32).wrapping_add(1)),
            Self::LevelSteps => level(frame, channel),
        };
        (word >> shift << shift).cast_signed()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// splitmix64's finisher: every bit of the input reaches every bit of the output.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

/// An invertible spread over 32 bits: no two frames of a cycle of 2^32 are alike, and near frames look nothing alike.
fn spread(value: u32) -> u32 {
    let mut z = value.wrapping_mul(0x9E37_79B1);
    z = (z ^ z >> 15).wrapping_mul(0x2C1B_3C6D);
    z = (z ^ z >> 12).wrapping_mul(0x297A_2D39);
    z ^ z >> 15
}

/// 24 steps of 64 frames, each with random words of one level less.
#[expect(clippy::cast_possible_truncation, reason = "as in `sample`")]
fn level(frame: u64, channel: usize) -> u32 {
    let step = frame / 64 % 48;
    let down = if step < 24 { step } else { 47 - step } as u32;
    let word = mix(frame << 8 | channel as u64 & 0xFF) as u32;
    match frame % 64 {
        0 => (i32::MAX >> down).cast_unsigned(),
        1 => (i32::MIN >> down).cast_unsigned(),
        _ => (word.cast_signed() >> down).cast_unsigned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_toggles_every_bit_it_may_use_and_no_other() {
        for pattern in Pattern::ALL {
            for bits in [16, 20, 24, 32] {
                let (mut ones, mut zeros) = (0, 0);
                for frame in 0..4096 {
                    let word = pattern.sample(frame, 1, bits).cast_unsigned();
                    ones |= word;
                    zeros |= !word;
                }
                let used = u32::MAX << (32 - bits);
                assert_eq!((ones, zeros & used), (used, used), "{pattern} {bits}");
            }
        }
    }
}
