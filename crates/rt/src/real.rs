//! The operating system: its monotonic clock, its waits, its threads.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
use linux as os;
#[cfg(windows)]
use windows as os;
#[cfg(windows)]
pub use windows::Tie;

use crate::system::{Join, Ns, Role, System, Thread, Woken};
use barewire_types::{Error, ErrorKind, Result};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// The machine itself.
#[derive(Debug, Default)]
pub struct RealSystem {
    refused: Arc<AtomicBool>,
}

impl RealSystem {
    /// The machine itself.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }
}

impl System for RealSystem {
    fn now_ns(&self) -> Ns {
        os::now_ns()
    }

    fn sleep(&self, word: &AtomicU32, expected: u32, until: Ns) -> Woken {
        os::wait(word, expected, until)
    }

    fn await_word(&self, word: &AtomicU32, expected: u32, until: Ns) -> Woken {
        os::wait(word, expected, until)
    }

    fn wake(&self, word: &AtomicU32) {
        os::wake(word);
    }

    fn await_shared(&self, words: &[(&AtomicU32, u32)], until: Ns) -> Woken {
        os::wait_shared(words, until)
    }

    fn wake_shared(&self, word: &AtomicU32) {
        os::wake_shared(word);
    }

    fn spawn(&self, name: &str, role: Role, body: Box<dyn FnOnce() + Send>) -> Result<Thread> {
        if role != Role::Device {
            return spawn_thread(name, body);
        }
        let refused = self.refused.clone();
        os::DeviceThread::prepare();
        spawn_thread(name, move || {
            let own = os::DeviceThread::enter();
            if !own.is_raised() {
                ask_others(refused);
            }
            body();
        })
    }

    fn host_time_ns(&self, at: Ns) -> Ns {
        os::host_time_ns(at)
    }

    fn remarks(&self) -> Vec<String> {
        let refused = self.refused.load(Ordering::Relaxed);
        if refused { vec![os::REFUSED.to_owned()] } else { Vec::new() }
    }
}

/// Has others asked for what the system has refused to the calling thread, on a thread that may wait for their answer.
#[cfg(unix)]
fn ask_others(refused: Arc<AtomicBool>) {
    let thread = crate::priority::own_thread();
    let told = refused.clone();
    let ask = move || {
        if !crate::priority::is_granted_to(thread) {
            told.store(true, Ordering::Relaxed);
        }
    };
    if !crate::priority::has_grant() || spawn_thread("barewire-rights", ask).is_err() {
        refused.store(true, Ordering::Relaxed);
    }
}

/// There is nobody else to ask.
#[cfg(not(unix))]
fn ask_others(refused: Arc<AtomicBool>) {
    refused.store(true, Ordering::Relaxed);
}

/// Starts a thread of the operating system that can be joined with a deadline.
pub(crate) fn spawn_thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<Thread> {
    let done = Arc::new(AtomicU32::new(0));
    let finished = Finished(done.clone());
    let handle = thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // Dropped last, and also if the body panics.
            let _finished = finished;
            body();
        })
        .map_err(|error| {
            let kind = ErrorKind::NoMemory;
            Error::new(kind, format!("the system refuses the thread \"{name}\": {error}"))
                .remedy("end other programs, or raise the limit on threads")
        })?;
    let id = handle.thread().id();
    Ok(Thread::new(Box::new(RealJoin { id, done, handle: Mutex::new(Some(handle)) })))
}

struct Finished(Arc<AtomicU32>);

impl Drop for Finished {
    fn drop(&mut self) {
        self.0.store(1, Ordering::Release);
        os::wake(&self.0);
    }
}

struct RealJoin {
    id: thread::ThreadId,
    done: Arc<AtomicU32>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Join for RealJoin {
    fn join(&self, until: Ns) -> bool {
        while self.done.load(Ordering::Acquire) == 0 {
            if os::wait(&self.done, 0, until) == Woken::Time
                && self.done.load(Ordering::Acquire) == 0
            {
                return false;
            }
        }
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle {
            // All that is left of the thread is the system's own exit, so this is short; afterwards no code of this
            // module is on its stack, and the module may be unloaded. Its panic, if any, was reported already.
            let _ = handle.join();
        }
        true
    }

    fn is_current(&self) -> bool {
        thread::current().id() == self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_at_its_deadline_and_not_before() {
        let system = RealSystem::new();
        let until = system.now_ns() + 2_000_000;
        assert_eq!(system.await_word(&AtomicU32::new(0), 0, until), Woken::Time);
        assert!(system.now_ns() >= until);
    }

    #[test]
    fn a_thread_that_does_not_end_is_not_waited_for_beyond_the_deadline() {
        let system = RealSystem::new();
        let word = Arc::new(AtomicU32::new(0));
        let (system2, word2) = (system.clone(), word.clone());
        let body = Box::new(move || {
            system2.await_word(&word2, 0, u64::MAX);
        });
        let thread = system.spawn("test", Role::Helper, body).unwrap();
        assert!(!thread.join(system.now_ns() + 1_000_000));
        word.store(1, Ordering::Release);
        system.wake(&word);
        assert!(thread.join(system.now_ns() + 10_000_000_000));
        assert!(thread.join(0), "joining again is harmless");
    }

    #[test]
    fn a_thread_that_panics_has_ended() {
        let system = RealSystem::new();
        let thread =
            system.spawn("panics", Role::Helper, Box::new(|| panic!("on purpose"))).unwrap();
        assert!(thread.join(system.now_ns() + 10_000_000_000));
    }
}
