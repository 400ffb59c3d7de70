//! Threads of ours: which one this is, and how many there are.

use barewire_rt::{Role, System, Thread};
use barewire_types::Result;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

static LIVE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The driver whose thread this is, and what it is for.
    static OWN: Cell<Option<(usize, Role)>> = const { Cell::new(None) };
}

/// How many threads of all drivers run code of this module: while there is one, the module must stay loaded.
pub fn live_threads() -> usize {
    LIVE.load(Ordering::Acquire)
}

/// What this thread is to the driver with this number; `None` if it is a host's.
pub(crate) fn own_role(driver: usize) -> Option<Role> {
    OWN.get().filter(|(owner, _)| *owner == driver).map(|(_, role)| role)
}

/// Numbers drivers.
pub(crate) fn next_driver() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Makes this thread one of the driver's until dropped.
pub(crate) struct Borrowed(Option<(usize, Role)>);

/// Makes this thread, which may be a foreign library's, one of the driver's.
pub(crate) fn borrow(driver: usize, role: Role) -> Borrowed {
    Borrowed(OWN.replace(Some((driver, role))))
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        OWN.set(self.0);
    }
}

struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Starts a thread that knows whose it is.
pub(crate) fn start(
    system: &Arc<dyn System>,
    driver: usize,
    name: &str,
    role: Role,
    body: impl FnOnce() + Send + 'static,
) -> Result<Thread> {
    LIVE.fetch_add(1, Ordering::AcqRel);
    let counted = Counted;
    let body = move || {
        let _counted = counted;
        OWN.set(Some((driver, role)));
        body();
    };
    system.spawn(name, role, Box::new(body))
}
