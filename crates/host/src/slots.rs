//! The functions that a driver calls. The interface passes no context along, so there is one set of functions for each
//! driver that can be open at once, each bound to a place in a table.

use crate::run::{Run, answer};
use barewire_abi::layout::{Callbacks, Time, TimeInfo};
use barewire_abi::{Dialect, Long, Native};
use barewire_types::{Error, ErrorKind, Result};
use std::ffi::c_void;
use std::mem::offset_of;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Drivers that can have buffers at once.
pub const SLOTS: usize = 32;

type L = <Native as Dialect>::Long;

struct Slot {
    taken: AtomicBool,
    run: AtomicPtr<Run>,
    /// Callbacks inside this slot's functions now.
    inside: AtomicU32,
}

static TABLE: [Slot; SLOTS] = [const {
    Slot {
        taken: AtomicBool::new(false),
        run: AtomicPtr::new(ptr::null_mut()),
        inside: AtomicU32::new(0),
    }
}; SLOTS];

/// Where the search for a free slot begins: round and round, so that a driver that still calls after it should is unlikely
/// to meet another's run.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A slot with its run. Unless it is [`drained`](Self::drain), the run is left to whoever is still in it, for good.
#[derive(Debug)]
pub(crate) struct SlotHandle {
    index: usize,
    pub(crate) run: Arc<Run>,
}

impl SlotHandle {
    pub(crate) fn take(run: Run) -> Result<Self> {
        let from = NEXT.fetch_add(1, Ordering::Relaxed);
        let free = (0..SLOTS)
            .map(|n| from.wrapping_add(n) % SLOTS)
            .find(|&index| !TABLE[index].taken.swap(true, Ordering::AcqRel));
        let Some(index) = free else {
            let text = format!("{SLOTS} drivers are open in this process");
            return Err(Error::new(ErrorKind::Busy, text).remedy("close one of them"));
        };
        let run = Arc::new(run);
        TABLE[index].run.store(Arc::into_raw(run.clone()).cast_mut(), Ordering::SeqCst);
        Ok(Self { index, run })
    }

    pub(crate) fn callbacks(&self) -> Callbacks<Native> {
        SETS[self.index]
    }

    /// Waits until no callback is inside, at most for `limit`; true if none is. More may come.
    pub(crate) fn wait_outside(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while TABLE[self.index].inside.load(Ordering::SeqCst) != 0 {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Takes the run out of the table and waits until nobody is in it, at most for `limit`. False: it is abandoned, and the
    /// slot with it.
    pub(crate) fn drain(self, limit: Duration) -> bool {
        let raw = TABLE[self.index].run.swap(ptr::null_mut(), Ordering::SeqCst);
        if !self.wait_outside(limit) {
            return false;
        }
        // SAFETY: what `take` put there; nobody can reach it any more, and nobody is inside.
        drop(unsafe { Arc::from_raw(raw.cast_const()) });
        TABLE[self.index].taken.store(false, Ordering::Release);
        true
    }
}

/// Runs `call` with the slot's run, if there is one.
fn inside<R>(index: usize, call: impl FnOnce(Option<&Run>) -> R) -> R {
    let slot = &TABLE[index];
    // Announced before the run is looked up, both in the one order of all threads: `drain` sees either us, or that we
    // find nothing.
    slot.inside.fetch_add(1, Ordering::SeqCst);
    let run = slot.run.load(Ordering::SeqCst);
    // SAFETY: a run in the table is not freed while somebody is inside.
    let result = call(unsafe { run.as_ref() });
    slot.inside.fetch_sub(1, Ordering::SeqCst);
    result
}

unsafe extern "C" fn buffer_switch<const N: usize>(half: L, _direct: L) {
    inside(N, |run| {
        if let Some(run) = run {
            run.block(half.to_i32());
        }
    });
}

unsafe extern "C" fn sample_rate_did_change<const N: usize>(rate_hz: f64) {
    inside(N, |run| {
        if let Some(run) = run {
            run.notices.rate_changed(rate_hz);
        }
    });
}

unsafe extern "C" fn message<const N: usize>(
    selector: L,
    value: L,
    _message: *mut c_void,
    _opt: *mut f64,
) -> L {
    let (selector, value) = (selector.to_i32(), value.to_i32());
    L::from_i32(inside(N, |run| match run {
        Some(run) => run.message(selector, value),
        None => answer(selector, value, true),
    }))
}

unsafe extern "C" fn buffer_switch_time_info<const N: usize>(
    time: *mut Time<Native>,
    half: L,
    _direct: L,
) -> *mut Time<Native> {
    inside(N, |run| {
        if let Some(run) = run {
            // Only this part is used, and the whole would be read past its end where it was packed.
            let info = time.cast::<u8>().wrapping_add(offset_of!(Time<Native>, info));
            let info = info.cast::<TimeInfo<Native>>();
            // SAFETY: null, or the driver's own structure for the length of this call.
            let info = (!time.is_null()).then(|| unsafe { info.read_unaligned() });
            run.block_with_time(half.to_i32(), info);
        }
    });
    ptr::null_mut()
}

const fn set<const N: usize>() -> Callbacks<Native> {
    Callbacks {
        buffer_switch: Some(buffer_switch::<N>),
        sample_rate_did_change: Some(sample_rate_did_change::<N>),
        message: Some(message::<N>),
        buffer_switch_time_info: Some(buffer_switch_time_info::<N>),
    }
}

macro_rules! sets {
    ($($n:literal)*) => { [$(set::<$n>()),*] };
}

static SETS: [Callbacks<Native>; SLOTS] = sets!(
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
    16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
);
