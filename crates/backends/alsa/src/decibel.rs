//! Where a volume leaves samples as they are: its position of 0 dB, from the control's TLV (type, length, value) records, as
//! `include/uapi/sound/tlv.h` lays them out. All volumes are in hundredths of a decibel there.

const CONTAINER: u32 = 0;
const SCALE: u32 = 1;
const LINEAR: u32 = 2;
const RANGE: u32 = 3;
const MINMAX: u32 = 4;
const MINMAX_MUTE: u32 = 5;

/// Of a scale's step: beside it, whether the least position is silence.
const STEP_BITS: u32 = 0xFFFF;

/// The position of 0 dB among `min` to `max`; `None` if there is none, or none that the records tell.
pub(crate) fn unity(words: &[u32], min: i64, max: i64) -> Option<i64> {
    let (&kind, rest) = words.split_first()?;
    let (&bytes, rest) = rest.split_first()?;
    let value = rest.get(..bytes as usize / 4)?;
    match kind {
        CONTAINER => records(value).find_map(|record| unity(record, min, max)),
        SCALE => {
            let (least, step) = (decibels(value.first()?), i64::from(value.get(1)? & STEP_BITS));
            within(min.checked_add(exact(-least, step)?)?, min, max)
        }
        MINMAX | MINMAX_MUTE => {
            let (least, most) = (decibels(value.first()?), decibels(value.get(1)?));
            let whole = max.checked_sub(min)?.checked_mul(-least)?;
            within(min.checked_add(exact(whole, most - least)?)?, min, max)
        }
        // In between it is the samples' factor that grows evenly, and no position need be 0 dB.
        LINEAR => (decibels(value.get(1)?) == 0).then_some(max),
        RANGE => ranges(value).find_map(|(from, to, record)| unity(record, from, to)),
        _ => None,
    }
}

/// Signed, though it came as a word.
fn decibels(word: &u32) -> i64 {
    i64::from(word.cast_signed())
}

fn exact(whole: i64, part: i64) -> Option<i64> {
    (whole.checked_rem(part)? == 0).then(|| whole / part)
}

fn within(position: i64, min: i64, max: i64) -> Option<i64> {
    (min..=max).contains(&position).then_some(position)
}

/// A record with its head, and what follows it.
fn split(words: &[u32]) -> Option<(&[u32], &[u32])> {
    let length = 2 + *words.get(1)? as usize / 4;
    words.split_at_checked(length)
}

fn records(mut words: &[u32]) -> impl Iterator<Item = &[u32]> {
    std::iter::from_fn(move || {
        let (record, rest) = split(words)?;
        words = rest;
        Some(record)
    })
}

/// Pieces of the range, each with a record of its own.
fn ranges(mut words: &[u32]) -> impl Iterator<Item = (i64, i64, &[u32])> {
    std::iter::from_fn(move || {
        let (from, to) = (decibels(words.first()?), decibels(words.get(1)?));
        let (record, rest) = split(words.get(2..)?)?;
        words = rest;
        Some((from, to, record))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn word(hundredths: i32) -> u32 {
        hundredths.cast_unsigned()
    }

    #[test]
    fn a_scale_has_0_db_where_its_steps_reach_it() {
        // USB: -64 dB in steps of 0.5 dB; HDA: 0 dB at the top; one with 12 dB above it; one that never meets it.
        assert_eq!(unity(&[SCALE, 8, word(-6400), 50], 0, 128), Some(128));
        assert_eq!(unity(&[SCALE, 8, word(-7400), 100 | 0x10000], 0, 74), Some(74));
        assert_eq!(unity(&[SCALE, 8, word(-5000), 50], 0, 124), Some(100));
        assert_eq!(unity(&[SCALE, 8, word(-5025), 50], 0, 124), None);
        assert_eq!(unity(&[SCALE, 8, word(-6400), 50], 0, 100), None);
    }

    #[test]
    fn ends_of_a_range_tell_what_lies_between() {
        assert_eq!(unity(&[MINMAX, 8, word(-12700), word(0)], 0, 127), Some(127));
        assert_eq!(unity(&[MINMAX_MUTE, 8, word(-6000), word(600)], 0, 66), Some(60));
        assert_eq!(unity(&[LINEAR, 8, word(-9999), word(0)], 0, 31), Some(31));
        assert_eq!(unity(&[LINEAR, 8, word(-9999), word(600)], 0, 31), None);
    }

    #[test]
    fn pieces_and_containers_are_looked_through() {
        let pieces =
            [RANGE, 48, 0, 9, SCALE, 8, word(-4000), 200, 10, 30, SCALE, 8, word(-2000), 100];
        assert_eq!(unity(&pieces, 0, 30), Some(30));
        let kept = [CONTAINER, 16, SCALE, 8, word(-100), 100];
        assert_eq!(unity(&kept, 0, 9), Some(1));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn whatever_a_card_tells_is_borne(words in prop::collection::vec(prop_oneof![0_u32..16, any::<u32>()], 0..24)) {
            unity(&words, 0, 100);
            unity(&words, i64::MIN, i64::MAX);
            // The one quotient of whole numbers that is none.
            prop_assert_eq!(exact(i64::MIN, -1), None);
        }
    }
}
