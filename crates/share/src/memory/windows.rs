//! Windows: not there yet, and said so.

use barewire_types::{Error, ErrorKind, Result};

/// What names the memory to another process.
#[derive(Debug)]
pub struct Handle(());

/// A mapping; undone when dropped.
#[derive(Debug)]
pub(super) struct Mapping(());

impl Mapping {
    pub(super) fn base(&self) -> *mut u8 {
        std::ptr::null_mut()
    }
}

fn missing() -> Error {
    Error::new(ErrorKind::Unsupported, "the hub does not run on Windows yet")
        .remedy("let one program at a time use the device")
}

pub(super) fn create(_: usize, _: bool) -> Result<(Mapping, Handle)> {
    Err(missing())
}

pub(super) fn open(_: &Handle, _: usize, _: bool) -> Result<Mapping> {
    Err(missing())
}
