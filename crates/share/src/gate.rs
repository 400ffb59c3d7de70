//! The gate: clients count down, and the last one wakes the hub, so that a cycle costs it one wake however many clients
//! there are.
//!
//! Every client can write it. So the hub takes nothing from it but a reason to look: who has answered is told by each
//! client's own segment.

use crate::atomic::{AtomicU32, Ordering};
use crate::layout::GateWords;
#[cfg(not(loom))]
use crate::memory::Shared;
#[cfg(not(loom))]
use barewire_rt::System;

#[cfg(not(loom))]
/// The gate, wherever it lies.
pub type Gate = Shared<GateWords>;

const COUNT_BITS: u32 = 8;
const COUNT_MASK: u32 = (1 << COUNT_BITS) - 1;

impl GateWords {
    /// Nobody is waited for.
    #[cfg(any(loom, test))]
    pub fn zeroed() -> Self {
        Self { left: AtomicU32::new(0), reserved: std::array::from_fn(|_| AtomicU32::new(0)) }
    }

    /// In cycle `number` there are `count` answers to come.
    pub fn open(&self, number: u32, count: u32) {
        self.left.store(number << COUNT_BITS | count.min(COUNT_MASK), Ordering::Release);
    }

    /// One of them is there; whether it was the last. An answer to another cycle counts for nothing.
    pub fn count_down(&self, number: u32) -> bool {
        /// Others count at the same time, each once; whoever is in the way more often is no client of ours.
        const ATTEMPTS: usize = 64;
        let mut left = self.left.load(Ordering::Relaxed);
        for _ in 0..ATTEMPTS {
            let is_other = left >> COUNT_BITS != number & (u32::MAX >> COUNT_BITS);
            if is_other || left & COUNT_MASK == 0 {
                return false;
            }
            let counted =
                self.left.compare_exchange(left, left - 1, Ordering::AcqRel, Ordering::Relaxed);
            match counted {
                Ok(_) => return left & COUNT_MASK == 1,
                Err(now) => left = now,
            }
        }
        false
    }

    /// The word, and the value to wait on, as long as answers are missing.
    pub fn missing(&self) -> Option<u32> {
        let left = self.left.load(Ordering::Acquire);
        (left & COUNT_MASK != 0).then_some(left)
    }
}

#[cfg(not(loom))]
impl Gate {
    /// The word that the hub waits on.
    pub fn word(&self) -> &AtomicU32 {
        &self.words().left
    }

    /// A client's answer to cycle `number`.
    pub fn answer(&self, number: u32, system: &dyn System) {
        if self.words().count_down(number) {
            system.wake_shared(&self.words().left);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_last_answer_opens_and_answers_to_other_cycles_count_for_nothing() {
        let gate = GateWords::zeroed();
        assert_eq!(gate.missing(), None);
        gate.open(0x0100_0005, 2);
        assert!(!gate.count_down(4), "an answer that comes too late");
        assert!(!gate.count_down(0x0100_0005));
        assert!(gate.missing().is_some());
        assert!(gate.count_down(0x0100_0005));
        assert_eq!(gate.missing(), None);
        assert!(!gate.count_down(0x0100_0005), "one answer too many");
    }
}
