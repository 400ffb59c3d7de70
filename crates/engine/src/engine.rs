//! The cycle. [`Engine::step`] is one pass: device, engine, client, engine, device.

use crate::client::{BlockTime, Client, Output};
use crate::fifo::Fifo;
use crate::latency::{adaption_frames, latency};
use crate::plan::{ClientPlan, OutputMode, Plan};
use crate::telemetry::{EngineEvent, EventKind, Promise, Snapshot, Telemetry};
use barewire_device::{Loss, Period, Shape, Side, Stream, Wake};
use barewire_dsp::{Copier, Cut, Rest, Route, silence};
use barewire_rt::{EventWriter, System};
use barewire_types::{
    Error, ErrorKind, Half, Latency, MAX_FRAMES, Ns, Result, SampleFormat, frames_to_ns,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What an engine needs of the outside.
pub struct Links {
    /// Time and waiting.
    pub system: Arc<dyn System>,
    /// Where the latest block is told.
    pub telemetry: Arc<Telemetry>,
    /// Where events go.
    pub events: EventWriter<EngineEvent>,
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// The stream does not run.
    Stopped,
    /// The device is lost.
    Lost(Loss),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was told to stop.
    Stopped,
    /// The device is lost, or did not start.
    Lost(Loss),
}

/// How long a pass may wait at most before it looks at the stop flag again, if no wake comes.
const LOOK_NS: Ns = 100_000_000;

/// A stream and a client, joined. Owned by one thread at a time.
pub struct Engine {
    stream: Box<dyn Stream>,
    client: Box<dyn Client>,
    links: Links,
    shape: Shape,
    block_frames: u32,
    input: Option<Copier>,
    output: Option<OutputPath>,
    output_mode: OutputMode,
    run: Run,
}

/// The way of the client's outputs.
struct OutputPath {
    copier: Copier,
    format: SampleFormat,
    /// Only if a block is not a period.
    fifo: Option<Fifo>,
    adaption_frames: u32,
    /// A block of ours, to look whether a half is silent.
    scratch: Vec<u8>,
    looker: Copier,
    /// From the frames that wait to the device, unchanged.
    mover: Copier,
    channels: usize,
}

struct Run {
    half: Half,
    /// Frames of the current block that were captured.
    gathered: u32,
    /// Missed frames that do not make a whole block yet.
    missed: u32,
    xrun: bool,
    gone: bool,
    next_position: u64,
    snapshot: Snapshot,
}

const NOTHING: Snapshot = Snapshot {
    position_frames: 0,
    at_ns: 0,
    blocks: 0,
    xruns: 0,
    missed_frames: 0,
    lates: 0,
    rate_hz: 0,
    is_direct: None,
    cut: 0,
    losses: 0,
};

/// What is to be played for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Play {
    Half(Half),
    Silence,
}

impl Engine {
    /// Joins `stream` and `client`. Control thread: everything that is ever needed is allocated here.
    ///
    /// # Errors
    /// `InvalidArgument` if the plan names channels that the stream does not have, or a block of no or too many frames.
    pub fn compile(
        plan: &Plan,
        stream: Box<dyn Stream>,
        client: Box<dyn Client>,
        links: Links,
    ) -> Result<Self> {
        let shape = stream.shape();
        let block_frames = plan.block_frames;
        if !(1..=MAX_FRAMES).contains(&block_frames) {
            let message = format!("a block cannot have {block_frames} frames");
            return Err(Error::new(ErrorKind::InvalidArgument, message)
                .remedy(format!("choose between 1 and {MAX_FRAMES}")));
        }
        let input = shape.capture.map(|side| input_path(side, &plan.client)).transpose()?;
        let output = shape
            .playback
            .map(|side| OutputPath::new(side, &shape, block_frames, &plan.client))
            .transpose()?;
        links.telemetry.promise(Promise {
            client: Some(plan.client.format),
            device: shape.playback.map(|side| side.format),
            is_shared: plan.is_shared,
        });
        let run = Run {
            half: Half::Zero,
            gathered: 0,
            missed: 0,
            xrun: false,
            gone: false,
            next_position: 0,
            snapshot: NOTHING,
        };
        let output_mode = plan.client.output_mode;
        Ok(Self { stream, client, links, shape, block_frames, input, output, output_mode, run })
    }

    /// The latency of the client, as long as its output goes this way.
    pub fn latency(&self, is_direct: bool) -> Latency {
        latency(&self.shape, self.block_frames, is_direct)
    }

    /// Starts the stream. Device thread.
    ///
    /// # Errors
    /// The loss, if the device does not start.
    pub fn start(&mut self) -> std::result::Result<(), Loss> {
        self.run.half = Half::Zero;
        self.run.gathered = 0;
        self.run.missed = 0;
        self.run.xrun = false;
        self.run.next_position = 0;
        self.run.snapshot = NOTHING;
        if let Some(path) = &mut self.output {
            path.rewind();
        }
        self.stream.start()
    }

    /// Stops the stream.
    pub fn stop(&mut self) {
        self.stream.stop();
    }

    /// Starts, tells `started`, passes until `stop` is set (and the stream woken) or the device is lost, and stops. Device
    /// thread.
    pub fn run(
        &mut self,
        stop: &AtomicBool,
        started: impl FnOnce(std::result::Result<(), Loss>),
    ) -> End {
        let result = self.start();
        started(result);
        if let Err(loss) = result {
            return End::Lost(loss);
        }
        let end = loop {
            if stop.load(Ordering::Acquire) {
                break End::Stopped;
            }
            let until = self.links.system.now_ns().saturating_add(LOOK_NS);
            match self.step_unless(until, stop) {
                Flow::Continue => {}
                Flow::Stopped => break End::Stopped,
                Flow::Lost(loss) => break End::Lost(loss),
            }
        };
        self.stop();
        end
    }

    /// One pass: waits for a period at most until `until`, and moves it. Device thread.
    pub fn step(&mut self, until: Ns) -> Flow {
        static NEVER: AtomicBool = AtomicBool::new(false);
        self.step_unless(until, &NEVER)
    }

    /// A pass that begins no block any more once `stop` is set.
    fn step_unless(&mut self, until: Ns, stop: &AtomicBool) -> Flow {
        let period = match self.stream.wait(until) {
            Wake::Due(period) => period,
            Wake::Idle => return Flow::Continue,
            Wake::Stopped => return Flow::Stopped,
            Wake::Lost(loss) => return Flow::Lost(loss),
        };
        if period.missed_frames > 0 {
            self.account_missed(&period);
        }
        let mut left = period.capture_frames.max(period.playback_frames);
        while left > 0 && !stop.load(Ordering::Acquire) {
            let frames = left.min(self.block_frames - self.run.gathered);
            self.gather(frames, period.capture_frames > 0);
            left -= frames;
            if self.run.gathered < self.block_frames {
                continue;
            }
            let play = self.exchange(&period, left);
            self.run.gathered = 0;
            self.run.half = self.run.half.other();
            self.put_out(play);
        }
        if period.playback_frames > 0 {
            self.play_queued();
        }
        Flow::Continue
    }

    /// Missed frames move the position by whole blocks; the rest is kept for the next time.
    fn account_missed(&mut self, period: &Period) {
        let missed = period.missed_frames;
        let all = u64::from(self.run.missed) + u64::from(missed);
        let block = u64::from(self.block_frames);
        self.run.next_position += all - all % block;
        self.run.missed = u32::try_from(all % block).unwrap_or(0);
        self.run.snapshot.xruns += 1;
        self.run.snapshot.missed_frames += u64::from(missed);
        self.run.xrun = true;
        self.tell(EventKind::Xrun { missed_frames: missed }, period.at_ns);
    }

    fn tell(&mut self, kind: EventKind, at_ns: Ns) {
        let position_frames = self.run.next_position;
        self.links.events.push(EngineEvent { kind, position_frames, at_ns });
    }

    /// Takes `frames` captured frames into the half that is being gathered.
    fn gather(&mut self, frames: u32, captures: bool) {
        let mut left = frames;
        while let (true, true, Some(copier)) = (left > 0, captures, &self.input) {
            let piece = self.stream.capture();
            let taken = piece.frames().min(left);
            if taken == 0 {
                break;
            }
            let place = self.client.inputs(self.run.half).part(self.run.gathered, taken);
            copier.run(piece.part(0, taken), place);
            self.stream.release(taken);
            self.run.gathered += taken;
            left -= taken;
        }
        // A stream that gives less than it told, or that does not capture: the block goes on all the same.
        self.run.gathered += left;
    }

    /// Lets the client make the block whose inputs are complete. `later` frames of the period lie behind it.
    fn exchange(&mut self, period: &Period, later: u32) -> Play {
        let rate = self.stream.shape().rate;
        let exact = period.at_ns.saturating_sub(frames_to_ns(u64::from(later), rate));
        let at_ns = if self.run.snapshot.blocks == 0 {
            exact
        } else {
            exact.max(self.run.snapshot.at_ns + 1)
        };
        let position_frames = self.run.next_position;
        self.run.next_position += u64::from(self.block_frames);
        self.run.snapshot.position_frames = position_frames;
        self.run.snapshot.at_ns = at_ns;
        self.run.snapshot.blocks += 1;
        self.run.snapshot.rate_hz = rate.get();
        let xrun = std::mem::take(&mut self.run.xrun);
        self.links.telemetry.publish(&self.run.snapshot);
        if self.run.gone {
            return Play::Silence;
        }
        let half = self.run.half;
        let commit_by_ns = period.commit_by_ns;
        self.client.begin(half, &BlockTime { position_frames, at_ns, commit_by_ns, xrun });
        let output = self.client.finish(commit_by_ns);
        let play = self.choose(half, output, at_ns);
        self.links.telemetry.publish(&self.run.snapshot);
        play
    }

    /// What to play, and whether the way of the outputs changes.
    fn choose(&mut self, half: Half, output: Output, at_ns: Ns) -> Play {
        let output = match (self.output_mode, output) {
            (OutputMode::Direct, Output::Previous) => Output::This,
            (OutputMode::Queued, Output::This) => Output::Previous,
            (_, output) => output,
        };
        let was_direct = self.run.snapshot.is_direct;
        match output {
            Output::This if was_direct != Some(false) => {
                self.run.snapshot.is_direct = Some(true);
                Play::Half(half)
            }
            // From queued to direct one block falls out: only if nobody can hear it.
            Output::This if self.is_silent(half.other()) => {
                self.run.snapshot.is_direct = Some(true);
                self.tell(EventKind::ModeChanged { is_direct: true }, at_ns);
                Play::Half(half)
            }
            // From direct to queued the block before was played already: one block of silence comes in.
            Output::Previous if was_direct == Some(true) => {
                self.run.snapshot.is_direct = Some(false);
                self.tell(EventKind::ModeChanged { is_direct: false }, at_ns);
                Play::Silence
            }
            Output::This | Output::Previous => {
                self.run.snapshot.is_direct = Some(false);
                Play::Half(half.other())
            }
            Output::Late => {
                self.run.snapshot.lates += 1;
                self.tell(EventKind::Late, at_ns);
                Play::Silence
            }
            Output::Gone => {
                self.run.gone = true;
                self.tell(EventKind::ClientGone, at_ns);
                Play::Silence
            }
        }
    }

    fn is_silent(&mut self, half: Half) -> bool {
        self.output.as_mut().is_none_or(|path| path.is_silent(&*self.client, half))
    }

    /// Brings a block to the device, or to the frames that wait for it.
    fn put_out(&mut self, play: Play) {
        let Some(path) = &mut self.output else { return };
        let mut done = 0;
        let mut cut = Cut::default();
        while done < self.block_frames {
            let left = self.block_frames - done;
            let place = match &mut path.fifo {
                Some(fifo) => fifo.room(left),
                None => self.stream.playback(),
            };
            let frames = place.frames().min(left);
            if frames == 0 {
                // The device takes no more: the rest has no place to go. It is an xrun, and is told as one by the device.
                break;
            }
            let place = place.part(0, frames);
            match play {
                Play::Half(half) => {
                    let source = self.client.outputs(half).part(done, frames);
                    cut = cut.and(path.copier.run(source, place));
                }
                Play::Silence => silence(path.format, place),
            }
            match &mut path.fifo {
                Some(fifo) => fifo.push(frames),
                None => self.stream.commit(frames),
            }
            done += frames;
        }
        self.run.snapshot.cut |= cut.bits;
    }

    /// Fills the period from the frames that wait, then with silence. Without waiting frames there is nothing to do:
    /// blocks were put out as they came.
    fn play_queued(&mut self) {
        let Some(OutputPath { fifo: Some(fifo), format, mover, .. }) = &mut self.output else {
            return;
        };
        loop {
            let place = self.stream.playback();
            if place.frames() == 0 {
                break;
            }
            let source = fifo.oldest(place.frames());
            let frames = source.frames();
            if frames == 0 {
                // Cannot happen with a steady stream: see `adaption_frames`.
                let frames = place.frames();
                silence(*format, place);
                self.stream.commit(frames);
                continue;
            }
            mover.run(source, place.part(0, frames));
            self.stream.commit(frames);
            fifo.pop(frames);
        }
    }

    /// The stream and the client, apart again. Control thread.
    pub fn into_parts(self) -> (Box<dyn Stream>, Box<dyn Client>) {
        (self.stream, self.client)
    }

    /// The stream, to ask for its waker, its shape and its notes before the engine runs.
    pub fn stream(&self) -> &dyn Stream {
        &*self.stream
    }
}

fn input_path(side: Side, client: &ClientPlan) -> Result<Copier> {
    let routes = routes(&client.inputs, |device, client| Route { from: device, to: client });
    let channels = count(&client.inputs)?;
    Copier::new(side.format, client.format, side.channels, channels, &routes, Rest::Silence)
        .map_err(|error| error.context("inputs"))
}

fn routes(channels: &[Option<u16>], route: impl Fn(u16, u16) -> Route) -> Vec<Route> {
    (0..)
        .zip(channels)
        .filter_map(|(client, device)| device.map(|device| route(device, client)))
        .collect()
}

fn count(channels: &[Option<u16>]) -> Result<u16> {
    u16::try_from(channels.len()).map_err(|_| {
        let message = format!("{} channels are more than there can be", channels.len());
        Error::new(ErrorKind::InvalidArgument, message)
    })
}

impl OutputPath {
    fn new(side: Side, shape: &Shape, block_frames: u32, client: &ClientPlan) -> Result<Self> {
        let routes = routes(&client.outputs, |device, client| Route { from: client, to: device });
        let channels = count(&client.outputs)?;
        let copier = Copier::new(
            client.format,
            side.format,
            channels,
            side.channels,
            &routes,
            Rest::Silence,
        )
        .map_err(|error| error.context("outputs"))?;
        let all: Vec<Route> = (0..channels).map(|n| Route { from: n, to: n }).collect();
        let looker =
            Copier::new(client.format, client.format, channels, channels, &all, Rest::Leave)?;
        let every: Vec<Route> = (0..side.channels).map(|n| Route { from: n, to: n }).collect();
        let (format, width) = (side.format, side.channels);
        let mover = Copier::new(format, format, width, width, &every, Rest::Leave)?;
        let adaption_frames = adaption_frames(block_frames, shape);
        let is_direct = shape.steady && block_frames == shape.period_frames;
        let room = adaption_frames + block_frames + shape.max_period_frames;
        let bytes = block_frames as usize * usize::from(channels) * client.format.bytes();
        let mut path = Self {
            copier,
            format: side.format,
            fifo: (!is_direct).then(|| Fifo::new(side, room)),
            adaption_frames,
            scratch: vec![0; bytes],
            looker,
            mover,
            channels: channels.into(),
        };
        path.rewind();
        Ok(path)
    }

    /// As at the start: the frames of silence that adaption needs, and nothing else.
    fn rewind(&mut self) {
        let Some(fifo) = &mut self.fifo else { return };
        fifo.clear();
        while fifo.filled() < self.adaption_frames {
            let place = fifo.room(self.adaption_frames - fifo.filled());
            let frames = place.frames();
            silence(self.format, place);
            fifo.push(frames);
        }
    }

    /// Whether every sample of a half is silence. A copy is looked at, since the half is the client's memory.
    fn is_silent(&mut self, client: &dyn Client, half: Half) -> bool {
        let source = client.outputs(half);
        let bytes = source.sample_bytes();
        let place = barewire_rt::AreaMut::from_planes(&mut self.scratch, self.channels, bytes);
        self.looker.run(source, place);
        let first = self.scratch.first().copied().unwrap_or(0);
        self.scratch.iter().all(|&byte| byte == first) && (first == 0 || self.format.is_dsd())
    }
}
