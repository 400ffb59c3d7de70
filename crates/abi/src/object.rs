//! A host's object made of a driver in safe words, and the one guard through which every foreign call goes.

mod arguments;
mod future;
mod slots;

use crate::constants::Code;
use crate::dialect::Dialect;
use crate::driver::{AsioDriver, AsioError, AsioResult};
use crate::guid::Guid;
use crate::text::write_text;
use crate::vtable::Vtable;
use arguments::ERROR_BYTES;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

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
    /// What `getErrorMessage` says. Never waited for by other calls: one that finds it taken leaves its text out.
    error: Mutex<[u8; ERROR_BYTES]>,
    after: fn(),
    driver: Box<T>,
}

/// Makes a host's object of `driver`, with one reference, which is the caller's. `class` is the id that
/// `QueryInterface` answers besides `IUnknown`.
pub fn create<D: Dialect, T: AsioDriver>(driver: T, class: Guid) -> *mut c_void {
    create_with_end::<D, T>(driver, class, || {})
}

/// As [`create`]; `after` is called by the last `Release`, when the driver has been released: there a module sees to it
/// that it stays loaded if a thread of its own is left in it.
pub fn create_with_end<D: Dialect, T: AsioDriver>(
    driver: T,
    class: Guid,
    after: fn(),
) -> *mut c_void {
    OBJECTS.fetch_add(1, Ordering::AcqRel);
    const { assert!(std::mem::offset_of!(Object<D, T>, vtable) == 0) };
    let object = Object::<D, T> {
        vtable: slots::vtable::<D, T>(),
        references: AtomicU32::new(1),
        class,
        error: Mutex::new([0; ERROR_BYTES]),
        after,
        driver: Box::new(driver),
    };
    Box::into_raw(Box::new(object)).cast()
}

impl<D: Dialect, T: AsioDriver> Object<D, T> {
    /// Runs `call` for a host. A null object, a panic and a refusal become codes; the words of a refusal are kept for
    /// `getErrorMessage`.
    fn enter(
        this: *mut c_void,
        name: &'static str,
        call: impl FnOnce(&T) -> AsioResult<()>,
    ) -> Code {
        let Some(held) = Held::<D, T>::of(this) else {
            return Code::INVALID_PARAMETER;
        };
        match catch_unwind(AssertUnwindSafe(|| call(&held.object().driver))) {
            Ok(Ok(())) => Code::OK,
            Ok(Err(AsioError { code, text })) => {
                held.object().keep(if text.is_empty() { code.sentence() } else { &text });
                code
            }
            Err(_) => {
                held.object().keep(&format!("a defect of the driver itself, in {name}"));
                Code::HW_MALFUNCTION
            }
        }
    }

    /// As [`enter`](Self::enter), for what hosts call with every block: no words are kept, so that the way of a
    /// refusal is as short as that of success.
    fn enter_swiftly(this: *mut c_void, call: impl FnOnce(&T) -> AsioResult<()>) -> Code {
        let Some(held) = Held::<D, T>::of(this) else {
            return Code::INVALID_PARAMETER;
        };
        match catch_unwind(AssertUnwindSafe(|| call(&held.object().driver))) {
            Ok(Ok(())) => Code::OK,
            Ok(Err(error)) => error.code,
            Err(_) => Code::HW_MALFUNCTION,
        }
    }

    /// Keeps what `getErrorMessage` will say. Neither waits nor frees, since a host may call from its callback.
    fn keep(&self, text: &str) {
        if let Ok(mut place) = self.error.try_lock() {
            write_text(&mut *place, text);
        }
    }

    fn kept(&self) -> [u8; ERROR_BYTES] {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner)
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
        let Self { driver, after, .. } = *object;
        // A panic here has no caller to tell; the driver's parts are freed by the unwinding.
        let _ = catch_unwind(AssertUnwindSafe(|| driver.released()));
        let _ = catch_unwind(after);
        OBJECTS.fetch_sub(1, Ordering::AcqRel);
        0
    }
}

/// A reference of ours for the length of a call: some hosts let go of the object inside a question that the call asks
/// them (PipeASIO's change log tells of such hosts). The last reference may so be given up at the call's end.
struct Held<D: Dialect, T: AsioDriver> {
    this: *mut c_void,
    kind: std::marker::PhantomData<*const Object<D, T>>,
}

impl<D: Dialect, T: AsioDriver> Held<D, T> {
    fn of(this: *mut c_void) -> Option<Self> {
        let object = Object::<D, T>::get(this)?;
        object.references.fetch_add(1, Ordering::Relaxed);
        Some(Self { this, kind: std::marker::PhantomData })
    }

    fn object(&self) -> &Object<D, T> {
        // SAFETY: `of` saw that the object is there, and this value's reference keeps it so.
        unsafe { &*self.this.cast::<Object<D, T>>() }
    }
}

impl<D: Dialect, T: AsioDriver> Drop for Held<D, T> {
    fn drop(&mut self) {
        Object::<D, T>::release(self.this);
    }
}
