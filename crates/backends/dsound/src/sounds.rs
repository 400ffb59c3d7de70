//! What this backend asks of DirectSound, as traits: the real one behind `DirectSound`, and in tests a fake one that does
//! what DirectSound has been seen doing.

#[cfg(windows)]
mod real;

#[cfg(windows)]
pub use real::DirectSound;

use barewire_types::{RateHz, SampleFormat};

/// An `HRESULT` that is a failure, as Windows prints it.
pub type Code = u32;

/// Results that this backend tells apart, with DirectSound's names (`dsound.h`).
pub mod code {
    /// `DSERR_ALLOCATED`: another program holds it.
    pub const ALLOCATED: u32 = 0x8878_000A;
    /// `DSERR_PRIOLEVELNEEDED`.
    pub const PRIOLEVELNEEDED: u32 = 0x8878_0046;
    /// `DSERR_BADFORMAT`.
    pub const BADFORMAT: u32 = 0x8878_0064;
    /// `DSERR_NODRIVER`: no such device, or it is gone.
    pub const NODRIVER: u32 = 0x8878_0078;
    /// `DSERR_BUFFERLOST`: the memory was taken away and must be restored.
    pub const BUFFERLOST: u32 = 0x8878_0096;
    /// `DSERR_OTHERAPPHASPRIO`.
    pub const OTHERAPPHASPRIO: u32 = 0x8878_00A0;
    /// `E_ACCESSDENIED`: the privacy settings, for a microphone.
    pub const ACCESSDENIED: u32 = 0x8007_0005;
    /// `DSERR_OUTOFMEMORY`.
    pub const OUTOFMEMORY: u32 = 0x8007_000E;
    /// `E_FAIL`.
    pub const FAIL: u32 = 0x8000_4005;
}

/// Where sound goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// It is played.
    Playback,
    /// It is captured.
    Capture,
}

/// A device as DirectSound lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoundDevice {
    /// The endpoint's id (`{0.0.0.00000000}.{…}`), by which other ways know it too; DirectSound's GUID is its second half.
    pub endpoint: String,
    /// Its whole name.
    pub name: String,
    /// Whether the system prefers it.
    pub is_default: bool,
}

/// A format as it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoundFormat {
    /// How a sample lies in memory.
    pub sample: SampleFormat,
    /// Channels of a frame.
    pub channels: u16,
    /// Frames a second.
    pub rate: RateHz,
}

impl SoundFormat {
    /// Bytes of a frame.
    pub fn frame_bytes(&self) -> usize {
        usize::from(self.channels) * self.sample.bytes()
    }
}

/// DirectSound. Control threads only.
pub trait Sounds: Send + Sync {
    /// The devices there are.
    fn devices(&self, direction: Direction) -> Vec<SoundDevice>;

    /// Opens a device, stopped, with a ring of so many frames.
    ///
    /// # Errors
    /// DirectSound's code.
    fn open(
        &self,
        direction: Direction,
        endpoint: &str,
        format: &SoundFormat,
        ring_frames: u32,
    ) -> Result<Box<dyn Sound>, Code>;

    /// Whether this is Wine, whose ways differ here and there.
    fn is_wine(&self) -> bool;
}

/// An open device of one direction. Closed when dropped. All methods are for the thread that runs the stream.
pub trait Sound: Send {
    /// Goes round the ring, for ever; one that plays begins at frame 0.
    ///
    /// # Errors
    /// DirectSound's code.
    fn start(&mut self) -> Result<(), Code>;

    /// Stops at once.
    fn stop(&mut self);

    /// The frame of the ring that is to be played next, or captured next.
    ///
    /// # Errors
    /// DirectSound's code.
    fn cursor(&mut self) -> Result<u32, Code>;

    /// Writes whole frames from frame `at` of the ring on; they do not wrap.
    ///
    /// # Errors
    /// DirectSound's code.
    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Code>;

    /// Reads whole frames from frame `at` of the ring on; they do not wrap.
    ///
    /// # Errors
    /// DirectSound's code.
    fn read(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), Code>;

    /// Gets a lost ring back; what it holds is unknown then.
    ///
    /// # Errors
    /// DirectSound's code.
    fn restore(&mut self) -> Result<(), Code>;
}
