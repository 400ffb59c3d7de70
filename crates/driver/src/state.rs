//! The states of a driver as types: what belongs to a state exists only in it.

use crate::crew::Crew;
use crate::host_client::RunState;
use crate::offer::Offer;
use barewire_abi::BufferRequest;
use barewire_device::{Loss, Shape};
use barewire_engine::Engine;
use barewire_rt::{Lock, System, Thread, Waker};
use barewire_types::Ns;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the driver is.
pub(crate) enum State {
    /// Nothing but the object exists.
    Loaded,
    /// A device is chosen; nothing is open.
    Initialized(Arc<Offer>),
    /// Buffers exist and the device is open.
    Prepared(Prepared),
    /// The device thread calls the host.
    Running(Running),
}

/// Buffers, and all that lives as long as they do.
pub(crate) struct Setup {
    pub(crate) offer: Arc<Offer>,
    pub(crate) wanted: Vec<BufferRequest>,
    pub(crate) frames: u32,
    pub(crate) shape: Shape,
    pub(crate) crew: Crew,
    pub(crate) waker: Waker,
    pub(crate) run: Arc<RunState>,
}

/// An engine that joins buffers and device.
pub(crate) struct Prepared {
    pub(crate) setup: Setup,
    pub(crate) engine: Box<Engine>,
    /// It ran before.
    pub(crate) was_stopped: bool,
}

/// An engine that is with the device thread.
pub(crate) struct Running {
    pub(crate) setup: Setup,
    pub(crate) thread: Thread,
    pub(crate) parcel: Arc<Parcel>,
}

/// Through which the device thread gives the engine back.
pub(crate) struct Parcel {
    pub(crate) engine: Lock<Option<Box<Engine>>>,
    /// 0 not known yet, 1 started, 2 refused: see [`Parcel::has_started`].
    started: AtomicU32,
    system: Arc<dyn System>,
}

impl Parcel {
    pub(crate) fn new(system: &Arc<dyn System>, engine: Box<Engine>) -> Arc<Self> {
        Arc::new(Self {
            engine: Lock::new(system.clone(), Some(engine)),
            started: AtomicU32::new(0),
            system: system.clone(),
        })
    }

    /// Device thread, before the loop.
    pub(crate) fn tell_started(&self, result: Result<(), Loss>) {
        self.started.store(if result.is_ok() { 1 } else { 2 }, Ordering::Release);
        self.system.wake(&self.started);
    }

    /// Whether the device has started; one that has not answered by `until` has not.
    pub(crate) fn has_started(&self, until: Ns) -> bool {
        // How the wait ended does not matter: what was told by then does.
        let _ = self.system.await_word(&self.started, 0, until);
        self.started.load(Ordering::Acquire) == 1
    }
}

impl State {
    /// What lives as long as buffers do.
    pub(crate) fn setup(&self) -> Option<&Setup> {
        match self {
            Self::Loaded | Self::Initialized(_) => None,
            Self::Prepared(prepared) => Some(&prepared.setup),
            Self::Running(running) => Some(&running.setup),
        }
    }

    pub(crate) fn offer(&self) -> Option<&Arc<Offer>> {
        match self {
            Self::Initialized(offer) => Some(offer),
            other => other.setup().map(|setup| &setup.offer),
        }
    }

    pub(crate) fn crew(&self) -> Option<&Crew> {
        self.setup().map(|setup| &setup.crew)
    }
}
