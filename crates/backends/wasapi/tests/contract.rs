//! The backend keeps the contract on devices of every kind and in every mode, over a fake Windows in simulated time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may stop the world"
)]

mod fake;

use barewire_device::contract::{Bench, check};
use barewire_device::{Backend, Mode, OpenRequest, SideRequest};
use barewire_types::RateHz;
use barewire_wine_audio::model::Fault;
use barewire_wine_audio::model::spec::{Engine, Spec};
use fake::Machine;

/// What is tried: a device, which of its directions, how it is held, a period.
#[derive(Clone)]
struct Case {
    name: &'static str,
    spec: Spec,
    sides: &'static str,
    mode: Mode,
    period_frames: u32,
}

fn bench(case: &Case) -> Bench {
    let machine = match case.sides {
        "i" => Machine::new(vec![case.spec.input()]),
        _ => Machine::both(case.spec.clone()),
    };
    let backend = machine.backend().in_mode(case.mode).unwrap();
    let side =
        |letter| case.sides.contains(letter).then_some(SideRequest { channels: 1, format: None });
    let request = OpenRequest {
        id: machine.id(0),
        rate: RateHz::DAT,
        capture: side('i'),
        playback: side('o'),
        period_frames: case.period_frames,
    };
    let (ears, hand) = (machine.clone(), machine.clone());
    Bench {
        system: machine.system.clone(),
        backend: Box::new(Held(backend)),
        request,
        heard: Some(Box::new(move || ears.heard(0))),
        is_looped: case.sides == "io",
        unplug: Some(Box::new(move || hand.fail(Fault::Unplugged))),
    }
}

/// A backend behind an `Arc` as one in a box.
struct Held(std::sync::Arc<dyn Backend>);

impl Backend for Held {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn devices(&self) -> barewire_types::Result<Vec<barewire_device::DeviceInfo>> {
        self.0.devices()
    }

    fn open(
        &self,
        request: &OpenRequest,
    ) -> barewire_types::Result<Box<dyn barewire_device::Stream>> {
        self.0.open(request)
    }
}

fn cases() -> Vec<Case> {
    let plain = Case {
        name: "",
        spec: Spec::default(),
        sides: "io",
        mode: Mode::Exclusive,
        period_frames: 256,
    };
    let base = Spec::default;
    let packed = Spec { formats: vec![(false, 24, 24)], rates: vec![48_000], ..base() };
    let wide = Spec {
        formats: vec![(false, 32, 32)],
        channels: vec![32],
        masks: vec![0],
        fifo: 45,
        min_period_hns: 10_000,
        ..base()
    };
    let short = Engine { default: 480, step: 16, min: 128, max: 480 };
    let quick = Spec { engine: Some(short), has_raw: true, ..base() };
    let jittery = Spec { jitter_ns: 1_000_000, fifo: 31, ..base() };
    let case = |name, spec: &Spec, sides, mode, period_frames| Case {
        name,
        spec: spec.clone(),
        sides,
        mode,
        period_frames,
    };
    vec![
        Case { name: "an ordinary device", ..plain.clone() },
        case("only outputs", &base(), "o", Mode::Exclusive, 160),
        case("only inputs", &base(), "i", Mode::Exclusive, 160),
        case(
            "16 bits",
            &Spec { formats: vec![(false, 16, 16)], ..base() },
            "io",
            Mode::Exclusive,
            256,
        ),
        case("packed 24 bits", &packed, "io", Mode::Exclusive, 200),
        case("32 channels, 1 ms", &wide, "io", Mode::Exclusive, 48),
        case(
            "floats",
            &Spec { formats: vec![(true, 32, 32)], ..base() },
            "io",
            Mode::Exclusive,
            256,
        ),
        case("events a millisecond off", &jittery, "io", Mode::Exclusive, 144),
        case("late events, outputs", &jittery, "o", Mode::Exclusive, 144),
        case("late events, inputs", &jittery, "i", Mode::Exclusive, 144),
        case(
            "half a buffer unwritten",
            &Spec { begins_late: true, fifo: 9, ..base() },
            "io",
            Mode::Exclusive,
            256,
        ),
        case("a fast clock", &Spec { ppm: 900, ..base() }, "io", Mode::Exclusive, 256),
        case("a slow clock", &Spec { ppm: -900, ..base() }, "io", Mode::Exclusive, 256),
        case(
            "positions in bytes",
            &Spec { position_units: 8, ..base() },
            "io",
            Mode::Exclusive,
            256,
        ),
        case("polled", &base(), "io", Mode::ExclusivePolled, 256),
        case("polled outputs", &Spec { swells: 8, ..base() }, "o", Mode::ExclusivePolled, 480),
        case("polled inputs", &base(), "i", Mode::ExclusivePolled, 480),
        case("shared", &base(), "io", Mode::Shared, 480),
        case("shared outputs", &base(), "o", Mode::Shared, 256),
        case("shared inputs", &base(), "i", Mode::Shared, 256),
        case("shared, short periods", &quick, "io", Mode::Shared, 128),
        case("shared, short periods, outputs", &quick, "o", Mode::Shared, 200),
        case("whatever can be had", &base(), "io", Mode::Auto, 256),
    ]
}

#[test]
fn the_backend_keeps_the_contract_on_devices_of_every_kind() {
    let mut broken = String::new();
    for case in cases() {
        let report = check(&|| bench(&case));
        for finding in &report.broken {
            broken += &format!("{}: {finding}\n", case.name);
        }
        let not_tried: Vec<&str> = report.not_tried.iter().map(|(rule, _)| *rule).collect();
        if case.sides == "io" {
            assert_eq!(not_tried, ["waker-during-wait"], "{}", case.name);
        }
    }
    assert!(broken.is_empty(), "\n{broken}");
}
