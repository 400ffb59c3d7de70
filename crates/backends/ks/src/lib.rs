//! Windows Kernel Streaming: the pins of audio filters, opened from user mode as ASIO4ALL and ASIO2KS do, below Windows'
//! audio engine. Nothing resamples, mixes or buffers in between.
//!
//! `enumerate` lists filters and pins, `topology` follows wires to jacks, `open` negotiates, `way` gets the memory (a WaveRT
//! `ring` with events or by the clock, or `packets`), `lane` is one direction, `stream` runs. `uapi` is the system's layout,
//! `ask` its questions, `kernel` the system calls behind a trait, so that tests can put lying hardware in their place.

mod ask;
mod enumerate;
mod formats;
pub mod kernel;
mod lane;
mod open;
mod options;
mod packets;
mod quirks;
mod ring;
mod stream;
mod topology;
pub mod uapi;
mod way;

pub use options::{Options, Transport};

use crate::kernel::Kernel;
use barewire_device::{Backend, DeviceInfo, OpenRequest, Stream, Way};
use barewire_rt::System;
use barewire_types::Result;
use std::sync::Arc;

/// The backend's name in settings and device ids.
pub const NAME: &str = "ks";

/// All audio filters of this machine.
pub struct KsBackend {
    system: Arc<dyn System>,
    kernel: Arc<dyn Kernel>,
    options: Options,
}

impl KsBackend {
    /// The filters of the Windows that this process runs on.
    #[cfg(windows)]
    pub fn new(system: Arc<dyn System>, options: Options) -> Self {
        let kernel = Arc::new(kernel::RealKernel::new(system.clone()));
        Self::with_kernel(system, kernel, options)
    }

    /// The filters of another kernel, for tests.
    pub fn with_kernel(system: Arc<dyn System>, kernel: Arc<dyn Kernel>, options: Options) -> Self {
        Self { system, kernel, options }
    }
}

impl Backend for KsBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        Ok(enumerate::devices(&*self.kernel))
    }

    fn open(&self, request: &OpenRequest) -> Result<Box<dyn Stream>> {
        open::open(&self.system, &self.kernel, &self.options, request)
    }

    fn way(&self, device: &DeviceInfo) -> Way {
        // WASAPI's exclusive mode ends at the same pins, and other programs learn of it.
        let way = Way { goes_below_the_system: true, ..Way::of(device) };
        let endpoints = enumerate::endpoints_of(&*self.kernel, &device.id);
        if endpoints.is_empty() { way } else { Way { endpoints, ..way } }
    }
}
