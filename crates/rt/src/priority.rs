//! Real-time priority for the device thread, as far as the system grants it.

/// What a person is told if the system refuses.
#[cfg(unix)]
pub(crate) const REFUSED: &str = "real-time priority was refused, so other programs may delay the sound; allow it with a line \"@audio - rtprio 95\" in /etc/security/limits.d/audio.conf and log in anew as a member of the group audio";

/// Asks for `SCHED_FIFO` for the calling thread; true if it was granted.
///
/// A thread that never sleeps is still bounded: the kernel takes the processor from real-time threads for 5% of each
/// second (`sched_rt_runtime_us`), and children do not inherit the priority.
#[cfg(unix)]
pub(crate) fn raise() -> bool {
    /// Above interrupt threads' default of 50 we would starve the very hardware that feeds us; JACK uses 10 to 20 on
    /// desktops, PipeWire 88. Between the two.
    const PRIORITY: i32 = 45;
    // SAFETY: a structure of integers.
    let mut parameter: libc::sched_param = unsafe { std::mem::zeroed() };
    parameter.sched_priority = PRIORITY;
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: 0 names the calling thread; the kernel reads one structure of ours.
    unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) == 0 }
}
