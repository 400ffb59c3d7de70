//! One opened stream: its memory, its clock, its events.

use super::spec::Spec;
use super::wave::Wave;
use super::{
    Answer, BUFFER_OPERATION_PENDING, BUFFER_TOO_LARGE, INVALID_SIZE, NOT_STOPPED, Ns,
    OUT_OF_ORDER, WRONG_ENDPOINT_TYPE,
};
use std::collections::VecDeque;

/// Takes what is played.
pub type Sink = Box<dyn FnMut(&[u8]) + Send>;
/// Makes a [`Sink`] for a stream that is started.
pub type MakeSink = Box<dyn FnMut(&Spec, &Wave) -> Option<Sink> + Send>;

/// How the stream is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Exclusive, with events: two halves of a period each.
    Whole {
        /// Frames of a half.
        period: u32,
    },
    /// Exclusive, without events: a ring that the hardware goes round.
    Polled {
        /// Its frames.
        buffer: u32,
    },
    /// Shared: the mixer takes or gives a period at a time.
    Mixed {
        /// Frames that it moves.
        period: u32,
        /// Frames that may be queued.
        buffer: u32,
    },
}

/// A packet that a client may have.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Where it lies, until it is given back.
    pub data: *const u8,
    /// Frames.
    pub frames: u32,
    /// Frames were lost before it.
    pub is_gap: bool,
    /// Counted from the start.
    pub position: u64,
    /// When its first frame was captured.
    pub at_ns: Ns,
}

/// What is kept for those who hear it, where all of it is written down elsewhere.
const KEPT_BYTES: usize = 1 << 22;

struct Held {
    bytes: Box<[u8]>,
    position: u64,
    is_gap: bool,
}

/// An opened stream.
pub struct Stream {
    /// The endpoint.
    pub endpoint: usize,
    /// Its samples.
    pub wave: Wave,
    /// It was initialised for events.
    pub has_event: bool,
    /// It captures what its endpoint plays.
    pub is_loopback: bool,
    /// The event to set.
    pub event: Option<usize>,
    /// It moves.
    pub is_running: bool,
    /// When it was started.
    pub started_ns: Ns,
    /// What was played in this run; the latest of it, if a sink has it all.
    pub heard: Vec<u8>,
    /// Bytes of the run before `heard`.
    forgotten: usize,
    /// Gets what is played, too.
    pub sink: Option<Sink>,
    kind: Kind,
    spec: Spec,
    start_tick: u64,
    /// Ticks since the start that were dealt with.
    done: u64,
    /// The next event's number.
    next_event: u64,
    /// The latest event that was set; `None` before the first.
    fired: Option<u64>,
    memory: Box<[u8]>,
    lent: Option<u32>,
    is_filled: bool,
    /// The latest event was answered with frames.
    is_answered: bool,
    /// The half that is being played, as it was when its turn came.
    current: Vec<u8>,
    queue: VecDeque<u8>,
    /// Passes of the mixer: when, frames of ours before, frames of ours in it.
    passes: VecDeque<(u64, u64, u32)>,
    taken: u64,
    packets: VecDeque<Held>,
    captured: u64,
    is_gap: bool,
}

// SAFETY: sinks are `Send`, pointers are made anew with each call.
unsafe impl Send for Stream {}

impl Stream {
    pub(super) fn new(
        endpoint: usize,
        spec: &Spec,
        kind: Kind,
        wave: Wave,
        has_event: bool,
        is_loopback: bool,
    ) -> Self {
        let frames = match kind {
            Kind::Whole { period } => 2 * period,
            Kind::Polled { buffer } | Kind::Mixed { buffer, .. } => buffer,
        };
        Self {
            endpoint,
            wave,
            has_event,
            is_loopback,
            event: None,
            is_running: false,
            started_ns: 0,
            heard: Vec::new(),
            forgotten: 0,
            sink: None,
            kind,
            spec: spec.clone(),
            start_tick: 0,
            done: 0,
            next_event: 0,
            fired: None,
            memory: vec![0; frames as usize * wave.frame_bytes()].into(),
            lent: None,
            is_filled: false,
            is_answered: true,
            current: Vec::new(),
            queue: VecDeque::new(),
            passes: VecDeque::new(),
            taken: 0,
            packets: VecDeque::new(),
            captured: 0,
            is_gap: true,
        }
    }

    /// Whether it plays.
    pub fn is_render(&self) -> bool {
        self.spec.is_render && !self.is_loopback
    }

    /// Whether nobody else may have the endpoint meanwhile.
    pub fn is_exclusive(&self) -> bool {
        !matches!(self.kind, Kind::Mixed { .. })
    }

    /// `GetBufferSize`.
    pub fn buffer(&self) -> u32 {
        match self.kind {
            Kind::Whole { period } => period,
            Kind::Polled { buffer } | Kind::Mixed { buffer, .. } => buffer,
        }
    }

    fn period(&self) -> u32 {
        match self.kind {
            Kind::Whole { period } | Kind::Mixed { period, .. } => period,
            Kind::Polled { buffer } => (buffer / 4).max(1),
        }
    }

    /// Frames a second, in millionths.
    fn speed(&self) -> u128 {
        let speed = i128::from(self.wave.rate) * i128::from(1_000_000 + self.spec.ppm);
        u128::try_from(speed).unwrap_or(1)
    }

    /// Ticks of the hardware's clock, which all its endpoints have in common.
    fn tick(&self, now: Ns) -> u64 {
        u64::try_from(u128::from(now) * self.speed() / 1_000_000_000_000_000).unwrap_or(u64::MAX)
    }

    fn time_of(&self, tick: u64) -> Ns {
        let ns = (u128::from(tick) * 1_000_000_000_000_000).div_ceil(self.speed());
        u64::try_from(ns).unwrap_or(u64::MAX)
    }

    /// Frames that were moved since the start.
    pub fn moved(&self) -> u64 {
        self.done
    }

    pub(super) fn start(&mut self, now: Ns) {
        self.is_running = true;
        self.started_ns = now;
        // The hardware begins on the next tick.
        self.start_tick = self.tick(now) + 1;
        (self.done, self.fired) = (0, None);
        self.heard.clear();
        (self.forgotten, self.is_answered) = (0, true);
        self.next_event = match self.kind {
            Kind::Whole { .. } if self.is_render() => u64::from(self.spec.begins_late),
            _ => u64::from(!self.is_render()),
        };
        if let (Kind::Whole { period }, true) = (self.kind, self.is_render()) {
            self.begin_half(0, period);
        }
    }

    pub(super) fn reset(&mut self) -> Answer<()> {
        if self.is_running {
            return Err(NOT_STOPPED);
        }
        if self.lent.is_some() {
            return Err(BUFFER_OPERATION_PENDING);
        }
        self.queue.clear();
        self.packets.clear();
        self.passes.clear();
        (self.taken, self.captured, self.is_gap) = (0, 0, true);
        (self.is_filled, self.fired) = (false, None);
        self.memory.fill(0);
        Ok(())
    }

    fn since_start(&self, now: Ns) -> u64 {
        if self.is_running { self.tick(now).saturating_sub(self.start_tick) } else { self.done }
    }

    fn begin_half(&mut self, number: u64, period: u32) {
        let bytes = period as usize * self.wave.frame_bytes();
        let at = usize::from(number % 2 == 1) * bytes;
        self.current.clear();
        self.current.extend_from_slice(&self.memory[at..at + bytes]);
    }

    fn emit(&mut self, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
        if let Some(sink) = &mut self.sink {
            sink(bytes);
            if self.heard.len() > 2 * KEPT_BYTES {
                let surplus = self.heard.len() - KEPT_BYTES;
                self.heard.drain(..surplus);
                self.forgotten += surplus;
            }
        }
    }

    /// The mixer's first pass comes some time after the start.
    fn phase(&self) -> u64 {
        u64::from(self.period() / 3)
    }

    /// Plays up to `now`.
    pub(super) fn play(&mut self, now: Ns) {
        if !self.is_running {
            return;
        }
        let to = self.since_start(now);
        let frame = self.wave.frame_bytes();
        match self.kind {
            Kind::Whole { period } => {
                let length = u64::from(period);
                while self.done < to {
                    let within = self.done % length;
                    let frames = (length - within).min(to - self.done);
                    let (from, until) =
                        (within as usize * frame, (within + frames) as usize * frame);
                    let bytes = self.current[from..until].to_vec();
                    self.emit(&bytes);
                    self.done += frames;
                    if self.done.is_multiple_of(length) {
                        self.begin_half(self.done / length, period);
                    }
                }
            }
            Kind::Polled { .. } => {
                let wanted = (to - self.done) as usize * frame;
                let there = wanted.min(self.queue.len());
                let mut bytes: Vec<u8> = self.queue.drain(..there).collect();
                bytes.resize(wanted, 0);
                self.emit(&bytes);
                self.done = to;
            }
            Kind::Mixed { period, .. } => {
                let (length, phase) = (u64::from(period), self.phase());
                let mut pass = if self.done < phase { 0 } else { (self.done - phase) / length + 1 };
                while phase + pass * length <= to {
                    let wanted = period as usize * frame;
                    let there = wanted.min(self.queue.len());
                    let mut bytes: Vec<u8> = self.queue.drain(..there).collect();
                    bytes.resize(wanted, 0);
                    let frames = u32::try_from(there / frame).unwrap_or(0);
                    self.passes.push_back((phase + pass * length, self.taken, frames));
                    if self.passes.len() > 8 {
                        self.passes.pop_front();
                    }
                    self.taken += u64::from(frames);
                    self.emit(&bytes);
                    pass += 1;
                }
                self.done = to;
            }
        }
    }

    /// Frames between what is heard and the loudspeaker: the mixer sounds a period after it has passed.
    fn to_speaker(&self) -> u64 {
        let mixed = if matches!(self.kind, Kind::Mixed { .. }) {
            self.phase() + u64::from(self.period())
        } else {
            0
        };
        u64::from(self.spec.fifo) + mixed
    }

    /// Captures up to `now` what `source` lets sound.
    pub(super) fn record(&mut self, now: Ns, source: Option<&Self>) {
        if !self.is_running {
            return;
        }
        let to = self.since_start(now);
        let length = u64::from(self.period());
        let late = if self.is_loopback { 0 } else { u64::from(self.spec.fifo) };
        let depth = match self.kind {
            Kind::Whole { .. } => 2,
            _ => (u64::from(self.buffer()) / length).max(2),
        };
        while self.captured + length + late <= to {
            let begin = self.captured;
            self.captured += length;
            if self.is_loopback && source.is_none() {
                continue;
            }
            let bytes = self.sound(begin, source).into();
            if self.packets.len() as u64 >= depth {
                // The oldest that is not lent.
                let drop = usize::from(self.lent.is_some());
                self.packets.remove(drop);
                match self.packets.get_mut(drop) {
                    Some(next) => next.is_gap = true,
                    None => self.is_gap = true,
                }
            }
            let is_gap = std::mem::take(&mut self.is_gap);
            self.packets.push_back(Held { bytes, position: begin, is_gap });
        }
        self.done = to;
    }

    /// The frames from `begin` on, a period long.
    fn sound(&self, begin: u64, source: Option<&Self>) -> Vec<u8> {
        let frame = self.wave.frame_bytes();
        let mut bytes = vec![0; self.period() as usize * frame];
        let Some(source) = source.filter(|source| source.wave.frame_bytes() == frame) else {
            return bytes;
        };
        let offset = source.start_tick + source.to_speaker();
        for n in 0..u64::from(self.period()) {
            let heard =
                (self.start_tick + begin + n).checked_sub(offset).map(|at| at as usize * frame);
            if let Some(from) = heard.and_then(|from| from.checked_sub(source.forgotten))
                && let Some(sample) = source.heard.get(from..from + frame)
            {
                bytes[n as usize * frame..][..frame].copy_from_slice(sample);
            }
        }
        bytes
    }

    fn jitter(&self, number: u64) -> i64 {
        if self.spec.jitter_ns == 0 {
            return 0;
        }
        // splitmix64.
        let mut z = (self.spec.seed ^ u64::from(self.is_render()))
            .wrapping_add((number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        let jitter = i64::try_from(self.spec.jitter_ns).unwrap_or(0);
        i64::try_from((z ^ z >> 31) % (2 * self.spec.jitter_ns + 1)).unwrap_or(0) - jitter
    }

    fn event_ns(&self, number: u64) -> Ns {
        let late = if self.is_render() { 0 } else { u64::from(self.spec.fifo) };
        let phase = match self.kind {
            Kind::Mixed { .. } if self.is_render() => self.phase(),
            _ => late,
        };
        let due = self.time_of(self.start_tick + number * u64::from(self.period()) + phase);
        // A packet cannot be announced before it is there, nor the first buffer before the start.
        let earliest = if self.is_render() { self.time_of(self.start_tick) } else { due };
        due.saturating_add_signed(self.jitter(number)).max(earliest)
    }

    /// When the next event comes.
    pub fn next_ns(&self) -> Option<Ns> {
        let is_awaited = self.is_running && self.event.is_some() && !self.spec.is_mute;
        is_awaited.then(|| self.event_ns(self.next_event))
    }

    /// Whether an event is due.
    pub(super) fn fire(&mut self, now: Ns) -> bool {
        let mut is_due = false;
        while let Some(next) = self.next_ns()
            && next <= now
        {
            self.fired = Some(self.next_event);
            self.next_event += 1;
            self.is_answered = false;
            is_due = true;
        }
        is_due
    }

    /// Whether the latest event was answered with frames, if it asked for some.
    pub(super) fn is_answered(&self) -> bool {
        self.is_answered || !self.is_running || !self.is_render()
    }

    /// Whether time may go on to `then` without anything being lost that a client could still do.
    pub(super) fn is_safe_at(&self, then: Ns) -> bool {
        if !self.is_running {
            return true;
        }
        let period = u64::from(self.period());
        match self.kind {
            // The half that was set free is played from the next boundary on.
            Kind::Whole { .. } if self.is_render() => {
                let boundary = self.fired.map_or(0, |event| event + 1) * period;
                let boundary_ns = self.time_of(self.start_tick + boundary);
                self.is_answered || then < boundary_ns.min(self.event_ns(self.next_event))
            }
            // Never quite empty: an empty queue is an xrun.
            _ if self.is_render() => {
                let moves = self.since_start(then).saturating_sub(self.done);
                let moves = if matches!(self.kind, Kind::Polled { .. }) {
                    moves
                } else {
                    moves.max(period)
                };
                u64::from(self.padding()) > moves
            }
            _ => {
                self.packets.len() < 2
                    || self.captured + period + u64::from(self.spec.fifo) > self.since_start(then)
            }
        }
    }

    /// `GetCurrentPadding`.
    pub fn padding(&self) -> u32 {
        match self.kind {
            Kind::Whole { period } => period,
            _ if self.is_render() => {
                u32::try_from(self.queue.len() / self.wave.frame_bytes()).unwrap_or(0)
            }
            _ => {
                let frames = self.packets.len() * self.period() as usize;
                u32::try_from(frames).unwrap_or(0)
            }
        }
    }

    pub(super) fn lend(&mut self, frames: u32) -> Answer<*mut u8> {
        if !self.is_render() {
            return Err(WRONG_ENDPOINT_TYPE);
        }
        if self.lent.is_some() {
            return Err(OUT_OF_ORDER);
        }
        let at = if let Kind::Whole { period } = self.kind {
            if frames != period || (!self.is_running && self.is_filled) {
                return Err(BUFFER_TOO_LARGE);
            }
            // The half that the latest event set free; the first before the start.
            let number = self.fired.map_or(0, |event| event + 1);
            usize::from(number % 2 == 1) * period as usize * self.wave.frame_bytes()
        } else {
            if frames > self.buffer() - self.padding() {
                return Err(BUFFER_TOO_LARGE);
            }
            0
        };
        self.lent = Some(frames);
        Ok(self.memory[at..].as_mut_ptr())
    }

    pub(super) fn give(&mut self, frames: u32, is_silent: bool) -> Answer<()> {
        let Some(lent) = self.lent else {
            return if frames == 0 { Ok(()) } else { Err(OUT_OF_ORDER) };
        };
        let is_whole = matches!(self.kind, Kind::Whole { .. });
        if frames > lent || (is_whole && frames != 0 && frames != lent) {
            return Err(INVALID_SIZE);
        }
        self.lent = None;
        self.is_filled |= frames > 0;
        self.is_answered |= frames > 0;
        let bytes = frames as usize * self.wave.frame_bytes();
        if is_whole {
            let number = self.fired.map_or(0, |event| event + 1);
            if is_silent {
                let at = usize::from(number % 2 == 1) * bytes;
                self.memory[at..at + bytes].fill(0);
            }
        } else if is_silent {
            self.queue.extend(std::iter::repeat_n(0, bytes));
        } else {
            self.queue.extend(&self.memory[..bytes]);
        }
        Ok(())
    }

    pub(super) fn packet(&mut self) -> Answer<Option<Packet>> {
        if self.is_render() {
            return Err(WRONG_ENDPOINT_TYPE);
        }
        if self.lent.is_some() {
            return Err(OUT_OF_ORDER);
        }
        let (frames, start) = (self.period(), self.start_tick);
        let Some(held) = self.packets.front() else { return Ok(None) };
        let packet = Packet {
            data: held.bytes.as_ptr(),
            frames,
            is_gap: held.is_gap,
            position: held.position,
            at_ns: self.time_of(start + held.position),
        };
        self.lent = Some(frames);
        Ok(Some(packet))
    }

    pub(super) fn take(&mut self, frames: u32) -> Answer<()> {
        match self.lent.take() {
            Some(lent) if frames == lent => {
                self.packets.pop_front();
                Ok(())
            }
            Some(_) if frames == 0 => Ok(()),
            Some(lent) => {
                self.lent = Some(lent);
                Err(INVALID_SIZE)
            }
            None if frames == 0 => Ok(()),
            None => Err(OUT_OF_ORDER),
        }
    }

    /// `IAudioClock::GetPosition`: frames of ours that have reached the loudspeaker.
    pub fn position(&self, now: Ns) -> u64 {
        let since = self.since_start(now);
        match self.kind {
            Kind::Mixed { .. } if self.is_render() => {
                let delay = u64::from(self.spec.fifo) + u64::from(self.period());
                let sounding = self.passes.iter().rev().find(|(pass, ..)| pass + delay <= since);
                sounding.map_or(0, |(pass, before, frames)| {
                    before + (since - pass - delay).min(u64::from(*frames))
                })
            }
            _ if self.is_render() => since.saturating_sub(u64::from(self.spec.fifo)),
            _ => since,
        }
    }

    /// Units of a position in a second.
    pub fn frequency(&self) -> u64 {
        u64::from(self.wave.rate) * self.spec.position_units
    }

    /// Units of a position in a frame.
    pub fn units(&self) -> u64 {
        self.spec.position_units
    }
}
