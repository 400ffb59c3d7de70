//! Noise by counting: sample n of a channel is a function of seed, channel and n, so that it can be had in any order, in
//! any block size and for several samples at once. What the noise is used for lives in `dither`.

/// The noise of one channel: where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoiseSource {
    key: u64,
    position: u64,
}

/// The noise of up to 2^32 samples of one channel: two keys and a counter.
///
/// Word n is a hash of `at + n`: two multiplications between shifts, with a key before and one between them. Each pair of
/// keys gives another permutation of all 2^32 words; [`NoiseSource::at`] gives each run of 2^32 samples its own pair out of
/// 2^64, so no sequence repeats within 2^64 samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noise {
    at: u32,
    key: u32,
}

impl Noise {
    /// Word `n`.
    #[inline(always)]
    pub(crate) fn word(self, n: u32) -> u32 {
        let mut x = self.at.wrapping_add(n);
        // Multipliers and shifts: Chris Wellons' hash-prospector, public domain (bias 0.17 of 2^32 tested words).
        x ^= x >> 16;
        x = x.wrapping_mul(0x7feb_352d);
        x ^= (x >> 15) ^ self.key;
        x = x.wrapping_mul(0x846c_a68b);
        x ^ (x >> 16)
    }

    /// The same noise one sample earlier.
    #[inline(always)]
    pub(crate) fn before(self) -> Self {
        Self { at: self.at.wrapping_sub(1), ..self }
    }
}

impl NoiseSource {
    /// The noise of `channel` from the start on.
    pub(crate) fn new(seed: u64, channel: u16) -> Self {
        // Odd multiplier: channels of one seed have keys of their own.
        let key = mix(seed ^ u64::from(channel).wrapping_mul(0xd6e8_feb8_6659_fd93));
        Self { key, position: 0 }
    }

    /// The noise of the next samples, at most `frames` of them, and how many they are. Goes on to the samples after.
    pub(crate) fn take(&mut self, frames: usize) -> (Noise, usize) {
        #[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
        let low = self.position as u32;
        let left = (1_u64 << 32) - u64::from(low);
        let frames = frames.min(usize::try_from(left).unwrap_or(usize::MAX));
        // `mix` is a bijection: no two runs of a channel share their keys.
        let keys = mix(self.key.wrapping_add((self.position >> 32).wrapping_mul(GOLDEN)));
        #[expect(clippy::cast_possible_truncation, reason = "the two halves are asked for")]
        let noise = Noise { at: low.wrapping_add(keys as u32), key: (keys >> 32) as u32 };
        self.position = self.position.wrapping_add(frames as u64);
        (noise, frames)
    }
}

/// 2^64 divided by the golden ratio, odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Steele, Lea and Flood's finaliser (SplitMix64): a bijection in which each bit of the result depends on all bits.
fn mix(x: u64) -> u64 {
    let x = (x.wrapping_add(GOLDEN) ^ (x.wrapping_add(GOLDEN) >> 30))
        .wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_runs_of_2_32_samples_share_their_keys_for_2_16_runs() {
        let mut seen = HashSet::new();
        for run in 0..1_u64 << 16 {
            let mut source = NoiseSource { position: run << 32, ..NoiseSource::new(7, 0) };
            let (noise, _) = source.take(1);
            assert!(seen.insert((noise.at, noise.key)));
        }
    }

    #[test]
    fn noise_does_not_depend_on_how_it_is_taken() {
        let near = (1 << 32) - 5;
        let mut one = NoiseSource { position: near, ..NoiseSource::new(7, 3) };
        let mut other = one;
        let mut words = Vec::new();
        while words.len() < 10 {
            let (noise, frames) = one.take(10 - words.len());
            words.extend((0..u32::try_from(frames).unwrap()).map(|n| noise.word(n)));
        }
        let singly: Vec<u32> = (0..10).map(|_| other.take(1).0.word(0)).collect();
        assert_eq!(words, singly);
    }
}
