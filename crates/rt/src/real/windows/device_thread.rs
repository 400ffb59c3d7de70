//! What Windows gives a device thread: the multimedia scheduler's "Pro Audio" class, and a timer that ticks every
//! millisecond. Their libraries are loaded at run time, before the first device thread: not every Windows has them, and
//! none is needed by a host that only looks.

use super::{host_time, procedure};
use std::ffi::c_void;
use std::mem::transmute;
use std::sync::OnceLock;

pub(crate) const REFUSED: &str = "the multimedia class scheduler refused real-time priority, so other programs may delay the sound; see that the service \"Multimedia Class Scheduler\" is running";

type Join = unsafe extern "system" fn(task: *const u16, index: *mut u32) -> *mut c_void;
type Leave = unsafe extern "system" fn(task: *mut c_void) -> i32;
type Rank = unsafe extern "system" fn(task: *mut c_void, rank: i32) -> i32;
type Tick = unsafe extern "system" fn(milliseconds: u32) -> u32;

#[link(name = "kernel32")]
unsafe extern "system" {
    fn GetCurrentThread() -> *mut c_void;
    fn SetThreadPriority(thread: *mut c_void, priority: i32) -> i32;
}

#[derive(Clone, Copy)]
struct Functions {
    join: Option<Join>,
    leave: Option<Leave>,
    rank: Option<Rank>,
    begin_ticks: Option<Tick>,
    end_ticks: Option<Tick>,
}

fn functions() -> Functions {
    static FUNCTIONS: OnceLock<Functions> = OnceLock::new();
    *FUNCTIONS.get_or_init(|| {
        let avrt = |name| procedure("avrt.dll", name);
        let winmm = |name| procedure("winmm.dll", name);
        let [join, leave, rank] = [
            avrt(c"AvSetMmThreadCharacteristicsW"),
            avrt(c"AvRevertMmThreadCharacteristics"),
            avrt(c"AvSetMmThreadPriority"),
        ];
        let [begin, end] = [winmm(c"timeBeginPeriod"), winmm(c"timeEndPeriod")];
        Functions {
            // SAFETY: null or the function of that name, which has this type; so with all of them.
            join: unsafe { transmute::<*const c_void, Option<Join>>(join) },
            // SAFETY: as above.
            leave: unsafe { transmute::<*const c_void, Option<Leave>>(leave) },
            // SAFETY: as above.
            rank: unsafe { transmute::<*const c_void, Option<Rank>>(rank) },
            // SAFETY: as above.
            begin_ticks: unsafe { transmute::<*const c_void, Option<Tick>>(begin) },
            // SAFETY: as above.
            end_ticks: unsafe { transmute::<*const c_void, Option<Tick>>(end) },
        }
    })
}

/// "Pro Audio", terminated.
const TASK: [u16; 10] = [0x50, 0x72, 0x6F, 0x20, 0x41, 0x75, 0x64, 0x69, 0x6F, 0];

/// `AVRT_PRIORITY_HIGH`: above the same program's other threads of the class.
const HIGH: i32 = 1;
/// `THREAD_PRIORITY_TIME_CRITICAL`: the most that a program may have without the scheduler's class.
const TIME_CRITICAL: i32 = 15;

/// In force on the thread that made it, until dropped there.
pub(crate) struct DeviceThread {
    functions: Functions,
    task: *mut c_void,
}

impl DeviceThread {
    /// Loads what device threads need, and measures once how the time of hosts lies. Control thread.
    pub(crate) fn prepare() {
        functions();
        host_time::measure();
    }

    /// Makes the calling thread a device thread.
    pub(crate) fn enter() -> Self {
        let functions = functions();
        let mut index = 0;
        let task = functions.join.map_or(std::ptr::null_mut(), |join| {
            // SAFETY: a terminated string and one integer of ours.
            unsafe { join(TASK.as_ptr(), &raw mut index) }
        });
        if task.is_null() {
            // SAFETY: the calling thread's own pseudo handle.
            unsafe { SetThreadPriority(GetCurrentThread(), TIME_CRITICAL) };
        } else if let Some(rank) = functions.rank {
            // SAFETY: the handle that `join` just gave.
            unsafe { rank(task, HIGH) };
        }
        if let Some(begin) = functions.begin_ticks {
            // SAFETY: takes a number; ended when this is dropped.
            unsafe { begin(1) };
        }
        Self { functions, task }
    }

    /// Whether real-time priority was granted.
    pub(crate) fn is_raised(&self) -> bool {
        !self.task.is_null()
    }
}

impl Drop for DeviceThread {
    fn drop(&mut self) {
        if let Some(end) = self.functions.end_ticks {
            // SAFETY: pairs the call in `enter`.
            unsafe { end(1) };
        }
        if let (false, Some(leave)) = (self.task.is_null(), self.functions.leave) {
            // SAFETY: the handle that `join` gave, on the same thread.
            unsafe { leave(self.task) };
        }
    }
}
