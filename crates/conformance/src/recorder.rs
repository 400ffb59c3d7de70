//! What a driver calls, written down: which block, on which thread, when. A host's manners are settings here.

use barewire_abi::constants::message;
use barewire_host::bare::{Listener, Returned, Seen};
use barewire_rt::{RealSystem, System};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// So many blocks are written down; those behind are counted.
const KEPT: usize = 20_000;
/// So many questions and requests are written down.
const KEPT_CALLS: usize = 10_000;

/// What hosts answer differently.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    /// Of `SelectorSupported`.
    pub(crate) supports: i32,
    /// Of `EngineVersion`.
    pub(crate) version: i32,
    /// Of `SupportsTimeInfo`.
    pub(crate) time_info: i32,
    /// Of every request.
    pub(crate) request: i32,
    /// Whether there is a function `bufferSwitchTimeInfo`.
    pub(crate) has_time_function: bool,
    /// What that returns.
    pub(crate) returned: Returned,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            supports: 1,
            version: 2,
            time_info: 1,
            request: 1,
            has_time_function: true,
            returned: Returned::Null,
        }
    }
}

/// A block that was called for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) seen: Seen,
    pub(crate) thread: ThreadId,
    pub(crate) at: Instant,
    /// The system's clock, in nanoseconds.
    pub(crate) system_ns: u64,
}

/// A question, a request, or a change of rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Call {
    Message { selector: i32, value: i32 },
    Rate(f64),
}

/// What a case does in each block.
pub(crate) type OnBlock = Box<dyn FnMut(u64, &Seen) + Send>;

/// What a case does when the driver asks something.
pub(crate) type OnMessage = Box<dyn FnMut(i32) + Send>;

pub(crate) struct Recorder {
    pub(crate) manners: Manners,
    clock: Arc<RealSystem>,
    events: Mutex<Vec<Event>>,
    calls: Mutex<Vec<Call>>,
    blocks: AtomicU64,
    done: AtomicU64,
    inside: AtomicU32,
    pub(crate) overlaps: AtomicU32,
    /// No block counts as wanted any more: those that come are strays.
    closed: AtomicBool,
    strays: AtomicU64,
    on_block: Mutex<Option<OnBlock>>,
    on_message: Mutex<Option<OnMessage>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    pub(crate) fn new(manners: Manners) -> Arc<Self> {
        Arc::new(Self {
            manners,
            clock: RealSystem::new(),
            events: Mutex::new(Vec::with_capacity(KEPT)),
            calls: Mutex::new(Vec::with_capacity(KEPT_CALLS)),
            blocks: AtomicU64::new(0),
            done: AtomicU64::new(0),
            inside: AtomicU32::new(0),
            overlaps: AtomicU32::new(0),
            closed: AtomicBool::new(false),
            strays: AtomicU64::new(0),
            on_block: Mutex::default(),
            on_message: Mutex::default(),
        })
    }

    /// Has `body` run in each block from now on, with the block's number.
    pub(crate) fn on_block(&self, body: impl FnMut(u64, &Seen) + Send + 'static) {
        *lock(&self.on_block) = Some(Box::new(body));
    }

    /// Has `body` run when a selector comes.
    pub(crate) fn on_message(&self, body: impl FnMut(i32) + Send + 'static) {
        *lock(&self.on_message) = Some(Box::new(body));
    }

    /// Blocks that have begun.
    pub(crate) fn blocks(&self) -> u64 {
        self.blocks.load(Ordering::SeqCst)
    }

    /// Blocks that have ended.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }

    /// Whether the driver is in the host's block now.
    pub(crate) fn is_inside(&self) -> bool {
        self.inside.load(Ordering::SeqCst) != 0
    }

    /// Blocks that begin from now on are strays.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Whether [`close`](Self::close) was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Blocks are wanted again.
    pub(crate) fn reopen(&self) {
        self.closed.store(false, Ordering::SeqCst);
        self.strays.store(0, Ordering::SeqCst);
        lock(&self.events).clear();
    }

    pub(crate) fn strays(&self) -> u64 {
        self.strays.load(Ordering::SeqCst)
    }

    /// The blocks that were written down.
    pub(crate) fn events(&self) -> Vec<Event> {
        lock(&self.events).clone()
    }

    /// Questions, requests and changes of rate.
    pub(crate) fn calls(&self) -> Vec<Call> {
        lock(&self.calls).clone()
    }

    /// Requests that disturb a host: reset, resynchronise, another size, and changes of rate.
    pub(crate) fn disturbances(&self) -> Vec<String> {
        let name = |call: &Call| match *call {
            Call::Rate(rate_hz) => Some(format!("sampleRateDidChange({rate_hz})")),
            Call::Message { selector: message::RESET_REQUEST, .. } => {
                Some("ResetRequest".to_owned())
            }
            Call::Message { selector: message::RESYNC_REQUEST, .. } => {
                Some("ResyncRequest".to_owned())
            }
            Call::Message { selector: message::BUFFER_SIZE_CHANGE, value, .. } => {
                Some(format!("BufferSizeChange({value})"))
            }
            Call::Message { .. } => None,
        };
        lock(&self.calls).iter().filter_map(name).collect()
    }

    /// Without memory, clock or anything else that belongs to a thread: under Wine drivers call from threads of native
    /// libraries, which Windows' functions do not know and crash on. Most hosts' functions bear that.
    fn note(&self, call: Call) {
        let mut calls = lock(&self.calls);
        if calls.len() < KEPT_CALLS {
            calls.push(call);
        }
    }

    /// Waits until `holds`, at most for `limit`; whether it does.
    pub(crate) fn wait(&self, limit: Duration, holds: impl Fn() -> bool) -> bool {
        let until = Instant::now() + limit;
        while !holds() {
            if Instant::now() >= until {
                return holds();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }
}

impl Listener for Recorder {
    fn block(&self, seen: &Seen) -> Returned {
        if self.inside.fetch_add(1, Ordering::SeqCst) != 0 {
            self.overlaps.fetch_add(1, Ordering::SeqCst);
        }
        let number = self.blocks.fetch_add(1, Ordering::SeqCst);
        if self.closed.load(Ordering::SeqCst) {
            self.strays.fetch_add(1, Ordering::SeqCst);
        }
        {
            let mut events = lock(&self.events);
            if events.len() < KEPT {
                events.push(Event {
                    seen: *seen,
                    thread: std::thread::current().id(),
                    at: Instant::now(),
                    system_ns: self.clock.now_ns(),
                });
            }
        }
        // Taken already: a block within a block, which was counted above.
        if let Ok(mut body) = self.on_block.try_lock()
            && let Some(body) = body.as_mut()
        {
            body(number, seen);
        }
        self.done.fetch_add(1, Ordering::SeqCst);
        self.inside.fetch_sub(1, Ordering::SeqCst);
        self.manners.returned
    }

    fn rate_changed(&self, rate_hz: f64) {
        self.note(Call::Rate(rate_hz));
    }

    fn message(&self, selector: i32, value: i32) -> i32 {
        self.note(Call::Message { selector, value });
        if let Ok(mut body) = self.on_message.try_lock()
            && let Some(body) = body.as_mut()
        {
            body(selector);
        }
        match selector {
            message::SELECTOR_SUPPORTED if value == message::SUPPORTS_TIME_INFO => {
                self.manners.supports.min(self.manners.time_info)
            }
            message::SELECTOR_SUPPORTED => self.manners.supports,
            message::ENGINE_VERSION => self.manners.version,
            message::SUPPORTS_TIME_INFO => self.manners.time_info,
            message::SUPPORTS_TIME_CODE => 0,
            message::RESET_REQUEST..=message::LATENCIES_CHANGED | message::OVERLOAD => {
                self.manners.request
            }
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_requests_take_no_memory_however_many_come() {
        let recorder = Recorder::new(Manners::default());
        let room = lock(&recorder.calls).capacity();
        for value in 0..30_000 {
            assert_eq!(recorder.message(message::SELECTOR_SUPPORTED, value), 1);
            recorder.rate_changed(48_000.0);
        }
        let calls = lock(&recorder.calls);
        assert_eq!((calls.len(), calls.capacity()), (KEPT_CALLS, room));
        let first = Call::Message { selector: message::SELECTOR_SUPPORTED, value: 0 };
        assert_eq!(calls.first(), Some(&first));
    }
}
