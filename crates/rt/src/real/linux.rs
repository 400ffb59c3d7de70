//! Linux: `CLOCK_MONOTONIC` and the futex.

pub(super) use crate::priority::{REFUSED, raise as raise_priority};
use crate::system::{Ns, Woken};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

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
