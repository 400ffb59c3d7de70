//! The backend on a real DirectSound: Windows' own, or Wine's over a PulseAudio whose sink is a pipe into a file and whose source
//! is a pipe that sings `testkit::wire`'s tune. Where the file lies, and where the tune is to be written, is told by environment.

#![cfg(windows)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]

use barewire_device::contract::{Bench, check};
use barewire_device::{Backend, DeviceInfo, OpenRequest, SideRequest, Stream};
use barewire_dsound::DsoundBackend;
use barewire_dsound::sounds::{
    Code, DirectSound, Direction, Sound, SoundDevice, SoundFormat, Sounds,
};
use barewire_rt::RealSystem;
use barewire_testkit::wire;
use barewire_types::{RateHz, SampleFormat};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Frames of an attempt.
const FRAMES: u64 = 48_000;
/// Long packets, so that a busy machine starves the mixer less often.
const PERIOD_FRAMES: u32 = 2048;
const FORMATS: [SampleFormat; 3] =
    [SampleFormat::INT16, SampleFormat::INT24, SampleFormat::FLOAT32];

fn backend() -> DsoundBackend {
    DsoundBackend::new(RealSystem::new())
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
        let bench = || Bench {
            system: RealSystem::new(),
            backend: Box::new(backend()),
            request: request.clone(),
            heard: None,
            is_looped: false,
            unplug: None,
        };
        let what = if plays { "dsound plays" } else { "dsound captures" };
        wire::keeps_the_contract(what, || check(&bench));
    }
}

#[test]
fn what_is_played_arrives_bit_for_bit() {
    let Some(sink) = std::env::var_os("BAREWIRE_SINK").map(PathBuf::from) else {
        println!("SKIPPED: BAREWIRE_SINK does not say where to read what was played");
        return;
    };
    for format in FORMATS {
        let request = request(true, PERIOD_FRAMES, Some(format));
        wire::insist(&format!("dsound plays {format}"), || {
            let (stream, was_late) = watched(&request);
            let played = wire::play(&*RealSystem::new(), stream, &sink, FRAMES);
            (played, !was_late.load(Ordering::Acquire))
        });
    }
}

#[test]
fn what_is_captured_is_the_tune_bit_for_bit() {
    if tune().is_none() {
        println!("SKIPPED: BAREWIRE_TUNE does not say where the source looks for its tune");
        return;
    }
    // 24 bits and floats are PulseAudio's own conversion from the source's 32, and it rounds.
    let format = SampleFormat::INT16;
    let request = request(false, PERIOD_FRAMES, Some(format));
    wire::insist(&format!("dsound captures {format}"), || {
        let (stream, was_late) = watched(&request);
        let captured = wire::capture(&*RealSystem::new(), stream, FRAMES);
        (captured, !was_late.load(Ordering::Acquire))
    });
}

/// An open stream over DirectSound itself, and whether sound was ever put behind the cursor, which is seen beside the stream.
fn watched(request: &OpenRequest) -> (Box<dyn Stream>, Arc<AtomicBool>) {
    let was_late = Arc::new(AtomicBool::new(false));
    let sounds = Watched(was_late.clone());
    let backend = DsoundBackend::with_sounds(RealSystem::new(), Arc::new(sounds));
    (backend.open(request).unwrap(), was_late)
}

struct Watched(Arc<AtomicBool>);

impl Sounds for Watched {
    fn devices(&self, direction: Direction) -> Vec<SoundDevice> {
        DirectSound.devices(direction)
    }

    fn open(
        &self,
        direction: Direction,
        endpoint: &str,
        format: &SoundFormat,
        ring_frames: u32,
    ) -> Result<Box<dyn Sound>, Code> {
        let sound = DirectSound.open(direction, endpoint, format, ring_frames)?;
        Ok(Box::new(WatchedSound { sound, ring_frames, was_late: self.0.clone() }))
    }

    fn is_wine(&self) -> bool {
        DirectSound.is_wine()
    }
}

struct WatchedSound {
    sound: Box<dyn Sound>,
    ring_frames: u32,
    was_late: Arc<AtomicBool>,
}

impl Sound for WatchedSound {
    fn start(&mut self) -> Result<(), Code> {
        self.sound.start()
    }

    fn stop(&mut self) {
        self.sound.stop();
    }

    fn cursor(&mut self) -> Result<u32, Code> {
        self.sound.cursor()
    }

    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Code> {
        self.sound.write(at, bytes)?;
        // Silence wipes what was played, behind the cursor. Sound never lies half a ring ahead of it, but behind it does.
        let ahead = (at + self.ring_frames - self.sound.cursor()?) % self.ring_frames;
        if ahead > self.ring_frames / 2 && bytes.iter().any(|&byte| byte != 0) {
            self.was_late.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn read(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), Code> {
        self.sound.read(at, bytes)
    }

    fn restore(&mut self) -> Result<(), Code> {
        self.sound.restore()
    }
}
