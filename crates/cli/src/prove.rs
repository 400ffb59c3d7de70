//! `barewire verify` and `barewire latency`: a loop from outputs to inputs, measured.

use crate::builtin::{self, Chosen};
use crate::exchange::{self, Heard};
use crate::{Global, say};
use anyhow::{Result, bail};
use barewire_host::Session;
use barewire_verify::{Pattern, analyse};
use serde::Serialize;

#[derive(clap::Args)]
pub(crate) struct Verify {
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

#[derive(Serialize)]
struct Certificate {
    driver: String,
    device: Option<String>,
    rate_hz: f64,
    channels: usize,
    block_frames: u32,
    host_format: &'static str,
    device_format: Option<&'static str>,
    bits: u8,
    predicted: Option<String>,
    measured: String,
    exact: bool,
    delay_frames: Option<usize>,
    reported_frames: Option<u64>,
    patterns: Vec<Proof>,
}

#[derive(Serialize)]
struct Proof {
    pattern: &'static str,
    exact: bool,
    frames: usize,
    delay_frames: Option<usize>,
    wrong_samples: usize,
    wrong_bits: u32,
    findings: Vec<String>,
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

/// The width that is promised: of the host's format, and of the device's as far as it is known.
fn promised_bits(
    session: &mut Session,
    chosen: &Chosen,
    options: &Verify,
    block: Option<u32>,
) -> Result<u8> {
    let (shape, _) = exchange::prepare(session, options.rate, block)?;
    let host = shape.output_format.map_or(32, barewire_types::SampleFormat::exact_bits);
    let report = chosen.observer().map(|observer| observer.report());
    let device = report.and_then(|report| {
        let (capture, playback) = report.device_formats;
        Some(capture?.exact_bits().min(playback?.exact_bits()))
    });
    Ok(host.min(device.unwrap_or(32)))
}

/// Sends patterns round and says what became of them.
pub(crate) fn verify(global: &Global, options: &Verify) -> Result<()> {
    let chosen = builtin::choose(global)?;
    let mut session = Session::open(&chosen.source)?;
    let bits = promised_bits(&mut session, &chosen, options, global.block)?;
    let predicted = chosen.observer().map(|observer| observer.report().integrity.to_string());
    let mut certificate: Option<Certificate> = None;
    for pattern in Pattern::ALL {
        let frames = options.frames as usize;
        let sample = |frame, channel| pattern.sample(frame, channel, bits);
        let (heard, channels, shape) =
            send(&mut session, options.rate, global.block, frames, sample)?;
        let analysis = analyse(pattern, channels, bits, frames, &heard.samples, TAIL_FRAMES);
        let named = certificate.get_or_insert_with(|| {
            let report = chosen.observer().map(|observer| observer.report());
            Certificate {
                driver: session.name().to_owned(),
                device: report.as_ref().and_then(|report| report.device_id.clone()),
                rate_hz: shape.rate_hz,
                channels,
                block_frames: heard.block_frames,
                host_format: heard.format.name(),
                device_format: report
                    .and_then(|report| report.device_formats.1)
                    .map(|format| format.name()),
                bits,
                predicted: predicted.clone(),
                measured: String::new(),
                exact: true,
                delay_frames: analysis.delay_frames,
                reported_frames: heard.reported_frames,
                patterns: Vec::new(),
            }
        });
        let exact = analysis.is_exact() && analysis.compared_frames == frames;
        named.exact &= exact;
        let found = |finding: &barewire_verify::Finding| {
            format!("{} from frame {} on", finding.kind, finding.at_frame)
        };
        named.patterns.push(Proof {
            pattern: pattern.name(),
            exact,
            frames: analysis.compared_frames,
            delay_frames: analysis.delay_frames,
            wrong_samples: analysis.wrong_samples,
            wrong_bits: analysis.wrong_bits,
            findings: analysis.findings.iter().map(found).collect(),
        });
    }
    let Some(mut certificate) = certificate else { bail!("no pattern was sent") };
    certificate.measured =
        if certificate.exact { format!("exact ({bits} bits)") } else { "not exact".to_owned() };
    say::report(global, &certificate, print_certificate);
    if certificate.exact { Ok(()) } else { bail!("the path is not exact") }
}

fn print_certificate(certificate: &Certificate) {
    let device = certificate.device.as_deref().unwrap_or("its device");
    say::line(format_args!(
        "{} to {device}, {} Hz, {} channels, blocks of {} frames",
        certificate.driver, certificate.rate_hz, certificate.channels, certificate.block_frames
    ));
    for proof in &certificate.patterns {
        let verdict = if proof.exact { "exact".to_owned() } else { proof.findings.join("; ") };
        let verdict = match proof.delay_frames {
            None => "did not come back: is there a loop from the outputs to the inputs?".to_owned(),
            Some(_) if verdict.is_empty() => format!("cut off after {} frames", proof.frames),
            Some(_) => verdict,
        };
        say::line(format_args!("  {:14} {} frames: {verdict}", proof.pattern, proof.frames));
    }
    if let Some(predicted) = &certificate.predicted {
        say::line(format_args!("  predicted: {predicted}"));
    }
    say::line(format_args!("  measured:  {}", certificate.measured));
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
