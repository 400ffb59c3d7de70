//! What this backend asks of winmm, as traits: the real one behind `Winmm`, and in tests a fake one that does what
//! winmm has been seen doing.

#[cfg(windows)]
mod real;

#[cfg(windows)]
pub use real::Winmm;

use barewire_rt::Waker;
use barewire_types::{Ns, RateHz, SampleFormat};

/// A result of winmm that is not `MMSYSERR_NOERROR`.
pub type Code = u32;

/// Results that this backend tells apart, with winmm's names (`mmeapi.h`).
pub mod code {
    /// Something else.
    pub const ERROR: u32 = 1;
    /// There is no device of that number.
    pub const BADDEVICEID: u32 = 2;
    /// The driver could not be enabled.
    pub const NOTENABLED: u32 = 3;
    /// Another program holds it.
    pub const ALLOCATED: u32 = 4;
    /// The handle is no longer good.
    pub const INVALHANDLE: u32 = 5;
    /// No driver: the device was pulled out.
    pub const NODRIVER: u32 = 6;
    /// Memory could not be had.
    pub const NOMEM: u32 = 7;
    /// The format is not taken.
    pub const BADFORMAT: u32 = 32;
    /// Buffers are still queued.
    pub const STILLPLAYING: u32 = 33;
}

/// Where sound goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// `waveOut`.
    Playback,
    /// `waveIn`.
    Capture,
}

/// A wave device as winmm lists it. Numbers change whenever a device comes or goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaveDevice {
    /// winmm's number.
    pub number: u32,
    /// Its name: the endpoint's whole one where that is known, else winmm's, which ends after 31 characters.
    pub name: String,
    /// The endpoint's id (`{0.0.0.00000000}.{…}`), by which other ways know it too.
    pub endpoint: Option<String>,
    /// Channels that it says it has.
    pub channels: u16,
    /// Whether the system prefers it.
    pub is_default: bool,
}

/// A format as it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaveFormat {
    /// How a sample lies in memory.
    pub sample: SampleFormat,
    /// Channels of a frame.
    pub channels: u16,
    /// Frames a second.
    pub rate: RateHz,
}

impl WaveFormat {
    /// Bytes of a frame.
    pub fn frame_bytes(&self) -> usize {
        usize::from(self.channels) * self.sample.bytes()
    }
}

/// winmm. Control threads only.
pub trait Waves: Send + Sync {
    /// The devices there are.
    fn devices(&self, direction: Direction) -> Vec<WaveDevice>;

    /// Whether a device takes a format, without a codec in between (`WAVE_FORMAT_DIRECT`) and without opening it.
    ///
    /// # Errors
    /// winmm's code.
    fn query(&self, direction: Direction, number: u32, format: &WaveFormat) -> Result<(), Code>;

    /// Opens a device, with memory for `packets` packets of `packet_frames` frames each, one behind another. Nothing is
    /// queued yet.
    ///
    /// # Errors
    /// winmm's code.
    fn open(
        &self,
        direction: Direction,
        number: u32,
        format: &WaveFormat,
        packets: u32,
        packet_frames: u32,
    ) -> Result<Box<dyn Wave>, Code>;
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// A packet came back, or something else happened: look.
    Event,
    /// The waker fired.
    Woken,
    /// The time is over.
    Time,
}

/// An open wave device of one direction. Closed when dropped, which brings all packets back first. All methods but
/// `waker` are for the thread that runs the stream.
pub trait Wave: Send {
    /// Where the packets' memory begins.
    fn base(&self) -> *mut u8;

    /// Queues a packet, whole. A playing device that was dry begins at once.
    ///
    /// # Errors
    /// winmm's code.
    fn queue(&mut self, packet: u32) -> Result<(), Code>;

    /// How many bytes of a packet that has come back are used; `None` while it is queued.
    fn returned(&self, packet: u32) -> Option<u32>;

    /// Lets a capturing device run; one that plays runs as soon as something is queued.
    ///
    /// # Errors
    /// winmm's code.
    fn start(&mut self) -> Result<(), Code>;

    /// Stops at once; all packets come back.
    fn reset(&mut self);

    /// Ends a wait from another thread.
    fn waker(&self) -> Waker;

    /// Waits until a packet came back, the waker fired or `until` has passed.
    fn wait(&mut self, until: Ns) -> Ready;
}
