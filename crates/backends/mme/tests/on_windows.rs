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
use barewire_device::{Backend, DeviceInfo, OpenRequest, SideRequest, Stream};
use barewire_mme::MmeBackend;
use barewire_mme::waves::{Code, Direction, Ready, Wave, WaveDevice, WaveFormat, Waves, Winmm};
use barewire_rt::{RealSystem, Waker};
use barewire_testkit::wire;
use barewire_types::{Ns, RateHz, SampleFormat};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
        let bench = || Bench {
            system: RealSystem::new(),
            backend: Box::new(backend()),
            request: request.clone(),
            heard: None,
            is_looped: false,
            unplug: None,
        };
        let what = if plays { "mme plays" } else { "mme captures" };
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
        wire::insist(&format!("mme plays {format}"), || {
            let (stream, ran_dry) = watched(&request);
            let played = wire::play(&*RealSystem::new(), stream, &sink, FRAMES);
            (played, !ran_dry.load(Ordering::Acquire))
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
    for format in [SampleFormat::INT16, SampleFormat::INT32] {
        let request = request(false, PERIOD_FRAMES, Some(format));
        wire::insist(&format!("mme captures {format}"), || {
            let (stream, ran_dry) = watched(&request);
            let captured = wire::capture(&*RealSystem::new(), stream, FRAMES);
            (captured, !ran_dry.load(Ordering::Acquire))
        });
    }
}

/// An open stream over winmm itself, and whether winmm ever ran out of packets, which is seen beside the stream.
fn watched(request: &OpenRequest) -> (Box<dyn Stream>, Arc<AtomicBool>) {
    let ran_dry = Arc::new(AtomicBool::new(false));
    let winmm = Winmm::new(RealSystem::new());
    let waves = Watched { winmm, ran_dry: ran_dry.clone() };
    let backend = MmeBackend::with_waves(RealSystem::new(), Arc::new(waves));
    (backend.open(request).unwrap(), ran_dry)
}

struct Watched {
    winmm: Winmm,
    ran_dry: Arc<AtomicBool>,
}

impl Waves for Watched {
    fn devices(&self, direction: Direction) -> Vec<WaveDevice> {
        self.winmm.devices(direction)
    }

    fn query(&self, direction: Direction, number: u32, format: &WaveFormat) -> Result<(), Code> {
        self.winmm.query(direction, number, format)
    }

    fn open(
        &self,
        direction: Direction,
        number: u32,
        format: &WaveFormat,
        packets: u32,
        packet_frames: u32,
    ) -> Result<Box<dyn Wave>, Code> {
        let wave = self.winmm.open(direction, number, format, packets, packet_frames)?;
        Ok(Box::new(WatchedWave { wave, packets, queued: 0, ran_dry: self.ran_dry.clone() }))
    }
}

struct WatchedWave {
    wave: Box<dyn Wave>,
    packets: u32,
    /// Since the beginning.
    queued: u32,
    ran_dry: Arc<AtomicBool>,
}

impl Wave for WatchedWave {
    fn base(&self) -> *mut u8 {
        self.wave.base()
    }

    fn queue(&mut self, packet: u32) -> Result<(), Code> {
        self.wave.queue(packet)?;
        self.queued += 1;
        let has_back = |n: u32| n == packet || self.wave.returned(n).is_some();
        if self.queued > self.packets && (0..self.packets).all(has_back) {
            self.ran_dry.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn returned(&self, packet: u32) -> Option<u32> {
        self.wave.returned(packet)
    }

    fn start(&mut self) -> Result<(), Code> {
        self.wave.start()
    }

    fn reset(&mut self) {
        self.queued = 0;
        self.wave.reset();
    }

    fn waker(&self) -> Waker {
        self.wave.waker()
    }

    fn wait(&mut self, until: Ns) -> Ready {
        self.wave.wait(until)
    }
}
