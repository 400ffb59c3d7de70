//! An open PCM, or two that the hardware moves together.
//!
//! The ring of each direction is mapped; what is lent is the ring itself. Played frames are kept `prefill` frames ahead
//! of the hardware's position, never more, whatever the ring could hold: that is the latency. The rest of the ring is
//! room for waking late.

use crate::kernel::{Errno, Pcm, Ready, Ring, Waiter, errno};
use crate::uapi::{MmapStatus, state};
use barewire_device::{Layout, Loss, Note, Period, Shape, Side, Stream, Wake};
use barewire_rt::{Area, AreaMut, System, Waker};
use barewire_types::{Ns, RateHz, frames_to_ns, ns_to_frames};
use std::sync::Arc;

/// One direction of an open PCM.
pub(crate) struct Lane {
    /// The PCM.
    pub(crate) pcm: Box<dyn Pcm>,
    /// Its ring.
    pub(crate) ring: Box<dyn Ring>,
    /// Where each channel begins, if the ring is planar; empty if it is interleaved.
    pub(crate) planes: Vec<usize>,
    /// How samples lie in it.
    pub(crate) side: Side,
    /// Frames that the ring holds.
    pub(crate) ring_frames: u32,
    /// Where positions wrap.
    pub(crate) boundary: u64,
    /// How far the hardware is, counted from `prepare` without wrapping.
    moved: u64,
    /// How far we are, counted from `prepare` without wrapping.
    ours: u64,
    /// Pointers to the current piece of each plane.
    pointers: Vec<*const u8>,
}

// SAFETY: `pointers` is scratch that points into `ring`, which moves along.
unsafe impl Send for Lane {}

impl Lane {
    /// A lane at position 0.
    pub(crate) fn new(
        pcm: Box<dyn Pcm>,
        ring: Box<dyn Ring>,
        planes: Vec<usize>,
        side: Side,
        ring_frames: u32,
        boundary: u64,
    ) -> Self {
        let pointers = vec![std::ptr::null(); planes.len()];
        Self { pcm, ring, planes, side, ring_frames, boundary, moved: 0, ours: 0, pointers }
    }

    fn rewind(&mut self) {
        self.moved = 0;
        self.ours = 0;
    }

    /// Takes in the hardware's position; it never goes back, and moves by less than a boundary between two looks.
    fn observe(&mut self, status: &MmapStatus) {
        #[expect(clippy::useless_conversion, reason = "c_ulong has 32 bits on 32-bit systems")]
        let seen = u64::from(status.hw_ptr);
        let step = (seen + self.boundary - self.moved % self.boundary) % self.boundary;
        // A position that went back by a little wraps to nearly a whole boundary: believe none of it.
        if step < self.boundary / 2 {
            self.moved += step;
        }
    }

    fn publish(&self) -> Result<(), Errno> {
        self.pcm.publish(self.ours % self.boundary)
    }

    /// Frames until the ring wraps, and where our position lies in it.
    fn contiguous(&self) -> (usize, u32) {
        let at = self.ours % u64::from(self.ring_frames);
        let left = u64::from(self.ring_frames) - at;
        (usize::try_from(at).unwrap_or(0), u32::try_from(left).unwrap_or(0))
    }

    fn sample_bytes(&self) -> usize {
        self.side.format.bytes()
    }

    /// Lets `pointers` show to our position in each plane.
    fn point(&mut self, at: usize) {
        let bytes = self.sample_bytes();
        for (pointer, plane) in self.pointers.iter_mut().zip(&self.planes) {
            *pointer = self.ring.base().wrapping_add(plane + at * bytes).cast_const();
        }
    }

    fn area(&mut self, frames: u32) -> Area<'_> {
        let (at, left) = self.contiguous();
        let (bytes, frames) = (self.sample_bytes(), frames.min(left));
        if self.side.layout == Layout::Planar {
            self.point(at);
            // SAFETY: each plane has `ring_frames` samples in the mapping, of which `at + frames` are used at most.
            return unsafe { Area::planar(&self.pointers, bytes, frames) };
        }
        let channels = usize::from(self.side.channels);
        let base = self.ring.base().wrapping_add(at * channels * bytes);
        // SAFETY: `at + frames` frames lie within the mapping of `ring_frames` frames.
        unsafe { Area::interleaved(base, channels, bytes, frames) }
    }

    fn area_mut(&mut self, frames: u32) -> AreaMut<'_> {
        let (at, left) = self.contiguous();
        let (bytes, frames) = (self.sample_bytes(), frames.min(left));
        if self.side.layout == Layout::Planar {
            self.point(at);
            // SAFETY: as in `area`; only this stream writes what lies ahead of the hardware.
            return unsafe { AreaMut::planar(&self.pointers, bytes, frames) };
        }
        let channels = usize::from(self.side.channels);
        let base = self.ring.base().wrapping_add(at * channels * bytes);
        // SAFETY: as in `area`; only this stream writes what lies ahead of the hardware.
        unsafe { AreaMut::interleaved(base, channels, bytes, frames) }
    }

    /// Fills `frames` frames from our position on with silence and moves on.
    fn advance_in_silence(&mut self, frames: u64) {
        let byte = self.side.format.silence_byte();
        let mut left = frames;
        while left > 0 {
            let piece = u32::try_from(left).unwrap_or(u32::MAX);
            let area = self.area_mut(piece);
            let done = area.frames();
            if done == 0 {
                return;
            }
            write_silence(area, byte);
            self.ours += u64::from(done);
            left -= u64::from(done);
        }
    }
}

/// Silence of every format that a PCM of ours has is one repeated byte.
fn write_silence(mut area: AreaMut<'_>, byte: u8) {
    let (frames, bytes) = (area.frames() as usize, area.sample_bytes());
    for channel in 0..area.channels() {
        let plane = area.plane(channel);
        for frame in 0..frames {
            let sample = plane.as_ptr().wrapping_add(frame * plane.step_bytes());
            // SAFETY: the sample lies within the area that was lent for writing.
            unsafe { sample.write_bytes(byte, bytes) };
        }
    }
}

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
    /// The latest observation: when the device was at `position`.
    at_ns: Ns,
    missed: u32,
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
            match self.waiter.wait(self.waited_on(), until) {
                Ready::Woken => return Wake::Idle,
                Ready::Time => {
                    return match self.due(true) {
                        Ok(Some(period)) => Wake::Due(period),
                        Ok(None) => Wake::Idle,
                        Err(code) => self.recover(code),
                    };
                }
                Ready::Pcm => match self.due(true) {
                    Ok(Some(period)) => return Wake::Due(period),
                    // Ready, yet less than a period: the other direction is not there yet, or the hardware moves in
                    // steps of its own. Let a fraction of a period pass rather than spin.
                    Ok(None) => self.doze(until),
                    Err(code) => return self.recover(code),
                },
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
    fn rate(&self) -> RateHz {
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
        Ok(())
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
        let mut ready = u64::MAX;
        let mut stamp = MmapStatus::default();
        if let Some(lane) = &mut self.capture {
            stamp = look(lane, fresh)?;
            ready = ready.min(lane.moved - lane.ours);
        }
        if let Some(lane) = &mut self.playback {
            let status = look(lane, fresh)?;
            if self.capture.is_none() {
                stamp = status;
            }
            let room = (lane.moved + prefill).saturating_sub(lane.ours);
            self.run.playback_is_short = room < ready;
            ready = ready.min(room);
        }
        let period = u64::from(self.shape.period_frames);
        if ready < period {
            return Ok(None);
        }
        let frames = (ready - ready % period).min(u64::from(self.shape.max_period_frames));
        let frames = u32::try_from(frames).unwrap_or(self.shape.period_frames);
        Ok(Some(self.period(frames, &stamp)))
    }

    fn period(&mut self, frames: u32, stamp: &MmapStatus) -> Period {
        let rate = self.rate();
        self.run.position += u64::from(frames);
        let leader = self.capture.as_ref().or(self.playback.as_ref());
        let moved = self.run.base + leader.map_or(0, |lane| lane.moved);
        // The hardware is past the end of this period by what it moved since.
        let past = frames_to_ns(moved.saturating_sub(self.run.position), rate);
        let at = timestamp_ns(stamp).unwrap_or_else(|| self.system.now_ns()).saturating_sub(past);
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
            missed_frames: std::mem::take(&mut self.run.missed),
        }
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
        let now = self.system.now_ns();
        let missed = ns_to_frames(now.saturating_sub(self.run.at_ns), self.rate()).max(1);
        self.run.position += missed;
        self.run.base = self.run.position;
        self.run.missed = self.run.missed.saturating_add(u32::try_from(missed).unwrap_or(u32::MAX));
        self.run.at_ns = now;
        Wake::Idle
    }
}

/// Looks where the hardware is; an xrun, a suspend or a loss is an error.
fn look(lane: &mut Lane, fresh: bool) -> Result<MmapStatus, Errno> {
    let status = lane.pcm.status(fresh)?;
    match status.state {
        state::XRUN => return Err(errno::EPIPE),
        state::SUSPENDED => return Err(errno::ESTRPIPE),
        state::DISCONNECTED => return Err(errno::ENODEV),
        _ => {}
    }
    lane.observe(&status);
    Ok(status)
}

/// When the kernel read the position; `None` if it never did.
fn timestamp_ns(status: &MmapStatus) -> Option<Ns> {
    let seconds = Ns::try_from(status.tstamp.seconds).ok()?;
    let nanoseconds = Ns::try_from(status.tstamp.nanoseconds).ok()?;
    let ns = seconds * 1_000_000_000 + nanoseconds;
    (ns > 0).then_some(ns)
}
