//! Windows: not there yet, and said so.

use crate::memory::Handle;
use barewire_types::{Error, ErrorKind, Result};
use std::path::Path;
use std::time::Duration;

/// One conversation.
#[derive(Debug)]
pub struct Line(());

/// Where the hub waits for conversations.
#[derive(Debug)]
pub struct Door(());

/// Tells when the other side of a line has gone.
#[derive(Debug)]
pub struct Hangup(());

fn missing() -> Error {
    Error::new(ErrorKind::NotFound, "the hub does not run on Windows yet")
        .remedy("let one program at a time use the device")
}

impl Line {
    /// Calls the hub.
    ///
    /// # Errors
    /// Always: there is none yet.
    pub fn call(_: &Path) -> Result<Self> {
        Err(missing())
    }

    /// Whether the other side is this user.
    ///
    /// # Errors
    /// Always.
    pub fn check_user(&self) -> Result<()> {
        Err(missing())
    }

    /// Sends a framed message.
    ///
    /// # Errors
    /// Always.
    pub fn send(&self, _: &[u8], _: &[&Handle]) -> Result<()> {
        Err(missing())
    }

    /// Waits for a message.
    ///
    /// # Errors
    /// Always.
    pub fn receive(&self, _: usize, _: Duration) -> Result<Vec<u8>> {
        Err(missing())
    }

    /// The handles that have come.
    pub fn take_handles(&self) -> Vec<Handle> {
        Vec::new()
    }

    /// Watches for the other side to go.
    ///
    /// # Errors
    /// Always.
    pub fn hangup(&self) -> Result<Hangup> {
        Err(missing())
    }

    /// Ends the conversation for both sides.
    pub fn hang_up(&self) {}
}

impl Hangup {
    /// Waits for it at most so long.
    pub fn wait(&self, _: Duration) -> bool {
        true
    }
}

impl Door {
    /// Waits at `address`.
    ///
    /// # Errors
    /// Always.
    pub fn open(_: &Path) -> Result<Self> {
        Err(missing())
    }

    /// The next conversation.
    ///
    /// # Errors
    /// Always.
    pub fn next(&self, _: Duration) -> Result<Option<Line>> {
        Err(missing())
    }
}
