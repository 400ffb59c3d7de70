//! `barewire devices`: what there is to play through, each thing once with the ways to it, and what each way gives.

use crate::{Global, builtin, say};
use anyhow::Result;
use barewire_device::{Caps, Endpoint, Lead, endpoints};
use barewire_types::RateHz;
use serde::Serialize;

/// A device, once. What stands beside `ways` is what the best way knows of it.
#[derive(Serialize)]
struct Device {
    id: String,
    name: String,
    backend: String,
    is_default: bool,
    playback: Option<Side>,
    capture: Option<Side>,
    notes: Vec<String>,
    /// All ways to it, the best first.
    ways: Vec<Way>,
}

/// One way to a device.
#[derive(Serialize)]
struct Way {
    id: String,
    backend: String,
    name: String,
    /// What arrives at best: `exact (24 bits)`, `shared by the system`.
    integrity: String,
    /// The smallest period.
    period_frames: u32,
    /// The least latency of each direction, at `rate_hz`.
    input_frames: u32,
    output_frames: u32,
    rate_hz: u32,
    plays: bool,
    captures: bool,
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

fn notes(lead: &Lead) -> Vec<String> {
    lead.device.notes.iter().map(|note| note.text.clone()).collect()
}

impl From<&Lead> for Way {
    fn from(lead: &Lead) -> Self {
        let Lead { device, way, .. } = lead;
        Self {
            id: device.id.to_string(),
            backend: device.id.backend().to_owned(),
            name: device.name.clone(),
            integrity: way.integrity.to_string(),
            period_frames: way.period_frames,
            input_frames: way.latency.input_frames,
            output_frames: way.latency.output_frames,
            rate_hz: way.rate.get(),
            plays: device.playback.is_some(),
            captures: device.capture.is_some(),
            notes: notes(lead),
        }
    }
}

/// The first way of an endpoint is its face.
fn describe(endpoint: &Endpoint) -> Option<Device> {
    let best = endpoint.leads.first()?;
    let side =
        |side: fn(&Lead) -> Option<&Caps>| endpoint.leads.iter().find_map(side).map(Side::from);
    Some(Device {
        id: best.device.id.to_string(),
        name: best.device.name.clone(),
        backend: best.device.id.backend().to_owned(),
        is_default: endpoint.leads.iter().any(|lead| lead.device.is_default),
        playback: side(|lead| lead.device.playback.as_ref()),
        capture: side(|lead| lead.device.capture.as_ref()),
        notes: notes(best),
        ways: endpoint.leads.iter().map(Way::from).collect(),
    })
}

/// Lists devices.
pub(crate) fn run(global: &Global) -> Result<()> {
    let settings = builtin::checked(global)?.loaded().settings;
    let system = builtin::system(&settings);
    let device = builtin::virtual_device(global, &settings);
    let backends = barewire_registry::backends(&system, vec![device]);
    let (found, failed) = endpoints(&backends);
    let all: Vec<Device> = found.iter().filter_map(describe).collect();
    say::report(global, &all, |all| all.iter().for_each(print));
    for (backend, error) in failed {
        say::aside(format_args!("{backend}: {error}"));
    }
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
    for way in &device.ways {
        say::line(format_args!("    way      {}: {}", way.id, gives(way)));
    }
}

fn gives(way: &Way) -> String {
    let milliseconds = |frames: u32| {
        RateHz::new(way.rate_hz).map_or(0.0, |rate| f64::from(frames) * 1000.0 / rate.as_f64())
    };
    let mut words = format!("{}, periods from {} frames", way.integrity, way.period_frames);
    for (word, is_there, frames) in
        [("heard", way.plays, way.output_frames), ("captured", way.captures, way.input_frames)]
    {
        if is_there {
            words += &format!(", {word} after {:.1} ms at best", milliseconds(frames));
        }
    }
    words
}
