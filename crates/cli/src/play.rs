//! `barewire play`: files of music through the ASIO interface, each at its own rate.

use crate::builtin::{self, Chosen};
use crate::decode::{Ahead, Track};
use crate::feed::{FilePlayer, Progress};
use crate::{Global, say};
use anyhow::{Context, Result, anyhow, bail};
use barewire_driver::Report;
use barewire_host::{BlockSize, Request, Session, Shape};
use barewire_types::RateHz;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Files, played one after another without a gap as long as the rate stays.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Played {
    files: Vec<PathBuf>,
    rate_hz: u32,
    channels: usize,
    bits: Option<u32>,
    codec: &'static str,
    frames: u64,
    driver: String,
    device: Option<String>,
    device_id: Option<String>,
    device_format: Option<&'static str>,
    host_format: Option<&'static str>,
    block_frames: u32,
    xruns: u64,
    lates: u64,
    losses: u64,
    starved_frames: u64,
    integrity: Option<String>,
    reason: Option<String>,
    held: Vec<String>,
    notes: Vec<String>,
}

/// Plays files.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    // All are opened before the first one sounds: a list with a broken file in it is not half played.
    let tracks = options
        .files
        .iter()
        .map(|file| Track::open(file))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let chosen = builtin::choose(global)?;
    let mut session = Session::open(&chosen.source)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    ctrlc::set_handler(move || flag.store(true, Ordering::Release))
        .context("Ctrl-C cannot be watched for")?;
    let mut played = Vec::new();
    for group in by_rate(tracks) {
        played.push(play_group(global, &mut session, &chosen, group, &interrupted)?);
        if interrupted.load(Ordering::Acquire) {
            break;
        }
    }
    // Closed before anything is said of files: they are complete then.
    drop(session);
    say::report(global, &played, |played| {
        played.iter().for_each(print);
        let is_virtual = |group: &Played| {
            group.device_id.as_deref().is_some_and(|id| id.starts_with("virtual:"))
        };
        let stand_in = played.iter().find(|group| is_virtual(group));
        match stand_in.filter(|_| chosen.is_automatic) {
            Some(group) if !group.held.is_empty() => say::line(format_args!(
                "No sound hardware was free, so the virtual device was used: {}.",
                group.held.join("; ")
            )),
            Some(_) => say::line("No sound hardware was found, so the virtual device was used."),
            None => {}
        }
    });
    if interrupted.load(Ordering::Acquire) {
        bail!("interrupted; what was played so far is complete");
    }
    if played.iter().any(|group| group.losses > 0) {
        bail!("the device was lost on the way, and what was played meanwhile was not heard");
    }
    Ok(())
}

/// Neighbours of one rate and channel count, which play without a gap.
fn by_rate(tracks: Vec<Track>) -> Vec<Vec<Track>> {
    let mut groups: Vec<Vec<Track>> = Vec::new();
    for track in tracks {
        let fits = |group: &&mut Vec<Track>| {
            let info = &group[0].info;
            info.rate == track.info.rate && info.channels == track.info.channels
        };
        match groups.last_mut().filter(fits) {
            Some(group) => group.push(track),
            None => groups.push(vec![track]),
        }
    }
    groups
}

fn prepare(global: &Global, session: &mut Session, rate: RateHz, channels: usize) -> Result<Shape> {
    session.unprepare()?;
    session.set_sample_rate(rate.as_f64())?;
    let (_, outputs) = session.channels()?;
    if outputs == 0 {
        bail!("{} has no outputs; choose another device", session.name());
    }
    let wanted = u32::try_from(channels.max(2)).unwrap_or(u32::MAX).min(outputs);
    let size = global.block.map_or(BlockSize::Preferred, BlockSize::Exactly);
    let request = Request { inputs: Vec::new(), outputs: (0..wanted).collect(), size };
    Ok(session.prepare(&request)?.clone())
}

fn play_group(
    global: &Global,
    session: &mut Session,
    chosen: &Chosen,
    tracks: Vec<Track>,
    interrupted: &AtomicBool,
) -> Result<Played> {
    let first = tracks[0].info.clone();
    let files: Vec<PathBuf> = tracks.iter().map(|track| track.info.path.clone()).collect();
    let total = tracks.iter().map(|track| track.info.frames).sum::<Option<u64>>();
    let shape = prepare(global, session, first.rate, first.channels)?;
    let format = shape.output_format.ok_or_else(|| anyhow!("the driver made no outputs"))?;
    let channels = shape.outputs.len();
    let (ahead, feed) = Ahead::start(tracks, channels)?;
    feed.prime();
    let progress = Arc::new(Progress::default());
    let player = FilePlayer::new(
        feed,
        channels,
        shape.frames,
        format,
        progress.clone(),
        chosen.is_simulated,
    )?;
    session.start(Box::new(player))?;
    let bar = bar(global, total, first.rate);
    let latency = session.latency().map_or(0, |latency| latency.output_frames);
    // The last frame has sounded once so much silence was handed over behind it.
    // Beyond what the driver can know, USB hardware has packets on their way that a stop throws away: 20 ms of them.
    let packets = u64::from(first.rate.get() / 50);
    let tail = u64::from(latency) + 2 * u64::from(shape.frames) + packets;
    let result = watch(session, &progress, &bar, tail, interrupted);
    session.stop()?;
    bar.finish_and_clear();
    let report = chosen.observer().map(|observer| observer.report());
    if let Some(error) = ahead.error() {
        return Err(error.into());
    }
    result?;
    Ok(summary(session, files, &first, &shape, &progress, report))
}

fn bar(global: &Global, total: Option<u64>, rate: RateHz) -> ProgressBar {
    let seconds = |frames: u64| frames / u64::from(rate.get());
    if global.json || !std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        return ProgressBar::hidden();
    }
    let bar = total.map_or_else(ProgressBar::no_length, |total| ProgressBar::new(seconds(total)));
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of {len} s  {msg}") {
        bar.set_style(style);
    }
    bar
}

/// Waits for the end of the music and for its last frame to sound.
fn watch(
    session: &Session,
    progress: &Progress,
    bar: &ProgressBar,
    tail: u64,
    interrupted: &AtomicBool,
) -> Result<()> {
    /// A driver that takes nothing for this long takes nothing any more.
    const PATIENCE: Duration = Duration::from_secs(15);
    let mut last = (0, Instant::now());
    let rate = session.shape().map_or(48_000.0, |shape| shape.rate_hz.max(1.0));
    while progress.after.load(Ordering::Relaxed) < tail {
        if interrupted.load(Ordering::Acquire) {
            progress.stop.store(true, Ordering::Release);
        }
        let blocks = session.statistics().blocks;
        if blocks != last.0 {
            last = (blocks, Instant::now());
        } else if last.1.elapsed() > PATIENCE {
            bail!("{} has stopped asking for sound", session.name());
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "seconds for people"
        )]
        bar.set_position((progress.frames.load(Ordering::Relaxed) as f64 / rate) as u64);
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn summary(
    session: &Session,
    files: Vec<PathBuf>,
    first: &crate::decode::TrackInfo,
    shape: &Shape,
    progress: &Progress,
    report: Option<Report>,
) -> Played {
    let ours = report.as_ref();
    Played {
        files,
        rate_hz: first.rate.get(),
        channels: first.channels,
        bits: first.bits,
        codec: first.codec,
        frames: progress.frames.load(Ordering::Relaxed),
        driver: session.name().to_owned(),
        device: ours.and_then(|report| report.device_name.clone()),
        device_id: ours.and_then(|report| report.device_id.clone()),
        device_format: ours.and_then(|report| report.device_formats.1).map(|format| format.name()),
        host_format: shape.output_format.map(|format| format.name()),
        block_frames: shape.frames,
        xruns: ours.map_or(session.statistics().overloads, |report| report.xruns),
        lates: ours.map_or(0, |report| report.lates),
        losses: ours.map_or(0, |report| report.losses),
        starved_frames: progress.starved.load(Ordering::Relaxed),
        integrity: ours.map(|report| report.integrity.to_string()),
        reason: ours.map(|report| report.integrity_reason.to_string()),
        held: ours.map_or_else(Vec::new, |report| report.held.clone()),
        notes: report.map_or_else(Vec::new, |report| report.notes),
    }
}

fn print(group: &Played) {
    let names: Vec<String> = group
        .files
        .iter()
        .map(|file| file.file_name().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    let bits = group.bits.map_or_else(String::new, |bits| format!(", {bits} bits"));
    say::line(format_args!("Played {}", names.join(", ")));
    say::line(format_args!(
        "  {}, {} Hz, {} channels{bits}, {} frames",
        group.codec, group.rate_hz, group.channels, group.frames
    ));
    if let (Some(device), Some(format)) = (&group.device, group.device_format) {
        say::line(format_args!(
            "  to {device} as {format}, through {} in blocks of {}",
            group.driver, group.block_frames
        ));
    } else {
        say::line(format_args!("  through {} in blocks of {}", group.driver, group.block_frames));
    }
    let starved = match group.starved_frames {
        0 => String::new(),
        frames => format!(", {frames} frames of silence since decoding was too slow"),
    };
    say::line(format_args!("  {} xruns, {} late blocks{starved}", group.xruns, group.lates));
    if let (Some(integrity), Some(reason)) = (&group.integrity, &group.reason) {
        say::line(format_args!("  integrity: {integrity}: {reason}"));
    }
    for note in &group.notes {
        say::line(format_args!("  note: {note}"));
    }
}
