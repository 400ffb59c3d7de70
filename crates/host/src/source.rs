//! Where a driver comes from, and the loading of it: a file's factory, Windows' COM, or a driver of this very process.
//! Whoever drives it is in `session`.

#[cfg(not(windows))]
mod linux;
#[cfg(windows)]
mod windows;

#[cfg(not(windows))]
use linux as os;
#[cfg(windows)]
use windows as os;

use crate::refusal::{misbehaved, refusal};
use crate::registry::Entry;
use barewire_abi::{AsioDriver, Code, DriverRef, Guid, Native, create};
use barewire_types::{Error, ErrorKind, Result};
use libloading::Library;
use object::{Object as _, ObjectSegment as _};
use std::ffi::c_void;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a driver comes from. It can be loaded again and again.
#[derive(Clone)]
pub struct Source {
    name: String,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    File(PathBuf),
    Entry(Entry),
    Maker(Arc<dyn Fn() -> *mut c_void + Send + Sync>),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.name).finish()
    }
}

impl Source {
    /// A driver's file, loaded directly: a shared object with cwASIO's exports, on Windows a library with COM's.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { name: path.display().to_string(), kind: Kind::File(path) }
    }

    /// A registered driver: on Windows made by COM, elsewhere told its name.
    pub fn entry(entry: &Entry) -> Self {
        Self { name: entry.name.clone(), kind: Kind::Entry(entry.clone()) }
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

    /// Asks the driver's class factory for an object that is to be a part of another one: the answer, and whether it made one.
    ///
    /// # Errors
    /// If it cannot be loaded, or has no such factory: only Windows has COM.
    pub fn aggregate(&self) -> Result<(i32, bool)> {
        match &self.kind {
            Kind::File(path) => os::aggregate(path, None),
            Kind::Entry(entry) => os::aggregate(&entry.file(), entry.class),
            Kind::Maker(_) => Err(misbehaved(&self.name, "it has no class factory")),
        }
    }

    /// Loads the driver, tells it its name and initialises it.
    pub(crate) fn load(&self) -> Result<Loaded> {
        let loaded = self.unready()?;
        // Some drivers answer with a negative error code where "no" is meant.
        if loaded.driver.init(os::window()) <= 0 {
            return Err(refusal(&loaded.driver, &self.name, "init", Code::NOT_PRESENT));
        }
        Ok(loaded)
    }

    /// Loads the driver and tells it its name.
    pub(crate) fn unready(&self) -> Result<Loaded> {
        match &self.kind {
            Kind::File(path) => os::load_file(path, None),
            Kind::Entry(entry) => os::load_entry(entry),
            Kind::Maker(make) => Ok(Loaded { driver: owned(&self.name, make())?, library: None }),
        }
    }
}

/// What a thread of Windows has to do with COM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apartment {
    /// An apartment of its own: what most hosts have.
    Single,
    /// The apartment of all threads that want none of their own.
    Multi,
}

impl Apartment {
    /// Runs `body` on a new thread that is in this apartment.
    ///
    /// # Errors
    /// If a thread is not let in, or `body` panics; `Unsupported` where there is no COM.
    pub fn inside<T: Send>(self, body: impl FnOnce() -> T + Send) -> Result<T> {
        os::inside(self, body)
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
    let Ok(file) = object::File::parse(&*bytes) else {
        return bytes.starts_with(b"\x7FELF") || bytes.starts_with(b"MZ");
    };
    file.segments().any(|segment| {
        let (begin, size) = segment.file_range();
        begin.saturating_add(size) > bytes.len() as u64
    })
}

/// A file that the loader may be given, by its whole path: else it would be looked for.
fn whole(path: &Path) -> Result<PathBuf> {
    let path =
        std::fs::canonicalize(path).map_err(|error| Error::from(error).context(path.display()))?;
    if is_cut_off(&path) {
        return Err(unloadable(&path, "the file is cut off").remedy("install it again"));
    }
    Ok(path)
}

fn unloadable(path: &Path, why: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{} cannot be loaded: {why}", path.display()))
}
