//! Clocks: jitter is filtered, drift is found and followed, a FIFO between two clocks stays where it should. All in
//! simulated time with seeded jitter.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests"
)]

use barewire_dsp::{ClockEstimator, FillServo, drift_ppm};
use barewire_types::RateHz;

struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
    /// About normal, of standard deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

/// A device `ppm` faster than it says, read each `period` frames with `jitter_ns` of jitter.
struct Device {
    rate_hz: f64,
    period: u64,
    position: u64,
    time_ns: f64,
    jitter_ns: f64,
    random: Random,
}

impl Device {
    fn new(ppm: f64, period: u64, jitter_ns: f64, seed: u64) -> Self {
        let rate_hz = 48_000.0 * (1.0 + ppm * 1e-6);
        Self { rate_hz, period, position: 0, time_ns: 1e15, jitter_ns, random: Random(seed) }
    }

    fn read(&mut self) -> (u64, u64) {
        self.position += self.period;
        self.time_ns += self.period as f64 / self.rate_hz * 1e9;
        let jitter = self.random.normal() * self.jitter_ns;
        (self.position, (self.time_ns + jitter).round() as u64)
    }

    fn run(
        &mut self,
        clock: &mut ClockEstimator,
        seconds: f64,
        mut each: impl FnMut(&ClockEstimator, &Self),
    ) {
        let end = self.time_ns + seconds * 1e9;
        while self.time_ns < end {
            let (position, now) = self.read();
            clock.update(position, now);
            each(clock, self);
        }
    }
}

#[test]
fn jitter_of_50_us_leaves_less_than_1_us() {
    for (seed, ppm) in [(1, 0.0), (2, 57.0), (3, -480.0)] {
        let mut clock = ClockEstimator::new(RateHz::DAT);
        let mut device = Device::new(ppm, 64, 50_000.0, seed);
        device.run(&mut clock, 40.0, |_, _| {});
        let (mut sum, mut count) = (0.0, 0.0);
        device.run(&mut clock, 40.0, |clock, device| {
            let off = clock.ns_at(device.position).unwrap() as f64 - device.time_ns;
            sum += off * off;
            count += 1.0;
        });
        let rms = f64::sqrt(sum / count);
        assert!(rms < 1000.0, "seed {seed}: {rms} ns");
        assert!((clock.off_ppm() - ppm).abs() < 0.5, "seed {seed}: {} ppm", clock.off_ppm());
        assert!(clock.uncertainty_ppm() < 0.5);
    }
}

#[test]
fn a_step_of_100_ppm_is_followed_within_2_s() {
    for seed in 0..10 {
        let mut clock = ClockEstimator::new(RateHz::DAT);
        let mut device = Device::new(0.0, 64, 50_000.0, seed);
        device.run(&mut clock, 60.0, |_, _| {});
        device.rate_hz *= 1.0 + 100e-6;
        device.run(&mut clock, 2.0, |_, _| {});
        assert!((clock.off_ppm() - 100.0).abs() < 15.0, "seed {seed}: {}", clock.off_ppm());
        device.run(&mut clock, 10.0, |_, _| {});
        assert!((clock.off_ppm() - 100.0).abs() < 1.5, "seed {seed}: {}", clock.off_ppm());
    }
}

#[test]
fn predicted_times_are_monotone_through_late_wakes() {
    let mut clock = ClockEstimator::new(RateHz::DAT);
    let mut device = Device::new(20.0, 64, 20_000.0, 5);
    device.run(&mut clock, 5.0, |_, _| {});
    let mut last = 0;
    for n in 0..5000 {
        let (position, now) = device.read();
        let late = if n % 97 == 0 { 3_000_000 } else { 0 };
        clock.update(position, now + late);
        let at = clock.ns_at(position).unwrap();
        assert!(at > last);
        assert!((at as f64 - device.time_ns).abs() < 60_000.0);
        last = at;
    }
}

#[test]
fn positions_and_times_are_each_others_inverse() {
    let mut clock = ClockEstimator::new(RateHz::CD);
    assert_eq!(clock.ns_at(0), None);
    assert_eq!(clock.position_at(0), None);
    for n in 0..100 {
        clock.update(n * 441, 1_000_000_000_000 + n * 10_000_000);
    }
    assert_eq!(clock.ns_at(44_100), Some(1_001_000_000_000));
    let (frames, fraction) = clock.position_at(1_000_500_000_000).unwrap();
    assert!((frames as f64 + fraction - 22_050.0).abs() < 1e-3);
    assert!((clock.rate_hz() - 44_100.0).abs() < 1e-3);
}

#[test]
fn a_stopped_device_begins_a_new_fit_and_nonsense_is_harmless() {
    let mut clock = ClockEstimator::new(RateHz::DAT);
    for (position, now) in [
        (0, 0),
        (64, 1_333_333),
        (64, 5),
        (128, 9_000_000_000),
        (1, 1),
        (u64::MAX, u64::MAX),
        (0, 0),
    ] {
        clock.update(position, now);
        assert!(clock.off_ppm().abs() <= 10_200.0);
        let _ = (clock.ns_at(u64::MAX), clock.position_at(u64::MAX), clock.uncertainty_ppm());
    }
    let mut device = Device::new(30.0, 480, 5_000.0, 9);
    device.run(&mut clock, 20.0, |_, _| {});
    assert!((clock.off_ppm() - 30.0).abs() < 0.5);
}

#[test]
fn a_fifo_between_two_clocks_stays_at_its_target() {
    for (seed, ppm) in [(1, 10.0), (2, -87.0), (3, 500.0)] {
        let (mut leader, mut follower) =
            (ClockEstimator::new(RateHz::DAT), ClockEstimator::new(RateHz::DAT));
        let mut ahead = Device::new(13.0, 64, 30_000.0, seed);
        let mut behind = Device::new(ppm, 96, 30_000.0, seed + 100);
        let servo = FillServo::new(RateHz::DAT, 256);
        let (mut consumed, mut drifts, mut spread) = (0.0, Vec::new(), 0.0_f64);
        while ahead.time_ns < 1e15 + 120e9 {
            let (position, now) = ahead.read();
            leader.update(position, now);
            while behind.time_ns < ahead.time_ns {
                let (position, now) = behind.read();
                follower.update(position, now);
            }
            // The leader's filtered time, not that of a reading: 30 µs of jitter would be 6 ppm of servo.
            let now = leader.ns_at(position).unwrap();
            let Some((frames, fraction)) = follower.position_at(now) else { continue };
            if consumed == 0.0 {
                consumed = frames as f64 - 256.0;
            }
            let fill = frames as f64 + fraction - consumed;
            let drift = if follower.uncertainty_ppm() < 5.0 && leader.uncertainty_ppm() < 5.0 {
                drift_ppm(&follower, &leader)
            } else {
                0.0
            };
            let told = servo.ppm(drift, fill);
            consumed += 64.0 * (1.0 + told * 1e-6);
            if ahead.time_ns > 1e15 + 60e9 {
                drifts.push(told);
                // What really lies in the FIFO.
                let real = behind.position as f64 - consumed;
                spread = spread.max((real - 256.0).abs());
            }
        }
        let mean = drifts.iter().sum::<f64>() / drifts.len() as f64;
        let rms =
            (drifts.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / drifts.len() as f64).sqrt();
        assert!(spread < 200.0, "seed {seed}: fill off by {spread} frames");
        assert!((mean - (ppm - 13.0)).abs() < 0.5, "seed {seed}: {mean} ppm");
        assert!(rms < 0.5, "seed {seed}: ratio moves by {rms} ppm");
        println!("{ppm} ppm: mean {mean:.3}, rms {rms:.3} ppm, fill within {spread:.1} frames");
    }
}
