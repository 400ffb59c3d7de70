//! The two directions of an open stream: [`PlayLine`] hands frames over, [`CaptureLine`] takes packets into a ring of
//! ours and counts every frame that the device captured, lost ones included. `stream` drives them on the device thread.

use crate::service::{Answer, Client, Packet};
use crate::{hresult, quirks};
use barewire_device::Side;
use barewire_dsp::silence;
use barewire_rt::{Area, AreaMut};
use barewire_types::{Ns, RateHz, frames_to_ns, ns_to_frames};

/// The direction that plays.
pub(crate) struct PlayLine {
    pub(crate) client: Box<dyn Client>,
    pub(crate) side: Side,
    /// Frames handed over since the start, silence included.
    pub(crate) written: u64,
    /// The piece that Windows lent, and how far it is filled. Null if none is lent.
    lent: *mut u8,
    lent_frames: u32,
    filled: u32,
}

// SAFETY: the pointer is Windows' memory, used by whoever drives the line and by nobody else.
unsafe impl Send for PlayLine {}

impl PlayLine {
    pub(crate) fn new(client: Box<dyn Client>, side: Side) -> Self {
        let lent = std::ptr::null_mut();
        Self { client, side, written: 0, lent, lent_frames: 0, filled: 0 }
    }

    /// Back to the start. What is lent is given back unplayed: no stream stops with a buffer lent.
    pub(crate) fn rewind(&mut self) {
        if !self.lent.is_null() {
            // Where the device is gone there is nothing to give back.
            let _ = self.client.give(0, false);
        }
        (self.written, self.lent, self.lent_frames, self.filled) = (0, std::ptr::null_mut(), 0, 0);
    }

    /// Has the next `frames` frames lent.
    pub(crate) fn lend(&mut self, frames: u32) -> Answer<()> {
        let lent = self.client.lend(frames)?;
        if lent.is_null() {
            return Err(hresult::BUFFER_ERROR);
        }
        (self.lent, self.lent_frames, self.filled) = (lent, frames, 0);
        Ok(())
    }

    /// What of the lent piece is not filled yet.
    pub(crate) fn rest(&mut self) -> AreaMut<'_> {
        if self.lent.is_null() {
            return AreaMut::EMPTY;
        }
        let (channels, bytes) = (usize::from(self.side.channels), self.side.format.bytes());
        // SAFETY: Windows lent that many frames of this format, until they are given back.
        let whole = unsafe { AreaMut::interleaved(self.lent, channels, bytes, self.lent_frames) };
        whole.part(self.filled, self.lent_frames - self.filled)
    }

    /// `frames` frames were filled; the piece is handed over when it is full.
    pub(crate) fn fill(&mut self, frames: u32) -> Answer<()> {
        self.filled = self.lent_frames.min(self.filled.saturating_add(frames));
        if self.lent.is_null() || self.filled < self.lent_frames {
            return Ok(());
        }
        self.lent = std::ptr::null_mut();
        self.written += u64::from(self.lent_frames);
        self.client.give(std::mem::take(&mut self.lent_frames), false)
    }

    /// Hands over what is lent; what was not filled is silence.
    pub(crate) fn finish(&mut self) -> Answer<()> {
        if self.lent.is_null() {
            return Ok(());
        }
        silence(self.side.format, self.rest());
        self.fill(u32::MAX)
    }

    /// Plays so much silence.
    pub(crate) fn silence(&mut self, frames: u32) -> Answer<()> {
        if frames == 0 {
            return Ok(());
        }
        self.lend(frames)?;
        self.finish()
    }
}

/// Where a captured frame was in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    /// The frame, counted from the start.
    pub(crate) index: u64,
    /// When it was captured.
    pub(crate) at_ns: Ns,
}

/// The direction that captures.
pub(crate) struct CaptureLine {
    pub(crate) client: Box<dyn Client>,
    pub(crate) side: Side,
    ring: Vec<u8>,
    ring_frames: u32,
    /// The next frame to be handed out, and the next to come, counted from the start.
    pub(crate) head: u64,
    pub(crate) tail: u64,
    /// The position that Windows should give the next packet.
    expected: Option<u64>,
    /// Frames before this one were lost, or were dropped because nobody took them.
    pub(crate) gap_end: u64,
    pub(crate) stamp: Option<Stamp>,
    /// Where a full queue loses packets unsaid, so that only times tell.
    overflow: Option<Overflow>,
}

/// A queue of packets that says nothing of what it loses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overflow {
    pub(crate) rate: RateHz,
    /// Frames that it holds.
    pub(crate) queue_frames: u32,
}

/// More packets than any device queues; one that never runs out must not keep the device thread.
const MOST_PACKETS: u32 = 256;

impl CaptureLine {
    pub(crate) fn new(
        client: Box<dyn Client>,
        side: Side,
        ring_frames: u32,
        overflow: Option<Overflow>,
    ) -> Self {
        let bytes = ring_frames as usize * usize::from(side.channels) * side.format.bytes();
        let ring = vec![side.format.silence_byte(); bytes];
        Self {
            client,
            side,
            ring,
            ring_frames,
            head: 0,
            tail: 0,
            expected: None,
            gap_end: 0,
            stamp: None,
            overflow,
        }
    }

    pub(crate) fn rewind(&mut self) {
        (self.head, self.tail, self.gap_end) = (0, 0, 0);
        (self.expected, self.stamp) = (None, None);
    }

    fn frame_bytes(&self) -> usize {
        usize::from(self.side.channels) * self.side.format.bytes()
    }

    /// The place of a frame in the ring, and how many follow without a wrap.
    fn place(&self, index: u64, frames: u32) -> (usize, u32) {
        let at = u32::try_from(index % u64::from(self.ring_frames)).unwrap_or(0);
        (at as usize * self.frame_bytes(), frames.min(self.ring_frames - at))
    }

    /// Takes in all packets there are; how many frames came.
    pub(crate) fn pump(&mut self) -> Answer<u32> {
        let mut came: u32 = 0;
        let mut full = match &self.overflow {
            Some(overflow) => Some(self.client.padding()?).filter(|&n| n >= overflow.queue_frames),
            None => None,
        };
        for _ in 0..MOST_PACKETS {
            let Some(packet) = self.client.packet()? else { break };
            let is_whole = !packet.data.is_null() || packet.is_silent;
            if packet.frames == 0 || packet.frames > self.ring_frames || !is_whole {
                // What no honest driver gives; there is nothing in it for us.
                self.client.take(0)?;
                return Err(hresult::BUFFER_ERROR);
            }
            let is_newest = match &mut full {
                Some(left) => {
                    *left = left.saturating_sub(packet.frames);
                    *left == 0
                }
                None => false,
            };
            self.note_gap(&packet, is_newest);
            if packet.at_ns > 0 {
                self.stamp = Some(Stamp { index: self.tail, at_ns: packet.at_ns });
            }
            let data = if packet.is_silent { std::ptr::null() } else { packet.data };
            self.push(data, packet.frames);
            came = came.saturating_add(packet.frames);
            self.client.take(packet.frames)?;
        }
        Ok(came)
    }

    /// The first packet after a start always says that frames were lost (Microsoft, `AUDCLNT_BUFFERFLAGS`; cpal issue
    /// 1281); drivers' positions begin anywhere.
    fn note_gap(&mut self, packet: &Packet, is_newest_of_full: bool) {
        let Packet { position, frames, is_gap, .. } = *packet;
        let lost = self.expected.map_or(0, |expected| position.saturating_sub(expected));
        let unsaid = if is_newest_of_full { self.lost_by_time(packet) } else { None };
        let lost = unsaid.unwrap_or(lost);
        // Some drivers never set the flag: a jump of a whole packet is a gap all the same.
        if lost > 0 && (is_gap || lost >= u64::from(frames)) {
            let silent = u32::try_from(lost).unwrap_or(u32::MAX).min(self.ring_frames);
            self.tail += lost - u64::from(silent);
            self.push(std::ptr::null(), silent);
            self.gap_end = self.tail;
        }
        self.expected = Some(position + u64::from(frames));
    }

    /// Frames between the last packet and this one, if their times tell.
    fn lost_by_time(&self, packet: &Packet) -> Option<u64> {
        let (overflow, stamp) = (self.overflow?, self.stamp?);
        if packet.at_ns == 0 {
            return None;
        }
        let due_ns = stamp.at_ns + frames_to_ns(self.tail - stamp.index, overflow.rate);
        let late = ns_to_frames(packet.at_ns.saturating_sub(due_ns), overflow.rate);
        Some(quirks::whole_packets(late, packet.frames))
    }

    /// Takes `frames` frames in, silence if `data` is null. The oldest give way.
    fn push(&mut self, data: *const u8, frames: u32) {
        let (frame, byte) = (self.frame_bytes(), self.side.format.silence_byte());
        let mut done = 0;
        while done < frames {
            let (at, piece) = self.place(self.tail, frames - done);
            let room = &mut self.ring[at..at + piece as usize * frame];
            if data.is_null() {
                room.fill(byte);
            } else {
                let from = data.wrapping_add(done as usize * frame);
                // SAFETY: Windows lent `frames` frames at `data`; the ring is ours alone.
                unsafe { std::ptr::copy_nonoverlapping(from, room.as_mut_ptr(), room.len()) };
            }
            self.tail += u64::from(piece);
            done += piece;
        }
        let oldest = self.tail.saturating_sub(u64::from(self.ring_frames));
        if self.head < oldest {
            self.gap_end = self.gap_end.max(oldest);
        }
    }

    /// The frames from `head` on, up to `frames`, without a wrap.
    pub(crate) fn piece(&self, frames: u32) -> Area<'_> {
        let (at, piece) = self.place(self.head, frames);
        let bytes = &self.ring[at..at + piece as usize * self.frame_bytes()];
        Area::from_slice(bytes, usize::from(self.side.channels), self.side.format.bytes())
    }
}
