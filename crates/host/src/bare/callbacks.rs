//! The functions that a driver under test calls, and who hears of it.

use super::{L, places::Plain};
use barewire_abi::layout::{Callbacks, Time, TimeCode, TimeInfo};
use barewire_abi::{HighLow, Long, Native, Samples};
use barewire_rt::Guarded;
use barewire_types::{Error, ErrorKind, Result};
use std::ffi::c_void;
use std::mem::offset_of;
use std::ptr;
use std::sync::{Arc, PoisonError, RwLock};

/// Sets of functions: so many drivers can be told apart.
pub const SETS: usize = 8;

/// What came with a block's time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeSeen {
    /// All reserved words are zero.
    pub reserved_zero: bool,
    /// Speed.
    pub speed: f64,
    /// Nanoseconds.
    pub time_ns: u64,
    /// Frames.
    pub position_frames: u64,
    /// Hertz.
    pub rate_hz: f64,
    /// Flags.
    pub flags: i32,
    /// Flags of the time code.
    pub code_flags: i32,
}

/// A block as it came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// The raw index.
    pub half: i32,
    /// The raw `directProcess`.
    pub direct: i32,
    /// It came with time info, through `bufferSwitchTimeInfo`.
    pub with_time: bool,
    /// What was in that; `None` too if the pointer was null.
    pub time: Option<TimeSeen>,
}

/// What `bufferSwitchTimeInfo` returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Returned {
    /// Nothing.
    #[default]
    Null,
    /// The pointer that was given.
    Given,
    /// A structure of the host's own.
    Own,
    /// A number that is no address.
    Garbage,
}

/// Who is called back, on whichever thread the driver likes.
pub trait Listener: Send + Sync {
    /// A block is due.
    fn block(&self, seen: &Seen) -> Returned;
    /// The rate has changed, the driver says.
    fn rate_changed(&self, rate_hz: f64);
    /// A question or request.
    fn message(&self, selector: i32, value: i32) -> i32;
}

static LISTENERS: [RwLock<Option<Arc<dyn Listener>>>; SETS] = [const { RwLock::new(None) }; SETS];

/// Puts a listener behind a set of functions, or takes it away. Who is inside stays inside.
pub fn listen(set: usize, listener: Option<Arc<dyn Listener>>) {
    if let Some(place) = LISTENERS.get(set) {
        *place.write().unwrap_or_else(PoisonError::into_inner) = listener;
    }
}

fn listener(set: usize) -> Option<Arc<dyn Listener>> {
    LISTENERS[set].read().unwrap_or_else(PoisonError::into_inner).clone()
}

unsafe extern "C" fn buffer_switch<const N: usize>(half: L, direct: L) {
    let (half, direct) = (half.to_i32(), direct.to_i32());
    if let Some(listener) = listener(N) {
        listener.block(&Seen { half, direct, with_time: false, time: None });
    }
}

unsafe extern "C" fn sample_rate_did_change<const N: usize>(rate_hz: f64) {
    if let Some(listener) = listener(N) {
        listener.rate_changed(rate_hz);
    }
}

unsafe extern "C" fn message<const N: usize>(
    selector: L,
    value: L,
    _message: *mut c_void,
    _opt: *mut f64,
) -> L {
    let answer = listener(N).map_or(0, |them| them.message(selector.to_i32(), value.to_i32()));
    L::from_i32(answer)
}

/// Reads a driver's structure by its fields, and never more than the 148 bytes that a packed one has.
fn seen(time: *mut Time<Native>) -> Option<TimeSeen> {
    if time.is_null() {
        return None;
    }
    let base = time.cast::<u8>().cast_const();
    // SAFETY: the driver lends the structure for the length of the call.
    let reserved: [L; 4] = unsafe { base.cast::<[L; 4]>().read_unaligned() };
    let info = base.wrapping_add(offset_of!(Time<Native>, info)).cast::<TimeInfo<Native>>();
    // SAFETY: as above; this part is the same packed and not.
    let info = unsafe { info.read_unaligned() };
    let flags = offset_of!(Time<Native>, code) + offset_of!(TimeCode<Native>, flags);
    // SAFETY: as above, one field.
    let code_flags = unsafe { base.wrapping_add(flags).cast::<L>().read_unaligned() };
    let zero = L::default();
    Some(TimeSeen {
        reserved_zero: reserved.iter().all(|word| *word == zero) && info.reserved == [0; 12],
        speed: info.speed,
        time_ns: info.system_time.to_u64(),
        position_frames: info.sample_position.to_u64(),
        rate_hz: info.sample_rate,
        flags: info.flags.to_i32(),
        code_flags: code_flags.to_i32(),
    })
}

/// Room for what a host of its own would return.
static OWN: HighLow = HighLow { high: 0, low: 0 };

unsafe extern "C" fn buffer_switch_time_info<const N: usize>(
    time: *mut Time<Native>,
    half: L,
    direct: L,
) -> *mut Time<Native> {
    let seen =
        Seen { half: half.to_i32(), direct: direct.to_i32(), with_time: true, time: seen(time) };
    let returned = listener(N).map_or(Returned::Null, |listener| listener.block(&seen));
    match returned {
        Returned::Null => ptr::null_mut(),
        Returned::Given => time,
        Returned::Own => (&raw const OWN).cast_mut().cast(),
        Returned::Garbage => ptr::without_provenance_mut(0x10),
    }
}

const fn set<const N: usize>() -> Callbacks<Native> {
    Callbacks {
        buffer_switch: Some(buffer_switch::<N>),
        sample_rate_did_change: Some(sample_rate_did_change::<N>),
        message: Some(message::<N>),
        buffer_switch_time_info: Some(buffer_switch_time_info::<N>),
    }
}

static FUNCTIONS: [Callbacks<Native>; SETS] = [
    set::<0>(),
    set::<1>(),
    set::<2>(),
    set::<3>(),
    set::<4>(),
    set::<5>(),
    set::<6>(),
    set::<7>(),
];

/// Which functions a host leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// None.
    #[default]
    Nothing,
    /// `bufferSwitchTimeInfo`, as hosts made with RtAudio did until 2026.
    TimeInfo,
}

// SAFETY: nullable pointers to functions, here never read back.
unsafe impl Plain for Callbacks<Native> {}

/// A host's structure of functions. A driver may read it, and must not write it.
#[derive(Debug)]
pub struct HostTable {
    memory: Guarded,
}

impl HostTable {
    /// The functions of a set, one of [`SETS`].
    ///
    /// # Errors
    /// If memory cannot be had.
    pub fn new(which: usize, missing: Missing) -> Result<Self> {
        let mut callbacks = FUNCTIONS[which % SETS];
        if missing == Missing::TimeInfo {
            callbacks.buffer_switch_time_info = None;
        }
        let memory = Guarded::new(size_of::<Callbacks<Native>>(), 0).ok_or_else(|| {
            Error::new(ErrorKind::NoMemory, "a page between guard pages cannot be had")
        })?;
        // SAFETY: as many bytes as the structure has, aligned.
        unsafe { memory.as_ptr().cast::<Callbacks<Native>>().write(callbacks) };
        Ok(Self { memory })
    }

    pub(super) fn as_ptr(&self) -> *const Callbacks<Native> {
        self.memory.as_ptr().cast_const().cast()
    }

    /// Overwrites the functions with null pointers, as if the structure had been on a stack.
    pub fn scribble(&self) {
        self.memory.write(0, &[0; size_of::<Callbacks<Native>>()]);
    }

    /// What was written beside it.
    pub fn stain(&self) -> Option<isize> {
        self.memory.stain()
    }
}
