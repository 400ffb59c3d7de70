//! The hub: one process holds the virtual device, two programs play through it; where programs of both widths run, the hub and
//! the second program are of the other one. What the device was played is their exact sum, from the first frame of the first
//! program to the last of the last.

use crate::lab_windows::build;
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
    let data = (0..FRAMES).flat_map(|n| [sample(n); 2]).flat_map(i16::to_le_bytes).collect();
    write_stereo(path, 2, data)
}

fn write_stereo(path: &Path, sample_bytes: u16, data: Vec<u8>) -> Result<()> {
    let length = u32::try_from(data.len())?;
    let frame_bytes = 2 * sample_bytes;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + length).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    bytes.extend(48_000_u32.to_le_bytes());
    bytes.extend((48_000 * u32::from(frame_bytes)).to_le_bytes());
    bytes.extend(frame_bytes.to_le_bytes());
    bytes.extend((8 * sample_bytes).to_le_bytes());
    bytes.extend(b"data");
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
    let is_mixed = lab.runs_both();
    if is_mixed {
        build::command(&lab.root, other)?;
    }
    let shared = if is_mixed { &others } else { &command };
    let hub = lab.start(shared, &["--capture", r"C:\captured", "hub"], &environment)?;
    desk.wait("the hub can be called", |report| report.clients.is_empty())?;
    let set = ["--set", "driver.backend='hub'", "play", r"C:\first.wav"];
    let one = lab.start(&command, &set, &environment)?;
    let report = desk.wait("the first program plays", |report| playing(report, 1))?;
    if report.device != "virtual:loop" || !report.clients[0].integrity.contains("exact") {
        bail!("{} and not exact: {}", report.device, report.clients[0].integrity);
    }
    // The second one finds the device shared and joins by itself.
    let two = lab.start(shared, &["play", r"C:\second.wav"], &environment)?;
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
        "a {width}-bit hub, a {}-bit and a {width}-bit program: {FRAMES} frames of each exact, {overlap} of them summed",
        lab.bits
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a device heard of both programs, the second one 100,000 frames later, after `fault`.
    fn heard(fault: impl FnOnce(&mut Vec<i32>)) -> Result<usize> {
        const LATER: usize = 100_000;
        let mut frames = vec![0; LATER + FRAMES + 500];
        for n in 0..FRAMES {
            frames[n] += i32::from(first(n)) << 16;
            frames[n + LATER] += i32::from(second(n)) << 16;
        }
        fault(&mut frames);
        let folder = tempfile::tempdir()?;
        let data = frames.iter().flat_map(|&value| [value; 2]).flat_map(i32::to_le_bytes);
        write_stereo(&folder.path().join("1.wav"), 4, data.collect())?;
        compare(folder.path())
    }

    #[test]
    fn an_exact_sum_is_accepted() {
        assert_eq!(heard(|_| {}).ok(), Some(FRAMES - 100_000));
    }

    #[test]
    fn one_wrong_bit_one_lost_and_one_doubled_frame_are_found() {
        assert!(heard(|frames| frames[150_000] ^= 1).is_err(), "the lowest bit");
        assert!(heard(|frames| frames[150_000] ^= 1 << 16).is_err(), "the lowest bit of a program");
        assert!(heard(|frames| frames.drain(150_000..150_001).for_each(|_| ())).is_err());
        assert!(heard(|frames| frames.insert(150_000, frames[150_000])).is_err());
        assert!(heard(|frames| frames.truncate(FRAMES)).is_err(), "the end is missing");
    }
}
