//! A device that a hub shares, as a backend: the client's end is a stream like any other.
//!
//! `connect.rs` calls the hub and maps what it gives; `stream.rs` is the client's end of a cycle. There are no quirks,
//! since both ends are ours. A simulator makes a [`HubStream`] without a socket, from the blocks that the hub has made.

#![forbid(unsafe_code)]

mod connect;
mod enumerate;
mod open;
mod stream;

pub use barewire_share::socket::is_there;
pub use connect::{ask_hub, own_name};
pub use stream::{Hand, HubStream, Link, Parts};

use barewire_device::{Backend, DeviceInfo, OpenRequest, Stream};
use barewire_rt::System;
use barewire_types::Result;
use std::path::PathBuf;
use std::sync::Arc;

/// The backend's name in settings and device ids.
pub const NAME: &str = "hub";

/// Starts a hub and returns once it can be called, or why it cannot be started.
pub type Starter = Arc<dyn Fn() -> Result<()> + Send + Sync>;

/// The device of the hub of this user, if there is one.
pub struct HubBackend {
    system: Arc<dyn System>,
    address: PathBuf,
    starter: Option<Starter>,
}

impl HubBackend {
    /// The hub at `address`; if nobody answers there `starter` is asked for one. Control thread.
    pub fn new(system: Arc<dyn System>, address: PathBuf, starter: Option<Starter>) -> Self {
        Self { system, address, starter }
    }
}

impl Backend for HubBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        enumerate::devices(&self.address, self.starter.as_ref())
    }

    fn open(&self, request: &OpenRequest) -> Result<Box<dyn Stream>> {
        open::open(&self.system, &self.address, self.starter.as_ref(), request)
    }
}
