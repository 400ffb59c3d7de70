//! Sound hardware that a JACK server holds: JACK2's or PipeWire's, through the libjack that is installed, loaded when it
//! is first needed, so that neither building nor starting needs it.
//!
//! `library` is libjack, `client` one connection, `turn` the handing over between libjack's thread and ours, `stream` the
//! stream, `open` and `enumerate` what the backend does with them. Not here: anything of PipeWire's own interface.

#![cfg(target_os = "linux")]

mod client;
mod enumerate;
#[cfg(test)]
mod fake;
mod library;
mod open;
mod stream;
mod turn;

use crate::library::Libraries;
use barewire_device::{Backend, DeviceInfo, OpenRequest, Stream};
use barewire_rt::System;
use barewire_types::Result;
use std::sync::Arc;

/// The backend's name in settings and device ids.
pub const NAME: &str = "jack";

/// The one device of a server, as its id spells it.
pub const DEVICE: &str = "system";

/// What the ports of a stream are connected with when it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wiring {
    /// With the hardware's ports, in their order.
    #[default]
    Physical,
    /// Outputs with the inputs of the same number, for measuring and tests.
    Loop,
    /// With the ports of these names, whoever has them.
    Named {
        /// What our inputs are connected with.
        captures: Vec<String>,
        /// What our outputs are connected with.
        plays: Vec<String>,
    },
}

/// The JACK server that this user can reach.
pub struct JackBackend {
    system: Arc<dyn System>,
    wiring: Wiring,
    libraries: Libraries,
}

impl JackBackend {
    /// The server's hardware.
    pub fn new(system: Arc<dyn System>) -> Self {
        Self::with_wiring(system, Wiring::default())
    }

    /// The server, with ports connected in another way.
    pub fn with_wiring(system: Arc<dyn System>, wiring: Wiring) -> Self {
        Self { system, wiring, libraries: library::libraries }
    }
}

impl Backend for JackBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        Ok(enumerate::devices(self.libraries, &self.wiring).into_iter().collect())
    }

    fn open(&self, request: &OpenRequest) -> Result<Box<dyn Stream>> {
        open::open(&self.system, self.libraries, &self.wiring, request)
    }
}
