//! Where a run is: positions that advance by whole blocks, and times that run smoothly and never go back.

use crate::client::BlockTime;
use barewire_device::Period;
use barewire_dsp::ClockEstimator;
use barewire_types::{Ns, RateHz, frames_to_ns};

/// The positions and times of one run.
#[derive(Debug)]
pub(crate) struct Timeline {
    block_frames: u32,
    rate: RateHz,
    clock: ClockEstimator,
    /// Position of the block that is due next.
    next_frames: u64,
    /// Missed frames that do not make a whole block yet.
    debt_frames: u64,
    /// Whether frames were missed since the latest block.
    xrun: bool,
    /// Time of the latest block.
    latest_ns: Option<Ns>,
}

impl Timeline {
    pub(crate) fn new(rate: RateHz, block_frames: u32) -> Self {
        Self {
            block_frames,
            rate,
            clock: ClockEstimator::new(rate),
            next_frames: 0,
            debt_frames: 0,
            xrun: false,
            latest_ns: None,
        }
    }

    /// The rate of the latest period.
    pub(crate) fn rate(&self) -> RateHz {
        self.rate
    }

    /// Takes in a period: an observation of the device's clock, and what was missed before it. Missed frames move the
    /// position by whole blocks; the rest is kept for the next time, so that positions never drift from the device's.
    pub(crate) fn observe(&mut self, rate: RateHz, period: &Period) {
        if rate != self.rate {
            (self.rate, self.clock) = (rate, ClockEstimator::new(rate));
        }
        if period.missed_frames > 0 {
            let all = self.debt_frames + u64::from(period.missed_frames);
            self.debt_frames = all % u64::from(self.block_frames.max(1));
            self.next_frames += all - self.debt_frames;
            self.xrun = true;
            self.clock.restart();
        }
        self.clock.update(period.position_frames, period.at_ns);
    }

    /// The block that is complete now, while `later_frames` of the period lie behind it; the next one is due.
    pub(crate) fn next(&mut self, period: &Period, later_frames: u32) -> BlockTime {
        let later = u64::from(later_frames);
        let fitted = self.clock.ns_at(period.position_frames.saturating_sub(later));
        let raw = || period.at_ns.saturating_sub(frames_to_ns(later, self.rate));
        let least_ns = self.latest_ns.map_or(0, |ns| ns.saturating_add(1));
        let at_ns = fitted.unwrap_or_else(raw).max(least_ns);
        self.latest_ns = Some(at_ns);
        let position_frames = self.next_frames;
        self.next_frames += u64::from(self.block_frames);
        let xrun = std::mem::take(&mut self.xrun);
        BlockTime { position_frames, at_ns, commit_by_ns: period.commit_by_ns, xrun }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn period(position_frames: u64, at_ns: Ns, missed_frames: u32) -> Period {
        Period { position_frames, at_ns, missed_frames, ..Period::default() }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn positions_follow_the_devices_within_a_block(
            misses in prop::collection::vec(0_u32..2000, 1..60), block in 1_u32..1000,
        ) {
            let mut timeline = Timeline::new(RateHz::DAT, block);
            let mut device = 0;
            for (n, missed) in (0..).zip(misses) {
                device += u64::from(missed);
                timeline.observe(RateHz::DAT, &period(device + u64::from(block), n, missed));
                let time = timeline.next(&period(device + u64::from(block), n, missed), 0);
                prop_assert_eq!(time.position_frames % u64::from(block), 0);
                prop_assert!(time.position_frames <= device);
                prop_assert!(device - time.position_frames < u64::from(block));
                prop_assert_eq!(time.xrun, missed > 0);
                device += u64::from(block);
            }
        }

        #[test]
        fn times_never_go_back_whatever_the_device_says(
            readings in prop::collection::vec((0_u64..1_000_000, 0_u64..10_000_000_000), 1..100),
        ) {
            let mut timeline = Timeline::new(RateHz::DAT, 64);
            let mut last = None;
            for (position, ns) in readings {
                let period = period(position, ns, 0);
                timeline.observe(RateHz::DAT, &period);
                let at_ns = timeline.next(&period, 0).at_ns;
                prop_assert!(last.is_none_or(|last| at_ns > last));
                last = Some(at_ns);
            }
        }
    }

    #[test]
    fn wake_ups_that_jitter_give_times_that_do_not() {
        let mut timeline = Timeline::new(RateHz::DAT, 48);
        let mut worst_ns = 0;
        for n in 1..20_000_u64 {
            // 48 frames are a millisecond; the readings come up to 50 µs late.
            let jitter_ns = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 50_000;
            let period = period(n * 48, n * 1_000_000 + jitter_ns, 0);
            timeline.observe(RateHz::DAT, &period);
            let at_ns = timeline.next(&period, 0).at_ns;
            if n > 5_000 {
                worst_ns = worst_ns.max(at_ns.abs_diff(n * 1_000_000 + 25_000));
            }
        }
        assert!(worst_ns < 3_000, "{worst_ns} ns off the line");
    }
}
