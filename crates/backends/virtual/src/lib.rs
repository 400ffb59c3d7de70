//! The virtual device: what stands for hardware where there is none, and the simulator's device.
//!
//! It keeps the time of a [`System`]: the real one gives it absolute deadlines, a simulated one
//! lets it run as fast as the processor goes, with the same code. What it was given goes to a [`Sink`], what it
//! captures comes from a [`Source`], both exact to the bit and to the frame; faults happen by a [`Script`] or by hand
//! ([`Remote`]).

#![forbid(unsafe_code)]

mod description;
mod enumerate;
mod open;
mod sink;
mod source;
mod stream;
pub mod wav;

pub use description::{
    Description, Fault, FaultKind, MakeSink, MakeSource, Remote, Script, Sink, SinkFunction,
    Source, SourceFunction,
};
pub use sink::{Recording, Recordings};

use barewire_device::{Backend, DeviceEvent, DeviceInfo, Listener, OpenRequest, Stream};
use barewire_rt::System;
use barewire_types::Result;
use std::sync::{Arc, Mutex, PoisonError};

/// The backend's name in settings and device ids.
pub const NAME: &str = "virtual";

/// Any number of virtual devices.
pub struct VirtualBackend {
    system: Arc<dyn System>,
    devices: Vec<(Description, Arc<Remote>)>,
    listener: Arc<Mutex<Option<Listener>>>,
}

impl VirtualBackend {
    /// Devices as described. Control thread.
    pub fn new(system: Arc<dyn System>, descriptions: Vec<Description>) -> Self {
        let with_remote = |device: Description| {
            let remote = Remote::default();
            remote.refuse(device.refuse_openings);
            remote.refuse_starts(device.refuse_starts);
            (device, Arc::new(remote))
        };
        let devices = descriptions.into_iter().map(with_remote).collect();
        Self { system, devices, listener: Arc::default() }
    }

    /// The hand on the device with this name: the part of its id behind `virtual:`.
    pub fn remote(&self, name: &str) -> Option<Arc<Remote>> {
        self.devices
            .iter()
            .find(|(device, _)| device.name == name)
            .map(|(_, remote)| remote.clone())
    }

    /// Tells the listener, as a plug or unplug would.
    pub fn announce(&self, event: DeviceEvent) {
        if let Some(listener) = &*self.listener.lock().unwrap_or_else(PoisonError::into_inner) {
            listener(event);
        }
    }
}

impl Backend for VirtualBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        Ok(enumerate::devices(&self.devices))
    }

    fn open(&self, request: &OpenRequest) -> Result<Box<dyn Stream>> {
        open::open(&self.system, &self.devices, request)
    }

    fn watch(&self, listener: Listener) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }
}
