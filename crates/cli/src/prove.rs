//! `barewire verify` and `barewire latency`: a loop from outputs to inputs, measured.

use crate::builtin::{self, Chosen};
use crate::certificate::{self, Certificate, Proof};
use crate::exchange::{self, Heard};
use crate::{Global, say};
use anyhow::{Result, bail};
use barewire_host::Session;
use barewire_verify::{Pattern, analyse};
use serde::Serialize;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Verify {
    /// The driver: a registered name, or the path of its file; by default the built-in one.
    #[arg(value_name = "NAME|PATH")]
    subject: Option<String>,
    /// Write the certificate for people to this file (Markdown), and as JSON beside it.
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// The rate; by default the driver's own.
    #[arg(long, value_name = "HZ")]
    rate: Option<f64>,
    /// Frames of each pattern.
    #[arg(long, default_value_t = 96_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    frames: u32,
}

#[derive(clap::Args)]
pub(crate) struct Latency {
    /// Write what was measured into the settings file, so that hosts are told it.
    #[arg(long)]
    store: bool,
    /// The rate; by default the driver's own.
    #[arg(long, value_name = "HZ")]
    rate: Option<f64>,
}

/// Frames of silence behind a pattern: what a long way round may take.
const TAIL_FRAMES: usize = 24_000;

fn send(
    session: &mut Session,
    rate_hz: Option<f64>,
    block: Option<u32>,
    frames: usize,
    sample: impl Fn(u64, usize) -> i32,
) -> Result<(Heard, usize, barewire_host::Shape)> {
    let (shape, channels) = exchange::prepare(session, rate_hz, block)?;
    let play =
        (0..frames as u64).flat_map(|frame| (0..channels).map(move |channel| (frame, channel)));
    let play: Vec<i32> = play.map(|(frame, channel)| sample(frame, channel)).collect();
    let heard = exchange::run(session, &shape, play, TAIL_FRAMES)?;
    Ok((heard, channels, shape))
}

/// What is known before anything is sent.
struct Promise {
    /// Of the host's format, and of the device's as far as it is known.
    bits: u8,
    container_bits: u8,
    integrity: String,
    because: String,
}

fn promise(
    session: &mut Session,
    chosen: &Chosen,
    options: &Verify,
    block: Option<u32>,
) -> Result<Promise> {
    let (shape, _) = exchange::prepare(session, options.rate, block)?;
    let host = shape.output_format.unwrap_or(barewire_types::SampleFormat::INT32);
    let container_bits = host.exact_bits();
    let Some(report) = chosen.observer().map(|observer| observer.report()) else {
        return Ok(Promise {
            bits: container_bits,
            container_bits,
            integrity: format!("exact ({container_bits} bits)"),
            because: format!("the driver gives {} to its host", host.name()),
        });
    };
    let device = match report.device_formats {
        (Some(capture), Some(playback)) => capture.exact_bits().min(playback.exact_bits()),
        _ => container_bits,
    };
    Ok(Promise {
        bits: container_bits.min(device),
        container_bits,
        integrity: report.integrity.to_string(),
        because: report.integrity_reason.to_string(),
    })
}

/// Sends one pattern round and says what became of it.
fn prove(
    session: &mut Session,
    options: &Verify,
    block: Option<u32>,
    pattern: Pattern,
    bits: u8,
) -> Result<(Proof, Heard, barewire_host::Shape)> {
    let frames = options.frames as usize;
    let sample = |frame, channel| pattern.sample(frame, channel, bits);
    let (heard, channels, shape) = send(session, options.rate, block, frames, sample)?;
    let analysis = analyse(pattern, channels, bits, frames, &heard.samples, TAIL_FRAMES);
    let sent = (0..frames as u64)
        .flat_map(|frame| (0..channels).map(move |channel| (frame, channel)))
        .map(|(frame, channel)| pattern.sample(frame, channel, bits));
    let begin = analysis.delay_frames.unwrap_or(0) * channels;
    let received = heard.samples.iter().skip(begin).take(frames * channels).copied();
    let found = |finding: &barewire_verify::Finding| {
        format!("{} from frame {} on", finding.kind, finding.at_frame)
    };
    let proof = Proof {
        pattern: pattern.name(),
        bits,
        exact: analysis.is_exact() && analysis.compared_frames == frames,
        frames: analysis.compared_frames,
        delay_frames: analysis.delay_frames,
        wrong_samples: analysis.wrong_samples,
        wrong_bits: analysis.wrong_bits,
        findings: analysis.findings.iter().map(found).collect(),
        sent_sha256: certificate::hash(sent),
        received_sha256: certificate::hash(received),
    };
    Ok((proof, heard, shape))
}

/// Sends patterns round and says what became of them.
pub(crate) fn verify(global: &Global, options: &Verify) -> Result<()> {
    let mut global = global.clone();
    if let Some(subject) = &options.subject {
        global.driver = Some(subject.clone());
    }
    let chosen = builtin::choose(&global)?;
    let mut session = Session::open(&chosen.source)?;
    let promise = promise(&mut session, &chosen, options, global.block)?;
    let mut patterns = Vec::new();
    let mut last = None;
    for pattern in Pattern::ALL {
        let (proof, heard, shape) =
            prove(&mut session, options, global.block, pattern, promise.bits)?;
        patterns.push(proof);
        last = Some((heard, shape));
    }
    let Some((heard, shape)) = last else { bail!("no pattern was sent") };
    let exact = patterns.iter().all(|proof| proof.exact);
    // The low bits of the container that the device has no room for.
    let container = if promise.container_bits > promise.bits {
        let bits = promise.container_bits;
        Some(prove(&mut session, options, global.block, Pattern::Random, bits)?.0)
    } else {
        None
    };
    let report = chosen.observer().map(|observer| observer.report());
    let bits = promise.bits;
    let certificate = Certificate {
        driver: session.name().to_owned(),
        driver_version: session.driver()?.driver_version(),
        device: report.as_ref().and_then(|report| report.device_id.clone()),
        rate_hz: shape.rate_hz,
        channels: shape.outputs.len(),
        block_frames: heard.block_frames,
        host_format: heard.format.name(),
        device_format: report
            .and_then(|report| report.device_formats.1)
            .map(|format| format.name()),
        bits,
        container_bits: promise.container_bits,
        predicted: promise.integrity,
        predicted_because: promise.because,
        measured: if exact { format!("exact ({bits} bits)") } else { "not exact".to_owned() },
        exact,
        container_exact: container.as_ref().map_or(exact, |proof| proof.exact),
        delay_frames: patterns.first().and_then(|proof| proof.delay_frames),
        reported_frames: heard.reported_frames,
        patterns: patterns.into_iter().chain(container).collect(),
        made_by: certificate::maker(),
        system: certificate::system(),
    };
    if let Some(page) = &options.page {
        certificate.store(page)?;
    }
    say::report(&global, &certificate, |certificate| say::line(certificate.summary()));
    if certificate.exact { Ok(()) } else { bail!("the path is not exact") }
}

#[derive(Serialize)]
struct Measured {
    driver: String,
    rate_hz: f64,
    block_frames: u32,
    reported_frames: Option<u64>,
    measured_frames: usize,
    difference_frames: Option<i64>,
}

/// Measures the way round and prints it beside what the driver reports.
pub(crate) fn latency(global: &Global, options: &Latency) -> Result<()> {
    /// Long enough to be found anywhere, whatever else is on the way.
    const FRAMES: usize = 4_000;
    let chosen = builtin::choose(global)?;
    let mut session = Session::open(&chosen.source)?;
    // 16 bits pass through every device.
    let sample = |frame, channel| Pattern::Random.sample(frame, channel, 16);
    let (heard, channels, shape) = send(&mut session, options.rate, global.block, FRAMES, sample)?;
    let analysis = analyse(Pattern::Random, channels, 16, FRAMES, &heard.samples, TAIL_FRAMES);
    let Some(measured_frames) = analysis.delay_frames else {
        bail!("nothing came back: connect the outputs of {} to its inputs", session.name());
    };
    let difference =
        |reported: u64| Some(i64::try_from(measured_frames).ok()? - i64::try_from(reported).ok()?);
    let measured = Measured {
        driver: session.name().to_owned(),
        rate_hz: shape.rate_hz,
        block_frames: heard.block_frames,
        reported_frames: heard.reported_frames,
        measured_frames,
        difference_frames: heard.reported_frames.and_then(difference),
    };
    if options.store {
        store(global, &measured)?;
    }
    say::report(global, &measured, |measured| {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds for people")]
        let length = measured.measured_frames as f64 * 1000.0 / measured.rate_hz;
        say::line(format_args!(
            "{}, {} Hz, blocks of {}",
            measured.driver, measured.rate_hz, measured.block_frames
        ));
        say::line(format_args!("  measured {} frames ({length:.3} ms)", measured.measured_frames));
        if let (Some(reported), Some(difference)) =
            (measured.reported_frames, measured.difference_frames)
        {
            say::line(format_args!(
                "  reported {reported} frames, {difference:+} to what was measured"
            ));
        }
    });
    Ok(())
}

/// Adds the difference to the offset that the settings have for outputs: the way round does not tell one direction's part
/// from the other's, and hosts care for the sum.
fn store(global: &Global, measured: &Measured) -> Result<()> {
    const KEY: &str = "output.latency_offset_frames";
    let Some(difference) = measured.difference_frames else {
        bail!("the driver reports no latency to correct");
    };
    let loaded = builtin::settings(global).loaded();
    let Some(file) = loaded.file.clone() else {
        bail!("there is no place for settings; name a file with --settings");
    };
    let offset = i64::from(loaded.settings.output.latency_offset_frames) + difference;
    barewire_settings::write_key(&file, KEY, &offset.to_string())?;
    say::aside(format_args!("{KEY} = {offset} is written to {}", file.display()));
    Ok(())
}
