//! A small driver with a loop from its outputs to its inputs, made straight on the interface's table of functions, and with
//! one fault of choice: what the driver tester is tested with. Without a fault it is the reference that passes everything.
//!
//! `faults` lists what can be wrong, `object` has the interface's methods, `slots` their table, `factory` what Windows' hosts
//! get before an object, `device` the thread that calls for blocks.

mod device;
#[cfg(windows)]
mod factory;
mod faults;
mod future;
mod object;
mod slots;

pub use faults::{FREE_RUNNING, Fault, Kind, VARIABLE};

use std::ffi::c_void;

/// cwASIO's factory.
#[cfg(not(windows))]
#[unsafe(no_mangle)]
pub extern "C" fn instantiateDriver() -> *mut c_void {
    object::make()
}

/// The class factory, whatever class is asked for.
#[cfg(windows)]
#[unsafe(no_mangle)]
pub extern "system" fn DllGetClassObject(
    _: *const barewire_abi::Guid,
    _: *const barewire_abi::Guid,
    place: *mut *mut c_void,
) -> i32 {
    factory::give(place)
}
