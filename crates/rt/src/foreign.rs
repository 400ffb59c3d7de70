//! Views of sample memory that a device, a host or another process may touch at any time.
//!
//! Such memory is never a Rust reference: a [`Plane`] is one channel (pointer, step, frames), an [`Area`] is a
//! piece of several channels, interleaved or planar. Only `dsp`'s kernels read or write through them, each
//! sample once. Views made from slices are safe; views of raw memory are made in one `unsafe` place each.

use std::marker::PhantomData;

/// One channel's samples, to be read.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    base: *const u8,
    step_bytes: usize,
    frames: u32,
    memory: PhantomData<&'a u8>,
}

/// One channel's samples, to be written.
#[derive(Debug)]
pub struct PlaneMut<'a> {
    base: *mut u8,
    step_bytes: usize,
    frames: u32,
    memory: PhantomData<&'a mut u8>,
}

/// A piece of several channels, to be read.
#[derive(Clone, Copy, Debug)]
pub struct Area<'a> {
    inner: Inner<'a>,
    memory: PhantomData<&'a u8>,
}

/// A piece of several channels, to be written.
#[derive(Debug)]
pub struct AreaMut<'a> {
    inner: Inner<'a>,
    memory: PhantomData<&'a mut u8>,
}

#[derive(Clone, Copy, Debug)]
struct Inner<'a> {
    bases: Bases<'a>,
    sample_bytes: usize,
    step_bytes: usize,
    skip_frames: u32,
    frames: u32,
}

#[derive(Clone, Copy, Debug)]
enum Bases<'a> {
    /// Channels at equal distances: interleaved, or planes one behind another.
    Even {
        base: *const u8,
        channels: usize,
        channel_bytes: usize,
    },
    Planar(&'a [*const u8]),
}

// SAFETY: a view is a pointer with a lifetime; whoever made it promised that the memory may be read from any
// thread for that long, as `&[u8]` would.
unsafe impl Send for Plane<'_> {}
// SAFETY: as for `Plane`; a `PlaneMut` is the only writer of ours, as `&mut [u8]` would be.
unsafe impl Send for PlaneMut<'_> {}
// SAFETY: as for `Plane`.
unsafe impl Send for Area<'_> {}
// SAFETY: as for `PlaneMut`.
unsafe impl Send for AreaMut<'_> {}

impl<'a> Plane<'a> {
    /// The samples of `sample_bytes` each that lie one after another in `memory`.
    pub fn from_slice(memory: &'a [u8], sample_bytes: usize) -> Self {
        let frames = memory.len().checked_div(sample_bytes).unwrap_or(0);
        Self {
            base: memory.as_ptr(),
            step_bytes: sample_bytes,
            frames: u32::try_from(frames).unwrap_or(u32::MAX),
            memory: PhantomData,
        }
    }

    /// A view of raw memory.
    ///
    /// # Safety
    /// For `'a`, each of the `frames` samples at `base + n * step_bytes` must be readable. Others may write it
    /// meanwhile; what is then read is theirs to answer for.
    pub const unsafe fn new(base: *const u8, step_bytes: usize, frames: u32) -> Self {
        Self { base, step_bytes, frames, memory: PhantomData }
    }

    /// Where the first sample lies.
    pub const fn as_ptr(&self) -> *const u8 {
        self.base
    }

    /// Bytes from one sample to the next.
    pub const fn step_bytes(&self) -> usize {
        self.step_bytes
    }

    /// How many samples there are.
    pub const fn frames(&self) -> u32 {
        self.frames
    }
}

impl<'a> PlaneMut<'a> {
    /// The samples of `sample_bytes` each that lie one after another in `memory`.
    pub fn from_slice(memory: &'a mut [u8], sample_bytes: usize) -> Self {
        let frames = memory.len().checked_div(sample_bytes).unwrap_or(0);
        Self {
            base: memory.as_mut_ptr(),
            step_bytes: sample_bytes,
            frames: u32::try_from(frames).unwrap_or(u32::MAX),
            memory: PhantomData,
        }
    }

    /// A view of raw memory.
    ///
    /// # Safety
    /// For `'a`, each of the `frames` samples at `base + n * step_bytes` must be writable, and nothing of ours
    /// may hold a reference to them.
    pub const unsafe fn new(base: *mut u8, step_bytes: usize, frames: u32) -> Self {
        Self { base, step_bytes, frames, memory: PhantomData }
    }

    /// Where the first sample lies.
    pub const fn as_ptr(&self) -> *mut u8 {
        self.base
    }

    /// Bytes from one sample to the next.
    pub const fn step_bytes(&self) -> usize {
        self.step_bytes
    }

    /// How many samples there are.
    pub const fn frames(&self) -> u32 {
        self.frames
    }
}

impl Inner<'_> {
    fn channels(&self) -> usize {
        match self.bases {
            Bases::Even { channels, .. } => channels,
            Bases::Planar(planes) => planes.len(),
        }
    }

    fn channel(&self, channel: usize) -> Option<*const u8> {
        let base = match self.bases {
            Bases::Even { base, channels, channel_bytes } if channel < channels => {
                base.wrapping_add(channel * channel_bytes)
            }
            Bases::Even { .. } => return None,
            Bases::Planar(planes) => *planes.get(channel)?,
        };
        Some(base.wrapping_add(self.skip_frames as usize * self.step_bytes))
    }

    fn part(mut self, from: u32, frames: u32) -> Self {
        let from = from.min(self.frames);
        self.skip_frames += from;
        self.frames = (self.frames - from).min(frames);
        self
    }

    const fn interleaved(
        base: *const u8,
        channels: usize,
        sample_bytes: usize,
        frames: u32,
    ) -> Self {
        Self {
            bases: Bases::Even { base, channels, channel_bytes: sample_bytes },
            sample_bytes,
            step_bytes: channels * sample_bytes,
            skip_frames: 0,
            frames,
        }
    }

    const fn planes(
        base: *const u8,
        channels: usize,
        plane_bytes: usize,
        sample_bytes: usize,
        frames: u32,
    ) -> Self {
        Self {
            bases: Bases::Even { base, channels, channel_bytes: plane_bytes },
            sample_bytes,
            step_bytes: sample_bytes,
            skip_frames: 0,
            frames,
        }
    }

    /// Interleaved with one sample a frame is planar too; then a step is a sample in both readings.
    fn is_interleaved(&self) -> bool {
        matches!(self.bases, Bases::Even { channels, channel_bytes, .. }
            if channel_bytes == self.sample_bytes && self.step_bytes == channels * self.sample_bytes)
    }
}

fn whole_frames(bytes: usize, frame_bytes: usize) -> u32 {
    u32::try_from(bytes.checked_div(frame_bytes).unwrap_or(0)).unwrap_or(u32::MAX)
}

macro_rules! area {
    ($area:ident, $plane:ident, $slice:ty, $as_ptr:ident, $ptr:ty, $verb:literal) => {
        impl<'a> $area<'a> {
            /// Nothing: no channel, no frame.
            pub const EMPTY: Self = Self {
                inner: Inner {
                    bases: Bases::Planar(&[]),
                    sample_bytes: 1,
                    step_bytes: 1,
                    skip_frames: 0,
                    frames: 0,
                },
                memory: PhantomData,
            };

            /// The whole frames of `channels` samples of `sample_bytes` each that lie in `memory`, interleaved.
            pub fn from_slice(memory: $slice, channels: usize, sample_bytes: usize) -> Self {
                let frames = whole_frames(memory.len(), channels * sample_bytes);
                let base = memory.$as_ptr();
                Self {
                    inner: Inner::interleaved(base as *const u8, channels, sample_bytes, frames),
                    memory: PhantomData,
                }
            }

            /// An interleaved view of raw memory.
            ///
            /// # Safety
            #[doc = concat!("For `'a`, `frames * channels * sample_bytes` bytes at `base` must be ", $verb, "able; nothing of ours may hold a conflicting reference.")]
            pub const unsafe fn interleaved(
                base: $ptr,
                channels: usize,
                sample_bytes: usize,
                frames: u32,
            ) -> Self {
                Self {
                    inner: Inner::interleaved(base as *const u8, channels, sample_bytes, frames),
                    memory: PhantomData,
                }
            }

            /// The planes of `channels` channels that lie one behind another in `memory`, which they share equally.
            pub fn from_planes(memory: $slice, channels: usize, sample_bytes: usize) -> Self {
                let plane_bytes = memory.len().checked_div(channels).unwrap_or(0);
                let frames = whole_frames(plane_bytes, sample_bytes);
                let base = memory.$as_ptr() as *const u8;
                Self {
                    inner: Inner::planes(base, channels, plane_bytes, sample_bytes, frames),
                    memory: PhantomData,
                }
            }

            /// Planes that lie `plane_bytes` apart.
            ///
            /// # Safety
            #[doc = concat!("For `'a`, `frames * sample_bytes` bytes at `base + n * plane_bytes` must be ", $verb, "able for each channel n; nothing of ours may hold a conflicting reference.")]
            pub const unsafe fn planes(
                base: $ptr,
                channels: usize,
                plane_bytes: usize,
                sample_bytes: usize,
                frames: u32,
            ) -> Self {
                Self {
                    inner: Inner::planes(base as *const u8, channels, plane_bytes, sample_bytes, frames),
                    memory: PhantomData,
                }
            }

            /// A planar view: one pointer a channel.
            ///
            /// # Safety
            #[doc = concat!("For `'a`, `frames * sample_bytes` bytes at each of `planes` must be ", $verb, "able; nothing of ours may hold a conflicting reference.")]
            pub const unsafe fn planar(
                planes: &'a [*const u8],
                sample_bytes: usize,
                frames: u32,
            ) -> Self {
                Self {
                    inner: Inner {
                        bases: Bases::Planar(planes),
                        sample_bytes,
                        step_bytes: sample_bytes,
                        skip_frames: 0,
                        frames,
                    },
                    memory: PhantomData,
                }
            }

            /// Number of channels.
            pub fn channels(&self) -> usize {
                self.inner.channels()
            }

            /// Frames in this piece.
            pub const fn frames(&self) -> u32 {
                self.inner.frames
            }

            /// Bytes of one sample.
            pub const fn sample_bytes(&self) -> usize {
                self.inner.sample_bytes
            }

            /// Where the first frame lies, if the channels are interleaved in one piece of memory.
            pub fn interleaved_base(&self) -> Option<$ptr> {
                self.inner.is_interleaved().then(|| self.inner.channel(0).map(|p| p as $ptr)).flatten()
            }
        }
    };
}

area!(Area, Plane, &'a [u8], as_ptr, *const u8, "read");
area!(AreaMut, PlaneMut, &'a mut [u8], as_mut_ptr, *mut u8, "writ");

impl<'a> Area<'a> {
    /// One channel; empty if there is no such channel.
    pub fn plane(&self, channel: usize) -> Plane<'a> {
        let Some(base) = self.inner.channel(channel) else {
            return Plane::from_slice(&[], 1);
        };
        Plane {
            base,
            step_bytes: self.inner.step_bytes,
            frames: self.inner.frames,
            memory: PhantomData,
        }
    }

    /// The `frames` frames from `from` on, or as many as there are.
    #[must_use]
    pub fn part(self, from: u32, frames: u32) -> Self {
        Self { inner: self.inner.part(from, frames), memory: PhantomData }
    }
}

impl<'a> AreaMut<'a> {
    /// One channel; empty if there is no such channel. The borrow lasts while the plane is used.
    pub fn plane(&mut self, channel: usize) -> PlaneMut<'_> {
        let Some(base) = self.inner.channel(channel) else {
            return PlaneMut::from_slice(&mut [], 1);
        };
        PlaneMut {
            base: base.cast_mut(),
            step_bytes: self.inner.step_bytes,
            frames: self.inner.frames,
            memory: PhantomData,
        }
    }

    /// The `frames` frames from `from` on, or as many as there are.
    #[must_use]
    pub fn part(self, from: u32, frames: u32) -> Self {
        Self { inner: self.inner.part(from, frames), memory: PhantomData }
    }

    /// The same piece for a shorter time.
    pub fn reborrow(&mut self) -> AreaMut<'_> {
        AreaMut { inner: self.inner, memory: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_of_an_interleaved_area_step_over_the_other_channels() {
        let memory: Vec<u8> = (0..24).collect();
        let area = Area::from_slice(&memory, 3, 2);
        assert_eq!((area.channels(), area.frames()), (3, 4));
        let plane = area.part(1, 2).plane(2);
        assert_eq!((plane.step_bytes(), plane.frames()), (6, 2));
        // SAFETY: the plane lies within `memory`.
        assert_eq!(unsafe { *plane.as_ptr() }, 10);
        assert_eq!(area.plane(3).frames(), 0);
    }

    #[test]
    fn a_part_never_reaches_beyond_its_area() {
        let mut memory = [0_u8; 8];
        let area = AreaMut::from_slice(&mut memory, 1, 4);
        assert_eq!(area.part(1, 9).part(5, 1).frames(), 0);
    }
}
