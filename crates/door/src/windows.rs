//! COM's four exports. Hosts call the first, through COM or directly; `regsvr32` the last two.

mod factory;

use barewire_abi::{Guid, object_count};
use barewire_host::registry::{self, OWN_DESCRIPTION, is_own_class, own_entries};
use barewire_settings::Sources;
use barewire_types::{Error, ErrorKind, Result};
use std::ffi::{OsString, c_void};
use std::os::windows::ffi::OsStringExt;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::ptr;
use windows_sys::Win32::Foundation::{
    CLASS_E_CLASSNOTAVAILABLE, E_ACCESSDENIED, E_POINTER, E_UNEXPECTED, HMODULE, S_FALSE, S_OK,
};
use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN,
    GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT, GetModuleFileNameW, GetModuleHandleExW,
};
use windows_sys::core::HRESULT;

/// `SELFREG_E_CLASS`: what was to be registered could not be.
const NOT_REGISTERED: HRESULT = 0x8004_0201_u32.cast_signed();

/// The class factory of one of our entries. Needs neither COM on this thread nor the registry.
///
/// # Safety
/// `class` and `interface` must point to ids, `place` to room for a pointer.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "system" fn DllGetClassObject(
    class: *const Guid,
    interface: *const Guid,
    place: *mut *mut c_void,
) -> HRESULT {
    if place.is_null() {
        return E_POINTER;
    }
    // SAFETY: room for a pointer, as the caller promised.
    unsafe { place.write_unaligned(ptr::null_mut()) };
    if class.is_null() || interface.is_null() {
        return E_POINTER;
    }
    // SAFETY: ids, as the caller promised.
    let (class, interface) = unsafe { (class.read_unaligned(), interface.read_unaligned()) };
    if !is_own_class(class) {
        return CLASS_E_CLASSNOTAVAILABLE;
    }
    stay();
    let (answer, factory) =
        catch_unwind(|| factory::make(class, interface)).unwrap_or((E_UNEXPECTED, ptr::null_mut()));
    // SAFETY: as above.
    unsafe { place.write_unaligned(factory) };
    answer
}

/// Whether nothing of this module is in use: no object, no factory, no lock, no thread.
#[unsafe(no_mangle)]
pub(crate) extern "system" fn DllCanUnloadNow() -> HRESULT {
    let in_use = object_count() > 0 || factory::count() > 0 || barewire_driver::live_threads() > 0;
    if in_use { S_FALSE } else { S_OK }
}

/// Registers this very file for programs of its kind: "Barewire", and an entry for each profile of the settings.
#[unsafe(no_mangle)]
pub(crate) extern "system" fn DllRegisterServer() -> HRESULT {
    answer(|| {
        let (root, file) = (registry::default_root(), own_file()?);
        let profiles = barewire_settings::Store::new(Sources::from_environment()).load().profiles;
        for name in own_entries(&profiles) {
            registry::register(&root, &name, &file, OWN_DESCRIPTION)?;
        }
        Ok(())
    })
}

/// Takes all our entries for programs of this kind away.
#[unsafe(no_mangle)]
pub(crate) extern "system" fn DllUnregisterServer() -> HRESULT {
    answer(|| registry::unregister_own_kind(&registry::default_root()))
}

fn answer(call: impl FnOnce() -> Result<()> + std::panic::UnwindSafe) -> HRESULT {
    match catch_unwind(call) {
        Ok(Ok(())) => S_OK,
        Ok(Err(error)) if error.kind() == ErrorKind::Denied => E_ACCESSDENIED,
        Ok(Err(_)) => NOT_REGISTERED,
        Err(_) => E_UNEXPECTED,
    }
}

/// Keeps this module loaded for good once an object may be made. Hosts unload it straight after the last release (rs_asio
/// does), with a thread of ours in their callback; and each loading anew takes some of Windows' 1088 places for threads'
/// own data, which std never gives back: a host that looks for drivers often enough would be ended.
fn stay() {
    own_module(GET_MODULE_HANDLE_EX_FLAG_PIN);
}

/// This module, as the loader knows it.
fn own_module(flag: u32) -> Option<HMODULE> {
    let mut module = ptr::null_mut();
    let address: *const u16 = (DllCanUnloadNow as extern "system" fn() -> HRESULT) as *const u16;
    let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | flag;
    // SAFETY: an address of this module in place of a name, and room for the answer.
    let found = unsafe { GetModuleHandleExW(flags, address, &raw mut module) };
    (found != 0).then_some(module)
}

/// The file of this module.
fn own_file() -> Result<PathBuf> {
    /// The longest path of Windows.
    const LONGEST: u32 = 32_767;
    let module = own_module(GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT);
    let unknown = || Error::new(ErrorKind::Bug, "the loader does not know this module");
    let mut name = vec![0_u16; LONGEST as usize + 1];
    // SAFETY: room for as much as is said.
    let length =
        unsafe { GetModuleFileNameW(module.ok_or_else(unknown)?, name.as_mut_ptr(), LONGEST + 1) };
    name.truncate(length as usize);
    if name.is_empty() { Err(unknown()) } else { Ok(OsString::from_wide(&name).into()) }
}
