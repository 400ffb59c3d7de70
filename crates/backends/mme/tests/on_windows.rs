//! The backend on a real winmm: Windows' own, or Wine's over a PulseAudio whose sink is a pipe into a file and whose source
//! is a pipe that sings `testkit::wire`'s tune. Where the file lies, and where the tune is to be written, is told by environment.

#![cfg(windows)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]

use barewire_device::contract::{Bench, check};
use barewire_device::{Backend, DeviceInfo, OpenRequest, SideRequest};
use barewire_mme::MmeBackend;
use barewire_rt::RealSystem;
use barewire_testkit::wire;
use barewire_types::{RateHz, SampleFormat};
use std::path::PathBuf;

/// Frames of an attempt.
const FRAMES: u64 = 48_000;
/// The longest packets that there are, so that a busy machine does not starve the mixer.
const PERIOD_FRAMES: u32 = 4096;
const FORMATS: [SampleFormat; 4] =
    [SampleFormat::INT16, SampleFormat::INT24, SampleFormat::INT32, SampleFormat::FLOAT32];

fn backend() -> MmeBackend {
    MmeBackend::new(RealSystem::new())
}

/// The default device of a direction.
fn request(plays: bool, period_frames: u32, format: Option<SampleFormat>) -> OpenRequest {
    let has = |device: &&DeviceInfo| match plays {
        true => device.playback.is_some(),
        false => device.capture.is_some(),
    };
    let devices = backend().devices().unwrap();
    let device = devices.iter().filter(has).max_by_key(|device| device.is_default);
    let side = Some(SideRequest { channels: 2, format });
    OpenRequest {
        id: device.expect("a device").id.clone(),
        rate: RateHz::DAT,
        capture: side.filter(|_| !plays),
        playback: side.filter(|_| plays),
        period_frames,
    }
}

/// Where the source looks for its tune, which lies there from now on: a source without one brings no frames at all.
fn tune() -> Option<PathBuf> {
    let place = std::env::var_os("BAREWIRE_TUNE").map(PathBuf::from);
    if let Some(place) = &place {
        wire::write_tune(place);
    }
    place
}

#[test]
fn the_contract_is_kept_in_both_directions() {
    tune();
    for plays in [true, false] {
        let request = request(plays, 480, None);
        let report = check(&|| Bench {
            system: RealSystem::new(),
            backend: Box::new(backend()),
            request: request.clone(),
            heard: None,
            is_looped: false,
            unplug: None,
        });
        println!("{report}");
        assert!(report.broken.is_empty(), "{report}");
    }
}

#[test]
fn what_is_played_arrives_bit_for_bit() {
    let Some(sink) = std::env::var_os("BAREWIRE_SINK").map(PathBuf::from) else {
        println!("SKIPPED: BAREWIRE_SINK does not say where to read what was played");
        return;
    };
    for format in FORMATS {
        let stream = backend().open(&request(true, PERIOD_FRAMES, Some(format))).unwrap();
        let played = wire::play(&*RealSystem::new(), stream, &sink, FRAMES);
        wire::exact(&format!("mme plays {format}"), &played);
    }
}

#[test]
fn what_is_captured_is_the_tune_bit_for_bit() {
    if tune().is_none() {
        println!("SKIPPED: BAREWIRE_TUNE does not say where the source looks for its tune");
        return;
    }
    // 24 bits and floats are PulseAudio's own conversion from the source's 32, and it rounds.
    for format in [SampleFormat::INT16, SampleFormat::INT32] {
        let stream = backend().open(&request(false, PERIOD_FRAMES, Some(format))).unwrap();
        let captured = wire::capture(&*RealSystem::new(), stream, FRAMES);
        wire::exact(&format!("mme captures {format}"), &captured);
    }
}
