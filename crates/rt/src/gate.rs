//! A word to wait on.

use crate::system::{Ns, System, Wake, Woken};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// One waiter, any number of wakers. A wake is never lost: it ends the current wait or the next.
#[derive(Debug)]
pub struct Gate {
    system: Arc<dyn System>,
    wakes: AtomicU32,
    /// How many of `wakes` the waiter has seen.
    seen: AtomicU32,
}

impl Gate {
    /// A gate that nobody has woken yet. Control thread.
    pub fn new(system: Arc<dyn System>) -> Arc<Self> {
        Arc::new(Self { system, wakes: AtomicU32::new(0), seen: AtomicU32::new(0) })
    }

    /// Lets time pass until `until`, or until woken.
    pub fn sleep(&self, until: Ns) -> Woken {
        let seen = self.seen.load(Ordering::Relaxed);
        let woken = self.system.sleep(&self.wakes, seen, until);
        self.take(woken)
    }

    /// Waits for another thread's wake, at most until `until`.
    pub fn await_wake(&self, until: Ns) -> Woken {
        let seen = self.seen.load(Ordering::Relaxed);
        let woken = self.system.await_word(&self.wakes, seen, until);
        self.take(woken)
    }

    /// Whether a wake is pending; takes it.
    pub fn take_pending(&self) -> bool {
        let now = self.wakes.load(Ordering::Acquire);
        self.seen.swap(now, Ordering::Relaxed) != now
    }

    fn take(&self, woken: Woken) -> Woken {
        if self.take_pending() { Woken::Word } else { woken }
    }
}

impl Wake for Gate {
    fn wake(&self) {
        self.wakes.fetch_add(1, Ordering::Release);
        self.system.wake(&self.wakes);
    }
}
