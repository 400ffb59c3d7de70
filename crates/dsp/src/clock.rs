//! Clocks: when a device's frames pass, how fast it runs, how far two devices drift apart, and what to do about it.
//!
//! Device positions are read at moments that jitter by scheduling; the estimator is a delay-locked loop of second order
//! (Adriaensen, "Using a DLL to filter time", 2005) whose bandwidth falls as a line fit's memory grows, and opens again when
//! the readings say that the clock has changed.

use barewire_types::{Ns, RateHz};

/// How far back the line is fitted once the clock has proved steady: jitter of 50 µs becomes less than 1 µs, and a crystal
/// that warms up by 1 ppm a minute is followed.
const MEMORY_S: f64 = 20.0;
/// Readings over which a change of the clock is looked for.
const WATCH_S: f64 = 0.25;
/// How many standard deviations of their mean the readings must be off for the clock to have changed.
const CHANGE_SIGMAS: f64 = 6.0;
/// A reading further off than this many standard deviations counts as if it were no further: a late wake.
const OUTLIER_SIGMAS: f64 = 4.0;
/// A reading further off than this is no jitter: the device was stopped or lost frames, and the fit begins anew.
const JUMP_NS: f64 = 100e6;
/// Jitter below this is not looked at: clocks are read in steps of up to 100 ns.
const LEAST_SIGMA_NS: f64 = 100.0;
/// Readings before their spread is believed.
const FEW: f64 = 16.0;
/// Beyond this no clock is off: 1 %.
const MOST_OFF: f64 = 0.01;

/// Fits a line through a device's positions and the times they were read at. For the device thread.
#[derive(Clone, Debug)]
pub struct ClockEstimator {
    nominal_ns: f64,
    anchor: Option<(u64, Ns)>,
    /// What the fitted line lies after the anchor's time.
    offset_ns: f64,
    ns_per_frame: f64,
    readings: f64,
    step_frames: f64,
    variance: f64,
    mean_off: f64,
}

impl ClockEstimator {
    /// An estimator for a device of this nominal rate.
    pub fn new(rate: RateHz) -> Self {
        let nominal_ns = 1e9 / rate.as_f64();
        Self {
            nominal_ns,
            anchor: None,
            offset_ns: 0.0,
            ns_per_frame: nominal_ns,
            readings: 0.0,
            step_frames: 0.0,
            variance: 0.0,
            mean_off: 0.0,
        }
    }

    /// Forgets all readings but keeps the rate found, as after an xrun or a stop.
    pub fn restart(&mut self) {
        *self = Self {
            nominal_ns: self.nominal_ns,
            anchor: None,
            offset_ns: 0.0,
            ns_per_frame: self.ns_per_frame,
            readings: 0.0,
            step_frames: 0.0,
            variance: 0.0,
            mean_off: 0.0,
        };
    }

    /// Takes a reading: at `now`, `position` frames had passed. Positions that do not grow are ignored; a jump of more than
    /// 100 ms begins the fit anew.
    pub fn update(&mut self, position: u64, now: Ns) {
        let Some((anchor, anchor_ns)) = self.anchor else {
            (self.anchor, self.readings) = (Some((position, now)), 1.0);
            return;
        };
        let Some(frames) = position.checked_sub(anchor).filter(|&frames| frames > 0) else {
            if position < anchor {
                self.restart();
            }
            return;
        };
        let frames = as_f64(frames);
        let predicted = self.offset_ns + self.ns_per_frame * frames;
        let off = difference_ns(now, anchor_ns) - predicted;
        if off.abs() > JUMP_NS {
            self.restart();
            (self.anchor, self.readings) = (Some((position, now)), 1.0);
            return;
        }
        self.readings = (self.readings + 1.0).min(self.readings_in(MEMORY_S).max(FEW));
        self.step_frames += (frames - self.step_frames) / self.readings.min(64.0);
        let off = self.watch(off);
        let n = self.readings;
        let to_offset = 2.0 * (2.0 * n - 1.0) / (n * (n + 1.0));
        let to_slope = 6.0 / (n * (n + 1.0));
        self.ns_per_frame = (self.ns_per_frame + to_slope * off / self.step_frames)
            .clamp(self.nominal_ns * (1.0 - MOST_OFF), self.nominal_ns * (1.0 + MOST_OFF));
        self.offset_ns = predicted + to_offset * off - difference_ns(now, anchor_ns);
        self.anchor = Some((position, now));
    }

    /// Tames a late wake, and opens the loop when the clock has changed.
    fn watch(&mut self, off: f64) -> f64 {
        let sigma = self.variance.sqrt().max(LEAST_SIGMA_NS);
        let few = self.readings < FEW;
        let limit = if few { f64::INFINITY } else { OUTLIER_SIGMAS * sigma };
        let tamed = off.clamp(-limit, limit);
        self.variance += (tamed * tamed - self.variance) / self.readings.min(1000.0);
        let watched = self.readings_in(WATCH_S).max(FEW);
        self.mean_off += (tamed - self.mean_off) / watched;
        // The mean of independent readings that are weighted like this spreads by so much.
        let spread = sigma / (2.0 * watched - 1.0).sqrt();
        if self.readings > 2.0 * watched && self.mean_off.abs() > CHANGE_SIGMAS * spread {
            self.readings = watched;
            self.mean_off = 0.0;
        }
        tamed
    }

    fn readings_in(&self, seconds: f64) -> f64 {
        seconds * 1e9 / (self.nominal_ns * self.step_frames.max(1.0))
    }

    /// When frame `position` passes or has passed, by the fitted line; `None` before the first reading.
    pub fn ns_at(&self, position: u64) -> Option<Ns> {
        let (anchor, anchor_ns) = self.anchor?;
        let frames = difference_frames(position, anchor);
        Some(moved(anchor_ns, self.offset_ns + frames * self.ns_per_frame))
    }

    /// Frames that have passed at `now`, and the fraction of the next; `None` before the first reading.
    pub fn position_at(&self, now: Ns) -> Option<(u64, f64)> {
        let (anchor, anchor_ns) = self.anchor?;
        let frames = (difference_ns(now, anchor_ns) - self.offset_ns) / self.ns_per_frame;
        let whole = frames.floor();
        Some((moved(anchor, whole), frames - whole))
    }

    /// The rate found, in frames a second of the clock that the readings were timed by.
    pub fn rate_hz(&self) -> f64 {
        1e9 / self.ns_per_frame
    }

    /// By how much the device runs faster than its nominal rate.
    pub fn off_ppm(&self) -> f64 {
        (self.nominal_ns / self.ns_per_frame - 1.0) * 1e6
    }

    /// How sure [`off_ppm`](Self::off_ppm) is: its standard deviation.
    pub fn uncertainty_ppm(&self) -> f64 {
        if self.readings < FEW {
            return MOST_OFF * 1e6;
        }
        let sigma = self.variance.sqrt().max(LEAST_SIGMA_NS);
        sigma * 12_f64.sqrt() / (self.nominal_ns * self.step_frames * self.readings.powf(1.5)) * 1e6
    }
}

/// By how much `follower` runs faster than `leader`, each measured against its nominal rate.
pub fn drift_ppm(follower: &ClockEstimator, leader: &ClockEstimator) -> f64 {
    ((1.0 + follower.off_ppm() * 1e-6) / (1.0 + leader.off_ppm() * 1e-6) - 1.0) * 1e6
}

/// Keeps a FIFO between two clocks at its target fill: the drift found, and a little for the fill to come back.
#[derive(Clone, Copy, Debug)]
pub struct FillServo {
    target_frames: f64,
    rate_hz: f64,
}

/// The time in which the servo takes back an error of the fill.
const SERVO_S: f64 = 5.0;
/// The most that the servo adds to the drift: a pitch that nobody hears.
const SERVO_PPM: f64 = 300.0;

impl FillServo {
    /// A servo for a FIFO of frames at `rate` that is to hold `target_frames`.
    pub fn new(rate: RateHz, target_frames: u32) -> Self {
        Self { target_frames: f64::from(target_frames), rate_hz: rate.as_f64() }
    }

    /// What [`Resampler::set_drift_ppm`](crate::Resampler::set_drift_ppm) is to be told, given the drift found and the FIFO's
    /// fill. The fill should come from both clocks' fitted positions, which do not jitter.
    pub fn ppm(&self, drift_ppm: f64, fill_frames: f64) -> f64 {
        let back = (fill_frames - self.target_frames) / (self.rate_hz * SERVO_S) * 1e6;
        drift_ppm + back.clamp(-SERVO_PPM, SERVO_PPM)
    }
}

fn as_f64(x: u64) -> f64 {
    // Differences of neighbouring readings: far below 2^53.
    x as f64
}

fn difference_ns(later: Ns, earlier: Ns) -> f64 {
    difference_frames(later, earlier)
}

fn difference_frames(later: u64, earlier: u64) -> f64 {
    if later >= earlier { as_f64(later - earlier) } else { -as_f64(earlier - later) }
}

/// `x` and a signed distance, rounded down.
fn moved(x: u64, by: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "float casts saturate, the sign is taken off"
    )]
    let distance = by.abs().round() as u64;
    if by >= 0.0 { x.saturating_add(distance) } else { x.saturating_sub(distance) }
}
