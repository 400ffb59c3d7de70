//! A cycle as all clients share it: begun for each, published once, woken once, waited for once.
//!
//! Everything here but the figures for reports is used on the device thread alone; the words are atomics because the peers
//! that share them are values of their own.

use barewire_engine::BlockTime;
use barewire_rt::System;
use barewire_share::page::CYCLE_MASK;
use barewire_share::{Closed, Cycle, Gate, PageWriter};
use barewire_types::Ns;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Kept back from the time that clients have beside what mixing has cost: the hub's own way back from its wait, which takes
/// 14 to 42 µs across cores of a virtual machine.
const MARGIN_NS: Ns = 20_000;
/// Mixing is believed to take a quarter of a period at most: what is longer was the scheduler, and clients need time too.
const MOST_MIXING_SHARE: Ns = 4;
/// Cycles in a row in which all had answered and the gate did not say so: somebody scribbles on it.
const GATE_FAULTS: u32 = 3;
/// So many cycles the hub then waits for each client by itself.
const DISTRUST_CYCLES: u32 = 4096;

/// See the module.
#[derive(Debug)]
pub(crate) struct Star {
    system: Arc<dyn System>,
    page: PageWriter,
    gate: Gate,
    rate_hz: u32,
    block_frames: u32,
    period_ns: Ns,
    cycle: AtomicU32,
    /// The cycle is being begun and nobody was woken yet.
    collecting: AtomicBool,
    /// Clients that are expected to answer in time.
    expected: AtomicU32,
    /// Of them, those that have.
    answered: AtomicU32,
    /// The wait at the gate is over.
    gathered: AtomicBool,
    timed_out: AtomicBool,
    gate_faults: AtomicU32,
    distrust: AtomicU32,
    position_frames: AtomicU64,
    at_ns: AtomicU64,
    commit_by_ns: AtomicU64,
    answer_by_ns: AtomicU64,
    published_ns: AtomicU64,
    finished_ns: AtomicU64,
    mixing_ns: AtomicU64,
    budget_ns: AtomicU64,
    longest_overstay_ns: AtomicU64,
    /// Somebody looks at the meters.
    pub(crate) is_watched: AtomicBool,
}

impl Star {
    pub(crate) fn new(
        system: Arc<dyn System>,
        page: PageWriter,
        gate: Gate,
        rate_hz: u32,
        block_frames: u32,
    ) -> Arc<Self> {
        let period_ns = u64::from(block_frames) * 1_000_000_000 / u64::from(rate_hz.max(1));
        Arc::new(Self {
            system,
            page,
            gate,
            rate_hz,
            block_frames,
            period_ns,
            cycle: AtomicU32::new(0),
            collecting: AtomicBool::new(false),
            expected: AtomicU32::new(0),
            answered: AtomicU32::new(0),
            gathered: AtomicBool::new(false),
            timed_out: AtomicBool::new(false),
            gate_faults: AtomicU32::new(0),
            distrust: AtomicU32::new(0),
            position_frames: AtomicU64::new(0),
            at_ns: AtomicU64::new(0),
            commit_by_ns: AtomicU64::new(0),
            answer_by_ns: AtomicU64::new(0),
            published_ns: AtomicU64::new(0),
            finished_ns: AtomicU64::new(0),
            mixing_ns: AtomicU64::new(0),
            budget_ns: AtomicU64::new(0),
            longest_overstay_ns: AtomicU64::new(0),
            is_watched: AtomicBool::new(false),
        })
    }

    /// A client is begun; gives the cycle's number. The first one of a cycle begins it.
    pub(crate) fn enter(&self, time: &BlockTime, in_time: bool) -> u32 {
        if !self.collecting.swap(true, Relaxed) {
            self.judge_gate();
            let next = self.cycle.load(Relaxed).wrapping_add(1) & CYCLE_MASK;
            self.cycle.store(next, Relaxed);
            self.expected.store(0, Relaxed);
            self.answered.store(0, Relaxed);
            self.gathered.store(false, Relaxed);
            self.timed_out.store(false, Relaxed);
            self.position_frames.store(time.position_frames, Relaxed);
            self.at_ns.store(time.at_ns, Relaxed);
            self.commit_by_ns.store(time.commit_by_ns, Relaxed);
        }
        if in_time {
            self.expected.fetch_add(1, Relaxed);
        }
        self.cycle.load(Relaxed)
    }

    /// Wakes all clients, once in a cycle: when all were begun.
    pub(crate) fn publish(&self) {
        if !self.collecting.swap(false, Relaxed) {
            return;
        }
        let now = self.system.now_ns();
        let answer_by_ns = self.answer_by(now);
        self.answer_by_ns.store(answer_by_ns, Relaxed);
        let cycle = Cycle {
            number: self.cycle.load(Relaxed),
            position_frames: self.position_frames.load(Relaxed),
            at_ns: self.at_ns.load(Relaxed),
            answer_by_ns,
            rate_hz: self.rate_hz,
            block_frames: self.block_frames,
        };
        self.gate.words().open(cycle.number, self.expected.load(Relaxed));
        self.published_ns.store(now, Relaxed);
        self.budget_ns.store(answer_by_ns.saturating_sub(now), Relaxed);
        self.page.publish(&cycle);
        self.system.wake_shared(self.page.word());
    }

    /// Until when clients may answer: so that the device still gets the block in time, and so that nobody is kept from the
    /// next one, however far ahead the device lets itself be filled. A hub that is behind itself leaves them half a period.
    fn answer_by(&self, now: Ns) -> Ns {
        let kept_back = self.mixing_ns.load(Relaxed) + MARGIN_NS;
        let kept_back = kept_back.min(self.period_ns / MOST_MIXING_SHARE);
        let next = self.at_ns.load(Relaxed) + self.period_ns;
        let next = next.max(now + self.period_ns / 2);
        self.commit_by_ns.load(Relaxed).min(next).saturating_sub(kept_back)
    }

    /// Waits until all that are expected have answered, or for the deadline; once in a cycle.
    pub(crate) fn gather(&self) {
        if self.gathered.swap(true, Relaxed) || self.distrust.load(Relaxed) > 0 {
            return;
        }
        let until = self.answer_by_ns.load(Relaxed);
        while let Some(missing) = self.gate.words().missing() {
            if self.system.now_ns() >= until {
                self.timed_out.store(true, Relaxed);
                break;
            }
            self.system.await_shared(&[(self.gate.word(), missing)], until);
        }
    }

    /// A client that may be waited for has stopped. Control thread; counting once too often only ends a wait early.
    pub(crate) fn excuse(&self) {
        self.gate.answer(self.cycle.load(Relaxed), &*self.system);
    }

    /// Until when clients are waited for.
    pub(crate) fn deadline_ns(&self) -> Ns {
        self.answer_by_ns.load(Relaxed)
    }

    /// When the clients were woken.
    pub(crate) fn published_ns(&self) -> Ns {
        self.published_ns.load(Relaxed)
    }

    /// A client that was expected in time is done with.
    pub(crate) fn leave(&self, has_answered: bool) {
        if has_answered {
            self.answered.fetch_add(1, Relaxed);
        }
        let now = self.system.now_ns();
        self.finished_ns.store(now, Relaxed);
        let overstay = now.saturating_sub(self.answer_by_ns.load(Relaxed));
        self.longest_overstay_ns.fetch_max(overstay, Relaxed);
    }

    /// Looks back at the cycle before: if all had answered but the gate was not opened, somebody has scribbled on it.
    fn judge_gate(&self) {
        let left = self.distrust.load(Relaxed);
        if left > 0 {
            self.distrust.store(left - 1, Relaxed);
            return;
        }
        let all = self.answered.load(Relaxed) == self.expected.load(Relaxed);
        if !(self.timed_out.load(Relaxed) && all) {
            self.gate_faults.store(0, Relaxed);
            return;
        }
        let faults = self.gate_faults.load(Relaxed) + 1;
        self.gate_faults.store(faults % GATE_FAULTS, Relaxed);
        if faults == GATE_FAULTS {
            self.distrust.store(DISTRUST_CYCLES, Relaxed);
        }
    }

    /// The pass is over: what lay behind the last answer was mixing.
    pub(crate) fn mixed(&self) {
        let finished = self.finished_ns.swap(0, Relaxed);
        if finished == 0 {
            return;
        }
        let cost = self.system.now_ns().saturating_sub(finished).min(self.period_ns);
        let before = self.mixing_ns.load(Relaxed);
        self.mixing_ns.store(cost.max(before - before / 256), Relaxed);
    }

    /// There will be no more cycles. Control thread.
    pub(crate) fn close(&self, why: Closed) {
        self.page.close(why);
        self.system.wake_shared(self.page.word());
    }

    /// Time for an answer, time kept back for mixing, and how long the hub was behind a deadline at most.
    pub(crate) fn figures(&self) -> (Ns, Ns, Ns) {
        let (budget, mixing) = (self.budget_ns.load(Relaxed), self.mixing_ns.load(Relaxed));
        (budget, mixing, self.longest_overstay_ns.load(Relaxed))
    }
}
