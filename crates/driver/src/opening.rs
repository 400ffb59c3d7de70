//! What is opened for a host and how it is put together: a device; perhaps a second one that captures, with a clock of its
//! own; perhaps both seen at another rate than theirs. The keeper calls it.

use crate::rate::Rates;
use barewire_device::{Backend, Below, NoteKind, OpenRequest, Stream};
use barewire_engine::{Clocks, PairMeter, Paired, Resampled};
use barewire_rt::System;
use barewire_types::{Error, ErrorKind, Integrity, RateHz, Reason, Result};
use std::sync::Arc;

/// Fixes the dither of resampled streams: a run that is repeated gives the same samples.
const SEED: u64 = 1;

/// A device that is to be opened, at whatever rate is wanted then.
pub(crate) struct Target {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) request: OpenRequest,
    pub(crate) rates: Rates,
}

/// What is to be opened together.
pub(crate) struct Targets {
    /// It plays and gives the time, or captures alone.
    pub(crate) leader: Target,
    /// It captures, if that is another device.
    pub(crate) follower: Option<Target>,
}

/// What is to be opened.
pub(crate) struct Opening {
    pub(crate) system: Arc<dyn System>,
    /// The best way.
    pub(crate) first: Targets,
    /// Other ways to the same, the best first: taken if those before them do not open.
    pub(crate) others: Vec<Targets>,
}

/// What was opened.
pub(crate) struct Opened {
    pub(crate) stream: Box<dyn Stream>,
    /// What the stream itself does to samples, if it is not exact.
    pub(crate) below: Option<(Integrity, Reason)>,
    /// What a person should know of it.
    pub(crate) notes: Vec<String>,
    /// What lies below the device and changes while it runs.
    pub(crate) changing: Option<Arc<dyn Below>>,
    /// How two devices get along.
    pub(crate) meter: Option<Arc<PairMeter>>,
}

impl Target {
    /// Opened at the device's rate that is best for `rate`.
    fn open(&self, rate: RateHz) -> Result<Box<dyn Stream>> {
        let device = self.rates.device_rate(rate).ok_or_else(|| {
            let id = &self.request.id;
            Error::new(ErrorKind::UnsupportedRate, format!("{id} does not run at {rate}"))
        })?;
        self.backend.open(&OpenRequest { rate: device, ..self.request.clone() })
    }
}

impl Opening {
    /// Opens everything that a host at `rate` needs: the best way that opens, and it is said why no better one. Keeper.
    pub(crate) fn open(&self, rate: RateHz) -> Result<Opened> {
        let first = match self.first.open(&self.system, rate) {
            Err(error) if !self.others.is_empty() => error,
            done => return done,
        };
        let mut why = vec![format!("{}: {first}", self.first.leader.request.id)];
        for other in &self.others {
            let id = &other.leader.request.id;
            match other.open(&self.system, rate) {
                Ok(mut opened) => {
                    let text = format!(
                        "{id} is used, since a better way does not open: {}",
                        why.join("; ")
                    );
                    opened.notes.insert(0, text);
                    return Ok(opened);
                }
                Err(error) => why.push(format!("{id}: {error}")),
            }
        }
        Err(first)
    }
}

impl Targets {
    fn open(&self, system: &Arc<dyn System>, rate: RateHz) -> Result<Opened> {
        let leader = self.leader.open(rate)?;
        let device_rate = leader.shape().rate;
        let (mut below, changing) = (below(&*leader), leader.below());
        let mut notes = sentences(&*leader);
        let (stream, meter) = match &self.follower {
            None => (leader, None),
            Some(target) => {
                let follower = target.open(device_rate)?;
                notes.extend(sentences(&*follower));
                notes.push(format!(
                    "inputs come from {}, which has a clock of its own: they are resampled to that of {}",
                    target.request.id, self.leader.request.id
                ));
                let (system, clocks) = (system.clone(), Clocks::Own);
                let (pair, meter) = Paired::new(leader, follower, clocks, system, SEED)?;
                (Box::new(pair) as Box<dyn Stream>, Some(meter))
            }
        };
        if device_rate == rate {
            return Ok(Opened { stream, below, notes, changing, meter });
        }
        let reason = Reason::RateConverted { client: rate, device: device_rate };
        below = Some((Integrity::Resampled, reason));
        notes.push(format!(
            "the device does not run at {rate}: it runs at {device_rate}, resampled"
        ));
        let stream = Box::new(Resampled::new(stream, rate, SEED)?);
        Ok(Opened { stream, below, notes, changing, meter })
    }
}

/// What lies between us and the converter, as far as the backend knows of it.
fn below(stream: &dyn Stream) -> Option<(Integrity, Reason)> {
    let notes = stream.notes();
    let has = |kind: NoteKind| notes.iter().any(|note| note.kind == kind);
    if has(NoteKind::SystemMixer) {
        return Some((Integrity::Shared, Reason::SystemMixer));
    }
    has(NoteKind::Volume).then_some((Integrity::Mixed, Reason::Volume))
}

fn sentences(stream: &dyn Stream) -> Vec<String> {
    stream.notes().into_iter().map(|note| note.text).collect()
}
