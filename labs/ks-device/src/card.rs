//! The card: its filters and pins, its clock, requests that come in and go out.

use crate::audio::{self, Counts, Inlet};
use crate::description::Description;
use crate::pin::{PAUSE, Packet, Pin, RUN, Ring, STOP};
use crate::surroundings::Surroundings;
use crate::wire::{self, Format};
use crate::{lab, properties, status};
use std::collections::BTreeMap;

/// Which filter of the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Has the pins that clients open.
    Wave,
    /// Has the jacks, volumes and the multiplexer.
    Topology,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done: status, and how many bytes of output there are, or would be.
    Done(u32, usize),
    /// [`Surroundings::complete`] will tell.
    Pending,
}

/// A request for control of an open filter or pin.
#[derive(Debug)]
pub struct Request<'a> {
    /// Which filter or pin.
    pub object: u64,
    /// Who asks.
    pub client: u64,
    /// How many bytes the client's pointers have.
    pub pointer_bytes: usize,
    /// The control code.
    pub code: u32,
    /// Names the request, if it stays pending.
    pub name: u64,
    /// What is asked.
    pub input: &'a [u8],
    /// Where the answer goes; also what is set.
    pub output: &'a mut [u8],
}

/// A simulated card.
pub struct Card {
    pub(crate) description: Description,
    pub(crate) is_there: bool,
    pub(crate) filters: BTreeMap<u64, Filter>,
    pub(crate) pins: BTreeMap<u64, Pin>,
    next_object: u64,
    pub(crate) now_ns: u64,
    /// Time for which the hardware waited for data.
    held_ns: u64,
    pub(crate) mux: u32,
    pub(crate) counts: Counts,
    pub(crate) opened: u32,
    /// What a client did that no driver likes.
    pub(crate) violations: Vec<String>,
    /// Whether time is told by the client rather than by a clock.
    pub(crate) is_stepped: bool,
    /// What the pin that was closed last had played, but for what was taken.
    pub(crate) left: Vec<u8>,
}

impl Card {
    /// A card like that.
    pub fn new(description: Description) -> Self {
        Self {
            mux: description.mux,
            description,
            is_there: true,
            filters: BTreeMap::new(),
            pins: BTreeMap::new(),
            next_object: 1,
            now_ns: 0,
            held_ns: 0,
            counts: Counts::default(),
            opened: 0,
            violations: Vec::new(),
            is_stepped: true,
            left: Vec::new(),
        }
    }

    pub(crate) fn violate(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }

    /// Whether time is told by the client rather than by a clock.
    pub fn is_stepped(&self) -> bool {
        self.is_stepped
    }

    /// What the card is like, as lines.
    pub fn description_text(&self) -> String {
        self.description.to_text()
    }

    /// Whether an object is the wave filter.
    pub fn is_wave(&self, object: u64) -> bool {
        self.filters.get(&object) == Some(&Filter::Wave)
    }

    /// Opens a filter.
    pub fn open(&mut self, filter: Filter) -> u64 {
        let object = self.next_object;
        self.next_object += 1;
        self.filters.insert(object, filter);
        object
    }

    /// Makes a pin of an object that was opened as the wave filter; `connect` is `KSPIN_CONNECT` with its format.
    pub fn make_pin(
        &mut self,
        object: u64,
        client: u64,
        pointer_bytes: usize,
        connect: &[u8],
    ) -> u32 {
        if !self.is_there {
            return status::DEVICE_DOES_NOT_EXIST;
        }
        if self.filters.get(&object) != Some(&Filter::Wave) {
            return status::INVALID_DEVICE_REQUEST;
        }
        match self.connect(connect, pointer_bytes) {
            Ok((plays, format, looped)) => {
                self.filters.remove(&object);
                if plays {
                    self.left.clear();
                }
                self.pins.insert(object, Pin::new(plays, client, format, looped));
                self.opened += 1;
                status::SUCCESS
            }
            Err(refusal) => refusal,
        }
    }

    fn connect(&self, connect: &[u8], pointer_bytes: usize) -> Result<(bool, Format, bool), u32> {
        let length = if pointer_bytes == 8 { 72 } else { 64 };
        let wrong = status::INVALID_PARAMETER;
        if wire::set(connect, 0) != Some(wire::INTERFACES) {
            return Err(status::NO_MATCH);
        }
        let interface = wire::word(connect, 16).ok_or(wrong)?;
        let id = wire::word(connect, 48).ok_or(wrong)?;
        let plays = match id {
            properties::PIN_PLAY if self.description.plays => true,
            properties::PIN_CAPTURE if self.description.captures => false,
            _ => return Err(wrong),
        };
        if self.description.refusal != 0 {
            return Err(self.description.refusal);
        }
        if self.instances_used(plays) >= self.description.instances {
            return Err(self.description.busy_status);
        }
        let looped = match interface {
            0 if self.description.streaming => false,
            1 if self.description.looped => true,
            _ => return Err(status::NO_MATCH),
        };
        let format = connect.get(length..).and_then(Format::read).ok_or(status::NO_MATCH)?;
        let is_shared = self.pins.values().all(|pin| pin.format.rate == format.rate);
        if !self.takes(&format) || !is_shared {
            return Err(status::NO_MATCH);
        }
        Ok((plays, format, looped))
    }

    pub(crate) fn instances_used(&self, plays: bool) -> u32 {
        let ours = self.pins.values().filter(|pin| pin.plays == plays).count();
        self.description.held + u32::try_from(ours).unwrap_or(0)
    }

    pub(crate) fn takes(&self, format: &Format) -> bool {
        let kinds = self.description.formats.chunks_exact(3);
        let mut kinds = kinds.map(|kind| (kind[0], kind[1], kind[2] == 1));
        let wanted = (format.container_bits, format.valid_bits, format.is_float);
        kinds.any(|kind| kind == wanted)
            && self.description.rates.contains(&format.rate)
            && self.description.channels.contains(&format.channels)
    }

    /// Closes a filter or pin. A pin with requests on their way is closed by nobody: the system holds it until they end.
    pub fn close(&mut self, object: u64, world: &mut dyn Surroundings) {
        self.filters.remove(&object);
        if let Some(mut pin) = self.pins.remove(&object) {
            if pin.state != STOP && self.is_there {
                self.violate(format!("a pin was closed in state {}", pin.state));
            }
            if !pin.queue.is_empty() {
                self.violate(format!("a pin was closed with {} requests", pin.queue.len()));
            }
            pin.flush(status::CANCELLED, world);
            pin.close(world);
            if pin.plays {
                self.left = pin.take(usize::MAX).to_vec();
            }
        }
    }

    /// A control request of an open filter or pin.
    pub fn control(&mut self, mut asked: Request<'_>, world: &mut dyn Surroundings) -> Outcome {
        let Request { object, client, code, input, pointer_bytes, .. } = asked;
        if code == lab::code::COMMAND {
            return lab::command(self, &mut asked, world);
        }
        if code == lab::code::MAKE_PIN {
            return Outcome::Done(self.make_pin(object, client, pointer_bytes, input), 0);
        }
        if !self.is_there {
            return Outcome::Done(status::DEVICE_DOES_NOT_EXIST, 0);
        }
        match code {
            wire::IOCTL_PROPERTY => {
                let (status, length) = properties::property(self, &mut asked, world);
                Outcome::Done(status, length)
            }
            wire::IOCTL_WRITE_STREAM | wire::IOCTL_READ_STREAM => self.stream(&asked, world),
            wire::IOCTL_RESET_STATE => {
                let keeps = self.description.keeps_packets || self.description.swallows_packets;
                match self.pins.get_mut(&object) {
                    Some(pin) if !keeps => pin.flush(status::CANCELLED, world),
                    _ => {}
                }
                Outcome::Done(status::SUCCESS, 0)
            }
            _ => Outcome::Done(status::INVALID_DEVICE_REQUEST, 0),
        }
    }

    fn stream(&mut self, asked: &Request<'_>, world: &mut dyn Surroundings) -> Outcome {
        let description = self.description.clone();
        let mut complaints = Vec::new();
        let Some(pin) = self.pins.get_mut(&asked.object).filter(|pin| !pin.looped) else {
            return Outcome::Done(status::INVALID_DEVICE_REQUEST, 0);
        };
        let header = &asked.output[..];
        let parts = (
            wire::word(header, 0),
            wire::word(header, 32),
            wire::pointer(header, 40, asked.pointer_bytes),
        );
        let (Some(size), Some(bytes), Some(address)) = parts else {
            return Outcome::Done(status::INVALID_PARAMETER, 0);
        };
        // Sizes, states and directions that drivers refuse.
        let is_wrong = size as usize != header.len()
            || pin.state < PAUSE
            || pin.plays != (asked.code == wire::IOCTL_WRITE_STREAM)
            || !(bytes as usize).is_multiple_of(pin.frame_bytes())
            || bytes == 0;
        if is_wrong {
            return Outcome::Done(status::INVALID_PARAMETER, 0);
        }
        let used = wire::word(header, 36).unwrap_or(0);
        if used != if pin.plays { bytes } else { 0 } {
            complaints.push(format!("{used} of {bytes} bytes are said to be used"));
        }
        let flags_at = 40 + asked.pointer_bytes;
        let flags = wire::word(header, flags_at).unwrap_or(0);
        if flags != 0 {
            complaints.push(format!("a packet was handed over with the flags {flags:#x}"));
        }
        let packet = Packet {
            request: asked.name,
            flags_at,
            header: header.to_vec(),
            address,
            bytes: bytes as usize,
            done: 0,
        };
        let is_empty = !pin.plays && pin.reads < description.empty_reads && pin.state == RUN
            || description.minds_flags && flags != 0;
        pin.reads += u32::from(pin.state == RUN);
        if is_empty {
            audio::finish_empty(packet, world);
        } else {
            pin.queue.push_back(packet);
        }
        complaints.into_iter().for_each(|what| self.violate(what));
        Outcome::Pending
    }

    /// The client wants a request to end.
    pub fn cancel(&mut self, request: u64, world: &mut dyn Surroundings) {
        if self.description.swallows_packets {
            return;
        }
        for pin in self.pins.values_mut() {
            if let Some(place) = pin.queue.iter().position(|packet| packet.request == request)
                && let Some(packet) = pin.queue.remove(place)
            {
                world.complete(packet.request, status::CANCELLED, &packet.header);
            }
        }
    }

    /// The client has gone and left everything behind.
    pub fn forget_client(&mut self, client: u64, world: &mut dyn Surroundings) {
        let gone: Vec<u64> =
            self.pins.iter().filter(|(_, pin)| pin.client == client).map(|(id, _)| *id).collect();
        for id in gone {
            if let Some(mut pin) = self.pins.remove(&id) {
                pin.flush(status::CANCELLED, world);
                pin.close(world);
            }
        }
    }

    pub(crate) fn rate(&self) -> Option<u32> {
        self.pins.values().map(|pin| pin.format.rate).next()
    }

    fn speed(&self, rate: u32) -> u128 {
        let factor = u128::try_from(1_000_000 + self.description.offset_ppm).unwrap_or(1_000_000);
        u128::from(rate) * factor
    }

    /// The card's own count of frames at a time.
    fn frames_at(&self, ns: u64, rate: u32) -> u64 {
        let passed = u128::from(ns.saturating_sub(self.held_ns));
        u64::try_from(passed * self.speed(rate) / 1_000_000_000_000_000).unwrap_or(u64::MAX)
    }

    /// When the card counts so many frames.
    fn time_of(&self, frames: u64, rate: u32) -> u64 {
        let ns = (u128::from(frames) * 1_000_000_000_000_000).div_ceil(self.speed(rate));
        u64::try_from(ns).unwrap_or(u64::MAX).saturating_add(self.held_ns)
    }

    /// The card's count of frames now, to which a run is counted.
    pub(crate) fn frames_now(&self) -> u64 {
        self.rate().map_or(0, |rate| self.frames_at(self.now_ns, rate))
    }

    /// Where a run is when the card counts `frames`.
    fn run_frames(&self, pin: &Pin, frames: u64) -> u64 {
        let stalled = match self.description.stalls_at_frames {
            0 => u64::MAX,
            stalls => stalls,
        };
        frames.saturating_sub(pin.began).min(stalled).max(pin.moved)
    }

    /// Lets the hardware move up to `now`.
    pub fn run_to(&mut self, now: u64, world: &mut dyn Surroundings) {
        let from = self.now_ns;
        self.now_ns = self.now_ns.max(now);
        let (Some(rate), true) = (self.rate(), self.is_there) else { return };
        if self.description.waits_for_data {
            self.wait_for_data(from, rate, world);
        }
        let frames = self.frames_at(self.now_ns, rate);
        let description = self.description.clone();
        let running = |pin: &Pin| pin.state == RUN;
        let ids: Vec<u64> = self.pins.keys().copied().collect();
        // Playback first: what is played now may come in now.
        for wants_playing in [true, false] {
            for id in &ids {
                let Some(mut pin) = self.pins.remove(id) else { continue };
                if running(&pin) && pin.plays == wants_playing {
                    let to = self.run_frames(&pin, frames);
                    if pin.plays {
                        audio::play(&mut pin, to, &mut self.counts, world);
                    } else {
                        self.capture(&mut pin, to, &description, world);
                    }
                    signal(&mut pin, &description, world);
                    self.tell_register(&pin, world);
                }
                self.pins.insert(*id, pin);
            }
        }
    }

    fn capture(
        &mut self,
        pin: &mut Pin,
        to: u64,
        description: &Description,
        world: &mut dyn Surroundings,
    ) {
        let source = self.pins.values().find(|other| other.plays && other.state != STOP);
        let is_heard = description.jacks == 0 || self.mux == description.looped_jack;
        let source = source.filter(|_| is_heard);
        let own = audio::delay_frames(description, pin);
        let delay = own + source.map_or(0, |source| audio::delay_frames(description, source));
        let inlet = Inlet { source, delay };
        audio::capture(pin, to, &inlet, description, &mut self.counts, world);
    }

    /// The clock stands still while a ring is played out and not filled anew, or no packets are there.
    fn wait_for_data(&mut self, from: u64, rate: u32, world: &mut dyn Surroundings) {
        let frames = self.frames_at(self.now_ns, rate);
        let halt = |pin: &Pin| {
            let to = self.run_frames(pin, frames);
            let possible = audio::possible(pin, to, world);
            (possible < to).then(|| self.time_of(pin.began + possible, rate))
        };
        let reached = self.pins.values().filter(|pin| pin.state == RUN).filter_map(halt).min();
        if let Some(reached) = reached {
            self.held_ns += self.now_ns - reached.clamp(from, self.now_ns);
        }
    }

    pub(crate) fn tell_register(&self, pin: &Pin, world: &mut dyn Surroundings) {
        if let Some((share, _)) = pin.register {
            let place = told_bytes(&self.description, pin);
            if self.description.register_bits == 64 {
                world.put(share, 0, &place.to_le_bytes());
            } else {
                let word = u32::try_from(place).unwrap_or(u32::MAX);
                world.put(share, 0, &word.to_le_bytes());
            }
        }
    }

    /// When something happens next that a client can notice without looking.
    pub fn next_ns(&self) -> u64 {
        let Some(rate) = self.rate().filter(|_| self.is_there) else { return u64::MAX };
        let next = |pin: &Pin| {
            let frames = next_frames(pin, &self.description)?;
            Some(self.time_of(pin.began + frames, rate))
        };
        let running = self.pins.values().filter(|pin| pin.state == RUN);
        running.filter_map(next).min().unwrap_or(u64::MAX)
    }

    /// Changes a pin's state, one step at a time.
    pub(crate) fn set_state(&mut self, object: u64, to: u32, world: &mut dyn Surroundings) -> u32 {
        let now = self.frames_now();
        let Some(mut pin) = self.pins.remove(&object) else { return status::INVALID_HANDLE };
        let mut answer = status::SUCCESS;
        if to > RUN || pin.state.abs_diff(to) != 1 {
            if pin.state != to {
                self.violate(format!("from state {} to {to}", pin.state));
                answer = status::INVALID_DEVICE_STATE;
            }
        } else if to == RUN && pin.looped && pin.ring.is_none() {
            self.violate("a ring pin runs without a ring");
            answer = status::INVALID_DEVICE_STATE;
        } else {
            if to == RUN {
                let own = if pin.plays { 0 } else { self.description.capture_lag_frames };
                let lag = u64::from(self.description.start_lag_frames + own);
                pin.began = (now + lag).saturating_sub(pin.moved);
            }
            if to == PAUSE && pin.state < PAUSE {
                pin.rewind();
            }
            if to == STOP && !self.description.keeps_packets && !self.description.swallows_packets {
                pin.flush(status::CANCELLED, world);
            }
            pin.state = to;
        }
        self.pins.insert(object, pin);
        answer
    }

    /// The card is pulled out or plugged in.
    pub(crate) fn plug(&mut self, is_there: bool, world: &mut dyn Surroundings) {
        if self.is_there == is_there {
            return;
        }
        self.is_there = is_there;
        for pin in self.pins.values_mut() {
            if !self.description.swallows_packets {
                pin.flush(status::DEVICE_DOES_NOT_EXIST, world);
            }
            // A register of a device that is gone reads as all ones.
            if let Some((share, _)) = pin.register {
                world.put(share, 0, &u64::MAX.to_le_bytes());
            }
        }
        world.plugged(is_there);
    }
}

/// Where a pin says it is, in bytes of its ring.
pub(crate) fn told_bytes(description: &Description, pin: &Pin) -> u64 {
    let step = u64::from(description.step_frames.max(1));
    let frames = pin.moved - pin.moved % step;
    let bytes = frames * pin.frame_bytes() as u64;
    pin.ring.map_or(bytes, |ring| bytes % ring.bytes as u64)
}

/// How many frames of a run are played when boundary `n` is signalled, about.
fn boundary_frames(pin: &Pin, n: u64, description: &Description) -> u64 {
    let frames = (pin.half_bytes() * n).div_ceil(pin.frame_bytes() as u64);
    frames.saturating_add_signed(description.event_late_frames)
}

fn next_frames(pin: &Pin, description: &Description) -> Option<u64> {
    let stalls = description.stalls_at_frames;
    if stalls > 0 && pin.moved >= stalls {
        return None;
    }
    if pin.looped {
        if pin.events.is_empty() || !description.sends_events {
            return None;
        }
        let half = boundary_frames(pin, pin.signalled + 1, description);
        let spurious = u64::from(description.spurious_frames);
        let for_nothing = if spurious > 0 { (pin.spurious + 1) * spurious } else { u64::MAX };
        return Some(half.min(for_nothing).max(pin.moved + 1));
    }
    let packet = pin.queue.front()?;
    let full = if description.half_reads && !pin.plays { packet.bytes / 2 } else { packet.bytes };
    Some(pin.moved + (full.saturating_sub(packet.done) / pin.frame_bytes()) as u64)
}

/// Signals what has come due.
fn signal(pin: &mut Pin, description: &Description, world: &mut dyn Surroundings) {
    if pin.ring.is_none_or(|Ring { notifications, .. }| notifications == 0) {
        return;
    }
    let mut is_due = false;
    while boundary_frames(pin, pin.signalled + 1, description) <= pin.moved {
        pin.signalled += 1;
        is_due = true;
    }
    let spurious = u64::from(description.spurious_frames);
    if spurious > 0 && pin.moved / spurious > pin.spurious {
        pin.spurious = pin.moved / spurious;
        is_due = true;
    }
    if is_due && description.sends_events {
        pin.events.iter().for_each(|&(_, event)| world.signal(event));
    }
}
