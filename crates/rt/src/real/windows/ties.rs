//! Words that processes share, and the events that wake who waits on them: Windows knows the waits of one process alone.
//!
//! The device thread only looks through the rows. A row's event is set by whoever changes its word; a spurious set makes a
//! waiter look again, nothing more, so a row that is used anew meanwhile does no harm. Events are closed long after their
//! rows were given up, when no thread can still be about to set them.

use crate::system::{Ns, Woken};
use barewire_types::{Error, ErrorKind, Result};
use std::ffi::c_void;
use std::os::windows::io::{AsRawHandle, OwnedHandle};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Four for each client of a hub, both ends in one process.
const ROWS: usize = 512;
/// How long an event is kept after its row was given up: many passes of any device thread.
const KEPT_NS: Ns = 10_000_000_000;

#[cfg_attr(
    target_arch = "x86",
    link(name = "ntdll", kind = "raw-dylib", import_name_type = "undecorated")
)]
#[cfg_attr(not(target_arch = "x86"), link(name = "ntdll", kind = "raw-dylib"))]
unsafe extern "system" {
    // `WaitForSingleObject` counts in milliseconds, this in units of 100 ns.
    fn NtWaitForSingleObject(object: *mut c_void, alertable: u8, timeout: *const i64) -> i32;
}

#[link(name = "kernel32")]
unsafe extern "system" {
    fn SetEvent(event: *mut c_void) -> i32;
}

struct Row {
    /// The word's address; 0 if the row is free.
    word: AtomicUsize,
    event: AtomicPtr<c_void>,
}

static TABLE: [Row; ROWS] =
    [const { Row { word: AtomicUsize::new(0), event: AtomicPtr::new(ptr::null_mut()) } }; ROWS];
/// Rows beyond were never used.
static USED: AtomicUsize = AtomicUsize::new(0);

/// What control threads know: events that are out of use, and since when.
static RETIRED: Mutex<Vec<(OwnedHandle, Ns)>> = Mutex::new(Vec::new());

/// A word tied to an event, until it is dropped.
#[derive(Debug)]
pub struct Tie {
    row: usize,
    event: Option<OwnedHandle>,
}

impl Tie {
    /// From here on a wake on `word` sets `event`, which resets itself, and a wait on `word` waits for it. Of several words
    /// that are waited for at once, the last one's event is waited for. Control thread.
    ///
    /// # Errors
    /// `NoMemory` if there are too many.
    pub fn new(word: &AtomicU32, event: OwnedHandle) -> Result<Self> {
        let mut retired = RETIRED.lock().unwrap_or_else(PoisonError::into_inner);
        let now = super::now_ns();
        retired.retain(|(_, since)| now < since.saturating_add(KEPT_NS));
        // The lock makes this thread the only one that takes rows.
        let free = TABLE.iter().position(|row| row.word.load(Ordering::Relaxed) == 0);
        let Some((row, place)) = free.and_then(|n| Some((n, TABLE.get(n)?))) else {
            return Err(Error::new(ErrorKind::NoMemory, "too many clients in one process"));
        };
        place.event.store(event.as_raw_handle(), Ordering::Relaxed);
        place.word.store(ptr::from_ref(word).addr(), Ordering::Release);
        USED.fetch_max(row + 1, Ordering::Release);
        Ok(Self { row, event: Some(event) })
    }
}

impl Drop for Tie {
    fn drop(&mut self) {
        if let Some(row) = TABLE.get(self.row) {
            row.word.store(0, Ordering::Release);
        }
        if let Some(event) = self.event.take() {
            let mut retired = RETIRED.lock().unwrap_or_else(PoisonError::into_inner);
            retired.push((event, super::now_ns()));
        }
    }
}

fn events_of(word: &AtomicU32) -> impl Iterator<Item = *mut c_void> {
    let address = ptr::from_ref(word).addr();
    let used = TABLE.iter().take(USED.load(Ordering::Acquire));
    used.filter(move |row| row.word.load(Ordering::Acquire) == address)
        .map(|row| row.event.load(Ordering::Relaxed))
}

/// Words that are tied to nothing are looked at in slices.
pub(in crate::real) fn wait_shared(words: &[(&AtomicU32, u32)], until: Ns) -> Woken {
    /// The shortest wait that the scheduler knows.
    const SLICE_NS: Ns = 1_000_000;
    let holds = || words.iter().all(|(word, value)| word.load(Ordering::Acquire) == *value);
    let event = words.last().and_then(|(word, _)| events_of(word).next());
    while holds() {
        let now = super::now_ns();
        let left_ns = until.saturating_sub(now);
        if left_ns == 0 {
            break;
        }
        match (event, words.first()) {
            (Some(event), _) => {
                // Negative: from now on. Rounded up: returning early would turn the rest into a spin.
                let timeout = i64::try_from(left_ns.div_ceil(100)).map_or(i64::MIN, |units| -units);
                // SAFETY: an event that is open as long as its row is, and long after; the number lives over the call.
                unsafe { NtWaitForSingleObject(event, 0, &raw const timeout) };
            }
            (None, Some(&(word, value))) => {
                super::wait(word, value, until.min(now.saturating_add(SLICE_NS)));
            }
            (None, None) => break,
        }
    }
    if holds() { Woken::Time } else { Woken::Word }
}

pub(in crate::real) fn wake_shared(word: &AtomicU32) {
    for event in events_of(word) {
        // SAFETY: an event that is open as long as its row is, and long after.
        unsafe { SetEvent(event) };
    }
    // Those of this process who wait in slices.
    super::wake(word);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::windows::io::FromRawHandle;
    use std::sync::Arc;

    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn CreateEventW(
            security: *const c_void,
            manual: i32,
            set: i32,
            name: *const u16,
        ) -> *mut c_void;
    }

    fn event() -> OwnedHandle {
        // SAFETY: an event without a name; just made, and ours alone.
        unsafe { OwnedHandle::from_raw_handle(CreateEventW(ptr::null(), 0, 0, ptr::null())) }
    }

    #[test]
    fn a_waiter_on_two_words_is_woken_by_either_and_by_nothing_once_it_is_untied() {
        let words = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let own = event();
        let its = own.try_clone().unwrap();
        let ties = [Tie::new(&words[0], own).unwrap(), Tie::new(&words[1], its).unwrap()];
        for turn in 0..2 {
            let other = words.clone();
            let waker = std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(20));
                other[turn].fetch_add(1, Ordering::Release);
                wake_shared(&other[turn]);
            });
            let values = [0, 1].map(|n: usize| words[n].load(Ordering::Acquire));
            let both = [(&words[0], values[0]), (&words[1], values[1])];
            assert_eq!(wait_shared(&both, super::super::now_ns() + 20_000_000_000), Woken::Word);
            waker.join().unwrap();
        }
        assert_eq!(events_of(&words[0]).count(), 1);
        drop(ties);
        assert_eq!(events_of(&words[0]).count(), 0);
        let until = super::super::now_ns() + 5_000_000;
        assert_eq!(wait_shared(&[(&words[0], 1)], until), Woken::Time);
        assert!(super::super::now_ns() >= until);
    }
}
