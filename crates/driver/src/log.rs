//! The log: one file for all programs, bounded in size, that can stay on. Written by control threads and the keeper.

use crate::events::LogRecord;
use barewire_settings::LogLevel;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where the log lies below the directory of what is remembered.
pub fn log_file(state: &Path) -> PathBuf {
    state.join("barewire.log")
}

/// The log of one driver.
pub(crate) struct Log {
    path: PathBuf,
    least: LogLevel,
    max_bytes: u64,
    /// Whose records these are.
    who: String,
}

impl Log {
    /// A log at `path` that begins anew at `max_bytes`, keeping the one before.
    pub(crate) fn new(path: PathBuf, least: LogLevel, max_bytes: u64, driver: usize) -> Self {
        let who = format!("{}[{}.{driver}]", crate::status::program(), std::process::id());
        Self { path, least, max_bytes, who }
    }

    /// Adds records, all in one write, so that programs do not mix their lines.
    pub(crate) fn write(&self, records: &[LogRecord]) -> io::Result<()> {
        let mut text = String::new();
        for record in records.iter().filter(|record| self.takes(record.level)) {
            let LogRecord { when, level, position_frames, text: words, .. } = record;
            // A sentence of a device's or host's own must not look like two records.
            let words = words.replace(['\n', '\r'], " ");
            let at = position_frames.map_or_else(String::new, |at| format!(" at frame {at}"));
            text.push_str(&format!("{when:.3} {} {level} {words}{at}\n", self.who));
        }
        if text.is_empty() {
            return Ok(());
        }
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let grown = fs::metadata(&self.path).map_or(0, |file| file.len());
        if grown > 0 && grown + text.len() as u64 > self.max_bytes {
            fs::rename(&self.path, self.path.with_extension("log.old"))?;
        }
        // A burst longer than the whole log loses its beginning.
        let most = usize::try_from(self.max_bytes).unwrap_or(usize::MAX);
        let from = text.len().saturating_sub(most);
        let from = if from == 0 {
            0
        } else {
            text[from..].find('\n').map_or(text.len(), |n| from + n + 1)
        };
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        file.write_all(&text.as_bytes()[from..])
    }

    fn takes(&self, level: LogLevel) -> bool {
        level != LogLevel::Off && level <= self.least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(level: LogLevel, text: &str) -> LogRecord {
        let when = jiff::Timestamp::UNIX_EPOCH;
        LogRecord { when, level, at_ns: 0, position_frames: Some(7), text: text.to_owned() }
    }

    #[test]
    fn a_log_keeps_to_its_size_and_its_level_and_a_record_is_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = log_file(folder.path());
        let log = Log::new(path.clone(), LogLevel::Warn, 4096, 1);
        log.write(&[record(LogLevel::Info, "not worth it")]).unwrap();
        assert!(!path.exists());
        log.write(&[record(LogLevel::Warn, "two\nlines"), record(LogLevel::Error, "é")]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(
            text.starts_with("1970-01-01T00:00:00.000Z ")
                && text.contains("warn two lines at frame 7")
        );
        for _ in 0..1000 {
            log.write(&[record(LogLevel::Error, "again and again")]).unwrap();
            let old = path.with_extension("log.old");
            let sizes = [&path, &old].map(|path| fs::metadata(path).map_or(0, |file| file.len()));
            assert!(sizes.iter().all(|&size| size <= 4096), "{sizes:?}");
        }
        let burst: Vec<LogRecord> = (0..1000).map(|_| record(LogLevel::Error, "ö")).collect();
        log.write(&burst).unwrap();
        assert!(fs::metadata(&path).unwrap().len() <= 4096);
    }
}
