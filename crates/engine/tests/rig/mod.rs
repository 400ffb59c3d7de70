//! What the engine's tests are made of: a device that does exactly what a script says, clients that count, and the engine
//! between them. Not for anyone else.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a test may stop the world, and each test uses a part of this"
)]

use barewire_device::{Layout, Loss, Period, Shape, Side, Stream, Wake};
use barewire_engine::{
    BlockTime, Client, ClientPlan, Engine, EngineEvent, Flow, Links, Output, OutputMode, Plan,
    Telemetry,
};
use barewire_rt::{Area, AreaMut, EventReader, SimulatedSystem, System, Waker, events};
use barewire_types::{Half, Latency, Ns, RateHz, SampleFormat, frames_to_ns};
use std::sync::{Arc, Mutex};

/// Small and repeatable: splitmix64.
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// A number from `low` to `high`, both included.
    pub fn from(&mut self, low: u32, high: u32) -> u32 {
        low + (self.next() % u64::from(high - low + 1)) as u32
    }
}

pub fn side(format: SampleFormat, channels: u16, layout: Layout) -> Option<Side> {
    Some(Side { format, channels, layout })
}

/// A shape whose prefill is two periods and whose converters take no time.
pub fn shape(capture: Option<Side>, playback: Option<Side>, period_frames: u32) -> Shape {
    Shape {
        rate: RateHz::DAT,
        capture,
        playback,
        period_frames,
        max_period_frames: 2 * period_frames,
        steady: true,
        prefill_frames: 2 * period_frames,
        latency: Latency { input_frames: 0, output_frames: period_frames },
    }
}

/// What a wake-up brings: frames, and frames missed before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct WakeUp {
    pub frames: u32,
    pub missed: u32,
    /// Captured frames that are told but never come.
    pub withheld: u32,
}

/// What the device heard and what it will be heard to have played.
#[derive(Default)]
pub struct Tape {
    /// Interleaved bytes of all that was played, by device position.
    pub played: Vec<u8>,
}

pub type Tapes = Arc<Mutex<Tape>>;

/// A device that moves by a script, as fast as it is asked. It captures what it plays at the same position, and lends
/// pieces of random length.
pub struct Scripted {
    pub shape: Shape,
    script: Box<dyn FnMut() -> WakeUp + Send>,
    random: Random,
    tape: Tapes,
    /// A period of each direction, and where we are in it.
    captured: Vec<u8>,
    playing: Vec<u8>,
    capture_frames: u32,
    capture_at: u32,
    playback_frames: u32,
    playback_at: u32,
    withheld: u32,
    position: u64,
}

const ROOM: u32 = 1 << 13;

fn frame_bytes(side: Option<Side>) -> usize {
    side.map_or(0, |side| side.format.bytes() * usize::from(side.channels))
}

impl Scripted {
    pub fn new(
        shape: Shape,
        seed: u64,
        script: impl FnMut() -> WakeUp + Send + 'static,
    ) -> (Self, Tapes) {
        let tape = Tapes::default();
        tape.lock().unwrap().played.reserve(1 << 24);
        let memory = |side| vec![0xAA; frame_bytes(side) * ROOM as usize];
        let stream = Self {
            shape,
            script: Box::new(script),
            random: Random(seed),
            tape: tape.clone(),
            captured: memory(shape.capture),
            playing: memory(shape.playback),
            capture_frames: 0,
            capture_at: 0,
            playback_frames: 0,
            playback_at: 0,
            withheld: 0,
            position: 0,
        };
        (stream, tape)
    }

    fn piece(&mut self, left: u32) -> u32 {
        if left == 0 { 0 } else { self.random.from(1, left) }
    }

    /// Where the sample of a frame and channel lies in a period's memory.
    fn place(side: Side, frame: usize, channel: usize) -> usize {
        let bytes = side.format.bytes();
        match side.layout {
            Layout::Interleaved => (frame * usize::from(side.channels) + channel) * bytes,
            Layout::Planar => (channel * ROOM as usize + frame) * bytes,
        }
    }

    fn silence(&mut self, frames: u32) {
        let bytes = frames as usize * frame_bytes(self.shape.playback);
        let mut tape = self.tape.lock().unwrap();
        let length = tape.played.len() + bytes;
        tape.played.resize(length, 0);
    }

    fn record(&mut self, frames: u32) {
        let Some(side) = self.shape.capture else { return };
        let tape = self.tape.lock().unwrap();
        let bytes = side.format.bytes();
        let first = (self.position - u64::from(frames)) as usize;
        for frame in 0..frames as usize {
            for channel in 0..usize::from(side.channels) {
                let from = ((first + frame) * usize::from(side.channels) + channel) * bytes;
                let to = Self::place(side, frame, channel);
                match tape.played.get(from..from + bytes) {
                    Some(sample) => self.captured[to..to + bytes].copy_from_slice(sample),
                    None => self.captured[to..to + bytes].fill(0),
                }
            }
        }
    }
}

struct NoWake;

impl barewire_rt::Wake for NoWake {
    fn wake(&self) {}
}

impl Stream for Scripted {
    fn shape(&self) -> Shape {
        self.shape
    }
    fn waker(&self) -> Waker {
        Arc::new(NoWake)
    }
    fn start(&mut self) -> Result<(), Loss> {
        self.position = 0;
        self.tape.lock().unwrap().played.clear();
        self.silence(self.shape.prefill_frames);
        Ok(())
    }
    fn stop(&mut self) {}
    fn wait(&mut self, _: Ns) -> Wake {
        // What was left unwritten is silence.
        self.silence(self.playback_frames - self.playback_at);
        let up = (self.script)();
        self.silence(up.missed);
        self.position += u64::from(up.missed) + u64::from(up.frames);
        self.record(up.frames);
        let there = |side: Option<Side>| if side.is_some() { up.frames } else { 0 };
        (self.capture_frames, self.capture_at) = (there(self.shape.capture), 0);
        (self.playback_frames, self.playback_at) = (there(self.shape.playback), 0);
        self.withheld = up.withheld.min(self.capture_frames);
        let at_ns = frames_to_ns(self.position, self.shape.rate);
        let period = Period {
            capture_frames: self.capture_frames,
            playback_frames: self.playback_frames,
            position_frames: self.position,
            at_ns,
            commit_by_ns: at_ns + 1_000_000,
            missed_frames: up.missed,
        };
        Wake::Due(period)
    }
    fn capture(&mut self) -> Area<'_> {
        let Some(side) = self.shape.capture else { return Area::EMPTY };
        let left = self.capture_frames
            - self.withheld
            - self.capture_at.min(self.capture_frames - self.withheld);
        let frames = self.piece(left);
        let (channels, bytes) = (usize::from(side.channels), side.format.bytes());
        match side.layout {
            Layout::Interleaved => Area::from_slice(&self.captured, channels, bytes),
            Layout::Planar => Area::from_planes(&self.captured, channels, bytes),
        }
        .part(self.capture_at, frames)
    }
    fn release(&mut self, frames: u32) {
        self.capture_at += frames;
    }
    fn playback(&mut self) -> AreaMut<'_> {
        let Some(side) = self.shape.playback else { return AreaMut::EMPTY };
        let frames = self.piece(self.playback_frames - self.playback_at);
        let (channels, bytes) = (usize::from(side.channels), side.format.bytes());
        match side.layout {
            Layout::Interleaved => AreaMut::from_slice(&mut self.playing, channels, bytes),
            Layout::Planar => AreaMut::from_planes(&mut self.playing, channels, bytes),
        }
        .part(self.playback_at, frames)
    }
    fn commit(&mut self, frames: u32) {
        let Some(side) = self.shape.playback else { return };
        let mut tape = self.tape.lock().unwrap();
        let bytes = side.format.bytes();
        for frame in self.playback_at..self.playback_at + frames {
            for channel in 0..usize::from(side.channels) {
                let at = Self::place(side, frame as usize, channel);
                tape.played.extend_from_slice(&self.playing[at..at + bytes]);
            }
        }
        self.playback_at += frames;
    }
}

/// What a client heard.
#[derive(Default)]
pub struct Heard {
    pub blocks: Vec<BlockTime>,
    /// The samples of its inputs, one after another.
    pub inputs: Vec<Vec<i32>>,
}

/// What a client plays: the sample of a frame, counted from its own first, and of an output.
pub type Voice = Box<dyn FnMut(u64, usize) -> i32 + Send>;

/// A client with 32-bit halves that plays what a function says and keeps what it hears.
pub struct Player {
    pub block: usize,
    channels: [usize; 2],
    halves: [Vec<u8>; 4],
    next: u64,
    voice: Voice,
    answers: Box<dyn FnMut(usize) -> Output + Send>,
    pub heard: Arc<Mutex<Heard>>,
}

impl Player {
    pub fn new(
        block: u32,
        inputs: usize,
        outputs: usize,
        voice: impl FnMut(u64, usize) -> i32 + Send + 'static,
        answers: impl FnMut(usize) -> Output + Send + 'static,
    ) -> Self {
        let block = block as usize;
        let halves = |n| vec![0; block * 4 * if n < 2 { inputs } else { outputs }];
        let heard = Heard { blocks: Vec::new(), inputs: vec![Vec::new(); inputs] };
        Self {
            block,
            channels: [inputs, outputs],
            halves: std::array::from_fn(halves),
            next: 0,
            voice: Box::new(voice),
            answers: Box::new(answers),
            heard: Arc::new(Mutex::new(heard)),
        }
    }
}

impl Client for Player {
    fn inputs(&mut self, half: Half) -> AreaMut<'_> {
        AreaMut::from_planes(&mut self.halves[half.index()], self.channels[0], 4)
    }
    fn outputs(&self, half: Half) -> Area<'_> {
        Area::from_planes(&self.halves[2 + half.index()], self.channels[1], 4)
    }
    fn begin(&mut self, half: Half, time: &BlockTime) {
        let mut heard = self.heard.lock().unwrap();
        assert_eq!(half.index(), heard.blocks.len() % 2, "halves alternate, the first is 0");
        heard.blocks.push(*time);
        let plane = self.block * 4;
        for (input, samples) in heard.inputs.iter_mut().enumerate() {
            let bytes = &self.halves[half.index()][input * plane..][..plane];
            samples.extend(bytes.as_chunks::<4>().0.iter().map(|&s| i32::from_le_bytes(s)));
        }
        // What was heard is scribbled over: nothing of it may come back.
        self.halves[half.index()].fill(0x55);
        for output in 0..self.channels[1] {
            let bytes = &mut self.halves[2 + half.index()][output * plane..][..plane];
            for (n, sample) in (self.next..).zip(bytes.as_chunks_mut::<4>().0) {
                *sample = (self.voice)(n, output).to_le_bytes();
            }
        }
        self.next += self.block as u64;
    }
    fn finish(&mut self, _: Ns) -> Output {
        let block = self.heard.lock().unwrap().blocks.len() - 1;
        (self.answers)(block)
    }
}

/// Inputs and outputs straight to the device's channels of the same number.
pub fn straight(inputs: u16, outputs: u16) -> ClientPlan {
    ClientPlan {
        format: SampleFormat::INT32,
        inputs: (0..inputs).map(Some).collect(),
        outputs: (0..outputs).map(Some).collect(),
        output_mode: OutputMode::Auto,
        gain: 1.0,
    }
}

pub struct Rig {
    pub system: Arc<SimulatedSystem>,
    pub engine: Engine,
    pub telemetry: Arc<Telemetry>,
    pub events: EventReader<EngineEvent>,
}

impl Rig {
    pub fn new(
        system: Arc<SimulatedSystem>,
        stream: Box<dyn Stream>,
        plan: &Plan,
        clients: Vec<Box<dyn Client>>,
    ) -> Self {
        let telemetry = Arc::new(Telemetry::default());
        let (writer, events) = events(1 << 14);
        let links = Links { system: system.clone(), telemetry: telemetry.clone(), events: writer };
        let mut engine = Engine::compile(plan, stream, clients, links).unwrap();
        engine.start().unwrap();
        Self { system, engine, telemetry, events }
    }

    pub fn step(&mut self) -> Flow {
        self.engine.step(self.system.now_ns() + 1_000_000_000)
    }
}
