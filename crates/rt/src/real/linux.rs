//! Linux: `CLOCK_MONOTONIC` and the futex.

pub(super) use crate::priority::REFUSED;
use crate::priority::raise;
use crate::system::{Ns, Woken};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Real-time priority of the calling thread, which ends with it.
pub(super) struct DeviceThread {
    is_raised: bool,
}

impl DeviceThread {
    pub(super) fn prepare() {}

    pub(super) fn enter() -> Self {
        Self { is_raised: raise() }
    }

    pub(super) fn is_raised(&self) -> bool {
        self.is_raised
    }
}

/// Hosts expect the time of `CLOCK_MONOTONIC` (cwASIO).
pub(super) fn host_time_ns(at: Ns) -> Ns {
    at
}

pub(super) fn now_ns() -> Ns {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one structure of ours.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    Ns::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + Ns::try_from(now.tv_nsec).unwrap_or(0)
}

pub(super) fn wait(word: &AtomicU32, expected: u32, until: Ns) -> Woken {
    let deadline = libc::timespec {
        tv_sec: libc::time_t::try_from(until / 1_000_000_000).unwrap_or(libc::time_t::MAX),
        tv_nsec: std::ffi::c_long::try_from(until % 1_000_000_000).unwrap_or(0),
    };
    while word.load(Ordering::Acquire) == expected {
        // SAFETY: the word lives over the call, the deadline too; FUTEX_WAIT_BITSET takes an absolute time of
        // CLOCK_MONOTONIC, and sleeps only if the word still holds `expected`.
        let result = unsafe {
            libc::syscall(
                libc::SYS_futex,
                word.as_ptr(),
                libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG,
                expected,
                &raw const deadline,
                ptr::null::<u32>(),
                libc::FUTEX_BITSET_MATCH_ANY,
            )
        };
        if result < 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ETIMEDOUT) {
            break;
        }
    }
    if word.load(Ordering::Acquire) == expected { Woken::Time } else { Woken::Word }
}

pub(super) fn wake(word: &AtomicU32) {
    // SAFETY: only the word's address is used.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            i32::MAX,
        )
    };
}

/// An absolute time as every futex call since Linux 5.1 takes it on machines of any width.
#[repr(C)]
struct Timespec64 {
    seconds: i64,
    nanoseconds: i64,
}

/// One word of `futex_waitv`, as the kernel's `struct futex_waitv` has it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Waiter {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// The number of `futex_waitv` is the same on every architecture.
const SYS_FUTEX_WAITV: libc::c_long = 449;
/// A word of four bytes that may be shared between processes.
const FUTEX_32: u32 = 2;

/// Waits on up to two words that other processes may change.
pub(super) fn wait_shared(words: &[(&AtomicU32, u32)], until: Ns) -> Woken {
    /// The kernel is older than 5.16, or a sandbox forbids the call.
    static NO_WAITV: AtomicBool = AtomicBool::new(false);
    /// How long a wait on the first word alone may last before the second is looked at.
    const SLICE_NS: Ns = 1_000_000;
    let holds = || words.iter().all(|(word, value)| word.load(Ordering::Acquire) == *value);
    while holds() {
        let many = words.len() > 1 && !NO_WAITV.load(Ordering::Relaxed);
        let result = if many {
            wait_any(words, until)
        } else {
            let Some(&(word, value)) = words.first() else { break };
            let slice = now_ns().saturating_add(SLICE_NS);
            wait_one_shared(word, value, if words.len() > 1 { until.min(slice) } else { until })
        };
        match result {
            Some(libc::ENOSYS | libc::EPERM) if many => NO_WAITV.store(true, Ordering::Relaxed),
            Some(libc::ETIMEDOUT) if now_ns() >= until => break,
            _ => {}
        }
    }
    if holds() { Woken::Time } else { Woken::Word }
}

fn error_of(result: libc::c_long) -> Option<i32> {
    if result < 0 { std::io::Error::last_os_error().raw_os_error() } else { None }
}

fn wait_any(words: &[(&AtomicU32, u32)], until: Ns) -> Option<i32> {
    const MOST: usize = crate::system::MOST_SHARED;
    let mut waiters = [Waiter { value: 0, address: 0, flags: FUTEX_32, reserved: 0 }; MOST];
    for (waiter, (word, value)) in waiters.iter_mut().zip(words) {
        waiter.value = u64::from(*value);
        waiter.address = word.as_ptr() as usize as u64;
    }
    let deadline = Timespec64 {
        seconds: i64::try_from(until / 1_000_000_000).unwrap_or(i64::MAX),
        nanoseconds: i64::try_from(until % 1_000_000_000).unwrap_or(0),
    };
    // SAFETY: waiters and deadline live over the call; the words do, since they are borrowed.
    let result = unsafe {
        libc::syscall(
            SYS_FUTEX_WAITV,
            waiters.as_ptr(),
            words.len().min(MOST),
            0,
            &raw const deadline,
            libc::CLOCK_MONOTONIC,
        )
    };
    error_of(result)
}

fn wait_one_shared(word: &AtomicU32, expected: u32, until: Ns) -> Option<i32> {
    let deadline = libc::timespec {
        tv_sec: libc::time_t::try_from(until / 1_000_000_000).unwrap_or(libc::time_t::MAX),
        tv_nsec: std::ffi::c_long::try_from(until % 1_000_000_000).unwrap_or(0),
    };
    // SAFETY: as in `wait`; without the private flag the word is found by its memory, not by its address.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT_BITSET,
            expected,
            &raw const deadline,
            ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    };
    error_of(result)
}

pub(super) fn wake_shared(word: &AtomicU32) {
    // SAFETY: only the word's address is used.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}
