//! One direction of an open device: a pin, how its memory travels, and the memory of ours that is lent.
//!
//! What is lent is never the driver's memory. A ring may be write-combined, which wants wide writes in order and hardly
//! bears reading; and it vanishes with its pin. So played frames are staged and copied in one go, captured ones are
//! copied out as soon as they are seen.

use crate::ask;
use crate::kernel::{Code, Object, RawHandle};
use crate::packets::{self, Packets};
use crate::ring::Ring;
use crate::uapi::{Direction, Request, rtaudio, state};
use barewire_device::{Loss, Side};
use barewire_rt::{Area, AreaMut, LentMemory, System};
use barewire_types::{Ns, RateHz, ns_to_frames};

/// How memory travels.
pub(crate) enum Way {
    /// A ring that stays.
    Ring(Ring),
    /// Packets that come and go.
    Packets(Packets),
}

/// What a look at the hardware can bring but a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Frames were lost.
    Xrun,
    /// The system said no.
    Code(Code),
}

impl From<Code> for Trouble {
    fn from(code: Code) -> Self {
        Self::Code(code)
    }
}

/// One direction of an open device.
pub(crate) struct Lane {
    // Before the pin, which takes the ring with it.
    pub(crate) way: Way,
    pub(crate) pin: Box<dyn Object>,
    pub(crate) direction: Direction,
    pub(crate) side: Side,
    pub(crate) rate: RateHz,
    /// Played: one period, from its beginning. Captured: the frames up to `moved`, in a circle.
    stage: Option<LentMemory>,
    stage_frames: u32,
    /// `KSSTATE_*`.
    state: u32,
    /// How far the hardware is, in frames since the start of the run.
    pub(crate) moved: u64,
    /// How far we are.
    pub(crate) ours: u64,
    /// Frames by which this direction began before the other; left out, or filled with silence.
    skew: i64,
    /// Frames of this period that were committed.
    committed: u32,
    changed_ns: Ns,
    looked_ns: Ns,
    /// The hardware was where frames belong before they stood there.
    pub(crate) is_late: bool,
}

impl Lane {
    /// A lane that is stopped and has no room yet.
    pub(crate) fn new(
        way: Way,
        pin: Box<dyn Object>,
        direction: Direction,
        side: Side,
        rate: RateHz,
    ) -> Self {
        Self {
            way,
            pin,
            direction,
            side,
            rate,
            // `make_room` brings it, once both directions are known.
            stage: None,
            stage_frames: 0,
            state: state::STOP,
            moved: 0,
            ours: 0,
            skew: 0,
            committed: 0,
            changed_ns: 0,
            looked_ns: 0,
            is_late: false,
        }
    }

    fn frame_bytes(&self) -> usize {
        usize::from(self.side.channels) * self.side.format.bytes()
    }

    fn stage_base(&self) -> *mut u8 {
        self.stage.as_ref().map_or(std::ptr::null_mut(), |stage| stage.plane(0))
    }

    /// Frames that the driver holds at most.
    pub(crate) fn room_frames(&self) -> u32 {
        let bytes = match &self.way {
            Way::Ring(ring) => u64::from(ring.bytes),
            Way::Packets(packets) => u64::from(packets.packet_bytes) * packets.count() as u64,
        };
        u32::try_from(bytes / self.frame_bytes().max(1) as u64).unwrap_or(u32::MAX)
    }

    fn packet_frames(&self) -> u64 {
        match &self.way {
            Way::Ring(_) => 1,
            Way::Packets(packets) => {
                (u64::from(packets.packet_bytes) / self.frame_bytes().max(1) as u64).max(1)
            }
        }
    }

    /// Steps through the states, one by one: drivers refuse to skip.
    fn go(&mut self, to: u32) -> Result<(), Code> {
        while self.state != to {
            let next = if self.state < to { self.state + 1 } else { self.state - 1 };
            ask::set_state(&mut *self.pin, next)?;
            self.state = next;
        }
        Ok(())
    }

    /// Ready to run: silence in the driver's memory, or empty packets.
    pub(crate) fn prepare(&mut self) -> Result<(), Code> {
        self.moved = 0;
        self.ours = 0;
        self.skew = 0;
        self.committed = 0;
        self.is_late = false;
        self.go(state::PAUSE)?;
        match &mut self.way {
            Way::Ring(ring) if self.direction == Direction::Play => {
                let end = u64::from(ring.bytes);
                // SAFETY: the pin is open.
                unsafe { ring.silence(0, end) };
                Ok(())
            }
            Way::Ring(_) => Ok(()),
            Way::Packets(packets) => packets.prime(),
        }
    }

    /// Runs.
    pub(crate) fn run(&mut self, now: Ns) -> Result<(), Code> {
        if let Way::Ring(ring) = &mut self.way {
            ring.rewind(now);
        }
        self.changed_ns = now;
        self.looked_ns = now;
        self.go(state::RUN)
    }

    /// Stops, in order, and gets all memory back.
    pub(crate) fn halt(&mut self, system: &dyn System) {
        // A driver that refuses a step, or is gone, must not keep the others.
        while self.state > state::STOP {
            let next = self.state - 1;
            let _ = ask::set_state(&mut *self.pin, next);
            self.state = next;
            if let (state::PAUSE, Way::Packets(packets)) = (next, &mut self.way)
                && packets.pending() > 0
            {
                packets::reset(&mut *self.pin);
            }
        }
        if let Way::Packets(packets) = &mut self.way {
            packets.take_back(system);
        }
    }

    /// What to wait on, if the driver tells anything.
    pub(crate) fn event(&self) -> Option<RawHandle> {
        match &self.way {
            Way::Ring(ring) => ring.event_handle(),
            Way::Packets(packets) => packets.event(),
        }
    }

    /// When the hardware was last seen to have moved.
    pub(crate) fn changed_ns(&self) -> Ns {
        match &self.way {
            Way::Ring(ring) => ring.changed_ns(),
            Way::Packets(_) => self.changed_ns,
        }
    }

    /// Why the device is lost, if it no longer answers.
    pub(crate) fn is_there(&mut self) -> Result<(), Code> {
        ask::state(&mut *self.pin).map(drop)
    }

    /// Looks where the hardware is, and takes in what was captured.
    pub(crate) fn look(&mut self, now: Ns) -> Result<(), Trouble> {
        let since_look = ns_to_frames(now.saturating_sub(self.looked_ns), self.rate);
        self.looked_ns = now;
        match (&self.way, self.direction) {
            (Way::Ring(_), _) => self.look_at_ring(now),
            (Way::Packets(_), Direction::Play) => self.look_at_played_packets(now),
            (Way::Packets(_), Direction::Capture) => self.look_at_captured_packets(now, since_look),
        }
    }

    fn look_at_ring(&mut self, now: Ns) -> Result<(), Trouble> {
        let (bytes, room) = (self.frame_bytes() as u64, u64::from(self.room_frames()));
        let Way::Ring(ring) = &mut self.way else { return Ok(()) };
        let raw = ring.look(&mut *self.pin, now)? / bytes;
        if self.direction == Direction::Play {
            self.moved = raw;
            return if raw > self.ours { Err(Trouble::Xrun) } else { Ok(()) };
        }
        let to = raw.saturating_add_signed(-self.skew);
        let is_too_much = to.saturating_sub(self.moved) > room
            || to.saturating_sub(self.ours) > u64::from(self.stage_frames);
        if is_too_much {
            self.moved = to;
            return Err(Trouble::Xrun);
        }
        self.gather(to);
        Ok(())
    }

    /// Copies captured frames out of the ring, from `moved` to `to`.
    fn gather(&mut self, to: u64) {
        let bytes = self.frame_bytes();
        let Way::Ring(ring) = &self.way else { return };
        while self.moved < to {
            let at = self.moved % u64::from(self.stage_frames.max(1));
            let left = (to - self.moved).min(u64::from(self.stage_frames) - at);
            let place = self.stage_base().wrapping_add(usize::try_from(at).unwrap_or(0) * bytes);
            let source = self.moved.cast_signed() + self.skew;
            let frames = if source < 0 {
                // Nothing was captured then: this direction began later.
                let frames = left.min(source.unsigned_abs());
                let length = usize::try_from(frames).unwrap_or(0) * bytes;
                // SAFETY: `at + frames` lies within the stage.
                unsafe { place.write_bytes(0, length) };
                frames
            } else {
                let length = usize::try_from(left).unwrap_or(0) * bytes;
                // SAFETY: `at + left` lies within the stage; the pin is open.
                unsafe { ring.read(source.unsigned_abs() * bytes as u64, place, length) };
                left
            };
            self.moved += frames;
        }
    }

    fn look_at_played_packets(&mut self, now: Ns) -> Result<(), Trouble> {
        let frames = self.packet_frames();
        let Way::Packets(packets) = &mut self.way else { return Ok(()) };
        while let Some(outcome) = packets.come_back() {
            outcome?;
            self.moved += frames;
            self.changed_ns = now;
        }
        // With nothing to play the hardware starves.
        if packets.pending() == 0 { Err(Trouble::Xrun) } else { Ok(()) }
    }

    fn look_at_captured_packets(&mut self, now: Ns, since_look: u64) -> Result<(), Trouble> {
        let (bytes, room) = (self.frame_bytes(), u64::from(self.room_frames()));
        let stage = self.stage_base();
        let Way::Packets(packets) = &mut self.way else { return Ok(()) };
        let mut seen = 0;
        // A driver may end requests at once, without data: each packet is looked at once only.
        while seen < packets.count() {
            let Some(outcome) = packets.come_back() else { break };
            seen += 1;
            let mut left = outcome? as usize / bytes.max(1);
            let mut from = packets.returned(1);
            if left > 0 {
                self.changed_ns = now;
            }
            if self.moved - self.ours + left as u64 > u64::from(self.stage_frames) {
                return Err(Trouble::Xrun);
            }
            while left > 0 {
                let at = usize::try_from(self.moved % u64::from(self.stage_frames)).unwrap_or(0);
                let piece = left.min(self.stage_frames as usize - at);
                let to = stage.wrapping_add(at * bytes);
                // SAFETY: `piece` frames are left in the packet, which is ours again, and there is room in the stage.
                unsafe { to.copy_from_nonoverlapping(from, piece * bytes) };
                from = from.wrapping_add(piece * bytes);
                self.moved += piece as u64;
                left -= piece;
            }
            packets.hand_back()?;
        }
        // All of them full and more time gone than they hold: in between the driver had nowhere to put frames.
        let is_dry = seen == packets.count() && since_look > room;
        if is_dry { Err(Trouble::Xrun) } else { Ok(()) }
    }

    /// Says that this direction began `frames` before the other. Once a run, while all is still in the ring.
    pub(crate) fn shift(&mut self, frames: i64) {
        let raw = self.moved;
        if frames == 0 || !matches!(self.way, Way::Ring(_)) {
            return;
        }
        self.skew = frames;
        self.moved = 0;
        self.gather(raw.saturating_add_signed(-frames));
    }

    /// Goes on at frame `to` after frames were lost; what lies before `to` and was not yet played becomes silence.
    pub(crate) fn jump(&mut self, to: u64) {
        let bytes = self.frame_bytes() as u64;
        match self.direction {
            Direction::Play => {
                if let Way::Ring(ring) = &self.way {
                    // SAFETY: the pin is open.
                    unsafe { ring.silence(self.moved * bytes, to * bytes) };
                }
                self.ours = to;
            }
            Direction::Capture => {
                let until = self.moved;
                self.ours = to;
                self.moved = to.min(until);
                self.gather(until);
            }
        }
        self.committed = 0;
    }

    /// The next captured piece, of at most `frames` frames.
    pub(crate) fn area(&self, frames: u32) -> Area<'_> {
        let at = self.ours % u64::from(self.stage_frames.max(1));
        let at = u32::try_from(at).unwrap_or(0);
        let frames = frames.min(self.stage_frames.saturating_sub(at));
        let base = self.stage_base().wrapping_add(at as usize * self.frame_bytes());
        let (channels, bytes) = (usize::from(self.side.channels), self.side.format.bytes());
        // SAFETY: `at + frames` frames lie within the stage.
        unsafe { Area::interleaved(base, channels, bytes, frames) }
    }

    /// The next piece to be played, of at most `frames` frames.
    pub(crate) fn area_mut(&mut self, frames: u32) -> AreaMut<'_> {
        let frames = frames.min(self.stage_frames.saturating_sub(self.committed));
        let base = self.staged();
        let (channels, bytes) = (usize::from(self.side.channels), self.side.format.bytes());
        // SAFETY: `committed + frames` frames lie within the stage, which only this stream writes.
        unsafe { AreaMut::interleaved(base, channels, bytes, frames) }
    }

    fn staged(&self) -> *mut u8 {
        self.stage_base().wrapping_add(self.committed as usize * self.frame_bytes())
    }

    /// A new period begins.
    pub(crate) fn new_period(&mut self) {
        self.committed = 0;
    }

    /// Hands staged frames to the driver.
    pub(crate) fn put(&mut self, frames: u32) -> Result<(), Code> {
        let frames = frames.min(self.stage_frames.saturating_sub(self.committed));
        let (bytes, from) = (self.frame_bytes(), self.staged());
        let packet = self.packet_frames();
        match &mut self.way {
            Way::Ring(ring) => {
                // SAFETY: `frames` frames are staged; the pin is open.
                unsafe { ring.write(self.ours * bytes as u64, from, frames as usize * bytes) };
                self.ours += u64::from(frames);
            }
            Way::Packets(packets) => {
                let (mut from, mut left) = (from, u64::from(frames));
                while left > 0 {
                    let (number, at) = (self.ours / packet, self.ours % packet);
                    let piece = left.min(packet - at);
                    let to = packets.free(number);
                    let length = usize::try_from(piece).unwrap_or(0) * bytes;
                    if !to.is_null() {
                        let to = to.wrapping_add(usize::try_from(at).unwrap_or(0) * bytes);
                        // SAFETY: `at + piece` frames lie within the packet, which is ours; as many are staged.
                        unsafe { to.copy_from_nonoverlapping(from, length) };
                    }
                    from = from.wrapping_add(length);
                    self.ours += piece;
                    left -= piece;
                    if self.ours.is_multiple_of(packet) && !to.is_null() {
                        while let Some(outcome) = packets.come_back() {
                            outcome?;
                            self.moved += packet;
                        }
                        self.is_late |= packets.pending() == 0;
                        packets.hand_over(number)?;
                    }
                }
            }
        }
        self.committed += frames;
        Ok(())
    }

    /// Whether the hardware has passed the latest `frames` frames that were put, as far as a ring goes: it is only asked
    /// when the clock says that it may have come so far.
    pub(crate) fn check(&mut self, frames: u32, now: Ns) -> Result<(), Code> {
        let Way::Ring(ring) = &mut self.way else { return Ok(()) };
        let first = self.ours.saturating_sub(u64::from(frames));
        let passed = ns_to_frames(now.saturating_sub(self.looked_ns), self.rate);
        let ahead = first.saturating_sub(self.moved);
        if passed < ahead - ahead / 4 {
            return Ok(());
        }
        let bytes = usize::from(self.side.channels) * self.side.format.bytes();
        let raw = ring.look(&mut *self.pin, now)? / bytes.max(1) as u64;
        self.is_late |= raw > first;
        Ok(())
    }

    /// Hands silence to the driver.
    pub(crate) fn put_silence(&mut self, frames: u32) -> Result<(), Code> {
        let frames = frames.min(self.stage_frames.saturating_sub(self.committed));
        let length = frames as usize * self.frame_bytes();
        // SAFETY: `committed + frames` frames lie within the stage. Silence of every format here is zeros.
        unsafe { self.staged().write_bytes(0, length) };
        self.put(frames)
    }

    /// Room for periods of up to `frames` frames. Control thread.
    pub(crate) fn make_room(&mut self, frames: u32) -> bool {
        let room = LentMemory::new(1, frames as usize * self.frame_bytes());
        self.stage_frames = if room.is_some() { frames } else { 0 };
        self.stage = room;
        self.stage.is_some()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(event) = match &self.way {
            Way::Ring(ring) => ring.event_handle(),
            Way::Packets(_) => None,
        } {
            let id = rtaudio::UNREGISTER_NOTIFICATION_EVENT;
            // A pin that is gone has forgotten it.
            let _ = ask::property(&mut *self.pin, &Request::with_pointer(id, event), &mut []);
        }
    }
}

/// Which loss a code means.
pub(crate) fn loss(error: Code) -> Loss {
    use crate::kernel::code;
    match error {
        code::BUSY | code::BAD_COMMAND => Loss::Taken,
        code::SEM_TIMEOUT => Loss::Stalled,
        _ if code::is_gone(error) => Loss::Gone,
        _ => Loss::Failed,
    }
}
