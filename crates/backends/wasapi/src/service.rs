//! What this backend asks of Windows, as traits: the audio service itself behind `WindowsService`, and in tests a fake
//! one that lies in all the ways that devices do. Nothing is decided here.

#[cfg(windows)]
mod client;
#[cfg(windows)]
mod memory;
#[cfg(windows)]
mod notices;
#[cfg(windows)]
mod properties;
#[cfg(windows)]
mod waiter;
#[cfg(windows)]
mod windows;

#[cfg(windows)]
pub use windows::WindowsService;

use crate::wave::WaveFormat;
use barewire_device::Loss;
use barewire_rt::Waker;
use barewire_types::Ns;

/// What a call of Windows answers; negative is a failure. `hresult` names those that are told apart.
pub type Hresult = i32;

/// `Result` with an [`Hresult`].
pub type Answer<T> = Result<T, Hresult>;

/// Which way an endpoint's sound goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flow {
    /// It plays.
    Render,
    /// It captures.
    Capture,
}

/// An endpoint that can be used now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The id that Windows gives it, the same after a restart.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// Which way its sound goes.
    pub flow: Flow,
    /// What the endpoints of one piece of hardware share, if Windows knows it.
    pub hardware: Option<String>,
    /// The format of the control panel, which exclusive streams may mostly have.
    pub format: Option<WaveFormat>,
}

/// The volume of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Volume {
    /// In decibels; 0 changes nothing.
    pub level_db: f32,
    /// Whether it is muted.
    pub is_muted: bool,
    /// Whether the hardware does it, so that it acts on exclusive streams too.
    pub is_hardware: bool,
}

/// What happened to the endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The endpoint of that id can be used now.
    Arrived(String),
    /// The endpoint of that id can no longer be used.
    Left(String),
    /// The format of the endpoint of that id was changed in the control panel.
    Changed(String),
    /// Another endpoint is the default now.
    DefaultChanged,
}

/// Told of [`Notice`]s on a thread of Windows that holds a lock: it must not call the service.
pub type NoticeListener = Box<dyn Fn(Notice) + Send + Sync>;

/// The audio service. Control threads.
pub trait Service: Send + Sync {
    /// The endpoints that can be used now.
    ///
    /// # Errors
    /// What Windows answered.
    fn endpoints(&self) -> Answer<Vec<Endpoint>>;

    /// The id of the default endpoint.
    fn default_endpoint(&self, flow: Flow) -> Option<String>;

    /// A client of the endpoint, not initialised. One attempt to initialise uses it up.
    ///
    /// # Errors
    /// What Windows answered.
    fn activate(&self, id: &str) -> Answer<Box<dyn Client>>;

    /// The volume of the endpoint, if it tells one.
    fn volume(&self, id: &str) -> Option<Volume>;

    /// Something to wait with.
    ///
    /// # Errors
    /// What Windows answered.
    fn waiter(&self) -> Answer<Box<dyn Waiter>>;

    /// Tells `listener` what happens to endpoints, as long as this service lives or until another one is told.
    fn watch(&self, listener: NoticeListener);

    /// Whether this is Wine, of which some answers are known to be wrong.
    fn is_wine(&self) -> bool;
}

/// How an exclusive or classic shared stream is to be initialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// For us alone.
    pub is_exclusive: bool,
    /// Woken by an event.
    pub has_event: bool,
    /// What a render endpoint plays is captured.
    pub is_loopback: bool,
    /// Length of the buffer in units of 100 ns.
    pub duration_hns: i64,
    /// Length of a period in units of 100 ns; 0 in shared mode.
    pub period_hns: i64,
    /// The samples.
    pub format: WaveFormat,
}

/// The periods that the system's mixer can have, in frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnginePeriods {
    /// What it has if nobody asks.
    pub default_frames: u32,
    /// All periods are multiples of this.
    pub step_frames: u32,
    /// The shortest.
    pub min_frames: u32,
    /// The longest.
    pub max_frames: u32,
}

/// A packet of captured frames. Valid until `take`.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// Where it lies.
    pub data: *const u8,
    /// How many frames.
    pub frames: u32,
    /// It counts as silence, whatever lies there.
    pub is_silent: bool,
    /// Frames were lost before it.
    pub is_gap: bool,
    /// Its first frame, counted from the start.
    pub position: u64,
    /// When that frame was captured; 0 if that is not known.
    pub at_ns: Ns,
}

/// Where a stream is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// In units that only `frequency` explains.
    pub position: u64,
    /// Units a second.
    pub frequency: u64,
    /// When it was there, by the clock of `rt`.
    pub at_ns: Ns,
}

/// A client of an endpoint. `padding` to `clock` belong to the device thread, the rest to control threads.
pub trait Client: Send {
    /// The format of the system's mixer.
    ///
    /// # Errors
    /// What Windows answered.
    fn mix_format(&self) -> Answer<WaveFormat>;

    /// Whether the format seems to be taken. Necessary for most drivers, sufficient for none.
    fn supports(&self, is_exclusive: bool, format: &WaveFormat) -> bool;

    /// The device's usual and shortest period in units of 100 ns.
    ///
    /// # Errors
    /// What Windows answered.
    fn device_period(&self) -> Answer<(i64, i64)>;

    /// Asks that nothing is done to the samples of a shared stream. To be called before anything else.
    ///
    /// # Errors
    /// What Windows answered.
    fn be_raw(&self) -> Answer<()>;

    /// The periods that the system's mixer can have for this format.
    ///
    /// # Errors
    /// What Windows answered: not implemented before Windows 10.
    fn engine_periods(&self, format: &WaveFormat) -> Answer<EnginePeriods>;

    /// Opens the stream.
    ///
    /// # Errors
    /// What Windows answered.
    fn initialize(&mut self, setup: &Setup) -> Answer<()>;

    /// Opens a shared stream with a period of its own, woken by an event.
    ///
    /// # Errors
    /// What Windows answered.
    fn initialize_shared(&mut self, period_frames: u32, format: &WaveFormat) -> Answer<()>;

    /// The length of the buffer. After a failure for want of alignment: the next length that is aligned.
    ///
    /// # Errors
    /// What Windows answered.
    fn buffer_frames(&self) -> Answer<u32>;

    /// Lets the stream set the event that [`Waiter::event`] named.
    ///
    /// # Errors
    /// What Windows answered.
    fn set_event(&self, event: usize) -> Answer<()>;

    /// Gets what is needed to run; no ducking of others' sound from now on.
    ///
    /// # Errors
    /// What Windows answered.
    fn prepare(&mut self, flow: Flow) -> Answer<()>;

    /// Starts.
    ///
    /// # Errors
    /// What Windows answered.
    fn start(&self) -> Answer<()>;

    /// Stops.
    ///
    /// # Errors
    /// What Windows answered.
    fn stop(&self) -> Answer<()>;

    /// Throws away what is queued; positions begin at 0.
    ///
    /// # Errors
    /// What Windows answered.
    fn reset(&self) -> Answer<()>;

    /// Frames that are queued.
    ///
    /// # Errors
    /// What Windows answered.
    fn padding(&self) -> Answer<u32>;

    /// Memory for the next `frames` frames to be played.
    ///
    /// # Errors
    /// What Windows answered.
    fn lend(&self, frames: u32) -> Answer<*mut u8>;

    /// Hands them over.
    ///
    /// # Errors
    /// What Windows answered.
    fn give(&self, frames: u32, is_silent: bool) -> Answer<()>;

    /// The next packet, if there is one.
    ///
    /// # Errors
    /// What Windows answered.
    fn packet(&self) -> Answer<Option<Packet>>;

    /// Gives the packet back.
    ///
    /// # Errors
    /// What Windows answered.
    fn take(&self, frames: u32) -> Answer<()>;

    /// Where the stream is.
    ///
    /// # Errors
    /// What Windows answered.
    fn clock(&self) -> Answer<Reading>;

    /// Why Windows cut the stream off, if it did and said why.
    fn cut_off(&self) -> Option<Loss>;
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// The event was set.
    Event,
    /// The waker fired.
    Woken,
    /// The time is over.
    Time,
}

/// Waits on the events of a stream's two directions, on a waker and on the clock.
pub trait Waiter: Send {
    /// Ends a wait from another thread.
    fn waker(&self) -> Waker;

    /// The event of a direction, as clients take it.
    fn event(&self, flow: Flow) -> usize;

    /// Waits until the direction's event is set (none: only for the time), the waker fired or `until` has passed.
    fn wait(&mut self, flow: Option<Flow>, until: Ns) -> Ready;

    /// Forgets that the events were set.
    fn clear(&mut self);
}
