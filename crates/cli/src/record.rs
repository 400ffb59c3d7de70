//! `barewire record` and `barewire tone`.

use crate::{Global, builtin, say};
use anyhow::{Context, Result, anyhow, bail};
use barewire_dsp::{Copier, Rest, Route};
use barewire_host::{Block, BlockSize, Player, Request, Session};
use barewire_rt::{Area, AreaMut};
use barewire_types::{RateHz, SampleFormat};
use barewire_virtual::wav;
use serde::Serialize;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub(crate) struct Record {
    /// The WAV file to write.
    file: PathBuf,
    /// Seconds; until Ctrl-C if not given.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// The rate; by default the driver's own.
    #[arg(long, value_name = "HZ")]
    rate: Option<f64>,
    /// Bits of a sample: 16, 24 or 32.
    #[arg(long, default_value_t = 32, value_parser = bits)]
    bits: u8,
    /// Write over a file that is there.
    #[arg(long)]
    force: bool,
}

#[derive(clap::Args)]
pub(crate) struct Tone {
    /// The pitch.
    #[arg(long, default_value_t = 440.0, value_name = "HZ")]
    frequency: f64,
    /// The level below full scale.
    #[arg(long, default_value_t = -20.0, value_name = "DB", allow_negative_numbers = true)]
    level: f64,
    /// Seconds.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// The rate; by default the driver's own.
    #[arg(long, value_name = "HZ")]
    rate: Option<f64>,
}

fn bits(text: &str) -> std::result::Result<u8, String> {
    match text.parse() {
        Ok(bits @ (16 | 24 | 32)) => Ok(bits),
        _ => Err(format!("{text} is none of 16, 24 and 32")),
    }
}

#[derive(Serialize)]
struct Recorded {
    file: PathBuf,
    rate_hz: f64,
    channels: usize,
    bits: u8,
    frames: u64,
    lost_frames: u64,
}

fn interrupted() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let its = flag.clone();
    ctrlc::set_handler(move || its.store(true, Ordering::Release))
        .context("Ctrl-C cannot be watched for")?;
    Ok(flag)
}

/// A length in frames, if it is one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to lie within the range"
)]
fn frames_of(seconds: f64, rate_hz: f64) -> Result<u64> {
    let frames = seconds * rate_hz;
    if !(1.0..=1e15).contains(&frames) {
        bail!("{seconds} seconds cannot be done; give a length above 0");
    }
    Ok(frames as u64)
}

fn straight(from: SampleFormat, to: SampleFormat, channels: usize) -> Result<Copier> {
    let count = u16::try_from(channels)?;
    let routes: Vec<Route> = (0..count).map(|n| Route { from: n, to: n }).collect();
    Ok(Copier::new(from, to, count, count, &routes, Rest::Silence)?)
}

/// Records the inputs.
pub(crate) fn record(global: &Global, options: &Record) -> Result<()> {
    /// Seconds that wait for the disk.
    const AHEAD_SECONDS: usize = 4;
    if options.file.exists() && !options.force {
        bail!("{} is there already; give another name, or --force", options.file.display());
    }
    let chosen = builtin::choose(global)?;
    let mut session = Session::open(&chosen.source)?;
    if let Some(rate_hz) = options.rate {
        session.set_sample_rate(rate_hz)?;
    }
    let (inputs, _) = session.channels()?;
    if inputs == 0 {
        bail!("{} has no inputs; choose another device", session.name());
    }
    let size = global.block.map_or(BlockSize::Preferred, BlockSize::Exactly);
    let request = Request { inputs: (0..inputs).collect(), outputs: Vec::new(), size };
    let shape = session.prepare(&request)?.clone();
    let format = match options.bits {
        16 => SampleFormat::INT16,
        24 => SampleFormat::INT24,
        _ => SampleFormat::INT32,
    };
    let input = shape.input_format.ok_or_else(|| anyhow!("the driver made no inputs"))?;
    let channels = shape.inputs.len();
    let rate = RateHz::from_f64(shape.rate_hz)
        .ok_or_else(|| anyhow!("the driver does not know its rate"))?;
    let limit = options.seconds.map(|seconds| frames_of(seconds, shape.rate_hz)).transpose()?;
    let copier = straight(input, format, channels)?;
    let frame_bytes = channels * format.bytes();
    let file = File::create(&options.file)
        .with_context(|| format!("{} cannot be written", options.file.display()))?;
    let mut writer = wav::Writer::new(file, rate, u16::try_from(channels)?, format)?;
    let lost = Arc::new(AtomicU64::new(0));
    let capacity = frame_bytes * rate.get() as usize * AHEAD_SECONDS;
    let (producer, consumer) = rtrb::RingBuffer::<u8>::new(capacity);
    let staging = vec![0_u8; shape.frames as usize * frame_bytes];
    let (is_patient, its_lost, sample_bytes) = (chosen.is_simulated, lost.clone(), format.bytes());
    let keeper =
        Keeper { copier, channels, sample_bytes, staging, producer, is_patient, lost: its_lost };
    session.start(Box::new(keeper))?;
    let most = limit.map_or(u64::MAX, |frames| frames * frame_bytes as u64);
    write(consumer, &mut writer, frame_bytes, most)?;
    session.stop()?;
    writer.finish().context("the recording cannot be completed")?;
    let recorded = Recorded {
        file: options.file.clone(),
        rate_hz: shape.rate_hz,
        channels,
        bits: options.bits,
        frames: writer.written_bytes() / frame_bytes as u64,
        lost_frames: lost.load(Ordering::Relaxed),
    };
    say::report(global, &recorded, |recorded| {
        let Recorded { file, frames, channels, rate_hz, bits, .. } = recorded;
        let file = file.display();
        say::line(format_args!(
            "Recorded {file}: {frames} frames, {channels} channels, {rate_hz} Hz, {bits} bits"
        ));
        if recorded.lost_frames > 0 && limit.is_none() {
            say::line(format_args!(
                "  {} frames were lost: the disk is too slow",
                recorded.lost_frames
            ));
        }
    });
    Ok(())
}

/// Copies inputs into a ring, on the driver's thread.
struct Keeper {
    copier: Copier,
    channels: usize,
    sample_bytes: usize,
    staging: Vec<u8>,
    producer: rtrb::Producer<u8>,
    /// Wait for the disk rather than lose anything: only where time stands still meanwhile.
    is_patient: bool,
    lost: Arc<AtomicU64>,
}

impl Player for Keeper {
    fn block(&mut self, block: Block<'_>) {
        let place = AreaMut::from_slice(&mut self.staging, self.channels, self.sample_bytes);
        self.copier.run(block.inputs(), place);
        let length = self.staging.len();
        while self.is_patient && self.producer.slots() < length && !self.producer.is_abandoned() {
            std::thread::sleep(Duration::from_micros(200));
        }
        let Ok(mut chunk) = self.producer.write_chunk(length) else {
            self.lost.fetch_add(u64::from(block.frames()), Ordering::Relaxed);
            return;
        };
        let (first, second) = chunk.as_mut_slices();
        let (head, tail) = self.staging.split_at(first.len());
        first.copy_from_slice(head);
        second.copy_from_slice(tail);
        chunk.commit_all();
    }
}

/// Writes what comes until `most` bytes or Ctrl-C.
fn write(
    mut consumer: rtrb::Consumer<u8>,
    writer: &mut wav::Writer,
    frame_bytes: usize,
    most: u64,
) -> Result<()> {
    let stop = interrupted()?;
    while writer.written_bytes() < most && !stop.load(Ordering::Acquire) {
        let there = consumer.slots() / frame_bytes * frame_bytes;
        let left = usize::try_from(most - writer.written_bytes()).unwrap_or(usize::MAX);
        if let Ok(chunk) = consumer.read_chunk(there.min(left)) {
            let (first, second) = chunk.as_slices();
            let written = writer.write(first).and_then(|()| writer.write(second));
            written.context("the recording cannot be written")?;
            chunk.commit_all();
        }
        if there == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}

/// Plays a sine.
pub(crate) fn tone(global: &Global, options: &Tone) -> Result<()> {
    let chosen = builtin::choose(global)?;
    let mut session = Session::open(&chosen.source)?;
    if let Some(rate_hz) = options.rate {
        session.set_sample_rate(rate_hz)?;
    }
    let (_, outputs) = session.channels()?;
    let size = global.block.map_or(BlockSize::Preferred, BlockSize::Exactly);
    let request = Request { inputs: Vec::new(), outputs: (0..outputs.min(2)).collect(), size };
    let shape = session.prepare(&request)?.clone();
    let rate_hz = shape.rate_hz;
    if !(0.0..rate_hz / 2.0).contains(&options.frequency)
        || options.level > 0.0
        || options.level.is_nan()
    {
        bail!("a tone has a pitch below half of {rate_hz} Hz and a level of 0 dB at most");
    }
    let wanted = frames_of(options.seconds, rate_hz)?;
    let format = shape.output_format.ok_or_else(|| anyhow!("the driver made no outputs"))?;
    let channels = shape.outputs.len();
    let copier = straight(SampleFormat::FLOAT64, format, channels)?;
    let (gain, step) =
        (10_f64.powf(options.level / 20.0), std::f64::consts::TAU * options.frequency / rate_hz);
    let mut staging = vec![0_u8; shape.frames as usize * channels * 8];
    let played = Arc::new(AtomicU64::new(0));
    let its = played.clone();
    let mut at = 0_u64;
    session.start(Box::new(move |mut block: Block<'_>| {
        let frames = staging.as_chunks_mut::<8>().0.chunks_exact_mut(channels);
        for frame in frames {
            #[expect(clippy::cast_precision_loss, reason = "hours of sound lie far below 2^53")]
            let sample = if at < wanted { gain * (step * at as f64).sin() } else { 0.0 };
            frame.fill(sample.to_le_bytes());
            at += 1;
        }
        copier.run(Area::from_slice(&staging, channels, 8), block.outputs());
        its.store(at, Ordering::Relaxed);
    }))?;
    let stop = interrupted()?;
    let tail = session.latency().map_or(0, |latency| u64::from(latency.output_frames))
        + 2 * u64::from(shape.frames);
    let mut last = (0, Instant::now());
    while played.load(Ordering::Relaxed) < wanted + tail && !stop.load(Ordering::Acquire) {
        let now = played.load(Ordering::Relaxed);
        if now != last.0 {
            last = (now, Instant::now());
        } else if last.1.elapsed() > Duration::from_secs(10) {
            bail!("{} has stopped asking for sound", session.name());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    session.stop()?;
    let text = format!(
        "Played {} Hz at {} dB for {} s",
        options.frequency, options.level, options.seconds
    );
    let value = serde_json::json!({ "frequency_hz": options.frequency, "level_db": options.level, "frames": wanted });
    say::report(global, &value, |_| say::line(text));
    Ok(())
}
