//! Structures as they lie in memory, in both dialects, with the size and every offset asserted.
//!
//! MSVC packs them to 4 bytes; since 64-bit values are pairs of words there, natural alignment gives the same offsets,
//! and only tail padding differs: [`Time`] has 148 bytes to an MSVC host and 152 here. A driver therefore *lends* 152
//! and writes 148 at most; a host copies 148.

use crate::dialect::Dialect;
use std::ffi::c_void;

/// One entry of `createBuffers`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BufferInfo<D: Dialect> {
    /// In: 0 for an output, else an input.
    pub is_input: D::Long,
    /// In: which channel.
    pub channel: D::Long,
    /// Out: both halves.
    pub buffers: [*mut c_void; 2],
}

/// What `getChannelInfo` tells.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ChannelInfo<D: Dialect> {
    /// In: which channel.
    pub channel: D::Long,
    /// In: 0 for an output, else an input.
    pub is_input: D::Long,
    /// Out: whether the channel has buffers.
    pub is_active: D::Long,
    /// Out: its group.
    pub group: D::Long,
    /// Out: its sample type.
    pub sample_type: D::Long,
    /// Out: its name, terminated.
    pub name: [u8; 32],
}

/// What `getClockSources` tells of one source.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ClockSource<D: Dialect> {
    /// What `setClockSource` takes.
    pub index: D::Long,
    /// The first channel of a digital input, or -1.
    pub channel: D::Long,
    /// Its group, or -1.
    pub group: D::Long,
    /// Whether it is in force.
    pub is_current: D::Long,
    /// Its name, terminated.
    pub name: [u8; 32],
}

/// When a block happens.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TimeInfo<D: Dialect> {
    /// Speed as a fraction of nominal.
    pub speed: f64,
    /// Nanoseconds.
    pub system_time: D::Samples,
    /// Frames since the start.
    pub sample_position: D::Samples,
    /// Hertz.
    pub sample_rate: f64,
    /// See [`crate::constants::time_flag`].
    pub flags: D::Long,
    /// Zeros.
    pub reserved: [u8; 12],
}

/// Time code of a block.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TimeCode<D: Dialect> {
    /// Speed as a fraction of nominal.
    pub speed: f64,
    /// Time code in frames.
    pub samples: D::Samples,
    /// 0: nothing of this is valid.
    pub flags: D::Long,
    /// Zeros.
    pub future: [u8; 64],
}

/// What `bufferSwitchTimeInfo` is given.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Time<D: Dialect> {
    /// Zeros.
    pub reserved: [D::Long; 4],
    /// When the block happens.
    pub info: TimeInfo<D>,
    /// Time code of the block.
    pub code: TimeCode<D>,
}

/// Direct monitoring.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct InputMonitor<D: Dialect> {
    /// Which input, -1 for all.
    pub input: D::Long,
    /// Which output.
    pub output: D::Long,
    /// 0 to 0x7FFFFFFF: silence to +12 dB.
    pub gain: D::Long,
    /// On or off.
    pub state: D::Long,
    /// 0 to 0x7FFFFFFF: left to right.
    pub pan: D::Long,
}

/// Hardware gain or meter.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ChannelControls<D: Dialect> {
    /// Which channel.
    pub channel: D::Long,
    /// 0 for an output, else an input.
    pub is_input: D::Long,
    /// 0 to 0x7FFFFFFF.
    pub gain: D::Long,
    /// 0 to 0x7FFFFFFF.
    pub meter: D::Long,
    /// Zeros.
    pub future: [u8; 32],
}

/// Tape transport.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TransportParameters<D: Dialect> {
    /// What to do.
    pub command: D::Long,
    /// Where.
    pub sample_position: D::Samples,
    /// Which track.
    pub track: D::Long,
    /// 512 tracks, a bit each.
    pub track_switches: [D::Long; 16],
    /// Zeros.
    pub future: [u8; 64],
}

/// PCM or DSD; the rest of its 512 bytes is unused and is never touched.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct IoFormat<D: Dialect> {
    /// -1 invalid, 0 PCM, 1 DSD.
    pub format: D::Long,
}

/// Internal buffering that the latencies contain.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct InternalBufferInfo<D: Dialect> {
    /// Frames.
    pub input: D::Long,
    /// Frames.
    pub output: D::Long,
}

/// A host's four functions; each may be null.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Callbacks<D: Dialect> {
    /// A block is due.
    pub buffer_switch: Option<unsafe extern "C" fn(half: D::Long, direct: D::Long)>,
    /// The sample rate has changed.
    pub sample_rate_did_change: Option<unsafe extern "C" fn(rate_hz: f64)>,
    /// Questions and requests.
    pub message: Option<unsafe extern "C" fn(D::Long, D::Long, *mut c_void, *mut f64) -> D::Long>,
    /// A block is due, with its time.
    pub buffer_switch_time_info:
        Option<unsafe extern "C" fn(*mut Time<D>, D::Long, D::Long) -> *mut Time<D>>,
}

macro_rules! assert_layout {
    ($type:ty, $size:expr, $($field:ident).+ = $offset:expr $(, $($more:ident).+ = $value:expr)*) => {
        const _: () = {
            assert!(size_of::<$type>() == $size);
            assert!(std::mem::offset_of!($type, $($field).+) == $offset);
            $(assert!(std::mem::offset_of!($type, $($more).+) == $value);)*
        };
    };
}

/// Bytes of [`Time`] that an MSVC host has.
pub const WINDOWS_TIME_BYTES: usize = 148;

mod windows {
    use super::*;
    use crate::dialect::Windows as W;
    const POINTER: usize = size_of::<usize>();
    assert_layout!(BufferInfo<W>, 8 + 2 * POINTER, is_input = 0, channel = 4, buffers = 8);
    assert_layout!(
        ChannelInfo<W>,
        52,
        channel = 0,
        is_input = 4,
        is_active = 8,
        group = 12,
        sample_type = 16,
        name = 20
    );
    assert_layout!(
        ClockSource<W>,
        48,
        index = 0,
        channel = 4,
        group = 8,
        is_current = 12,
        name = 16
    );
    assert_layout!(
        TimeInfo<W>,
        48,
        speed = 0,
        system_time = 8,
        sample_position = 16,
        sample_rate = 24,
        flags = 32,
        reserved = 36
    );
    assert_layout!(
        Time<W>,
        if align_of::<f64>() == 8 { 152 } else { 148 },
        reserved = 0,
        info = 16,
        code = 64,
        code.samples = 72,
        code.flags = 80,
        code.future = 84
    );
    assert_layout!(
        TimeCode<W>,
        if align_of::<f64>() == 8 { 88 } else { 84 },
        speed = 0,
        samples = 8,
        flags = 16,
        future = 20
    );
    assert_layout!(IoFormat<W>, 4, format = 0);
    assert_layout!(InputMonitor<W>, 20, input = 0, output = 4, gain = 8, state = 12, pan = 16);
    assert_layout!(
        ChannelControls<W>,
        48,
        channel = 0,
        is_input = 4,
        gain = 8,
        meter = 12,
        future = 16
    );
    assert_layout!(
        TransportParameters<W>,
        144,
        command = 0,
        sample_position = 4,
        track = 12,
        track_switches = 16,
        future = 80
    );
    assert_layout!(InternalBufferInfo<W>, 8, input = 0, output = 4);
    assert_layout!(
        Callbacks<W>,
        4 * POINTER,
        buffer_switch = 0,
        sample_rate_did_change = POINTER,
        message = 2 * POINTER,
        buffer_switch_time_info = 3 * POINTER
    );
}

#[cfg(target_pointer_width = "64")]
mod unix {
    use super::*;
    use crate::dialect::Unix as U;
    assert_layout!(BufferInfo<U>, 32, is_input = 0, channel = 8, buffers = 16);
    assert_layout!(
        ChannelInfo<U>,
        72,
        channel = 0,
        is_input = 8,
        is_active = 16,
        group = 24,
        sample_type = 32,
        name = 40
    );
    assert_layout!(
        ClockSource<U>,
        64,
        index = 0,
        channel = 8,
        group = 16,
        is_current = 24,
        name = 32
    );
    assert_layout!(
        TimeInfo<U>,
        56,
        speed = 0,
        system_time = 8,
        sample_position = 16,
        sample_rate = 24,
        flags = 32,
        reserved = 40
    );
    assert_layout!(
        Time<U>,
        176,
        reserved = 0,
        info = 32,
        code = 88,
        code.samples = 96,
        code.flags = 104,
        code.future = 112
    );
    assert_layout!(TimeCode<U>, 88, speed = 0, samples = 8, flags = 16, future = 24);
    assert_layout!(IoFormat<U>, 8, format = 0);
    assert_layout!(InputMonitor<U>, 40, input = 0, output = 8, gain = 16, state = 24, pan = 32);
    assert_layout!(
        ChannelControls<U>,
        64,
        channel = 0,
        is_input = 8,
        gain = 16,
        meter = 24,
        future = 32
    );
    assert_layout!(
        TransportParameters<U>,
        216,
        command = 0,
        sample_position = 8,
        track = 16,
        track_switches = 24,
        future = 152
    );
    assert_layout!(InternalBufferInfo<U>, 16, input = 0, output = 8);
    assert_layout!(
        Callbacks<U>,
        32,
        buffer_switch = 0,
        sample_rate_did_change = 8,
        message = 16,
        buffer_switch_time_info = 24
    );
}
