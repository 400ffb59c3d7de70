//! Dither: the error's mean and power do not depend on the signal, channels and samples are independent, spectra are what they
//! are called. Seeds are fixed; each test states its count of samples and its tolerance.

#![allow(clippy::unwrap_used, reason = "tests")]

use barewire_dsp::{Dither, Mixer, MixerShape, Route, Source};
use barewire_rt::{Area, AreaMut};
use barewire_types::{RateHz, SampleFormat};

const PIECE: usize = 4096;

/// Sends `channels` × `frames` of a signal through a mixer into int16 and gives each channel's error in LSB.
fn errors(
    dither: Dither,
    channels: u16,
    frames: usize,
    signal: impl Fn(usize, usize) -> f64,
) -> Vec<Vec<f64>> {
    let count = usize::from(channels);
    let shape = MixerShape {
        to: SampleFormat::INT16,
        to_channels: channels,
        rate: RateHz::DAT,
        most_frames: 4096,
        dither,
        seed: 20_261_124,
    };
    let mut mixer = Mixer::new(shape).unwrap();
    let routes: Vec<Route> = (0..channels).map(|n| Route { from: n, to: n }).collect();
    let mut source = Source::new(SampleFormat::FLOAT64, channels, channels, &routes, 0).unwrap();
    let mut errors = vec![Vec::with_capacity(frames); count];
    let (mut memory, mut out) = (vec![0; PIECE * count * 8], vec![0; PIECE * count * 2]);
    for start in (0..frames).step_by(PIECE) {
        let length = PIECE.min(frames - start);
        for n in 0..length {
            for channel in 0..count {
                let at = (n * count + channel) * 8;
                let sample = signal(channel, start + n) / 32_768.0;
                memory[at..at + 8].copy_from_slice(&sample.to_le_bytes());
            }
        }
        mixer.begin(u32::try_from(length).unwrap());
        mixer.add(&mut source, Area::from_slice(&memory, count, 8));
        assert!(mixer.finish(AreaMut::from_slice(&mut out, count, 2)).dithered);
        for n in 0..length {
            for (channel, errors) in errors.iter_mut().enumerate() {
                let at = (n * count + channel) * 2;
                let got = f64::from(i16::from_le_bytes(out[at..at + 2].try_into().unwrap()));
                errors.push(got - signal(channel, start + n));
            }
        }
    }
    errors
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

fn variance(x: &[f64]) -> f64 {
    let mean = mean(x);
    x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64
}

/// Correlation of a signal with itself `lag` samples later.
fn correlation(x: &[f64], y: &[f64], lag: usize) -> f64 {
    let (mx, my) = (mean(x), mean(y));
    let sum: f64 = x[..x.len() - lag].iter().zip(&y[lag..]).map(|(x, y)| (x - mx) * (y - my)).sum();
    sum / (x.len() - lag) as f64 / (variance(x) * variance(y)).sqrt()
}

/// 32 levels × 10^6 samples each. Total error: mean 0 ± 0.004 LSB (5σ of the mean is 0.0025), variance 1/4 LSB² ± 0.0025
/// (5σ is 0.0018): Wannamaker, Lipshitz, Vanderkooy and Wright, "A theory of nonsubtractive dither", 2000.
#[test]
fn mean_and_power_of_the_error_do_not_depend_on_the_level() {
    for dither in [Dither::Flat, Dither::HighPass] {
        let level = |channel: usize| 100.0 + channel as f64 / 32.0;
        let errors = errors(dither, 32, 1_000_000, |channel, _| level(channel));
        for (channel, error) in errors.iter().enumerate() {
            let (mean, variance) = (mean(error), variance(error));
            assert!(mean.abs() < 0.004, "{dither:?} at {}: mean {mean}", level(channel));
            assert!(
                (variance - 0.25).abs() < 0.0025,
                "{dither:?} at {}: {variance}",
                level(channel)
            );
        }
    }
}

/// 2·10^7 samples a channel; correlation below 10^-3 (5σ is 1.1·10^-3 / √1 for 2·10^7: 0.0011; the seed is fixed).
#[test]
fn channels_are_independent() {
    let errors = errors(Dither::Flat, 2, 20_000_000, |_, _| 0.3);
    for lag in [0, 1, 2] {
        let found = correlation(&errors[0], &errors[1], lag);
        assert!(found.abs() < 1e-3, "lag {lag}: {found}");
    }
}

/// 4·10^6 samples; correlation at lags 1 to 64 within 0.0026 of what it should be (5σ): 0 for flat; for high-pass the dither's
/// power is 1/6 of 1/4 LSB² and each sample's lies at −1/2 with the next, so −1/3.
#[test]
fn flat_is_white_and_high_pass_rises() {
    for (dither, first) in [(Dither::Flat, 0.0), (Dither::HighPass, -1.0 / 3.0)] {
        let errors = errors(dither, 1, 4_000_000, |_, _| 0.25);
        for lag in 1..=64 {
            let wanted = if lag == 1 { first } else { 0.0 };
            let found = correlation(&errors[0], &errors[0], lag);
            assert!((found - wanted).abs() < 0.0026, "{dither:?} lag {lag}: {found}");
        }
    }
}

/// 2^20 samples: the power of the error between 2.5 and 4.5 kHz, where the ear hears best, falls by 12 dB or more against flat
/// dither; what lies above 16 kHz rises.
#[test]
fn shaped_noise_lies_where_the_ear_hears_least() {
    let band = |errors: &[f64], low_hz: f64, high_hz: f64| {
        // Goertzel at 64 frequencies over 256 stretches.
        let mut power = 0.0;
        for bin in 0..64 {
            let hz = low_hz + (high_hz - low_hz) * f64::from(bin) / 64.0;
            for part in errors.chunks_exact(4096) {
                let turn = 2.0 * (std::f64::consts::TAU * hz / 48_000.0).cos();
                let (mut a, mut b) = (0.0, 0.0);
                for x in part {
                    (a, b) = (x + turn * a - b, a);
                }
                power += a * a + b * b - turn * a * b;
            }
        }
        10.0 * power.log10()
    };
    let flat = errors(Dither::Flat, 1, 1 << 20, |_, _| 0.25);
    let shaped = errors(Dither::Shaped, 1, 1 << 20, |_, _| 0.25);
    let fall = band(&flat[0], 2_500.0, 4_500.0) - band(&shaped[0], 2_500.0, 4_500.0);
    let rise = band(&shaped[0], 18_000.0, 22_000.0) - band(&flat[0], 18_000.0, 22_000.0);
    assert!(fall > 12.0 && rise > 6.0, "falls by {fall} dB, rises by {rise} dB");
    assert!(mean(&shaped[0]).abs() < 0.01);
}

#[test]
fn a_seed_gives_the_same_samples_and_another_others() {
    let run = |seed| {
        let shape = MixerShape {
            to: SampleFormat::INT16,
            to_channels: 1,
            rate: RateHz::DAT,
            most_frames: 4096,
            dither: Dither::Flat,
            seed,
        };
        let mut mixer = Mixer::new(shape).unwrap();
        let routes = [Route { from: 0, to: 0 }];
        let mut source = Source::new(SampleFormat::FLOAT64, 1, 1, &routes, 0).unwrap();
        let memory: Vec<u8> = (0..1000).flat_map(|_| 0.1_f64.to_le_bytes()).collect();
        let mut out = vec![0; 2000];
        mixer.begin(1000);
        mixer.add(&mut source, Area::from_slice(&memory, 1, 8));
        mixer.finish(AreaMut::from_slice(&mut out, 1, 2));
        out
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

/// 10^6 samples of a sine: with dither no sample lies more than 2 LSB from what rounding alone gives.
#[test]
fn dither_moves_no_sample_by_more_than_two_lsb() {
    let sine = |_: usize, n: usize| 20_000.0 * (n as f64 * 0.05).sin();
    for error in &errors(Dither::Flat, 1, 1_000_000, sine)[0] {
        assert!(error.abs() <= 1.5);
    }
}
