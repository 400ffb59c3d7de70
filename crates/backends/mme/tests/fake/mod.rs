//! A winmm that is not there: devices that move with simulated time in the mixer's quanta, packets that come back when
//! they were played or filled, and the ways in which winmm and drivers have been seen to misbehave.

#![allow(dead_code, reason = "each test uses a part of it")]

use barewire_mme::waves::{Code, Direction, Ready, Wave, WaveDevice, WaveFormat, Waves, code};
use barewire_rt::{Gate, SimulatedSystem, System, Waker, Woken};
use barewire_types::{Ns, RateHz, SampleFormat};
use std::collections::VecDeque;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard};

/// What goes wrong, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// From this frame on, so many packets come back with so many bytes.
    Short { from: u64, packets: u32, bytes: u32 },
    /// At this frame the device no longer moves.
    Stall { at: u64 },
    /// Events come although nothing happened.
    Spurious,
    /// Queueing is refused from this frame on.
    Refuse { from: u64, code: Code },
    /// Queueing takes so long, once, from this frame on.
    Slow { from: u64, ns: Ns },
    /// When it begins for the first time it has so many frames that were captured before, and gives them all at once.
    Old { frames: u64 },
}

/// A device as it is.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) direction: Direction,
    pub(crate) name: &'static str,
    pub(crate) endpoint: Option<&'static str>,
    pub(crate) channels: u16,
    pub(crate) formats: Vec<SampleFormat>,
    pub(crate) rates_hz: Vec<u32>,
    /// The mixer takes and gives so many frames at a time.
    pub(crate) quantum_frames: u64,
    pub(crate) offset_ppm: i64,
    /// What opening answers.
    pub(crate) refusal: Option<Code>,
    pub(crate) fault: Option<Fault>,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            direction: Direction::Playback,
            name: "Speakers (Fake High Definition ",
            endpoint: Some("{0.0.0.00000000}.{01}"),
            channels: 2,
            formats: vec![
                SampleFormat::INT32,
                SampleFormat::INT24,
                SampleFormat::FLOAT32,
                SampleFormat::INT16,
            ],
            rates_hz: vec![44_100, 48_000, 96_000, 192_000],
            quantum_frames: 480,
            offset_ppm: 0,
            refusal: None,
            fault: None,
        }
    }
}

/// An open device.
struct Line {
    model: Model,
    format: WaveFormat,
    packet_frames: u64,
    memory: Arc<Memory>,
    queue: VecDeque<(u32, Vec<u8>)>,
    /// Bytes of each packet that came back; `None` while it is queued.
    back: Vec<Option<u32>>,
    /// When the device last began, and how many frames it has moved since.
    since: Option<(Ns, u64)>,
    /// Frames moved in all.
    moved: u64,
    /// Frames of the head of the queue that were played or filled.
    head_frames: u64,
    shorted: u32,
    has_event: bool,
    gate: Arc<Gate>,
}

/// Memory of packets, as winmm sees it: a pointer.
struct Memory(Mutex<Box<[u8]>>, usize);

impl Memory {
    fn new(bytes: usize) -> Arc<Self> {
        // What was never written is to be told from silence.
        let mut memory = vec![0xEE; bytes].into_boxed_slice();
        let place = memory.as_mut_ptr() as usize;
        Arc::new(Self(Mutex::new(memory), place))
    }

    fn bytes(&self, from: usize, length: usize) -> Vec<u8> {
        let place = (self.1 as *const u8).wrapping_add(from);
        // SAFETY: within the memory; the stream under test runs on this very thread.
        unsafe { std::slice::from_raw_parts(place, length) }.to_vec()
    }

    fn write(&self, at: usize, byte: u8) {
        // SAFETY: as in `bytes`.
        unsafe { (self.1 as *mut u8).wrapping_add(at).write(byte) };
    }
}

pub(crate) struct State {
    pub(crate) models: Vec<(Model, bool)>,
    lines: Vec<Option<Line>>,
    /// What each device has played since it was opened.
    heard: Vec<Vec<u8>>,
    /// Packets that were written to while they were queued.
    pub(crate) touched: u32,
    /// Calls of `wait`.
    pub(crate) waits: u32,
}

/// All devices, and what goes on in them.
pub(crate) struct World {
    pub(crate) system: Arc<SimulatedSystem>,
    state: Mutex<State>,
}

/// The byte that a capturing device hears at a place, counted in bytes from its opening.
pub(crate) fn sung(place: u64) -> u8 {
    let z = place.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (z ^ z >> 29).to_le_bytes()[3]
}

impl World {
    pub(crate) fn new(models: Vec<Model>) -> Arc<Self> {
        let lines = models.iter().map(|_| None).collect();
        let heard = models.iter().map(|_| Vec::new()).collect();
        let models = models.into_iter().map(|model| (model, true)).collect();
        let state = State { models, lines, heard, touched: 0, waits: 0 };
        let system = SimulatedSystem::new(5_000_000_000);
        Arc::new(Self { system, state: Mutex::new(state) })
    }

    pub(crate) fn waves(self: &Arc<Self>) -> Arc<dyn Waves> {
        Arc::new(FakeWaves(self.clone()))
    }

    /// The state at this moment.
    pub(crate) fn now(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap();
        state.run_to(self.system.now_ns());
        state
    }

    pub(crate) fn heard(&self, device: usize) -> Vec<u8> {
        self.now().heard[device].clone()
    }

    /// Pulls a device out: all packets come back at once, and nothing more is taken.
    pub(crate) fn unplug(&self, device: usize) {
        let mut state = self.now();
        state.models[device].1 = false;
        if let Some(line) = &mut state.lines[device] {
            line.bring_back();
        }
    }

    pub(crate) fn plug(&self, device: usize) {
        self.now().models[device].1 = true;
    }
}

impl State {
    fn run_to(&mut self, now: Ns) {
        let Self { lines, heard, touched, .. } = self;
        for (line, heard) in lines.iter_mut().zip(heard) {
            if let Some(line) = line {
                line.run_to(now, heard, touched);
            }
        }
    }

    fn line(&mut self, device: usize) -> &mut Line {
        self.lines[device].as_mut().expect("open")
    }
}

impl Line {
    fn rate_mhz(&self) -> u128 {
        let hz = u128::from(self.format.rate.get());
        hz * u128::try_from(1_000_000 + self.model.offset_ppm).unwrap() / 1000
    }

    fn frames_at(&self, since: Ns, now: Ns) -> u64 {
        let frames = u128::from(now - since) * self.rate_mhz() / 1_000_000_000_000;
        let frames = frames as u64;
        frames - frames % self.model.quantum_frames
    }

    /// When so many frames will have moved since the device began.
    fn time_of(&self, since: Ns, frames: u64) -> Ns {
        let frames = frames.div_ceil(self.model.quantum_frames) * self.model.quantum_frames;
        since + (u128::from(frames) * 1_000_000_000_000).div_ceil(self.rate_mhz()) as Ns
    }

    fn run_to(&mut self, now: Ns, heard: &mut Vec<u8>, touched: &mut u32) {
        let Some((since, moved)) = self.since else { return };
        let mut reached = self.frames_at(since, now);
        if let Some(Fault::Stall { at }) = self.model.fault {
            reached = reached.min(at);
        }
        let mut left = reached.saturating_sub(moved);
        self.since = Some((since, moved + left));
        while left > 0 {
            let Some((packet, copy)) = self.queue.front() else {
                // Dry: what plays stops and begins anew with the next packet; what captures loses frames.
                self.moved += left;
                if self.model.direction == Direction::Playback {
                    self.since = None;
                }
                return;
            };
            let step = left.min(self.packet_frames - self.head_frames);
            let (packet, bytes) = (*packet, self.format.frame_bytes() as u64);
            let place = u64::from(packet) * self.packet_frames * bytes;
            let (from, length) = (self.head_frames * bytes, step * bytes);
            match self.model.direction {
                Direction::Playback => {
                    let now = self.memory.bytes((place + from) as usize, length as usize);
                    let then = &copy[from as usize..(from + length) as usize];
                    *touched += u32::from(now != then);
                    heard.extend(now);
                }
                Direction::Capture => {
                    for n in 0..length {
                        let at = (place + from + n) as usize;
                        self.memory.write(at, sung(self.moved * bytes + n));
                    }
                }
            }
            self.moved += step;
            self.head_frames += step;
            left -= step;
            if self.head_frames == self.packet_frames {
                self.head_frames = 0;
                self.queue.pop_front();
                self.back[packet as usize] = Some(self.returned_bytes());
                self.has_event = true;
            }
        }
    }

    fn returned_bytes(&mut self) -> u32 {
        let whole = (self.packet_frames * self.format.frame_bytes() as u64) as u32;
        match self.model.fault {
            Some(Fault::Short { from, packets, bytes })
                if self.moved >= from && self.shorted < packets =>
            {
                self.shorted += 1;
                bytes
            }
            _ => whole,
        }
    }

    fn bring_back(&mut self) {
        let whole = (self.packet_frames * self.format.frame_bytes() as u64) as u32;
        for (packet, _) in self.queue.drain(..) {
            let is_playing = self.model.direction == Direction::Playback;
            self.back[packet as usize] = Some(if is_playing { whole } else { 0 });
        }
        self.since = None;
        self.head_frames = 0;
        self.has_event = true;
    }
}

struct FakeWaves(Arc<World>);

fn takes(model: &Model, format: &WaveFormat) -> bool {
    model.formats.contains(&format.sample)
        && model.rates_hz.contains(&format.rate.get())
        && format.channels <= model.channels
}

impl FakeWaves {
    /// The index of the device that winmm now calls by this number.
    fn index(&self, direction: Direction, number: u32) -> Option<usize> {
        let state = self.0.now();
        let there =
            |(_, (model, there)): &(usize, &(Model, bool))| *there && model.direction == direction;
        let mut devices = state.models.iter().enumerate().filter(there);
        devices.nth(number as usize).map(|(index, _)| index)
    }
}

impl Waves for FakeWaves {
    fn devices(&self, direction: Direction) -> Vec<WaveDevice> {
        let state = self.0.now();
        let there =
            state.models.iter().filter(|(model, there)| *there && model.direction == direction);
        let device = |(number, (model, _)): (u32, &(Model, bool))| WaveDevice {
            number,
            name: model.name.to_owned(),
            endpoint: model.endpoint.map(str::to_owned),
            channels: model.channels,
            is_default: number == 0,
        };
        (0..).zip(there).map(device).collect()
    }

    fn query(&self, direction: Direction, number: u32, format: &WaveFormat) -> Result<(), Code> {
        let index = self.index(direction, number).ok_or(code::BADDEVICEID)?;
        let takes = takes(&self.0.now().models[index].0, format);
        takes.then_some(()).ok_or(code::BADFORMAT)
    }

    fn open(
        &self,
        direction: Direction,
        number: u32,
        format: &WaveFormat,
        packets: u32,
        packet_frames: u32,
    ) -> Result<Box<dyn Wave>, Code> {
        self.query(direction, number, format)?;
        let index = self.index(direction, number).ok_or(code::BADDEVICEID)?;
        let mut state = self.0.now();
        let model = state.models[index].0.clone();
        if let Some(code) = model.refusal {
            return Err(code);
        }
        let bytes = packets as usize * packet_frames as usize * format.frame_bytes();
        let memory = Memory::new(bytes);
        let gate = Gate::new(self.0.system.clone());
        state.heard[index].clear();
        state.lines[index] = Some(Line {
            model,
            format: *format,
            packet_frames: packet_frames.into(),
            memory: memory.clone(),
            queue: VecDeque::new(),
            back: vec![None; packets as usize],
            since: None,
            moved: 0,
            head_frames: 0,
            shorted: 0,
            has_event: false,
            gate: gate.clone(),
        });
        Ok(Box::new(FakeWave { world: self.0.clone(), index, memory, gate }))
    }
}

struct FakeWave {
    world: Arc<World>,
    index: usize,
    memory: Arc<Memory>,
    gate: Arc<Gate>,
}

impl FakeWave {
    /// Lets the time pass that queueing takes.
    fn dawdle(&self) {
        let until = {
            let mut state = self.world.now();
            let line = state.line(self.index);
            match line.model.fault {
                Some(Fault::Slow { from, ns }) if line.moved >= from => {
                    line.model.fault = None;
                    self.world.system.now_ns() + ns
                }
                _ => return,
            }
        };
        self.world.system.sleep(&AtomicU32::new(0), 0, until);
    }
}

impl Wave for FakeWave {
    fn base(&self) -> *mut u8 {
        self.memory.1 as *mut u8
    }

    fn queue(&mut self, packet: u32) -> Result<(), Code> {
        self.dawdle();
        let now = self.world.system.now_ns();
        let mut state = self.world.now();
        if !state.models[self.index].1 {
            return Err(code::NODRIVER);
        }
        let line = state.line(self.index);
        match line.model.fault {
            Some(Fault::Refuse { from, code }) if line.moved >= from => return Err(code),
            _ => {}
        }
        let bytes = line.packet_frames as usize * line.format.frame_bytes();
        let copy = line.memory.bytes(packet as usize * bytes, bytes);
        assert!(line.queue.iter().all(|(other, _)| *other != packet), "queued twice");
        line.queue.push_back((packet, copy));
        line.back[packet as usize] = None;
        if line.model.direction == Direction::Playback && line.since.is_none() {
            line.since = Some((now, 0));
        }
        Ok(())
    }

    fn returned(&self, packet: u32) -> Option<u32> {
        self.world.now().line(self.index).back[packet as usize]
    }

    fn start(&mut self) -> Result<(), Code> {
        let now = self.world.system.now_ns();
        let mut state = self.world.now();
        if !state.models[self.index].1 {
            return Err(code::NODRIVER);
        }
        let line = state.line(self.index);
        if line.since.is_none() {
            let old = match line.model.fault {
                Some(Fault::Old { frames }) => line.time_of(0, frames),
                _ => 0,
            };
            line.model.fault = line.model.fault.filter(|_| old == 0);
            line.since = Some((now - old, 0));
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.world.now().line(self.index).bring_back();
    }

    fn waker(&self) -> Waker {
        self.gate.clone()
    }

    fn wait(&mut self, until: Ns) -> Ready {
        let next = {
            let mut state = self.world.now();
            state.waits += 1;
            let line = state.line(self.index);
            if self.gate.take_pending() {
                return Ready::Woken;
            }
            if std::mem::take(&mut line.has_event) {
                return Ready::Event;
            }
            match (line.since, line.queue.front()) {
                _ if line.model.fault == Some(Fault::Spurious) => {
                    self.world.system.now_ns() + 1_000_000
                }
                (Some((since, moved)), Some(_)) => {
                    let target = moved + line.packet_frames - line.head_frames;
                    match line.model.fault {
                        Some(Fault::Stall { at }) if target > at => Ns::MAX,
                        _ => line.time_of(since, target),
                    }
                }
                _ => Ns::MAX,
            }
        };
        if self.gate.sleep(until.min(next)) == Woken::Word {
            return Ready::Woken;
        }
        let mut state = self.world.now();
        let line = state.line(self.index);
        let spurious = line.model.fault == Some(Fault::Spurious) && next <= until;
        if std::mem::take(&mut line.has_event) || spurious {
            return Ready::Event;
        }
        Ready::Time
    }
}

impl Drop for FakeWave {
    fn drop(&mut self) {
        let mut state = self.world.now();
        state.line(self.index).bring_back();
        state.lines[self.index] = None;
    }
}

/// 48 kHz, which every model has.
pub(crate) const RATE: RateHz = RateHz::DAT;
