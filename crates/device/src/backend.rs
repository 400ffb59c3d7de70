//! One way to reach devices.

use crate::info::{DeviceId, DeviceInfo};
use crate::stream::Stream;
use crate::ways::Way;
use barewire_types::{RateHz, Result, SampleFormat};
use std::sync::Arc;

/// What is wanted of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SideRequest {
    /// At least this many channels; the device may be opened with more.
    pub channels: u16,
    /// Exactly this format, or the best one.
    pub format: Option<SampleFormat>,
}

/// What is wanted of a device. Rate and forced formats are exact or the open fails; the period is a wish,
/// [`crate::Shape`] tells what it became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRequest {
    /// Which device.
    pub id: DeviceId,
    /// The rate, exactly.
    pub rate: RateHz,
    /// The captured side, if wanted.
    pub capture: Option<SideRequest>,
    /// The played side, if wanted.
    pub playback: Option<SideRequest>,
    /// The period that is wished for.
    pub period_frames: u32,
}

/// How a device is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// As well as it can be had: exclusive if possible, else shared, which is then noted.
    #[default]
    Auto,
    /// For us alone, woken by the device.
    Exclusive,
    /// For us alone, looked at by the clock.
    ExclusivePolled,
    /// Through the system's mixer.
    Shared,
}

/// What happened to the devices of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceEvent {
    /// A device came (back).
    Arrived(DeviceId),
    /// A device went.
    Left(DeviceId),
    /// What a device can do, or its volume, has changed.
    Changed(DeviceId),
    /// Another device is the default now.
    DefaultChanged,
}

/// Told of [`DeviceEvent`]s, on any thread but the device thread.
pub type Listener = Box<dyn Fn(DeviceEvent) + Send + Sync>;

/// One way to reach devices. All methods belong to control threads (the keeper) and may block for as long as
/// the hardware takes.
pub trait Backend: Send + Sync {
    /// The backend's name as settings and ids spell it.
    fn name(&self) -> &'static str;

    /// The devices that can be seen now. None is opened for it.
    ///
    /// # Errors
    /// If the devices cannot be listed; an empty list is no error.
    fn devices(&self) -> Result<Vec<DeviceInfo>>;

    /// Opens a device, stopped.
    ///
    /// # Errors
    /// `NotFound`, `Busy` (with who holds it, if that can be known), `Denied`, `UnsupportedRate`,
    /// `Unsupported`, `Lost`, `Malfunction`, `InvalidArgument` if neither direction is wanted: each with a sentence
    /// that says what to do.
    fn open(&self, request: &OpenRequest) -> Result<Box<dyn Stream>>;

    /// The same devices, held in this way: what they can do is then what they can do so, and they open so or not at all.
    /// `None` if the backend knows one way only.
    fn in_mode(&self, mode: Mode) -> Option<Arc<dyn Backend>> {
        let _ = mode;
        None
    }

    /// What this way to `device` gives, and which endpoints lie behind it. A backend whose devices other backends reach too
    /// says here what the system calls them.
    fn way(&self, device: &DeviceInfo) -> Way {
        Way::of(device)
    }

    /// Tells `listener` of devices that come and go, until it is replaced or the backend dropped. A backend
    /// that cannot tell does nothing: callers poll [`Backend::devices`] too.
    fn watch(&self, listener: Listener) {
        drop(listener);
    }
}
