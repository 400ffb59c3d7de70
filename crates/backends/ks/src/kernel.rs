//! What this backend asks of Windows, as traits: the real system behind `RealKernel`, and in tests a fake one with
//! simulated hardware that lies in all the ways that drivers do.

#[cfg(windows)]
mod real;

#[cfg(windows)]
pub use real::RealKernel;

use crate::uapi::Guid;
use barewire_rt::Waker;
use barewire_types::Ns;

/// A Win32 error code.
pub type Code = u32;

/// Codes that this backend tells apart.
pub mod code {
    use super::Code;
    /// Something that must be there is not: a filter that was just pulled out, for example.
    pub const FILE_NOT_FOUND: Code = 2;
    /// A right is missing.
    pub const ACCESS_DENIED: Code = 5;
    /// The handle has become invalid.
    pub const INVALID_HANDLE: Code = 6;
    /// Memory is short.
    pub const NOT_ENOUGH_MEMORY: Code = 8;
    /// What an occupied pin answers.
    pub const BAD_COMMAND: Code = 22;
    /// A device that does not work: some drivers answer so when it was pulled out.
    pub const GEN_FAILURE: Code = 31;
    /// Opened by another without sharing.
    pub const SHARING_VIOLATION: Code = 32;
    /// Unknown property.
    pub const NOT_SUPPORTED: Code = 50;
    /// The device is gone.
    pub const DEV_NOT_EXIST: Code = 55;
    /// A bad argument; also: a format that is not taken.
    pub const INVALID_PARAMETER: Code = 87;
    /// The request did not end in time.
    pub const SEM_TIMEOUT: Code = 121;
    /// The reply is longer than its place.
    pub const INSUFFICIENT_BUFFER: Code = 122;
    /// Occupied.
    pub const BUSY: Code = 170;
    /// The reply is longer than its place; how long is told.
    pub const MORE_DATA: Code = 234;
    /// No such device.
    pub const NO_SUCH_DEVICE: Code = 433;
    /// A request that was cancelled.
    pub const OPERATION_ABORTED: Code = 995;
    /// The device is gone.
    pub const DEVICE_NOT_CONNECTED: Code = 1167;
    /// A format or interface that the pin does not take.
    pub const NO_MATCH: Code = 1169;
    /// All instances are in use.
    pub const NO_SYSTEM_RESOURCES: Code = 1450;
    /// The device is gone.
    pub const DEVICE_REMOVED: Code = 1617;

    /// Whether the device is no longer there.
    pub const fn is_gone(code: Code) -> bool {
        matches!(
            code,
            FILE_NOT_FOUND
                | INVALID_HANDLE
                | GEN_FAILURE
                | DEV_NOT_EXIST
                | NO_SUCH_DEVICE
                | DEVICE_NOT_CONNECTED
                | DEVICE_REMOVED
        )
    }
}

/// A filter as the system lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// How it is opened: `\\?\hdaudio#…#{category}\reference`.
    pub path: String,
    /// What people call it, if the system knows.
    pub name: Option<String>,
}

/// A program that plays or records through the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process number.
    pub process: u32,
    /// Its name, if it may be read.
    pub name: Option<String>,
}

/// An endpoint of the system, and the jack that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wired {
    /// The endpoint's id (`{0.0.0.00000000}.{…}`), by which other ways know it too.
    pub endpoint: String,
    /// The filter that has the jack: its path under whatever category, as the system tells it (`{2}.\\?\hdaudio#…`).
    pub filter: String,
    /// The jack's pin there.
    pub pin: u32,
}

/// Filters, pins, memory and waiting. All methods belong to control threads.
pub trait Kernel: Send + Sync {
    /// The filters of a category that are there now.
    ///
    /// # Errors
    /// If they cannot be listed; none is no error.
    fn filters(&self, category: &Guid) -> Result<Vec<Listed>, Code>;

    /// Opens a filter.
    ///
    /// # Errors
    /// The system's code.
    fn open_filter(&self, path: &str) -> Result<Box<dyn Object>, Code>;

    /// Opens a pin of a filter; `connect` is a `KSPIN_CONNECT` with its format. The one call that Wine lacks.
    ///
    /// # Errors
    /// The system's code: `NO_MATCH`, `BAD_COMMAND` …
    fn create_pin(&self, filter: &dyn Object, connect: &[u8]) -> Result<Box<dyn Object>, Code>;

    /// An event that one wait resets.
    ///
    /// # Errors
    /// The system's code.
    fn event(&self) -> Result<Box<dyn Event>, Code>;

    /// Something to wait with.
    ///
    /// # Errors
    /// The system's code.
    fn waiter(&self) -> Result<Box<dyn Waiter>, Code>;

    /// Zeroed memory in pages of its own, for a driver to read and write.
    ///
    /// # Errors
    /// The system's code.
    fn pages(&self, bytes: usize) -> Result<Box<dyn Pages>, Code>;

    /// The endpoints that the system makes of jacks; none where it does not tell.
    fn endpoints(&self) -> Vec<Wired> {
        Vec::new()
    }

    /// Programs that play or record through the system on this endpoint now, as far as that can be known.
    fn holders(&self, endpoint: &str) -> Vec<Holder> {
        let _ = endpoint;
        Vec::new()
    }
}

/// A handle as the system writes it.
pub type RawHandle = usize;

/// An open filter or pin; dropping closes it, and with a pin goes the ring that was mapped for it.
pub trait Object: Send {
    /// A control call that ends at once or within a second; `output` is read and written. Tells how many bytes of output
    /// the driver wrote. For the device thread too: no allocation where `output` is small.
    ///
    /// # Errors
    /// The system's code; `MORE_DATA` with the length that is needed.
    fn control(&mut self, code: u32, input: &[u8], output: &mut [u8]) -> Result<usize, Failure>;

    /// A place for one stream request on this pin.
    ///
    /// # Errors
    /// The system's code.
    fn ticket(&self) -> Result<Box<dyn Ticket>, Code>;

    /// The handle.
    fn handle(&self) -> RawHandle;
}

/// Why a control call failed, and how long its reply would have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The system's code.
    pub code: Code,
    /// The bytes that the driver told of, if any.
    pub needed: usize,
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Self { code, needed: 0 }
    }
}

impl From<Failure> for Code {
    fn from(failure: Failure) -> Self {
        failure.code
    }
}

/// One stream request that may be on its way. For the device thread.
///
/// Must not be dropped while a request is pending; `packets` leaks it rather.
pub trait Ticket: Send {
    /// Sends `bytes` bytes at `header` to the pin.
    ///
    /// # Errors
    /// The system's code, if the request did not even begin.
    ///
    /// # Safety
    /// Header and what it points to must stay where they are, untouched, until `poll` tells the outcome.
    unsafe fn submit(&mut self, code: u32, header: *mut u8, bytes: usize) -> Result<(), Code>;

    /// The outcome, once: `None` while the request is pending, or if there is none.
    fn poll(&mut self) -> Option<Result<(), Code>>;

    /// Asks for the request to end.
    fn cancel(&mut self);

    /// What is signalled when the request has ended, to wait on.
    fn event(&self) -> RawHandle;
}

/// An event that one wait resets.
pub trait Event: Send {
    /// Its handle, to wait on and to give to a driver.
    fn handle(&self) -> RawHandle;
}

/// Memory in pages of its own; freed when dropped.
pub trait Pages: Send {
    /// Where it begins.
    fn base(&self) -> *mut u8;
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// One of the events.
    Event,
    /// The waker fired.
    Woken,
    /// The time is over.
    Time,
}

/// The most events that are waited on at once.
pub const MOST_EVENTS: usize = 2;

/// Waits on events, on a waker and on the clock.
pub trait Waiter: Send {
    /// Ends a wait from another thread.
    fn waker(&self) -> Waker;

    /// Waits until one of `events` (at most [`MOST_EVENTS`]) is signalled, the waker fired or `until` has passed; `until`
    /// in the past makes it a poll. For the device thread.
    fn wait(&mut self, events: &[RawHandle], until: Ns) -> Ready;
}
