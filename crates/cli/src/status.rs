//! `barewire status`: what the drivers that other programs have loaded say of themselves.

use crate::{Global, builtin, say};
use anyhow::{Context, Result, bail};
use barewire_driver::{Status, log_file, statuses};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Serialize)]
struct Answer {
    drivers: Vec<Status>,
    log: PathBuf,
}

/// Runs the subcommand.
pub(crate) fn run(global: &Global) -> Result<()> {
    let Some(state) = builtin::state_directory(global) else {
        bail!("no place for status files is known; set HOME, or BAREWIRE_STATE to a folder");
    };
    let drivers =
        statuses(&state).with_context(|| format!("{} cannot be read", state.display()))?;
    let log = log_file(&state);
    say::report(global, &Answer { drivers, log }, print);
    Ok(())
}

fn print(answer: &Answer) {
    if answer.drivers.is_empty() {
        say::line("no program has loaded the driver");
    }
    answer.drivers.iter().for_each(driver);
    say::line(format_args!("log: {}", answer.log.display()));
}

fn driver(status: &Status) {
    let Status { program, process, entry, state, .. } = status;
    say::line(format_args!("{program} (process {process}): {entry}, {state}"));
    if let (Some(name), Some(id)) = (&status.device_name, &status.device) {
        let reason = status.reason_for_device.as_deref().unwrap_or_default();
        say::line(format_args!("  device: {name} ({id}), {reason}"));
    }
    if let (Some(rate), Some(block)) = (status.rate_hz, status.block_frames) {
        let period = status.period_frames.unwrap_or(0);
        say::line(format_args!("  {rate} Hz, blocks of {block} frames, periods of {period}"));
        let ms = |frames: u32| 1000.0 * f64::from(frames) / f64::from(rate.max(1));
        let (input, output) = (status.input_latency_frames, status.output_latency_frames);
        say::line(format_args!(
            "  latency: in {input} frames ({:.1} ms), out {output} frames ({:.1} ms)",
            ms(input),
            ms(output)
        ));
        say::line(format_args!("  integrity: {}: {}", status.integrity, status.integrity_reason));
        say::line(format_args!(
            "  {} blocks, {} xruns, {} late",
            status.blocks, status.xruns, status.lates
        ));
    }
    if let Some(error) = &status.last_error {
        say::line(format_args!("  last refusal: {error}"));
    }
    status.notes.iter().for_each(|note| say::line(format_args!("  note: {note}")));
}
