//! What arrived, in a file for each run; and what happened, a line for each thing.

use crate::descriptors::Setting;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes down one run after another.
pub(crate) struct Recorder {
    folder: Option<PathBuf>,
    runs: u32,
    current: Option<Run>,
}

struct Run {
    file: Option<File>,
    setting: Setting,
    rate_hz: u32,
    frames: u64,
}

/// Says a line at once: who reads along must not wait for it.
pub(crate) fn say(line: std::fmt::Arguments<'_>) {
    // Nobody may read along.
    let _ = writeln!(std::io::stdout(), "{line}");
}

impl Recorder {
    /// Files go to `folder`, numbered on behind those that are there.
    pub(crate) fn new(folder: Option<&Path>) -> Result<Self> {
        let mut runs = 0;
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            runs = u32::try_from(std::fs::read_dir(folder)?.count())?;
        }
        Ok(Self { folder: folder.map(Path::to_owned), runs, current: None })
    }

    /// More of the current run, or the beginning of one.
    pub(crate) fn arrived(&mut self, setting: Setting, rate_hz: u32, bytes: &[u8]) -> Result<()> {
        if self.current.is_none() {
            self.runs += 1;
            let kind = if setting.is_dsd { "dsd" } else { "pcm" };
            let name = format!(
                "{:04}-{rate_hz}-{}-{}-{kind}.raw",
                self.runs, setting.channels, setting.bits
            );
            let file = self.folder.as_ref().map(|folder| File::create(folder.join(name)));
            self.current = Some(Run { file: file.transpose()?, setting, rate_hz, frames: 0 });
        }
        let Some(run) = &mut self.current else { return Ok(()) };
        run.frames += (bytes.len() / (setting.channels * setting.bytes)) as u64;
        match &mut run.file {
            Some(file) => file.write_all(bytes).context("what arrived cannot be written down"),
            None => Ok(()),
        }
    }

    /// Frames of the current run.
    pub(crate) fn frames(&self) -> u64 {
        self.current.as_ref().map_or(0, |run| run.frames)
    }

    /// The run is over, if there is one.
    pub(crate) fn end(&mut self) {
        if let Some(Run { setting, rate_hz, frames, .. }) = self.current.take() {
            let Setting { channels, bits, is_dsd, .. } = setting;
            let kind = if is_dsd { "dsd" } else { "pcm" };
            let number = self.runs;
            say(format_args!(
                "run {number} {kind} {rate_hz} Hz {channels} channels {bits} bits {frames} frames"
            ));
        }
    }
}
