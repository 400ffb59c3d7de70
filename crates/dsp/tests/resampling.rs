//! The resampler: clean, flat, of known delay, at fixed and at changing ratios. `cargo test -p barewire-dsp --test resampling --
//! --nocapture` prints the figures of `docs/resampling.md`.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests"
)]

use barewire_dsp::{Dither, Resampler, ResamplerShape};
use barewire_rt::{Area, AreaMut};
use barewire_types::{RateHz, SampleFormat};
use proptest::prelude::*;
use std::f64::consts::TAU;

const FLOAT64: SampleFormat = SampleFormat::FLOAT64;
const MINUS_1_DB: f64 = 0.891_250_938_133_745_6;

fn shape(from_hz: u32, to_hz: u32, channels: u16) -> ResamplerShape {
    ResamplerShape {
        from: FLOAT64,
        from_rate: RateHz::new(from_hz).unwrap(),
        to: FLOAT64,
        to_rate: RateHz::new(to_hz).unwrap(),
        channels,
        most_frames: 1024,
        dither: Dither::Off,
        seed: 0,
    }
}

/// Feeds and produces in pieces until `frames` output frames of channel 0 are there.
fn run(
    resampler: &mut Resampler,
    channels: usize,
    frames: usize,
    piece: u32,
    mut input: impl FnMut(u64) -> f64,
) -> Vec<f64> {
    let (mut fed, mut out) = (0, Vec::new());
    while out.len() < frames {
        let needed = resampler.needed_frames(piece);
        let mut memory = Vec::new();
        for n in 0..u64::from(needed) {
            let sample = input(fed + n);
            (0..channels).for_each(|_| memory.extend(sample.to_le_bytes()));
        }
        let taken = resampler.feed(Area::from_slice(&memory, channels, 8)).frames;
        fed += u64::from(taken);
        let mut produced = vec![0; piece as usize * channels * 8];
        let got = resampler.produce(AreaMut::from_slice(&mut produced, channels, 8));
        if taken == needed {
            assert_eq!(got, piece, "what was needed sufficed");
        }
        let frame_bytes = channels * 8;
        for frame in produced.chunks(frame_bytes).take(got as usize) {
            assert!(frame.chunks(8).all(|s| s == &frame[..8]), "all channels are alike");
            out.push(f64::from_le_bytes(frame[..8].try_into().unwrap()));
        }
    }
    out.truncate(frames);
    out
}

/// Level in dB against full scale, residual in dB against the tone, and phase, of the sine that fits best.
fn fit(samples: &[f64], cycles_per_frame: f64) -> (f64, f64, f64) {
    let (mut ss, mut sc, mut cc, mut xs, mut xc) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let basis = |n: usize| (TAU * (cycles_per_frame * n as f64).fract()).sin_cos();
    for (n, x) in samples.iter().enumerate() {
        let (s, c) = basis(n);
        ss += s * s;
        sc += s * c;
        cc += c * c;
        xs += x * s;
        xc += x * c;
    }
    let det = ss * cc - sc * sc;
    let (a, b) = ((xs * cc - xc * sc) / det, (xc * ss - xs * sc) / det);
    let residual: f64 = samples
        .iter()
        .enumerate()
        .map(|(n, x)| {
            let (s, c) = basis(n);
            (x - a * s - b * c).powi(2)
        })
        .sum();
    let power = (a * a + b * b) / 2.0;
    let residual = residual / samples.len() as f64;
    (10.0 * (2.0 * power).log10(), 10.0 * (residual / power).log10(), b.atan2(a))
}

/// Level error and THD+N of a tone at −1 dBFS.
fn measure(from_hz: u32, to_hz: u32, ppm: f64, tone_hz: f64) -> (f64, f64) {
    let mut resampler = Resampler::new(shape(from_hz, to_hz, 2)).unwrap();
    resampler.set_drift_ppm(ppm);
    let cycles = tone_hz / f64::from(from_hz);
    let out = run(&mut resampler, 2, 70_000, 512, |n| {
        MINUS_1_DB * (TAU * (cycles * n as f64).fract()).sin()
    });
    let out_cycles = cycles * f64::from(from_hz) / f64::from(to_hz) * (1.0 + ppm * 1e-6);
    let (level, thd, _) = fit(&out[4096..], out_cycles);
    (level + 1.0, thd)
}

#[test]
fn tones_stay_clean_to_150_db_and_flat_to_a_tenth_of_a_db() {
    println!("| from | to | drift | tone | level | THD+N |\n|---|---|---|---|---|---|");
    for (from, to, ppm) in [
        (44_100, 48_000, 0.0),
        (44_100, 48_000, 100.0),
        (48_000, 48_000, 100.0),
        (48_000, 48_000, -333.3),
        (48_000, 44_100, 0.0),
        (96_000, 48_000, 50.0),
        (44_100, 192_000, 0.0),
    ] {
        for tone in [997.0, 10_000.0, 18_000.0, 20_000.0] {
            let (level, thd) = measure(from, to, ppm, tone);
            println!("| {from} | {to} | {ppm} ppm | {tone} Hz | {level:+.4} dB | {thd:.1} dB |");
            assert!(level.abs() < 0.1, "{from} {to} {ppm} {tone}: {level} dB");
            assert!(thd < -150.0, "{from} {to} {ppm} {tone}: {thd} dB");
        }
    }
}

#[test]
fn what_lies_above_the_slower_rates_half_is_gone() {
    // 30 kHz cannot be held at 48 kHz; what is left of it would be heard at 18 kHz.
    let mut resampler = Resampler::new(shape(96_000, 48_000, 1)).unwrap();
    let out = run(&mut resampler, 1, 20_000, 512, |n| (TAU * 0.3125 * n as f64).sin());
    let power: f64 = out[1000..].iter().map(|x| x * x).sum::<f64>() / 19_000.0;
    assert!(10.0 * power.log10() < -150.0, "{}", 10.0 * power.log10());
}

#[test]
fn the_delay_is_what_is_said() {
    for (from, to) in [(44_100, 48_000), (48_000, 44_100), (48_000, 48_000), (96_000, 44_100)] {
        let mut resampler = Resampler::new(shape(from, to, 1)).unwrap();
        let cycles = 997.0 / f64::from(from);
        let out = run(&mut resampler, 1, 20_000, 256, |n| (TAU * cycles * n as f64).sin());
        let (_, _, phase) = fit(&out[2000..], 997.0 / f64::from(to));
        let at_start = phase - TAU * 997.0 / f64::from(to) * 2000.0;
        let delay = (-at_start / TAU).rem_euclid(1.0) / cycles;
        let wanted = f64::from(resampler.delay_frames()) % (1.0 / cycles);
        assert!((delay - wanted).abs() < 1e-6, "{from} {to}: {delay} {wanted}");
    }
}

#[test]
fn a_ratio_that_moves_by_a_few_ppm_makes_no_noise() {
    // A servo's small corrections, ten times a second: the tone may wander in phase, but what lies beside it must stay low.
    let mut resampler = Resampler::new(shape(48_000, 48_000, 1)).unwrap();
    let mut fed = 0_u64;
    let mut out = Vec::new();
    let tone = |n: u64| MINUS_1_DB * (TAU * (10_000.0 / 48_000.0 * n as f64).fract()).sin();
    for piece in 0..400_u32 {
        resampler.set_drift_ppm(100.0 + f64::from(piece / 20 % 2));
        let needed = resampler.needed_frames(240);
        let memory: Vec<u8> =
            (0..u64::from(needed)).flat_map(|n| tone(fed + n).to_le_bytes()).collect();
        fed += u64::from(resampler.feed(Area::from_slice(&memory, 1, 8)).frames);
        let mut produced = vec![0; 240 * 8];
        assert_eq!(resampler.produce(AreaMut::from_slice(&mut produced, 1, 8)), 240);
        out.extend(produced.chunks(8).map(|s| f64::from_le_bytes(s.try_into().unwrap())));
    }
    // A frequency step of 1 ppm at 10 kHz is 0.01 Hz; each stretch between two steps is a pure tone.
    for (index, part) in out.chunks(4800).enumerate().skip(1) {
        let drift = 100.0 + (index % 2) as f64;
        let (_, thd, _) = fit(&part[512..], 10_000.0 / 48_000.0 * (1.0 + drift * 1e-6));
        assert!(thd < -150.0, "stretch {index}: {thd} dB");
    }
}

#[test]
fn mono_and_many_channels_are_computed_as_stereo_is() {
    let tone = |n: u64| (TAU * 0.01 * n as f64).sin() * 0.5;
    let mut mono = Resampler::new(shape(44_100, 48_000, 1)).unwrap();
    let mut stereo = Resampler::new(shape(44_100, 48_000, 2)).unwrap();
    let mut many = Resampler::new(shape(44_100, 48_000, 7)).unwrap();
    let wanted = run(&mut stereo, 2, 3000, 100, tone);
    assert_eq!(run(&mut mono, 1, 3000, 333, tone), wanted);
    assert_eq!(run(&mut many, 7, 3000, 64, tone), wanted);
}

#[test]
fn silence_is_silence_and_integers_are_dithered() {
    let shape = ResamplerShape {
        from: SampleFormat::INT32,
        to: SampleFormat::INT16,
        dither: Dither::Flat,
        ..shape(44_100, 48_000, 2)
    };
    let mut resampler = Resampler::new(shape).unwrap();
    let mut out = vec![1; 800];
    resampler.feed(Area::from_slice(&[0; 8000], 2, 4));
    assert_eq!(resampler.produce(AreaMut::from_slice(&mut out, 2, 2)), 200);
    assert!(out.iter().all(|&b| b == 0));
    resampler.feed(Area::from_slice(&[0x11; 2000], 2, 4));
    while resampler.produce(AreaMut::from_slice(&mut out, 2, 2)) == 200 {}
    assert!(out.iter().any(|&b| b != 0));
}

#[test]
fn rates_and_formats_that_do_not_fit_are_errors() {
    assert!(Resampler::new(shape(8_000, 768_000, 2)).is_err());
    assert!(Resampler::new(shape(44_100, 48_000, 257)).is_err());
    let dsd = SampleFormat::from_name("dsd8msb").unwrap();
    assert!(Resampler::new(ResamplerShape { from: dsd, ..shape(44_100, 48_000, 2) }).is_err());
    assert!(Resampler::new(ResamplerShape { to: dsd, ..shape(44_100, 48_000, 2) }).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_order_of_calls_neither_panics_nor_loses_count(
        from in 8_000_u32..200_000, to in 8_000_u32..200_000, channels in 0_u16..4,
        calls in prop::collection::vec((0_u32..1500, 0_u32..1500, any::<f64>()), 1..20),
    ) {
        let mut resampler = Resampler::new(shape(from, to, channels)).unwrap();
        let bytes = usize::from(channels) * 8;
        for (feed, take, ppm) in calls {
            let memory = vec![0; feed as usize * bytes];
            let taken = resampler.feed(Area::from_slice(&memory, channels.into(), 8)).frames;
            prop_assert!(taken <= feed);
            resampler.set_drift_ppm(ppm);
            let ready = resampler.needed_frames(take.min(1024)) == 0;
            let mut out = vec![0; take as usize * bytes];
            let got = resampler.produce(AreaMut::from_slice(&mut out, channels.into(), 8));
            if channels > 0 {
                prop_assert_eq!(got == take.min(1024), ready);
            }
        }
    }
}
