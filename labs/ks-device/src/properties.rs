//! The properties of filters and pins.

use crate::card::{Card, Filter, Request, told_bytes};
use crate::pin::{Ring, STOP};
use crate::status;
use crate::surroundings::Surroundings;
use crate::wire::{self, FILTER, Format, GET, Out, SET, TOPOLOGY_FLAG, multiple};

/// The wave filter's pins.
pub(crate) const PIN_PLAY: u32 = 0;
const PIN_PLAY_BRIDGE: u32 = 1;
pub(crate) const PIN_CAPTURE: u32 = 2;
const PIN_CAPTURE_BRIDGE: u32 = 3;
/// The topology filter's.
const PIN_FROM_WAVE: u32 = 0;
const PIN_SPEAKER: u32 = 1;
const PIN_TO_WAVE: u32 = 2;
const PIN_FIRST_JACK: u32 = 3;
/// Its nodes.
const NODE_VOLUME: u32 = 0;
const NODE_MUTE: u32 = 1;
const NODE_MUX: u32 = 2;

/// The answer, or why there is none.
type Answer = Result<Vec<u8>, u32>;

const UNKNOWN: Answer = Err(status::NOT_FOUND);

/// A property request: status, and the bytes of the answer.
pub(crate) fn property(
    card: &mut Card,
    asked: &mut Request<'_>,
    world: &mut dyn Surroundings,
) -> (u32, usize) {
    let input = asked.input;
    let head = (wire::set(input, 0), wire::word(input, 16), wire::word(input, 20));
    let (Some(set), Some(id), Some(flags)) = head else { return (status::INVALID_PARAMETER, 0) };
    let answer = if set == wire::SET_PIN {
        pin_property(card, asked, id, flags)
    } else if set == wire::SET_TOPOLOGY {
        topology(card, asked, id)
    } else if set == wire::SET_CONNECTION {
        connection(card, asked, id, flags, world)
    } else if set == wire::SET_AUDIO {
        audio(card, asked, id, flags)
    } else if set == wire::SET_RTAUDIO {
        realtime(card, asked, id, flags, world)
    } else {
        UNKNOWN
    };
    match answer {
        Err(refusal) => (refusal, 0),
        Ok(bytes) if asked.output.is_empty() && !bytes.is_empty() => {
            (status::BUFFER_OVERFLOW, bytes.len())
        }
        Ok(bytes) if asked.output.len() < bytes.len() => (status::BUFFER_TOO_SMALL, bytes.len()),
        Ok(bytes) => {
            asked.output[..bytes.len()].copy_from_slice(&bytes);
            (status::SUCCESS, bytes.len())
        }
    }
}

fn word(value: u32) -> Answer {
    Ok(value.to_le_bytes().to_vec())
}

fn pin_property(card: &mut Card, asked: &Request<'_>, id: u32, flags: u32) -> Answer {
    let filter = *card.filters.get(&asked.object).ok_or(status::NOT_FOUND)?;
    let jacks = card.description.jacks.max(1);
    if id == 1 {
        return word(if filter == Filter::Wave { 4 } else { PIN_FIRST_JACK + jacks });
    }
    let pin = wire::word(asked.input, 24).ok_or(status::INVALID_PARAMETER)?;
    match filter {
        Filter::Wave => wave_pin(card, asked, id, flags, pin),
        Filter::Topology => match id {
            2 => word(if pin == PIN_SPEAKER || pin == PIN_TO_WAVE { 2 } else { 1 }),
            7 => word(4),
            12 if pin >= PIN_FIRST_JACK => {
                let names = ["Microphone", "Line In", "CD", "Digital"];
                let name = names.get((pin - PIN_FIRST_JACK) as usize).ok_or(status::NOT_FOUND)?;
                let mut out = Out::default();
                out.text(name);
                Ok(out.0)
            }
            _ => UNKNOWN,
        },
    }
}

fn wave_pin(card: &mut Card, asked: &Request<'_>, id: u32, flags: u32, pin: u32) -> Answer {
    let d = &card.description;
    let plays = pin == PIN_PLAY || pin == PIN_PLAY_BRIDGE;
    let is_open_end = pin == PIN_PLAY && d.plays || pin == PIN_CAPTURE && d.captures;
    match id {
        0 => {
            let used = card.instances_used(plays);
            let mut out = Out::default();
            out.word(card.description.instances).word(used);
            Ok(out.0)
        }
        2 => word(if pin == PIN_PLAY || pin == PIN_CAPTURE_BRIDGE { 1 } else { 2 }),
        3 if is_open_end => Ok(data_ranges(card)),
        5 if is_open_end => {
            let mut items = Vec::new();
            for (offered, interface) in [(d.streaming, 0), (d.looped, 1)] {
                let mut out = Out::default();
                out.set(&wire::INTERFACES).word(interface).word(0);
                items.extend(offered.then_some(out.0));
            }
            Ok(multiple(&items))
        }
        7 => word(if is_open_end { 1 } else { 4 }),
        10 if !is_open_end && !d.topology_link.is_empty() => {
            let other = if plays { PIN_FROM_WAVE } else { PIN_TO_WAVE };
            let mut text = Out::default();
            text.text(&d.topology_link.replacen(r"\\?\", r"\??\", 1));
            let mut out = Out::default();
            out.word(u32::try_from(8 + text.0.len()).unwrap_or(0)).word(other);
            out.0.extend(text.0);
            Ok(out.0)
        }
        14 if d.answers_proposals && is_open_end => {
            if flags & SET == 0 {
                return Err(status::INVALID_PARAMETER);
            }
            let format = Format::read(asked.output).ok_or(status::NO_MATCH)?;
            if card.takes(&format) { Ok(Vec::new()) } else { Err(status::NO_MATCH) }
        }
        _ => UNKNOWN,
    }
}

/// One range for each kind of sample, with a list of attributes behind the first.
fn data_ranges(card: &Card) -> Vec<u8> {
    let d = &card.description;
    let mut items = Vec::new();
    for (n, kind) in d.formats.chunks_exact(3).enumerate() {
        let mut out = Out::default();
        let has_attributes = u32::from(n == 0) * 2;
        out.word(84).word(has_attributes).word(0).word(0);
        out.set(&wire::TYPE_AUDIO).set(if kind[2] == 1 { &wire::FLOAT } else { &wire::PCM });
        out.set(&wire::WAVEFORMATEX);
        out.word(d.channels.last().copied().unwrap_or(2));
        out.word(kind[1]).word(kind[1].max(d.listed_bits));
        let rates = (d.rates.iter().min().copied(), d.rates.iter().max().copied());
        out.word(rates.0.unwrap_or(0)).word(rates.1.unwrap_or(0)).align(8);
        items.push(out.0);
        if n == 0 {
            let mut attributes = Out::default();
            attributes.word(32).word(1).word(24).word(0).set(&wire::NODE_MUX);
            items.push(attributes.0);
        }
    }
    multiple(&items)
}

fn topology(card: &Card, asked: &Request<'_>, id: u32) -> Answer {
    let filter = *card.filters.get(&asked.object).ok_or(status::NOT_FOUND)?;
    let d = &card.description;
    let wire = |from: (u32, u32), to: (u32, u32)| {
        let mut out = Out::default();
        out.word(from.0).word(from.1).word(to.0).word(to.1);
        out.0
    };
    match (filter, id) {
        (Filter::Wave, 1) => Ok(multiple(&[])),
        (Filter::Wave, 2) => Ok(multiple(&[
            wire((FILTER, PIN_PLAY), (FILTER, PIN_PLAY_BRIDGE)),
            wire((FILTER, PIN_CAPTURE_BRIDGE), (FILTER, PIN_CAPTURE)),
        ])),
        (Filter::Topology, 1) => {
            let mut nodes = vec![wire::NODE_VOLUME.to_vec(), wire::NODE_MUTE.to_vec()];
            if d.jacks > 0 {
                nodes.push(wire::NODE_MUX.to_vec());
            }
            Ok(multiple(&nodes))
        }
        (Filter::Topology, 2) => {
            let mut wires = vec![
                wire((FILTER, PIN_FROM_WAVE), (NODE_VOLUME, 1)),
                wire((NODE_VOLUME, 0), (NODE_MUTE, 1)),
                wire((NODE_MUTE, 0), (FILTER, PIN_SPEAKER)),
            ];
            for jack in 0..d.jacks {
                wires.push(wire((FILTER, PIN_FIRST_JACK + jack), (NODE_MUX, 1 + jack)));
            }
            if d.jacks > 0 {
                wires.push(wire((NODE_MUX, 0), (FILTER, PIN_TO_WAVE)));
            } else {
                wires.push(wire((FILTER, PIN_FIRST_JACK), (FILTER, PIN_TO_WAVE)));
            }
            if d.is_tangled {
                wires.push(wire((NODE_MUTE, 0), (NODE_VOLUME, 1)));
                wires.push(wire((99, 0), (98, 1)));
                wires.push(wire((98, 0), (99, 1)));
                wires.push(wire((98, 0), (FILTER, PIN_TO_WAVE)));
            }
            Ok(multiple(&wires))
        }
        _ => UNKNOWN,
    }
}

fn connection(
    card: &mut Card,
    asked: &mut Request<'_>,
    id: u32,
    flags: u32,
    world: &mut dyn Surroundings,
) -> Answer {
    let pin = card.pins.get(&asked.object).ok_or(status::NOT_FOUND)?;
    match id {
        0 if flags & SET != 0 => {
            let to = wire::word(asked.output, 0).ok_or(status::INVALID_PARAMETER)?;
            match card.set_state(asked.object, to, world) {
                status::SUCCESS => Ok(Vec::new()),
                refusal => Err(refusal),
            }
        }
        0 => word(pin.state),
        3 if !pin.looped && card.description.packet_frames > 0 => {
            let bytes =
                card.description.packet_frames * u32::try_from(pin.frame_bytes()).unwrap_or(1);
            let mut out = Out::default();
            out.word(0).word(0).word(2).word(bytes).word(1).word(0);
            Ok(out.0)
        }
        _ => UNKNOWN,
    }
}

fn audio(card: &mut Card, asked: &Request<'_>, id: u32, flags: u32) -> Answer {
    if id == 5 {
        let pin = card.pins.get(&asked.object).ok_or(status::NOT_FOUND)?;
        if !card.description.has_position {
            return Err(status::NOT_IMPLEMENTED);
        }
        let bytes = told_bytes(&card.description, pin);
        let mut out = Out::default();
        // Of a ring that is captured only the second counts.
        out.long(if pin.plays { bytes } else { 0 }).long(bytes);
        return Ok(out.0);
    }
    let is_topology = card.filters.get(&asked.object) == Some(&Filter::Topology);
    if !is_topology || flags & TOPOLOGY_FLAG == 0 {
        return UNKNOWN;
    }
    let node = wire::word(asked.input, 24).ok_or(status::INVALID_PARAMETER)?;
    match (id, node) {
        (4, NODE_VOLUME) => {
            let level = i32::try_from(card.description.volume).unwrap_or(0);
            word(level.cast_unsigned())
        }
        (0xD, NODE_MUTE) => word(0),
        (0xC, NODE_MUX) if card.description.jacks > 0 => {
            if flags & SET == 0 {
                return word(card.mux);
            }
            let input = wire::word(asked.output, 0).ok_or(status::INVALID_PARAMETER)?;
            if !(1..=card.description.jacks).contains(&input) {
                return Err(status::INVALID_PARAMETER);
            }
            card.mux = input;
            Ok(Vec::new())
        }
        _ => UNKNOWN,
    }
}

fn realtime(
    card: &mut Card,
    asked: &Request<'_>,
    id: u32,
    flags: u32,
    world: &mut dyn Surroundings,
) -> Answer {
    // A property of a pin instance: of a filter it means nothing.
    if card.filters.contains_key(&asked.object) {
        card.violate(format!("a filter was asked for the real-time property {id}"));
        return UNKNOWN;
    }
    if flags & GET == 0 {
        card.violate(format!("the real-time property {id} was not asked with GET"));
        return Err(status::INVALID_DEVICE_REQUEST);
    }
    let d = card.description.clone();
    let Some(pin) = card.pins.get_mut(&asked.object).filter(|pin| pin.looped) else {
        return UNKNOWN;
    };
    let handle = wire::pointer(asked.input, 24, asked.pointer_bytes);
    match id {
        1 | 5 => buffer(card, asked, id == 5, world),
        2 => {
            let mut out = Out::default();
            out.word(d.fifo_bytes).word(d.chipset_hns).word(d.codec_hns);
            Ok(out.0)
        }
        3 if d.has_register => register(card, asked, world),
        6 => {
            let handle = handle.ok_or(status::INVALID_PARAMETER)?;
            let is_too_soon = pin.ring.is_none_or(|ring| ring.notifications == 0);
            let event = world.adopt_event(pin.client, handle).ok_or(status::INVALID_HANDLE)?;
            pin.events.push((handle, event));
            if is_too_soon {
                card.violate("an event was registered before there was a ring with events");
            }
            Ok(Vec::new())
        }
        7 => {
            let place = pin.events.iter().position(|(theirs, _)| Some(*theirs) == handle);
            let place = place.ok_or(status::INVALID_HANDLE)?;
            let (_, event) = pin.events.remove(place);
            world.release_event(event);
            if pin.state != STOP {
                card.violate("an event was unregistered before the stop");
            }
            Ok(Vec::new())
        }
        8 if d.answers_event_query => word(u32::from(d.has_events)),
        9 if d.has_packet_count => {
            let half = pin.half_bytes().max(1);
            let moved = pin.moved * pin.frame_bytes() as u64;
            word(u32::try_from(moved / half).unwrap_or(u32::MAX))
        }
        3 | 8 | 9 => Err(status::NOT_IMPLEMENTED),
        _ => UNKNOWN,
    }
}

fn buffer(
    card: &mut Card,
    asked: &Request<'_>,
    with_events: bool,
    world: &mut dyn Surroundings,
) -> Answer {
    let d = card.description.clone();
    let at = 24 + asked.pointer_bytes;
    let wanted = wire::word(asked.input, at).ok_or(status::INVALID_PARAMETER)?;
    let notifications = if with_events {
        wire::word(asked.input, at + 4).ok_or(status::INVALID_PARAMETER)?
    } else {
        0
    };
    let Some(pin) = card.pins.get_mut(&asked.object) else { return UNKNOWN };
    if with_events && !d.has_events {
        return Err(status::NOT_IMPLEMENTED);
    }
    let parts = notifications.max(1);
    let frame = u32::try_from(pin.frame_bytes()).unwrap_or(1);
    let is_wrong = pin.ring.is_some()
        || wanted < frame
        || notifications > 2
        || with_events && notifications == 0
        || wanted % parts != 0
        || d.half_multiple_bytes > 0 && wanted / 2 % d.half_multiple_bytes != 0;
    if is_wrong {
        return Err(status::INVALID_PARAMETER);
    }
    let bytes = if d.ring_bytes > 0 { d.ring_bytes } else { wanted };
    let bytes = bytes.next_multiple_of(d.ring_rounding_bytes.max(1));
    let mapped = world.map(pin.client, bytes as usize).ok_or(status::INSUFFICIENT_RESOURCES)?;
    let (share, address) = mapped;
    pin.ring = Some(Ring { share, bytes: bytes as usize, notifications });
    let mut out = Out::default();
    out.pointer(address, asked.pointer_bytes).word(bytes).word(u32::from(d.wants_barriers));
    Ok(out.0)
}

fn register(card: &mut Card, asked: &Request<'_>, world: &mut dyn Surroundings) -> Answer {
    let bits = card.description.register_bits;
    let Some(pin) = card.pins.get_mut(&asked.object) else { return UNKNOWN };
    if pin.register.is_some() {
        return Err(status::INVALID_DEVICE_REQUEST);
    }
    let mapped = world.map(pin.client, 4096).ok_or(status::INSUFFICIENT_RESOURCES)?;
    pin.register = Some(mapped);
    let accuracy = card.description.step_frames * u32::try_from(pin.frame_bytes()).unwrap_or(1);
    let mut out = Out::default();
    out.pointer(mapped.1, asked.pointer_bytes)
        .word(bits)
        .align(8)
        .long(0)
        .long(0)
        .word(accuracy)
        .align(8);
    Ok(out.0)
}
