//! Windows' own audio interface, WASAPI: exclusive and woken by the device's events where that can be had, exclusive and
//! looked at by the clock, or shared through the system's mixer. Playing and capturing on one piece of hardware are one
//! stream with one clock.
//!
//! `enumerate` lists, `open` negotiates, `stream` runs over `lines` and `course`; `wave` speaks of formats, `hresult` of
//! failures; `service` is what is asked of Windows, behind traits, so that tests can put a lying Windows in its place.

mod course;
mod enumerate;
pub mod hresult;
mod lines;
mod open;
mod quirks;
pub mod service;
mod stream;
pub mod wave;

use crate::service::{Notice, Service};
use barewire_device::{
    Backend, DeviceEvent, DeviceId, DeviceInfo, Listener, Mode, OpenRequest, Stream, Way,
};
use barewire_rt::System;
use barewire_types::Result;
use std::sync::Arc;

/// The backend's name in settings and device ids.
pub const NAME: &str = "wasapi";

/// All endpoints of this machine.
#[derive(Clone)]
pub struct WasapiBackend {
    system: Arc<dyn System>,
    service: Arc<dyn Service>,
    mode: Mode,
}

impl WasapiBackend {
    /// The endpoints of the audio service of this machine.
    #[cfg(windows)]
    pub fn new(system: Arc<dyn System>) -> Self {
        Self::with_service(system, Arc::new(service::WindowsService::new()))
    }

    /// The endpoints of another service, for tests.
    pub fn with_service(system: Arc<dyn System>, service: Arc<dyn Service>) -> Self {
        Self { system, service, mode: Mode::Auto }
    }
}

impl Backend for WasapiBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        enumerate::devices(&*self.service, self.mode)
    }

    fn open(&self, request: &OpenRequest) -> Result<Box<dyn Stream>> {
        open::open(&self.system, &self.service, self.mode, request)
    }

    fn in_mode(&self, mode: Mode) -> Option<Arc<dyn Backend>> {
        Some(Arc::new(Self { mode, ..self.clone() }))
    }

    fn way(&self, device: &DeviceInfo) -> Way {
        let endpoints = enumerate::endpoints_of(&*self.service, &device.id);
        Way { endpoints, ..Way::of(device) }
    }

    fn watch(&self, listener: Listener) {
        let id = |id: String| DeviceId::new(NAME, &id);
        self.service.watch(Box::new(move |notice| {
            listener(match notice {
                Notice::Arrived(endpoint) => DeviceEvent::Arrived(id(endpoint)),
                Notice::Left(endpoint) => DeviceEvent::Left(id(endpoint)),
                Notice::Changed(endpoint) => DeviceEvent::Changed(id(endpoint)),
                Notice::DefaultChanged => DeviceEvent::DefaultChanged,
            });
        }));
    }
}
