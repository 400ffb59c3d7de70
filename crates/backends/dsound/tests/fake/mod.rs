//! A DirectSound that is not there: rings that the device goes round with simulated time, a cursor that moves in steps, and
//! the ways in which DirectSound has been seen to misbehave.

#![allow(dead_code, reason = "each test uses a part of it")]

use barewire_dsound::sounds::{Code, Direction, Sound, SoundDevice, SoundFormat, Sounds, code};
use barewire_rt::{SimulatedSystem, System};
use barewire_types::{Ns, RateHz, SampleFormat};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard};

/// What goes wrong, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// At this frame the cursor stands still for ever.
    Stall { at: u64 },
    /// At this frame the ring is lost; it can be restored so many times.
    Lose { at: u64, restores: u32 },
    /// The cursor is told so many frames too little now and then.
    Back { frames: u64 },
    /// Every call is refused from this frame on.
    Refuse { from: u64, code: Code },
    /// Reading takes so long, once, from this frame on.
    Slow { from: u64, ns: Ns },
}

/// A device as it is.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) direction: Direction,
    pub(crate) name: &'static str,
    pub(crate) endpoint: &'static str,
    /// The cursor moves so many frames at a time.
    pub(crate) step_frames: u64,
    /// What lies so close before the cursor is played as it was when the cursor came so near.
    pub(crate) lead_frames: u64,
    pub(crate) offset_ppm: i64,
    /// What opening answers.
    pub(crate) refusal: Option<Code>,
    pub(crate) fault: Option<Fault>,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            direction: Direction::Playback,
            name: "Speakers (Fake High Definition Audio Device)",
            endpoint: "{0.0.0.00000000}.{01}",
            step_frames: 480,
            lead_frames: 480,
            offset_ppm: 0,
            refusal: None,
            fault: None,
        }
    }
}

struct Line {
    model: Model,
    format: SoundFormat,
    ring: Vec<u8>,
    /// When it began.
    since: Option<Ns>,
    /// Frames moved since it began.
    moved: u64,
    /// Frames that were taken from the ring, ahead of the cursor by the lead; or captured.
    taken: u64,
    /// Frames moved in all runs before.
    before: u64,
    /// Where in the ring the run began.
    base: u64,
    lost: bool,
    restores: u32,
    asked: u64,
}

pub(crate) struct State {
    pub(crate) models: Vec<(Model, bool)>,
    lines: Vec<Option<Line>>,
    heard: Vec<Vec<u8>>,
    /// How often the cursor was asked for.
    pub(crate) asked: u64,
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
        let state = Mutex::new(State { models, lines, heard, asked: 0 });
        Arc::new(Self { system: SimulatedSystem::new(5_000_000_000), state })
    }

    pub(crate) fn sounds(self: &Arc<Self>) -> Arc<dyn Sounds> {
        Arc::new(FakeSounds(self.clone()))
    }

    /// The state at this moment.
    pub(crate) fn now(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap();
        let now = self.system.now_ns();
        let State { lines, heard, .. } = &mut *state;
        for (line, heard) in lines.iter_mut().zip(heard) {
            if let Some(line) = line {
                line.run_to(now, heard);
            }
        }
        state
    }

    /// What a device has played since it was opened.
    pub(crate) fn heard(&self, device: usize) -> Vec<u8> {
        self.now().heard[device].clone()
    }

    pub(crate) fn unplug(&self, device: usize) {
        self.now().models[device].1 = false;
    }

    pub(crate) fn plug(&self, device: usize) {
        self.now().models[device].1 = true;
    }
}

impl Line {
    fn frames(&self) -> u64 {
        (self.ring.len() / self.format.frame_bytes()) as u64
    }

    fn run_to(&mut self, now: Ns, heard: &mut Vec<u8>) {
        let Some(since) = self.since else { return };
        let hz = u128::from(self.format.rate.get());
        let micro = hz * u128::try_from(1_000_000 + self.model.offset_ppm).unwrap();
        let reached = (u128::from(now - since) * micro / 1_000_000_000_000_000) as u64;
        let mut reached = reached - reached % self.model.step_frames;
        match self.model.fault {
            Some(Fault::Stall { at }) => reached = reached.min(at),
            Some(Fault::Lose { at, restores })
                if reached >= at && self.restores < restores.max(1) =>
            {
                self.lost = true;
                reached = at;
            }
            _ => {}
        }
        self.moved = reached.max(self.moved);
        let lead =
            if self.model.direction == Direction::Playback { self.model.lead_frames } else { 0 };
        let bytes = self.format.frame_bytes();
        while self.taken < self.moved + lead {
            let at = ((self.base + self.taken) % self.frames()) as usize * bytes;
            let frame = &mut self.ring[at..at + bytes];
            match self.model.direction {
                Direction::Playback => heard.extend_from_slice(frame),
                Direction::Capture => {
                    let first = (self.before + self.taken) * bytes as u64;
                    frame.iter_mut().zip(first..).for_each(|(byte, n)| *byte = sung(n));
                }
            }
            self.taken += 1;
        }
    }
}

struct FakeSounds(Arc<World>);

impl Sounds for FakeSounds {
    fn devices(&self, direction: Direction) -> Vec<SoundDevice> {
        let state = self.0.now();
        let there =
            state.models.iter().filter(|(model, there)| *there && model.direction == direction);
        let device = |(n, (model, _)): (usize, &(Model, bool))| SoundDevice {
            endpoint: model.endpoint.to_owned(),
            name: model.name.to_owned(),
            is_default: n == 0,
        };
        there.enumerate().map(device).collect()
    }

    fn open(
        &self,
        direction: Direction,
        endpoint: &str,
        format: &SoundFormat,
        ring_frames: u32,
    ) -> Result<Box<dyn Sound>, Code> {
        let mut state = self.0.now();
        let fits = |(model, there): &(Model, bool)| {
            *there && model.direction == direction && model.endpoint == endpoint
        };
        let index = state.models.iter().position(fits).ok_or(code::NODRIVER)?;
        let model = state.models[index].0.clone();
        if let Some(code) = model.refusal {
            return Err(code);
        }
        // What was never written is to be told from silence.
        let ring = vec![0xEE; ring_frames as usize * format.frame_bytes()];
        state.heard[index].clear();
        state.lines[index] = Some(Line {
            model,
            format: *format,
            ring,
            since: None,
            moved: 0,
            taken: 0,
            before: 0,
            base: 0,
            lost: false,
            restores: 0,
            asked: 0,
        });
        Ok(Box::new(FakeSound { world: self.0.clone(), index }))
    }

    fn is_wine(&self) -> bool {
        false
    }
}

struct FakeSound {
    world: Arc<World>,
    index: usize,
}

impl FakeSound {
    fn with<T>(&self, body: impl FnOnce(&mut Line) -> T) -> Result<T, Code> {
        let mut state = self.world.now();
        if !state.models[self.index].1 {
            return Err(code::NODRIVER);
        }
        let line = state.lines[self.index].as_mut().expect("open");
        match line.model.fault {
            Some(Fault::Refuse { from, code }) if line.moved >= from => Err(code),
            _ if line.lost => Err(code::BUFFERLOST),
            _ => Ok(body(line)),
        }
    }
}

impl Sound for FakeSound {
    fn start(&mut self) -> Result<(), Code> {
        let now = self.world.system.now_ns();
        self.with(|line| {
            line.since = Some(now);
            (line.moved, line.taken) = (0, 0);
        })
    }

    fn stop(&mut self) {
        let mut state = self.world.now();
        let line = state.lines[self.index].as_mut().expect("open");
        if line.since.take().is_some() {
            line.before += line.taken;
            // One that plays begins at the ring's beginning again, one that captures goes on where it is.
            let frames = line.frames();
            line.base = match line.model.direction {
                Direction::Playback => 0,
                Direction::Capture => (line.base + line.moved) % frames,
            };
            (line.moved, line.taken) = (0, 0);
        }
    }

    fn cursor(&mut self) -> Result<u32, Code> {
        self.world.now().asked += 1;
        self.with(|line| {
            line.asked += 1;
            let mut place = line.base + line.moved;
            match line.model.fault {
                Some(Fault::Back { frames }) if line.asked.is_multiple_of(3) => {
                    place = (place + line.frames() - frames.min(line.moved)) % line.frames();
                }
                _ => {}
            }
            (place % line.frames()) as u32
        })
    }

    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Code> {
        self.with(|line| {
            let from = at as usize * line.format.frame_bytes();
            line.ring[from..from + bytes.len()].copy_from_slice(bytes);
        })
    }

    fn read(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), Code> {
        let slow = self.with(|line| match line.model.fault {
            Some(Fault::Slow { from, ns }) if line.moved >= from => {
                line.model.fault = None;
                Some(ns)
            }
            _ => None,
        })?;
        if let Some(ns) = slow {
            let until = self.world.system.now_ns() + ns;
            self.world.system.sleep(&AtomicU32::new(0), 0, until);
        }
        self.with(|line| {
            let from = at as usize * line.format.frame_bytes();
            bytes.copy_from_slice(&line.ring[from..from + bytes.len()]);
        })
    }

    fn restore(&mut self) -> Result<(), Code> {
        let mut state = self.world.now();
        let line = state.lines[self.index].as_mut().expect("open");
        line.restores += 1;
        if let Some(Fault::Lose { restores, .. }) = line.model.fault
            && line.restores > restores
        {
            return Err(code::BUFFERLOST);
        }
        line.lost = false;
        line.ring.fill(0xEE);
        Ok(())
    }
}

impl Drop for FakeSound {
    fn drop(&mut self) {
        self.world.now().lines[self.index] = None;
    }
}

/// 48 kHz.
pub(crate) const RATE: RateHz = RateHz::DAT;
/// Two bytes a sample.
pub(crate) const FORMAT: SampleFormat = SampleFormat::INT16;
