//! The `barewire` command as a person runs it, in a folder of its own.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Outcome {
    /// What was reported with `--json`.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A folder with what a run needs.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The command, touching nothing outside of the folder.
    pub(crate) fn command(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_barewire"));
        command
            .args(arguments)
            .env("BAREWIRE_STATE", self.path("state"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env_remove("BAREWIRE_SETTINGS")
            .env_remove("BAREWIRE_SET")
            .env_remove("BAREWIRE_PROFILE")
            .env_remove("RUST_BACKTRACE")
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Outcome {
        let output = self.command(arguments).output().unwrap();
        Outcome {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Plays on the simulated virtual device, and gives what it captured, in the order of its openings.
    #[track_caller]
    pub(crate) fn play(&self, files: &[&Path], more: &[&str]) -> Vec<Capture> {
        let capture = self.path("captured");
        let mut arguments: Vec<&OsStr> =
            ["--simulated", "--json", "--set", "driver.backend='virtual'"]
                .iter()
                .chain(more)
                .map(OsStr::new)
                .collect();
        arguments.extend([OsStr::new("--capture"), capture.as_os_str(), OsStr::new("play")]);
        arguments.extend(files.iter().map(|file| file.as_os_str()));
        self.run(&arguments).json();
        let mut names: Vec<PathBuf> =
            std::fs::read_dir(&capture).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names.iter().map(|name| Capture::read(name)).collect()
    }
}

/// What the virtual device captured: a WAV file of 32-bit integers.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(crate) rate_hz: u32,
    pub(crate) channels: u16,
    /// Interleaved, left-justified.
    pub(crate) samples: Vec<i32>,
}

impl Capture {
    pub(crate) fn read(path: &Path) -> Self {
        let (format, bytes, data) = chunks(path);
        let (rate_hz, channels, bits) = format;
        assert_eq!(bits, 32, "{}", path.display());
        let word = |four: &[u8]| i32::from_le_bytes(four.try_into().unwrap());
        Self { rate_hz, channels, samples: bytes[data].chunks_exact(4).map(word).collect() }
    }

    /// Rate, channels and bytes of sound of a WAV file of any width that is whole.
    pub(crate) fn header(path: &Path) -> (u32, u16, usize) {
        let (format, _, data) = chunks(path);
        (format.0, format.1, data.len())
    }

    /// Whether the device captured silence, then exactly `expected`, then silence.
    #[track_caller]
    pub(crate) fn is_exactly(&self, expected: &[i32]) {
        let begin = expected.iter().position(|&sample| sample != 0).expect("not silent");
        let lead = self.samples.iter().position(|&sample| sample != 0).expect("not silent");
        let skipped = lead.checked_sub(begin).expect("no frame of the beginning is lost");
        assert_eq!(skipped % usize::from(self.channels), 0, "whole frames of silence");
        let captured = &self.samples[skipped..];
        assert!(captured.len() >= expected.len(), "{} of {}", captured.len(), expected.len());
        let differs = captured.iter().zip(expected).position(|(a, b)| a != b);
        assert_eq!(differs, None, "sample of the first difference");
        assert!(captured[expected.len()..].iter().all(|&sample| sample == 0), "silence behind");
    }
}

/// Rate, channels, bits; the file; where its sound lies. Fails if the header does not tell the file's length.
#[track_caller]
fn chunks(path: &Path) -> ((u32, u16, u16), Vec<u8>, std::ops::Range<usize>) {
    let bytes = std::fs::read(path).unwrap();
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!((&bytes[..4], &bytes[8..12]), (&b"RIFF"[..], &b"WAVE"[..]), "{}", path.display());
    let (mut at, mut format) = (12, None);
    while at + 8 <= bytes.len() {
        let (name, size) = (&bytes[at..at + 4], number(at + 4) as usize);
        let body = at + 8;
        if name == b"fmt " {
            let channels = u16::from_le_bytes([bytes[body + 2], bytes[body + 3]]);
            let bits = u16::from_le_bytes([bytes[body + 14], bytes[body + 15]]);
            format = Some((number(body + 4), channels, bits));
        } else if name == b"data" {
            let format = format.expect("the format comes before the data");
            assert!(bytes.len() - (body + size) < 2, "the header tells the length");
            return (format, bytes, body..body + size);
        }
        at = body + size + size % 2;
    }
    panic!("{} has no data", path.display());
}

/// Noise that uses all of its bits, the same for a seed: xorshift64*.
pub(crate) fn noise(seed: u64, samples: usize) -> Vec<i32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let word = state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        u32::try_from(word).unwrap().cast_signed()
    };
    std::iter::repeat_with(next).take(samples).collect()
}

/// A WAV file of integers of `bits`, taken from the top of each sample.
pub(crate) fn wav(rate_hz: u32, channels: u16, bits: u16, samples: &[i32]) -> Vec<u8> {
    let width = usize::from(bits / 8);
    let data: Vec<u8> =
        samples.iter().flat_map(|sample| sample.to_le_bytes()[4 - width..].to_vec()).collect();
    let frame = u32::from(channels) * u32::from(bits / 8);
    let length = u32::try_from(data.len()).unwrap();
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + length).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16_u32.to_le_bytes());
    bytes.extend(1_u16.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate_hz.to_le_bytes());
    bytes.extend((rate_hz * frame).to_le_bytes());
    bytes.extend(u16::try_from(frame).unwrap().to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend(length.to_le_bytes());
    bytes.extend(data);
    bytes
}

/// Runs a program that nobody here wrote. `None`, said aloud, if it is not installed; a failure if all has to run.
#[track_caller]
pub(crate) fn foreign(program: &str, arguments: &[&OsStr]) -> Option<()> {
    let output = match Command::new(program).args(arguments).output() {
        Ok(output) => output,
        Err(error) => {
            assert!(std::env::var_os("BAREWIRE_ALL").is_none(), "{program}: {error}");
            println!("SKIPPED: {program} is not installed");
            return None;
        }
    };
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Some(())
}
