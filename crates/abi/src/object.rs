//! A host's object made of a driver in safe words, and the one guard through which every foreign call goes.

mod slots;

use crate::constants::Code;
use crate::dialect::Dialect;
use crate::driver::{AsioDriver, AsioError, AsioResult};
use crate::guid::Guid;
use crate::vtable::Vtable;
use std::borrow::Cow;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Objects that hosts hold now, for `DllCanUnloadNow`.
static OBJECTS: AtomicUsize = AtomicUsize::new(0);

/// How many objects hosts hold now.
pub fn object_count() -> usize {
    OBJECTS.load(Ordering::Acquire)
}

#[repr(C)]
struct Object<D: Dialect, T: AsioDriver> {
    /// Hosts cast the object's pointer to a pointer to this: it must be first.
    vtable: *const Vtable<D>,
    references: AtomicU32,
    class: Guid,
    /// What `getErrorMessage` says. Never waited for: a call that finds it taken leaves its text out.
    error: Mutex<Cow<'static, str>>,
    driver: Box<T>,
}

/// Makes a host's object of `driver`, with one reference, which is the caller's. `class` is the id that
/// `QueryInterface` answers besides `IUnknown`.
pub fn create<D: Dialect, T: AsioDriver>(driver: T, class: Guid) -> *mut c_void {
    OBJECTS.fetch_add(1, Ordering::AcqRel);
    const { assert!(std::mem::offset_of!(Object<D, T>, vtable) == 0) };
    let object = Object::<D, T> {
        vtable: slots::vtable::<D, T>(),
        references: AtomicU32::new(1),
        class,
        error: Mutex::new(Cow::Borrowed("")),
        driver: Box::new(driver),
    };
    Box::into_raw(Box::new(object)).cast()
}

impl<D: Dialect, T: AsioDriver> Object<D, T> {
    /// Keeps what `getErrorMessage` will say. May be called on the device thread, by a host from its callback, so it
    /// neither waits nor frees there: it only takes place if nobody else is at it.
    fn keep(&self, text: Cow<'static, str>) {
        if let Ok(mut place) = self.error.try_lock() {
            *place = text;
        }
    }

    /// Runs `call` for a host. A null object, a panic and a refusal become codes; refusals are kept for
    /// `getErrorMessage`.
    fn enter(
        this: *mut c_void,
        name: &'static str,
        call: impl FnOnce(&T) -> AsioResult<()>,
    ) -> Code {
        let Some(object) = Self::get(this) else {
            return Code::INVALID_PARAMETER;
        };
        match catch_unwind(AssertUnwindSafe(|| call(&object.driver))) {
            Ok(Ok(())) => Code::OK,
            Ok(Err(AsioError { code, text })) => {
                if !text.is_empty() {
                    object.keep(text);
                }
                code
            }
            Err(_) => {
                let text = format!("a defect of the driver itself, in {name}; please report it");
                object.keep(text.into());
                Code::HW_MALFUNCTION
            }
        }
    }

    fn get<'a>(this: *mut c_void) -> Option<&'a Self> {
        // SAFETY: null is refused; anything else that a host passes as the object is the pointer that `create` gave
        // it, alive for as long as the host holds a reference, as it must while it calls.
        unsafe { this.cast::<Self>().as_ref() }
    }

    fn release(this: *mut c_void) -> u32 {
        let Some(object) = Self::get(this) else { return 0 };
        let count = object
            .references
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1));
        match count {
            Ok(1) => {}
            Ok(n) => return n - 1,
            // One `Release` too many, while the object is still being taken apart.
            Err(_) => return 0,
        }
        // SAFETY: the last reference is gone, so this thread alone has the object, which came from a box.
        let object = unsafe { Box::from_raw(this.cast::<Self>()) };
        let driver = object.driver;
        // A panic here has no caller to tell; the driver's parts are freed by the unwinding.
        let _ = catch_unwind(AssertUnwindSafe(|| driver.released()));
        OBJECTS.fetch_sub(1, Ordering::AcqRel);
        0
    }
}
