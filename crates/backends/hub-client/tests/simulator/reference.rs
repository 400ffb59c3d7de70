//! What the device has to be played: the exact sum of what the honest clients have handed over.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// The n-th sample of a client, over the whole range of 32 bits.
pub fn sample(client: u32, n: u64) -> i32 {
    let mut x = (u64::from(client) << 40 ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x ^= x >> 29;
    x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (x >> 32) as u32 as i32
}

/// What the device was played in each opening, interleaved.
#[derive(Debug, Default)]
pub struct Heard {
    pub openings: Mutex<Vec<Vec<[i32; 2]>>>,
}

impl Heard {
    /// Takes interleaved pieces of one opening.
    pub fn take(&self, opening: usize, position: u64, bytes: &[u8]) {
        let mut openings = self.openings.lock().unwrap();
        let frames = &mut openings[opening];
        let at = position as usize;
        let count = bytes.len() / 8;
        if frames.len() < at + count {
            frames.resize(at + count, [0; 2]);
        }
        for (n, frame) in bytes.chunks_exact(8).enumerate() {
            let word = |k: usize| i32::from_le_bytes(frame[k..k + 4].try_into().unwrap());
            frames[at + n] = [word(0), word(4)];
        }
    }
}

/// One block that a client handed over: where it begins on the device's capture side, and its samples.
#[derive(Clone, Debug)]
pub struct Block {
    pub opening: usize,
    pub device_frame: u64,
    pub samples: Vec<i32>,
}

/// What all honest clients have handed over.
#[derive(Debug, Default)]
pub struct Book {
    pub honest: Mutex<Vec<Block>>,
    pub troubled: Mutex<Vec<Block>>,
}

/// Compares; gives how many frames were compared and what is wrong.
pub fn compare(
    heard: &Heard,
    book: &Book,
    ahead_frames: u64,
    block_frames: u64,
    checks_troubled: bool,
) -> (u64, Vec<String>) {
    let mut faults = Vec::new();
    let mut compared = 0;
    let openings = heard.openings.lock().unwrap();
    let sums = sum(&book.honest.lock().unwrap(), ahead_frames);
    let troubled = sum(&book.troubled.lock().unwrap(), ahead_frames);
    for (opening, frames) in openings.iter().enumerate() {
        for (n, frame) in frames.iter().enumerate() {
            compared += 1;
            let place = (opening, n as u64);
            let total = sums.get(&place).copied().unwrap_or(0);
            let expected = total.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
            if frame[0] != expected && faults.len() < 5 {
                faults.push(format!(
                    "opening {opening}, frame {n}: heard {:#x}, expected {expected:#x}",
                    frame[0]
                ));
            }
            // One that is late is silence or one block later, never anything older.
            let later = (opening, (n as u64).wrapping_sub(block_frames));
            let may = [Some(&0), troubled.get(&place), troubled.get(&later)];
            let is_known = may.into_iter().flatten().any(|&value| value == i64::from(frame[1]));
            if checks_troubled && !is_known && faults.len() < 5 {
                faults.push(format!("opening {opening}, frame {n}: {:#x} is old data", frame[1]));
            }
        }
    }
    // Nothing that was handed over may be missing at the end.
    for (opening, n) in sums.keys() {
        let there = openings.get(*opening).is_some_and(|frames| (*n as usize) < frames.len());
        // The last block may lie in the device when it is closed.
        let length = openings.get(*opening).map_or(0, Vec::len) as u64;
        if !there && *n < length {
            faults.push(format!("opening {opening}, frame {n} is missing"));
        }
    }
    (compared, faults)
}

fn sum(blocks: &[Block], ahead_frames: u64) -> BTreeMap<(usize, u64), i64> {
    let mut sums = BTreeMap::new();
    for block in blocks {
        for (n, value) in (block.device_frame..).zip(&block.samples) {
            *sums.entry((block.opening, n + ahead_frames)).or_insert(0) += i64::from(*value);
        }
    }
    sums
}
