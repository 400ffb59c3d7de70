//! Linux's own PCM interface, straight to the kernel: exclusive by nature, the ring mapped, positions read from the
//! hardware. No alsa-lib, so nothing resamples, mixes or renames behind our back, and nothing has to be installed.
//!
//! `enumerate` lists, `open` negotiates, `stream` runs on two `lane`s, which `settle` measures where they do not start at
//! once; `params` speaks of hardware parameters, `decibel` of where a volume changes nothing, `uapi` is the kernel's layout,
//! `kernel` the system calls behind a trait, so that tests can put a lying kernel in its place.

#![cfg(any(target_os = "linux", test))]

mod decibel;
mod enumerate;
pub mod kernel;
mod lane;
mod open;
mod params;
mod quirks;
mod reserved;
mod settle;
mod stream;
pub mod uapi;

use crate::kernel::Kernel;
use barewire_device::{Backend, DeviceInfo, OpenRequest, Stream};
use barewire_rt::System;
use barewire_types::Result;
use std::sync::Arc;

/// The backend's name in settings and device ids.
pub const NAME: &str = "alsa";

/// All sound cards of this machine.
pub struct AlsaBackend {
    system: Arc<dyn System>,
    kernel: Arc<dyn Kernel>,
    /// Who is asked for a card before it is opened.
    reserve: reserved::Reserve,
}

impl AlsaBackend {
    /// The cards of the kernel that this process runs on.
    #[cfg(target_os = "linux")]
    pub fn new(system: Arc<dyn System>) -> Self {
        Self {
            reserve: reserved::on_the_bus,
            ..Self::with_kernel(system, Arc::new(kernel::RealKernel))
        }
    }

    /// The cards of another kernel, for tests.
    pub fn with_kernel(system: Arc<dyn System>, kernel: Arc<dyn Kernel>) -> Self {
        Self { system, kernel, reserve: reserved::of_nobody }
    }
}

impl Backend for AlsaBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        Ok(enumerate::devices(&*self.kernel))
    }

    fn open(&self, request: &OpenRequest) -> Result<Box<dyn Stream>> {
        let place = enumerate::find(&*self.kernel, &request.id);
        let hold = place.map(|place| (self.reserve)(place.card)).transpose()?.flatten();
        let stream = open::open(&self.system, &self.kernel, request)?;
        Ok(reserved::with(stream, hold))
    }
}
