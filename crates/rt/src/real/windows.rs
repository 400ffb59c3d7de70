//! Windows: the performance counter, and waiting on addresses. What a device thread needs besides is in `device_thread`,
//! the time that hosts expect in `host_time`, words that processes share in `ties`.

mod device_thread;
mod host_time;
#[cfg(all(target_env = "gnu", any(target_arch = "x86", target_arch = "x86_64")))]
mod randomness;
mod ties;

pub(super) use device_thread::{DeviceThread, REFUSED};
pub(super) use host_time::host_time_ns;
pub use ties::Tie;
pub(super) use ties::{wait_shared, wake_shared};

use crate::system::{Ns, Woken};
use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

#[link(name = "kernel32")]
unsafe extern "system" {
    fn QueryPerformanceCounter(count: *mut i64) -> i32;
    fn QueryPerformanceFrequency(frequency: *mut i64) -> i32;
    fn LoadLibraryW(name: *const u16) -> *mut c_void;
    fn GetProcAddress(module: *mut c_void, name: *const u8) -> *const c_void;
}

// What `WaitOnAddress` and `WakeByAddressAll` are made of (both wake each other's waiters, `std`'s too): those wait for
// whole milliseconds, these for units of 100 ns.
#[cfg_attr(
    target_arch = "x86",
    link(name = "ntdll", kind = "raw-dylib", import_name_type = "undecorated")
)]
#[cfg_attr(not(target_arch = "x86"), link(name = "ntdll", kind = "raw-dylib"))]
unsafe extern "system" {
    fn RtlWaitOnAddress(
        address: *const c_void,
        compare: *const c_void,
        size: usize,
        timeout: *const i64,
    ) -> i32;
    fn RtlWakeAddressAll(address: *const c_void);
}

fn frequency() -> u64 {
    static FREQUENCY: OnceLock<u64> = OnceLock::new();
    *FREQUENCY.get_or_init(|| {
        let mut frequency = 0;
        // SAFETY: writes one integer of ours.
        unsafe { QueryPerformanceFrequency(&raw mut frequency) };
        u64::try_from(frequency).unwrap_or(1).max(1)
    })
}

pub(super) fn now_ns() -> Ns {
    let mut count = 0;
    // SAFETY: writes one integer of ours.
    unsafe { QueryPerformanceCounter(&raw mut count) };
    let (count, frequency) = (u64::try_from(count).unwrap_or(0), frequency());
    count / frequency * 1_000_000_000 + count % frequency * 1_000_000_000 / frequency
}

pub(super) fn wait(word: &AtomicU32, expected: u32, until: Ns) -> Woken {
    while word.load(Ordering::Acquire) == expected {
        let left_ns = until.saturating_sub(now_ns());
        if left_ns == 0 {
            break;
        }
        // Negative: from now on. Rounded up: returning early would turn the rest into a spin.
        let timeout = i64::try_from(left_ns.div_ceil(100)).map_or(i64::MIN, |units| -units);
        // SAFETY: both addresses hold four bytes that live over the call, the third a number.
        unsafe {
            RtlWaitOnAddress(
                word.as_ptr().cast(),
                ptr::from_ref(&expected).cast(),
                4,
                &raw const timeout,
            )
        };
    }
    if word.load(Ordering::Acquire) == expected { Woken::Time } else { Woken::Word }
}

pub(super) fn wake(word: &AtomicU32) {
    // SAFETY: only the word's address is used.
    unsafe { RtlWakeAddressAll(word.as_ptr().cast()) };
}

/// A function of a library that not every Windows has; null if it is not there. The library stays loaded.
fn procedure(library: &str, name: &CStr) -> *const c_void {
    let library: Vec<u16> = library.encode_utf16().chain([0]).collect();
    // SAFETY: a terminated string.
    let module = unsafe { LoadLibraryW(library.as_ptr()) };
    if module.is_null() {
        return ptr::null();
    }
    // SAFETY: the module is loaded, the name is terminated.
    unsafe { GetProcAddress(module, name.as_ptr().cast()) }
}
