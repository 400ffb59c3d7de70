//! `barewire devices`: what there is to play through, and what it can do.

use crate::{Global, builtin, say};
use anyhow::Result;
use barewire_device::{Caps, DeviceInfo};
use serde::Serialize;

#[derive(Serialize)]
struct Device {
    id: String,
    name: String,
    backend: String,
    is_default: bool,
    playback: Option<Side>,
    capture: Option<Side>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Side {
    channels: Vec<u16>,
    rates_hz: Vec<u32>,
    formats: Vec<&'static str>,
    period_frames: [u32; 2],
}

impl From<&Caps> for Side {
    fn from(caps: &Caps) -> Self {
        Self {
            channels: caps.channels.counts.clone(),
            rates_hz: caps.rates.iter().map(|rate| rate.get()).collect(),
            formats: caps.formats.iter().map(|format| format.name()).collect(),
            period_frames: [caps.periods.min_frames, caps.periods.max_frames],
        }
    }
}

impl From<&DeviceInfo> for Device {
    fn from(info: &DeviceInfo) -> Self {
        Self {
            id: info.id.to_string(),
            name: info.name.clone(),
            backend: info.id.backend().to_owned(),
            is_default: info.is_default,
            playback: info.playback.as_ref().map(Side::from),
            capture: info.capture.as_ref().map(Side::from),
            notes: info.notes.iter().map(|note| note.text.clone()).collect(),
        }
    }
}

/// Lists devices.
pub(crate) fn run(global: &Global) -> Result<()> {
    let settings = builtin::checked(global)?.loaded().settings;
    let system = builtin::system(&settings);
    let device = builtin::virtual_device(global, &settings);
    let backends = barewire_registry::backends(&system, vec![device]);
    let mut all = Vec::new();
    let mut failed = Vec::new();
    for backend in backends {
        match backend.devices() {
            Ok(devices) => all.extend(devices.iter().map(Device::from)),
            Err(error) => failed.push(format!("{}: {error}", backend.name())),
        }
    }
    say::report(global, &all, |all| all.iter().for_each(print));
    failed.into_iter().for_each(say::aside);
    Ok(())
}

fn print(device: &Device) {
    let default = if device.is_default { "  (default)" } else { "" };
    say::line(format_args!("{}  {}{default}", device.id, device.name));
    for (word, side) in [("plays", &device.playback), ("captures", &device.capture)] {
        let Some(side) = side else { continue };
        let channels = side.channels.last().copied().unwrap_or(0);
        let (low, high) = (side.rates_hz.first().unwrap_or(&0), side.rates_hz.last().unwrap_or(&0));
        let [shortest, longest] = side.period_frames;
        say::line(format_args!(
            "    {word:8} up to {channels} channels, {low} to {high} Hz, {}, periods of {shortest} to {longest} frames",
            side.formats.join(" ")
        ));
    }
    for note in &device.notes {
        say::line(format_args!("    note     {note}"));
    }
}
