//! The hub: one process holds the virtual device, two programs play through it, one of them of the other width where both run
//! here, and what the device was played is their exact sum from the first frame of the first to the last of the last.

use crate::lab_windows::lab::{Bits, Lab};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A quiet machine needs some seconds.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(100);
/// Long blocks and far ahead: what is compared are samples, not how busy the machine is.
const SETTINGS: &str = "input.device = { pattern = \"virtual:loop\" }\noutput.device = { pattern = \"virtual:loop\" }\n\
    blocks.preferred_frames = 8192\n[virtual]\nprefill_periods = 4\n";
const SECONDS: usize = 6;
const FRAMES: usize = 48_000 * SECONDS;

#[derive(Deserialize)]
struct Report {
    device: String,
    clients: Vec<Client>,
}

#[derive(Deserialize)]
struct Client {
    runs: bool,
    blocks: u64,
    integrity: String,
}

/// The n-th sample of the first program: never 0, and nothing in its low 8 bits.
fn first(n: usize) -> i16 {
    i16::try_from(n % 100 + 1).unwrap_or(1) * 256
}

/// Of the second: never 0, and nothing but low 8 bits. So a sum tells what both gave.
fn second(n: usize) -> i16 {
    i16::try_from(n % 251 + 1).unwrap_or(1)
}

/// A WAV file of 16 bits, stereo.
fn write(path: &Path, sample: fn(usize) -> i16) -> Result<()> {
    let data: Vec<u8> =
        (0..FRAMES).flat_map(|n| [sample(n); 2]).flat_map(i16::to_le_bytes).collect();
    let length = u32::try_from(data.len())?;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + length).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    bytes.extend(48_000_u32.to_le_bytes());
    bytes.extend(192_000_u32.to_le_bytes());
    bytes.extend(b"\x04\0\x10\0data");
    bytes.extend(length.to_le_bytes());
    bytes.extend(data);
    Ok(std::fs::write(path, bytes)?)
}

/// Frames of a WAV file of 32 bits, stereo.
fn read(path: &Path) -> Result<Vec<[i32; 2]>> {
    let bytes = std::fs::read(path)?;
    let at = bytes.windows(4).position(|four| four == b"data").context("no sound in it")?;
    let data = bytes.get(at + 8..).unwrap_or_default();
    let word = |bytes: &[u8]| bytes.try_into().map(i32::from_le_bytes).unwrap_or(0);
    Ok(data.chunks_exact(8).map(|frame| [word(&frame[..4]), word(&frame[4..])]).collect())
}

/// That one program's part is whole, exact and in one piece; where it begins.
fn check(part: &[i32], sample: fn(usize) -> i16, who: &str) -> Result<usize> {
    let begin = part.iter().position(|&value| value != 0);
    let begin = begin.with_context(|| format!("nothing was heard of the {who} program"))?;
    for (n, &value) in part[begin..].iter().enumerate() {
        let expected = if n < FRAMES { i32::from(sample(n)) } else { 0 };
        if value != expected {
            bail!("the {who} program's frame {n} is {value}, not {expected}");
        }
    }
    if part.len() < begin + FRAMES {
        bail!("only {} frames of the {who} program's {FRAMES} were heard", part.len() - begin);
    }
    Ok(begin)
}

/// What the device was played, taken apart; how many frames were the sum of both.
fn compare(folder: &Path) -> Result<usize> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    files.sort();
    let frames = files.iter().map(|file| read(file)).collect::<Result<Vec<_>>>()?.concat();
    let mut overlap = 0;
    for channel in 0..2 {
        let mut parts = [Vec::new(), Vec::new()];
        for (n, frame) in frames.iter().enumerate() {
            let value = frame[channel];
            if value & 0xFFFF != 0 {
                bail!("frame {n} has bits that nobody has played: {value:#x}");
            }
            let low = value >> 16 & 0xFF;
            parts[0].push((value >> 16) - low);
            parts[1].push(low);
        }
        let begin = check(&parts[0], first, "first")?;
        let other = check(&parts[1], second, "second")?;
        overlap = (begin.min(other) + FRAMES).saturating_sub(begin.max(other));
        if overlap < 48_000 {
            bail!("only {overlap} frames were played by both");
        }
    }
    Ok(overlap)
}

struct Desk<'a> {
    lab: &'a Lab,
    environment: [(&'static str, &'static str); 2],
}

impl Desk<'_> {
    fn report(&self) -> Option<Report> {
        let command = self.lab.built.join("barewire.exe");
        let arguments = ["--json", "top", "--count", "1"];
        let said = self.lab.run_well(&command, &arguments, &self.environment, PATIENCE).ok()?;
        serde_json::from_str(said.trim()).ok()
    }

    /// Looks until `holds`.
    fn wait(&self, what: &str, holds: impl Fn(&Report) -> bool) -> Result<Report> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(report) = self.report().filter(&holds) {
                return Ok(report);
            }
            if Instant::now() >= end {
                bail!("{what}: never");
            }
            std::thread::sleep(LOOK);
        }
    }
}

fn playing(report: &Report, count: usize) -> bool {
    report.clients.iter().filter(|client| client.runs && client.blocks > 1).count() == count
}

pub(super) fn run(lab: &Lab) -> Result<String> {
    let drive = lab.prefix.path.join("drive_c");
    let captured = drive.join("captured");
    std::fs::create_dir(&captured)?;
    std::fs::write(drive.join("hub.toml"), SETTINGS)?;
    write(&drive.join("first.wav"), first)?;
    write(&drive.join("second.wav"), second)?;
    let environment = [("BAREWIRE_SETTINGS", r"C:\hub.toml"), ("BAREWIRE_STATE", r"C:\state")];
    let desk = Desk { lab, environment };
    let command = lab.built.join("barewire.exe");
    let other = if lab.bits == Bits::B64 { Bits::B32 } else { Bits::B64 };
    let [_, others] = lab.shipped(other);
    let is_mixed = lab.runs_both() && others.is_file();
    let hub = lab.start(&command, &["--capture", r"C:\captured", "hub"], &environment)?;
    desk.wait("the hub can be called", |report| report.clients.is_empty())?;
    let set = ["--set", "driver.backend='hub'", "play", r"C:\first.wav"];
    let one = lab.start(&command, &set, &environment)?;
    let report = desk.wait("the first program plays", |report| playing(report, 1))?;
    if report.device != "virtual:loop" || !report.clients[0].integrity.contains("exact") {
        bail!("{} and not exact: {}", report.device, report.clients[0].integrity);
    }
    // The second one finds the device shared and joins by itself.
    let second = if is_mixed { &others } else { &command };
    let two = lab.start(second, &["play", r"C:\second.wav"], &environment)?;
    let report = desk.wait("both play", |report| playing(report, 2))?;
    let sums = report.clients.iter().filter(|client| client.integrity.contains("sum")).count();
    if sums != 2 {
        bail!("{sums} of two clients are told that they are summed");
    }
    for (who, player) in [("first", one), ("second", two)] {
        let ran = player.wait(PATIENCE)?;
        if ran.code != Some(0) {
            bail!("the {who} program: {ran}");
        }
    }
    lab.run_well(&command, &["hub", "stop"], &environment, PATIENCE)?;
    let ran = hub.wait(PATIENCE)?;
    if ran.code != Some(0) {
        bail!("the hub: {ran}");
    }
    let overlap = compare(&captured).with_context(|| ran.said)?;
    let width = if is_mixed { other } else { lab.bits };
    Ok(format!(
        "a {}-bit hub, a {}-bit and a {width}-bit program: {FRAMES} frames of each exact, {overlap} of them summed",
        lab.bits, lab.bits
    ))
}
