//! What the server offers, without opening a stream: one device, whose ports are the hardware's.

use crate::client::Client;
use crate::library::{IS_INPUT, IS_OUTPUT, Libraries};
use crate::{DEVICE, NAME, Wiring};
use barewire_device::{Caps, Channels, DeviceId, DeviceInfo, Note, NoteKind, Periods};
use barewire_types::SampleFormat;
use std::ffi::CString;

/// What JACK costs, in a sentence.
pub(crate) fn cost() -> Note {
    let text =
        "JACK carries samples as 32-bit floats: exact up to 24 bits, and the server sets the rate";
    Note { kind: NoteKind::Hint, text: text.to_owned() }
}

/// The server's hardware, if a server runs and has any.
pub(crate) fn devices(libraries: Libraries, wiring: &Wiring) -> Option<DeviceInfo> {
    let client = Client::connect(libraries).ok()?;
    let (rate, period_frames) = (client.rate()?, client.period_frames());
    let caps = |names: Vec<String>| {
        let most = u16::try_from(names.len()).unwrap_or(u16::MAX);
        let counts = (1..=most).collect();
        (most > 0).then(|| Caps {
            formats: vec![SampleFormat::FLOAT32],
            rates: vec![rate],
            channels: Channels { counts, names },
            periods: Periods {
                min_frames: period_frames,
                max_frames: period_frames,
                preferred_frames: period_frames,
                step_frames: 1,
            },
        })
    };
    // What the hardware captures leaves the server's ports as output, and the other way round.
    let names = |direction| -> Vec<String> {
        let text = |name: CString| name.to_string_lossy().into_owned();
        client.others(direction, wiring).into_iter().map(text).collect()
    };
    let (capture, playback) = (caps(names(IS_OUTPUT)), caps(names(IS_INPUT)));
    if capture.is_none() && playback.is_none() {
        return None;
    }
    Some(DeviceInfo {
        id: DeviceId::new(NAME, DEVICE),
        name: "JACK".to_owned(),
        capture,
        playback,
        is_default: true,
        notes: vec![cost()],
    })
}
