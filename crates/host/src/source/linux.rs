//! cwASIO's way: the shared object's own factory, and a word that tells the driver which entry it is.

use super::{Apartment, Loaded, owned, unloadable, whole};
use crate::registry::Entry;
use barewire_abi::{Code, Guid};
use barewire_types::{Error, ErrorKind, Result};
use libloading::Library;
use std::ffi::c_void;
use std::path::Path;
use std::ptr;

/// What drivers get as the handle of a window: none.
pub(super) fn window() -> *mut c_void {
    ptr::null_mut()
}

pub(super) fn load_entry(entry: &Entry) -> Result<Loaded> {
    load_file(&entry.driver, Some(&entry.name))
}

pub(super) fn load_file(path: &Path, instance: Option<&str>) -> Result<Loaded> {
    let path = whole(path)?;
    // SAFETY: loading runs the file's initialisers; it was named as a driver by the user or the registry.
    let library = unsafe { Library::new(&path) }.map_err(|error| {
        unloadable(&path, error).remedy("a driver is a shared object for this kind of processor")
    })?;
    // SAFETY: the symbol, if it is there, is cwASIO's factory, a C function without arguments.
    let factory =
        unsafe { library.get::<unsafe extern "C" fn() -> *mut c_void>(c"instantiateDriver") };
    let Ok(factory) = factory else {
        let why = "it is no driver, since it has no function instantiateDriver";
        return Err(unloadable(&path, why));
    };
    // SAFETY: as above.
    let object = unsafe { factory() };
    let driver = owned(&path.display().to_string(), object)?;
    // Only cwASIO's own drivers know the selector; others call it an invalid parameter.
    if let Some(name) = instance
        && driver.set_instance_name(name) == Code::NOT_PRESENT
    {
        let text = format!("{name}: the driver does not find itself registered");
        return Err(Error::new(ErrorKind::NotFound, text).remedy("register it again"));
    }
    Ok(Loaded { driver, library: Some(library) })
}

fn no_com() -> Error {
    Error::new(ErrorKind::Unsupported, "only Windows has COM")
}

pub(super) fn inside<T>(_: Apartment, _: impl FnOnce() -> T) -> Result<T> {
    Err(no_com())
}

pub(super) fn aggregate(_: &Path, _: Option<Guid>) -> Result<(i32, bool)> {
    Err(no_com())
}
