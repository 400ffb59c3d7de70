//! Waiting: one event for each direction, one for the waker, and a timer finer than the waits' milliseconds.

use super::{Answer, Flow, Ready, Waiter};
use barewire_rt::{RealSystem, System, Wake, Waker};
use barewire_types::Ns;
use std::sync::Arc;
use windows::Win32::Foundation::{CloseHandle, HANDLE, WAIT_OBJECT_0};
use windows::Win32::System::Threading::{
    CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, CreateEventW, CreateWaitableTimerExW, INFINITE,
    ResetEvent, SetEvent, SetWaitableTimer, TIMER_ALL_ACCESS, WaitForMultipleObjects,
};

struct Handle(HANDLE);

// SAFETY: handles may be used on any thread.
unsafe impl Send for Handle {}
// SAFETY: as above; Windows guards what they stand for.
unsafe impl Sync for Handle {}

impl Handle {
    /// An event that resets itself.
    fn event() -> Answer<Self> {
        // SAFETY: no memory of ours is passed.
        unsafe { CreateEventW(None, false, false, None) }.map(Self).map_err(|error| error.code().0)
    }

    fn timer() -> Answer<Self> {
        let make = |flags| {
            // SAFETY: no memory of ours is passed.
            unsafe { CreateWaitableTimerExW(None, None, flags, TIMER_ALL_ACCESS.0) }
        };
        // Before Windows 10 1803 timers are as fine as the scheduler's tick; so are Wine's.
        make(CREATE_WAITABLE_TIMER_HIGH_RESOLUTION)
            .or_else(|_| make(0))
            .map(Self)
            .map_err(|error| error.code().0)
    }

    fn set(&self) {
        // SAFETY: an open event. Nothing can be done if Windows refuses.
        let _ = unsafe { SetEvent(self.0) };
    }

    fn reset(&self) {
        // SAFETY: as in `set`.
        let _ = unsafe { ResetEvent(self.0) };
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: closed once.
        let _ = unsafe { CloseHandle(self.0) };
    }
}

struct EventWaker(Handle);

impl Wake for EventWaker {
    fn wake(&self) {
        self.0.set();
    }
}

pub(super) struct EventWaiter {
    system: Arc<RealSystem>,
    waker: Arc<EventWaker>,
    render: Handle,
    capture: Handle,
    timer: Handle,
}

impl EventWaiter {
    pub(super) fn new() -> Answer<Self> {
        Ok(Self {
            system: RealSystem::new(),
            waker: Arc::new(EventWaker(Handle::event()?)),
            render: Handle::event()?,
            capture: Handle::event()?,
            timer: Handle::timer()?,
        })
    }

    fn handle(&self, flow: Flow) -> &Handle {
        match flow {
            Flow::Render => &self.render,
            Flow::Capture => &self.capture,
        }
    }

    /// Sets the timer to end in so much time; false if Windows refuses.
    fn set_timer(&self, left_ns: Ns) -> bool {
        // Negative: from now on, in units of 100 ns.
        let due = -i64::try_from(left_ns.div_ceil(100)).unwrap_or(i64::MAX);
        // SAFETY: the time is read during the call; no routine is to be called.
        unsafe { SetWaitableTimer(self.timer.0, &raw const due, 0, None, None, false) }.is_ok()
    }
}

impl Waiter for EventWaiter {
    fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn event(&self, flow: Flow) -> usize {
        self.handle(flow).0.0 as usize
    }

    fn wait(&mut self, flow: Option<Flow>, until: Ns) -> Ready {
        loop {
            let left_ns = until.saturating_sub(self.system.now_ns());
            // Of several that are set the first is told: an event before the time that is up, lest a thread that comes late
            // take for absent what has long been there.
            let mut handles = [self.waker.0.0, self.timer.0, self.timer.0];
            let mut count = 2;
            if let Some(flow) = flow {
                handles[1] = self.handle(flow).0;
                count = 3;
            }
            let wait_ms = if left_ns == 0 {
                0
            } else if self.set_timer(left_ns) {
                INFINITE
            } else {
                u32::try_from(left_ns.div_ceil(1_000_000)).unwrap_or(INFINITE - 1)
            };
            // SAFETY: open handles, which live over the call. The timer ends the wait, if nothing else does.
            let ended = unsafe { WaitForMultipleObjects(&handles[..count], false, wait_ms) };
            match ended.0.wrapping_sub(WAIT_OBJECT_0.0) {
                0 => return Ready::Woken,
                1 if flow.is_some() => return Ready::Event,
                _ if self.system.now_ns() >= until => return Ready::Time,
                _ => {}
            }
        }
    }

    fn clear(&mut self) {
        self.render.reset();
        self.capture.reset();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop the world")]

    use super::*;
    use std::time::Duration;

    #[test]
    fn an_event_that_is_there_is_told_before_the_time_that_is_up() {
        let mut waiter = EventWaiter::new().unwrap();
        for flow in [Flow::Render, Flow::Capture] {
            // The time of a wait that an event ended is up before the next wait.
            waiter.handle(flow).set();
            let soon = waiter.system.now_ns() + 1_000_000;
            assert_eq!(waiter.wait(Some(flow), soon), Ready::Event);
            std::thread::sleep(Duration::from_millis(20));
            waiter.handle(flow).set();
            assert_eq!(waiter.wait(Some(flow), 0), Ready::Event);
            assert_eq!(waiter.wait(Some(flow), 0), Ready::Time);
            assert_eq!(waiter.wait(None, 0), Ready::Time);
        }
        waiter.waker().wake();
        assert_eq!(waiter.wait(Some(Flow::Render), 0), Ready::Woken);
    }
}
