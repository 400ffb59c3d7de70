//! One direction of a DirectSound device: a ring that the device goes round for ever, and a cursor that is asked for.
//!
//! What is lent is memory of ours as long as the ring, since DirectSound lends its own only between two calls. Played
//! frames are kept `prefill` frames ahead of the cursor, never more; what was played is wiped, so that a thread that comes
//! late is silence and not old sound.

use crate::sounds::{Code, Direction, Sound, code};
use barewire_device::{Loss, Note, Period, Shape, Side, Stream, Wake};
use barewire_rt::{Area, AreaMut, Gate, LentMemory, System, Waker, Woken};
use barewire_types::{Ns, frames_to_ns, ns_to_frames};
use std::sync::Arc;

/// A cursor that stands for so long has stalled: longer than any driver needs to begin.
const STALLED_NS: Ns = 2_000_000_000;
/// Recoveries without a single period in between: beyond these the device is lost.
const MOST_RECOVERIES: u32 = 8;
/// The cursor is not asked more often than this when it is late: it moves in steps of many milliseconds.
const LEAST_NAP_NS: Ns = 1_000_000;

/// Where a run is. Frames are counted from the latest beginning.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    running: bool,
    lost: Option<Loss>,
    /// Where in the ring the beginning lies.
    base: u64,
    /// How far the cursor is.
    moved: u64,
    /// When it was last asked.
    seen_ns: Ns,
    /// When it last moved.
    alive_ns: Ns,
    /// How far we are: written or read.
    ours: u64,
    /// How far what was played is wiped.
    wiped: u64,
    /// Frames still to be used of what was handed out.
    left_frames: u32,
    /// Frames of all periods handed out and missed, since `start`.
    position: u64,
    /// `position` less `moved` at the latest beginning.
    begun_at: u64,
    at_ns: Ns,
    missed: u32,
    /// The cursor was where frames belong before they stood there.
    is_late: bool,
    recoveries: u32,
}

/// An open DirectSound device.
pub(crate) struct DsoundStream {
    system: Arc<dyn System>,
    gate: Arc<Gate>,
    sound: Box<dyn Sound>,
    direction: Direction,
    side: Side,
    memory: LentMemory,
    ring_frames: u64,
    shape: Shape,
    notes: Vec<Note>,
    run: Run,
}

impl DsoundStream {
    /// A stopped stream; `shape` has the side of `direction`, `ring` is memory for a ring and its frames.
    pub(crate) fn new(
        system: Arc<dyn System>,
        sound: Box<dyn Sound>,
        direction: Direction,
        side: Side,
        ring: (LentMemory, u32),
        shape: Shape,
        notes: Vec<Note>,
    ) -> Self {
        let (gate, run) = (Gate::new(system.clone()), Run::default());
        let (memory, ring_frames) = (ring.0, ring.1.into());
        Self { system, gate, sound, direction, side, memory, ring_frames, shape, notes, run }
    }

    fn frame_bytes(&self) -> usize {
        usize::from(self.side.channels) * self.side.format.bytes()
    }

    /// Where in the ring a frame of the run lies, and how many of `frames` lie there in one piece.
    fn span(&self, frame: u64, frames: u64) -> (u32, u32) {
        let at = (self.run.base + frame) % self.ring_frames;
        let piece = frames.min(self.ring_frames - at);
        (u32::try_from(at).unwrap_or(0), u32::try_from(piece).unwrap_or(0))
    }

    /// Our memory of a piece of the ring.
    fn bytes(&mut self, at: u32, frames: u32) -> &mut [u8] {
        let (from, length) =
            (at as usize * self.frame_bytes(), frames as usize * self.frame_bytes());
        let base = self.memory.plane(0).wrapping_add(from);
        // SAFETY: `at + frames` frames lie within the ring, and nothing of it is lent while this runs.
        unsafe { std::slice::from_raw_parts_mut(base, length) }
    }

    /// Hands `frames` frames of our memory from `frame` on to the device.
    fn put(&mut self, frame: u64, frames: u64) -> Result<(), Code> {
        let (mut frame, mut left) = (frame, frames);
        while left > 0 {
            let (at, piece) = self.span(frame, left);
            let length = piece as usize * self.frame_bytes();
            let from = self.memory.plane(0).wrapping_add(at as usize * self.frame_bytes());
            // SAFETY: as in `bytes`.
            let bytes = unsafe { std::slice::from_raw_parts(from, length) };
            self.sound.write(at, bytes)?;
            frame += u64::from(piece);
            left -= u64::from(piece);
        }
        Ok(())
    }

    /// Silence for `frames` frames from `frame` on, at the device too.
    fn silence(&mut self, frame: u64, frames: u64) -> Result<(), Code> {
        let byte = self.side.format.silence_byte();
        let (mut next, mut left) = (frame, frames);
        while left > 0 {
            let (at, piece) = self.span(next, left);
            self.bytes(at, piece).fill(byte);
            next += u64::from(piece);
            left -= u64::from(piece);
        }
        self.put(frame, frames)
    }

    /// Takes what was captured from our position on.
    fn take(&mut self, frames: u64) -> Result<(), Code> {
        let (mut frame, mut left) = (self.run.ours, frames);
        while left > 0 {
            let (at, piece) = self.span(frame, left);
            let length = piece as usize * self.frame_bytes();
            let to = self.memory.plane(0).wrapping_add(at as usize * self.frame_bytes());
            // SAFETY: as in `bytes`.
            let bytes = unsafe { std::slice::from_raw_parts_mut(to, length) };
            self.sound.read(at, bytes)?;
            frame += u64::from(piece);
            left -= u64::from(piece);
        }
        Ok(())
    }

    /// From an empty ring on.
    fn begin(&mut self) -> Result<(), Code> {
        (self.run.base, self.run.moved, self.run.ours, self.run.wiped) = (0, 0, 0, 0);
        self.run.is_late = false;
        match self.direction {
            Direction::Playback => {
                self.silence(0, self.ring_frames)?;
                self.run.ours = self.shape.prefill_frames.into();
            }
            // A capturing device may go on where it stopped.
            Direction::Capture => self.run.base = self.sound.cursor()?.into(),
        }
        self.sound.start()?;
        let now = self.system.now_ns();
        (self.run.seen_ns, self.run.alive_ns) = (now, now);
        Ok(())
    }

    /// Asks for the cursor. It tells its place in the ring only: how often it went round is known from the time.
    fn observe(&mut self) -> Result<(), Code> {
        let cursor = u64::from(self.sound.cursor()?) % self.ring_frames;
        let now = self.system.now_ns();
        let before = (self.run.base + self.run.moved) % self.ring_frames;
        let mut step = (cursor + self.ring_frames - before) % self.ring_frames;
        let passed = ns_to_frames(now.saturating_sub(self.run.seen_ns), self.shape.rate);
        if passed > self.ring_frames / 2 {
            let rounds = (passed + self.ring_frames / 2).saturating_sub(step) / self.ring_frames;
            step += rounds * self.ring_frames;
        } else if step > self.ring_frames * 3 / 4 {
            // It went back by a little: believe none of it.
            step = 0;
        }
        if step > 0 {
            self.run.alive_ns = now;
        }
        self.run.moved += step;
        self.run.seen_ns = now;
        Ok(())
    }

    /// The period that is due, if one is; `missed` if the cursor has overtaken us.
    fn due(&mut self) -> Result<Due, Code> {
        self.observe()?;
        let run = self.run;
        let ready = match self.direction {
            Direction::Playback if run.moved >= run.ours => return Ok(Due::Missed),
            Direction::Playback => run.moved + u64::from(self.shape.prefill_frames) - run.ours,
            // What lies closer behind the cursor than a quarter of the ring may already be new sound.
            Direction::Capture if run.moved - run.ours > self.ring_frames * 3 / 4 => {
                return Ok(Due::Missed);
            }
            Direction::Capture => run.moved - run.ours,
        };
        let period = u64::from(self.shape.period_frames);
        if ready < period {
            return Ok(Due::After(period - ready));
        }
        let frames = (ready - ready % period).min(self.shape.max_period_frames.into());
        match self.direction {
            Direction::Playback => {
                self.silence(run.wiped, run.moved - run.wiped)?;
                self.run.wiped = run.moved;
            }
            Direction::Capture => {
                self.take(frames)?;
                // What was not yet taken when the cursor came round again is new sound.
                self.observe()?;
                if self.run.moved - self.run.ours > self.ring_frames {
                    return Ok(Due::Missed);
                }
            }
        }
        Ok(Due::Now(self.period(frames)))
    }

    fn period(&mut self, frames: u64) -> Period {
        let rate = self.shape.rate;
        let ahead = u64::from(self.shape.prefill_frames.saturating_sub(self.shape.period_frames));
        let run = &mut self.run;
        run.left_frames = u32::try_from(frames).unwrap_or(0);
        run.position += frames;
        // The cursor is past the end of this period by what it moved since.
        let past = (run.begun_at + run.moved).saturating_sub(run.position);
        let at = run.seen_ns.saturating_sub(frames_to_ns(past, rate));
        run.at_ns = at.max(run.at_ns + 1);
        run.recoveries = 0;
        let (capture_frames, playback_frames) = match self.direction {
            Direction::Playback => (0, run.left_frames),
            Direction::Capture => (run.left_frames, 0),
        };
        Period {
            capture_frames,
            playback_frames,
            position_frames: run.position,
            at_ns: run.at_ns,
            commit_by_ns: run.at_ns + frames_to_ns(ahead, rate),
            missed_frames: std::mem::take(&mut run.missed),
        }
    }

    /// Goes on from an empty ring after frames were missed or the ring was lost, or is lost.
    fn recover(&mut self, code: Option<Code>) -> Wake {
        self.sound.stop();
        self.run.recoveries += 1;
        let again = match code {
            Some(code::BUFFERLOST) => self.sound.restore().and_then(|()| self.begin()),
            None => self.begin(),
            Some(other) => Err(other),
        };
        if let Err(code) = again {
            return self.lose(loss(code));
        }
        if self.run.recoveries > MOST_RECOVERIES {
            return self.lose(Loss::Failed);
        }
        let now = self.system.now_ns();
        let passed = now.saturating_sub(self.run.at_ns);
        let missed = ns_to_frames(passed, self.shape.rate).max(1);
        let run = &mut self.run;
        run.left_frames = 0;
        run.position += missed;
        run.begun_at = run.position;
        run.missed = run.missed.saturating_add(u32::try_from(missed).unwrap_or(u32::MAX));
        run.at_ns = now;
        Wake::Idle
    }

    fn lose(&mut self, loss: Loss) -> Wake {
        Wake::Lost(*self.run.lost.get_or_insert(loss))
    }

    /// What the previous period left: unread frames are dropped, unwritten ones become silence.
    fn finish_period(&mut self) -> Result<(), Code> {
        let left = u64::from(std::mem::take(&mut self.run.left_frames));
        if self.direction == Direction::Playback && left > 0 {
            self.silence(self.run.ours, left)?;
        }
        self.run.ours += left;
        Ok(())
    }
}

enum Due {
    Now(Period),
    /// So many frames more.
    After(u64),
    Missed,
}

fn loss(code: Code) -> Loss {
    match code {
        code::NODRIVER => Loss::Gone,
        code::ALLOCATED | code::PRIOLEVELNEEDED | code::OTHERAPPHASPRIO => Loss::Taken,
        _ => Loss::Failed,
    }
}

impl Stream for DsoundStream {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn waker(&self) -> Waker {
        self.gate.clone()
    }

    fn notes(&self) -> Vec<Note> {
        self.notes.clone()
    }

    fn start(&mut self) -> Result<(), Loss> {
        if let Some(loss) = self.run.lost {
            return Err(loss);
        }
        self.run = Run { at_ns: self.system.now_ns(), ..Run::default() };
        let begun = match self.begin() {
            Err(code::BUFFERLOST) => self.sound.restore().and_then(|()| self.begin()),
            other => other,
        };
        if let Err(code) = begun {
            let loss = *self.run.lost.get_or_insert(loss(code));
            return Err(loss);
        }
        self.run.running = true;
        Ok(())
    }

    fn stop(&mut self) {
        if self.run.running {
            self.sound.stop();
        }
        self.run.running = false;
        self.run.left_frames = 0;
    }

    fn wait(&mut self, until: Ns) -> Wake {
        if let Some(loss) = self.run.lost {
            return Wake::Lost(loss);
        }
        if !self.run.running {
            return Wake::Stopped;
        }
        if let Err(code) = self.finish_period() {
            return self.recover(Some(code));
        }
        if self.run.is_late {
            return self.recover(None);
        }
        loop {
            let after = match self.due() {
                Ok(Due::Now(period)) => return Wake::Due(period),
                Ok(Due::After(frames)) => frames,
                Ok(Due::Missed) => return self.recover(None),
                Err(code) => return self.recover(Some(code)),
            };
            let now = self.system.now_ns();
            if now >= self.run.alive_ns + STALLED_NS {
                return self.lose(Loss::Stalled);
            }
            let expected = frames_to_ns(after, self.shape.rate);
            // The cursor moves in steps: once it should be there it is asked now and then.
            let behind = now.saturating_sub(self.run.alive_ns);
            let nap = expected.saturating_sub(behind).max(LEAST_NAP_NS);
            let next = now + nap;
            if self.gate.sleep(next.min(until)) == Woken::Word || until < next {
                return Wake::Idle;
            }
        }
    }

    fn capture(&mut self) -> Area<'_> {
        if self.direction != Direction::Capture {
            return Area::EMPTY;
        }
        let (at, frames) = self.span(self.run.ours, self.run.left_frames.into());
        let (channels, bytes) = (usize::from(self.side.channels), self.side.format.bytes());
        let base = self.memory.plane(0).wrapping_add(at as usize * self.frame_bytes());
        // SAFETY: the piece lies within the ring's memory, which only this stream uses.
        unsafe { Area::interleaved(base, channels, bytes, frames) }
    }

    fn release(&mut self, frames: u32) {
        if self.direction == Direction::Capture {
            let frames = frames.min(self.run.left_frames);
            self.run.left_frames -= frames;
            self.run.ours += u64::from(frames);
        }
    }

    fn playback(&mut self) -> AreaMut<'_> {
        if self.direction != Direction::Playback {
            return AreaMut::EMPTY;
        }
        let (at, frames) = self.span(self.run.ours, self.run.left_frames.into());
        let (channels, bytes) = (usize::from(self.side.channels), self.side.format.bytes());
        let base = self.memory.plane(0).wrapping_add(at as usize * self.frame_bytes());
        // SAFETY: as in `capture`.
        unsafe { AreaMut::interleaved(base, channels, bytes, frames) }
    }

    fn commit(&mut self, frames: u32) {
        if self.direction == Direction::Playback {
            let frames = frames.min(self.run.left_frames);
            // A ring that is lost is seen again, and handled, by the next wait.
            let _ = self.put(self.run.ours, frames.into()).and_then(|()| self.observe());
            self.run.is_late |= self.run.moved > self.run.ours;
            self.run.left_frames -= frames;
            self.run.ours += u64::from(frames);
        }
    }
}
