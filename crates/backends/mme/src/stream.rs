//! One direction of a wave device: a ring of packets, each a period. What is lent is the packets' own memory.
//!
//! A packet that has come back was played, or is full. As long as one is still queued the device has not run dry, so a
//! wake-up brings at most all but one; if all are back frames were missed, and the run begins anew.

use crate::waves::{Code, Direction, Ready, Wave, code};
use barewire_device::{Loss, Note, Period, Shape, Side, Stream, Wake};
use barewire_rt::{Area, AreaMut, System, Waker};
use barewire_types::{Ns, frames_to_ns, ns_to_frames};
use std::sync::Arc;

/// A device that brings nothing for so long has stalled: longer than any driver needs to begin.
const STALLED_NS: Ns = 2_000_000_000;
/// Recoveries without a single period in between: beyond these the device is lost.
const MOST_RECOVERIES: u32 = 8;

/// Where a run is. Packets are counted from the latest beginning.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    running: bool,
    lost: Option<Loss>,
    /// Packets that came back and were handed out.
    taken: u64,
    /// Packets queued.
    queued: u64,
    /// Frames that were used of packet `queued`.
    used_frames: u32,
    /// Frames still to be used of what was handed out.
    left_frames: u32,
    /// Frames of all periods handed out and missed, since `start`.
    position: u64,
    /// When the device was seen at `position`.
    at_ns: Ns,
    missed: u32,
    /// The device ran dry, or over, while a period was in hand.
    is_dry: bool,
    recoveries: u32,
    /// When something last came back.
    alive_ns: Ns,
}

/// An open wave device.
pub(crate) struct MmeStream {
    system: Arc<dyn System>,
    wave: Box<dyn Wave>,
    direction: Direction,
    side: Side,
    packets: u32,
    shape: Shape,
    notes: Vec<Note>,
    run: Run,
}

impl MmeStream {
    /// A stopped stream; `shape` has the side of `direction`.
    pub(crate) fn new(
        system: Arc<dyn System>,
        wave: Box<dyn Wave>,
        direction: Direction,
        side: Side,
        packets: u32,
        shape: Shape,
        notes: Vec<Note>,
    ) -> Self {
        let run = Run::default();
        Self { system, wave, direction, side, packets, shape, notes, run }
    }

    fn frame_bytes(&self) -> usize {
        usize::from(self.side.channels) * self.side.format.bytes()
    }

    /// The place in the ring of the packet with this count.
    fn packet(&self, count: u64) -> u32 {
        u32::try_from(count % u64::from(self.packets)).unwrap_or(0)
    }

    /// Where our position lies in the ring, in bytes, and how many frames of what is left lie there in one piece.
    fn piece(&self) -> (*mut u8, u32) {
        let period = self.shape.period_frames;
        let packet = self.packet(self.run.queued);
        let whole = (self.packets - packet) * period - self.run.used_frames;
        let frames = self.run.left_frames.min(whole);
        let at = (packet * period + self.run.used_frames) as usize * self.frame_bytes();
        (self.wave.base().wrapping_add(at), frames)
    }

    /// Moves on by `frames` frames; every packet that is used up goes back to the device.
    fn advance(&mut self, frames: u32) {
        let period = self.shape.period_frames;
        let frames = frames.min(self.run.left_frames);
        self.run.left_frames -= frames;
        self.run.used_frames += frames;
        while self.run.used_frames >= period {
            self.run.used_frames -= period;
            if let Err(code) = self.wave.queue(self.packet(self.run.queued)) {
                self.run.lost = Some(loss(code));
            }
            // Behind the call: winmm takes nothing while it moves what the mixer has for it, and may run dry in that time.
            self.run.is_dry |= self.run.running && self.has_nothing();
            self.run.queued += 1;
        }
    }

    /// Whether the device has no packet of ours but what is being queued: all others have come back.
    fn has_nothing(&self) -> bool {
        let mut queued = self.run.taken..self.run.queued;
        queued.all(|n| self.wave.returned(self.packet(n)).is_some())
    }

    /// Writes silence from our position on.
    fn silence(&mut self, frames: u32) {
        let mut left = frames.min(self.run.left_frames);
        while left > 0 {
            let (base, piece) = self.piece();
            let piece = piece.min(left);
            if piece == 0 {
                return;
            }
            let bytes = piece as usize * self.frame_bytes();
            // SAFETY: the piece lies within the packets' memory, and none of its packets is queued.
            unsafe { base.write_bytes(self.side.format.silence_byte(), bytes) };
            self.advance(piece);
            left -= piece;
        }
    }

    /// Queues all packets and lets the device run.
    fn begin(&mut self) -> Result<(), Code> {
        let run = &mut self.run;
        let was_running = std::mem::replace(&mut run.running, false);
        (run.taken, run.queued, run.used_frames, run.is_dry) = (0, 0, 0, false);
        run.left_frames = self.packets * self.shape.period_frames;
        match self.direction {
            Direction::Playback => self.silence(u32::MAX),
            Direction::Capture => self.advance(u32::MAX),
        }
        if self.run.lost.is_some() {
            return Err(code::NODRIVER);
        }
        self.wave.start()?;
        self.run.running = was_running;
        self.run.alive_ns = self.system.now_ns();
        Ok(())
    }

    /// How many packets have come back, and whether all of them are whole.
    fn back(&self) -> (u32, bool) {
        let whole_bytes = self.shape.period_frames as usize * self.frame_bytes();
        let mut count = 0;
        for n in self.run.taken..self.run.queued {
            match self.wave.returned(self.packet(n)) {
                None => break,
                Some(bytes) if bytes as usize == whole_bytes => count += 1,
                Some(_) => return (count, false),
            }
        }
        (count, true)
    }

    /// The period that is due, if one is; `Err` if frames were missed.
    fn due(&mut self) -> Result<Option<Period>, ()> {
        let (back, are_whole) = self.back();
        let outstanding = self.run.queued - self.run.taken;
        if !are_whole || u64::from(back) >= outstanding {
            return Err(());
        }
        if back == 0 {
            return Ok(None);
        }
        let period = self.shape.period_frames;
        let frames = back * period;
        let now = self.system.now_ns();
        let still = u64::from(self.packets - back) * u64::from(period);
        let run = &mut self.run;
        run.taken += u64::from(back);
        run.left_frames = frames;
        run.position += u64::from(frames);
        run.at_ns = now.max(run.at_ns + 1);
        run.alive_ns = now;
        run.recoveries = 0;
        let (capture_frames, playback_frames) = match self.direction {
            Direction::Playback => (0, frames),
            Direction::Capture => (frames, 0),
        };
        Ok(Some(Period {
            capture_frames,
            playback_frames,
            position_frames: run.position,
            at_ns: run.at_ns,
            commit_by_ns: run.at_ns + frames_to_ns(still, self.shape.rate),
            missed_frames: std::mem::take(&mut run.missed),
        }))
    }

    /// Goes on after the device ran dry or over, from a fresh queue, or is lost.
    fn recover(&mut self) -> Wake {
        self.wave.reset();
        self.run.recoveries += 1;
        if self.run.recoveries > MOST_RECOVERIES {
            return self.lose(Loss::Failed);
        }
        if let Err(code) = self.begin() {
            return self.lose(loss(code));
        }
        let now = self.system.now_ns();
        let passed = now.saturating_sub(self.run.at_ns);
        // A run begins with its first period: what came back before, all at once, is older than the run (Wine 8 keeps what
        // was captured while it stood still), or silence.
        let has_begun = self.run.position > 0;
        let missed = if has_begun { ns_to_frames(passed, self.shape.rate).max(1) } else { 0 };
        let run = &mut self.run;
        run.left_frames = 0;
        run.position += missed;
        run.missed = run.missed.saturating_add(u32::try_from(missed).unwrap_or(u32::MAX));
        run.at_ns = now;
        Wake::Idle
    }

    fn lose(&mut self, loss: Loss) -> Wake {
        let loss = *self.run.lost.get_or_insert(loss);
        Wake::Lost(loss)
    }
}

fn loss(code: Code) -> Loss {
    match code {
        code::NODRIVER | code::BADDEVICEID | code::INVALHANDLE | code::NOTENABLED => Loss::Gone,
        code::ALLOCATED => Loss::Taken,
        _ => Loss::Failed,
    }
}

impl Stream for MmeStream {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn waker(&self) -> Waker {
        self.wave.waker()
    }

    fn notes(&self) -> Vec<Note> {
        self.notes.clone()
    }

    fn start(&mut self) -> Result<(), Loss> {
        if let Some(loss) = self.run.lost {
            return Err(loss);
        }
        self.run = Run { at_ns: self.system.now_ns(), ..Run::default() };
        if let Err(code) = self.begin() {
            let loss = *self.run.lost.get_or_insert(loss(code));
            return Err(loss);
        }
        self.run.left_frames = 0;
        self.run.running = true;
        Ok(())
    }

    fn stop(&mut self) {
        if self.run.running {
            self.wave.reset();
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
        // What the previous period left: unread frames are dropped, unwritten ones become silence.
        match self.direction {
            Direction::Playback => self.silence(u32::MAX),
            Direction::Capture => self.advance(u32::MAX),
        }
        if self.run.is_dry && self.run.lost.is_none() {
            return self.recover();
        }
        loop {
            if let Some(loss) = self.run.lost {
                return Wake::Lost(loss);
            }
            match self.due() {
                Ok(Some(period)) => return Wake::Due(period),
                Ok(None) => {}
                Err(()) => return self.recover(),
            }
            let stalled = self.run.alive_ns + STALLED_NS;
            match self.wave.wait(until.min(stalled)) {
                Ready::Event => {}
                Ready::Woken => return Wake::Idle,
                Ready::Time => {
                    return match self.due() {
                        Ok(Some(period)) => Wake::Due(period),
                        Err(()) => self.recover(),
                        Ok(None) if self.system.now_ns() >= stalled => self.lose(Loss::Stalled),
                        Ok(None) => Wake::Idle,
                    };
                }
            }
        }
    }

    fn capture(&mut self) -> Area<'_> {
        if self.direction != Direction::Capture {
            return Area::EMPTY;
        }
        let (base, frames) = self.piece();
        let (channels, bytes) = (usize::from(self.side.channels), self.side.format.bytes());
        // SAFETY: the piece lies within the packets' memory, and none of its packets is queued.
        unsafe { Area::interleaved(base, channels, bytes, frames) }
    }

    fn release(&mut self, frames: u32) {
        if self.direction == Direction::Capture {
            self.advance(frames);
        }
    }

    fn playback(&mut self) -> AreaMut<'_> {
        if self.direction != Direction::Playback {
            return AreaMut::EMPTY;
        }
        let (base, frames) = self.piece();
        let (channels, bytes) = (usize::from(self.side.channels), self.side.format.bytes());
        // SAFETY: as in `capture`; only this stream writes there.
        unsafe { AreaMut::interleaved(base, channels, bytes, frames) }
    }

    fn commit(&mut self, frames: u32) {
        if self.direction == Direction::Playback {
            self.advance(frames);
        }
    }
}
