//! Gain that changes without a click and ends on exactly what was asked for.

/// The loudest gain that is taken, 60 dB: beyond it lies a mistake, and the bus must not overflow.
pub(crate) const MOST_GAIN: f64 = 1000.0;

/// A gain and the ramp it is on, if it is on one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gain {
    from: f64,
    to: f64,
    passed: u32,
    ramp_frames: u32,
}

impl Gain {
    /// A gain of exactly 1; changes will take `ramp_frames`.
    pub(crate) fn unity(ramp_frames: u32) -> Self {
        Self { from: 1.0, to: 1.0, passed: ramp_frames, ramp_frames }
    }

    /// Starts the way from the gain in force to `gain`. What is not a number is taken for 0.
    pub(crate) fn set(&mut self, gain: f64) {
        let gain = if gain.is_nan() { 0.0 } else { gain.clamp(-MOST_GAIN, MOST_GAIN) };
        if gain.to_bits() != self.to.to_bits() {
            *self = Self { from: self.now(), to: gain, passed: 0, ..*self };
        }
    }

    /// Like [`set`](Self::set), without a way.
    pub(crate) fn begin_at(&mut self, gain: f64) {
        self.set(gain);
        self.passed = self.ramp_frames;
    }

    /// The gain, if it is on no ramp.
    pub(crate) fn steady(&self) -> Option<f64> {
        (self.passed >= self.ramp_frames).then_some(self.to)
    }

    /// What the gain will be.
    pub(crate) fn goal(&self) -> f64 {
        self.to
    }

    /// Writes the gains of the next frames and goes on to the frames after.
    pub(crate) fn ramp(&mut self, gains: &mut [f64]) {
        for gain in gains {
            self.passed = self.passed.saturating_add(1).min(self.ramp_frames);
            *gain = self.now();
        }
    }

    /// The gain after the frames that have passed: an S whose slope is 0 at both ends.
    fn now(&self) -> f64 {
        if self.passed >= self.ramp_frames {
            return self.to;
        }
        let x = f64::from(self.passed) / f64::from(self.ramp_frames);
        self.from + (self.to - self.from) * (x * x * (3.0 - 2.0 * x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_ends_on_exactly_the_gain_and_never_jumps() {
        let mut gain = Gain::unity(1000);
        assert_eq!(gain.steady(), Some(1.0));
        for goal in [0.0, 0.3, 1.0] {
            let start = gain.now();
            gain.set(goal);
            assert_eq!(gain.steady(), None);
            let mut gains = [0.0; 1000];
            gain.ramp(&mut gains);
            let mut before = start;
            for now in gains {
                assert!((now - before).abs() < 0.0016, "{before} {now}");
                before = now;
            }
            assert_eq!((before, gain.steady()), (goal, Some(goal)));
        }
    }

    #[test]
    fn nonsense_is_silence_or_the_limit() {
        let mut gain = Gain::unity(0);
        for (asked, got) in [(f64::NAN, 0.0), (f64::INFINITY, MOST_GAIN), (1.0, 1.0)] {
            gain.set(asked);
            assert_eq!(gain.steady(), Some(got));
        }
    }
}
