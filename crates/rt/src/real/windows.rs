//! Windows: the performance counter and `WaitOnAddress`.

#[cfg(target_env = "gnu")]
mod randomness;

use crate::system::{Ns, Woken};
use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

pub(super) const REFUSED: &str = "the multimedia class scheduler refused real-time priority, so other programs may delay the sound; see that the service \"Multimedia Class Scheduler\" is running";

#[link(name = "kernel32")]
unsafe extern "system" {
    fn QueryPerformanceCounter(count: *mut i64) -> i32;
    fn QueryPerformanceFrequency(frequency: *mut i64) -> i32;
    fn LoadLibraryW(name: *const u16) -> *mut c_void;
    fn GetProcAddress(module: *mut c_void, name: *const u8) -> *const c_void;
}

#[link(name = "api-ms-win-core-synch-l1-2-0", kind = "raw-dylib")]
unsafe extern "system" {
    fn WaitOnAddress(
        address: *const c_void,
        compare: *const c_void,
        size: usize,
        milliseconds: u32,
    ) -> i32;
    fn WakeByAddressAll(address: *const c_void);
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
        // Rounded up: returning early would turn the rest into a spin.
        let milliseconds = u32::try_from(left_ns.div_ceil(1_000_000)).unwrap_or(u32::MAX - 1);
        // SAFETY: both addresses hold four bytes that live over the call.
        unsafe {
            WaitOnAddress(word.as_ptr().cast(), ptr::from_ref(&expected).cast(), 4, milliseconds)
        };
    }
    if word.load(Ordering::Acquire) == expected { Woken::Time } else { Woken::Word }
}

pub(super) fn wake(word: &AtomicU32) {
    // SAFETY: only the word's address is used.
    unsafe { WakeByAddressAll(word.as_ptr().cast()) };
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

/// Joins the "Pro Audio" class of the multimedia scheduler, whose library is loaded at run time: not every Windows has it.
pub(super) fn raise_priority() -> bool {
    type Join = unsafe extern "system" fn(task: *const u16, index: *mut u32) -> *mut c_void;
    let join = procedure("avrt.dll", c"AvSetMmThreadCharacteristicsW");
    if join.is_null() {
        return false;
    }
    let task: Vec<u16> = "Pro Audio".encode_utf16().chain([0]).collect();
    // SAFETY: the function of that name has this type.
    let join: Join = unsafe { std::mem::transmute(join) };
    let mut index = 0;
    // SAFETY: a terminated string and one integer of ours.
    !unsafe { join(task.as_ptr(), &raw mut index) }.is_null()
}

/// `WaitOnAddress` knows the threads of one process alone, so words of other processes are looked at in slices.
pub(super) fn wait_shared(words: &[(&AtomicU32, u32)], until: Ns) -> Woken {
    /// The shortest wait that the scheduler knows.
    const SLICE_NS: Ns = 1_000_000;
    let holds = || words.iter().all(|(word, value)| word.load(Ordering::Acquire) == *value);
    while holds() && now_ns() < until {
        let Some(&(word, value)) = words.first() else { break };
        wait(word, value, until.min(now_ns().saturating_add(SLICE_NS)));
    }
    if holds() { Woken::Time } else { Woken::Word }
}

pub(super) fn wake_shared(word: &AtomicU32) {
    wake(word);
}
