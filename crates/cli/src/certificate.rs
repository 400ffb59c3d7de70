//! The certificate of `barewire verify`: what was sent, what came back, what was promised; as data and as a page.

use anyhow::{Context, Result};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::Path;

/// What was proven of a path.
#[derive(Serialize)]
pub(crate) struct Certificate {
    pub(crate) driver: String,
    pub(crate) driver_version: i32,
    pub(crate) device: Option<String>,
    pub(crate) rate_hz: f64,
    pub(crate) channels: usize,
    pub(crate) block_frames: u32,
    pub(crate) host_format: &'static str,
    pub(crate) device_format: Option<&'static str>,
    /// The width that is promised.
    pub(crate) bits: u8,
    /// The width of the host's format.
    pub(crate) container_bits: u8,
    /// Before anything was sent.
    pub(crate) predicted: String,
    pub(crate) predicted_because: String,
    pub(crate) measured: String,
    /// Every value of the promised width came back as it was sent.
    pub(crate) exact: bool,
    /// So did every bit of the host's format.
    pub(crate) container_exact: bool,
    pub(crate) delay_frames: Option<usize>,
    pub(crate) reported_frames: Option<u64>,
    pub(crate) patterns: Vec<Proof>,
    pub(crate) made_by: String,
    pub(crate) system: String,
}

/// What became of one pattern.
#[derive(Serialize)]
pub(crate) struct Proof {
    pub(crate) pattern: &'static str,
    pub(crate) bits: u8,
    pub(crate) exact: bool,
    pub(crate) frames: usize,
    pub(crate) delay_frames: Option<usize>,
    pub(crate) wrong_samples: usize,
    pub(crate) wrong_bits: u32,
    pub(crate) findings: Vec<String>,
    /// Of interleaved, left-justified 32-bit little-endian samples.
    pub(crate) sent_sha256: String,
    /// Of as many frames, from the delay on.
    pub(crate) received_sha256: String,
}

/// SHA-256 of samples, as digits.
pub(crate) fn hash(samples: impl Iterator<Item = i32>) -> String {
    let mut state = Sha256::new();
    for sample in samples {
        state.update(sample.to_le_bytes());
    }
    let mut digits = String::new();
    for byte in state.finalize() {
        // A write to a String does not fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// The program and its version.
pub(crate) fn maker() -> String {
    format!("barewire {}", env!("CARGO_PKG_VERSION"))
}

/// The system and the processor.
pub(crate) fn system() -> String {
    format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)
}

impl Proof {
    fn verdict(&self) -> String {
        match self.delay_frames {
            None => "did not come back: is there a loop from the outputs to the inputs?".to_owned(),
            Some(_) if self.exact => "exact".to_owned(),
            Some(_) if self.findings.is_empty() => format!("cut off after {} frames", self.frames),
            Some(_) => self.findings.join("; "),
        }
    }
}

impl Certificate {
    fn path(&self) -> String {
        let device = self.device.as_deref().unwrap_or("its device");
        format!(
            "{} to {device}, {} Hz, {} channels, blocks of {} frames",
            self.driver, self.rate_hz, self.channels, self.block_frames
        )
    }

    fn values(&self) -> String {
        let yes = |exact: bool| if exact { "yes" } else { "no" };
        format!(
            "value-exact ({} bits): {}; container-exact ({} bits): {}",
            self.bits,
            yes(self.exact),
            self.container_bits,
            yes(self.container_exact)
        )
    }

    /// A few lines for a terminal.
    pub(crate) fn summary(&self) -> String {
        let mut lines = vec![self.path()];
        for proof in &self.patterns {
            let Proof { pattern, frames, bits, .. } = proof;
            let verdict = proof.verdict();
            lines.push(format!("  {pattern:14} {bits} bits, {frames} frames: {verdict}"));
        }
        lines.push(format!("  predicted: {}", self.predicted));
        lines.push(format!("  measured:  {}", self.measured));
        lines.push(format!("  {}", self.values()));
        lines.join("\n")
    }

    fn page(&self) -> String {
        let mut text = format!("# {}\n\n", self.path());
        let device = self.device_format.unwrap_or("not known");
        let told = self.reported_frames.map_or("not told".to_owned(), |frames| frames.to_string());
        let delay = self.delay_frames.map_or("none".to_owned(), |frames| frames.to_string());
        let rows = [
            ("measured", self.measured.clone()),
            ("predicted", format!("{}: {}", self.predicted, self.predicted_because)),
            ("exactness", self.values()),
            ("formats", format!("{} to the host, {device} at the device", self.host_format)),
            ("way round", format!("{delay} frames; the driver tells {told}")),
            ("driver", format!("{}, version {}", self.driver, self.driver_version)),
            ("made by", format!("{} on {}", self.made_by, self.system)),
        ];
        text.push_str("| | |\n|---|---|\n");
        for (name, value) in rows {
            // A write to a String does not fail.
            let _ = writeln!(text, "| {name} | {} |", value.replace('|', "/"));
        }
        text.push_str("\n| pattern | bits | frames | what became of it | SHA-256 sent | SHA-256 received |\n|---|---|---|---|---|---|\n");
        for proof in &self.patterns {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | `{}` | `{}` |",
                proof.pattern,
                proof.bits,
                proof.frames,
                proof.verdict(),
                proof.sent_sha256,
                proof.received_sha256
            );
        }
        text.push_str(
            "\nThe hashes are of interleaved, left-justified 32-bit little-endian samples; the received ones from the delay on.\n",
        );
        text
    }

    /// Writes the page, and the data beside it.
    pub(crate) fn store(&self, page: &Path) -> Result<()> {
        std::fs::write(page, self.page()).with_context(|| page.display().to_string())?;
        let data = page.with_extension("json");
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(&data, text).with_context(|| data.display().to_string())
    }
}
