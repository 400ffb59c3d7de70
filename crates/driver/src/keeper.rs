//! The keeper: opens, closes and reopens devices on a thread of its own, so that nothing of a device is made or
//! destroyed on a host's thread, and settings are looked after while the host plays.

use crate::threads;
use barewire_rt::{Gate, Lock, Role, System, Thread, Wake};
use barewire_types::{Error, ErrorKind, Ns, Result};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

type Job = Box<dyn FnOnce() + Send>;

/// How often the keeper looks round when nobody calls it.
const ROUND_NS: Ns = 250_000_000;

struct Shared {
    system: Arc<dyn System>,
    jobs: Lock<VecDeque<Job>>,
    gate: Arc<Gate>,
    quit: AtomicBool,
}

/// A thread that does what it is given, in order.
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    thread: Thread,
}

/// A hand for others to give the keeper work.
#[derive(Clone)]
pub(crate) struct KeeperHand(Arc<Shared>);

struct Answer<T> {
    value: Lock<Option<T>>,
    done: AtomicU32,
}

impl Keeper {
    /// Starts the thread; `round` is called every quarter of a second, and after each job.
    pub(crate) fn start(
        system: &Arc<dyn System>,
        driver: usize,
        round: impl FnMut() + Send + 'static,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            system: system.clone(),
            jobs: Lock::new(system.clone(), VecDeque::new()),
            gate: Gate::new(system.clone()),
            quit: AtomicBool::new(false),
        });
        let its = shared.clone();
        let thread = threads::start(system, driver, "barewire-keeper", Role::Keeper, move || {
            its.work(round)
        })?;
        Ok(Self { shared, thread })
    }

    pub(crate) fn hand(&self) -> KeeperHand {
        KeeperHand(self.shared.clone())
    }

    /// Lets the thread end once all work is done, and waits for it unless this is it.
    pub(crate) fn end(self, patience_ns: Ns) {
        self.shared.quit.store(true, Ordering::Release);
        self.shared.gate.wake();
        if !self.thread.is_current() {
            self.thread.join(self.shared.system.join_deadline_ns(patience_ns));
        }
    }
}

impl KeeperHand {
    /// Gives the keeper something to do, some time.
    pub(crate) fn give(&self, job: impl FnOnce() + Send + 'static) {
        self.0.jobs.lock().push_back(Box::new(job));
        self.0.gate.wake();
    }

    /// Lets the keeper do `work` and waits for the result.
    ///
    /// # Errors
    /// `Timeout` if it takes longer than `patience_ns`; it is then done all the same and its result dropped there.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        patience_ns: Ns,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let answer = Arc::new(Answer {
            value: Lock::new(self.0.system.clone(), None),
            done: AtomicU32::new(0),
        });
        let (its, system) = (answer.clone(), self.0.system.clone());
        self.give(move || {
            let value = work();
            *its.value.lock() = Some(value);
            its.done.store(1, Ordering::Release);
            system.wake(&its.done);
        });
        let until = self.0.system.now_ns().saturating_add(patience_ns);
        while answer.done.load(Ordering::Acquire) == 0 {
            let woken = self.0.system.await_word(&answer.done, 0, until);
            if woken == barewire_rt::Woken::Time {
                break;
            }
        }
        answer.value.lock().take().ok_or_else(|| {
            Error::new(ErrorKind::Timeout, "the device did not answer in time")
                .remedy("unplug it and plug it in again, or end the program that holds it")
        })
    }
}

impl Shared {
    fn work(&self, mut round: impl FnMut()) {
        loop {
            let job = self.jobs.lock().pop_front();
            if let Some(job) = job {
                job();
                continue;
            }
            round();
            if self.quit.load(Ordering::Acquire) && self.jobs.lock().is_empty() {
                return;
            }
            self.gate.await_wake(self.system.now_ns().saturating_add(ROUND_NS));
        }
    }
}
