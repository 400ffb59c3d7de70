//! The ASIO binary interface in both directions: a driver's object for hosts ([`create`]), a host's handle on a
//! driver ([`DriverRef`]). Constants, layouts and the one guard through which every foreign call goes; no policy.
//!
//! There are two dialects, [`Windows`] and [`Unix`] (cwASIO), with one vtable order. The calling convention is the
//! target's: `thiscall` and `stdcall` on 32-bit Windows, the C convention everywhere else.
//!
//! Interface facts are from the public headers as implemented by many hosts and drivers; no text of the SDK is here.

mod callbacks;
mod caller;
pub mod constants;
mod dialect;
mod driver;
mod guid;
pub mod layout;
mod object;
mod text;
mod vtable;

pub use callbacks::{HostCallbacks, TimeInfo};
pub use caller::{CreatedBuffers, DriverRef};
pub use constants::{Code, SampleType};
pub use dialect::{Dialect, HighLow, Long, Native, Samples, Unix, Windows};
pub use driver::{
    AsioDriver, AsioError, AsioResult, BufferRequest, BufferSize, ChannelControls, ChannelInfo,
    ClockSource, FutureCall, Halves, InputMonitor, InternalBuffers, IoFormat, SamplePosition,
};
pub use guid::Guid;
pub use object::{create, create_with_end, object_count};
pub use text::{read_text, write_text};
pub use vtable::Vtable;

/// The most channels that one `createBuffers` may name: all inputs and all outputs.
pub const MAX_BUFFERS: usize = 2 * barewire_types::MAX_CHANNELS;
