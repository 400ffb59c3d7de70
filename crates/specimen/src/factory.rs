//! What Windows' hosts get before an object: a class factory, which is always the same one and makes whatever is asked for.

use crate::faults::{Kind, has};
use crate::object;
use barewire_abi::Guid;
use std::ffi::c_void;

#[repr(C)]
struct Table {
    query_interface: extern "system" fn(*mut c_void, *const Guid, *mut *mut c_void) -> i32,
    add_ref: extern "system" fn(*mut c_void) -> u32,
    release: extern "system" fn(*mut c_void) -> u32,
    create_instance:
        extern "system" fn(*mut c_void, *mut c_void, *const Guid, *mut *mut c_void) -> i32,
    lock_server: extern "system" fn(*mut c_void, i32) -> i32,
}

static TABLE: Table = Table { query_interface, add_ref, release, create_instance, lock_server };

#[repr(transparent)]
struct Factory(&'static Table);

static FACTORY: Factory = Factory(&TABLE);

/// The factory, for any class and interface.
pub(crate) fn give(place: *mut *mut c_void) -> i32 {
    object::put(place, (&raw const FACTORY).cast_mut().cast());
    0
}

extern "system" fn query_interface(_: *mut c_void, _: *const Guid, place: *mut *mut c_void) -> i32 {
    give(place)
}

extern "system" fn add_ref(_: *mut c_void) -> u32 {
    2
}

extern "system" fn release(_: *mut c_void) -> u32 {
    1
}

extern "system" fn create_instance(
    _: *mut c_void,
    outer: *mut c_void,
    _: *const Guid,
    place: *mut *mut c_void,
) -> i32 {
    const NO_AGGREGATION: i32 = 0x8004_0110_u32.cast_signed();
    if !outer.is_null() && !has(Kind::Aggregates) {
        object::put(place, std::ptr::null_mut());
        return NO_AGGREGATION;
    }
    object::put(place, object::make());
    0
}

extern "system" fn lock_server(_: *mut c_void, _: i32) -> i32 {
    0
}

/// Whether this thread is in COM's multithreaded apartment.
pub(crate) fn is_multithreaded() -> bool {
    const MULTITHREADED: i32 = 1;
    #[link(name = "ole32")]
    unsafe extern "system" {
        fn CoGetApartmentType(kind: *mut i32, qualifier: *mut i32) -> i32;
    }
    let (mut kind, mut qualifier) = (0, 0);
    // SAFETY: both places live over the call.
    let answer = unsafe { CoGetApartmentType(&raw mut kind, &raw mut qualifier) };
    answer == 0 && kind == MULTITHREADED
}
