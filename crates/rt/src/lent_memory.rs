//! Memory of ours that a host writes and reads at any time while it has the pointers: never a Rust reference.

use crate::foreign::{Area, AreaMut};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// A cache line, and more than any SIMD load asks for.
const ALIGNMENT: usize = 64;

/// Zeroed memory for `channels` planes of at least `plane_bytes` each, aligned to 64 bytes. Freed when dropped.
#[derive(Debug)]
pub struct LentMemory {
    base: NonNull<u8>,
    layout: Layout,
    channels: usize,
    plane_bytes: usize,
}

// SAFETY: the memory belongs to this value; whoever was lent a pointer has to keep the owner's rules, as with any
// memory of the interface.
unsafe impl Send for LentMemory {}
// SAFETY: views are raw pointers, read and written by kernels alone.
unsafe impl Sync for LentMemory {}

impl LentMemory {
    /// Allocates; `None` if so much cannot be had. Control thread.
    pub fn new(channels: usize, plane_bytes: usize) -> Option<Self> {
        // An odd number of lines between planes, so that equal places of all planes do not share a cache set.
        let lines = plane_bytes.div_ceil(ALIGNMENT) | 1;
        let plane_bytes = lines.checked_mul(ALIGNMENT)?;
        let bytes = plane_bytes.checked_mul(channels)?.max(ALIGNMENT);
        let layout = Layout::from_size_align(bytes, ALIGNMENT).ok()?;
        // SAFETY: the size is not zero.
        let base = unsafe { alloc_zeroed(layout) };
        let base = NonNull::new(base).unwrap_or_else(|| handle_alloc_error(layout));
        Some(Self { base, layout, channels, plane_bytes })
    }

    /// Where the plane of a channel begins; null if there is no such channel.
    pub fn plane(&self, channel: usize) -> *mut u8 {
        if channel >= self.channels {
            return std::ptr::null_mut();
        }
        self.base.as_ptr().wrapping_add(channel * self.plane_bytes)
    }

    /// The first `frames` samples of each plane, or as many as there is room for.
    pub fn area(&self, sample_bytes: usize, frames: u32) -> Area<'_> {
        let frames = frames.min(self.room(sample_bytes));
        // SAFETY: each plane has room for that many samples and lives as long as this value.
        unsafe {
            Area::planes(self.base.as_ptr(), self.channels, self.plane_bytes, sample_bytes, frames)
        }
    }

    /// As `area`, to be written. The host may write as well: what is then there is its own affair.
    pub fn area_mut(&mut self, sample_bytes: usize, frames: u32) -> AreaMut<'_> {
        let frames = frames.min(self.room(sample_bytes));
        // SAFETY: as in `area`; no reference to the memory exists.
        unsafe {
            AreaMut::planes(
                self.base.as_ptr(),
                self.channels,
                self.plane_bytes,
                sample_bytes,
                frames,
            )
        }
    }

    fn room(&self, sample_bytes: usize) -> u32 {
        let room = self.plane_bytes.checked_div(sample_bytes).unwrap_or(0);
        u32::try_from(room).unwrap_or(u32::MAX)
    }
}

impl Drop for LentMemory {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.base.as_ptr(), self.layout) };
    }
}

#[cfg(test)]
mod tests {
    use super::LentMemory;

    #[test]
    fn planes_are_aligned_apart_and_zero() {
        let memory = LentMemory::new(3, 100).unwrap();
        let planes: Vec<usize> = (0..3).map(|n| memory.plane(n) as usize).collect();
        assert!(planes.iter().all(|plane| plane % 64 == 0));
        assert!(planes.windows(2).all(|pair| pair[1] - pair[0] >= 100));
        assert!(memory.plane(3).is_null());
        assert_eq!(memory.area(4, u32::MAX).frames(), 48, "192 bytes: an odd number of lines");
        assert!(LentMemory::new(usize::MAX, 8).is_none());
    }
}
