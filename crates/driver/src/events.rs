//! What happened, kept for people: the counts and the latest records of a driver.

use barewire_engine::{EngineEvent, EventKind};
use barewire_settings::LogLevel;
use barewire_types::{Integrity, Latency, Ns, RateHz, Reason, SampleFormat};
use std::collections::VecDeque;

/// One thing that happened, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// When it was heard of.
    pub when: jiff::Timestamp,
    /// How much it is worth.
    pub level: LogLevel,
    /// When it was, on the stream's clock.
    pub at_ns: Ns,
    /// At which position, if it belongs to one.
    pub position_frames: Option<u64>,
    /// What.
    pub text: String,
}

/// Records that are kept at most.
const KEPT: usize = 1000;

/// What happened so far.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    records: VecDeque<LogRecord>,
    /// How many of the latest are not in the log yet.
    fresh: usize,
    pub(crate) dropped: u64,
}

impl Journal {
    pub(crate) fn add(&mut self, event: EngineEvent) {
        use LogLevel::{Error, Info, Warn};
        let (level, text) = match event.kind {
            EventKind::Xrun { missed_frames } => {
                (Warn, format!("xrun: the device lost {missed_frames} frames"))
            }
            EventKind::Late => {
                (Warn, "the host was late for its block; silence was played instead".to_owned())
            }
            EventKind::ModeChanged { is_direct: true } => {
                (Info, "outputs now go directly, one block of latency".to_owned())
            }
            EventKind::ModeChanged { is_direct: false } => {
                (Info, "outputs are now queued, two blocks of latency".to_owned())
            }
            EventKind::ClientGone => (Error, "the host is gone".to_owned()),
            EventKind::Lost(loss) => {
                let text =
                    format!("the device is lost ({loss:?}); silence goes on until it is back");
                (Error, text)
            }
            EventKind::Stalled => {
                (Error, "the device does not move; silence goes on until it does".to_owned())
            }
            EventKind::TakenOver => (Info, "the device has taken over again".to_owned()),
            _ => (Info, "something that this version has no words for".to_owned()),
        };
        self.push(level, event.at_ns, Some(event.position_frames), text);
    }

    pub(crate) fn say(&mut self, level: LogLevel, at_ns: Ns, text: String) {
        self.push(level, at_ns, None, text);
    }

    fn push(&mut self, level: LogLevel, at_ns: Ns, position_frames: Option<u64>, text: String) {
        if self.records.len() == KEPT {
            self.records.pop_front();
            self.dropped += 1;
        }
        let when = jiff::Timestamp::now();
        self.records.push_back(LogRecord { when, level, at_ns, position_frames, text });
        self.fresh = (self.fresh + 1).min(KEPT);
    }

    pub(crate) fn records(&self) -> Vec<LogRecord> {
        self.records.iter().cloned().collect()
    }

    /// What is not in the log yet.
    pub(crate) fn take_fresh(&mut self) -> Vec<LogRecord> {
        let known = self.records.len().saturating_sub(std::mem::take(&mut self.fresh));
        self.records.iter().skip(known).cloned().collect()
    }
}

/// What a driver says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The device's id, once one was chosen.
    pub device_id: Option<String>,
    /// The device's name for people.
    pub device_name: Option<String>,
    /// Why this device.
    pub reason_for_device: Option<String>,
    /// Devices that would have been chosen, and who holds them.
    pub held: Vec<String>,
    /// `loaded`, `initialized`, `prepared` or `running`.
    pub state: &'static str,
    /// The rate in force.
    pub rate: Option<RateHz>,
    /// Frames of the host's block, once there are buffers.
    pub block_frames: Option<u32>,
    /// Frames of the device's period, once it is open.
    pub period_frames: Option<u32>,
    /// The host's sample format.
    pub host_format: Option<SampleFormat>,
    /// The device's formats of capture and playback, once it is open.
    pub device_formats: (Option<SampleFormat>, Option<SampleFormat>),
    /// The latency that the host is told.
    pub latency: Latency,
    /// What arrives of what the host gives.
    pub integrity: Integrity,
    /// Why.
    pub integrity_reason: Reason,
    /// Blocks since the start.
    pub blocks: u64,
    /// Xruns since the start.
    pub xruns: u64,
    /// Frames lost in them.
    pub missed_frames: u64,
    /// Blocks that the host was late for.
    pub lates: u64,
    /// Times that the device was lost and silence was played instead.
    pub losses: u64,
    /// By how much the clock of inputs from another device runs faster than that of outputs, in parts per billion.
    pub drift_ppb: Option<i64>,
    /// What is not as one would wish.
    pub notes: Vec<String>,
    /// What happened lately.
    pub records: Vec<LogRecord>,
}
