//! The devices that were described, as a person chooses them.

use crate::description::{Description, Remote};
use crate::{NAME, Sink};
use barewire_device::{Caps, Channels, DeviceId, DeviceInfo, Note, NoteKind, Periods};
use std::sync::Arc;

pub(crate) fn devices(devices: &[(Description, Arc<Remote>)]) -> Vec<DeviceInfo> {
    devices.iter().enumerate().map(|(n, (device, _))| info(device, n == 0)).collect()
}

fn info(device: &Description, is_default: bool) -> DeviceInfo {
    let notes = match &device.sink {
        Sink::Wav(folder) | Sink::Raw(folder) => {
            let text = format!(
                "a device without hardware: what it is played is written to {}",
                folder.display()
            );
            vec![Note { kind: NoteKind::Hint, text }]
        }
        Sink::Null | Sink::Memory(..) | Sink::Call(_) => Vec::new(),
    };
    DeviceInfo {
        id: DeviceId::new(NAME, &device.name),
        name: device.title.clone(),
        capture: caps(device, device.inputs, "Input"),
        playback: caps(device, device.outputs, "Output"),
        is_default,
        notes,
    }
}

fn caps(device: &Description, channels: u16, word: &str) -> Option<Caps> {
    /// What `barewire` asks for when nobody says otherwise.
    const PREFERRED_FRAMES: u32 = 256;
    if channels == 0 {
        return None;
    }
    let (min, max) =
        device.fixed_period_frames.map_or(device.period_frames, |fixed| (fixed, fixed));
    Some(Caps {
        formats: device.formats.clone(),
        rates: device.rates.clone(),
        channels: Channels {
            counts: (1..=channels).collect(),
            names: (1..=channels).map(|n| format!("{word} {n}")).collect(),
        },
        periods: Periods {
            min_frames: min,
            max_frames: max,
            preferred_frames: PREFERRED_FRAMES.clamp(min, max),
            step_frames: 1,
        },
    })
}
