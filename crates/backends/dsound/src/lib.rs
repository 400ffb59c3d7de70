//! DirectSound: every endpoint of the system, a ring that is written ahead of the play cursor or read behind the read
//! cursor, through the system's mixer. A last resort, as `mme` is: it always opens, it is never exact, and it says so.
//!
//! `enumerate` lists, `open` chooses sizes, `stream` runs one direction, `sounds` is DirectSound behind a trait, so that
//! tests can put a lying one in its place. Two directions are two devices here; `engine::Paired` joins them.

mod enumerate;
mod open;
mod quirks;
pub mod sounds;
mod stream;

use crate::sounds::Sounds;
use barewire_device::{Backend, DeviceInfo, OpenRequest, Stream, Way};
use barewire_rt::System;
use barewire_types::Result;
use std::sync::Arc;

/// The backend's name in settings and device ids.
pub const NAME: &str = "dsound";

/// All DirectSound devices of this machine.
pub struct DsoundBackend {
    system: Arc<dyn System>,
    sounds: Arc<dyn Sounds>,
}

impl DsoundBackend {
    /// The devices of this Windows.
    #[cfg(windows)]
    pub fn new(system: Arc<dyn System>) -> Self {
        Self::with_sounds(system, Arc::new(sounds::DirectSound))
    }

    /// The devices of another DirectSound, for tests.
    pub fn with_sounds(system: Arc<dyn System>, sounds: Arc<dyn Sounds>) -> Self {
        Self { system, sounds }
    }
}

impl Backend for DsoundBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        Ok(enumerate::devices(&*self.sounds))
    }

    fn open(&self, request: &OpenRequest) -> Result<Box<dyn Stream>> {
        open::open(&self.system, &*self.sounds, request)
    }

    fn way(&self, device: &DeviceInfo) -> Way {
        open::way(self.sounds.is_wine(), device)
    }
}
