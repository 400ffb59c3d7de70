//! The one table of backends: which there are on this operating system, the best first. A new backend is one line here.

#![forbid(unsafe_code)]

mod description;

pub use description::describe;

use barewire_device::Backend;
use barewire_rt::System;
use barewire_virtual::{Description, VirtualBackend};
use std::sync::Arc;

/// All backends of this system, the best first. The virtual device is the last resort: it is always there.
pub fn backends(
    system: &Arc<dyn System>,
    virtual_devices: Vec<Description>,
) -> Vec<Arc<dyn Backend>> {
    let mut all: Vec<Arc<dyn Backend>> = Vec::new();
    // Hardware keeps real time; a simulated clock is for the virtual device alone.
    #[cfg(target_os = "linux")]
    if !system.is_simulated() {
        all.push(Arc::new(barewire_alsa::AlsaBackend::new(system.clone())));
        all.push(Arc::new(barewire_jack::JackBackend::new(system.clone())));
    }
    #[cfg(windows)]
    if !system.is_simulated() {
        all.push(Arc::new(barewire_wasapi::WasapiBackend::new(system.clone())));
        all.push(Arc::new(barewire_dsound::DsoundBackend::new(system.clone())));
        all.push(Arc::new(barewire_mme::MmeBackend::new(system.clone())));
    }
    all.push(Arc::new(VirtualBackend::new(system.clone(), virtual_devices)));
    all
}

/// The names of all backends of this system, as settings spell them.
pub fn names() -> Vec<&'static str> {
    vec![
        #[cfg(target_os = "linux")]
        barewire_alsa::NAME,
        #[cfg(target_os = "linux")]
        barewire_jack::NAME,
        #[cfg(windows)]
        barewire_wasapi::NAME,
        #[cfg(windows)]
        barewire_dsound::NAME,
        #[cfg(windows)]
        barewire_mme::NAME,
        barewire_virtual::NAME,
    ]
}
