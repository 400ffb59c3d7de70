//! The backend keeps the contract in both directions, over a fake winmm that moves as the mixer does. Its profile: one
//! direction, never exact (the mixer's note stands in every listing), times as the mixer's quanta tell them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may stop the world"
)]

mod fake;

use barewire_device::contract::{Bench, check};
use barewire_device::{DeviceId, NoteKind, OpenRequest, SideRequest};
use barewire_mme::MmeBackend;
use barewire_mme::waves::Direction;
use barewire_types::SampleFormat;
use fake::{Model, RATE, World};

fn bench(model: &Model, period_frames: u32) -> Bench {
    let world = World::new(vec![model.clone()]);
    let side = |direction| {
        (model.direction == direction).then_some(SideRequest { channels: 1, format: None })
    };
    let request = OpenRequest {
        id: DeviceId::new("mme", model.endpoint.unwrap()),
        rate: RATE,
        capture: side(Direction::Capture),
        playback: side(Direction::Playback),
        period_frames,
    };
    let (ears, hand) = (world.clone(), world.clone());
    let plays = model.direction == Direction::Playback;
    Bench {
        system: world.system.clone(),
        backend: Box::new(MmeBackend::with_waves(world.system.clone(), world.waves())),
        request,
        heard: plays.then(|| Box::new(move || ears.heard(0)) as Box<dyn Fn() -> Vec<u8>>),
        is_looped: false,
        unplug: Some(Box::new(move || hand.unplug(0))),
    }
}

fn both() -> [Model; 2] {
    let capture = Model {
        direction: Direction::Capture,
        name: "Microphone (Fake High Definition",
        endpoint: Some("{0.0.1.00000000}.{02}"),
        ..Model::default()
    };
    [Model::default(), capture]
}

/// What it stands for, the period that is wished for, what is different.
type Kind = (&'static str, u32, fn(Model) -> Model);

#[test]
fn the_backend_keeps_the_contract_in_both_directions() {
    let kinds: [Kind; 7] = [
        ("as Windows is", 480, |model| model),
        ("blocks of 32", 32, |model| model),
        ("long packets", 2048, |model| model),
        ("packets come back unevenly", 480, |model| Model { quantum_frames: 960, ..model }),
        ("a mixer without quanta", 500, |model| Model { quantum_frames: 1, ..model }),
        ("a fast clock, 16 bits", 480, |model| Model {
            offset_ppm: 900,
            formats: vec![SampleFormat::INT16],
            ..model
        }),
        ("eight channels of floats", 480, |model| Model {
            offset_ppm: -900,
            channels: 8,
            formats: vec![SampleFormat::FLOAT32],
            ..model
        }),
    ];
    let mut broken = String::new();
    for (name, period_frames, change) in kinds {
        for model in both() {
            let model = change(model);
            let report = check(&|| bench(&model, period_frames));
            for finding in &report.broken {
                broken += &format!("{name}, {:?}: {finding}\n", model.direction);
            }
            let not_tried: Vec<&str> = report.not_tried.iter().map(|(rule, _)| *rule).collect();
            let silent = ["waker-during-wait", "latency-as-stated", "unread-is-dropped"];
            let sound = [
                "waker-during-wait",
                "prefill-heard",
                "heard-exactly",
                "unwritten-is-silence",
                "xrun-resumes-on-a-frame",
                "latency-as-stated",
                "unread-is-dropped",
            ];
            let expected =
                if model.direction == Direction::Playback { &silent[..] } else { &sound[..] };
            assert_eq!(not_tried, expected, "{name}");
        }
    }
    assert!(broken.is_empty(), "\n{broken}");
}

#[test]
fn every_listing_and_every_stream_says_that_the_mixer_lies_between() {
    for model in both() {
        let bench = bench(&model, 480);
        let listed = bench.backend.devices().unwrap();
        let stream = bench.backend.open(&bench.request).unwrap();
        for notes in [listed[0].notes.clone(), stream.notes()] {
            assert!(notes.iter().any(|note| note.kind == NoteKind::SystemMixer), "{notes:?}");
        }
    }
}
