//! The cards and PCM devices there are, and what they really take.

use crate::kernel::{Control, Holder, Kernel, MixerElement, errno};
use crate::params::{self, Abilities};
use crate::uapi::{self, CAPTURE, PLAYBACK};
use crate::{NAME, quirks};
use barewire_device::{Caps, Channels, DeviceId, DeviceInfo, Note, NoteKind, Periods};

/// Where a device is now. Card numbers change from plug to plug; ids do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) card: u32,
    pub(crate) device: u32,
    pub(crate) driver: String,
    pub(crate) name: String,
}

/// Every PCM device of every card. A card that cannot be asked is left out: it is just going. So is one without an id, which
/// is just coming: the kernel makes the nodes of a card first and gives it its id afterwards (`snd_card_register`).
pub(crate) fn devices(kernel: &dyn Kernel) -> Vec<DeviceInfo> {
    let mut found = Vec::new();
    for card in kernel.cards() {
        let Ok(control) = kernel.open_control(card) else { continue };
        let Ok(info) = control.card_info() else { continue };
        let (id, driver) = (uapi::text(&info.id), uapi::text(&info.driver));
        if id.is_empty() {
            continue;
        }
        for device in device_numbers(&*control) {
            let name = name_of(&*control, device, &uapi::text(&info.name));
            let place = Place { card, device, driver: driver.clone(), name };
            if let Some(device) = describe(kernel, &*control, &id, &place) {
                found.push(device);
            }
        }
    }
    mark_default(&mut found);
    found.into_iter().map(|(info, _)| info).collect()
}

type Found = (DeviceInfo, bool);

fn mark_default(found: &mut [Found]) {
    let first = found.iter_mut().find(|(info, pretended)| info.playback.is_some() && !pretended);
    if let Some((info, _)) = first {
        info.is_default = true;
    }
}

fn device_numbers(control: &dyn Control) -> Vec<u32> {
    let mut numbers = Vec::new();
    let mut after = -1;
    while let Ok(Some(device)) = control.next_device(after) {
        numbers.push(device);
        let Ok(next) = i32::try_from(device) else { break };
        after = next;
    }
    numbers
}

fn name_of(control: &dyn Control, device: u32, card: &str) -> String {
    let pcm = [PLAYBACK, CAPTURE]
        .into_iter()
        .find_map(|direction| control.pcm_info(device, direction).ok())
        .map(|info| uapi::text(&info.name));
    match pcm {
        Some(pcm) if !pcm.is_empty() && pcm != card => format!("{card}, {pcm}"),
        _ => card.to_owned(),
    }
}

/// The place of the device with this id, wherever its card is plugged in now.
pub(crate) fn find(kernel: &dyn Kernel, id: &DeviceId) -> Option<Place> {
    let (card_id, device) = id.rest().rsplit_once(',')?;
    let device: u32 = device.parse().ok()?;
    kernel.cards().into_iter().find_map(|card| {
        let control = kernel.open_control(card).ok()?;
        let info = control.card_info().ok()?;
        if uapi::text(&info.id) != card_id || !device_numbers(&*control).contains(&device) {
            return None;
        }
        let name = name_of(&*control, device, &uapi::text(&info.name));
        Some(Place { card, device, driver: uapi::text(&info.driver), name })
    })
}

fn describe(
    kernel: &dyn Kernel,
    control: &dyn Control,
    card_id: &str,
    place: &Place,
) -> Option<Found> {
    let mut notes = Vec::new();
    let mut side = |direction| side(kernel, control, place, direction, &mut notes);
    let (playback, capture) = (side(PLAYBACK), side(CAPTURE));
    if playback.is_none() && capture.is_none() && notes.is_empty() {
        return None;
    }
    if playback.is_some() {
        notes.extend(volume_notes(control));
    }
    let info = DeviceInfo {
        id: DeviceId::new(NAME, &format!("{card_id},{}", place.device)),
        name: place.name.clone(),
        capture,
        playback,
        is_default: false,
        notes,
    };
    Some((info, quirks::is_pretended(&place.driver)))
}

fn side(
    kernel: &dyn Kernel,
    control: &dyn Control,
    place: &Place,
    direction: i32,
    notes: &mut Vec<Note>,
) -> Option<Caps> {
    control.pcm_info(place.device, direction).ok()?;
    let pcm = match kernel.open_pcm(place.card, place.device, direction) {
        Ok(pcm) => pcm,
        Err(errno::EBUSY) => {
            let holders = kernel.holders(place.card, place.device, direction);
            let what = if direction == PLAYBACK { "its outputs are" } else { "its inputs are" };
            let text = format!("{what} held by {}", name_holders(&holders));
            notes.push(Note { kind: NoteKind::Held, text });
            return None;
        }
        Err(_) => return None,
    };
    let abilities = params::abilities(&*pcm).ok()?;
    if !abilities.dsd.is_empty() {
        let text = format!("the hardware lists DSD as {}", abilities.dsd.join(", "));
        notes.push(Note { kind: NoteKind::Hint, text });
    }
    caps(abilities)
}

fn caps(abilities: Abilities) -> Option<Caps> {
    const PREFERRED_PERIOD: u32 = 256;
    let Abilities { formats, rates, channels, period_frames: (min, max), .. } = abilities;
    let formats: Vec<_> = formats.into_iter().filter(|format| !format.is_dsd()).collect();
    if formats.is_empty() || rates.is_empty() || channels.is_empty() {
        return None;
    }
    let periods = Periods {
        min_frames: min,
        max_frames: max,
        preferred_frames: PREFERRED_PERIOD.clamp(min, max),
        step_frames: 1,
    };
    Some(Caps {
        formats,
        rates,
        channels: Channels { counts: channels, names: Vec::new() },
        periods,
    })
}

/// `firefox (process 4711)`, or several of them, or that it is not known.
pub(crate) fn name_holders(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return "another program that cannot be named".to_owned();
    }
    let named = |holder: &Holder| match &holder.name {
        Some(name) => format!("{name} (process {})", holder.process),
        None => format!("process {}", holder.process),
    };
    holders.iter().map(named).collect::<Vec<_>>().join(" and ")
}

/// A volume that is not at 0 dB, or a switch that is off, alters or silences what is played.
///
/// Where a card does not tell which value that is, it is taken to be the top, as it is on most: the note errs on the side of
/// speaking.
pub(crate) fn volume_notes(control: &dyn Control) -> Vec<Note> {
    let Ok(mixer) = control.mixer() else {
        return Vec::new();
    };
    mixer.iter().filter_map(volume_note).collect()
}

fn volume_note(element: &MixerElement) -> Option<Note> {
    if !element.name.contains("Playback") {
        return None;
    }
    let text = if element.is_switch && element.name.contains("Switch") {
        let muted = element.values.contains(&0);
        muted.then(|| {
            format!("the mixer's \"{}\" is off: nothing will be heard; switch it on", element.name)
        })
    } else if !element.is_switch && element.name.contains("Volume") {
        let unity = element.unity.unwrap_or(element.max);
        let off = element.values.iter().find(|&&value| value != unity);
        off.map(|value| {
            let to = match element.unity {
                Some(unity) if unity < element.max => format!("{unity}, which is 0 dB,"),
                _ => "the top".to_owned(),
            };
            let (name, max) = (&element.name, element.max);
            format!(
                "the mixer's \"{name}\" stands at {value} of {max}: set it to {to} for bit-perfect playing"
            )
        })
    } else {
        None
    };
    text.map(|text| Note { kind: NoteKind::Volume, text })
}
