//! What a driver writes down outside of the host: its status file and its part of the log.

use crate::events::LogRecord;
use crate::log::{Log, log_file};
use crate::status::{Status, StatusFile, status_directory};
use barewire_settings::LogLevel;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where and how much is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiaryPlace {
    /// The directory of what is remembered.
    pub directory: PathBuf,
    /// The least that is worth a line in the log.
    pub least: LogLevel,
    /// The size at which the log begins anew.
    pub max_bytes: u32,
}

/// How often counts that merely grow are worth a new file.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Diary {
    log: Log,
    status: Option<StatusFile>,
    written: Instant,
}

impl Diary {
    /// A diary, and what is wrong with its place: what cannot be written is left out, since sound goes on without it.
    pub(crate) fn new(place: &DiaryPlace, driver: usize) -> (Self, Option<String>) {
        let path = log_file(&place.directory);
        let log = Log::new(path, place.least, u64::from(place.max_bytes), driver);
        let status = StatusFile::new(&status_directory(&place.directory), driver);
        let problem = status.as_ref().err().map(|error| {
            let folder = place.directory.display();
            format!("the status file and the log cannot be written below {folder}: {error}")
        });
        (Self { log, status: status.ok(), written: Instant::now() }, problem)
    }

    /// Whether it is time to write though nothing but counts has changed.
    pub(crate) fn is_due(&self) -> bool {
        self.written.elapsed() >= PAUSE
    }

    /// Writes down. What fails is tried again the next time.
    pub(crate) fn write(&mut self, fresh: &[LogRecord], status: &Status) {
        self.written = Instant::now();
        let _ = self.log.write(fresh);
        if let Some(file) = &self.status {
            let _ = file.write(status);
        }
    }
}
