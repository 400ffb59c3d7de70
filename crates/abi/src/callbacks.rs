//! The host's four functions, as a driver may call them.

use crate::constants::{message, time_flag};
use crate::dialect::{Dialect, Long, Samples};
use crate::layout::{self, Callbacks};
use barewire_rt::{alarm, float_state};
use barewire_types::Half;
use std::ptr;

/// When a block happens, for a host that wants to know.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TimeInfo {
    /// Frames since the start.
    pub position_frames: u64,
    /// Nanoseconds of the system's clock.
    pub time_ns: u64,
    /// Hertz.
    pub rate_hz: f64,
    /// Whether the rate has changed with this block.
    pub rate_changed: bool,
}

/// The host. Each call saves the floating-point state before and restores it after, and counts as the host's own time:
/// the alarm for allocations is off.
///
/// No lock of ours may be held over any of these.
pub trait HostCallbacks: Send + Sync {
    /// Whether the host gave a function for `buffer_switch_time_info`.
    fn has_time_info(&self) -> bool;

    /// A block is due. Device thread.
    fn buffer_switch(&self, half: Half);

    /// A block is due, with its time. Device thread.
    fn buffer_switch_time_info(&self, half: Half, time: &TimeInfo);

    /// The rate has changed. Notifier.
    fn sample_rate_did_change(&self, rate_hz: f64);

    /// A question or request; 0 if the host gave no function for it.
    fn message(&self, selector: i32, value: i32) -> i32;

    /// Whether the host says that it understands `selector`.
    fn supports(&self, selector: i32) -> bool {
        self.message(message::SELECTOR_SUPPORTED, selector) != 0
    }
}

/// Bit patterns of functions, copied out of the host's structure, which need not live on.
pub(crate) struct RawCallbacks<D: Dialect>(pub(crate) Callbacks<D>);

fn host_code<R>(call: impl FnOnce() -> R) -> R {
    let _exempt = alarm::exempt();
    float_state::preserved(call)
}

fn index<D: Dialect>(half: Half) -> D::Long {
    D::Long::from_i32(i32::from(half == Half::One))
}

impl<D: Dialect> HostCallbacks for RawCallbacks<D> {
    fn has_time_info(&self) -> bool {
        self.0.buffer_switch_time_info.is_some()
    }

    fn buffer_switch(&self, half: Half) {
        let Some(function) = self.0.buffer_switch else { return };
        // SAFETY: the host gave this function for this purpose, and keeps it until `disposeBuffers` has returned.
        host_code(|| unsafe { function(index::<D>(half), D::Long::from_i32(1)) });
    }

    fn buffer_switch_time_info(&self, half: Half, time: &TimeInfo) {
        let Some(function) = self.0.buffer_switch_time_info else { return };
        let mut time = raw_time::<D>(time);
        // SAFETY: as above; the structure lives over the call. What the host returns is not used: some return garbage.
        host_code(|| unsafe { function(&raw mut time, index::<D>(half), D::Long::from_i32(1)) });
    }

    fn sample_rate_did_change(&self, rate_hz: f64) {
        let Some(function) = self.0.sample_rate_did_change else { return };
        // SAFETY: as above.
        host_code(|| unsafe { function(rate_hz) });
    }

    fn message(&self, selector: i32, value: i32) -> i32 {
        let Some(function) = self.0.message else { return 0 };
        let (selector, value) = (D::Long::from_i32(selector), D::Long::from_i32(value));
        // SAFETY: as above; null stands for "nothing" in both pointers.
        host_code(|| unsafe { function(selector, value, ptr::null_mut(), ptr::null_mut()) })
            .to_i32()
    }
}

fn raw_time<D: Dialect>(time: &TimeInfo) -> layout::Time<D> {
    let zero = D::Long::default();
    let changed = if time.rate_changed { time_flag::SAMPLE_RATE_CHANGED } else { 0 };
    let flags = time_flag::SYSTEM_TIME_VALID
        | time_flag::SAMPLE_POSITION_VALID
        | time_flag::SAMPLE_RATE_VALID
        | time_flag::SPEED_VALID;
    layout::Time {
        reserved: [zero; 4],
        info: layout::TimeInfo {
            speed: 1.0,
            system_time: D::Samples::from_u64(time.time_ns),
            sample_position: D::Samples::from_u64(time.position_frames),
            sample_rate: time.rate_hz,
            flags: D::Long::from_flags(flags | changed),
            reserved: [0; 12],
        },
        code: layout::TimeCode {
            speed: 0.0,
            samples: D::Samples::default(),
            flags: zero,
            future: [0; 64],
        },
    }
}
