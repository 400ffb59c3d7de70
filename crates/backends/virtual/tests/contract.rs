//! The virtual device keeps the contract in every format and layout; and the contract's suite is worth something: each
//! stream that is broken on purpose is caught by the rule that is named for its fault.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]

mod broken;

use barewire_device::contract::{Bench, RULES, check, check_some};
use barewire_device::{DeviceId, Layout, OpenRequest, SideRequest};
use barewire_rt::{RealSystem, SimulatedSystem, System};
use barewire_types::{RateHz, SampleFormat};
use barewire_virtual::{Description, Recordings, Sink, Source, VirtualBackend};
use broken::{BrokenBackend, FAULTS, Fault};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Frames that a recording holds: more than any rule plays.
const RECORDED_FRAMES: usize = 200_000;

struct Wish {
    description: Description,
    period_frames: u32,
    is_real: bool,
}

impl Wish {
    fn new(description: Description) -> Self {
        Self { description, period_frames: 48, is_real: false }
    }
}

fn bench(wish: &Wish) -> Bench {
    let recordings = Arc::new(Recordings::default());
    let description = Description {
        sink: Sink::Memory(recordings.clone(), RECORDED_FRAMES),
        ..wish.description.clone()
    };
    let system: Arc<dyn System> = if wish.is_real {
        Arc::new(RealSystem::default())
    } else {
        SimulatedSystem::new(1_000_000)
    };
    let side = |channels| (channels > 0).then_some(SideRequest { channels, format: None });
    let request = OpenRequest {
        id: DeviceId::new("virtual", &description.name),
        rate: RateHz::DAT,
        capture: side(description.inputs),
        playback: side(description.outputs),
        period_frames: wish.period_frames,
    };
    let is_looped = matches!(description.source, Source::Loop { .. });
    let name = description.name.clone();
    let backend = VirtualBackend::new(system.clone(), vec![description]);
    let remote = backend.remote(&name).unwrap();
    Bench {
        system,
        backend: Box::new(backend),
        request,
        heard: Some(Box::new(move || recordings.take().pop().unwrap().bytes)),
        is_looped,
        unplug: Some(Box::new(move || remote.unplug())),
    }
}

/// All rules hold, and only `not_tried` were not tried.
fn keeps(wish: &Wish, not_tried: &[&str]) {
    let report = check(&|| bench(wish));
    assert!(report.broken.is_empty(), "{}\n{report}", wish.description.formats[0]);
    let names: Vec<&str> = report.not_tried.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, not_tried, "{}", wish.description.formats[0]);
}

fn all_formats() -> impl Iterator<Item = SampleFormat> {
    SampleFormat::ALL_LITTLE.into_iter().flat_map(|format| {
        let big = SampleFormat::big(format.encoding);
        [format].into_iter().chain((!format.is_dsd() && format.bytes() > 1).then_some(big))
    })
}

#[test]
fn the_virtual_device_keeps_the_contract_in_every_format_and_layout() {
    for format in all_formats() {
        for layout in [Layout::Interleaved, Layout::Planar] {
            let description = Description {
                formats: vec![format],
                layout,
                inputs: 3,
                outputs: 3,
                source: Source::Loop { delay_frames: 37 },
                ..Description::default()
            };
            let sound = [
                "waker-during-wait",
                "prefill-heard",
                "heard-exactly",
                "unwritten-is-silence",
                "xrun-resumes-on-a-frame",
                "latency-as-stated",
                "unread-is-dropped",
            ];
            // One bit a byte: silence is no repeated byte there.
            let expected =
                if format.name() == "dsdner8" { &sound[..] } else { &["waker-during-wait"][..] };
            keeps(&Wish::new(description), expected);
        }
    }
}

#[test]
fn it_keeps_the_contract_with_one_direction_many_channels_jitter_and_odd_periods() {
    let base = Description::default;
    let descriptions = [
        Description { inputs: 0, outputs: 1, ..base() },
        Description { inputs: 2, outputs: 0, ..base() },
        Description { inputs: 64, outputs: 2, layout: Layout::Planar, ..base() },
        Description { offset_ppm: 250.0, prefill_periods: 5, ..base() },
        Description { fixed_period_frames: Some(441), ..base() },
        Description { rates: vec![RateHz::DAT], formats: vec![SampleFormat::INT16], ..base() },
    ];
    for (n, mut description) in descriptions.into_iter().enumerate() {
        description.script.seed = n as u64;
        description.script.jitter_ns = 200_000;
        let period_frames = [48, 64, 17, 1000, 441, 8][n];
        let report = check(&|| {
            bench(&Wish { description: description.clone(), period_frames, is_real: false })
        });
        assert!(report.broken.is_empty(), "description {n}\n{report}");
    }
}

#[test]
fn it_keeps_the_contract_in_real_time() {
    let wish = Wish { description: Description::default(), period_frames: 480, is_real: true };
    let report = check(&|| bench(&wish));
    assert!(report.broken.is_empty(), "{report}");
}

#[test]
fn each_broken_stream_is_caught_by_the_rule_named_for_its_fault() {
    for fault in FAULTS {
        let wish = Wish {
            is_real: fault.rule() == "waker-during-wait",
            ..Wish::new(Description::default())
        };
        let make = || wrap(bench(&wish), *fault);
        let report = check_some(&make, |name| name == fault.rule());
        let rules: Vec<&str> = report.broken.iter().map(|finding| finding.rule).collect();
        assert_eq!(rules, [fault.rule()], "{fault:?} is not caught: {report}");
    }
}

fn wrap(bench: Bench, fault: Fault) -> Bench {
    let (inner, system) = (bench.backend, bench.system.clone());
    let count = AtomicU32::new(0);
    Bench { backend: Box::new(BrokenBackend { inner, system, fault, count }), ..bench }
}

#[test]
fn every_rule_has_a_fault_that_it_catches() {
    for rule in RULES {
        let faults = FAULTS.iter().filter(|fault| fault.rule() == rule.name).count();
        assert_eq!(faults, 1, "{}", rule.name);
    }
}

#[test]
fn a_panic_is_a_finding() {
    let report = check_some(&|| panic!("on purpose"), |name| name == "ids-stable");
    assert_eq!(report.broken[0].what, "panicked: on purpose");
}

#[test]
fn rules_have_names_of_their_own() {
    let mut names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
}
