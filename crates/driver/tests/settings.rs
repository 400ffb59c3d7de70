//! What is set is obeyed: rates converted, gains, devices let go, two devices joined, entries chosen by name.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a test may stop the world"
)]

mod rig;

use barewire_abi::{Code, FutureCall};
use barewire_driver::{Config, ConfigSource, DeviceChoice, FixedConfig};
use barewire_testkit::Manners;
use barewire_types::{Integrity, RateHz, Reason};
use barewire_virtual::{Description, Source};
use rig::{HANG, code, comes_back, faultless, rig_of, rig_with, until};
use std::sync::{Arc, Mutex};

fn fixed(config: Config) -> Arc<dyn ConfigSource> {
    Arc::new(FixedConfig(config))
}

fn rates(list: &[u32]) -> Vec<RateHz> {
    list.iter().map(|&rate| RateHz::new(rate).unwrap()).collect()
}

#[test]
fn with_conversion_a_host_can_have_a_rate_that_the_device_has_not_and_is_told_the_filters_delay() {
    let device = Description { rates: rates(&[48_000]), ..Description::default() };
    let rig = rig_with(device.clone(), fixed(Config { converts: true, ..Config::default() }));
    rig.driver.init(std::ptr::null_mut()).unwrap();
    for rate in [8_000.0, 44_100.0, 96_000.0, 192_000.0] {
        rig.driver.can_sample_rate(rate).unwrap();
    }
    rig.driver.set_sample_rate(44_100.0).unwrap();
    let host = rig.play(64, 200, Manners::default());
    faultless(&host);
    let report = rig.observer.report();
    let reason = Reason::RateConverted { client: RateHz::CD, device: RateHz::DAT };
    assert_eq!((report.integrity, report.integrity_reason), (Integrity::Resampled, reason));
    let (input, output) = rig.driver.latencies().unwrap();
    let direct = rig_with(device, fixed(Config::default()));
    direct.driver.init(std::ptr::null_mut()).unwrap();
    assert_eq!(code(direct.driver.can_sample_rate(44_100.0)), Code::NO_CLOCK);
    let plain = direct.play(64, 5, Manners::default());
    let (plain_input, plain_output) = direct.driver.latencies().unwrap();
    assert!(input > plain_input && output > plain_output, "the filter takes time");
    // The counter in the host's outputs rises by one a frame: so does, after both filters, what comes back, late by
    // what was told.
    let delay = i64::from(input + output);
    host.heard(|heard| {
        let from = delay as usize + 2_000;
        assert!(heard.input.len() > from + 1_000);
        for (n, &sample) in heard.input.iter().enumerate().skip(from) {
            let expected = n as i64 - delay + 1;
            let error = i64::from(sample) - expected;
            assert!(error.abs() <= 3, "frame {n}: {sample} instead of {expected}");
        }
    });
    drop(plain);
    direct.release();
    rig.release();
}

#[test]
fn with_conversion_what_the_device_has_stays_exact() {
    let config = Config { converts: true, ..Config::default() };
    let rig = rig_with(Description::default(), fixed(config));
    rig.driver.init(std::ptr::null_mut()).unwrap();
    rig.driver.set_sample_rate(44_100.0).unwrap();
    let host = rig.play(64, 40, Manners::default());
    comes_back(&host, rig.driver.latencies().unwrap());
    assert_eq!(rig.observer.report().integrity, Integrity::Exact { bits: 32 });
    rig.release();
}

#[test]
fn a_gain_is_in_force_from_the_first_frame() {
    let rig =
        rig_with(Description::default(), fixed(Config { gain: Some(2.0), ..Config::default() }));
    let host = rig.play(64, 40, Manners::default());
    let told = rig.driver.latencies().unwrap();
    let delay = (told.0 + told.1) as usize;
    host.heard(|heard| {
        for (n, &sample) in heard.input.iter().enumerate().skip(delay) {
            assert_eq!(sample, 2 * (n - delay + 1) as i32, "frame {n}");
        }
    });
    let report = rig.observer.report();
    assert_eq!((report.integrity, report.integrity_reason), (Integrity::Mixed, Reason::Gain));
    rig.release();
}

#[test]
fn a_device_is_let_go_when_the_host_stops_if_that_is_set_and_taken_again_when_it_starts() {
    for releases_on_stop in [false, true] {
        let config = Config { releases_on_stop, ..Config::default() };
        let rig = rig_with(Description::default(), fixed(config));
        let (manners, reached) = until(10, Manners::default());
        let host = rig.ready(64, manners);
        for run in 1..=3 {
            rig.driver.start().unwrap();
            if run == 1 {
                reached.recv_timeout(HANG).expect("the host is not called");
            }
            rig.driver.stop().unwrap();
            let openings = if releases_on_stop { run } else { 1 };
            assert_eq!(rig.remote.openings(), openings);
            let closings = usize::from(releases_on_stop);
            assert_eq!(rig.recordings.take().len(), closings, "after run {run}");
        }
        // Another rate meanwhile: the device is opened at it.
        rig.driver.set_sample_rate(96_000.0).unwrap();
        rig.driver.start().unwrap();
        rig.driver.stop().unwrap();
        host.heard(|heard| assert!(heard.faults.is_empty(), "{:?}", heard.faults));
        rig.release();
    }
}

#[test]
fn a_device_that_cannot_be_taken_again_is_a_refused_start_and_the_next_may_succeed() {
    let config = Config { releases_on_stop: true, ..Config::default() };
    let rig = rig_with(Description::default(), fixed(config));
    let _host = rig.play(64, 10, Manners::default());
    rig.remote.refuse(1);
    let refused = rig.driver.start().unwrap_err();
    assert!(!refused.text.is_empty(), "it says why");
    assert_eq!(rig.observer.report().state, "prepared");
    rig.driver.start().unwrap();
    rig.driver.stop().unwrap();
    rig.release();
}

#[test]
fn inputs_of_another_device_follow_its_clock_and_outputs_stay_exact() {
    let player = Description { name: "player".into(), inputs: 0, ..Description::default() };
    let microphone = Description {
        name: "microphone".into(),
        outputs: 0,
        offset_ppm: 100.0,
        source: Source::Counter,
        ..Description::default()
    };
    let input = DeviceChoice::Id("virtual:microphone".into());
    let config = Config { input, ..Config::default() };
    let rig = rig_of(vec![player, microphone], fixed(config));
    rig.driver.init(std::ptr::null_mut()).unwrap();
    assert_eq!(rig.driver.channels().unwrap(), (2, 2));
    let host = rig.play(64, 20_000, Manners::default());
    faultless(&host);
    let report = rig.observer.report();
    assert_eq!(report.integrity, Integrity::Exact { bits: 32 });
    let drift_ppm = report.drift_ppb.unwrap() / 1000;
    assert!((95..=105).contains(&drift_ppm), "{drift_ppm} ppm");
    assert!(
        report.notes.iter().any(|note| note.contains("clock of its own")),
        "{:?}",
        report.notes
    );
    // What the host counted in its outputs arrived, frame after frame.
    let recordings = rig.release().take();
    let played: Vec<i32> = recordings[0]
        .bytes
        .chunks_exact(8)
        .map(|frame| i32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]))
        .skip_while(|&sample| sample == 0)
        .collect();
    assert!(played.len() > 1_000_000 && (1..).zip(&played).all(|(n, &sample)| n == sample));
}

#[test]
fn an_input_device_that_is_not_there_is_named() {
    let input = DeviceChoice::Id("virtual:nowhere".into());
    let rig = rig_with(Description::default(), fixed(Config { input, ..Config::default() }));
    let refused = rig.driver.init(std::ptr::null_mut()).unwrap_err();
    assert!(refused.text.contains("virtual:nowhere"), "{}", refused.text);
}

/// Entries by name, each with a gain to tell them apart.
struct Entries(Mutex<Option<f64>>);

impl ConfigSource for Entries {
    fn load(&self) -> (Config, Vec<String>) {
        (Config { gain: *self.0.lock().unwrap(), ..Config::default() }, Vec::new())
    }

    fn choose_instance(&self, name: &str) -> bool {
        let is_there = name == "Barewire night";
        if is_there {
            *self.0.lock().unwrap() = Some(0.5);
        }
        is_there
    }

    fn place(&self) -> String {
        "a test".to_owned()
    }
}

#[test]
fn a_host_chooses_an_entry_by_its_name_before_init_and_not_after() {
    let rig = rig_with(Description::default(), Arc::new(Entries(Mutex::new(None))));
    let choose =
        |name: &str| code(rig.driver.future(FutureCall::SetInstanceName(Some(name.into()))));
    assert_eq!(choose("Barewire day"), Code::NOT_PRESENT);
    assert_eq!(choose("Barewire"), Code::OK);
    assert_eq!(choose("Barewire night"), Code::OK);
    assert_eq!(rig.driver.driver_name(), "Barewire night");
    let _host = rig.play(64, 10, Manners::default());
    assert_eq!(choose("Barewire"), Code::INVALID_MODE);
    assert_eq!(rig.observer.report().integrity, Integrity::Mixed);
    rig.release();
}
