//! The backend keeps the contract in both directions, over a fake DirectSound. Its profile: one direction, never exact (the
//! mixer's note stands in every listing), times as the cursor's steps tell them.

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
use barewire_dsound::DsoundBackend;
use barewire_dsound::sounds::Direction;
use fake::{Model, RATE, World};

fn bench(model: &Model, period_frames: u32) -> Bench {
    let world = World::new(vec![model.clone()]);
    let side = |direction| {
        (model.direction == direction).then_some(SideRequest { channels: 1, format: None })
    };
    let request = OpenRequest {
        id: DeviceId::new("dsound", model.endpoint),
        rate: RATE,
        capture: side(Direction::Capture),
        playback: side(Direction::Playback),
        period_frames,
    };
    let (ears, hand) = (world.clone(), world.clone());
    let plays = model.direction == Direction::Playback;
    Bench {
        system: world.system.clone(),
        backend: Box::new(DsoundBackend::with_sounds(world.system.clone(), world.sounds())),
        request,
        heard: plays.then(|| Box::new(move || ears.heard(0)) as Box<dyn Fn() -> Vec<u8>>),
        is_looped: false,
        unplug: Some(Box::new(move || hand.unplug(0))),
    }
}

fn both() -> [Model; 2] {
    let capture = Model {
        direction: Direction::Capture,
        name: "Microphone (Fake High Definition Audio Device)",
        endpoint: "{0.0.1.00000000}.{02}",
        step_frames: 1500,
        ..Model::default()
    };
    [Model::default(), capture]
}

/// What it stands for, the period that is wished for, what is different.
type Kind = (&'static str, u32, fn(Model) -> Model);

#[test]
fn the_backend_keeps_the_contract_in_both_directions() {
    let kinds: [Kind; 6] = [
        ("as Windows is", 480, |model| model),
        ("blocks of 32", 32, |model| model),
        ("long periods", 4096, |model| model),
        ("a cursor that moves frame by frame", 2000, |model| Model { step_frames: 1, ..model }),
        ("a fast clock", 480, |model| Model { offset_ppm: 900, step_frames: 480, ..model }),
        ("a slow clock", 1600, |model| Model { offset_ppm: -900, step_frames: 7, ..model }),
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
            let plays = ["waker-during-wait", "latency-as-stated", "unread-is-dropped"];
            let captures = [
                "waker-during-wait",
                "prefill-heard",
                "heard-exactly",
                "unwritten-is-silence",
                "xrun-resumes-on-a-frame",
                "latency-as-stated",
                "unread-is-dropped",
            ];
            let expected =
                if model.direction == Direction::Playback { &plays[..] } else { &captures[..] };
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
