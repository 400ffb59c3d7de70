//! cwASIO's four exports. Hosts need only the first; installers call the last two.

use crate::assembly;
use barewire_host::registry::{self, OWN_CLASS, OWN_DESCRIPTION, OWN_NAME};
use barewire_types::{Error, ErrorKind, Result};
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::ptr;

/// Makes a driver; its reference is the caller's. Null if it cannot be made.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn instantiateDriver() -> *mut c_void {
    catch_unwind(|| assembly::object(OWN_CLASS, stay_if_inhabited)).unwrap_or(ptr::null_mut())
}

/// Does nothing, as a host may expect after the last release: the object is gone by then, and must not be touched. (In
/// cwASIO's own scaffold this counts instances, and unloads the module under the caller's feet.)
#[unsafe(no_mangle)]
pub(crate) extern "C" fn releaseDriver(_object: *mut c_void) {}

/// Registers this very file as `name`, or as "Barewire" if that is null or empty. 0, or an `errno`.
///
/// # Safety
/// `name` must be null or a terminated string.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn registerDriver(name: *const c_char) -> c_int {
    answer(|| {
        // SAFETY: as the caller promised.
        let name = unsafe { text(name) }?;
        let root = registry::default_root();
        registry::register(&root, name, &own_file()?, OWN_DESCRIPTION).map(|_| ())
    })
}

/// Takes the entry `name` away, or "Barewire" if that is null or empty. 0, or an `errno`.
///
/// # Safety
/// `name` must be null or a terminated string.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn unregisterDriver(name: *const c_char) -> c_int {
    answer(|| {
        // SAFETY: as the caller promised.
        let name = unsafe { text(name) }?;
        registry::unregister(&registry::default_root(), name)
    })
}

fn answer(call: impl FnOnce() -> Result<()> + std::panic::UnwindSafe) -> c_int {
    match catch_unwind(call) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => error.code().unwrap_or(match error.kind() {
            ErrorKind::NotFound => libc::ENOENT,
            ErrorKind::Denied => libc::EACCES,
            ErrorKind::Busy => libc::EEXIST,
            ErrorKind::InvalidArgument => libc::EINVAL,
            _ => libc::EIO,
        }),
        Err(_) => libc::EFAULT,
    }
}

/// # Safety
/// `name` must be null or a terminated string.
unsafe fn text<'a>(name: *const c_char) -> Result<&'a str> {
    if name.is_null() {
        return Ok(OWN_NAME);
    }
    // SAFETY: as the caller promised.
    match unsafe { CStr::from_ptr(name) }.to_str() {
        Ok("") => Ok(OWN_NAME),
        Ok(name) => Ok(name),
        Err(_) => Err(Error::new(ErrorKind::InvalidArgument, "the name is no UTF-8")),
    }
}

/// Keeps the module loaded for good if a thread of it could not be waited for: a host may unload it straight after the
/// last release.
fn stay_if_inhabited() {
    if barewire_driver::live_threads() == 0 {
        return;
    }
    let Some(name) = own_name() else { return };
    // SAFETY: a name of the loader's own; the module is only marked, not loaded.
    unsafe { libc::dlopen(name, libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE) };
}

fn own_file() -> Result<PathBuf> {
    let name = own_name()
        .ok_or_else(|| Error::new(ErrorKind::Bug, "the loader does not know this module"))?;
    // SAFETY: a terminated string that lives as long as the module is loaded.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes();
    Ok(PathBuf::from(OsStr::from_bytes(bytes)))
}

/// The file of this module, as the loader knows it.
fn own_name() -> Option<*const c_char> {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    let address: *const c_void = (instantiateDriver as extern "C" fn() -> *mut c_void) as *const _;
    // SAFETY: an address of this module, and room for the answer.
    let found = unsafe { libc::dladdr(address, info.as_mut_ptr()) };
    // SAFETY: zeroed before, and a structure of pointers.
    let info = unsafe { info.assume_init() };
    (found != 0 && !info.dli_fname.is_null()).then_some(info.dli_fname)
}
