//! Windows: sections with names that nobody can guess, for this user alone. A section never shrinks; that of a page for readers
//! grants nobody but its maker's own handle the right to write.

use crate::security::{Descriptor, failed, rights, wide};
use barewire_types::{Error, ErrorKind, Result};
use std::hash::{BuildHasher, RandomState};
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use windows_sys::Win32::Foundation::{ERROR_ALREADY_EXISTS, GetLastError, INVALID_HANDLE_VALUE};
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, MEMORY_BASIC_INFORMATION,
    MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile, OpenFileMappingW, PAGE_READWRITE, UnmapViewOfFile,
    VirtualQuery,
};

/// What names begin with: within this session, and ours.
const BEGIN: &str = r"Local\barewire-";
/// The longest name that is believed.
const MOST_NAME: usize = 64;
/// Memory is mapped in pages of this size on every Windows that there is.
const PAGE_BYTES: usize = 4096;

/// What names the memory to another process.
#[derive(Debug)]
pub struct Handle {
    name: String,
    /// The maker's own: the section lives as long as it.
    _section: Option<OwnedHandle>,
}

impl Handle {
    /// As another process told it.
    ///
    /// # Errors
    /// `Malfunction` if it is no name of ours: nothing else of this session is ever opened.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let own = name.strip_prefix(BEGIN).filter(|_| name.len() <= MOST_NAME);
        let is_plain = |c: char| c.is_ascii_hexdigit();
        if !own.is_some_and(|own| !own.is_empty() && own.chars().all(is_plain)) {
            return Err(Error::new(ErrorKind::Malfunction, "the hub names no memory of its own"));
        }
        Ok(Self { name: name.to_owned(), _section: None })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// A mapping; undone when dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    base: *mut u8,
}

impl Mapping {
    pub(super) fn base(&self) -> *mut u8 {
        self.base
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let view = MEMORY_MAPPED_VIEW_ADDRESS { Value: self.base.cast() };
        // SAFETY: mapped by us; whoever uses it holds the block.
        unsafe { UnmapViewOfFile(view) };
    }
}

/// 128 bits from the keys that the system gives each table of std.
fn fresh_name() -> String {
    let [a, b] = [0, 1].map(|n: u32| RandomState::new().hash_one(n));
    format!("{BEGIN}{a:016x}{b:016x}")
}

pub(super) fn create(bytes: usize, for_readers: bool) -> Result<(Mapping, Handle)> {
    const DOING: &str = "memory to be shared";
    let rights = if for_readers { rights::SECTION_READ } else { rights::SECTION };
    let descriptor = Descriptor::own(rights)?;
    let name = fresh_name();
    let length = bytes as u64;
    let low = u32::try_from(length & u64::from(u32::MAX)).unwrap_or(0);
    let high = u32::try_from(length >> 32).unwrap_or(0);
    let attributes = descriptor.attributes();
    // SAFETY: the descriptor and the terminated name live over the call.
    let raw = unsafe {
        CreateFileMappingW(
            INVALID_HANDLE_VALUE,
            &raw const attributes,
            PAGE_READWRITE,
            high,
            low,
            wide(&name).as_ptr(),
        )
    };
    // SAFETY: no argument.
    let is_old = unsafe { GetLastError() } == ERROR_ALREADY_EXISTS;
    if raw.is_null() {
        return Err(failed(DOING));
    }
    // SAFETY: just made, and ours alone.
    let section = unsafe { OwnedHandle::from_raw_handle(raw) };
    if is_old {
        return Err(Error::new(ErrorKind::Denied, "somebody else has made the hub's memory"));
    }
    let mapping = map(&section, bytes, true)?;
    Ok((mapping, Handle { name, _section: Some(section) }))
}

pub(super) fn open(handle: &Handle, bytes: usize, to_write: bool) -> Result<Mapping> {
    // SAFETY: a terminated name.
    let raw = unsafe { OpenFileMappingW(access(to_write), 0, wide(&handle.name).as_ptr()) };
    if raw.is_null() {
        return Err(failed("memory that the hub shares"));
    }
    // SAFETY: just opened, and ours alone. The view keeps the section.
    let section = unsafe { OwnedHandle::from_raw_handle(raw) };
    let mapping = map(&section, 0, to_write)?;
    if bytes_at(mapping.base) != Some(bytes.next_multiple_of(PAGE_BYTES)) {
        let text = "the memory that the hub shares has another size than it told";
        return Err(Error::new(ErrorKind::Malfunction, text));
    }
    touch(&mapping, bytes);
    Ok(mapping)
}

fn access(to_write: bool) -> u32 {
    if to_write { FILE_MAP_READ | FILE_MAP_WRITE } else { FILE_MAP_READ }
}

/// All of the section if `bytes` is 0.
fn map(section: &OwnedHandle, bytes: usize, to_write: bool) -> Result<Mapping> {
    // SAFETY: a section of ours, mapped wherever the system likes; the result is checked.
    let view = unsafe { MapViewOfFile(section.as_raw_handle(), access(to_write), 0, 0, bytes) };
    if view.Value.is_null() {
        return Err(failed("mapping shared memory"));
    }
    let mapping = Mapping { base: view.Value.cast() };
    touch(&mapping, bytes);
    Ok(mapping)
}

/// A page that is first touched on the device thread would be a wait for the kernel.
fn touch(mapping: &Mapping, bytes: usize) {
    for offset in (0..bytes).step_by(PAGE_BYTES) {
        // SAFETY: within the mapping.
        unsafe { mapping.base.wrapping_add(offset).read_volatile() };
    }
}

/// How much is mapped at `base`.
fn bytes_at(base: *mut u8) -> Option<usize> {
    // SAFETY: a structure of integers and pointers.
    let mut about: MEMORY_BASIC_INFORMATION = unsafe { std::mem::zeroed() };
    let room = size_of_val(&about);
    // SAFETY: writes at most `room` bytes.
    let told = unsafe { VirtualQuery(base.cast(), &raw mut about, room) };
    (told != 0).then_some(about.RegionSize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_for_readers_cannot_be_mapped_to_write_nor_memory_of_another_size() {
        let (mapping, handle) = create(5000, true).unwrap();
        let told = Handle::named(handle.name()).unwrap();
        assert!(open(&told, 5000, true).is_err(), "a page for readers was mapped to write");
        let reader = open(&told, 5000, false).unwrap();
        // SAFETY: both are mapped.
        let seen = unsafe {
            mapping.base.wrapping_add(4999).write_volatile(7);
            reader.base.wrapping_add(4999).read_volatile()
        };
        assert_eq!(seen, 7);
        assert!(open(&told, 9000, false).is_err(), "another size than told");
        let (_mapping, handle) = create(4096, false).unwrap();
        assert!(open(&Handle::named(handle.name()).unwrap(), 4096, true).is_ok());
    }

    #[test]
    fn names_that_are_not_ours_are_not_opened() {
        for name in ["", r"Local\", r"Local\barewire-", r"Global\barewire-0", r"Local\barewire-0\x"]
        {
            assert!(Handle::named(name).is_err(), "{name}");
        }
        assert!(Handle::named(&format!("{BEGIN}{}", "0".repeat(60))).is_err());
        assert_ne!(fresh_name(), fresh_name());
        assert!(Handle::named(&fresh_name()).is_ok());
    }
}
