//! What becomes of a client's samples, as words in its segment.

use crate::slot::Told;
use barewire_types::pack::{pack_integrity, pack_reason, unpack_integrity, unpack_reason};
use barewire_types::{Integrity, Reason};

/// As words.
pub fn pack_told(integrity: Integrity, reason: Reason) -> Told {
    let [why, detail] = pack_reason(reason);
    let mut words = [0; 6];
    let (pairs, _) = words.as_chunks_mut::<2>();
    for (pair, value) in pairs.iter_mut().zip([pack_integrity(integrity), why, detail]) {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        *pair = [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])];
    }
    words
}

/// Back from [`pack_told`]; any words give some integrity.
pub fn unpack_told(words: Told) -> (Integrity, Reason) {
    let [a, b, c, d, e, f] = words.map(u64::from);
    let join = |low: u64, high: u64| low | high << 32;
    (unpack_integrity(join(a, b)), unpack_reason([join(c, d), join(e, f)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_understood_and_garbage_is_something_too() {
        let all = [
            (Integrity::Exact { bits: 24 }, Reason::OneClient),
            (Integrity::Sum { bits: 32 }, Reason::SeveralClients { clients: 7 }),
            (Integrity::Mixed, Reason::Gain),
        ];
        for (integrity, reason) in all {
            assert_eq!(unpack_told(pack_told(integrity, reason)), (integrity, reason));
        }
        let mut word = 1_u32;
        for _ in 0..10_000 {
            let words = [0; 6].map(|_: u32| {
                word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                word
            });
            let (integrity, reason) = unpack_told(words);
            assert!(!format!("{integrity}: {reason}").is_empty());
        }
    }
}
