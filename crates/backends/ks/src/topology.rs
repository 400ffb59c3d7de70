//! The way between a pin and its jack: through the nodes of the wave filter, over a wire, through the nodes of the
//! topology filter. Found on it: multiplexers, without whose setting one records silence, and volumes.

use crate::ask;
use crate::kernel::{Code, Kernel, Object};
use crate::uapi::{Direction, Guid, Reply, Request, audio, flag, node, set, topology};
use barewire_device::{Note, NoteKind};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Broken drivers have cycles: no way is longer than this.
const MOST_STEPS: usize = 1000;

/// One wire inside a filter; `KSTOPOLOGY_CONNECTION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wire {
    from: (u32, u32),
    to: (u32, u32),
}

/// The nodes of a filter and how they are wired.
struct Plan {
    nodes: Vec<Guid>,
    wires: Vec<Wire>,
}

impl Plan {
    fn of(filter: &mut dyn Object) -> Self {
        let mut ask = |id| {
            ask::list(filter, &Request::property(&set::TOPOLOGY, id, flag::GET)).unwrap_or_default()
        };
        let (nodes, wires) = (ask(topology::NODES), ask(topology::CONNECTIONS));
        let wire = |item: &[u8]| {
            let reply = Reply(item);
            Some(Wire {
                from: (reply.word(0)?, reply.word(4)?),
                to: (reply.word(8)?, reply.word(12)?),
            })
        };
        Self {
            nodes: items(&nodes).filter_map(|item| Reply(item).guid(0)).collect(),
            wires: items(&wires).filter_map(wire).collect(),
        }
    }

    fn is(&self, node: u32, kind: &Guid) -> bool {
        usize::try_from(node).ok().and_then(|node| self.nodes.get(node)) == Some(kind)
    }

    /// From `start` with the data (played) or against it (captured), up to pins and multiplexers.
    fn walk(&self, start: (u32, u32), direction: Direction) -> Trail {
        let mut trail = Trail::default();
        let mut open = vec![start];
        let mut seen = BTreeSet::new();
        for _ in 0..MOST_STEPS {
            let Some(place) = open.pop() else { break };
            for wire in &self.wires {
                let (here, there) = match direction {
                    Direction::Play => (wire.from, wire.to),
                    Direction::Capture => (wire.to, wire.from),
                };
                let leaves = here.0 == place.0 && (here.0 != topology::FILTER || here.1 == place.1);
                if !leaves
                    || !seen
                        .insert((there.0, if there.0 == topology::FILTER { there.1 } else { 0 }))
                {
                    continue;
                }
                if there.0 == topology::FILTER {
                    trail.pins.push(there.1);
                    continue;
                }
                trail.nodes.push(there.0);
                if direction == Direction::Capture && self.is(there.0, &node::MUX) {
                    trail.mux = trail.mux.or(Some(there.0));
                } else {
                    open.push(there);
                }
            }
        }
        trail
    }
}

/// The items of 16 bytes in a `KSMULTIPLE_ITEM`.
fn items(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.get(8..).unwrap_or(&[]).chunks_exact(16)
}

/// What lies on a way.
#[derive(Debug, Default)]
struct Trail {
    nodes: Vec<u32>,
    pins: Vec<u32>,
    mux: Option<u32>,
}

/// One input of a multiplexer on a pin's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MuxInput {
    /// The filter that has the multiplexer.
    pub(crate) filter: String,
    pub(crate) node: u32,
    /// The number that is set.
    pub(crate) input: u32,
    /// The jack's name.
    pub(crate) name: String,
    /// The jack's own pins on that filter.
    pub(crate) pins: Vec<u32>,
}

/// The jacks that a capturing pin can listen to, if a multiplexer chooses between them; empty if none does.
pub(crate) fn mux_inputs(
    kernel: &dyn Kernel,
    path: &str,
    filter: &mut dyn Object,
    pin: u32,
) -> Vec<MuxInput> {
    let plan = Plan::of(filter);
    let trail = plan.walk((topology::FILTER, pin), Direction::Capture);
    if let Some(node) = trail.mux {
        return inputs_of(path, filter, &plan, node);
    }
    for bridge in trail.pins {
        let Some((path, pin)) = ask::physical_connection(filter, bridge) else { continue };
        let Ok(mut other) = kernel.open_filter(&path) else { continue };
        let plan = Plan::of(&mut *other);
        let trail = plan.walk((topology::FILTER, pin), Direction::Capture);
        if let Some(node) = trail.mux {
            return inputs_of(&path, &mut *other, &plan, node);
        }
    }
    Vec::new()
}

fn inputs_of(path: &str, filter: &mut dyn Object, plan: &Plan, mux: u32) -> Vec<MuxInput> {
    let mut inputs: Vec<Wire> =
        plan.wires.iter().filter(|wire| wire.to.0 == mux).copied().collect();
    inputs.sort_by_key(|wire| wire.to.1);
    let mut input = |wire: Wire| {
        let pins = if wire.from.0 == topology::FILTER {
            vec![wire.from.1]
        } else {
            plan.walk(wire.from, Direction::Capture).pins
        };
        let known = pins.iter().find_map(|&pin| ask::pin_name(filter, pin));
        let name = known.unwrap_or_else(|| format!("input {}", wire.to.1));
        MuxInput { filter: path.to_owned(), node: mux, input: wire.to.1, name, pins }
    };
    inputs.into_iter().map(&mut input).collect()
}

/// The pins at the far end of a pin's way, each with its filter's path: jacks, as far as no multiplexer chooses.
pub(crate) fn jacks(
    kernel: &dyn Kernel,
    path: &str,
    pin: u32,
    direction: Direction,
) -> Vec<(String, u32)> {
    let Ok(mut filter) = kernel.open_filter(path) else { return Vec::new() };
    let trail = Plan::of(&mut *filter).walk((topology::FILTER, pin), direction);
    let mut jacks = Vec::new();
    for bridge in trail.pins {
        let Some((path, pin)) = ask::physical_connection(&mut *filter, bridge) else {
            // No wire leads on: the filter has the jack itself.
            jacks.push((path.to_owned(), bridge));
            continue;
        };
        let Ok(mut other) = kernel.open_filter(&path) else { continue };
        let trail = Plan::of(&mut *other).walk((topology::FILTER, pin), direction);
        jacks.extend(trail.pins.into_iter().map(|pin| (path.clone(), pin)));
    }
    jacks
}

/// A multiplexer that was set; set back when dropped.
pub(crate) struct MuxGuard {
    filter: Box<dyn Object>,
    node: u32,
    before: u32,
}

impl MuxGuard {
    /// Lets `wanted` through, once the pin is open.
    pub(crate) fn set(kernel: &Arc<dyn Kernel>, wanted: &MuxInput) -> Result<Self, Code> {
        let mut filter = kernel.open_filter(&wanted.filter)?;
        let request = Request::of_node(audio::MUX_SOURCE, flag::GET, wanted.node);
        let before = ask::word(&mut *filter, &request)?;
        let mut guard = Self { filter, node: wanted.node, before };
        guard.choose(wanted.input)?;
        Ok(guard)
    }

    fn choose(&mut self, input: u32) -> Result<(), Code> {
        let request = Request::of_node(audio::MUX_SOURCE, flag::SET, self.node);
        ask::property(&mut *self.filter, &request, &mut input.to_ne_bytes()).map(drop)
    }
}

impl Drop for MuxGuard {
    fn drop(&mut self) {
        // A device that is gone has no multiplexer to set back.
        let _ = self.choose(self.before);
    }
}

/// Volumes that are not at 0 dB and switches that silence, on the way of a playing pin.
pub(crate) fn volume_notes(kernel: &dyn Kernel, filter: &mut dyn Object, pin: u32) -> Vec<Note> {
    let plan = Plan::of(filter);
    let trail = plan.walk((topology::FILTER, pin), Direction::Play);
    let mut notes = notes_of(filter, &plan, &trail);
    for bridge in trail.pins {
        let Some((path, pin)) = ask::physical_connection(filter, bridge) else { continue };
        let Ok(mut other) = kernel.open_filter(&path) else { continue };
        let plan = Plan::of(&mut *other);
        let trail = plan.walk((topology::FILTER, pin), Direction::Play);
        notes.extend(notes_of(&mut *other, &plan, &trail));
    }
    notes
}

fn notes_of(filter: &mut dyn Object, plan: &Plan, trail: &Trail) -> Vec<Note> {
    let mut notes = Vec::new();
    for &place in &trail.nodes {
        let mut values = |id| -> Vec<i32> {
            let ask = |channel| ask::word(filter, &Request::of_channel(id, place, channel)).ok();
            (0..2).filter_map(ask).map(u32::cast_signed).collect()
        };
        let text = if plan.is(place, &node::VOLUME) {
            let least = values(audio::VOLUMELEVEL).into_iter().filter(|&level| level != 0).min();
            least.map(|level| {
                // In 1/65536 dB.
                let decibels = f64::from(level) / 65_536.0;
                format!("the device's volume stands at {decibels:.1} dB: set it to 0 dB for bit-perfect playing")
            })
        } else if plan.is(place, &node::MUTE) {
            let is_muted = values(audio::MUTE).into_iter().any(|mute| mute != 0);
            is_muted.then(|| "the device is muted: nothing will be heard; unmute it".to_owned())
        } else {
            None
        };
        notes.extend(text.map(|text| Note { kind: NoteKind::Volume, text }));
    }
    notes
}
