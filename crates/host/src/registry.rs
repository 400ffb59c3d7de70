//! Where drivers are registered with the system, so that hosts find them. Each system has its own way.

#[cfg(not(windows))]
mod linux;

#[cfg(not(windows))]
pub use linux::{Listing, default_root, entries, entry, register, unregister};

use std::path::PathBuf;

/// The name under which our own driver is registered unless another is asked for.
pub const OWN_NAME: &str = "Barewire";

/// What hosts show beside [`OWN_NAME`].
pub const OWN_DESCRIPTION: &str = "Barewire: any audio device, bit-perfect";

/// One registered driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name under which it is registered; also what tells instances of one driver apart.
    pub name: String,
    /// The file to load.
    pub driver: PathBuf,
    /// What hosts show, if something is given.
    pub description: Option<String>,
}

impl Entry {
    /// What a person is shown: the description, or the name.
    pub fn title(&self) -> &str {
        self.description.as_deref().unwrap_or(&self.name)
    }
}
