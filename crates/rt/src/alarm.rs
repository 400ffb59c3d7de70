//! Tells whether the current thread is inside the device loop, so that a test's allocator can raise an alarm.
//!
//! The loop is armed from its entry to its exit; calls of the host's own code are exempt, since what a host does in its
//! callback is the host's affair. Costs one write to a thread-local each way.

use std::cell::Cell;

thread_local! {
    // Constant and without destructor, so that reading it never allocates.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Restores the former state when dropped.
#[derive(Debug)]
pub struct Guard {
    before: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        INSIDE.set(self.before);
    }
}

/// From here to the guard's end this thread may not allocate.
pub fn enter() -> Guard {
    Guard { before: INSIDE.replace(true) }
}

/// From here to the guard's end foreign code runs, which may do as it likes.
pub fn exempt() -> Guard {
    Guard { before: INSIDE.replace(false) }
}

/// Whether this thread is inside the loop now.
pub fn is_inside() -> bool {
    // While a thread ends its locals may be gone; then it is in no loop.
    INSIDE.try_with(Cell::get).unwrap_or(false)
}
