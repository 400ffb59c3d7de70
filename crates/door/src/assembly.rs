//! What the driver is made of when a host loads it: the machine's own time, its backends, its settings.

use barewire_abi::{Native, create_with_end};
use barewire_driver::{CLASS, Driver, FixedConfig, Options};
use barewire_rt::{RealSystem, System};
use barewire_virtual::Description;
use std::ffi::c_void;
use std::sync::Arc;

/// A driver's object with one reference, which is the host's. `after` is called when the host has let go of it.
pub(crate) fn object(after: fn()) -> *mut c_void {
    let system: Arc<dyn System> = RealSystem::new();
    let backends = barewire_registry::backends(&system, vec![Description::default()]);
    let config = Arc::new(FixedConfig::default());
    let options = Options { system, backends, config };
    create_with_end::<Native, _>(Driver::new(options), CLASS, after)
}
