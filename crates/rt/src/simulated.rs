//! Time that passes as fast as the processor goes.

use crate::real::{RealSystem, spawn_thread};
use crate::system::{Ns, Role, System, Thread, Woken};
use barewire_types::Result;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

thread_local! {
    /// Whether sleeps of this thread take real time.
    static PACED: Cell<bool> = const { Cell::new(false) };
}

/// A clock that one device moves: whoever sleeps on it makes time jump to the end of the sleep.
///
/// The rule: the device thread (and a test's own thread) *makes* time. The notifier, the keeper and helpers only live
/// in it: their sleeps, and every wait for another thread's deed, last as long in real time as they would in
/// simulated time, while simulated time stands still or is moved by the device. So a two-second deadline of a control
/// thread does not expire within a millisecond, and a host that answers from another thread is not called late.
/// Every run has a system of its own, since two devices on one clock would pull each other forward.
#[derive(Debug)]
pub struct SimulatedSystem {
    now_ns: AtomicU64,
    real: RealSystem,
}

impl SimulatedSystem {
    /// A clock that stands at `start_ns`.
    pub fn new(start_ns: Ns) -> Arc<Self> {
        Arc::new(Self { now_ns: AtomicU64::new(start_ns), real: RealSystem::default() })
    }

    /// A deadline of simulated time as one of real time.
    fn real_deadline(&self, until: Ns) -> Ns {
        self.real.now_ns().saturating_add(until.saturating_sub(self.now_ns()))
    }

    /// The real deadline of a wait for another thread's deed.
    fn patient_deadline(&self, until: Ns) -> Ns {
        /// A block's microseconds are too short for a thread of a busy machine to answer in; simulated time stands still
        /// meanwhile, so patience costs nothing but real time.
        const PATIENCE_NS: Ns = 2_000_000_000;
        let deadline = self.real_deadline(until);
        if PACED.get() || until <= self.now_ns() {
            return deadline;
        }
        deadline.max(self.real.now_ns().saturating_add(PATIENCE_NS))
    }
}

impl System for SimulatedSystem {
    fn now_ns(&self) -> Ns {
        self.now_ns.load(Ordering::Acquire)
    }

    fn sleep(&self, word: &AtomicU32, expected: u32, until: Ns) -> Woken {
        if PACED.get() {
            return self.await_word(word, expected, until);
        }
        if word.load(Ordering::Acquire) != expected {
            return Woken::Word;
        }
        self.now_ns.fetch_max(until, Ordering::AcqRel);
        Woken::Time
    }

    fn await_word(&self, word: &AtomicU32, expected: u32, until: Ns) -> Woken {
        self.real.await_word(word, expected, self.patient_deadline(until))
    }

    fn await_shared(&self, words: &[(&AtomicU32, u32)], until: Ns) -> Woken {
        self.real.await_shared(words, self.patient_deadline(until))
    }

    fn wake_shared(&self, word: &AtomicU32) {
        self.real.wake_shared(word);
    }

    fn wake(&self, word: &AtomicU32) {
        self.real.wake(word);
    }

    fn spawn(&self, name: &str, role: Role, body: Box<dyn FnOnce() + Send>) -> Result<Thread> {
        spawn_thread(name, move || {
            PACED.set(role != Role::Device);
            body();
        })
    }

    fn is_simulated(&self) -> bool {
        true
    }

    fn join_deadline_ns(&self, length_ns: Ns) -> Ns {
        self.real.join_deadline_ns(length_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_sleep_takes_no_time() {
        let system = SimulatedSystem::new(5);
        let hour = 3_600_000_000_000;
        for n in 1..=1000_u64 {
            assert_eq!(system.sleep(&AtomicU32::new(0), 0, n * hour), Woken::Time);
            assert_eq!(system.now_ns(), n * hour);
        }
    }

    #[test]
    fn a_wait_for_another_thread_does_not_move_time() {
        let system = SimulatedSystem::new(0);
        let word = Arc::new(AtomicU32::new(0));
        let (other, its) = (system.clone(), word.clone());
        let body = Box::new(move || {
            its.store(1, Ordering::Release);
            other.wake(&its);
        });
        let thread = system.spawn("answers", Role::Helper, body).unwrap();
        assert_eq!(system.await_word(&word, 0, 10_000_000_000), Woken::Word);
        assert_eq!(system.now_ns(), 0);
        assert!(thread.join(system.join_deadline_ns(10_000_000_000)));
    }
}
