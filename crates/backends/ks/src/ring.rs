//! A WaveRT ring: memory that driver and we share, and where the hardware is in it.
//!
//! Everything is counted in bytes from the start of the run: a ring need not hold whole frames, hardware that rounds it to
//! pages does not care how long a frame is.

use crate::ask;
use crate::kernel::{Code, Event, Object, RawHandle, code};
use crate::uapi::{Direction, Request, flag, rtaudio, set};
use barewire_types::Ns;
use std::sync::atomic::{Ordering, fence};

/// How the hardware tells where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A mapped register of 4 or 8 bytes.
    Register(*const u8, u32),
    /// `KSPROPERTY_AUDIO_POSITION`.
    Property,
    /// `KSPROPERTY_RTAUDIO_PACKETCOUNT`: whole halves only.
    PacketCount,
}

/// `KSPROPERTY_RTAUDIO_PACKETCOUNT`.
const PACKETCOUNT: u32 = 9;

/// A mapped ring. The mapping goes with its pin.
pub(crate) struct Ring {
    pub(crate) base: *mut u8,
    pub(crate) bytes: u32,
    /// The mapping needs barriers between samples and positions.
    pub(crate) needs_barrier: bool,
    pub(crate) source: Source,
    pub(crate) direction: Direction,
    pub(crate) bytes_per_second: u64,
    /// Signalled about when the hardware passes the half and the end.
    pub(crate) event: Option<Box<dyn Event>>,
    moved_bytes: u64,
    looked_ns: Ns,
    changed_ns: Ns,
}

// SAFETY: the pointers are to memory that the driver mapped into this process; whoever has the ring uses it alone.
unsafe impl Send for Ring {}

impl Ring {
    /// A ring at its beginning.
    pub(crate) fn new(
        base: *mut u8,
        bytes: u32,
        needs_barrier: bool,
        direction: Direction,
    ) -> Self {
        Self {
            base,
            bytes,
            needs_barrier,
            source: Source::Property,
            direction,
            bytes_per_second: 1,
            event: None,
            moved_bytes: 0,
            looked_ns: 0,
            changed_ns: 0,
        }
    }

    /// The hardware is at the beginning.
    pub(crate) fn rewind(&mut self, now: Ns) {
        self.moved_bytes = 0;
        self.looked_ns = now;
        self.changed_ns = now;
    }

    /// When the hardware last moved, as far as was seen.
    pub(crate) fn changed_ns(&self) -> Ns {
        self.changed_ns
    }

    pub(crate) fn event_handle(&self) -> Option<RawHandle> {
        self.event.as_ref().map(|event| event.handle())
    }

    /// Where in the ring the hardware is. Drivers implement one way or another; the first that answers stays.
    fn told(&mut self, pin: &mut dyn Object) -> Result<u64, Code> {
        let ring = u64::from(self.bytes);
        if let Source::Register(register, width) = self.source {
            // A device that was pulled out reads as all ones: such a place is not in the ring.
            let place = read_register(register, width);
            if place < ring {
                return Ok(place);
            }
            // An end that is told as the ring's length is its beginning; anything else the state call will explain.
            return if place == ring {
                Ok(0)
            } else {
                ask::state(pin).map(|_| self.moved_bytes % ring)
            };
        }
        if self.source == Source::Property {
            match ask::position(pin, self.direction) {
                Ok(place) => return Ok(place % ring),
                Err(error) if code::is_gone(error) => return Err(error),
                Err(_) => self.source = Source::PacketCount,
            }
        }
        let count = ask::word(pin, &Request::property(&set::RTAUDIO, PACKETCOUNT, flag::GET))?;
        Ok(u64::from(count) * (ring / 2) % ring)
    }

    /// Looks where the hardware is; bytes since the start of the run.
    ///
    /// A place in the ring does not tell how often the ring was passed since the last look: time does.
    pub(crate) fn look(&mut self, pin: &mut dyn Object, now: Ns) -> Result<u64, Code> {
        let ring = u64::from(self.bytes);
        let place = self.told(pin)?;
        let step = (place + ring - self.moved_bytes % ring) % ring;
        let passed = |since: Ns| bytes_in(now.saturating_sub(since), self.bytes_per_second);
        let since_look = passed(self.looked_ns);
        self.looked_ns = now;
        let mut moved = step;
        if since_look > step + ring / 2 {
            moved += (since_look - step + ring / 4) / ring * ring;
        } else if step > passed(self.changed_ns) + ring / 2 {
            // Nearly a whole ring ahead of time is a little back: believe none of it.
            moved = 0;
        }
        if moved > 0 {
            self.moved_bytes += moved;
            self.changed_ns = now;
        }
        if self.needs_barrier {
            fence(Ordering::SeqCst);
        }
        Ok(self.moved_bytes)
    }

    /// The place of a byte of the run, and how many follow before the ring wraps.
    fn place(&self, at: u64) -> (usize, usize) {
        let place = at % u64::from(self.bytes);
        let left = u64::from(self.bytes) - place;
        (usize::try_from(place).unwrap_or(0), usize::try_from(left).unwrap_or(0))
    }

    /// Copies `bytes` bytes from `from` into the ring, in one piece or two: wide writes in order, as write-combined memory
    /// wants them.
    ///
    /// # Safety
    /// `from` must be readable for `bytes` bytes; the pin that mapped the ring must be open.
    pub(crate) unsafe fn write(&self, mut at: u64, mut from: *const u8, bytes: usize) {
        let mut left = bytes.min(self.bytes as usize);
        while left > 0 {
            let (place, room) = self.place(at);
            let piece = left.min(room);
            // SAFETY: `place + piece` lies within the ring; the caller's memory holds `left` more bytes.
            unsafe { self.base.add(place).copy_from_nonoverlapping(from, piece) };
            from = from.wrapping_add(piece);
            at += piece as u64;
            left -= piece;
        }
        if self.needs_barrier {
            fence(Ordering::SeqCst);
        }
    }

    /// Copies `bytes` bytes out of the ring.
    ///
    /// # Safety
    /// `to` must be writable for `bytes` bytes; the pin that mapped the ring must be open.
    pub(crate) unsafe fn read(&self, mut at: u64, mut to: *mut u8, bytes: usize) {
        let mut left = bytes.min(self.bytes as usize);
        while left > 0 {
            let (place, room) = self.place(at);
            let piece = left.min(room);
            // SAFETY: `place + piece` lies within the ring; the caller's memory holds `left` more bytes.
            unsafe { to.copy_from_nonoverlapping(self.base.add(place), piece) };
            to = to.wrapping_add(piece);
            at += piece as u64;
            left -= piece;
        }
    }

    /// Silence from one byte of the run to another, at most a ring.
    ///
    /// # Safety
    /// The pin that mapped the ring must be open.
    pub(crate) unsafe fn silence(&self, from: u64, to: u64) {
        let mut at = from.max(to.saturating_sub(u64::from(self.bytes)));
        while at < to {
            let (place, room) = self.place(at);
            let piece = room.min(usize::try_from(to - at).unwrap_or(room));
            // SAFETY: `place + piece` lies within the ring.
            unsafe { self.base.add(place).write_bytes(0, piece) };
            at += piece as u64;
        }
        if self.needs_barrier {
            fence(Ordering::SeqCst);
        }
    }
}

fn bytes_in(ns: Ns, bytes_per_second: u64) -> u64 {
    let bytes = u128::from(ns) * u128::from(bytes_per_second) / 1_000_000_000;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn read_register(register: *const u8, width: u32) -> u64 {
    if width == 64 {
        // SAFETY: the driver mapped an aligned register of this width for the life of the pin, which is open.
        unsafe { register.cast::<u64>().read_volatile() }
    } else {
        // SAFETY: as above.
        u64::from(unsafe { register.cast::<u32>().read_volatile() })
    }
}

/// Takes the driver's register, if it offers one that can be read. One mapping for the pin's life.
pub(crate) fn position_register(pin: &mut dyn Object) -> Option<Source> {
    let mut bytes = [0; 40];
    let request = Request::with_pointer(rtaudio::POSITIONREGISTER, 0);
    ask::property(pin, &request, &mut bytes).ok()?;
    let reply = crate::uapi::Reply(&bytes);
    let (register, width) = (reply.pointer(0)?, reply.word(crate::uapi::POINTER)?);
    let is_usable = register != 0
        && matches!(width, 32 | 64)
        && register % usize::try_from(width / 8).ok()? == 0;
    is_usable.then(|| Source::Register(std::ptr::with_exposed_provenance(register), width))
}
