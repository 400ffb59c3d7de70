//! What drivers are known to say wrongly about their block sizes, and what is made of it.

use barewire_abi::BufferSize;

/// Greater blocks than this are nonsense: more than five seconds at 48 kHz.
const MAX_FRAMES: i32 = 1 << 18;

/// Sizes to try, in order, none twice: what is wanted, the preferred one (PortAudio and RtAudio fall back to it: a Hoontech
/// DSP24 and Creative's take nothing else), then powers of two (some answer only nonsense: Behringer and E-MU).
pub(crate) fn sizes_to_try(wanted: Option<i32>, told: Option<BufferSize>) -> Vec<i32> {
    let mut sizes: Vec<i32> = wanted.into_iter().collect();
    let told = told.unwrap_or(BufferSize {
        min_frames: 0,
        max_frames: 0,
        preferred_frames: 0,
        granularity: 0,
    });
    sizes.push(told.preferred_frames);
    let (low, high) = (told.min_frames.min(told.max_frames), told.min_frames.max(told.max_frames));
    let (low, high) = if high > 0 { (low.max(1), high) } else { (64, 2048) };
    sizes.extend((0..18).map(|bit| 1 << bit).filter(|size| (low..=high).contains(size)));
    sizes.extend([low, high]);
    let mut unique = Vec::new();
    for size in sizes {
        if (1..=MAX_FRAMES).contains(&size) && !unique.contains(&size) {
            unique.push(size);
        }
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::sizes_to_try;
    use barewire_abi::BufferSize;

    fn told(min: i32, max: i32, preferred: i32, granularity: i32) -> Option<BufferSize> {
        let (min_frames, max_frames, preferred_frames) = (min, max, preferred);
        Some(BufferSize { min_frames, max_frames, preferred_frames, granularity })
    }

    #[test]
    fn the_wanted_size_comes_first_and_the_preferred_next() {
        assert_eq!(sizes_to_try(Some(100), told(64, 256, 128, -1)), [100, 128, 64, 256]);
        assert_eq!(sizes_to_try(None, told(48, 48, 48, -1)), [48]);
    }

    #[test]
    fn nonsense_still_leaves_something_to_try() {
        for nonsense in [told(0, 0, 0, 0), told(-5, -1, i32::MIN, -7), None] {
            assert_eq!(sizes_to_try(None, nonsense), [64, 128, 256, 512, 1024, 2048]);
        }
        assert!(sizes_to_try(None, told(512, 32, i32::MAX, 1)).contains(&64));
    }
}
