//! An open PCM, or two that the hardware moves together.
//!
//! The ring of each direction is mapped; what is lent is the ring itself. Played frames are kept `prefill` frames ahead
//! of the hardware's position, never more, whatever the ring could hold: that is the latency. The rest of the ring is
//! room for waking late. `lane` is one direction, `settle` finds out how two of them that do not start at once lie.

use crate::kernel::{Errno, Ready, Waiter, errno};
use crate::lane::{Gauge, Lane, Stamp};
use barewire_device::{Loss, Note, Period, Shape, Stream, Wake};
use barewire_rt::{Area, AreaMut, System, Waker};
use barewire_types::{Ns, RateHz, frames_to_ns, ns_to_frames};
use std::sync::Arc;

/// An open PCM.
pub(crate) struct AlsaStream {
    pub(crate) system: Arc<dyn System>,
    pub(crate) waiter: Box<dyn Waiter>,
    pub(crate) capture: Option<Lane>,
    pub(crate) playback: Option<Lane>,
    pub(crate) linked: bool,
    pub(crate) shape: Shape,
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
    /// `position` at which the current `prepare` happened.
    base: u64,
    /// The leading lane's position at `base`.
    origin: u64,
    /// The latest observation: when the device was at `position`.
    at_ns: Ns,
    /// The device began anew; how much was missed meanwhile tells the first period after it.
    is_interrupted: bool,
    playback_is_short: bool,
    capture_left: u32,
    playback_left: u32,
}

impl Stream for AlsaStream {
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
        self.run = Run::default();
        self.begin().map_err(|code| self.lose(code))?;
        self.run.running = true;
        self.run.at_ns = self.system.now_ns();
        Ok(())
    }

    fn stop(&mut self) {
        self.halt();
        self.run.running = false;
    }

    fn wait(&mut self, until: Ns) -> Wake {
        if let Some(loss) = self.run.lost {
            return Wake::Lost(loss);
        }
        if !self.run.running {
            return Wake::Stopped;
        }
        if let Err(code) = self.finish_period() {
            return self.recover(code);
        }
        loop {
            match self.due(false) {
                Ok(Some(period)) => return Wake::Due(period),
                Ok(None) => {}
                Err(code) => return self.recover(code),
            }
            let (descriptor, timer) = self.alarm();
            let ready = self.waiter.wait(descriptor, until.min(timer));
            if ready == Ready::Woken {
                return Wake::Idle;
            }
            match self.due_when_woken() {
                Ok(Some(period)) => return Wake::Due(period),
                Ok(None) if self.system.now_ns() >= until => return Wake::Idle,
                // Ready, yet less than a period: the other direction is not there yet, or the hardware moves in steps of
                // its own. Let a fraction of a period pass rather than spin.
                Ok(None) if ready == Ready::Pcm => self.doze(until),
                Ok(None) => {}
                Err(code) => return self.recover(code),
            }
        }
    }

    fn capture(&mut self) -> Area<'_> {
        let left = self.run.capture_left;
        self.capture.as_mut().map_or(Area::EMPTY, |lane| lane.area(left))
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
        if let Some(lane) = &mut self.playback {
            lane.ours += u64::from(frames);
            // An error here is seen again, and handled, by the next wait.
            let _ = lane.publish();
        }
    }
}

impl AlsaStream {
    pub(crate) fn rate(&self) -> RateHz {
        self.shape.rate
    }

    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.capture.iter().chain(&self.playback)
    }

    fn halt(&self) {
        for lane in self.lanes() {
            // A PCM that is gone or stopped already has nothing to halt.
            let _ = lane.pcm.halt();
        }
    }

    /// Prepares, writes the prefill, starts: capture first, so that no frame is played before it could be captured.
    fn begin(&mut self) -> Result<(), Errno> {
        let linked = self.linked;
        for lane in self.capture.iter_mut().chain(&mut self.playback) {
            lane.rewind();
        }
        for (n, lane) in self.lanes().enumerate() {
            // Preparing one of a linked pair prepares both.
            if n == 0 || !linked {
                lane.pcm.prepare()?;
            }
        }
        if let Some(lane) = &mut self.capture {
            lane.publish()?;
        }
        if let Some(lane) = &mut self.playback {
            lane.advance_in_silence(u64::from(self.shape.prefill_frames));
            lane.publish()?;
        }
        for (n, lane) in self.lanes().enumerate() {
            if n == 0 || !linked {
                lane.pcm.start()?;
            }
        }
        self.run.origin = 0;
        if self.is_settled() {
            self.settle()?;
            self.run.origin = self.capture.as_ref().map_or(0, |lane| lane.ours);
        }
        Ok(())
    }

    /// Whether both directions are moved by the captured one's position, their distance having been measured at the start.
    pub(crate) fn is_settled(&self) -> bool {
        let by_delay = |lane: &Lane| matches!(lane.gauge, Gauge::Delay { .. });
        self.capture.is_some() && self.playback.as_ref().is_some_and(by_delay)
    }

    /// What ends a wait: the descriptor to poll, and a time, since an interrupt may be lost.
    fn alarm(&self) -> (i32, Ns) {
        let period_ns = frames_to_ns(u64::from(self.shape.period_frames), self.rate());
        (self.waited_on(), self.system.now_ns().max(self.run.at_ns) + period_ns * 2)
    }

    /// The descriptor of the direction that has less for us.
    fn waited_on(&self) -> i32 {
        let lane = match (&self.capture, &self.playback) {
            (Some(_), Some(playback)) if self.run.playback_is_short => playback,
            (Some(lane), _) | (None, Some(lane)) => lane,
            (None, None) => return -1,
        };
        lane.pcm.descriptor()
    }

    fn doze(&mut self, until: Ns) {
        let fraction = frames_to_ns(u64::from(self.shape.period_frames), self.rate()) / 8;
        let nap = self.system.now_ns() + fraction.max(50_000);
        let word = std::sync::atomic::AtomicU32::new(0);
        self.system.sleep(&word, 0, nap.min(until));
    }

    /// What the previous period left: unread capture is dropped, unwritten playback becomes silence.
    fn finish_period(&mut self) -> Result<(), Errno> {
        if let Some(lane) = &mut self.capture {
            lane.ours += u64::from(std::mem::take(&mut self.run.capture_left));
            lane.publish()?;
        }
        let left = std::mem::take(&mut self.run.playback_left);
        if let (Some(lane), true) = (&mut self.playback, left > 0) {
            lane.advance_in_silence(u64::from(left));
            lane.publish()?;
        }
        Ok(())
    }

    /// The period that is due, if one is. `fresh` asks the hardware for its position.
    fn due(&mut self, fresh: bool) -> Result<Option<Period>, Errno> {
        let prefill = u64::from(self.shape.prefill_frames);
        let is_settled = self.is_settled();
        let mut ready = u64::MAX;
        let mut stamp = Stamp::default();
        if let Some(lane) = &mut self.capture {
            stamp = lane.look(fresh)?;
            ready = ready.min(lane.moved - lane.ours);
        }
        if let Some(lane) = &mut self.playback {
            let own = lane.look(fresh)?;
            if self.capture.is_none() {
                stamp = own;
            }
            if !is_settled {
                let room = (lane.moved + prefill).saturating_sub(lane.ours);
                self.run.playback_is_short = room < ready;
                ready = ready.min(room);
            }
        }
        let period = u64::from(self.shape.period_frames);
        if ready < period {
            return Ok(None);
        }
        let frames = (ready - ready % period).min(u64::from(self.shape.max_period_frames));
        let frames = u32::try_from(frames).unwrap_or(self.shape.period_frames);
        Ok(Some(self.period(frames, stamp)))
    }

    /// What the interrupt saw bears its own time, which is exact; only if that is not enough is the hardware asked, and then
    /// the time is that of the asking.
    fn due_when_woken(&mut self) -> Result<Option<Period>, Errno> {
        match self.due(false)? {
            Some(period) => Ok(Some(period)),
            None => self.due(true),
        }
    }

    fn period(&mut self, frames: u32, stamp: Stamp) -> Period {
        let rate = self.rate();
        let leader = self.capture.as_ref().or(self.playback.as_ref());
        let moved = leader.map_or(0, |lane| lane.moved.saturating_sub(self.run.origin));
        let seen_ns = stamp.at_ns.unwrap_or_else(|| self.system.now_ns());
        let missed = if std::mem::take(&mut self.run.is_interrupted) {
            self.missed(seen_ns.saturating_sub(frames_to_ns(moved, rate)))
        } else {
            0
        };
        self.run.position += u64::from(frames);
        // The hardware is past the end of this period by what it moved since.
        let past = frames_to_ns((self.run.base + moved).saturating_sub(self.run.position), rate);
        let at = seen_ns.saturating_sub(past);
        self.run.at_ns = at.max(self.run.at_ns + 1);
        self.run.capture_left = if self.capture.is_some() { frames } else { 0 };
        self.run.playback_left = if self.playback.is_some() { frames } else { 0 };
        let ahead = self.shape.prefill_frames.saturating_sub(self.shape.period_frames);
        Period {
            capture_frames: self.run.capture_left,
            playback_frames: self.run.playback_left,
            position_frames: self.run.position,
            at_ns: self.run.at_ns,
            commit_by_ns: self.run.at_ns + frames_to_ns(u64::from(ahead), rate),
            missed_frames: missed,
        }
    }

    /// The device was at `run.origin` at `begun_ns`: counts what passed between the last period and that. When a device
    /// begins anew is known only afterwards, from how far it is: it is asked to start, and does so at the next tick of
    /// `snd-aloop`'s timer, or with USB's first packet.
    fn missed(&mut self, begun_ns: Ns) -> u32 {
        let half_a_frame = frames_to_ns(1, self.rate()) / 2;
        let passed = begun_ns.saturating_sub(self.run.at_ns) + half_a_frame;
        let missed = ns_to_frames(passed, self.rate()).max(1);
        self.run.position += missed;
        self.run.base = self.run.position;
        u32::try_from(missed).unwrap_or(u32::MAX)
    }

    fn lose(&mut self, code: Errno) -> Loss {
        let loss = match code {
            errno::ENODEV | errno::EBADFD | errno::ENXIO | errno::ENOENT => Loss::Gone,
            errno::EBUSY => Loss::Taken,
            _ => Loss::Failed,
        };
        self.run.lost = Some(loss);
        loss
    }

    /// Goes on after an xrun or a suspend, on a frame boundary and from an empty ring, or is lost.
    fn recover(&mut self, code: Errno) -> Wake {
        let again = match code {
            errno::EPIPE | errno::ESTRPIPE => {
                self.halt();
                self.begin()
            }
            other => Err(other),
        };
        if let Err(code) = again {
            return Wake::Lost(self.lose(code));
        }
        self.run.is_interrupted = true;
        Wake::Idle
    }
}
