//! Where a driver comes from, and the loading of it: a shared object's factory, or a driver of this very process. Whoever
//! drives it is in `session`.

use crate::refusal::{misbehaved, refusal};
use crate::registry::Entry;
use barewire_abi::{AsioDriver, Code, DriverRef, Guid, Native, create};
use barewire_types::{Error, ErrorKind, Result};
use libloading::Library;
use object::{Object as _, ObjectSegment as _};
use std::ffi::c_void;
use std::fmt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;

/// Where a driver comes from. It can be loaded again and again.
#[derive(Clone)]
pub struct Source {
    name: String,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    File { path: PathBuf, instance: Option<String> },
    Maker(Arc<dyn Fn() -> *mut c_void + Send + Sync>),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.name).finish()
    }
}

impl Source {
    /// A shared object with cwASIO's exports.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { name: path.display().to_string(), kind: Kind::File { path, instance: None } }
    }

    /// A registered driver, which is told its name.
    pub fn entry(entry: &Entry) -> Self {
        let path = entry.driver.clone();
        let kind = Kind::File { path, instance: Some(entry.name.clone()) };
        Self { name: entry.name.clone(), kind }
    }

    /// A driver of this process. It is called through its table of functions all the same.
    pub fn in_process<T: AsioDriver>(
        name: impl Into<String>,
        make: impl Fn() -> T + Send + Sync + 'static,
    ) -> Self {
        let maker = move || create::<Native, T>(make(), Guid::IUNKNOWN);
        Self { name: name.into(), kind: Kind::Maker(Arc::new(maker)) }
    }

    /// Whatever `make` makes.
    ///
    /// # Safety
    /// `make` must give null, or an object of the interface in this system's dialect with a reference for the taker.
    pub unsafe fn object(
        name: impl Into<String>,
        make: impl Fn() -> *mut c_void + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), kind: Kind::Maker(Arc::new(make)) }
    }

    /// What it is called in messages: a path, a registered name, or what was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Loads the driver, tells it its name and initialises it.
    pub(crate) fn load(&self) -> Result<Loaded> {
        let loaded = self.unready()?;
        // Some drivers answer with a negative error code where "no" is meant.
        if loaded.driver.init(ptr::null_mut()) <= 0 {
            return Err(refusal(&loaded.driver, &self.name, "init", Code::NOT_PRESENT));
        }
        Ok(loaded)
    }

    /// Loads the driver and tells it its name.
    pub(crate) fn unready(&self) -> Result<Loaded> {
        let loaded = match &self.kind {
            Kind::File { path, .. } => load_file(path)?,
            Kind::Maker(make) => Loaded { driver: owned(&self.name, make())?, library: None },
        };
        if let Kind::File { instance: Some(instance), .. } = &self.kind {
            // Only cwASIO's own drivers know the selector; others call it an invalid parameter.
            if loaded.driver.set_instance_name(instance) == Code::NOT_PRESENT {
                let text = format!("{}: the driver does not find itself registered", self.name);
                return Err(Error::new(ErrorKind::NotFound, text).remedy("register it again"));
            }
        }
        Ok(loaded)
    }
}

/// A loaded driver. The reference is given up before the code is unloaded: fields are dropped in this order.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) driver: DriverRef<Native>,
    pub(crate) library: Option<Library>,
}

fn owned(name: &str, object: *mut c_void) -> Result<DriverRef<Native>> {
    // SAFETY: a factory of the interface gives null or an object of this system's dialect.
    unsafe { DriverRef::from_raw(object) }
        .ok_or_else(|| misbehaved(name, "its factory gave no driver"))
}

/// Whether a shared object's segments reach beyond its end. The loader would map them all the same, and the process be
/// ended by a bus error when they are touched.
fn is_cut_off(path: &Path) -> bool {
    let Ok(bytes) = std::fs::read(path) else { return false };
    // Tables that cannot be read lie beyond the end too. What is no such file at all the loader refuses by itself.
    let Ok(file) = object::File::parse(&*bytes) else { return bytes.starts_with(b"\x7FELF") };
    file.segments().any(|segment| {
        let (begin, size) = segment.file_range();
        begin.saturating_add(size) > bytes.len() as u64
    })
}

fn load_file(path: &Path) -> Result<Loaded> {
    // An absolute path, so that the loader does not search for a name without a slash.
    let path =
        std::fs::canonicalize(path).map_err(|error| Error::from(error).context(path.display()))?;
    let unloadable = |error: &dyn fmt::Display| {
        let text = format!("{} cannot be loaded: {error}", path.display());
        Error::new(ErrorKind::Unsupported, text)
    };
    if is_cut_off(&path) {
        let error = unloadable(&"the file is cut off");
        return Err(error.remedy("install it again"));
    }
    // SAFETY: loading runs the file's initialisers; it was named as a driver by the user or the registry.
    let library = unsafe { Library::new(&path) }.map_err(|error| {
        unloadable(&error).remedy("a driver is a shared object for this kind of processor")
    })?;
    // SAFETY: the symbol, if it is there, is cwASIO's factory, a C function without arguments.
    let factory =
        unsafe { library.get::<unsafe extern "C" fn() -> *mut c_void>(c"instantiateDriver") };
    let Ok(factory) = factory else {
        return Err(unloadable(&"it is no driver, since it has no function instantiateDriver"));
    };
    // SAFETY: as above.
    let object = unsafe { factory() };
    let driver = owned(&path.display().to_string(), object)?;
    Ok(Loaded { driver, library: Some(library) })
}
