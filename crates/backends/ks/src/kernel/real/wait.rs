//! Waiting on the driver's events, on a waker, and on the clock with a timer that is finer than the scheduler's tick.

use super::super::{Code, MOST_EVENTS, RawHandle, Ready, Waiter};
use super::{Owned, handle, last_error, new_event};
use barewire_rt::{System, Wake, Waker};
use barewire_types::Ns;
use std::ptr;
use std::sync::Arc;
use windows_sys::Win32::Foundation::{HANDLE, WAIT_FAILED, WAIT_OBJECT_0};
use windows_sys::Win32::System::Threading::{
    CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, CreateWaitableTimerExW, SetEvent, SetWaitableTimer,
    Sleep, WaitForMultipleObjects,
};

/// `TIMER_ALL_ACCESS`.
const TIMER_ALL_ACCESS: u32 = 0x001F_0003;
/// If the timer fails the wait ends by itself.
const LONGEST_MS: u32 = 1000;

/// Ends waits of its waiter.
struct Bell(Owned);

impl Wake for Bell {
    fn wake(&self) {
        // SAFETY: the event is ours.
        unsafe { SetEvent(self.0.0) };
    }
}

/// Waits in real time.
pub(super) struct RealWaiter {
    system: Arc<dyn System>,
    bell: Arc<Bell>,
    timer: Owned,
}

impl RealWaiter {
    pub(super) fn new(system: Arc<dyn System>) -> Result<Self, Code> {
        let bell = Arc::new(Bell(new_event(true)?));
        Ok(Self { system, bell, timer: timer()? })
    }
}

/// Of high resolution since Windows 10 1803, else the ordinary one, which resets itself.
fn timer() -> Result<Owned, Code> {
    for flags in [CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, 0] {
        // SAFETY: no attributes, no name.
        let timer =
            unsafe { CreateWaitableTimerExW(ptr::null(), ptr::null(), flags, TIMER_ALL_ACCESS) };
        if !timer.is_null() {
            return Ok(Owned(timer));
        }
    }
    Err(last_error())
}

impl Waiter for RealWaiter {
    fn waker(&self) -> Waker {
        self.bell.clone()
    }

    fn wait(&mut self, events: &[RawHandle], until: Ns) -> Ready {
        let mut handles: [HANDLE; MOST_EVENTS + 2] = [ptr::null_mut(); MOST_EVENTS + 2];
        handles[0] = self.bell.0.0;
        let mut count = 1;
        for &event in events.iter().take(MOST_EVENTS) {
            handles[count] = handle(event);
            count += 1;
        }
        let last_event = count;
        loop {
            let left = if until == 0 { 0 } else { until.saturating_sub(self.system.now_ns()) };
            let mut milliseconds = 0;
            count = last_event;
            if left > 0 {
                // In units of 100 ns, rounded up; negative is from now.
                let units = i64::try_from(left.div_ceil(100)).unwrap_or(i64::MAX);
                let due = -units;
                // SAFETY: the timer is ours; no routine.
                let is_set = unsafe {
                    SetWaitableTimer(self.timer.0, &raw const due, 0, None, ptr::null(), 0)
                };
                milliseconds = u32::try_from(left.div_ceil(1_000_000)).unwrap_or(LONGEST_MS);
                milliseconds = milliseconds.min(LONGEST_MS);
                if is_set != 0 {
                    handles[count] = self.timer.0;
                    count += 1;
                    milliseconds = milliseconds.saturating_add(LONGEST_MS);
                }
            }
            let number = u32::try_from(count).unwrap_or(1);
            // SAFETY: `count` handles, all of which are open.
            let ended =
                unsafe { WaitForMultipleObjects(number, handles.as_ptr(), 0, milliseconds) };
            let index = ended.wrapping_sub(WAIT_OBJECT_0) as usize;
            if index == 0 {
                return Ready::Woken;
            }
            if index < last_event {
                return Ready::Event;
            }
            if left == 0 || self.system.now_ns() >= until {
                return Ready::Time;
            }
            if ended == WAIT_FAILED {
                // A wait that fails must not become a spin.
                // SAFETY: sleeps.
                unsafe { Sleep(1) };
            }
        }
    }
}
