//! Allocators, Rust's and C's, that count what happens on a thread that is inside the device loop.

use barewire_rt::alarm;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

static RUST: AtomicU64 = AtomicU64::new(0);
static C: AtomicU64 = AtomicU64::new(0);

/// Allocations and releases inside the loop. Rust's allocator stands on C's, so what it does is counted in both where
/// C's can be counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Alarms {
    pub(crate) rust: u64,
    pub(crate) c: u64,
}

impl Alarms {
    pub(crate) fn since(self, before: Self) -> Self {
        Self { rust: self.rust - before.rust, c: self.c - before.c }
    }
}

/// All so far.
pub(crate) fn alarms() -> Alarms {
    Alarms { rust: RUST.load(Ordering::SeqCst), c: C.load(Ordering::SeqCst) }
}

fn count(counter: &AtomicU64) {
    if alarm::is_inside() {
        counter.fetch_add(1, Ordering::SeqCst);
    }
}

struct Counting;

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(&RUST);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(&RUST);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

/// Has the C library allocate and free, behind Rust's back.
pub(crate) fn allocate_in_c() {
    // SAFETY: a string that ends with a zero; what comes back is freed once.
    unsafe { libc::free(libc::strdup(c"planted".as_ptr()).cast()) };
}

/// In place of the C library's own functions, for this program and every library in it.
mod interposed {
    use super::{C, count};
    use std::ffi::c_void;

    // The names under which glibc keeps its own.
    unsafe extern "C" {
        fn __libc_malloc(size: usize) -> *mut c_void;
        fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
        fn __libc_realloc(memory: *mut c_void, size: usize) -> *mut c_void;
        fn __libc_memalign(alignment: usize, size: usize) -> *mut c_void;
        fn __libc_free(memory: *mut c_void);
    }

    // SAFETY, for all of them: the contract of the C function of that name, which does the work.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
        count(&C);
        // SAFETY: see above.
        unsafe { __libc_malloc(size) }
    }
    #[unsafe(no_mangle)]
    unsafe extern "C" fn calloc(number: usize, size: usize) -> *mut c_void {
        count(&C);
        // SAFETY: see above.
        unsafe { __libc_calloc(number, size) }
    }
    #[unsafe(no_mangle)]
    unsafe extern "C" fn realloc(memory: *mut c_void, size: usize) -> *mut c_void {
        count(&C);
        // SAFETY: see above.
        unsafe { __libc_realloc(memory, size) }
    }
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memalign(alignment: usize, size: usize) -> *mut c_void {
        count(&C);
        // SAFETY: see above.
        unsafe { __libc_memalign(alignment, size) }
    }
    #[unsafe(no_mangle)]
    unsafe extern "C" fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void {
        count(&C);
        // SAFETY: see above.
        unsafe { __libc_memalign(alignment, size) }
    }
    #[unsafe(no_mangle)]
    unsafe extern "C" fn posix_memalign(
        place: *mut *mut c_void,
        alignment: usize,
        size: usize,
    ) -> i32 {
        count(&C);
        // SAFETY: see above; the caller owns `place`.
        unsafe {
            let memory = __libc_memalign(alignment, size);
            if memory.is_null() {
                return libc::ENOMEM;
            }
            *place = memory;
        }
        0
    }
    #[unsafe(no_mangle)]
    unsafe extern "C" fn free(memory: *mut c_void) {
        count(&C);
        // SAFETY: see above.
        unsafe { __libc_free(memory) };
    }
}
