//! What the driver is made of when a host loads it: the machine's own time, its backends, its settings.

use barewire_abi::{Guid, Native, create_with_end};
use barewire_driver::{Driver, NAME, Options, SettingsSource};
use barewire_host::registry::{OWN_CLASS, class_of};
use barewire_rt::{RealSystem, SimulatedSystem, System};
use barewire_settings::{Clock, Sources};
use std::ffi::c_void;
use std::sync::Arc;

/// A driver's object with one reference, which is the host's. `class` says which of the registered entries it is to be;
/// `after` is called when the host has let go of it.
pub(crate) fn object(class: Guid, after: fn()) -> *mut c_void {
    let config = SettingsSource::new(Sources::from_environment());
    let loaded = config.loaded();
    let settings = loaded.settings;
    let system: Arc<dyn System> = match settings.virtual_device.clock {
        Clock::Real => RealSystem::new(),
        Clock::Simulated => SimulatedSystem::new(0),
    };
    let device = barewire_registry::describe(&settings.virtual_device, None);
    let backends =
        barewire_registry::configured(&system, vec![device], &settings.hub, &settings.ks);
    let options = Options { system, backends, config };
    let driver = if class == OWN_CLASS {
        Driver::new(options)
    } else {
        Driver::of_entry(options, &entry_of(class, loaded.profiles))
    };
    create_with_end::<Native, _>(driver, class, after)
}

/// The entry's name, which its class was made of. The registry is not asked: hosts may load the file without it.
fn entry_of(class: Guid, profiles: Vec<String>) -> String {
    let entries = profiles.into_iter().map(|profile| format!("{NAME} {profile}"));
    let of_class = entries.into_iter().find(|entry| class_of(entry) == class);
    of_class.unwrap_or_else(|| class.to_string())
}
