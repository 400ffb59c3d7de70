//! The hub's device as hosts see it.

use crate::connect::{call, unexpected};
use crate::{NAME, Starter};
use barewire_device::{Caps, Channels, DeviceId, DeviceInfo, Note, NoteKind, Periods};
use barewire_share::message::{Answer, Ask, DeviceWords, SideWords};
use barewire_share::socket;
use barewire_types::{ErrorKind, RateHz, Result, SampleFormat};
use std::path::Path;

/// The device, or none if there is no hub.
pub(crate) fn devices(address: &Path, starter: Option<&Starter>) -> Result<Vec<DeviceInfo>> {
    let line = match call(address, starter) {
        Ok(line) => line,
        Err(error) if error.kind() == ErrorKind::NotFound && starter.is_none() => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    match socket::ask(&line, &Ask::Describe {})? {
        Answer::Device { device } => Ok(vec![info(*device)?]),
        _ => Err(unexpected()),
    }
}

/// What the hub tells, checked.
pub(crate) fn info(device: DeviceWords) -> Result<DeviceInfo> {
    let format = SampleFormat::from_name(&device.format).ok_or_else(unexpected)?;
    let [min_frames, max_frames, preferred_frames, step_frames] = device.periods;
    let (min_frames, step_frames) = (min_frames.max(1), step_frames.max(1));
    let max_frames = max_frames.max(min_frames);
    let preferred_frames = preferred_frames.clamp(min_frames, max_frames);
    let periods = Periods { min_frames, max_frames, preferred_frames, step_frames };
    let caps = |side: SideWords| {
        let mut rates: Vec<RateHz> = side.rates_hz.into_iter().filter_map(RateHz::new).collect();
        rates.sort();
        rates.dedup();
        let counts = vec![side.channels];
        let channels = Channels { counts, names: side.names };
        let is_real = side.channels > 0 && !rates.is_empty();
        is_real.then(|| Caps { formats: vec![format], rates, channels, periods })
    };
    let shared = match &device.leader {
        None => "shared by a hub".to_owned(),
        Some(who) => {
            format!("shared by a hub; {} (process {}) leads", who.program, who.process)
        }
    };
    let mut notes = vec![Note { kind: NoteKind::Hint, text: shared }];
    let further = |text| Note { kind: NoteKind::Hint, text };
    notes.extend(device.notes.into_iter().map(further));
    Ok(DeviceInfo {
        id: DeviceId::new(NAME, &device.id),
        name: device.name,
        capture: device.capture.and_then(caps),
        playback: device.playback.and_then(caps),
        is_default: true,
        notes,
    })
}
