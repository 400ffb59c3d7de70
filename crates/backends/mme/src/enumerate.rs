//! The wave devices there are, and what they take.

use crate::NAME;
use crate::waves::{Direction, WaveDevice, WaveFormat, Waves};
use barewire_device::{Caps, Channels, DeviceId, DeviceInfo, Note, NoteKind, Periods};
use barewire_types::{RateHz, SampleFormat};

/// Formats that are asked for, the best first. Integers before floats: what is played is integers, and if nothing else
/// plays the mixer's floats carry 24 bits of them unchanged.
const FORMATS: [SampleFormat; 4] =
    [SampleFormat::INT32, SampleFormat::INT24, SampleFormat::FLOAT32, SampleFormat::INT16];

/// Rates that are asked for. The mixer converts all of them to its own.
const RATES_HZ: [u32; 8] = [44_100, 48_000, 88_200, 96_000, 176_400, 192_000, 352_800, 384_000];

/// What is said of every device here.
pub(crate) fn mixer_note() -> Note {
    let text = "sound goes through the system's mixer, which may change it and adds its own latency; \
                choose the same device by wasapi or ks for exclusive access";
    Note { kind: NoteKind::SystemMixer, text: text.to_owned() }
}

/// A wave device with the id that it goes by.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) id: DeviceId,
    pub(crate) direction: Direction,
    pub(crate) device: WaveDevice,
}

/// All of them. Ids are made of the endpoint's id; without one, of direction, name and which of that name it is.
pub(crate) fn places(waves: &dyn Waves) -> Vec<Place> {
    let mut all: Vec<Place> = Vec::new();
    for direction in [Direction::Playback, Direction::Capture] {
        for device in waves.devices(direction) {
            let word = if direction == Direction::Playback { "out" } else { "in" };
            let same = all
                .iter()
                .filter(|other| other.direction == direction && other.device.name == device.name)
                .count();
            let rest = match &device.endpoint {
                Some(endpoint) => endpoint.clone(),
                None if same == 0 => format!("{word},{}", device.name),
                None => format!("{word},{},{}", device.name, same + 1),
            };
            all.push(Place { id: DeviceId::new(NAME, &rest), direction, device });
        }
    }
    all
}

/// All devices. One that takes no format that is known is left out.
pub(crate) fn devices(waves: &dyn Waves) -> Vec<DeviceInfo> {
    places(waves).into_iter().filter_map(|place| describe(waves, place)).collect()
}

fn describe(waves: &dyn Waves, place: Place) -> Option<DeviceInfo> {
    let caps = caps(waves, &place)?;
    let (capture, playback) = match place.direction {
        Direction::Playback => (None, Some(caps)),
        Direction::Capture => (Some(caps), None),
    };
    Some(DeviceInfo {
        id: place.id,
        name: place.device.name,
        capture,
        playback,
        is_default: place.device.is_default,
        notes: vec![mixer_note()],
    })
}

/// What a device takes, asked one by one.
pub(crate) fn caps(waves: &dyn Waves, place: &Place) -> Option<Caps> {
    let takes = |sample, channels, rate| {
        let format = WaveFormat { sample, channels, rate };
        waves.query(place.direction, place.device.number, &format).is_ok()
    };
    let usual = place.device.channels.clamp(1, 2);
    let formats: Vec<SampleFormat> = FORMATS
        .into_iter()
        .filter(|&format| [RateHz::DAT, RateHz::CD].iter().any(|&rate| takes(format, usual, rate)))
        .collect();
    let best = *formats.first()?;
    let rates: Vec<RateHz> = RATES_HZ
        .into_iter()
        .filter_map(RateHz::new)
        .filter(|&rate| takes(best, usual, rate))
        .collect();
    let rate = *rates.first()?;
    let most = place.device.channels.max(usual);
    let counts: Vec<u16> = (1..=most).filter(|&count| takes(best, count, rate)).collect();
    if counts.is_empty() {
        return None;
    }
    let channels = Channels { counts, names: Vec::new() };
    Some(Caps { formats, channels, periods: periods(&rates), rates })
}

/// From the least period of the slowest rate to the greatest of the fastest.
fn periods(rates: &[RateHz]) -> Periods {
    let hz = |rate: Option<&RateHz>| rate.map_or(RateHz::DAT.get(), |rate| rate.get());
    let (slow_hz, fast_hz) = (hz(rates.first()), hz(rates.last()));
    let min_frames = crate::open::least_period(slow_hz);
    Periods {
        min_frames,
        max_frames: crate::open::most_period(fast_hz),
        preferred_frames: crate::open::least_period(RateHz::DAT.get()).max(min_frames),
        step_frames: 1,
    }
}
