//! What wakes a waiter in another process. On Linux a futex is found by the memory that its word lies in, so nothing is to be
//! done. On Windows each side has an event to wait for, and whoever changes a word sets the events that are tied to it.

#[cfg(unix)]
#[path = "wakes/linux.rs"]
mod os;
#[cfg(windows)]
#[path = "wakes/windows.rs"]
mod os;

use crate::Block;
use crate::memory::Handle;
use barewire_types::Result;
use std::sync::Arc;

/// The words of one client's memory, tied to what wakes those who wait on them; undone when dropped.
#[derive(Debug)]
pub struct Ties {
    _all: Option<os::Ties>,
}

impl Ties {
    /// The hub's end: it waits for answers, and wakes the client. Memory of this process alone needs none. Control thread.
    ///
    /// # Errors
    /// What the system says.
    pub fn of_hub(blocks: &[Arc<Block>; 3]) -> Result<Self> {
        let [_, gate, segment] = blocks;
        let all = match (gate.handle(), segment.handle()) {
            (Some(gate), Some(segment)) => Some(os::Ties::of_hub(blocks, gate, segment)?),
            _ => None,
        };
        Ok(Self { _all: all })
    }

    /// The client's end: it waits for cycles, and wakes the hub. Control thread.
    ///
    /// # Errors
    /// What the system says.
    pub fn of_client(blocks: &[Arc<Block>; 3], gate: &Handle, segment: &Handle) -> Result<Self> {
        Ok(Self { _all: Some(os::Ties::of_client(blocks, gate, segment)?) })
    }
}
