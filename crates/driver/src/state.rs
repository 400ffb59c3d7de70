//! The states of a driver as types: what belongs to a state exists only in it.

use crate::crew::Crew;
use crate::host_client::RunState;
use crate::offer::Offer;
use barewire_abi::BufferRequest;
use barewire_device::{Loss, Shape};
use barewire_engine::{Engine, FallbackControl};
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

/// Buffers, an open device, an engine that joins them.
pub(crate) struct Prepared {
    pub(crate) offer: Arc<Offer>,
    pub(crate) wanted: Vec<BufferRequest>,
    pub(crate) frames: u32,
    pub(crate) shape: Shape,
    pub(crate) engine: Box<Engine>,
    pub(crate) crew: Crew,
    pub(crate) control: FallbackControl,
    pub(crate) waker: Waker,
    pub(crate) run: Arc<RunState>,
}

/// A prepared driver whose engine is with the device thread.
pub(crate) struct Running {
    pub(crate) offer: Arc<Offer>,
    pub(crate) wanted: Vec<BufferRequest>,
    pub(crate) frames: u32,
    pub(crate) shape: Shape,
    pub(crate) crew: Crew,
    pub(crate) control: FallbackControl,
    pub(crate) waker: Waker,
    pub(crate) run: Arc<RunState>,
    pub(crate) thread: Thread,
    pub(crate) parcel: Arc<Parcel>,
}

impl Running {
    pub(crate) fn into_prepared(self, engine: Box<Engine>) -> Prepared {
        let Self { offer, wanted, frames, shape, crew, control, waker, run, .. } = self;
        Prepared { offer, wanted, frames, shape, engine, crew, control, waker, run }
    }
}

/// Through which the device thread gives the engine back.
pub(crate) struct Parcel {
    pub(crate) engine: Lock<Option<Box<Engine>>>,
    /// 0 not started yet, 1 started, 2 and more refused: see [`Parcel::started`].
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

    /// Whether the device has started: `None` if it has not answered by `until`.
    pub(crate) fn started(&self, until: Ns) -> Option<bool> {
        while self.started.load(Ordering::Acquire) == 0 {
            if self.system.await_word(&self.started, 0, until) == barewire_rt::Woken::Time {
                break;
            }
        }
        match self.started.load(Ordering::Acquire) {
            0 => None,
            told => Some(told == 1),
        }
    }
}

impl State {
    pub(crate) fn offer(&self) -> Option<&Arc<Offer>> {
        match self {
            Self::Loaded => None,
            Self::Initialized(offer) => Some(offer),
            Self::Prepared(prepared) => Some(&prepared.offer),
            Self::Running(running) => Some(&running.offer),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Initialized(_) => "initialized",
            Self::Prepared(_) => "prepared",
            Self::Running(_) => "running",
        }
    }

    /// What the host has buffers for, how long they are, and what the device was opened with.
    pub(crate) fn buffers(&self) -> Option<(&[BufferRequest], u32, Shape)> {
        match self {
            Self::Loaded | Self::Initialized(_) => None,
            Self::Prepared(own) => Some((&own.wanted, own.frames, own.shape)),
            Self::Running(own) => Some((&own.wanted, own.frames, own.shape)),
        }
    }

    pub(crate) fn crew(&self) -> Option<&Crew> {
        match self {
            Self::Loaded | Self::Initialized(_) => None,
            Self::Prepared(own) => Some(&own.crew),
            Self::Running(own) => Some(&own.crew),
        }
    }
}
