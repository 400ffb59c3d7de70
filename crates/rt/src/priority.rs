//! Real-time priority for the device thread, as far as the system grants it: directly, or through whom a program has named
//! for it ([`grant_by`]).

#[cfg(unix)]
use barewire_types::Result;
#[cfg(unix)]
use std::sync::OnceLock;

/// What a person is told if the system refuses.
#[cfg(unix)]
pub(crate) const REFUSED: &str = "real-time priority was refused, so other programs may delay the sound; allow it with a line \"@audio - rtprio 95\" in /etc/security/limits.d/audio.conf and log in anew as a member of the group audio, or install RealtimeKit (package rtkit)";

/// Above interrupt threads' default of 50 we would starve the very hardware that feeds us; JACK uses 10 to 20 on desktops,
/// PipeWire 88. Between the two.
#[cfg(unix)]
const PRIORITY: i32 = 45;

/// The longest time that a real-time thread of this process may take without a pause, in microseconds. Far more than any
/// period: whoever takes longer has lost its way, and the kernel then ends the process instead of the machine standing still.
#[cfg(unix)]
const LONGEST_US: u64 = 2_000_000;

/// Asks for real-time priority for the thread of this number (the kernel's), at most so high.
#[cfg(unix)]
pub type Grant = fn(thread: u64, priority: u32) -> Result<()>;

#[cfg(unix)]
static GRANT: OnceLock<Grant> = OnceLock::new();

/// Names who is asked for real-time priority where the system refuses it. The first one named stays. Control thread.
#[cfg(unix)]
pub fn grant_by(grant: Grant) {
    let _ = GRANT.set(grant);
}

/// Whether someone else grants real-time priority to the thread of this number. Blocks for as long as that takes.
#[cfg(unix)]
pub(crate) fn is_granted_to(thread: u64) -> bool {
    GRANT.get().is_some_and(|grant| grant(thread, PRIORITY.unsigned_abs()).is_ok())
}

/// Whether there is anybody to be asked.
#[cfg(unix)]
pub(crate) fn has_grant() -> bool {
    GRANT.get().is_some()
}

/// The kernel's number of the calling thread.
#[cfg(unix)]
pub(crate) fn own_thread() -> u64 {
    // SAFETY: has no arguments and cannot fail.
    u64::try_from(unsafe { libc::gettid() }).unwrap_or(0)
}

/// Lowers the time that a real-time thread of this process may take without a pause to `longest_us`, if it is longer.
#[cfg(unix)]
pub fn limit_real_time(longest_us: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one structure of ours.
    if unsafe { libc::getrlimit(libc::RLIMIT_RTTIME, &raw mut limit) } != 0 {
        return;
    }
    if limit.rlim_cur > longest_us {
        // The hard limit stays: RealtimeKit wants it as low as its own, which is below ours.
        let hard = if longest_us < LONGEST_US { longest_us } else { limit.rlim_max };
        let limit = libc::rlimit { rlim_cur: longest_us, rlim_max: hard.min(limit.rlim_max) };
        // SAFETY: the kernel reads one structure of ours.
        unsafe { libc::setrlimit(libc::RLIMIT_RTTIME, &raw const limit) };
    }
}

/// Asks for `SCHED_FIFO` for the calling thread; true if it was granted.
///
/// A thread that never sleeps is bounded twice: the kernel takes the processor from real-time threads for 5% of each
/// second (`sched_rt_runtime_us`), and ends what takes longer than [`LONGEST_US`]. Children do not inherit the priority.
#[cfg(unix)]
pub(crate) fn raise() -> bool {
    limit_real_time(LONGEST_US);
    // SAFETY: a structure of integers.
    let mut parameter: libc::sched_param = unsafe { std::mem::zeroed() };
    parameter.sched_priority = PRIORITY;
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: 0 names the calling thread; the kernel reads one structure of ours.
    unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) == 0 }
}
