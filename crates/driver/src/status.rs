//! What a driver says of itself outside of the host, since hosts hide error texts: one small file per driver, which
//! `barewire status` reads. Written by control threads and the keeper, never by the device thread.
//!
//! Beside each file lies another one that its process holds locked, so that what a killed process has left behind is told
//! from what lives, and is cleared away by the next reader.

use crate::events::Report;
use barewire_types::{RateHz, SampleFormat};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// What a driver says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The process that has loaded the driver.
    pub process: u32,
    /// The number of the driver in its process.
    pub driver: usize,
    /// The name of its program.
    pub program: String,
    /// The name of the entry.
    pub entry: String,
    /// When this was written, RFC 3339.
    pub written: String,
    /// `loaded`, `initialized`, `prepared` or `running`.
    pub state: String,
    /// The device's id.
    pub device: Option<String>,
    /// The device's name for people.
    pub device_name: Option<String>,
    /// Why this device.
    pub reason_for_device: Option<String>,
    /// The host's rate.
    pub rate_hz: Option<u32>,
    /// Frames of the host's block.
    pub block_frames: Option<u32>,
    /// Frames of the device's period.
    pub period_frames: Option<u32>,
    /// The host's sample format.
    pub host_format: Option<String>,
    /// The format that the device captures.
    pub capture_format: Option<String>,
    /// The format that the device plays.
    pub playback_format: Option<String>,
    /// The latency of inputs that the host is told.
    pub input_latency_frames: u32,
    /// The latency of outputs that the host is told.
    pub output_latency_frames: u32,
    /// What arrives of what the host gives.
    pub integrity: String,
    /// Why.
    pub integrity_reason: String,
    /// Blocks since the start.
    pub blocks: u64,
    /// Xruns since the start.
    pub xruns: u64,
    /// Frames lost in them.
    pub missed_frames: u64,
    /// Blocks that the host was late for.
    pub lates: u64,
    /// By how much the clock of inputs from another device runs faster, in parts per billion.
    pub drift_ppb: Option<i64>,
    /// The last call that was refused, and why.
    pub last_error: Option<String>,
    /// What is not as one would wish.
    pub notes: Vec<String>,
    /// The latest records of the log.
    pub latest: Vec<String>,
}

/// Records of the log that the file repeats.
const LATEST: usize = 20;

impl Status {
    /// What `report` says, by this process, now.
    pub(crate) fn new(
        report: &Report,
        driver: usize,
        entry: String,
        last_error: Option<String>,
    ) -> Self {
        let format = |format: Option<SampleFormat>| format.map(|format| format.to_string());
        let records = &report.records[report.records.len().saturating_sub(LATEST)..];
        Self {
            process: std::process::id(),
            driver,
            program: program(),
            entry,
            written: format!("{:.3}", jiff::Timestamp::now()),
            state: report.state.to_owned(),
            device: report.device_id.clone(),
            device_name: report.device_name.clone(),
            reason_for_device: report.reason_for_device.clone(),
            rate_hz: report.rate.map(RateHz::get),
            block_frames: report.block_frames,
            period_frames: report.period_frames,
            host_format: format(report.host_format),
            capture_format: format(report.device_formats.0),
            playback_format: format(report.device_formats.1),
            input_latency_frames: report.latency.input_frames,
            output_latency_frames: report.latency.output_frames,
            integrity: report.integrity.to_string(),
            integrity_reason: report.integrity_reason.to_string(),
            blocks: report.blocks,
            xruns: report.xruns,
            missed_frames: report.missed_frames,
            lates: report.lates,
            drift_ppb: report.drift_ppb,
            last_error,
            notes: report.notes.clone(),
            latest: records.iter().map(|record| record.text.clone()).collect(),
        }
    }
}

/// The name of this program, without its extension.
pub(crate) fn program() -> String {
    let file = std::env::current_exe().ok();
    let stem =
        file.as_deref().and_then(Path::file_stem).map(|stem| stem.to_string_lossy().into_owned());
    stem.unwrap_or_else(|| "a program".to_owned())
}

/// What a hub says of itself in the same place, so that whoever finds its device held can name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubStatus {
    /// The id of the device that it holds; empty if none.
    pub device: String,
    /// The device's name.
    pub name: String,
}

/// The status file of a process that is no driver.
pub struct OwnStatus {
    file: StatusFile,
    written: Option<HubStatus>,
}

impl OwnStatus {
    /// Takes a name below the directory of what is remembered.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new(state: &Path) -> io::Result<Self> {
        Ok(Self { file: StatusFile::new(&status_directory(state), 0)?, written: None })
    }

    /// Writes what has changed.
    pub fn write(&mut self, hub: &HubStatus) {
        if self.written.as_ref() == Some(hub) {
            return;
        }
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let status = Status {
            process: std::process::id(),
            program: program(),
            entry: "hub".to_owned(),
            written: format!("{:.3}", jiff::Timestamp::now()),
            state: "hub".to_owned(),
            device: some(&hub.device),
            device_name: some(&hub.name),
            ..Status::default()
        };
        // Tried again at the next change.
        let _ = self.file.write(&status);
        self.written = Some(hub.clone());
    }
}

/// The file of one driver. Removed when it is dropped.
pub(crate) struct StatusFile {
    path: PathBuf,
    lock_path: PathBuf,
    /// Locked as long as this lives.
    lock: Option<File>,
}

impl StatusFile {
    /// Takes a name of its own below `directory`.
    pub(crate) fn new(directory: &Path, driver: usize) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let name = format!("{}-{driver}", std::process::id());
        let lock_path = directory.join(format!("{name}.lock"));
        let lock = File::create(&lock_path)?;
        lock.lock()?;
        Ok(Self { path: directory.join(format!("{name}.json")), lock_path, lock: Some(lock) })
    }

    /// Replaces what it says: a reader sees the old or the new, never a part.
    pub(crate) fn write(&self, status: &Status) -> io::Result<()> {
        let draft = self.path.with_extension("new");
        fs::write(&draft, serde_json::to_vec_pretty(status)?)?;
        fs::rename(&draft, &self.path)
    }
}

impl Drop for StatusFile {
    fn drop(&mut self) {
        // What cannot be removed now is by the next reader.
        drop(self.lock.take());
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.lock_path);
    }
}

/// Where status files lie below the directory of what is remembered.
pub fn status_directory(state: &Path) -> PathBuf {
    state.join("status")
}

/// What all drivers that live say of themselves, in the order of their names.
///
/// # Errors
/// If the directory is there and cannot be read.
pub fn statuses(state: &Path) -> io::Result<Vec<Status>> {
    let entries = match fs::read_dir(status_directory(state)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut locks: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "lock"))
        .collect();
    locks.sort();
    let mut all = Vec::new();
    for lock in locks {
        let file = lock.with_extension("json");
        let owner = File::open(&lock).map(|handle| handle.try_lock());
        match owner {
            // Nobody holds it: its process is gone.
            Ok(Ok(())) => {
                let _ = fs::remove_file(&file);
                let _ = fs::remove_file(&lock);
            }
            Ok(Err(TryLockError::WouldBlock)) => {
                let text = fs::read_to_string(&file).unwrap_or_default();
                all.extend(serde_json::from_str::<Status>(&text));
            }
            // Removed meanwhile, or not ours to read.
            Ok(Err(TryLockError::Error(_))) | Err(_) => {}
        }
    }
    Ok(all)
}
