//! One direction of an open PCM: its ring, how far the hardware is in it and how far we are.

use crate::kernel::{Errno, Pcm, Ring, errno};
use crate::uapi::{MmapStatus, Timespec, state};
use barewire_device::{Layout, Side};
use barewire_rt::{Area, AreaMut};
use barewire_types::Ns;

/// What a look at the hardware told beside its position: when the position was what it is, as exactly as is known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamp {
    /// The monotonic clock's time of `moved`.
    pub(crate) at_ns: Option<Ns>,
}

/// How a lane learns where the hardware is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gauge {
    /// From the kernel's position.
    Position,
    /// The kernel's position runs ahead to what is packed for the wire (USB): from the delay until what was written last
    /// sounds. With no more than so many frames left, nothing can be packed in time.
    Delay {
        /// Frames of a packet.
        packet_frames: u32,
    },
}

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
    /// How the hardware's position is learned.
    pub(crate) gauge: Gauge,
    /// How far the hardware is, counted from `prepare` without wrapping.
    pub(crate) moved: u64,
    /// How far we are, counted from `prepare` without wrapping.
    pub(crate) ours: u64,
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
        gauge: Gauge,
    ) -> Self {
        let pointers = vec![std::ptr::null(); planes.len()];
        let (moved, ours) = (0, 0);
        Self { pcm, ring, planes, side, ring_frames, boundary, gauge, moved, ours, pointers }
    }

    pub(crate) fn rewind(&mut self) {
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

    pub(crate) fn publish(&self) -> Result<(), Errno> {
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

    pub(crate) fn area(&mut self, frames: u32) -> Area<'_> {
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

    pub(crate) fn area_mut(&mut self, frames: u32) -> AreaMut<'_> {
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
    pub(crate) fn advance_in_silence(&mut self, frames: u64) {
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

impl Lane {
    /// Looks where the hardware is; an xrun, a suspend or a loss is an error. `fresh` asks the hardware itself.
    pub(crate) fn look(&mut self, fresh: bool) -> Result<Stamp, Errno> {
        match self.gauge {
            Gauge::Position => {
                let status = self.pcm.status(fresh)?;
                running(status.state)?;
                self.observe(&status);
                Ok(Stamp { at_ns: timestamp_ns(status.tstamp) })
            }
            Gauge::Delay { packet_frames } => {
                let status = self.pcm.full_status()?;
                running(status.state)?;
                #[expect(
                    clippy::useless_conversion,
                    reason = "c_long has 32 bits on 32-bit systems"
                )]
                let left = u64::try_from(i64::from(status.delay)).unwrap_or(0);
                // Not an xrun to the kernel, which sends the rest whenever it comes; to the listener it is a gap.
                if left <= u64::from(packet_frames) && self.ours > 0 {
                    return Err(errno::EPIPE);
                }
                self.moved = self.moved.max(self.ours.saturating_sub(left));
                Ok(Stamp { at_ns: timestamp_ns(status.tstamp) })
            }
        }
    }
}

fn running(told: i32) -> Result<(), Errno> {
    match told {
        state::XRUN => Err(errno::EPIPE),
        state::SUSPENDED => Err(errno::ESTRPIPE),
        state::DISCONNECTED => Err(errno::ENODEV),
        _ => Ok(()),
    }
}

/// A moment; `None` if there never was one.
fn timestamp_ns(time: Timespec) -> Option<Ns> {
    let seconds = Ns::try_from(time.seconds).ok()?;
    let nanoseconds = Ns::try_from(time.nanoseconds).ok()?;
    let ns = seconds * 1_000_000_000 + nanoseconds;
    (ns > 0).then_some(ns)
}
