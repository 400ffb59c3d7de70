//! Class factories: what COM, or a host that goes without it, gets before an object. One is made for each call.

use crate::assembly;
use barewire_abi::{DriverRef, Guid, Native};
use std::ffi::c_void;
use std::panic::catch_unwind;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use windows_sys::Win32::Foundation::{
    CLASS_E_NOAGGREGATION, E_NOINTERFACE, E_POINTER, E_UNEXPECTED, S_OK,
};
use windows_sys::core::HRESULT;

const ICLASS_FACTORY: Guid = Guid { data1: 1, ..Guid::IUNKNOWN };

/// Factories and locks that hosts hold now.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// How many factories and locks hosts hold now.
pub(super) fn count() -> usize {
    HELD.load(Ordering::Acquire)
}

#[repr(C)]
struct Table {
    query_interface:
        unsafe extern "system" fn(*const Factory, *const Guid, *mut *mut c_void) -> HRESULT,
    add_ref: unsafe extern "system" fn(*const Factory) -> u32,
    release: unsafe extern "system" fn(*const Factory) -> u32,
    create_instance: unsafe extern "system" fn(
        *const Factory,
        *mut c_void,
        *const Guid,
        *mut *mut c_void,
    ) -> HRESULT,
    lock_server: unsafe extern "system" fn(*const Factory, i32) -> HRESULT,
}

static TABLE: Table = Table { query_interface, add_ref, release, create_instance, lock_server };

#[repr(C)]
struct Factory {
    /// Callers cast the object's pointer to a pointer to this: it must be first.
    table: &'static Table,
    references: AtomicU32,
    class: Guid,
}

/// A factory of `class` under its interface `interface`, with one reference, which is the caller's.
pub(super) fn make(class: Guid, interface: Guid) -> (HRESULT, *mut c_void) {
    if interface != Guid::IUNKNOWN && interface != ICLASS_FACTORY {
        return (E_NOINTERFACE, ptr::null_mut());
    }
    HELD.fetch_add(1, Ordering::AcqRel);
    let factory = Factory { table: &TABLE, references: AtomicU32::new(1), class };
    (S_OK, Box::into_raw(Box::new(factory)).cast())
}

/// # Safety
/// `this` must be a factory of ours, `interface` point to an id and `place` to room for a pointer.
unsafe extern "system" fn query_interface(
    this: *const Factory,
    interface: *const Guid,
    place: *mut *mut c_void,
) -> HRESULT {
    if this.is_null() || interface.is_null() || place.is_null() {
        return E_POINTER;
    }
    // SAFETY: an id, as the caller promised.
    let interface = unsafe { interface.read_unaligned() };
    let is_known = interface == Guid::IUNKNOWN || interface == ICLASS_FACTORY;
    if is_known {
        // SAFETY: a factory of ours, as the caller promised.
        unsafe { add_ref(this) };
    }
    let answer = if is_known { this.cast_mut().cast() } else { ptr::null_mut() };
    // SAFETY: room for a pointer, as the caller promised.
    unsafe { place.write_unaligned(answer) };
    if is_known { S_OK } else { E_NOINTERFACE }
}

/// # Safety
/// `this` must be null or a factory of ours.
unsafe extern "system" fn add_ref(this: *const Factory) -> u32 {
    // SAFETY: as the caller promised.
    let Some(own) = (unsafe { this.as_ref() }) else { return 0 };
    own.references.fetch_add(1, Ordering::Relaxed) + 1
}

/// # Safety
/// `this` must be null or a factory of ours, a reference of which is given up.
unsafe extern "system" fn release(this: *const Factory) -> u32 {
    // SAFETY: as the caller promised.
    let Some(own) = (unsafe { this.as_ref() }) else { return 0 };
    let left = own.references.fetch_sub(1, Ordering::AcqRel) - 1;
    if left == 0 {
        // SAFETY: it came from a box, and the last reference is gone.
        drop(unsafe { Box::from_raw(this.cast_mut()) });
        HELD.fetch_sub(1, Ordering::AcqRel);
    }
    left
}

/// # Safety
/// `this` must be a factory of ours, `interface` point to an id and `place` to room for a pointer.
unsafe extern "system" fn create_instance(
    this: *const Factory,
    outer: *mut c_void,
    interface: *const Guid,
    place: *mut *mut c_void,
) -> HRESULT {
    if place.is_null() {
        return E_POINTER;
    }
    // SAFETY: room for a pointer, as the caller promised.
    unsafe { place.write_unaligned(ptr::null_mut()) };
    // SAFETY: null, or a factory of ours, as the caller promised.
    let Some(own) = (unsafe { this.as_ref() }) else { return E_POINTER };
    if interface.is_null() {
        return E_POINTER;
    }
    if !outer.is_null() {
        return CLASS_E_NOAGGREGATION;
    }
    // SAFETY: an id, as the caller promised.
    let (class, interface) = (own.class, unsafe { interface.read_unaligned() });
    let Ok(object) = catch_unwind(|| assembly::object(class, || ())) else {
        return E_UNEXPECTED;
    };
    // SAFETY: an object of ours, whose one reference this value gives up in the end.
    let Some(own) = (unsafe { DriverRef::<Native>::from_raw(object) }) else {
        return E_UNEXPECTED;
    };
    let Some(asked) = own.query_interface(interface) else { return E_NOINTERFACE };
    // SAFETY: as above; the reference is the host's from now on.
    unsafe { place.write_unaligned(asked.into_raw()) };
    S_OK
}

/// # Safety
/// Touches nothing of the caller's.
unsafe extern "system" fn lock_server(_this: *const Factory, on: i32) -> HRESULT {
    if on != 0 {
        HELD.fetch_add(1, Ordering::AcqRel);
    } else {
        // A lock taken back that nobody took must not count below none.
        let _ = HELD.fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| held.checked_sub(1));
    }
    S_OK
}
