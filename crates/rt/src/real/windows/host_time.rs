//! The time that hosts expect: nanoseconds on `timeGetTime`'s base, with which they compare their own `timeGetTime()` for
//! MIDI. That clock steps by a millisecond, so it is not read per block: the performance counter is shifted onto it, once
//! per process.

use super::{now_ns, procedure};
use crate::system::Ns;
use std::ffi::c_void;
use std::mem::transmute;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is added to our time, modulo [`TURN_NS`].
static SHIFT_NS: AtomicU64 = AtomicU64::new(0);

/// `timeGetTime` counts milliseconds in 32 bits: after 49.7 days it begins anew, and so does what hosts compare with.
const TURN_NS: u64 = (1 << 32) * 1_000_000;

/// How long a step of the clock is waited for. With a tick of 1 ms there is one within that.
const PATIENCE_NS: Ns = 3_000_000;

/// Measures the shift if it was not yet. Control thread: takes up to [`PATIENCE_NS`].
pub(crate) fn measure() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let get = procedure("winmm.dll", c"timeGetTime");
        let begin = procedure("winmm.dll", c"timeBeginPeriod");
        let end = procedure("winmm.dll", c"timeEndPeriod");
        if [get, begin, end].iter().any(|function| function.is_null()) {
            return;
        }
        // SAFETY: the functions of these names have these types.
        let get = unsafe { transmute::<*const c_void, unsafe extern "system" fn() -> u32>(get) };
        type Tick = unsafe extern "system" fn(u32) -> u32;
        // SAFETY: as above.
        let (begin, end) = unsafe {
            (transmute::<*const c_void, Tick>(begin), transmute::<*const c_void, Tick>(end))
        };
        // SAFETY: takes a number, and is paired below.
        unsafe { begin(1) };
        // SAFETY: takes nothing.
        let first = unsafe { get() };
        let until = now_ns().saturating_add(PATIENCE_NS);
        let (mut milliseconds, mut at) = (first, now_ns());
        // The moment of a step is the only one at which the clock tells more than its millisecond.
        while milliseconds == first && at < until {
            // SAFETY: takes nothing.
            milliseconds = unsafe { get() };
            at = now_ns();
        }
        // SAFETY: pairs the call above.
        unsafe { end(1) };
        let base = u64::from(milliseconds) * 1_000_000;
        SHIFT_NS.store((base + TURN_NS - at % TURN_NS) % TURN_NS, Ordering::Release);
    });
}

/// A time of ours as hosts expect it.
pub(crate) fn host_time_ns(at: Ns) -> Ns {
    (at % TURN_NS + SHIFT_NS.load(Ordering::Acquire)) % TURN_NS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_hosts_is_that_of_time_get_time() {
        measure();
        let get = procedure("winmm.dll", c"timeGetTime");
        // SAFETY: the function of that name has this type.
        let get = unsafe { transmute::<*const c_void, unsafe extern "system" fn() -> u32>(get) };
        for _ in 0..20 {
            // SAFETY: takes nothing.
            let before = u64::from(unsafe { get() });
            let ours = host_time_ns(now_ns()) / 1_000_000;
            // SAFETY: takes nothing.
            let after = u64::from(unsafe { get() });
            assert!(before <= ours + 1 && ours <= after + 1, "{before} {ours} {after}");
        }
    }
}
