//! The only ways to tell time, to wait on a word with a deadline, and to start a thread.
//!
//! Everything that runs takes an `Arc<dyn System>`. [`crate::RealSystem`] is the operating
//! system; [`crate::SimulatedSystem`] runs a device as fast as the processor goes;
//! the test kit's baton scheduler runs one thread at a time in an order that a seed fixes.

use barewire_types::Result;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

pub use barewire_types::Ns;

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The word no longer holds the expected value.
    Word,
    /// The deadline has passed.
    Time,
}

/// What a thread is for; decides its priority and its right to allocate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs the cycle: real-time priority is asked for.
    Device,
    /// Calls the host with requests.
    Notifier,
    /// Opens, closes and reopens devices.
    Keeper,
    /// Anything else.
    Helper,
}

/// The most words that one shared wait looks at: one that others change, one that ends the wait.
pub const MOST_SHARED: usize = 2;

/// Time, waiting and threads.
pub trait System: Send + Sync + std::fmt::Debug {
    /// Nanoseconds of a clock that never goes back. Real: the system's monotonic clock (`CLOCK_MONOTONIC`,
    /// `QueryPerformanceCounter`).
    fn now_ns(&self) -> Ns;

    /// Lets time pass until `until`, unless `word` stops holding `expected` first. A simulated clock jumps.
    /// Spurious early returns are reported as the wait's true state, so callers simply look again.
    fn sleep(&self, word: &AtomicU32, expected: u32, until: Ns) -> Woken;

    /// Waits for another thread to change `word` from `expected`, at most until `until`. A simulated clock
    /// stands still while the other thread works, for at most the same length of real time.
    fn await_word(&self, word: &AtomicU32, expected: u32, until: Ns) -> Woken;

    /// Wakes all threads that wait on `word`. Never blocks. Call it after the word was changed.
    fn wake(&self, word: &AtomicU32);

    /// As `await_word`, on words that may lie in memory shared with other processes: ends when any of them no longer
    /// holds the value beside it. At most [`MOST_SHARED`] words.
    fn await_shared(&self, words: &[(&AtomicU32, u32)], until: Ns) -> Woken;

    /// Wakes all threads, of whatever process, that wait on `word` in [`await_shared`](Self::await_shared). Never blocks.
    fn wake_shared(&self, word: &AtomicU32);

    /// Starts a thread. Control thread only: it allocates.
    ///
    /// # Errors
    /// If the operating system refuses another thread.
    fn spawn(&self, name: &str, role: Role, body: Box<dyn FnOnce() + Send>) -> Result<Thread>;

    /// A time of this clock as hosts expect it. Windows: on the base of `timeGetTime`, with which hosts compare their own,
    /// from the first device thread on; elsewhere the same. Real-time safe.
    fn host_time_ns(&self, at: Ns) -> Ns {
        at
    }

    /// Whether time is simulated, so that nothing is lost by waiting for another thread.
    fn is_simulated(&self) -> bool {
        false
    }

    /// What a person should know: real-time priority refused, and the remedy. Control thread.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// The deadline for [`Thread::join`] that lies `length_ns` ahead. Joins are real even where time is simulated.
    fn join_deadline_ns(&self, length_ns: Ns) -> Ns {
        self.now_ns().saturating_add(length_ns)
    }
}

/// A started thread. Dropping it lets the thread run on.
pub struct Thread {
    joiner: Box<dyn Join>,
}

/// What a [`System`] knows of a thread it started.
pub trait Join: Send + Sync {
    /// Waits at most until `until` for the thread to have left all code of ours; true if it has.
    fn join(&self, until: Ns) -> bool;
    /// Whether the caller is this thread.
    fn is_current(&self) -> bool;
}

impl Thread {
    /// Wraps what a system made.
    pub fn new(joiner: Box<dyn Join>) -> Self {
        Self { joiner }
    }

    /// Waits at most until `until` (see [`System::join_deadline_ns`]) for the thread to end; true if it has. Repeatable.
    /// Control thread only.
    pub fn join(&self, until: Ns) -> bool {
        self.joiner.join(until)
    }

    /// Whether the caller is this very thread (and so must not join it).
    pub fn is_current(&self) -> bool {
        self.joiner.is_current()
    }
}

impl std::fmt::Debug for Thread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Thread").finish_non_exhaustive()
    }
}

/// Wakes whoever waits in a stream. "Look again", nothing more: a stop is a flag of its own.
pub trait Wake: Send + Sync {
    /// Makes the current or next wait end at once. Never blocks.
    fn wake(&self);
}

/// A shared [`Wake`].
pub type Waker = Arc<dyn Wake>;
