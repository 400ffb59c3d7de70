//! The kernel's PCM and control interface as `include/uapi/sound/asound.h` of Linux 6.x lays it out: numbers and
//! structures, nothing that does anything. Sizes are asserted; 32-bit and 64-bit kernels differ in `long`.
//!
//! Only what this backend uses is here. Fields and constants bear the kernel's own names and meanings.

#![expect(missing_docs, reason = "the names are the kernel's, and its header documents them")]

use std::ffi::{c_int, c_long, c_ulong};

/// `_IOC`: direction (1 write, 2 read, 3 both), letter, number, size.
const fn ioc(direction: u32, letter: u8, number: u8, size: usize) -> c_ulong {
    ((direction as c_ulong) << 30)
        | ((size as c_ulong) << 16)
        | ((letter as c_ulong) << 8)
        | number as c_ulong
}

/// A request to the kernel and the structure that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request(pub c_ulong);

/// Requests of `/dev/snd/pcmC*D*`.
pub mod pcm {
    use super::{ChannelInfo, HwParams, PcmInfo, Request, Status, SwParams, SyncPtr, c_int, ioc};
    pub const INFO: Request = Request(ioc(2, b'A', 0x01, size_of::<PcmInfo>()));
    pub const TTSTAMP: Request = Request(ioc(1, b'A', 0x03, size_of::<c_int>()));
    pub const HW_REFINE: Request = Request(ioc(3, b'A', 0x10, size_of::<HwParams>()));
    pub const HW_PARAMS: Request = Request(ioc(3, b'A', 0x11, size_of::<HwParams>()));
    pub const HW_FREE: Request = Request(ioc(0, b'A', 0x12, 0));
    pub const SW_PARAMS: Request = Request(ioc(3, b'A', 0x13, size_of::<SwParams>()));
    pub const HWSYNC: Request = Request(ioc(0, b'A', 0x22, 0));
    pub const SYNC_PTR: Request = Request(ioc(3, b'A', 0x23, size_of::<SyncPtr>()));
    pub const STATUS_EXT: Request = Request(ioc(3, b'A', 0x24, size_of::<Status>()));
    pub const CHANNEL_INFO: Request = Request(ioc(2, b'A', 0x32, size_of::<ChannelInfo>()));
    pub const PREPARE: Request = Request(ioc(0, b'A', 0x40, 0));
    pub const START: Request = Request(ioc(0, b'A', 0x42, 0));
    pub const DROP: Request = Request(ioc(0, b'A', 0x43, 0));
    pub const LINK: Request = Request(ioc(1, b'A', 0x60, size_of::<c_int>()));
}

/// Requests of `/dev/snd/controlC*`.
pub mod control {
    use super::{CardInfo, ElemInfo, ElemList, ElemValue, PcmInfo, Request, c_int, ioc};
    /// The size is that of the head, to which the records are attached.
    pub const TLV_READ: Request = Request(ioc(3, b'U', 0x1A, 2 * size_of::<u32>()));
    pub const CARD_INFO: Request = Request(ioc(2, b'U', 0x01, size_of::<CardInfo>()));
    pub const ELEM_LIST: Request = Request(ioc(3, b'U', 0x10, size_of::<ElemList>()));
    pub const ELEM_INFO: Request = Request(ioc(3, b'U', 0x11, size_of::<ElemInfo>()));
    pub const ELEM_READ: Request = Request(ioc(3, b'U', 0x12, size_of::<ElemValue>()));
    pub const PCM_NEXT_DEVICE: Request = Request(ioc(2, b'U', 0x30, size_of::<c_int>()));
    pub const PCM_INFO: Request = Request(ioc(3, b'U', 0x31, size_of::<PcmInfo>()));
}

/// Where the status page is mapped.
pub const MMAP_STATUS: i64 = 0x8000_0000;
/// Where the control page is mapped.
pub const MMAP_CONTROL: i64 = 0x8100_0000;

/// Stream direction: what is played.
pub const PLAYBACK: c_int = 0;
/// Stream direction: what is captured.
pub const CAPTURE: c_int = 1;

/// States of a PCM.
pub mod state {
    pub const OPEN: i32 = 0;
    pub const SETUP: i32 = 1;
    pub const PREPARED: i32 = 2;
    pub const RUNNING: i32 = 3;
    pub const XRUN: i32 = 4;
    pub const DRAINING: i32 = 5;
    pub const PAUSED: i32 = 6;
    pub const SUSPENDED: i32 = 7;
    pub const DISCONNECTED: i32 = 8;
}

/// Masks of [`HwParams`].
pub mod mask {
    pub const ACCESS: usize = 0;
    pub const FORMAT: usize = 1;
    pub const SUBFORMAT: usize = 2;
}

/// Intervals of [`HwParams`], counted from the first one (parameter 8 of the kernel).
pub mod interval {
    pub const CHANNELS: usize = 2;
    pub const RATE: usize = 3;
    pub const PERIOD_FRAMES: usize = 5;
    pub const PERIODS: usize = 7;
    pub const BUFFER_FRAMES: usize = 9;
}

/// `SNDRV_PCM_ACCESS_*`.
pub mod access {
    pub const MMAP_INTERLEAVED: u32 = 0;
    pub const MMAP_NONINTERLEAVED: u32 = 1;
}

/// `SNDRV_PCM_INFO_*` flags of [`HwParams::info`].
pub mod info_flag {
    pub const MMAP: u32 = 0x1;
    pub const BATCH: u32 = 0x10;
    pub const JOINT_DUPLEX: u32 = 0x0020_0000;
    pub const SYNC_START: u32 = 0x0040_0000;
}

/// Flags of [`SyncPtr`].
pub mod sync_flag {
    pub const HWSYNC: u32 = 1;
    /// Read `appl_ptr` from the kernel instead of setting it.
    pub const APPL: u32 = 2;
    /// Read `avail_min` from the kernel instead of setting it.
    pub const AVAIL_MIN: u32 = 4;
}

/// `SNDRV_PCM_TSTAMP_TYPE_MONOTONIC`: the clock of `System::now_ns`.
pub const TSTAMP_MONOTONIC: c_int = 1;

/// An interval of a hardware parameter.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    pub min: u32,
    pub max: u32,
    /// Bit 0: `min` itself excluded; 1: `max` excluded; 2: whole numbers only; 3: empty.
    pub flags: u32,
}

/// What the hardware can do, narrowed step by step.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HwParams {
    pub flags: u32,
    pub masks: [[u32; 8]; 3],
    pub reserved_masks: [[u32; 8]; 5],
    pub intervals: [Interval; 12],
    pub reserved_intervals: [Interval; 9],
    pub requested: u32,
    pub changed: u32,
    pub info: u32,
    pub msbits: u32,
    pub rate_num: u32,
    pub rate_den: u32,
    pub fifo_size: c_ulong,
    pub reserved: [u8; 64],
}

/// How the running PCM behaves.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SwParams {
    pub tstamp_mode: c_int,
    pub period_step: u32,
    pub sleep_min: u32,
    pub avail_min: c_ulong,
    pub xfer_align: c_ulong,
    pub start_threshold: c_ulong,
    pub stop_threshold: c_ulong,
    pub silence_threshold: c_ulong,
    pub silence_size: c_ulong,
    pub boundary: c_ulong,
    pub proto: u32,
    pub tstamp_type: u32,
    pub reserved: [u8; 56],
}

/// Where a channel lies in the mapped ring.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ChannelInfo {
    pub channel: u32,
    /// Offset for `mmap`, in bytes.
    pub offset: c_long,
    /// First sample, in bits from `offset`.
    pub first: u32,
    /// From one sample to the next, in bits.
    pub step: u32,
}

/// Which PCM this is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PcmInfo {
    pub device: u32,
    pub subdevice: u32,
    pub stream: c_int,
    pub card: c_int,
    pub id: [u8; 64],
    pub name: [u8; 80],
    pub subname: [u8; 32],
    pub class: c_int,
    pub subclass: c_int,
    pub subdevices: u32,
    pub subdevices_free: u32,
    pub sync: [u8; 16],
    pub reserved: [u8; 64],
}

/// A moment of the clock that was chosen with `TTSTAMP`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timespec {
    pub seconds: c_long,
    pub nanoseconds: c_long,
}

/// What the kernel publishes of a running PCM.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct MmapStatus {
    pub state: c_int,
    pub padding: c_int,
    pub hw_ptr: c_ulong,
    pub tstamp: Timespec,
    pub suspended_state: c_int,
    pub audio_tstamp: Timespec,
}

/// What the kernel knows of a PCM, its delay and its link's time included.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Status {
    pub state: c_int,
    pub trigger_tstamp: Timespec,
    pub tstamp: Timespec,
    pub appl_ptr: c_ulong,
    pub hw_ptr: c_ulong,
    pub delay: c_long,
    pub avail: c_ulong,
    pub avail_max: c_ulong,
    pub overrange: c_ulong,
    pub suspended_state: c_int,
    pub audio_tstamp_data: u32,
    pub audio_tstamp: Timespec,
    pub driver_tstamp: Timespec,
    pub audio_tstamp_accuracy: u32,
    pub reserved: [u8; 52 - 2 * size_of::<Timespec>()],
}

impl Default for Status {
    fn default() -> Self {
        let never = Timespec::default();
        Self {
            state: 0,
            trigger_tstamp: never,
            tstamp: never,
            appl_ptr: 0,
            hw_ptr: 0,
            delay: 0,
            avail: 0,
            avail_max: 0,
            overrange: 0,
            suspended_state: 0,
            audio_tstamp_data: 0,
            audio_tstamp: never,
            driver_tstamp: never,
            audio_tstamp_accuracy: 0,
            reserved: [0; 52 - 2 * size_of::<Timespec>()],
        }
    }
}

/// What we publish to the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct MmapControl {
    pub appl_ptr: c_ulong,
    pub avail_min: c_ulong,
}

/// [`MmapStatus`] padded to the 64 bytes of its union.
#[repr(C)]
#[derive(Clone, Copy)]
pub union StatusSlot {
    pub status: MmapStatus,
    pub reserved: [u8; 64],
}

/// [`MmapControl`] padded to the 64 bytes of its union.
#[repr(C)]
#[derive(Clone, Copy)]
pub union ControlSlot {
    pub control: MmapControl,
    pub reserved: [u8; 64],
}

/// Both pages in one request, for where they cannot be mapped.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SyncPtr {
    pub flags: u32,
    pub status: StatusSlot,
    pub control: ControlSlot,
}

/// Which card this is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CardInfo {
    pub card: c_int,
    pub padding: c_int,
    pub id: [u8; 16],
    pub driver: [u8; 16],
    pub name: [u8; 32],
    pub longname: [u8; 80],
    pub reserved: [u8; 16],
    pub mixername: [u8; 80],
    pub components: [u8; 128],
}

/// Names a mixer element.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ElemId {
    pub numid: u32,
    pub iface: c_int,
    pub device: u32,
    pub subdevice: u32,
    pub name: [u8; 44],
    pub index: u32,
}

/// Asks for the ids of mixer elements.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ElemList {
    pub offset: u32,
    pub space: u32,
    pub used: u32,
    pub count: u32,
    pub ids: *mut ElemId,
    pub reserved: [u8; 50],
}

/// What a mixer element holds.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ElemInfo {
    pub id: ElemId,
    /// 1 boolean, 2 integer, 3 enumerated, 6 integer64.
    pub kind: c_int,
    pub access: u32,
    pub count: u32,
    pub owner: c_int,
    /// For integers: minimum, maximum, step, as C `long`s.
    pub integer: [c_long; 3],
    pub value_rest: [u8; 128 - 3 * size_of::<c_long>()],
    pub reserved: [u8; 64],
}

/// Records about a mixer element, in words (`include/uapi/sound/tlv.h`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Tlv {
    pub numid: u32,
    /// Bytes of `words`.
    pub length: u32,
    pub words: [u32; 256],
}

/// The value of a mixer element.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ElemValue {
    pub id: ElemId,
    pub indirect: u32,
    pub integer: [c_long; 128],
    pub reserved: [u8; 128],
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<HwParams>() == 608);
    assert!(size_of::<SwParams>() == 136);
    assert!(size_of::<PcmInfo>() == 288);
    assert!(size_of::<CardInfo>() == 376);
    assert!(size_of::<MmapStatus>() == 56);
    assert!(size_of::<Status>() == 152);
    assert!(size_of::<SyncPtr>() == 136);
    assert!(size_of::<ElemId>() == 64);
    assert!(size_of::<ElemList>() == 80);
    assert!(size_of::<ElemInfo>() == 272);
    assert!(size_of::<ElemValue>() == 1224);
    assert!(size_of::<ChannelInfo>() == 24);
    assert!(pcm::HW_PARAMS.0 == 0xC260_4111);
    assert!(pcm::SYNC_PTR.0 == 0xC088_4123);
    assert!(control::ELEM_INFO.0 == 0xC110_5511);
};

/// The text up to the first zero byte.
pub fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).trim().to_owned()
}
