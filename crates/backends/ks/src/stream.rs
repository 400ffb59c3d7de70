//! An open device: one pin, or two that share a clock.
//!
//! Positions decide, events are hints: drivers signal about when the hardware passes the half or the end of a ring, early,
//! late or not at all (PortAudio#752). Played frames are kept `prefill` frames ahead of the hardware, never more.

use crate::kernel::{Code, MOST_EVENTS, RawHandle, Ready, Waiter};
use crate::lane::{Lane, Trouble, Way, loss};
use crate::topology::MuxGuard;
use barewire_device::{Loss, Note, Period, Shape, Stream, Wake};
use barewire_rt::{Area, AreaMut, System, Waker};
use barewire_types::{Ns, frames_to_ns, ns_to_frames};
use std::sync::Arc;

/// Hardware that has not moved for so long, and for eight periods, does not move.
const STALLED_NS: Ns = 500_000_000;
/// Shorter naps are not worth it.
const LEAST_NAP_NS: Ns = 50_000;

/// An open device.
pub(crate) struct KsStream {
    pub(crate) system: Arc<dyn System>,
    pub(crate) waiter: Box<dyn Waiter>,
    pub(crate) capture: Option<Lane>,
    pub(crate) playback: Option<Lane>,
    /// Sets the multiplexer back when it goes, after the pins.
    pub(crate) _mux: Option<MuxGuard>,
    pub(crate) shape: Shape,
    /// Frames before the hardware's position that it may have fetched already.
    pub(crate) guard_frames: u32,
    pub(crate) notes: Vec<Note>,
    pub(crate) run: Run,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    running: bool,
    lost: Option<Loss>,
    /// Frames of all periods handed out and missed, since `start`.
    position: u64,
    /// `position` at which the pins were last started.
    base: u64,
    /// Whether both directions are known to lie as they should.
    is_aligned: bool,
    /// The latest observation: when the device was at `position`.
    at_ns: Ns,
    missed: u32,
    capture_left: u32,
    playback_left: u32,
    /// An event came although nothing was due: the next one is not waited for.
    is_early: bool,
    /// When it was last asked whether the device is there.
    asked_ns: Ns,
}

/// What a look brought.
struct Look {
    ready: u64,
    playback_is_short: bool,
}

impl Stream for KsStream {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn waker(&self) -> Waker {
        self.waiter.waker()
    }

    fn notes(&self) -> Vec<Note> {
        self.notes.clone()
    }

    fn start(&mut self) -> Result<(), Loss> {
        if let Some(loss) = self.run.lost {
            return Err(loss);
        }
        self.halt();
        self.run = Run::default();
        self.begin().map_err(|code| self.lose(code))?;
        self.run.running = true;
        self.run.at_ns = self.system.now_ns();
        Ok(())
    }

    fn stop(&mut self) {
        self.halt();
        self.run.running = false;
        self.run.capture_left = 0;
        self.run.playback_left = 0;
    }

    fn wait(&mut self, until: Ns) -> Wake {
        if let Some(loss) = self.run.lost {
            return Wake::Lost(loss);
        }
        if !self.run.running {
            return Wake::Stopped;
        }
        if let Err(code) = self.finish_period() {
            return Wake::Lost(self.lose(code));
        }
        loop {
            let now = self.system.now_ns();
            let is_late =
                self.playback.as_mut().is_some_and(|lane| std::mem::take(&mut lane.is_late));
            let look = if is_late { Err(Trouble::Xrun) } else { self.look(now) };
            let look = match look {
                Ok(look) => look,
                Err(Trouble::Xrun) => match self.recover(now) {
                    Ok(()) => continue,
                    Err(code) => return Wake::Lost(self.lose(code)),
                },
                Err(Trouble::Code(code)) => return Wake::Lost(self.lose(code)),
            };
            if look.ready >= u64::from(self.shape.period_frames) {
                return Wake::Due(self.period(look.ready, now));
            }
            if let Some(loss) = self.stalled(now) {
                return Wake::Lost(loss);
            }
            let (events, count, target) = self.plan(&look, now);
            match self.waiter.wait(&events[..count], target.min(until)) {
                Ready::Woken => return Wake::Idle,
                Ready::Time if self.system.now_ns() >= until => return self.last_look(),
                Ready::Time => self.run.is_early = false,
                Ready::Event => self.run.is_early = true,
            }
        }
    }

    fn capture(&mut self) -> Area<'_> {
        let left = self.run.capture_left;
        self.capture.as_ref().map_or(Area::EMPTY, |lane| lane.area(left))
    }

    fn release(&mut self, frames: u32) {
        let frames = frames.min(self.run.capture_left);
        self.run.capture_left -= frames;
        if let Some(lane) = &mut self.capture {
            lane.ours += u64::from(frames);
        }
    }

    fn playback(&mut self) -> AreaMut<'_> {
        let left = self.run.playback_left;
        self.playback.as_mut().map_or(AreaMut::EMPTY, |lane| lane.area_mut(left))
    }

    fn commit(&mut self, frames: u32) {
        let frames = frames.min(self.run.playback_left);
        self.run.playback_left -= frames;
        if let Some(lane) = &mut self.playback
            && let Err(code) =
                lane.put(frames).and_then(|()| lane.check(frames, self.system.now_ns()))
        {
            self.lose(code);
        }
    }
}

impl KsStream {
    fn lanes(&mut self) -> impl Iterator<Item = &mut Lane> {
        self.capture.iter_mut().chain(&mut self.playback)
    }

    /// Memory for the periods that are lent. Control thread.
    pub(crate) fn make_room(&mut self) -> bool {
        let most = self.shape.max_period_frames;
        let held = self.capture.as_ref().map_or(0, Lane::room_frames);
        let captures =
            self.capture.as_mut().is_none_or(|lane| lane.make_room(most.max(held) + most));
        captures && self.playback.as_mut().is_none_or(|lane| lane.make_room(most))
    }

    fn halt(&mut self) {
        let system = self.system.clone();
        // Playback first, so that no frame is captured of what was not played.
        for lane in self.playback.iter_mut().chain(&mut self.capture) {
            lane.halt(&*system);
        }
    }

    /// Prepares, then runs: capture first, so that no frame is played before it could be captured.
    fn begin(&mut self) -> Result<(), Code> {
        for lane in self.lanes() {
            lane.prepare()?;
        }
        let prefill = u64::from(self.shape.prefill_frames);
        if let Some(lane) = &mut self.playback {
            lane.ours = prefill;
        }
        let system = self.system.clone();
        for lane in self.lanes() {
            lane.run(system.now_ns())?;
        }
        self.run.is_aligned = false;
        Ok(())
    }

    /// What the previous period left: unread capture is dropped, unwritten playback becomes silence.
    fn finish_period(&mut self) -> Result<(), Code> {
        let left = std::mem::take(&mut self.run.capture_left);
        if let Some(lane) = &mut self.capture {
            lane.ours += u64::from(left);
        }
        let left = std::mem::take(&mut self.run.playback_left);
        if let (Some(lane), true) = (&mut self.playback, left > 0) {
            lane.put_silence(left)?;
            lane.check(left, self.system.now_ns())?;
        }
        Ok(())
    }

    fn look(&mut self, now: Ns) -> Result<Look, Trouble> {
        for lane in self.lanes() {
            lane.look(now)?;
        }
        if !self.run.is_aligned {
            self.align();
        }
        let captured = self.capture.as_ref().map(|lane| lane.moved.saturating_sub(lane.ours));
        let prefill = u64::from(self.shape.prefill_frames);
        let room =
            self.playback.as_ref().map(|lane| (lane.moved + prefill).saturating_sub(lane.ours));
        let ready = captured.into_iter().chain(room).min().unwrap_or(0);
        let playback_is_short = room.is_some_and(|room| captured.is_none_or(|all| room <= all));
        Ok(Look { ready, playback_is_short })
    }

    /// Two pins start one after the other. Once both run, their positions tell by how much they lie apart; that much of
    /// the captured side is left out, so that equal frame numbers are equal instants.
    fn align(&mut self) {
        let period = u64::from(self.shape.period_frames);
        let (Some(capture), Some(playback)) = (&mut self.capture, &self.playback) else {
            self.run.is_aligned = true;
            return;
        };
        // Packets tell no positions between their ends.
        let by_packets =
            [&capture.way, &playback.way].iter().any(|way| matches!(way, Way::Packets(_)));
        if by_packets {
            self.run.is_aligned = true;
        } else if capture.moved >= period / 2 && playback.moved >= period / 2 {
            capture.shift(capture.moved.cast_signed() - playback.moved.cast_signed());
            self.run.is_aligned = true;
        }
    }

    /// What to wait on and until when the hardware should have moved on enough.
    fn plan(&self, look: &Look, now: Ns) -> ([RawHandle; MOST_EVENTS], usize, Ns) {
        let (rate, period) = (self.shape.rate, u64::from(self.shape.period_frames));
        let missing = frames_to_ns(period.saturating_sub(look.ready), rate) + 1;
        let fraction = (frames_to_ns(period, rate) / 8).max(LEAST_NAP_NS);
        let lane = if look.playback_is_short { &self.playback } else { &self.capture };
        let event = lane.as_ref().or(self.playback.as_ref()).and_then(Lane::event);
        let mut events = [0; MOST_EVENTS];
        match event.filter(|_| !self.run.is_early) {
            // The clock is the fallback of an event that comes late, or never.
            Some(event) => {
                events[0] = event;
                (events, 1, now + missing + fraction)
            }
            None => (events, 0, now + missing.max(fraction.min(missing * 8))),
        }
    }

    /// The deadline has passed: what is due now is handed out all the same.
    fn last_look(&mut self) -> Wake {
        let now = self.system.now_ns();
        match self.look(now) {
            Ok(look) if look.ready >= u64::from(self.shape.period_frames) => {
                Wake::Due(self.period(look.ready, now))
            }
            // Trouble stays, and is seen by the next wait.
            _ => Wake::Idle,
        }
    }

    /// Whether the hardware stands still, and why.
    fn stalled(&mut self, now: Ns) -> Option<Loss> {
        let period = frames_to_ns(u64::from(self.shape.period_frames), self.shape.rate);
        let asked = self.run.asked_ns;
        let mut verdict = None;
        for lane in self.capture.iter_mut().chain(&mut self.playback) {
            let still = now.saturating_sub(lane.changed_ns());
            if still > STALLED_NS + 8 * period {
                verdict = verdict.or(Some(lane.is_there().map_or_else(loss, |()| Loss::Stalled)));
            } else if still > 4 * period && now.saturating_sub(asked) > 4 * period {
                self.run.asked_ns = now;
                verdict = verdict.or(lane.is_there().err().map(loss));
            }
        }
        if verdict.is_some() {
            self.run.lost = verdict;
        }
        verdict
    }

    fn period(&mut self, ready: u64, now: Ns) -> Period {
        let (rate, period) = (self.shape.rate, u64::from(self.shape.period_frames));
        let frames = (ready - ready % period).min(u64::from(self.shape.max_period_frames));
        let frames = u32::try_from(frames).unwrap_or(self.shape.period_frames);
        self.run.position += u64::from(frames);
        self.run.is_early = false;
        let leader = self.playback.as_ref().or(self.capture.as_ref());
        let moved = self.run.base + leader.map_or(0, |lane| lane.moved);
        // The hardware is past the end of this period by what it moved since.
        let past = frames_to_ns(moved.saturating_sub(self.run.position), rate);
        self.run.at_ns = now.saturating_sub(past).max(self.run.at_ns + 1).min(now);
        self.run.capture_left = if self.capture.is_some() { frames } else { 0 };
        self.run.playback_left = if self.playback.is_some() { frames } else { 0 };
        for lane in self.lanes() {
            lane.new_period();
        }
        let kept = self.shape.period_frames + self.guard_frames;
        let ahead = self.shape.prefill_frames.saturating_sub(kept);
        Period {
            capture_frames: self.run.capture_left,
            playback_frames: self.run.playback_left,
            position_frames: self.run.position,
            at_ns: self.run.at_ns,
            commit_by_ns: self.run.at_ns + frames_to_ns(u64::from(ahead), rate),
            missed_frames: std::mem::take(&mut self.run.missed),
        }
    }

    fn lose(&mut self, code: Code) -> Loss {
        let found = loss(code);
        self.run.lost = Some(found);
        found
    }

    /// Goes on after frames were lost.
    fn recover(&mut self, now: Ns) -> Result<(), Code> {
        let by_packets = self.lanes().any(|lane| matches!(lane.way, Way::Packets(_)));
        if by_packets {
            return self.begin_again();
        }
        // Rings run on, so both directions keep where they lie to each other: jump to the last whole period.
        for lane in self.lanes() {
            match lane.look(now) {
                Ok(()) | Err(Trouble::Xrun) => {}
                Err(Trouble::Code(code)) => return Err(code),
            }
        }
        let moved = self.lanes().map(|lane| lane.moved).min().unwrap_or(0);
        let to = moved - moved % u64::from(self.shape.period_frames);
        let prefill = u64::from(self.shape.prefill_frames);
        if let Some(lane) = &mut self.capture {
            lane.jump(to);
        }
        if let Some(lane) = &mut self.playback {
            lane.jump(to + prefill);
        }
        let position = self.run.base + to;
        self.miss(position.saturating_sub(self.run.position));
        Ok(())
    }

    /// Starts anew from empty packets; the clock tells how much was missed.
    fn begin_again(&mut self) -> Result<(), Code> {
        self.halt();
        self.begin()?;
        let now = self.system.now_ns();
        let missed = ns_to_frames(now.saturating_sub(self.run.at_ns), self.shape.rate).max(1);
        self.miss(missed);
        self.run.base = self.run.position;
        self.run.at_ns = now;
        Ok(())
    }

    fn miss(&mut self, frames: u64) {
        self.run.position += frames;
        let frames = u32::try_from(frames).unwrap_or(u32::MAX);
        self.run.missed = self.run.missed.saturating_add(frames);
    }
}

impl Drop for KsStream {
    fn drop(&mut self) {
        self.halt();
    }
}
