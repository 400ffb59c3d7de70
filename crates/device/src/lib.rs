//! Seam 1: devices. What a backend offers ([`Backend`], [`DeviceInfo`]), a device opened with a format
//! ([`Stream`]), and what a wake-up brings ([`Wake`], [`Period`]).
//!
//! A stream is *pulled*: the loop waits, reads and writes the device's own memory piece by piece, and waits
//! again. Because of that, streams compose: a stream made of streams is a stream. Backends move periods of one
//! direction, or of two that the hardware moves together; they never convert, mix or adapt sizes.

#![forbid(unsafe_code)]

mod backend;
#[cfg(feature = "contract")]
pub mod contract;
mod info;
mod stream;
mod ways;

pub use backend::{Backend, DeviceEvent, Listener, Mode, OpenRequest, SideRequest};
pub use info::{Caps, Channels, DeviceId, DeviceInfo, Note, NoteKind, Periods};
pub use stream::{Below, Clockwork, Layout, Loss, Period, Shape, Side, Step, Stream, Wake};
pub use ways::{Endpoint, Lead, Way, endpoints};
