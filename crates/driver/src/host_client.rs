//! The host as the engine's client: bufferSwitch, and what outputReady tells.

use crate::buffers::Bank;
use crate::threads;
use barewire_abi::{HostCallbacks, TimeInfo};
use barewire_engine::{BlockTime, Client, Conduct, Output};
use barewire_rt::{Area, AreaMut, Role, System, Woken, alarm};
use barewire_types::{Half, Ns};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Late blocks in a row after which a host that answers from another thread is not waited for any more.
pub(crate) const PATIENCE: u32 = 3;

/// What `outputReady` leaves behind: a latch, no lock, from any thread at any time.
#[derive(Debug)]
pub(crate) struct OutputLatch {
    system: Arc<dyn System>,
    calls: AtomicU32,
    /// Whether the host has ever called it, in this instance.
    used: AtomicBool,
    /// Whether the device thread is waiting, so that a wake is worth its system call.
    awaited: AtomicBool,
}

impl OutputLatch {
    pub(crate) fn new(system: Arc<dyn System>) -> Arc<Self> {
        let (calls, used) = (AtomicU32::new(0), AtomicBool::new(false));
        Arc::new(Self { system, calls, used, awaited: AtomicBool::new(false) })
    }

    /// The host says that its outputs are complete.
    pub(crate) fn set(&self) {
        self.used.store(true, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::AcqRel);
        if self.awaited.load(Ordering::Acquire) {
            self.system.wake(&self.calls);
        }
    }

    /// Ends a wait for the host: the run is over.
    pub(crate) fn release(&self) {
        self.calls.fetch_add(1, Ordering::AcqRel);
        self.system.wake(&self.calls);
    }

    pub(crate) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }
}

/// What the device thread and the notifier share of a run.
#[derive(Debug, Default)]
pub(crate) struct RunState {
    /// No callback begins any more.
    pub(crate) stop: AtomicBool,
    /// The rate of the latest block, bits of an `f64`, to notice a change.
    rate_bits: AtomicU64,
}

/// The host.
pub(crate) struct HostClient {
    pub(crate) inputs: Bank,
    pub(crate) outputs: Bank,
    pub(crate) host: Arc<dyn HostCallbacks>,
    pub(crate) latch: Arc<OutputLatch>,
    pub(crate) run: Arc<RunState>,
    pub(crate) wants_time: bool,
    pub(crate) waits_always: bool,
    pub(crate) frames: u32,
    pub(crate) sample_bytes: usize,
    pub(crate) rate: Arc<AtomicU32>,
    /// `calls` of the latch before the current block.
    pub(crate) before: u32,
    /// The host answers from a thread of its own, after its callback has returned.
    pub(crate) answers_later: bool,
    /// How many late blocks more it is waited for.
    pub(crate) patience: u32,
}

impl HostClient {
    fn called(&self) -> bool {
        self.latch.calls.load(Ordering::Acquire) != self.before
    }

    /// A host that has never called outputReady is not waited for, whatever is set: every block of its would be late.
    fn is_awaited(&self) -> bool {
        let promises = self.answers_later || self.waits_always && self.latch.is_used();
        promises && self.patience > 0
    }

    fn answered(&mut self) -> Output {
        self.patience = PATIENCE;
        self.before = self.latch.calls.load(Ordering::Acquire);
        Output::This
    }

    fn await_latch(&self, until: Ns) -> bool {
        self.latch.awaited.store(true, Ordering::SeqCst);
        let woken = self.latch.system.await_word(&self.latch.calls, self.before, until);
        self.latch.awaited.store(false, Ordering::Relaxed);
        woken == Woken::Word
    }
}

impl Client for HostClient {
    fn inputs(&mut self, half: Half) -> AreaMut<'_> {
        self.inputs.halves[half.index()].area_mut(self.sample_bytes, self.frames)
    }

    fn outputs(&self, half: Half) -> Area<'_> {
        self.outputs.halves[half.index()].area(self.sample_bytes, self.frames)
    }

    fn begin(&mut self, half: Half, time: &BlockTime) {
        let calls = self.latch.calls.load(Ordering::Acquire);
        // Only now, for who ends a run sets this before it releases the latch, which is no answer of the host's.
        if self.run.stop.load(Ordering::Acquire) {
            self.before = calls;
            return;
        }
        // Before the first block of a run calls are probes, which promise nothing (VB-Audio's bridge, FlexASIO issue 261).
        if calls != self.before && !self.answers_later && time.position_frames > 0 {
            // Called between two blocks, when the former had returned: this host answers from a thread of its own.
            self.answers_later = true;
            self.patience = PATIENCE;
        }
        self.before = calls;
        if self.wants_time {
            let rate_hz = f64::from(self.rate.load(Ordering::Relaxed));
            let bits = rate_hz.to_bits();
            let last = self.run.rate_bits.swap(bits, Ordering::Relaxed);
            let info = TimeInfo {
                position_frames: time.position_frames,
                time_ns: self.latch.system.host_time_ns(time.at_ns),
                rate_hz,
                rate_changed: last != 0 && last != bits,
            };
            self.host.buffer_switch_time_info(half, &info);
        } else {
            self.host.buffer_switch(half);
        }
        if self.called() {
            // Answered within the callback: the usual way.
            self.answers_later = false;
        }
    }

    fn finish(&mut self, commit_by_ns: Ns) -> Output {
        if self.called() {
            return self.answered();
        }
        if !self.is_awaited() || self.run.stop.load(Ordering::Acquire) {
            return Output::Previous;
        }
        if self.await_latch(commit_by_ns) {
            return self.answered();
        }
        self.patience -= 1;
        Output::Late
    }
}

/// A run as the engine sees it: whichever thread passes, ours or a foreign library's, is the driver's device thread then, for
/// calls that the host makes from within its callback and for the alarm.
pub(crate) struct Inside {
    pub(crate) driver: usize,
    pub(crate) run: Arc<RunState>,
}

impl Conduct for Inside {
    fn stop(&self) -> &AtomicBool {
        &self.run.stop
    }

    fn inside(&self, passes: &mut dyn FnMut()) {
        let _role = threads::borrow(self.driver, Role::Device);
        let _inside = alarm::enter();
        passes();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop the world")]

    use super::*;
    use barewire_rt::SimulatedSystem;

    struct Silent;

    impl HostCallbacks for Silent {
        fn has_time_info(&self) -> bool {
            false
        }
        fn buffer_switch(&self, _: Half) {}
        fn buffer_switch_time_info(&self, _: Half, _: &TimeInfo) {}
        fn sample_rate_did_change(&self, _: f64) {}
        fn message(&self, _: i32, _: i32) -> i32 {
            0
        }
    }

    fn client() -> HostClient {
        HostClient {
            inputs: Bank::new(Vec::new(), 64).unwrap(),
            outputs: Bank::new(Vec::new(), 64).unwrap(),
            host: Arc::new(Silent),
            latch: OutputLatch::new(SimulatedSystem::new(1_000_000)),
            run: Arc::new(RunState::default()),
            wants_time: false,
            waits_always: false,
            frames: 16,
            sample_bytes: 4,
            rate: Arc::new(AtomicU32::new(48_000)),
            before: 0,
            answers_later: false,
            patience: PATIENCE,
        }
    }

    fn at(position_frames: u64) -> BlockTime {
        BlockTime { position_frames, ..BlockTime::default() }
    }

    /// Else the next run waits for answers that nobody promised.
    #[test]
    fn the_end_of_a_run_between_two_blocks_is_no_answer_of_the_host() {
        let mut client = client();
        client.begin(Half::Zero, &at(0));
        assert_eq!(client.finish(0), Output::Previous);
        client.run.stop.store(true, Ordering::Release);
        client.latch.release();
        client.begin(Half::One, &at(16));
        client.run.stop.store(false, Ordering::Release);
        client.begin(Half::Zero, &at(0));
        assert_eq!(client.finish(0), Output::Previous);
        assert!(!client.answers_later);
    }

    /// Else "direct" would be silence for every host that does not know the call.
    #[test]
    fn a_host_that_never_calls_is_not_waited_for_even_if_direct_is_set() {
        let mut client = HostClient { waits_always: true, ..client() };
        for n in 0..10_u64 {
            client.begin(if n % 2 == 0 { Half::Zero } else { Half::One }, &at(n * 16));
            assert_eq!(client.finish(0), Output::Previous);
        }
    }

    #[test]
    fn a_host_that_has_ceased_to_call_is_late_a_few_times_and_then_not_waited_for() {
        let mut client = HostClient { waits_always: true, ..client() };
        client.latch.set();
        client.begin(Half::Zero, &at(0));
        let outputs: Vec<Output> = (1..6)
            .map(|n| {
                client.begin(Half::One, &at(n * 16));
                client.finish(0)
            })
            .collect();
        use Output::{Late, Previous};
        assert_eq!(outputs, [Late, Late, Late, Previous, Previous]);
    }

    #[test]
    fn a_call_between_two_blocks_is_an_answer_from_another_thread() {
        let mut client = client();
        client.begin(Half::Zero, &at(0));
        assert_eq!(client.finish(0), Output::Previous);
        client.latch.set();
        client.begin(Half::One, &at(16));
        assert!(client.answers_later);
    }
}
