//! Linux: sealed memory without a name. The seals keep its size for good, and on pages for readers forbid every later
//! mapping that writes (`F_SEAL_FUTURE_WRITE`, Linux 5.1).

use barewire_types::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

/// What names the memory to another process.
#[derive(Debug)]
pub struct Handle(OwnedFd);

impl Handle {
    /// The descriptor.
    pub fn fd(&self) -> &OwnedFd {
        &self.0
    }
}

impl From<OwnedFd> for Handle {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

/// A mapping; undone when dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    base: *mut u8,
    bytes: usize,
}

impl Mapping {
    pub(super) fn base(&self) -> *mut u8 {
        self.base
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by us with this length; whoever uses it holds the block.
        unsafe { libc::munmap(self.base.cast(), self.bytes) };
    }
}

fn failed(doing: &str) -> Error {
    Error::from(std::io::Error::last_os_error()).context(doing)
}

const SIZE_SEALS: libc::c_int = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;

pub(super) fn create(bytes: usize, for_readers: bool) -> Result<(Mapping, Handle)> {
    // SAFETY: a terminated name; the result is checked.
    let raw = unsafe {
        libc::memfd_create(c"barewire".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING)
    };
    if raw < 0 {
        return Err(failed("memory to be shared"));
    }
    // SAFETY: just made, and ours alone.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    let length = libc::off_t::try_from(bytes)
        .map_err(|_| Error::new(ErrorKind::NoMemory, format!("{bytes} bytes are too many")))?;
    // SAFETY: a descriptor of ours.
    if unsafe { libc::ftruncate(fd.as_raw_fd(), length) } != 0 {
        return Err(failed("memory to be shared"));
    }
    let mapping = map(&fd, bytes, true)?;
    let last = if for_readers { libc::F_SEAL_FUTURE_WRITE } else { 0 };
    let seals = SIZE_SEALS | last | libc::F_SEAL_SEAL;
    // SAFETY: a descriptor of ours and a number.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
        return Err(failed("sealing memory to be shared"));
    }
    Ok((mapping, Handle(fd)))
}

pub(super) fn open(handle: &Handle, bytes: usize, to_write: bool) -> Result<Mapping> {
    let fd = handle.0.as_raw_fd();
    // SAFETY: a descriptor of ours.
    let seals = unsafe { libc::fcntl(fd, libc::F_GET_SEALS) };
    if seals < 0 || seals & SIZE_SEALS != SIZE_SEALS {
        let text = "the memory that the hub shares could be taken away";
        return Err(Error::new(ErrorKind::Malfunction, text));
    }
    // SAFETY: a structure of integers.
    let mut about: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one structure of ours.
    if unsafe { libc::fstat(fd, &raw mut about) } != 0 {
        return Err(failed("memory that the hub shares"));
    }
    if usize::try_from(about.st_size) != Ok(bytes) {
        let text = "the memory that the hub shares has another size than it told";
        return Err(Error::new(ErrorKind::Malfunction, text));
    }
    map(&handle.0, bytes, to_write)
}

fn map(fd: &OwnedFd, bytes: usize, to_write: bool) -> Result<Mapping> {
    let protection = libc::PROT_READ | if to_write { libc::PROT_WRITE } else { 0 };
    // Filled in at once: a page that is first touched on the device thread would be a wait for the kernel.
    let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
    // SAFETY: a new mapping wherever the kernel likes; the result is checked.
    let base = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, flags, fd.as_raw_fd(), 0) };
    if base == libc::MAP_FAILED {
        return Err(failed("mapping shared memory"));
    }
    Ok(Mapping { base: base.cast(), bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_shrink_the_memory_nor_write_a_page_for_readers() {
        let (_mapping, handle) = create(4096, true).unwrap();
        let fd = handle.fd().as_raw_fd();
        // SAFETY: a descriptor of ours.
        assert_eq!(unsafe { libc::ftruncate(fd, 0) }, -1);
        assert!(open(&handle, 4096, true).is_err(), "a page for readers was mapped to write");
        assert!(open(&handle, 4096, false).is_ok());
        assert!(open(&handle, 8192, false).is_err(), "another size than told");
        // SAFETY: a descriptor of ours; an attempt to write it as a file.
        let written = unsafe { libc::write(fd, b"x".as_ptr().cast(), 1) };
        assert_eq!(written, -1);
    }

    #[test]
    fn memory_that_could_be_taken_away_is_not_mapped() {
        // SAFETY: a terminated name.
        let raw = unsafe { libc::memfd_create(c"x".as_ptr(), libc::MFD_ALLOW_SEALING) };
        // SAFETY: just made.
        let handle = Handle(unsafe { OwnedFd::from_raw_fd(raw) });
        // SAFETY: a descriptor of ours.
        assert_eq!(unsafe { libc::ftruncate(raw, 4096) }, 0);
        assert!(open(&handle, 4096, false).is_err());
    }
}
