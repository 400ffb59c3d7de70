//! The notifier: the one thread that makes requests to the host, with no lock held, one of each kind at a time.

use crate::threads;
use barewire_abi::HostCallbacks;
use barewire_abi::constants::message;
use barewire_rt::{Gate, Role, System, Thread, Wake};
use barewire_types::{Ns, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// How often events of the device thread are looked for, which wakes nobody itself.
const ROUND_NS: Ns = 20_000_000;

/// What the host can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Tear the driver down and set it up anew.
    Reset = 1,
    /// Read the latencies again.
    LatenciesChanged = 2,
    /// An xrun happened.
    Overload = 4,
    /// The rate is another one now, and not because the host asked for it.
    RateChanged = 8,
}

/// Requests that wait to be made; the same one waits only once.
#[derive(Debug)]
pub(crate) struct Requests {
    wanted: AtomicU32,
    gate: Arc<Gate>,
    quit: AtomicBool,
    /// Nothing is asked of a host before it has had a block: hosts ignore, or trip over, requests while they start.
    armed: AtomicBool,
    /// A reset was asked for: once is enough, until the host makes buffers anew.
    reset_sent: AtomicBool,
}

impl Requests {
    pub(crate) fn new(system: &Arc<dyn System>) -> Arc<Self> {
        Arc::new(Self {
            wanted: AtomicU32::new(0),
            gate: Gate::new(system.clone()),
            quit: AtomicBool::new(false),
            armed: AtomicBool::new(false),
            reset_sent: AtomicBool::new(false),
        })
    }

    /// Control threads.
    pub(crate) fn ask(&self, request: Request) {
        if request == Request::Reset && self.reset_sent.swap(true, Ordering::AcqRel) {
            return;
        }
        self.wanted.fetch_or(request as u32, Ordering::AcqRel);
        self.gate.wake();
    }

    /// From now on the host is asked. Any thread.
    pub(crate) fn arm(&self) {
        self.armed.store(true, Ordering::Release);
    }

    /// Nothing is asked of the host until [`arm`](Self::arm).
    pub(crate) fn disarm(&self) {
        self.armed.store(false, Ordering::Release);
    }

    fn take(&self) -> u32 {
        if self.armed.load(Ordering::Acquire) { self.wanted.swap(0, Ordering::AcqRel) } else { 0 }
    }
}

/// The thread.
pub(crate) struct Notifier {
    pub(crate) requests: Arc<Requests>,
    thread: Thread,
    system: Arc<dyn System>,
}

impl Notifier {
    /// Starts the thread; `round` is called every 20 ms and asks for what events call for.
    pub(crate) fn start(
        system: &Arc<dyn System>,
        driver: usize,
        host: Arc<dyn HostCallbacks>,
        requests: Arc<Requests>,
        rate_hz: Arc<AtomicU32>,
        mut round: impl FnMut(&Requests) + Send + 'static,
    ) -> Result<Self> {
        let (its, its_system) = (requests.clone(), system.clone());
        let body = move || {
            while !its.quit.load(Ordering::Acquire) {
                round(&its);
                tell(&*host, its.take(), &its.quit, &rate_hz);
                its.gate.await_wake(its_system.now_ns().saturating_add(ROUND_NS));
            }
            // The last events of a run belong to the log, not to the host.
            round(&its);
        };
        let thread = threads::start(system, driver, "barewire-notifier", Role::Notifier, body)?;
        Ok(Self { requests, thread, system: system.clone() })
    }

    /// Lets the thread end and waits for it, unless this is it: a host may tear everything down inside a request.
    pub(crate) fn end(self, patience_ns: Ns) {
        self.requests.quit.store(true, Ordering::Release);
        self.requests.gate.wake();
        if !self.thread.is_current() {
            self.thread.join(self.system.join_deadline_ns(patience_ns));
        }
    }
}

fn tell(host: &dyn HostCallbacks, wanted: u32, quit: &AtomicBool, rate_hz: &AtomicU32) {
    if wanted & Request::RateChanged as u32 != 0 && !quit.load(Ordering::Acquire) {
        host.sample_rate_did_change(f64::from(rate_hz.load(Ordering::Acquire)));
    }
    let kinds = [
        (Request::Overload, message::OVERLOAD),
        (Request::LatenciesChanged, message::LATENCIES_CHANGED),
        // Last: the host may tear everything down inside of it.
        (Request::Reset, message::RESET_REQUEST),
    ];
    for (request, selector) in kinds {
        let is_wanted = wanted & request as u32 != 0;
        if is_wanted
            && !quit.load(Ordering::Acquire)
            && host.supports(selector)
            && !quit.load(Ordering::Acquire)
        {
            host.message(selector, 0);
        }
    }
}
