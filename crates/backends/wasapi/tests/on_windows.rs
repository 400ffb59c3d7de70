//! The backend on a real WASAPI: Wine's over PulseAudio, shared, and over ALSA, exclusive and looked at by the clock (it refuses
//! exclusive streams with events). Below both is a PulseAudio whose sink is a pipe into a file and whose source is a pipe that
//! sings `testkit::wire`'s tune. `cargo xtask windows real-path` sets all of it up and runs this; alone nothing here can be tried.

#![cfg(windows)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop the world")]

use barewire_device::contract::{Bench, Finding, check};
use barewire_device::{Backend, DeviceInfo, Mode, OpenRequest, SideRequest, Stream};
use barewire_rt::RealSystem;
use barewire_testkit::wire::{self, Outcome};
use barewire_types::{RateHz, Result, SampleFormat};
use barewire_wasapi::WasapiBackend;
use std::path::PathBuf;
use std::sync::Arc;

/// Frames of an attempt.
const FRAMES: u64 = 48_000;
/// As much as Wine's mixer takes at once, so that a busy machine does not starve it.
const PERIOD_FRAMES: u32 = 480;
const FORMATS: [SampleFormat; 4] =
    [SampleFormat::INT16, SampleFormat::INT24, SampleFormat::INT32, SampleFormat::FLOAT32];
/// 24 bits and floats are PulseAudio's own conversion from the source's 32, and it rounds.
const HEARD_FORMATS: [SampleFormat; 2] = [SampleFormat::INT16, SampleFormat::INT32];

fn backend(mode: Mode) -> Arc<dyn Backend> {
    WasapiBackend::new(RealSystem::new()).in_mode(mode).unwrap()
}

/// The suite wants it in a box.
struct Held(Arc<dyn Backend>);

impl Backend for Held {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        self.0.devices()
    }

    fn open(&self, request: &OpenRequest) -> Result<Box<dyn Stream>> {
        self.0.open(request)
    }
}

/// The default device of a direction.
fn request(mode: Mode, plays: bool, format: Option<SampleFormat>) -> OpenRequest {
    let has = |device: &&DeviceInfo| match plays {
        true => device.playback.is_some(),
        false => device.capture.is_some() && !device.id.as_str().ends_with("/loopback"),
    };
    let devices = backend(mode).devices().unwrap();
    let device = devices.iter().filter(has).max_by_key(|device| device.is_default);
    let side = Some(SideRequest { channels: 2, format });
    OpenRequest {
        id: device.expect("a device").id.clone(),
        rate: RateHz::DAT,
        capture: side.filter(|_| !plays),
        playback: side.filter(|_| plays),
        period_frames: PERIOD_FRAMES,
    }
}

/// Where the source looks for its tune, which lies there from now on.
fn sing() {
    wire::write_tune(&PathBuf::from(std::env::var_os("BAREWIRE_TUNE").expect("BAREWIRE_TUNE")));
}

/// What Wine's ALSA driver makes impossible. It says that it does not take 24 bits in 32, and opens with them all the same: as
/// with other devices that say so, the opening is the verdict for a format that was asked for by name. It drops what nobody
/// takes without a word, and gives the time of the asking for that of the frames: nothing tells that some were lost.
fn is_of_wine(mode: Mode, plays: bool, finding: &Finding) -> bool {
    let Finding { rule, what } = finding;
    let is_denied_and_taken = what.starts_with("opened all the same") && what.contains("Int24In32");
    let is_unsaid = !plays && *rule == "xrun-counted" && what.ends_with("none was missed");
    mode == Mode::ExclusivePolled && (is_denied_and_taken || is_unsaid)
}

fn contract(mode: Mode) {
    sing();
    for plays in [true, false] {
        let request = request(mode, plays, None);
        let bench = || Bench {
            system: RealSystem::new(),
            backend: Box::new(Held(backend(mode))),
            request: request.clone(),
            heard: None,
            is_looped: false,
            unplug: None,
        };
        let what = if plays { "wasapi plays" } else { "wasapi captures" };
        wire::keeps_the_contract(&format!("{what}, {mode:?}"), || {
            let mut report = check(&bench);
            report.broken.retain(|finding| !is_of_wine(mode, plays, finding));
            report
        });
    }
}

fn plays(mode: Mode) {
    let sink = PathBuf::from(std::env::var_os("BAREWIRE_SINK").expect("BAREWIRE_SINK"));
    for format in FORMATS {
        wire::insist(&format!("wasapi plays {format}, {mode:?}"), || {
            let stream = backend(mode).open(&request(mode, true, Some(format))).unwrap();
            wire::arrive(&*RealSystem::new(), stream, &sink, FRAMES)
        });
    }
}

fn captures(mode: Mode) {
    sing();
    for format in HEARD_FORMATS {
        wire::insist(&format!("wasapi captures {format}, {mode:?}"), || {
            let stream = backend(mode).open(&request(mode, false, Some(format))).unwrap();
            // Nobody has seen beside the stream whether it was in time: it has to say so itself, where it is told.
            let captured = match wire::capture(&*RealSystem::new(), stream, FRAMES) {
                Outcome::Gap(how) if mode == Mode::ExclusivePolled => Outcome::Unsaid(how),
                other => other,
            };
            (captured, false)
        });
    }
}

mod shared {
    use super::*;

    #[test]
    #[ignore = "needs the sound server of `cargo xtask windows`"]
    fn the_contract_is_kept_in_both_directions() {
        contract(Mode::Shared);
    }

    #[test]
    #[ignore = "needs the sound server of `cargo xtask windows`"]
    fn what_is_played_arrives_bit_for_bit() {
        plays(Mode::Shared);
    }

    #[test]
    #[ignore = "needs the sound server of `cargo xtask windows`"]
    fn what_is_captured_is_the_tune_bit_for_bit() {
        captures(Mode::Shared);
    }
}

mod exclusive {
    use super::*;

    #[test]
    #[ignore = "needs the sound server of `cargo xtask windows`"]
    fn the_contract_is_kept_in_both_directions() {
        contract(Mode::ExclusivePolled);
    }

    #[test]
    #[ignore = "needs the sound server of `cargo xtask windows`"]
    fn what_is_played_arrives_bit_for_bit() {
        plays(Mode::ExclusivePolled);
    }

    #[test]
    #[ignore = "needs the sound server of `cargo xtask windows`"]
    fn what_is_captured_is_the_tune_bit_for_bit() {
        captures(Mode::ExclusivePolled);
    }
}
