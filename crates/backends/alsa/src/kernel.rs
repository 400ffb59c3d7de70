//! What this backend asks of the kernel, as traits: the real kernel behind [`RealKernel`], and in tests a fake
//! one that lies in all the ways that cards do.

#[cfg(target_os = "linux")]
mod real;

#[cfg(target_os = "linux")]
pub use real::RealKernel;

use crate::uapi::{CardInfo, HwParams, MmapStatus, PcmInfo, Status, SwParams};
use barewire_rt::Waker;
use barewire_types::Ns;

/// The kernel's error number, positive.
pub type Errno = i32;

/// Error numbers that this backend tells apart; those of Linux on all architectures that Rust's std supports here.
pub mod errno {
    /// No such file or directory.
    pub const ENOENT: i32 = 2;
    /// No such device or address.
    pub const ENXIO: i32 = 6;
    /// Input/output error.
    pub const EIO: i32 = 5;
    /// Try again.
    pub const EAGAIN: i32 = 11;
    /// Out of memory.
    pub const ENOMEM: i32 = 12;
    /// Permission denied.
    pub const EACCES: i32 = 13;
    /// Device or resource busy.
    pub const EBUSY: i32 = 16;
    /// No such device.
    pub const ENODEV: i32 = 19;
    /// Invalid argument.
    pub const EINVAL: i32 = 22;
    /// Broken pipe: an xrun.
    pub const EPIPE: i32 = 32;
    /// File descriptor in bad state: what a running USB device answers once it was pulled out.
    pub const EBADFD: i32 = 77;
    /// Streams pipe error: the system was suspended.
    pub const ESTRPIPE: i32 = 86;
}

/// The device nodes and the files under `/proc/asound`.
pub trait Kernel: Send + Sync {
    /// Numbers of the cards there are.
    fn cards(&self) -> Vec<u32>;

    /// Opens a card's control node.
    ///
    /// # Errors
    /// The kernel's error number.
    fn open_control(&self, card: u32) -> Result<Box<dyn Control>, Errno>;

    /// Opens a PCM without waiting for it to become free.
    ///
    /// # Errors
    /// The kernel's error number: `EBUSY` if another program holds it.
    fn open_pcm(&self, card: u32, device: u32, direction: i32) -> Result<Box<dyn Pcm>, Errno>;

    /// The names and process numbers of those who hold a PCM open.
    fn holders(&self, card: u32, device: u32, direction: i32) -> Vec<Holder>;

    /// Something to wait with.
    ///
    /// # Errors
    /// The kernel's error number.
    fn waiter(&self) -> Result<Box<dyn Waiter>, Errno>;
}

/// A program that holds a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process number.
    pub process: u32,
    /// Its name, if it may be read.
    pub name: Option<String>,
}

/// A mixer element that a person would call a volume or a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MixerElement {
    /// Its name, for example `PCM Playback Volume`.
    pub name: String,
    /// Whether it is a switch; 0 is off.
    pub is_switch: bool,
    /// Least value.
    pub min: i64,
    /// Greatest value.
    pub max: i64,
    /// The value that leaves samples as they are (0 dB), if the card tells one.
    pub unity: Option<i64>,
    /// The value of each of its channels.
    pub values: Vec<i64>,
}

/// A card's control node.
pub trait Control: Send {
    /// Which card it is.
    ///
    /// # Errors
    /// The kernel's error number.
    fn card_info(&self) -> Result<CardInfo, Errno>;

    /// The card's PCM device after `after` (-1 to begin), or `None` at the end.
    ///
    /// # Errors
    /// The kernel's error number.
    fn next_device(&self, after: i32) -> Result<Option<u32>, Errno>;

    /// What a PCM is called; `ENOENT` if the device has no such direction.
    ///
    /// # Errors
    /// The kernel's error number.
    fn pcm_info(&self, device: u32, direction: i32) -> Result<PcmInfo, Errno>;

    /// Volumes and switches.
    ///
    /// # Errors
    /// The kernel's error number.
    fn mixer(&self) -> Result<Vec<MixerElement>, Errno>;
}

/// The samples of a PCM, mapped. Unmapped when dropped.
pub trait Ring: Send {
    /// Where it begins.
    fn base(&self) -> *mut u8;
}

/// An open PCM. All methods from `status` on are for the device thread.
pub trait Pcm: Send {
    /// Narrows `params` to what the hardware can do.
    ///
    /// # Errors
    /// The kernel's error number: `EINVAL` if nothing is left.
    fn refine(&self, params: &mut HwParams) -> Result<(), Errno>;

    /// Narrows `params` to one configuration and sets it.
    ///
    /// # Errors
    /// The kernel's error number.
    fn set_hardware(&self, params: &mut HwParams) -> Result<(), Errno>;

    /// Sets how the PCM behaves.
    ///
    /// # Errors
    /// The kernel's error number.
    fn set_software(&self, params: &mut SwParams) -> Result<(), Errno>;

    /// Chooses the monotonic clock for time stamps.
    ///
    /// # Errors
    /// The kernel's error number.
    fn use_monotonic_time(&self) -> Result<(), Errno>;

    /// Maps the samples. To be called once, after `set_hardware`.
    ///
    /// # Errors
    /// The kernel's error number.
    fn map(&mut self, bytes: usize) -> Result<Box<dyn Ring>, Errno>;

    /// Where a channel begins in the mapped ring of a planar PCM, in bytes.
    ///
    /// # Errors
    /// The kernel's error number.
    fn channel_offset(&self, channel: u32) -> Result<usize, Errno>;

    /// Couples this PCM with `other`, so that both start and stop at once.
    ///
    /// # Errors
    /// The kernel's error number.
    fn link(&self, other: &dyn Pcm) -> Result<(), Errno>;

    /// Makes the PCM ready: pointers at 0.
    ///
    /// # Errors
    /// The kernel's error number.
    fn prepare(&self) -> Result<(), Errno>;

    /// Starts it, and what it is linked with.
    ///
    /// # Errors
    /// The kernel's error number.
    fn start(&self) -> Result<(), Errno>;

    /// Stops it at once.
    ///
    /// # Errors
    /// The kernel's error number.
    fn halt(&self) -> Result<(), Errno>;

    /// State, hardware position and the time it was read; asks the hardware if `fresh`.
    ///
    /// # Errors
    /// The kernel's error number.
    fn status(&self, fresh: bool) -> Result<MmapStatus, Errno>;

    /// The same with the delay until what was written last sounds, and the link's own time; asks the hardware.
    ///
    /// # Errors
    /// The kernel's error number.
    fn full_status(&self) -> Result<Status, Errno>;

    /// Publishes how far we have read or written, in frames modulo the boundary.
    ///
    /// # Errors
    /// The kernel's error number.
    fn publish(&self, appl_ptr: u64) -> Result<(), Errno>;

    /// The file descriptor, to poll; a fake's own number.
    fn descriptor(&self) -> i32;
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// The PCM has something for us, or something is wrong with it.
    Pcm,
    /// The waker fired.
    Woken,
    /// The time is over.
    Time,
}

/// Waits on one PCM, on a waker and on the clock.
pub trait Waiter: Send {
    /// Ends a wait from another thread.
    fn waker(&self) -> Waker;

    /// Waits until `descriptor` is ready, the waker fired or `until` has passed. For the device thread.
    fn wait(&mut self, descriptor: i32, until: Ns) -> Ready;
}
