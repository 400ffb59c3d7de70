//! Noise shaping: error feedback whose coefficients put the rounding noise where the ear hears least. Opt-in, and only at
//! the rates that it is computed for.

use barewire_types::{Error, ErrorKind, RateHz};

/// Channels that are shaped side by side: one vector of 256 bits.
pub(crate) const LANES: usize = 4;
/// One frame of them.
pub(crate) type Frame = [f64; LANES];
/// Coefficients of the error feedback: enough to follow the ear's dip at 3–4 kHz and its rise above 15 kHz.
pub(crate) const SHAPE_TAPS: usize = 9;
/// How far above its lowest point the noise may be raised, in dB: the threshold of hearing rises beyond all bounds towards
/// 20 kHz, and the more it is followed, the louder the noise as a whole.
const MOST_RISE_DB: f64 = 36.0;
/// Frequencies at which the threshold is taken.
const POINTS: u32 = 1024;

/// The feedback of up to [`LANES`] channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// What the errors to come are multiplied with, the nearest first.
    pub(crate) taps: [f64; SHAPE_TAPS],
    /// What past errors add to the frames ahead; the last one stays 0.
    pub(crate) ahead: [Frame; SHAPE_TAPS + 1],
}

impl Shape {
    /// The feedback for a rate.
    ///
    /// # Errors
    /// `Unsupported` at rates other than 44.1 and 48 kHz.
    pub(crate) fn new(rate: RateHz) -> Result<Self, Error> {
        if rate != RateHz::CD && rate != RateHz::DAT {
            let message = format!("there is no shaped dither for {rate}");
            return Err(Error::new(ErrorKind::Unsupported, message)
                .remedy("choose flat or high-pass dither, or a rate of 44100 or 48000 Hz"));
        }
        Ok(Self { taps: taps(rate), ahead: [[0.0; LANES]; SHAPE_TAPS + 1] })
    }

    /// Forgets the past errors of a lane.
    pub(crate) fn reset(&mut self, lane: usize) {
        for ahead in &mut self.ahead {
            ahead[lane] = 0.0;
        }
    }
}

/// The filter of this length whose noise, weighted by the ear's sensitivity, has the least power: linear prediction of a
/// signal with the sensitivity's spectrum (Levinson and Durbin).
fn taps(rate: RateHz) -> [f64; SHAPE_TAPS] {
    let mut correlation = [0.0; SHAPE_TAPS + 1];
    let nyquist_khz = rate.as_f64() / 2000.0;
    let lowest = (1..POINTS)
        .map(|n| threshold_db(f64::from(n) / f64::from(POINTS) * nyquist_khz))
        .fold(f64::INFINITY, f64::min);
    for n in 0..POINTS {
        let place = (f64::from(n) + 0.5) / f64::from(POINTS);
        let rise = (threshold_db(place * nyquist_khz) - lowest).min(MOST_RISE_DB);
        let sensitivity = f64::powf(10.0, -rise / 10.0);
        for (lag, sum) in (0_u32..).zip(&mut correlation) {
            *sum += sensitivity * (std::f64::consts::PI * place * f64::from(lag)).cos();
        }
    }
    let mut taps = [0.0; SHAPE_TAPS];
    let mut error = correlation[0];
    for order in 0..SHAPE_TAPS {
        let predicted: f64 = (0..order).map(|n| taps[n] * correlation[order - n]).sum();
        let reflection = -(correlation[order + 1] + predicted) / error;
        let before = taps;
        for n in 0..order {
            taps[n] = before[n] + reflection * before[order - 1 - n];
        }
        taps[order] = reflection;
        error *= 1.0 - reflection * reflection;
    }
    taps
}

/// The threshold of hearing in quiet (Terhardt 1979), in dB SPL.
fn threshold_db(khz: f64) -> f64 {
    let khz = khz.max(0.02);
    3.64 * khz.powf(-0.8) - 6.5 * (-0.6 * (khz - 3.3).powi(2)).exp() + 1e-3 * khz.powi(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise_db(taps: &[f64], place: f64) -> f64 {
        let (mut re, mut im) = (1.0, 0.0);
        for (n, tap) in (1_u32..).zip(taps) {
            let angle = std::f64::consts::PI * place * f64::from(n);
            re += tap * angle.cos();
            im -= tap * angle.sin();
        }
        10.0 * (re * re + im * im).log10()
    }

    #[test]
    fn the_ear_hears_at_least_10_db_less_noise_than_without() {
        for rate in [RateHz::CD, RateHz::DAT] {
            let taps = taps(rate);
            let (mut shaped, mut flat) = (0.0, 0.0);
            for n in 1..4000 {
                let place = f64::from(n) / 4000.0;
                let heard = -threshold_db(place * rate.as_f64() / 2000.0);
                shaped += f64::powf(10.0, (heard + noise_db(&taps, place)) / 10.0);
                flat += f64::powf(10.0, heard / 10.0);
            }
            let gain = 10.0 * f64::log10(flat / shaped);
            assert!(gain > 10.0, "{rate}: {gain} dB");
            let loudest =
                (1..4000).map(|n| noise_db(&taps, f64::from(n) / 4000.0)).fold(0.0, f64::max);
            assert!(loudest < 40.0, "{rate}: raised by {loudest} dB");
        }
    }

    #[test]
    fn other_rates_are_refused() {
        for hz in [32_000, 88_200, 96_000] {
            assert!(Shape::new(RateHz::new(hz).unwrap()).is_err());
        }
    }
}
