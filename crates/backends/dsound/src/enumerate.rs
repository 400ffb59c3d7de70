//! The DirectSound devices there are, and what they take.

use crate::NAME;
use crate::sounds::{Direction, SoundDevice, Sounds};
use barewire_device::{Caps, Channels, DeviceId, DeviceInfo, Note, NoteKind, Periods};
use barewire_types::{RateHz, SampleFormat};

/// DirectSound takes all of these. 32-bit integers too, but it mixes in floats, which carry 24 bits.
const FORMATS: [SampleFormat; 3] =
    [SampleFormat::INT24, SampleFormat::FLOAT32, SampleFormat::INT16];

/// The mixer converts all of these to its own rate; DirectSound ends at 200 kHz (`DSBFREQUENCY_MAX`).
const RATES_HZ: [u32; 6] = [44_100, 48_000, 88_200, 96_000, 176_400, 192_000];

/// DirectSound does not tell how many speakers there are; stereo is what it always has.
const CHANNELS: [u16; 2] = [1, 2];

/// What is said of every device here.
pub(crate) fn mixer_note() -> Note {
    let text = "sound goes through the system's mixer, which may change it and adds its own latency; \
                choose the same device by wasapi or ks for exclusive access";
    Note { kind: NoteKind::SystemMixer, text: text.to_owned() }
}

/// A device with the id that it goes by.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) id: DeviceId,
    pub(crate) direction: Direction,
    pub(crate) device: SoundDevice,
}

/// All of them.
pub(crate) fn places(sounds: &dyn Sounds) -> Vec<Place> {
    let of = |direction| {
        sounds.devices(direction).into_iter().map(move |device| Place {
            id: DeviceId::new(NAME, &device.endpoint),
            direction,
            device,
        })
    };
    of(Direction::Playback).chain(of(Direction::Capture)).collect()
}

/// All devices.
pub(crate) fn devices(sounds: &dyn Sounds) -> Vec<DeviceInfo> {
    places(sounds).into_iter().map(describe).collect()
}

fn describe(place: Place) -> DeviceInfo {
    let caps = caps(place.direction);
    let (capture, playback) = match place.direction {
        Direction::Playback => (None, Some(caps)),
        Direction::Capture => (Some(caps), None),
    };
    DeviceInfo {
        id: place.id,
        name: place.device.name,
        capture,
        playback,
        is_default: place.device.is_default,
        notes: vec![mixer_note()],
    }
}

/// What every device takes in a direction.
pub(crate) fn caps(direction: Direction) -> Caps {
    let rates: Vec<RateHz> = RATES_HZ.into_iter().filter_map(RateHz::new).collect();
    let hz = |rate: Option<&RateHz>| rate.map_or(RateHz::DAT.get(), |rate| rate.get());
    let (slow_hz, fast_hz) = (hz(rates.first()), hz(rates.last()));
    Caps {
        formats: FORMATS.to_vec(),
        channels: Channels { counts: CHANNELS.to_vec(), names: Vec::new() },
        periods: Periods {
            min_frames: crate::open::least_period(direction, slow_hz),
            max_frames: crate::open::most_period(fast_hz),
            preferred_frames: crate::open::least_period(direction, RateHz::DAT.get()),
            step_frames: 1,
        },
        rates,
    }
}
