//! The filters and pins there are, and what they take, without opening a pin.
//!
//! Categories are listed one by one and joined by the devices' own names: the call that would tell aliases takes WaveRT
//! for WaveCyclic (PortAudio#1045) and ends the process under Wine 8.

use crate::ask;
use crate::formats::{self, Dialect, FORMATS, Range};
use crate::kernel::{Holder, Kernel, Listed, Object, Wired};
use crate::topology::{self, MuxInput};
use crate::uapi::{Direction, Interface, category};
use crate::{NAME, quirks};
use barewire_device::{
    Caps, Channels, DeviceId, DeviceInfo, Layout, Note, NoteKind, Periods, Side,
};
use barewire_types::{RateHz, SampleFormat};
use std::collections::BTreeSet;

/// Half a ring should be a multiple of so many bytes (HDA).
pub(crate) const HALF_RING_BYTES: u32 = 128;
/// Shorter periods serve nobody.
const LEAST_PERIOD_FRAMES: u32 = 32;
/// Longer ones serve nobody either.
const MOST_PERIOD_FRAMES: u32 = 8192;
const PREFERRED_PERIOD_FRAMES: u32 = 256;

/// A pin that can be opened.
#[derive(Clone, Debug)]
pub(crate) struct Pin {
    pub(crate) id: u32,
    pub(crate) direction: Direction,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) is_occupied: bool,
    pub(crate) caps: Caps,
}

/// What a device id stands for.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) id: DeviceId,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) playback: Option<Pin>,
    pub(crate) capture: Option<Pin>,
    pub(crate) jack: Option<MuxInput>,
}

impl Place {
    /// The pin of a direction.
    pub(crate) fn pin(&self, direction: Direction) -> Option<&Pin> {
        match direction {
            Direction::Play => self.playback.as_ref(),
            Direction::Capture => self.capture.as_ref(),
        }
    }
}

/// Every device. One that cannot be asked is left out: it is just going.
pub(crate) fn devices(kernel: &dyn Kernel) -> Vec<DeviceInfo> {
    let mut all: Vec<DeviceInfo> =
        places(kernel).into_iter().map(|place| describe(kernel, place)).collect();
    if let Some(first) = all.iter_mut().find(|info| info.playback.is_some()) {
        first.is_default = true;
    }
    all
}

fn describe(kernel: &dyn Kernel, place: Place) -> DeviceInfo {
    let mut notes = Vec::new();
    let pins = place.playback.iter().chain(&place.capture);
    for pin in pins.filter(|pin| pin.is_occupied) {
        let side = if pin.direction == Direction::Play { "outputs" } else { "inputs" };
        let who = name_holders(&holders(kernel, &place, pin.direction));
        notes.push(Note { kind: NoteKind::Held, text: format!("its {side} are held by {who}") });
    }
    DeviceInfo {
        id: place.id,
        name: place.name,
        capture: place.capture.map(|pin| pin.caps),
        playback: place.playback.map(|pin| pin.caps),
        is_default: false,
        notes,
    }
}

/// The system's endpoints at the jacks of a device.
pub(crate) fn endpoints_of(kernel: &dyn Kernel, id: &DeviceId) -> Vec<String> {
    let wired = kernel.endpoints();
    if wired.is_empty() {
        return Vec::new();
    }
    let Some(place) = places(kernel).into_iter().find(|place| place.id == *id) else {
        return Vec::new();
    };
    let both = [Direction::Play, Direction::Capture];
    both.into_iter().flat_map(|direction| endpoints_at(kernel, &wired, &place, direction)).collect()
}

/// The endpoints at the jacks of one direction.
fn endpoints_at(
    kernel: &dyn Kernel,
    wired: &[Wired],
    place: &Place,
    direction: Direction,
) -> Vec<String> {
    let Some(pin) = place.pin(direction) else { return Vec::new() };
    let jacks = match &place.jack {
        Some(jack) if direction == Direction::Capture => {
            jack.pins.iter().map(|&pin| (jack.filter.clone(), pin)).collect()
        }
        _ => topology::jacks(kernel, &place.path, pin.id, direction),
    };
    let is_there = |wired: &&Wired| {
        jacks.iter().any(|(filter, pin)| *pin == wired.pin && key(filter) == key(&wired.filter))
    };
    wired.iter().filter(is_there).map(|wired| wired.endpoint.clone()).collect()
}

/// Programs for which the system holds a direction of a device.
pub(crate) fn holders(kernel: &dyn Kernel, place: &Place, direction: Direction) -> Vec<Holder> {
    let endpoints = endpoints_at(kernel, &kernel.endpoints(), place, direction);
    let mut holders: Vec<Holder> =
        endpoints.iter().flat_map(|endpoint| kernel.holders(endpoint)).collect();
    holders.dedup();
    holders
}

/// `music.exe (process 4711)`, or that the system's engine is the likely one.
pub(crate) fn name_holders(holders: &[Holder]) -> String {
    let named = |holder: &Holder| match &holder.name {
        Some(name) => format!("{name} (process {})", holder.process),
        None => format!("process {}", holder.process),
    };
    if holders.is_empty() {
        return "another program, most likely Windows' own audio engine, which keeps the default device open".to_owned();
    }
    let list = holders.iter().map(named).collect::<Vec<_>>().join(" and ");
    format!("Windows' audio engine, for {list}")
}

/// Every device with its filter and pins.
pub(crate) fn places(kernel: &dyn Kernel) -> Vec<Place> {
    let list = |which| kernel.filters(&which).unwrap_or_default();
    let ends = list(category::RENDER).into_iter().chain(list(category::CAPTURE));
    let streaming: BTreeSet<String> = ends.map(|listed| key(&listed.path)).collect();
    let mut seen = BTreeSet::new();
    list(category::AUDIO)
        .into_iter()
        .filter(|listed| {
            let key = key(&listed.path);
            streaming.contains(&key) && seen.insert(key)
        })
        .flat_map(|listed| places_of(kernel, &listed))
        .collect()
}

/// The name of a filter whatever the category it is listed under: device and reference string.
fn key(path: &str) -> String {
    // In the ids of endpoints' wiring `{2}.` stands before it.
    let path = path.split_once(r"\\?\").map_or(path, |(_, rest)| rest).to_lowercase();
    let Some((device, rest)) = path.rsplit_once("#{") else { return path };
    let reference = rest.split_once('}').map_or("", |(_, reference)| reference);
    format!("{device}{reference}")
}

fn places_of(kernel: &dyn Kernel, listed: &Listed) -> Vec<Place> {
    let Ok(mut filter) = kernel.open_filter(&listed.path) else { return Vec::new() };
    let pins = pins(&mut *filter);
    let of = |direction| pins.iter().filter(move |pin| pin.direction == direction).cloned();
    let mut captures: Vec<(Pin, Option<MuxInput>)> = Vec::new();
    for pin in of(Direction::Capture) {
        let jacks = topology::mux_inputs(kernel, &listed.path, &mut *filter, pin.id);
        if jacks.len() < 2 {
            captures.push((pin, jacks.into_iter().next()));
        } else {
            captures.extend(jacks.into_iter().map(|jack| (pin.clone(), Some(jack))));
        }
    }
    let playbacks: Vec<Pin> = of(Direction::Play).collect();
    let count = playbacks.len().max(captures.len());
    let key = key(&listed.path);
    let name = listed.name.clone().unwrap_or_else(|| key.clone());
    let place = |n: usize| {
        // Several jacks of one capturing pin all go with the first playing pin.
        let playback = playbacks.get(n).or_else(|| playbacks.first()).cloned();
        let (capture, jack) = captures.get(n).cloned().unzip();
        let jack = jack.flatten();
        let rest = if count > 1 { format!("{key},{n}") } else { key.clone() };
        let name = match (&jack, count) {
            (Some(jack), 2..) => format!("{name}, {}", jack.name),
            (None, 2..) => format!("{name}, {}", n + 1),
            _ => name.clone(),
        };
        Place {
            id: DeviceId::new(NAME, &rest),
            name,
            path: listed.path.clone(),
            playback,
            capture,
            jack,
        }
    };
    (0..count).map(place).collect()
}

fn pins(filter: &mut dyn Object) -> Vec<Pin> {
    let count = ask::pin_count(filter).unwrap_or(0).min(quirks::MOST_PINS);
    let mut pins = Vec::new();
    for id in 0..count {
        if !ask::can_be_opened(filter, id) {
            continue;
        }
        let Some(direction) = ask::direction(filter, id) else { continue };
        let interfaces = ask::interfaces(filter, id);
        let ranges = formats::ranges(&ask::data_ranges(filter, id).unwrap_or_default());
        let Some(caps) = caps(filter, id, &ranges, &interfaces) else { continue };
        if !interfaces.is_empty() {
            let is_occupied = ask::is_occupied(filter, id);
            pins.push(Pin { id, direction, interfaces, is_occupied, caps });
        }
    }
    pins
}

/// Tries formats, rates and channel counts on the driver where it answers such questions; else believes its ranges.
fn caps(
    filter: &mut dyn Object,
    pin: u32,
    ranges: &[Range],
    interfaces: &[Interface],
) -> Option<Caps> {
    let most = ranges.iter().map(|range| range.max_channels).max()?;
    // `None`: the driver does not say.
    let mut takes = |format: SampleFormat, channels: u16, rate: RateHz| {
        let fits = |range: &Range| {
            range.takes(format) && range.runs_at(rate) && channels <= range.max_channels
        };
        if !ranges.iter().any(fits) {
            return Some(false);
        }
        let side = Side { format, channels, layout: Layout::Interleaved };
        let mut answer = None;
        for dialect in Dialect::worth_trying(side) {
            match ask::takes_format(filter, pin, &formats::data_format(side, rate, dialect)) {
                Some(true) => return Some(true),
                Some(false) => answer = Some(false),
                None => {}
            }
        }
        answer
    };
    let within = |rate: RateHz| ranges.iter().any(|range| range.runs_at(rate));
    let listed: Vec<RateHz> = RateHz::COMMON.into_iter().filter(|&rate| within(rate)).collect();
    let usual_first = [RateHz::DAT, RateHz::CD].into_iter().filter(|rate| listed.contains(rate));
    let (rate, formats) = usual_first.chain(listed.iter().copied()).find_map(|rate| {
        let fits = |&format: &SampleFormat| takes(format, most, rate) != Some(false);
        let formats: Vec<_> = FORMATS.into_iter().filter(fits).collect();
        (!formats.is_empty()).then_some((rate, formats))
    })?;
    let best = *formats.first()?;
    let rates = listed.into_iter().filter(|&rate| takes(best, most, rate) != Some(false)).collect();
    // Without an answer fewer channels than all are a guess; most drivers mean all of them.
    let mut counts: Vec<u16> = vec![1, 2, 4, 6];
    counts.retain(|&count| count < most && takes(best, count, rate) == Some(true));
    counts.push(most);
    let frame_bytes = u32::from(most) * u32::try_from(best.bytes()).ok()?;
    // Packets may have any length.
    let has_ring = interfaces.contains(&Interface::Looped);
    let periods = periods(if has_ring { step_frames(frame_bytes) } else { 1 });
    let channels = Channels { counts, names: Vec::new() };
    Some(Caps { formats, rates, channels, periods })
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Frames that make half a ring as hardware likes it.
pub(crate) fn step_frames(frame_bytes: u32) -> u32 {
    HALF_RING_BYTES / gcd(HALF_RING_BYTES, frame_bytes)
}

fn periods(step: u32) -> Periods {
    let min = LEAST_PERIOD_FRAMES.next_multiple_of(step);
    let max = (MOST_PERIOD_FRAMES / step * step).max(min);
    let preferred = PREFERRED_PERIOD_FRAMES.next_multiple_of(step).clamp(min, max);
    Periods { min_frames: min, max_frames: max, preferred_frames: preferred, step_frames: step }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_filter_has_one_name_in_all_categories() {
        let audio = r"\\?\HDAUDIO#FUNC_01&VEN_10EC#4&0001#{6994ad04-93ef-11d0-a3cc-00a0c9223196}\eLineOutWave";
        let render = r"\\?\hdaudio#func_01&ven_10ec#4&0001#{65e8773e-8f56-11d0-a3b9-00a0c9223196}\eLineOutWave";
        assert_eq!(key(audio), key(render));
        assert_eq!(key(audio), r"hdaudio#func_01&ven_10ec#4&0001\elineoutwave");
    }

    #[test]
    fn periods_fit_frames_that_are_no_power_of_two() {
        for frame_bytes in [2, 3, 4, 6, 8, 12, 18, 24, 32, 256] {
            let periods = periods(step_frames(frame_bytes));
            for frames in [periods.min_frames, periods.preferred_frames, periods.max_frames] {
                assert_eq!(frames * frame_bytes % HALF_RING_BYTES, 0, "{frame_bytes}");
            }
        }
        assert_eq!(step_frames(6), 64);
    }
}
