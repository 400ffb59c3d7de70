//! Where the hardware is, from what its clock says at each wake-up: how late we are, what was missed, and which captured
//! frame belongs to which played one. Pure arithmetic, no calls.

use crate::lines::Stamp;
use barewire_types::{Ns, RateHz};

/// A position of the hardware in frames, and when it was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) frames: i64,
    pub(crate) at_ns: Ns,
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The whole frames that pass from `from` to `to`, negative if `to` is earlier. Hardware counts whole frames too; times
/// are known to a fraction of one, so a little less than a whole one counts.
pub(crate) fn frames_between(from: Ns, to: Ns, rate: RateHz) -> i64 {
    let ns = i128::from(to) - i128::from(from);
    let frames = (ns * i128::from(rate.get()) + 50_000_000).div_euclid(1_000_000_000);
    i64::try_from(frames).unwrap_or(if frames < 0 { i64::MIN } else { i64::MAX })
}

/// `at_ns` moved by so many frames.
pub(crate) fn shifted(at_ns: Ns, frames: i64, rate: RateHz) -> Ns {
    let ns = i128::from(frames) * 1_000_000_000 / i128::from(rate.get());
    Ns::try_from(i128::from(at_ns) + ns).unwrap_or(0)
}

/// How far played frames lie ahead of the hardware. `lead` is the frames handed over less those that it has played.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Course {
    /// The lead at a wake-up that comes just in time.
    usual: i64,
    /// Frames that the hardware went through without our having handed them over.
    skipped: i64,
    /// When the latest wake-up came, and how late it was.
    wake_ns: Ns,
    late: i64,
}

/// What a wake-up turned out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lateness {
    /// Frames that have passed since this wake-up should have come; negative if it came early.
    pub(crate) frames: i64,
    /// Whole periods that nobody filled.
    pub(crate) missed_periods: u32,
}

impl Course {
    /// From the leads of a rehearsal: the greatest is that of the least late wake-up. The first half is left out, for
    /// positions stay at 0 for some milliseconds after a start.
    ///
    /// Of two halves the second is played while the first is written anew, so that frames lie at least a half ahead. If they
    /// seem to lie less far, the hardware went through the second half before its first event: frames nobody wrote.
    pub(crate) fn from_leads(leads: &[i64], half_frames: Option<u32>, now: Ns) -> Option<Self> {
        let usual = leads.get(leads.len() / 2..)?.iter().copied().max()?;
        let half = i64::from(half_frames.unwrap_or(0));
        let skipped = if usual * 2 < half { half } else { 0 };
        Some(Self { usual: usual + skipped, skipped, wake_ns: now, late: 0 })
    }

    pub(crate) fn skipped(&self) -> i64 {
        self.skipped
    }

    pub(crate) fn usual(&self) -> i64 {
        self.usual
    }

    /// Frames handed over and gone through without us, of `written` handed over.
    pub(crate) fn passed(&self, written: u64) -> i64 {
        signed(written) + self.skipped
    }

    /// Judges a wake-up of a stream that takes one whole period at a time.
    pub(crate) fn judge(
        &mut self,
        written: u64,
        spot: Spot,
        period_frames: u32,
        rate: RateHz,
        now: Ns,
    ) -> Lateness {
        let lead = self.passed(written) - spot.frames;
        let period = i64::from(period_frames);
        let late = self.usual - lead;
        let since = frames_between(self.wake_ns, now, rate);
        let jump = late - self.late;
        (self.wake_ns, self.late) = (now, late);
        if late < period {
            return Lateness { frames: late, missed_periods: 0 };
        }
        // A clock that stands still for a while and then jumps is no loss: wake-ups came as usual then. A loss whose first
        // wake-up came early shows later, without a jump.
        if jump * 2 > period && since * 2 < period * 3 {
            (self.usual, self.late) = (lead, 0);
            return Lateness::default();
        }
        let missed = late / period;
        self.skipped += missed * period;
        self.late = late - missed * period;
        let missed_periods = u32::try_from(missed).unwrap_or(u32::MAX);
        Lateness { frames: self.late, missed_periods }
    }

    /// How late a wake-up is for a stream whose queue tells what is due. A clock that went its own way, as some do while
    /// nothing is queued, is followed.
    pub(crate) fn lateness(&mut self, written: u64, spot: Spot, most_frames: u32) -> i64 {
        let late = self.usual - (self.passed(written) - spot.frames);
        if late.abs() > i64::from(most_frames) {
            self.skipped += late;
            return 0;
        }
        late
    }
}

/// Captured frames less played ones at one moment, from pairs of observations.
///
/// Hardware counts whole frames, so a played position lags by up to one: of several pairs those are nearest to the truth
/// whose played position has just changed, which are the least. The very least is left out as an outlier if there are many.
pub(crate) fn offset(pairs: &mut [(Spot, Stamp)], rate: RateHz) -> Option<i64> {
    const PARTS: i128 = 1000;
    let value = |(played, captured): &(Spot, Stamp)| {
        let ns = i128::from(played.at_ns) - i128::from(captured.at_ns);
        let frames = i128::from(captured.index) - i128::from(played.frames);
        frames * PARTS + ns * i128::from(rate.get()) * PARTS / 1_000_000_000
    };
    pairs.sort_unstable_by_key(value);
    let parts = value(pairs.get(pairs.len() / 8)?);
    i64::try_from((parts + PARTS / 2).div_euclid(PARTS)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PERIOD: u32 = 144;

    fn ns(frames: i64) -> Ns {
        shifted(0, frames, RateHz::DAT)
    }

    proptest! {
        /// Wake-ups that come up to a millisecond off are neither lost nor invented, and one that stays away for whole
        /// periods is counted once.
        #[test]
        fn misses_are_counted_and_jitter_is_not(
            jitter in proptest::collection::vec(-48..=48_i64, 60),
            away in 1..5_u32,
            at in 10..50_usize,
            fifo in 0..500_i64,
        ) {
            let period = i64::from(PERIOD);
            let mut course =
                Course { usual: period + fifo, skipped: 0, wake_ns: 1_000_000_000, late: 0 };
            let (mut lost, mut counted) = (0, 0);
            let mut written = PERIOD.into();
            for (n, jitter) in jitter.into_iter().chain([0]).enumerate() {
                if n == at {
                    lost = away;
                }
                let boundary = i64::try_from(n).unwrap() * period + i64::from(lost) * period;
                let now = 1_000_000_000 + ns(boundary + jitter + period);
                let spot = Spot { frames: boundary + jitter - fifo, at_ns: now };
                let judged = course.judge(written, spot, PERIOD, RateHz::DAT, now);
                counted += judged.missed_periods;
                prop_assert!(counted <= lost, "{} of {} at {}", counted, lost, n);
                // A loss shows at the first wake-up after it that is not early.
                if n < at || counted == away {
                    prop_assert_eq!(judged.frames, jitter);
                }
                written += u64::from(PERIOD);
            }
            prop_assert_eq!(counted, away);
        }

        #[test]
        fn captured_and_played_frames_are_matched(
            delay in -5_000..5_000_i64,
            steps in proptest::collection::vec((0..480_i64, 0..480_i64), 1..9),
        ) {
            let mut pairs: Vec<(Spot, Stamp)> = (1..).zip(steps).map(|(n, (played, captured))| {
                let at = 100_000 + n * 1000;
                let spot = Spot { frames: at + played - delay, at_ns: ns(at + played) };
                let index = u64::try_from(at + captured).unwrap();
                (spot, Stamp { index, at_ns: ns(at + captured) })
            }).collect();
            prop_assert_eq!(offset(&mut pairs, RateHz::DAT), Some(delay));
        }
    }

    #[test]
    fn a_clock_that_stands_still_and_then_jumps_is_no_loss() {
        let mut course = Course { usual: 600, skipped: 0, wake_ns: 0, late: 0 };
        let spot = Spot { frames: 0, at_ns: 0 };
        let judged = course.judge(144, spot, PERIOD, RateHz::DAT, ns(144));
        assert_eq!(judged, Lateness::default());
        assert_eq!(course.usual(), 144);
    }
}
