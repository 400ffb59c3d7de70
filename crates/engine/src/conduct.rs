//! Who runs the cycle: our own device thread or, where the stream's thread belongs to a foreign library, that one, with ours
//! standing by. Called by the driver's device thread.
//!
//! The engine is owned by one thread at a time. It travels to the foreign thread inside a [`Step`], and comes back through
//! a mailbox when that step is dropped, however it ends: asked back, thrown away, or lost with its library. While the
//! foreign thread is silent (the server is late, stopped, gone) our own thread has the engine, so that the fallback's
//! timer goes on; as soon as the device is in time again the foreign thread gets it back.

use crate::engine::{End, Engine, Flow};
use barewire_device::{Clockwork, Loss, Step};
use barewire_rt::{Gate, Mailbox, Wake as _, Woken};
use barewire_types::{Ns, frames_to_ns};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A run as its owner sees it.
pub trait Conduct: Send + Sync {
    /// Set once no block may begin any more.
    fn stop(&self) -> &AtomicBool;

    /// Calls `passes` with this thread marked as the run's device thread: our own, or a foreign library's.
    fn inside(&self, passes: &mut dyn FnMut());
}

/// How long our own thread looks at a foreign one that does nothing before it takes the engine back: some periods, and not so
/// often that looking costs anything.
const SILENT_PERIODS: u64 = 3;
const SILENT_NS: Ns = 20_000_000;
/// How long the foreign thread is waited for at a time when it is to leave the engine.
const LEAVE_NS: Ns = 100_000_000;

/// Starts `engine`, tells `started`, passes until the run is to stop or the device is lost, and stops it. Device thread.
pub fn run(
    mut engine: Box<Engine>,
    conduct: &Arc<dyn Conduct>,
    started: impl FnOnce(Result<(), Loss>),
) -> (Box<Engine>, End) {
    let mut result = Ok(());
    conduct.inside(&mut || result = engine.start());
    started(result);
    if let Err(loss) = result {
        return (engine, End::Lost(loss));
    }
    let end = loop {
        match passes(&mut engine, &**conduct) {
            Turn::End(end) => break end,
            Turn::Lend(works) => engine = lend(engine, &*works, conduct),
        }
    };
    conduct.inside(&mut || engine.stop());
    (engine, end)
}

enum Turn {
    End(End),
    Lend(Arc<dyn Clockwork>),
}

/// Passes on our own thread, until the end or until a foreign thread can take over.
fn passes(engine: &mut Engine, conduct: &dyn Conduct) -> Turn {
    let mut turn = None;
    conduct.inside(&mut || {
        turn = Some(loop {
            if conduct.stop().load(Ordering::Acquire) {
                break Turn::End(End::Stopped);
            }
            match engine.pass(conduct.stop()) {
                Flow::Continue => {}
                Flow::Stopped => break Turn::End(End::Stopped),
                Flow::Lost(loss) => break Turn::End(End::Lost(loss)),
            }
            // After a pass of our own: it finds out whether the foreign thread is silent for a reason.
            if let Some(works) = engine.stream().clockwork() {
                break Turn::Lend(works);
            }
        });
    });
    turn.unwrap_or(Turn::End(End::Stopped))
}

/// Where a lent engine comes back to.
struct Home {
    back: Mailbox<Engine>,
    passes: AtomicU32,
    news: Arc<Gate>,
}

/// The engine on its way to a foreign thread.
struct Lent {
    engine: Option<Box<Engine>>,
    home: Arc<Home>,
    conduct: Arc<dyn Conduct>,
}

impl Lent {
    /// One pass on the foreign thread; whether it may call again.
    fn pass(&mut self) -> bool {
        let Some(engine) = &mut self.engine else { return false };
        let (stop, mut goes_on) = (self.conduct.stop(), false);
        self.conduct.inside(&mut || {
            goes_on = !stop.load(Ordering::Acquire)
                && engine.poll(stop) == Flow::Continue
                && engine.stream().clockwork().is_some();
        });
        self.home.passes.fetch_add(1, Ordering::Release);
        if !goes_on {
            self.home.news.wake();
        }
        goes_on
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            drop(self.home.back.put(engine));
        }
    }
}

/// Lends the engine to the foreign thread, stands by, and gives it back when that thread is silent or has no use for it.
fn lend(engine: Box<Engine>, works: &dyn Clockwork, conduct: &Arc<dyn Conduct>) -> Box<Engine> {
    let system = engine.system().clone();
    let shape = engine.stream().shape();
    let period_ns = frames_to_ns(shape.period_frames.into(), shape.rate);
    let silent_ns = (SILENT_PERIODS * period_ns).max(SILENT_NS);
    let home = Arc::new(Home {
        back: Mailbox::new(),
        passes: AtomicU32::new(0),
        news: Gate::new(system.clone()),
    });
    let mut lent = Lent { engine: Some(engine), home: home.clone(), conduct: conduct.clone() };
    let step: Step = Box::new(move || lent.pass());
    if works.run(step).is_ok() {
        loop {
            let before = home.passes.load(Ordering::Acquire);
            let woken = home.news.await_wake(system.now_ns().saturating_add(silent_ns));
            let is_silent = home.passes.load(Ordering::Acquire) == before;
            if woken == Woken::Word || is_silent || conduct.stop().load(Ordering::Acquire) {
                break;
            }
        }
    }
    // A host's callback may keep the foreign thread as long as it likes, as it may keep ours.
    loop {
        if let Some(engine) = home.back.take() {
            return engine;
        }
        drop(works.end(system.now_ns().saturating_add(LEAVE_NS)));
    }
}
