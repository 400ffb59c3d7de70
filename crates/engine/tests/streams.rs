//! Streams made of streams: latency told is latency measured, sound stays clean, nothing runs dry.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a test may stop the world"
)]

mod rig;

use barewire_device::{Backend, DeviceId, Layout, OpenRequest, SideRequest, Stream, Wake};
use barewire_engine::{
    Clocks, EventKind, Fallback, Flow, Looped, Output, Paired, Plan, Resampled, Telemetry, latency,
};
use barewire_rt::{SimulatedSystem, System, events};
use barewire_types::{Integrity, RateHz, Reason, SampleFormat, ns_to_frames};
use barewire_virtual::{Description, Script, Source, VirtualBackend};
use proptest::prelude::*;
use rig::{Player, Random, Rig, Scripted, WakeUp, shape, side, straight};
use std::f64::consts::TAU;
use std::sync::Arc;

fn open(
    system: &Arc<SimulatedSystem>,
    device: Description,
    rate: RateHz,
    period: u32,
    directions: (bool, bool),
) -> Box<dyn Stream> {
    let side = |is_there: bool| is_there.then_some(SideRequest { channels: 2, format: None });
    let request = OpenRequest {
        id: DeviceId::new("virtual", &device.name),
        rate,
        capture: side(directions.0),
        playback: side(directions.1),
        period_frames: period,
    };
    VirtualBackend::new(system.clone(), vec![device]).open(&request).unwrap()
}

/// A smooth pulse around frame `centre`, far below half the sample rate.
fn pulse(frame: u64, centre: f64) -> i32 {
    let x = (frame as f64 - centre) / 12.0;
    ((-0.5 * x * x).exp() * 1e9) as i32
}

/// Where the pulse's centre of gravity lies.
fn centre(samples: &[i32]) -> f64 {
    let squared = |&sample: &i32| f64::from(sample) * f64::from(sample);
    let weight: f64 = samples.iter().map(squared).sum();
    let moment: f64 = (0_u64..).zip(samples).map(|(n, s)| n as f64 * squared(s)).sum();
    moment / weight
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn a_resampled_streams_latency_is_told_to_the_frame(
        block in 16_u32..600, period in 16_u32..600, delay in 0_u32..50,
        rates in prop::sample::select(vec![
            (44_100, 48_000), (48_000, 44_100), (96_000, 44_100), (44_100, 192_000), (48_000, 96_000),
            (48_000, 48_000),
        ]),
    ) {
        let system = SimulatedSystem::new(0);
        let device = Description {
            source: Source::Loop { delay_frames: delay }, ..Description::default()
        };
        let (client, device_rate) = (RateHz::new(rates.0).unwrap(), RateHz::new(rates.1).unwrap());
        let inner = open(&system, device, device_rate, period, (true, true));
        let stream = Resampled::new(inner, client, 1).unwrap();
        let shape = stream.shape();
        prop_assert_eq!(shape.rate, client);
        let at = 500.0;
        let player = Player::new(block, 2, 2, move |n, _| pulse(n, at), |_| Output::This);
        let heard = player.heard.clone();
        let below = (Integrity::Resampled, Reason::RateConverted { client, device: device_rate });
        let plan = Plan { below: Some(below), ..Plan::one(block, straight(2, 2)) };
        let mut rig = Rig::new(system, Box::new(stream), &plan, vec![Box::new(player)]);
        let told = latency(&shape, block, true);
        let whole = told.input_frames + told.output_frames;
        while heard.lock().unwrap().inputs[0].len() < (whole + 2000) as usize {
            prop_assert_eq!(rig.step(), Flow::Continue);
        }
        let heard = heard.lock().unwrap();
        let measured = centre(&heard.inputs[0]) - at;
        prop_assert!((measured - f64::from(whole)).abs() <= 1.0, "{measured} measured, {whole} told");
        prop_assert_eq!(rig.telemetry.integrity(), below);
        prop_assert_eq!(rig.telemetry.snapshot().starved_frames, 0);
        for (n, pair) in heard.blocks.windows(2).enumerate() {
            prop_assert_eq!(pair[1].position_frames - pair[0].position_frames, u64::from(block));
            let told = f64::from(block) * 1e9 / client.as_f64();
            let passed = (pair[1].at_ns - pair[0].at_ns) as f64;
            prop_assert!((passed - told).abs() < 100.0, "block {n}: {passed} ns for {told}");
        }
    }

    #[test]
    fn a_looped_streams_latency_is_told_to_the_frame(
        block in 1_u32..600, period in 1_u32..600, converter in 0_u32..50, seed in any::<u64>(),
    ) {
        let io = side(SampleFormat::INT32, 2, Layout::Planar);
        let mut shape = shape(None, io, period);
        shape.latency.output_frames += converter;
        let mut random = Random(seed);
        let (stream, tape) = Scripted::new(shape, seed, move || {
            WakeUp { frames: period * random.from(1, 2), ..WakeUp::default() }
        });
        let stream = Looped::new(Box::new(stream)).unwrap();
        let told = latency(&stream.shape(), block, true);
        let whole = (told.input_frames + told.output_frames) as usize;
        let player = Player::new(block, 2, 2, |n, c| n as i32 + 1 + c as i32, |_| Output::This);
        let heard = player.heard.clone();
        let plan = Plan::one(block, straight(2, 2));
        let mut rig = Rig::new(SimulatedSystem::new(0), Box::new(stream), &plan, vec![Box::new(player)]);
        while heard.lock().unwrap().inputs[0].len() < whole + 100 {
            prop_assert_eq!(rig.step(), Flow::Continue);
        }
        let heard = heard.lock().unwrap();
        for (channel, samples) in (0..).zip(&heard.inputs) {
            for (n, &sample) in samples.iter().enumerate() {
                prop_assert_eq!(sample, if n < whole { 0 } else { (n - whole) as i32 + 1 + channel });
            }
        }
        prop_assert!(tape.lock().unwrap().played.len() > whole);
    }
}

/// Amplitude, phase and residual of a sine of `cycles` a frame in `samples`, by least squares.
fn fit(samples: &[f64], first: usize, cycles: f64) -> (f64, f64, f64) {
    let (mut ss, mut cc, mut sc, mut sx, mut cx) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let angle = |n: usize| TAU * (cycles * (n + first) as f64).fract();
    for (n, &x) in samples.iter().enumerate() {
        let (s, c) = angle(n).sin_cos();
        (ss, cc, sc, sx, cx) = (ss + s * s, cc + c * c, sc + s * c, sx + s * x, cx + c * x);
    }
    let determinant = ss * cc - sc * sc;
    let a = (sx * cc - cx * sc) / determinant;
    let b = (cx * ss - sx * sc) / determinant;
    let mut rest = 0.0;
    for (n, &x) in samples.iter().enumerate() {
        let (s, c) = angle(n).sin_cos();
        rest += (x - a * s - b * c).powi(2);
    }
    let amplitude = a.hypot(b);
    (amplitude, b.atan2(a), (rest / samples.len() as f64).sqrt() / (amplitude / 2_f64.sqrt()))
}

/// A device that captures a sine of `hz` of true time, whatever its own clock does.
fn sine_device(offset_ppm: f64, rate: RateHz, hz: f64, jitter_ns: u64) -> Description {
    let true_rate = rate.as_f64() * (1.0 + offset_ppm * 1e-6);
    let make = move || -> barewire_virtual::SourceFunction {
        Box::new(move |position, bytes| {
            for (n, frame) in (position..).zip(bytes.chunks_exact_mut(8)) {
                let sample = ((TAU * (hz * n as f64 / true_rate).fract()).sin() * 1.9e9) as i32;
                frame[..4].copy_from_slice(&sample.to_le_bytes());
                frame[4..].copy_from_slice(&sample.to_le_bytes());
            }
        })
    };
    Description {
        name: "follower".to_owned(),
        offset_ppm,
        source: Source::Call(Arc::new(make)),
        script: Script { seed: 5, jitter_ns, ..Script::default() },
        ..Description::default()
    }
}

#[test]
fn a_pair_with_clocks_of_their_own_is_clean_and_its_latency_is_told() {
    for (ppm, rate, period, hz) in [
        (100.0, 48_000, 64, 997.0),
        (-300.0, 48_000, 100, 9_973.0),
        (40.0, 44_100, 128, 997.0),
        (0.0, 96_000, 48, 5_003.0),
    ] {
        let system = SimulatedSystem::new(0);
        let leader = Description {
            script: Script { jitter_ns: 20_000, ..Script::default() },
            ..Description::default()
        };
        let leader = open(&system, leader, RateHz::DAT, 64, (false, true));
        let rate = RateHz::new(rate).unwrap();
        let follower = sine_device(ppm, rate, hz, 20_000);
        let follower = open(&system, follower, rate, period, (true, false));
        let (pair, meter) = Paired::new(leader, follower, Clocks::Own, system.clone(), 1).unwrap();
        let told = pair.shape().latency.input_frames;
        let player = Player::new(64, 2, 2, |_, _| 0, |_| Output::This);
        let heard = player.heard.clone();
        let plan = Plan::one(64, straight(2, 2));
        let mut rig = Rig::new(system, Box::new(pair), &plan, vec![Box::new(player)]);
        let seconds = 60;
        (0..750 * seconds).for_each(|_| assert_eq!(rig.step(), Flow::Continue));
        assert_eq!((meter.starved_frames(), meter.dropped_frames()), (0, 0), "{ppm} ppm");
        let off = (meter.drift_ppb() as f64 - ppm * 1e3).abs();
        assert!(off < 500.0, "{ppm} ppm: {off} ppb off");
        let heard = heard.lock().unwrap();
        let samples: Vec<f64> = heard.inputs[0].iter().map(|&s| f64::from(s) / 2e9).collect();
        let first = samples.len() - 96_000;
        let (amplitude, phase, residual) = fit(&samples[first..], first, hz / 48_000.0);
        assert!((amplitude - 0.95).abs() < 1e-3, "{ppm} ppm: amplitude {amplitude}");
        let decibels = 20.0 * residual.log10();
        println!("{ppm} ppm, {rate}, period {period}, {hz} Hz: residual {decibels:.1} dB");
        assert!(decibels < -90.0, "{ppm} ppm: {decibels} dB");
        // The phase tells the delay but for whole cycles.
        let cycle = 48_000.0 / hz;
        let delay = (-phase / TAU * cycle - f64::from(told)).rem_euclid(cycle);
        let off = delay.min(cycle - delay);
        assert!(off <= 1.0, "{ppm} ppm: {off} frames off the {told} told");
    }
}

#[test]
fn a_pair_on_one_clock_passes_every_bit() {
    for (lead, follow) in [(64, 64), (64, 100), (480, 64), (33, 57)] {
        let system = SimulatedSystem::new(0);
        let jitter = |seed| Script { seed, jitter_ns: 300_000, ..Script::default() };
        let leader = Description { script: jitter(1), ..Description::default() };
        let leader = open(&system, leader, RateHz::DAT, lead, (false, true));
        let follower = Description {
            source: Source::Counter,
            script: jitter(2),
            formats: vec![SampleFormat::INT24_IN_32],
            ..Description::default()
        };
        let follower = open(&system, follower, RateHz::DAT, follow, (true, false));
        let (pair, meter) = Paired::new(leader, follower, Clocks::Same, system.clone(), 1).unwrap();
        let told = pair.shape().latency.input_frames as usize;
        let player = Player::new(lead, 2, 2, |_, _| 0, |_| Output::This);
        let heard = player.heard.clone();
        let plan = Plan::one(lead, straight(2, 2));
        let mut rig = Rig::new(system, Box::new(pair), &plan, vec![Box::new(player)]);
        (0..5000).for_each(|_| assert_eq!(rig.step(), Flow::Continue));
        assert_eq!((meter.starved_frames(), meter.dropped_frames()), (0, 0));
        let heard = heard.lock().unwrap();
        // The device's frame n is n in the upper bits.
        let expected = |n: usize| if n < told { 0 } else { (n - told) as i32 };
        assert!(heard.inputs[0].iter().enumerate().all(|(n, &sample)| sample >> 8 == expected(n)));
    }
}

#[test]
fn a_follower_that_stalls_is_heard_as_silence_and_comes_back_in_time() {
    let system = SimulatedSystem::new(0);
    let leader = open(&system, Description::default(), RateHz::DAT, 64, (false, true));
    let mut follower = Description { source: Source::Counter, ..Description::default() };
    follower.script.faults = vec![barewire_virtual::Fault {
        at_frames: 48_000,
        kind: barewire_virtual::FaultKind::LateWake(50_000_000),
    }];
    let follower = open(&system, follower, RateHz::DAT, 64, (true, false));
    let (pair, meter) = Paired::new(leader, follower, Clocks::Same, system.clone(), 1).unwrap();
    let player = Player::new(64, 2, 2, |_, _| 0, |_| Output::This);
    let heard = player.heard.clone();
    let plan = Plan::one(64, straight(2, 2));
    let mut rig = Rig::new(system, Box::new(pair), &plan, vec![Box::new(player)]);
    (0..3000).for_each(|_| assert_eq!(rig.step(), Flow::Continue));
    assert!(meter.starved_frames() > 0);
    let heard = heard.lock().unwrap();
    let mut last = 0;
    for &sample in &heard.inputs[0] {
        assert!(sample == 0 || sample > last, "a frame came twice");
        last = last.max(sample);
    }
    assert!(last >> 8 > 180_000, "it goes on after the stall");
}

#[test]
fn streams_nest() {
    let system = SimulatedSystem::new(0);
    let leader = open(&system, Description::default(), RateHz::DAT, 64, (false, true));
    let follower = sine_device(-120.0, RateHz::DAT, 997.0, 0);
    let follower = open(&system, follower, RateHz::DAT, 48, (true, false));
    let (pair, _) = Paired::new(leader, follower, Clocks::Own, system.clone(), 1).unwrap();
    let stream = Resampled::new(Box::new(pair), RateHz::CD, 1).unwrap();
    let (writer, _reader) = events(16);
    let telemetry = Arc::new(Telemetry::default());
    let (stream, _control) = Fallback::new(Box::new(stream), system.clone(), telemetry, writer);
    let player = Player::new(128, 2, 2, |n, _| n as i32, |_| Output::This);
    let heard = player.heard.clone();
    let plan = Plan::one(128, straight(2, 2));
    let mut rig = Rig::new(system, Box::new(stream), &plan, vec![Box::new(player)]);
    (0..20_000).for_each(|_| assert_eq!(rig.step(), Flow::Continue));
    assert_eq!(rig.telemetry.snapshot().starved_frames, 0);
    let seconds = rig.system.now_ns() as f64 / 1e9;
    let blocks = heard.lock().unwrap().blocks.len() as f64;
    assert!((blocks * 128.0 / 44_100.0 - seconds).abs() < 0.01);
}

/// Frames by which position and clock differ at most, frames told as missed, and whether the timer stood in.
fn apart_over(fault: barewire_virtual::FaultKind) -> (u64, u32, bool) {
    let system = SimulatedSystem::new(0);
    let mut device = Description::default();
    device.script.faults = vec![barewire_virtual::Fault { at_frames: 4_800, kind: fault }];
    let stream = open(&system, device, RateHz::DAT, 64, (false, true));
    let (writer, mut reader) = events(16);
    let telemetry = Arc::new(Telemetry::default());
    let (mut stream, _control) = Fallback::new(stream, system.clone(), telemetry, writer);
    stream.start().unwrap();
    let (mut apart, mut first, mut missed) = (0, None, 0);
    while system.now_ns() < 2_000_000_000 {
        let Wake::Due(period) = stream.wait(system.now_ns() + 1_000_000_000) else { continue };
        missed += period.missed_frames;
        let (frames, ns) = *first.get_or_insert((period.position_frames, period.at_ns));
        let passed = ns_to_frames(period.at_ns - ns, RateHz::DAT);
        apart = apart.max((period.position_frames - frames).abs_diff(passed));
    }
    let mut has_ticked = false;
    while let Some(event) = reader.pop() {
        has_ticked |= event.kind == EventKind::Stalled;
    }
    (apart, missed, has_ticked)
}

#[test]
fn what_the_timer_stood_in_for_is_not_missed_once_more() {
    // The device's own time is the clock's, but for a period that is not whole.
    let late = barewire_virtual::FaultKind::LateWake(50_000_000);
    let (apart, missed, has_ticked) = apart_over(late);
    assert!(has_ticked);
    assert!(missed < 64, "{missed} frames");
    assert!(apart <= 64, "{apart} frames");
    let (apart, missed, has_ticked) = apart_over(barewire_virtual::FaultKind::Miss(64));
    assert!(apart <= 1, "{apart} frames");
    assert_eq!((missed, has_ticked), (64, false));
}
