//! `barewire play` on a machine whose only way to sound is a JACK server, JACK2's or PipeWire's, and on one that has none.

#![allow(clippy::unwrap_used, reason = "a test may stop the world")]

mod command;

use barewire_testkit::servers::{JACK_VARIABLE, Jackd, PIPEWIRE_VARIABLE, PipeWire, are_there};
use command::{Desk, Outcome};
use std::path::PathBuf;
use std::process::Command;

const COST: &str =
    "JACK carries samples as 32-bit floats: exact up to 24 bits, and the server sets the rate";
const PERIOD_FRAMES: u32 = 256;

/// A server's name, and the folder in which PipeWire's socket would lie.
struct Machine {
    desk: Desk,
    server: String,
}

impl Machine {
    fn new() -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Self { desk: Desk::new(), server: format!("barewire-test-{}-{n}", std::process::id()) }
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let folder = self.desk.path("");
        let mut command: Command = self.desk.command(arguments);
        command.env(JACK_VARIABLE, &self.server);
        command.env(PIPEWIRE_VARIABLE, &folder).env("XDG_RUNTIME_DIR", &folder);
        let output = command.output().unwrap();
        Outcome {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn has_server(&self) -> bool {
        self.run(&["devices"]).out.contains("jack:")
    }

    /// Half a second at this rate.
    fn music(&self, rate_hz: u32) -> String {
        let path: PathBuf = self.desk.path("music.wav");
        let frames = rate_hz / 2;
        let samples = (0..2 * frames).map(|n| (n.wrapping_mul(2_654_435_761) >> 16) as u16);
        let data: Vec<u8> = samples.flat_map(u16::to_le_bytes).collect();
        let length = u32::try_from(data.len()).unwrap();
        let mut file = b"RIFF".to_vec();
        file.extend((length + 36).to_le_bytes());
        file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
        file.extend(rate_hz.to_le_bytes());
        file.extend((4 * rate_hz).to_le_bytes());
        file.extend(b"\x04\0\x10\0data");
        file.extend(length.to_le_bytes());
        file.extend(data);
        std::fs::write(&path, file).unwrap();
        path.to_string_lossy().into_owned()
    }

    /// Plays what the server can, and says what it costs; tells what to do about what it can't.
    fn plays_through_the_server(&self) {
        let outcome = self.run(&["play", &self.music(48_000)]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.out.contains("to JACK as float32"), "{outcome:?}");
        assert!(outcome.out.contains("integrity: exact (24 bits)"), "{outcome:?}");
        assert!(outcome.out.contains(COST), "{outcome:?}");
        let outcome = self.run(&["play", &self.music(44_100)]);
        assert_ne!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.err.contains("driver.rate_policy"), "{outcome:?}");
        let convert = "driver.rate_policy=\"convert\"";
        let outcome = self.run(&["--set", convert, "play", &self.music(44_100)]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.out.contains("integrity: resampled"), "{outcome:?}");
    }
}

/// Sound hardware would be preferred to any server; elsewhere than on Linux there are other ways.
fn is_without_hardware() -> bool {
    if !std::path::Path::new("/proc/self").exists() {
        println!("does not apply to this system");
        return false;
    }
    let is_there = std::fs::read_dir("/dev/snd").is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|e| e.file_name().to_string_lossy().starts_with("pcm")))
    });
    if is_there {
        println!("does not apply to a machine with sound hardware");
    }
    !is_there
}

#[test]
fn with_only_jack2_it_is_used_and_what_that_costs_is_said() {
    if is_without_hardware() && are_there(&[("jackd", "jackd2")]) {
        let machine = Machine::new();
        let answers = || machine.has_server();
        let _server = Jackd::start(&machine.server, 48_000, PERIOD_FRAMES, answers);
        machine.plays_through_the_server();
    }
}

#[test]
fn with_only_pipewire_it_is_used_and_what_that_costs_is_said() {
    let needed =
        [("pipewire", "pipewire"), ("pw-cli", "pipewire-bin"), ("pw-jack", "pipewire-jack")];
    if is_without_hardware() && are_there(&needed) {
        let machine = Machine::new();
        let folder = machine.desk.path("");
        let _daemon = PipeWire::start(&folder, || machine.has_server());
        machine.plays_through_the_server();
    }
}

#[test]
fn without_hardware_and_server_the_virtual_device_is_used() {
    if is_without_hardware() {
        let machine = Machine::new();
        let outcome = machine.run(&["play", &machine.music(44_100)]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.out.contains("No sound hardware was found"), "{outcome:?}");
    }
}
