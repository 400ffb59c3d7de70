//! Memory that tells who writes beside it: a margin of known bytes on both sides, and behind the margins pages that nobody
//! may touch. What is lent to a driver under test lies here. Control thread.

use std::ptr::NonNull;

/// Bytes on either side that are compared: a small overrun is named instead of ending the process.
const MARGIN: usize = 256;
/// What values are aligned to.
const ALIGNMENT: usize = 16;

/// Memory between two margins and two forbidden pages.
#[derive(Debug)]
pub struct Guarded {
    base: NonNull<u8>,
    /// Between the forbidden pages.
    room: usize,
    page: usize,
    offset: usize,
    bytes: usize,
}

// SAFETY: the memory belongs to this value; whoever was lent a pointer keeps the owner's rules.
unsafe impl Send for Guarded {}
// SAFETY: as above; this type's own methods read and write bytes one by one, volatile.
unsafe impl Sync for Guarded {}

/// The margins' byte at a place: it differs from place to place, so that a shifted copy of it is seen too.
#[expect(clippy::cast_possible_truncation, reason = "the low bits are what is wanted")]
fn canary(place: usize) -> u8 {
    (place as u8).wrapping_mul(29) ^ 0xA7
}

impl Guarded {
    /// Room for `bytes`, filled with `fill`; `None` if it cannot be had.
    pub fn new(bytes: usize, fill: u8) -> Option<Self> {
        let page = pages::size();
        let padded = bytes.checked_next_multiple_of(ALIGNMENT)?;
        let room = padded.checked_add(2 * MARGIN)?.checked_next_multiple_of(page)?;
        let base = pages::reserve(room, page)?;
        let offset = page + room - MARGIN - padded;
        let this = Self { base, room, page, offset, bytes };
        for place in page..page + room {
            let inside = (offset..offset + bytes).contains(&place);
            // SAFETY: between the forbidden pages.
            unsafe { this.at(place).write_volatile(if inside { fill } else { canary(place) }) };
        }
        Some(this)
    }

    fn at(&self, place: usize) -> *mut u8 {
        self.base.as_ptr().wrapping_add(place)
    }

    /// Where it begins, aligned to 16 bytes.
    pub fn as_ptr(&self) -> *mut u8 {
        self.at(self.offset)
    }

    /// How much there is between the margins.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing between the margins.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// A copy of what lies there.
    pub fn read(&self) -> Vec<u8> {
        // SAFETY: inside of the room.
        let byte = |place| unsafe { self.at(place).read_volatile() };
        (self.offset..self.offset + self.bytes).map(byte).collect()
    }

    /// Puts `bytes` at `from` as far as they fit.
    pub fn write(&self, from: usize, bytes: &[u8]) {
        for (place, &byte) in (from..self.bytes).zip(bytes) {
            // SAFETY: inside of the room.
            unsafe { self.at(self.offset + place).write_volatile(byte) };
        }
    }

    /// Where the margins were written to, as bytes behind the end (0 is the first) or before the beginning (-1 is the last).
    pub fn stain(&self) -> Option<isize> {
        // SAFETY: between the forbidden pages.
        let clean = |place: &usize| unsafe { self.at(*place).read_volatile() } == canary(*place);
        let end = self.offset + self.bytes;
        let behind = (end..self.page + self.room).find(|place| !clean(place));
        if let Some(place) = behind {
            return Some(place.cast_signed() - end.cast_signed());
        }
        let before = (self.page..self.offset).rev().find(|place| !clean(place))?;
        Some(before.cast_signed() - self.offset.cast_signed())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        pages::free(self.base, self.room, self.page);
    }
}

#[cfg(unix)]
mod pages {
    //! Pages of the system.

    use std::ptr::{self, NonNull};

    pub(super) fn size() -> usize {
        // SAFETY: a question without side effects.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(size).ok().filter(|size| *size > 0).unwrap_or(4096)
    }

    /// `room` bytes between two pages that nobody may touch.
    pub(super) fn reserve(room: usize, page: usize) -> Option<NonNull<u8>> {
        let whole = room.checked_add(2 * page)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: new pages, at no address of ours.
        let base = unsafe { libc::mmap(ptr::null_mut(), whole, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return None;
        }
        let middle = base.cast::<u8>().wrapping_add(page).cast();
        // SAFETY: pages of the mapping just made.
        if unsafe { libc::mprotect(middle, room, libc::PROT_READ | libc::PROT_WRITE) } != 0 {
            // SAFETY: the mapping just made, which nobody else knows.
            unsafe { libc::munmap(base, whole) };
            return None;
        }
        NonNull::new(base.cast())
    }

    pub(super) fn free(base: NonNull<u8>, room: usize, page: usize) {
        // SAFETY: what `reserve` mapped, and its owner is being dropped.
        unsafe { libc::munmap(base.as_ptr().cast(), room + 2 * page) };
    }
}

#[cfg(windows)]
mod pages {
    //! Pages of the system.

    use std::ffi::c_void;
    use std::ptr::{self, NonNull};

    const COMMIT_AND_RESERVE: u32 = 0x3000;
    const RELEASE: u32 = 0x8000;
    const NO_ACCESS: u32 = 1;
    const READ_WRITE: u32 = 4;

    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn VirtualAlloc(address: *mut c_void, size: usize, kind: u32, access: u32) -> *mut c_void;
        fn VirtualProtect(address: *mut c_void, size: usize, access: u32, old: *mut u32) -> i32;
        fn VirtualFree(address: *mut c_void, size: usize, kind: u32) -> i32;
    }

    /// x86 and x64 have no other; on Arm64 a page is as long.
    pub(super) fn size() -> usize {
        4096
    }

    /// `room` bytes between two pages that nobody may touch.
    pub(super) fn reserve(room: usize, page: usize) -> Option<NonNull<u8>> {
        let whole = room.checked_add(2 * page)?;
        // SAFETY: new pages, at no address of ours.
        let base = unsafe { VirtualAlloc(ptr::null_mut(), whole, COMMIT_AND_RESERVE, NO_ACCESS) };
        let base = NonNull::new(base.cast::<u8>())?;
        let middle = base.as_ptr().wrapping_add(page).cast();
        let mut old = 0;
        // SAFETY: pages of the allocation just made, and one integer of ours.
        if unsafe { VirtualProtect(middle, room, READ_WRITE, &raw mut old) } == 0 {
            free(base, room, page);
            return None;
        }
        Some(base)
    }

    pub(super) fn free(base: NonNull<u8>, _room: usize, _page: usize) {
        // SAFETY: what `reserve` allocated, and its owner is being dropped.
        unsafe { VirtualFree(base.as_ptr().cast(), 0, RELEASE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_beside_is_found_and_a_byte_within_is_not() {
        for bytes in [0, 1, 16, 32, 52, 148, 4000, 5000] {
            let memory = Guarded::new(bytes, 0xDB).unwrap();
            assert_eq!(memory.as_ptr().addr() % ALIGNMENT, 0);
            assert_eq!(memory.read(), vec![0xDB; bytes]);
            memory.write(0, &vec![1; bytes + 9]);
            assert_eq!(memory.stain(), None, "{bytes}");
            for place in [0, 1, 200, -1, -200_isize] {
                let memory = Guarded::new(bytes, 0).unwrap();
                let from = if place < 0 { place } else { place + bytes.cast_signed() };
                // SAFETY: in the margins.
                unsafe { memory.as_ptr().wrapping_offset(from).write_volatile(0x55) };
                assert_eq!(memory.stain(), Some(place), "{bytes}");
            }
        }
    }
}
