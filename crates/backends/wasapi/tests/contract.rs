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

fn case(
    name: &'static str,
    spec: Spec,
    sides: &'static str,
    mode: Mode,
    period_frames: u32,
) -> Case {
    Case { name, spec, sides, mode, period_frames }
}

/// Exclusive, woken by events.
fn exclusive() -> Vec<Case> {
    let base = Spec::default;
    let format = |format| Spec { formats: vec![format], ..base() };
    let packed = Spec { rates: vec![48_000], ..format((false, 24, 24)) };
    let wide = Spec {
        channels: vec![32],
        masks: vec![0],
        fifo: 45,
        min_period_hns: 10_000,
        ..format((false, 32, 32))
    };
    let jittery = Spec { jitter_ns: 1_000_000, fifo: 31, ..base() };
    let late = Spec { begins_late: true, fifo: 9, ..base() };
    let bytes = Spec { position_units: 8, ..base() };
    let mode = Mode::Exclusive;
    vec![
        case("an ordinary device", base(), "io", mode, 256),
        case("only outputs", base(), "o", mode, 160),
        case("only inputs", base(), "i", mode, 160),
        case("16 bits", format((false, 16, 16)), "io", mode, 256),
        case("packed 24 bits", packed, "io", mode, 200),
        case("32 channels, 1 ms", wide, "io", mode, 48),
        case("floats", format((true, 32, 32)), "io", mode, 256),
        case("events a millisecond off", jittery.clone(), "io", mode, 144),
        case("events a millisecond off, outputs", jittery.clone(), "o", mode, 144),
        case("events a millisecond off, inputs", jittery, "i", mode, 144),
        case("half a buffer unwritten", late, "io", mode, 256),
        case("a fast clock", Spec { ppm: 900, ..base() }, "io", mode, 256),
        case("a slow clock", Spec { ppm: -900, ..base() }, "io", mode, 256),
        case("positions in bytes", bytes, "io", mode, 256),
    ]
}

/// Looked at by the clock, or shared.
fn queued() -> Vec<Case> {
    let base = Spec::default;
    let short = Engine { default: 480, step: 16, min: 128, max: 480 };
    let quick = Spec { engine: Some(short), has_raw: true, ..base() };
    let swollen = Spec { swells: 8, ..base() };
    vec![
        case("polled", base(), "io", Mode::ExclusivePolled, 256),
        case("polled outputs", swollen, "o", Mode::ExclusivePolled, 480),
        case("polled inputs", base(), "i", Mode::ExclusivePolled, 480),
        case("shared", base(), "io", Mode::Shared, 480),
        case("shared outputs", base(), "o", Mode::Shared, 256),
        case("shared inputs", base(), "i", Mode::Shared, 256),
        case("shared, short periods", quick.clone(), "io", Mode::Shared, 128),
        case("shared, short periods, outputs", quick, "o", Mode::Shared, 200),
        case("whatever can be had", base(), "io", Mode::Auto, 256),
    ]
}

#[test]
fn the_backend_keeps_the_contract_on_devices_of_every_kind() {
    let mut broken = String::new();
    for case in exclusive().into_iter().chain(queued()) {
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
