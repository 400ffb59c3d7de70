//! What the driver is made of when a host loads it: the machine's own time, its backends, its settings.

use barewire_abi::{Native, create_with_end};
use barewire_driver::{Driver, Options, SettingsSource};
use barewire_host::registry::OWN_CLASS;
use barewire_rt::{RealSystem, SimulatedSystem, System};
use barewire_settings::{Clock, Sources};
use std::ffi::c_void;
use std::sync::Arc;

/// A driver's object with one reference, which is the host's. `after` is called when the host has let go of it.
pub(crate) fn object(after: fn()) -> *mut c_void {
    let config = SettingsSource::new(Sources::from_environment());
    let settings = config.loaded().settings;
    let system: Arc<dyn System> = match settings.virtual_device.clock {
        Clock::Real => RealSystem::new(),
        Clock::Simulated => SimulatedSystem::new(0),
    };
    let device = barewire_registry::describe(&settings.virtual_device, None);
    let backends =
        barewire_registry::configured(&system, vec![device], &settings.hub, &settings.ks);
    let options = Options { system, backends, config };
    create_with_end::<Native, _>(Driver::new(options), OWN_CLASS, after)
}
