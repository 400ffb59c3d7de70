//! What a driver says of itself, for status files, the command line and tests.

use super::{Core, Driver};
use crate::config::Config;
use crate::diary::Diary;
use crate::events::Report;
use crate::state::State;
use crate::status::Status;
use barewire_abi::{AsioDriver, AsioResult};
use barewire_rt::Role;
use barewire_settings::LogLevel;
use barewire_types::{Integrity, Latency, Reason, SampleFormat};
use std::sync::Arc;

/// A look at a driver from outside of the host. Outlives the driver.
#[derive(Clone)]
pub struct Observer(Arc<Core>);

impl Driver {
    /// Someone who can look at this driver.
    pub fn observer(&self) -> Observer {
        Observer(self.core.clone())
    }
}

impl Observer {
    /// What there is to say now. Control threads.
    pub fn report(&self) -> Report {
        let state = self.0.state.lock();
        self.0.report(&state)
    }
}

/// The state in a word.
fn name(state: &State) -> &'static str {
    match state {
        State::Loaded => "loaded",
        State::Initialized(_) => "initialized",
        State::Prepared(_) => "prepared",
        State::Running(_) => "running",
    }
}

impl Core {
    /// What arrives: what we do ourselves, unless that is exact and what lies below is not.
    fn integrity(&self) -> (Integrity, Reason) {
        let own = self.telemetry.integrity();
        let below = self.known.below.lock().clone().and_then(|below| below.integrity());
        match below {
            Some((integrity, reason)) if own.0.is_exact() && reason != Reason::NotYetPlayed => {
                (integrity, reason)
            }
            _ => own,
        }
    }

    fn report(self: &Arc<Self>, state: &State) -> Report {
        let latencies = Driver { core: self.clone() }.latencies().unwrap_or((0, 0));
        let frames = |value: i32| u32::try_from(value).unwrap_or(0);
        let latency =
            Latency { input_frames: frames(latencies.0), output_frames: frames(latencies.1) };
        let snapshot = self.telemetry.snapshot();
        let (integrity, integrity_reason) = self.integrity();
        let offer = state.offer().cloned();
        let shape = state.setup().map(|setup| setup.shape);
        let meter = state.crew().and_then(|crew| crew.reopener.meter.lock().clone());
        let block_frames = state.setup().map(|setup| setup.frames);
        let format = |side: Option<barewire_device::Side>| -> Option<SampleFormat> {
            side.map(|side| side.format)
        };
        let mut notes = self.problems.lock().clone();
        notes.extend(self.stream_notes.lock().iter().cloned());
        notes.extend(self.system().remarks());
        if let Some(offer) = &offer {
            notes.extend(offer.device.notes.iter().map(|note| note.text.clone()));
        }
        // What was seen in the listing is mostly seen again at the opening.
        let mut told = std::collections::BTreeSet::new();
        notes.retain(|note| told.insert(note.clone()));
        Report {
            device_id: offer.as_ref().map(|offer| offer.device.id.to_string()),
            device_name: offer.as_ref().map(|offer| offer.device.name.clone()),
            reason_for_device: offer.as_ref().map(|offer| offer.reason.clone()),
            held: offer.as_ref().map_or_else(Vec::new, |offer| offer.held.clone()),
            state: name(state),
            rate: self.rate(),
            block_frames,
            period_frames: shape.map(|shape| shape.period_frames),
            host_format: offer.as_ref().map(|offer| offer.format),
            device_formats: (
                shape.and_then(|shape| format(shape.capture)),
                shape.and_then(|shape| format(shape.playback)),
            ),
            latency,
            integrity,
            integrity_reason,
            blocks: snapshot.blocks,
            xruns: snapshot.xruns,
            missed_frames: snapshot.missed_frames,
            lates: snapshot.lates,
            losses: snapshot.losses,
            drift_ppb: meter.map(|meter| meter.drift_ppb()),
            notes,
            records: self.journal.lock().records(),
        }
    }

    /// The outcome of a call, for the log and the status file: hosts hide error texts. Not on the device thread.
    pub(super) fn told<T>(self: &Arc<Self>, call: &str, result: AsioResult<T>) -> AsioResult<T> {
        if self.own_role() == Some(Role::Device) {
            return result;
        }
        match &result {
            Ok(_) => self.say(LogLevel::Debug, format!("{call}: done")),
            Err(error) => {
                let text = format!("{call} was refused: {}", error.text);
                self.say(LogLevel::Error, text.clone());
                *self.last_error.lock() = Some(text);
            }
        }
        self.write_down();
        result
    }

    /// What has started, in a sentence for the log.
    pub(super) fn summary(&self, state: &State) -> String {
        let Some(setup) = state.setup() else { return String::new() };
        let side = |side: Option<barewire_device::Side>| {
            side.map_or_else(
                || "none".to_owned(),
                |side| format!("{} x {}", side.channels, side.format),
            )
        };
        let rate = self.rate().map_or_else(String::new, |rate| format!(" at {rate}"));
        format!(
            "started{rate} with blocks of {} frames; the device has periods of {}, inputs {}, outputs {}",
            setup.frames,
            setup.shape.period_frames,
            side(setup.shape.capture),
            side(setup.shape.playback),
        )
    }

    /// What is wrong with the place of status and log, if anything is.
    pub(super) fn open_diary(&self, config: &Config) -> Option<String> {
        let place = config.diary.as_ref()?;
        let (diary, problem) = Diary::new(place, self.number);
        *self.diary.lock() = Some(diary);
        problem
    }

    /// What a run came to, in a sentence for the log.
    pub(super) fn account(&self) -> String {
        let snapshot = self.telemetry.snapshot();
        let (integrity, reason) = self.integrity();
        format!(
            "stopped after {} blocks, {} xruns and {} late blocks; integrity {integrity}: {reason}",
            snapshot.blocks, snapshot.xruns, snapshot.lates
        )
    }

    pub(super) fn say(&self, level: LogLevel, text: String) {
        self.journal.lock().say(level, self.system().now_ns(), text);
    }

    /// Writes status and log, unless someone else is about to.
    pub(super) fn write_down(self: &Arc<Self>) {
        let Some(mut diary) = self.diary.try_lock() else { return };
        let Some(diary) = &mut *diary else { return };
        let Some(state) = self.state.try_lock() else { return };
        let report = self.report(&state);
        drop(state);
        let entry = self.instance.lock().clone();
        let status = Status::new(&report, self.number, entry, self.last_error.lock().clone());
        let fresh = self.journal.lock().take_fresh();
        diary.write(&fresh, &status);
    }

    /// What the system has refused since the last look, real-time priority above all, becomes an event.
    pub(super) fn tell_remarks(&self) {
        let Some(mut told) = self.remarks_told.try_lock() else { return };
        for remark in self.system().remarks() {
            if !told.contains(&remark) {
                self.say(LogLevel::Warn, remark.clone());
                told.push(remark);
            }
        }
    }

    /// The same, about once a second.
    pub(super) fn write_down_if_due(self: &Arc<Self>) {
        self.tell_remarks();
        let is_due = |diary: &Option<Diary>| diary.as_ref().is_some_and(Diary::is_due);
        if self.diary.try_lock().is_some_and(|diary| is_due(&diary)) {
            self.write_down();
        }
    }
}
