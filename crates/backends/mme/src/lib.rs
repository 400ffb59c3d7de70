//! The wave functions of Windows (winmm): every endpoint of the system, played and captured in packets through the
//! system's mixer. A last resort: it always opens, it is never exact, and its latency is long; both are said.
//!
//! `enumerate` lists, `open` chooses sizes, `stream` runs one direction, `waves` is winmm behind a trait, so that tests can
//! put a lying one in its place. Two directions are two devices here; `engine::Paired` joins them.

mod enumerate;
mod open;
mod quirks;
mod stream;
pub mod waves;

use crate::waves::Waves;
use barewire_device::{Backend, DeviceInfo, OpenRequest, Stream, Way};
use barewire_rt::System;
use barewire_types::Result;
use std::sync::Arc;

/// The backend's name in settings and device ids.
pub const NAME: &str = "mme";

/// All wave devices of this machine.
pub struct MmeBackend {
    system: Arc<dyn System>,
    waves: Arc<dyn Waves>,
}

impl MmeBackend {
    /// The devices of this Windows.
    #[cfg(windows)]
    pub fn new(system: Arc<dyn System>) -> Self {
        Self::with_waves(system.clone(), Arc::new(waves::Winmm::new(system)))
    }

    /// The devices of another winmm, for tests.
    pub fn with_waves(system: Arc<dyn System>, waves: Arc<dyn Waves>) -> Self {
        Self { system, waves }
    }
}

impl Backend for MmeBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        Ok(enumerate::devices(&*self.waves))
    }

    fn open(&self, request: &OpenRequest) -> Result<Box<dyn Stream>> {
        open::open(&self.system, &*self.waves, request)
    }

    fn way(&self, device: &DeviceInfo) -> Way {
        open::way(device)
    }
}
