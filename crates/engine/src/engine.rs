//! The cycle. [`Engine::step`] is one pass: device, engine, clients, engine, device.

use crate::client::{Client, Output};
use crate::guests::{Door, Guests};
use crate::latency::latency;
use crate::outputs::Outputs;
use crate::plan::{MAX_CLIENTS, Plan};
use crate::seat::{Seat, SeatControl};
use crate::telemetry::{EngineEvent, EventKind, Promise, Snapshot, Telemetry};
use crate::timeline::Timeline;
use barewire_device::{Loss, Period, Shape, Stream, Wake};
use barewire_rt::{EventWriter, System};
use barewire_types::{
    Error, ErrorKind, Integrity, Latency, MAX_FRAMES, Ns, Reason, Result, frames_to_ns,
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

/// A stream and its clients, joined. Owned by one thread at a time.
pub struct Engine {
    stream: Box<dyn Stream>,
    #[expect(clippy::vec_box, reason = "seats travel through mailboxes, which hold boxes")]
    seats: Vec<Box<Seat>>,
    /// One that leaves and for which the mailbox has no room yet.
    leaving: Option<Box<Seat>>,
    door: Arc<Door>,
    links: Links,
    shape: Shape,
    block_frames: u32,
    below: Option<(Integrity, Reason)>,
    outputs: Option<Outputs>,
    timeline: Timeline,
    /// Frames of the current block that were captured.
    gathered: u32,
    snapshot: Snapshot,
}

impl Engine {
    /// Joins `stream` and `clients`, one for each of the plan's. Control thread: everything that is ever needed is
    /// allocated here.
    ///
    /// # Errors
    /// `InvalidArgument` if the plan names channels that the stream does not have, a block of no or too many frames, or
    /// more clients than there may be or are given; `Unsupported` for what cannot be copied or added.
    pub fn compile(
        plan: &Plan,
        stream: Box<dyn Stream>,
        clients: Vec<Box<dyn Client>>,
        links: Links,
    ) -> Result<Self> {
        let shape = stream.shape();
        let block_frames = check(plan, clients.len())?;
        let door = Arc::new(Door::default());
        let mut seats = Vec::with_capacity(MAX_CLIENTS);
        for (client, plan) in clients.into_iter().zip(&plan.clients) {
            seats.push(Box::new(Seat::new(door.number(), plan, client, &shape, block_frames)?));
        }
        let outputs = shape.playback.map(|side| Outputs::new(side, &shape, plan)).transpose()?;
        let engine = Self {
            stream,
            seats,
            leaving: None,
            door,
            links,
            shape,
            block_frames,
            below: plan.below,
            outputs,
            timeline: Timeline::new(shape.rate, block_frames),
            gathered: 0,
            snapshot: Snapshot::NOTHING,
        };
        engine.promise();
        Ok(engine)
    }

    /// The latency of a client, as long as its output goes this way.
    pub fn latency(&self, is_direct: bool) -> Latency {
        latency(&self.shape, self.block_frames, is_direct)
    }

    /// Through which clients join and leave while the engine runs.
    pub fn guests(&self) -> Guests {
        let (door, shape) = (self.door.clone(), self.shape);
        Guests { door, shape, block_frames: self.block_frames }
    }

    /// A hand on one of the plan's clients.
    pub fn control(&self, client: usize) -> Option<SeatControl> {
        self.seats.get(client).map(|seat| seat.control())
    }

    /// Starts the stream. Device thread.
    ///
    /// # Errors
    /// The loss, if the device does not start.
    pub fn start(&mut self) -> std::result::Result<(), Loss> {
        self.timeline = Timeline::new(self.stream.shape().rate, self.block_frames);
        self.gathered = 0;
        self.snapshot = Snapshot::NOTHING;
        self.seats.iter_mut().for_each(|seat| seat.rewind());
        if let Some(outputs) = &mut self.outputs {
            outputs.rewind();
        }
        self.stream.start()
    }

    /// Stops the stream.
    pub fn stop(&mut self) {
        self.stream.stop();
    }

    /// One pass that looks at `stop` every now and then and begins no block any more once it is set. Device thread.
    pub(crate) fn pass(&mut self, stop: &AtomicBool) -> Flow {
        let until = self.links.system.now_ns().saturating_add(LOOK_NS);
        self.step_unless(until, stop)
    }

    /// The same for a period that is due now: nothing is waited for. A foreign library's thread.
    pub(crate) fn poll(&mut self, stop: &AtomicBool) -> Flow {
        self.step_unless(0, stop)
    }

    pub(crate) fn system(&self) -> &Arc<dyn System> {
        &self.links.system
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
        let woken_ns = self.links.system.now_ns();
        self.timeline.observe(self.stream.shape().rate, &period);
        if period.missed_frames > 0 {
            self.snapshot.xruns += 1;
            self.snapshot.missed_frames += u64::from(period.missed_frames);
            self.links.telemetry.publish(&self.snapshot);
            self.tell(EventKind::Xrun { missed_frames: period.missed_frames }, None, period.at_ns);
        }
        let all = period.capture_frames.max(period.playback_frames);
        let mut left = all;
        while left > 0 && !stop.load(Ordering::Acquire) {
            if self.gathered == 0 {
                self.let_in_and_out();
            }
            let frames = left.min(self.block_frames - self.gathered);
            self.gather(frames, period.capture_frames > 0);
            left -= frames;
            if self.gathered == self.block_frames {
                self.exchange(&period, left);
                self.gathered = 0;
            }
        }
        if let (Some(outputs), true) = (&mut self.outputs, period.playback_frames > 0) {
            let starved = outputs.play_waiting(&mut *self.stream);
            self.snapshot.starved_frames += u64::from(starved);
        }
        let busy_ns = self.links.system.now_ns().saturating_sub(woken_ns);
        self.snapshot.loaded(busy_ns, frames_to_ns(u64::from(all), self.timeline.rate()));
        Flow::Continue
    }

    fn tell(&mut self, kind: EventKind, client: Option<u16>, at_ns: Ns) {
        // Of the block that it happened to, or after which it happened.
        let position_frames = self.snapshot.position_frames;
        self.links.events.push(EngineEvent { kind, client, position_frames, at_ns });
    }

    /// Between two blocks: lets one client out and one in.
    fn let_in_and_out(&mut self) {
        let mut changed = false;
        if self.leaving.is_none()
            && let Some(place) = self.seats.iter().position(|seat| seat.leaves())
        {
            self.leaving = Some(self.seats.remove(place));
            changed = true;
        }
        if let Some(seat) = self.leaving.take() {
            self.leaving = self.door.left.offer(seat).err();
        }
        if self.seats.len() < MAX_CLIENTS
            && let Some(seat) = self.door.joining.take()
        {
            self.seats.push(seat);
            changed = true;
        }
        if changed {
            self.promise();
        }
    }

    /// Tells what the path does to samples, as far as it does not change with each block.
    fn promise(&self) {
        let formats = self.seats.iter().map(|seat| seat.format());
        // The client that decides is the one with floats, or the widest.
        let client = formats.max_by_key(|format| (format.is_float(), format.exact_bits()));
        let device = self.shape.playback.map(|side| side.format);
        self.links.telemetry.promise(&Promise { client, device, below: self.below });
    }

    /// Takes `frames` captured frames into the halves that are being gathered.
    fn gather(&mut self, frames: u32, captures: bool) {
        let mut left = frames;
        while left > 0 && captures {
            let piece = self.stream.capture();
            let taken = piece.frames().min(left);
            if taken == 0 {
                break;
            }
            for seat in &mut self.seats {
                let cut = seat.gather(piece.part(0, taken), self.gathered);
                self.snapshot.input_cut |= cut.bits;
            }
            self.stream.release(taken);
            self.gathered += taken;
            left -= taken;
        }
        if left > 0 {
            // A stream that gives less than it told, or that does not capture: the block goes on all the same.
            for seat in &mut self.seats {
                seat.gather_silence(self.gathered, left);
            }
            self.gathered += left;
        }
    }

    /// Lets the clients make the block whose inputs are complete, and brings it on its way. `later` frames of the period
    /// lie behind it.
    fn exchange(&mut self, period: &Period, later: u32) {
        let time = self.timeline.next(period, later);
        self.snapshot.position_frames = time.position_frames;
        self.snapshot.at_ns = time.at_ns;
        self.snapshot.blocks += 1;
        self.snapshot.rate_hz = self.timeline.rate().get();
        self.links.telemetry.publish(&self.snapshot);
        for seat in &mut self.seats {
            seat.begin(&time);
        }
        for n in 0..self.seats.len() {
            self.finish(n, time.commit_by_ns, time.at_ns);
        }
        if let Some(outputs) = &mut self.outputs {
            let played = outputs.put_out(&mut self.seats, &mut *self.stream, self.block_frames);
            self.snapshot.cut |= played.cut.bits;
            self.snapshot.clipped += u64::from(played.clipped);
            self.snapshot.lane = played.lane;
        }
        let present = self.seats.iter().filter(|seat| !seat.is_gone()).count();
        self.snapshot.clients = u16::try_from(present).unwrap_or(u16::MAX);
        self.snapshot.is_scaled = self.seats.iter().any(|seat| seat.is_scaled());
        self.snapshot.is_direct = self.seats.first().and_then(|seat| seat.is_direct());
        self.links.telemetry.publish(&self.snapshot);
    }

    fn finish(&mut self, n: usize, commit_by_ns: Ns, at_ns: Ns) {
        let Some(seat) = self.seats.get_mut(n) else { return };
        let (was_gone, was_direct) = (seat.is_gone(), seat.is_direct());
        let output = seat.finish(commit_by_ns);
        let (number, is_direct) = (Some(seat.number()), seat.is_direct());
        match output {
            Output::Late => {
                self.snapshot.lates += 1;
                self.tell(EventKind::Late, number, at_ns);
            }
            Output::Gone if !was_gone => self.tell(EventKind::ClientGone, number, at_ns),
            _ => {}
        }
        if let (Some(_), Some(is_direct), true) = (was_direct, is_direct, was_direct != is_direct) {
            self.tell(EventKind::ModeChanged { is_direct }, number, at_ns);
        }
    }

    /// The stream and the clients, apart again, those in front that were there first. Control thread.
    pub fn into_parts(self) -> (Box<dyn Stream>, Vec<Box<dyn Client>>) {
        let clients = self.seats.into_iter().chain(self.leaving).map(Seat::into_client).collect();
        (self.stream, clients)
    }

    /// The stream, to ask for its waker, its shape and its notes before the engine runs.
    pub fn stream(&self) -> &dyn Stream {
        &*self.stream
    }
}

/// Checks what does not depend on the stream; gives the block's frames.
fn check(plan: &Plan, clients: usize) -> Result<u32> {
    let wrong = |message: String| Error::new(ErrorKind::InvalidArgument, message);
    if !(1..=MAX_FRAMES).contains(&plan.block_frames) {
        return Err(wrong(format!("a block cannot have {} frames", plan.block_frames))
            .remedy(format!("choose between 1 and {MAX_FRAMES}")));
    }
    if clients > MAX_CLIENTS {
        return Err(wrong(format!(
            "{clients} clients are more than the {MAX_CLIENTS} there may be"
        )));
    }
    if clients != plan.clients.len() {
        let planned = plan.clients.len();
        return Err(wrong(format!("{planned} clients were planned, {clients} are given")));
    }
    Ok(plan.block_frames)
}
