//! Windows itself: device interfaces, files, control calls, events, timers.

mod endpoints;
mod interfaces;
mod object;
mod wait;

use super::{Code, Event, Holder, Kernel, Listed, Object, Pages, RawHandle, Waiter, Wired, code};
use crate::uapi::Guid;
use barewire_rt::System;
use object::RealObject;
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use windows_sys::Win32::Foundation::{CloseHandle, GetLastError, HANDLE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::Storage::FileSystem::{
    CreateFileW, FILE_ATTRIBUTE_NORMAL, FILE_FLAG_OVERLAPPED, FILE_SHARE_READ, FILE_SHARE_WRITE,
    OPEN_EXISTING,
};
use windows_sys::Win32::System::LibraryLoader::{GetProcAddress, LoadLibraryW};
use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_READWRITE, VirtualAlloc, VirtualFree,
};
use windows_sys::Win32::System::Threading::CreateEventW;

const GENERIC_READ: u32 = 0x8000_0000;
const GENERIC_WRITE: u32 = 0x4000_0000;

/// The Windows that this process runs on.
pub struct RealKernel {
    system: Arc<dyn System>,
}

impl RealKernel {
    /// The Windows that this process runs on; waits keep `system`'s time.
    pub fn new(system: Arc<dyn System>) -> Self {
        Self { system }
    }
}

fn last_error() -> Code {
    // SAFETY: reads a word of this thread.
    unsafe { GetLastError() }
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// A handle that is closed when dropped.
#[derive(Debug)]
struct Owned(HANDLE);

// SAFETY: a handle is a number that any thread may use.
unsafe impl Send for Owned {}
// SAFETY: as above.
unsafe impl Sync for Owned {}

impl Owned {
    fn raw(&self) -> RawHandle {
        self.0.expose_provenance()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and is closed once.
        unsafe { CloseHandle(self.0) };
    }
}

fn handle(raw: RawHandle) -> HANDLE {
    ptr::with_exposed_provenance_mut(raw)
}

fn new_event(resets_itself: bool) -> Result<Owned, Code> {
    // SAFETY: no attributes, no name.
    let event = unsafe { CreateEventW(ptr::null(), i32::from(!resets_itself), 0, ptr::null()) };
    if event.is_null() { Err(last_error()) } else { Ok(Owned(event)) }
}

/// `KsCreatePin`: filter, `KSPIN_CONNECT`, access, the pin; returns a code.
type CreatePin = unsafe extern "system" fn(HANDLE, *const c_void, u32, *mut HANDLE) -> u32;

/// Loaded at run time: not every Windows has it, and Wine's ends the process when it is called.
fn create_pin() -> Option<CreatePin> {
    let library = wide("ksuser.dll");
    // SAFETY: a terminated string; the library stays loaded as long as the process.
    let module = unsafe { LoadLibraryW(library.as_ptr()) };
    if module.is_null() {
        return None;
    }
    // SAFETY: the module is loaded, the name is terminated.
    let address = unsafe { GetProcAddress(module, c"KsCreatePin".as_ptr().cast()) }?;
    // SAFETY: the function of that name has this type.
    Some(unsafe { std::mem::transmute::<unsafe extern "system" fn() -> isize, CreatePin>(address) })
}

impl Kernel for RealKernel {
    fn filters(&self, category: &Guid) -> Result<Vec<Listed>, Code> {
        interfaces::list(category)
    }

    fn open_filter(&self, path: &str) -> Result<Box<dyn Object>, Code> {
        let path = wide(path);
        // SAFETY: a terminated string, no attributes, no template.
        let file = unsafe {
            CreateFileW(
                path.as_ptr(),
                GENERIC_READ | GENERIC_WRITE,
                FILE_SHARE_READ | FILE_SHARE_WRITE,
                ptr::null(),
                OPEN_EXISTING,
                FILE_ATTRIBUTE_NORMAL | FILE_FLAG_OVERLAPPED,
                ptr::null_mut(),
            )
        };
        if file == INVALID_HANDLE_VALUE {
            return Err(last_error());
        }
        Ok(Box::new(RealObject::new(Owned(file))?))
    }

    fn create_pin(&self, filter: &dyn Object, connect: &[u8]) -> Result<Box<dyn Object>, Code> {
        let create = create_pin().ok_or(code::NOT_SUPPORTED)?;
        // Structures begin on multiples of 8.
        let mut words = vec![0_u64; connect.len().div_ceil(8)];
        let mut pin: HANDLE = ptr::null_mut();
        // SAFETY: `words` has room for all of `connect`; the filter is open; the connection is complete and says how long
        // its format is.
        let answer = unsafe {
            words
                .as_mut_ptr()
                .cast::<u8>()
                .copy_from_nonoverlapping(connect.as_ptr(), connect.len());
            let access = GENERIC_READ | GENERIC_WRITE;
            create(handle(filter.handle()), words.as_ptr().cast(), access, &raw mut pin)
        };
        if answer != 0 {
            return Err(answer);
        }
        if pin.is_null() || pin == INVALID_HANDLE_VALUE {
            return Err(code::GEN_FAILURE);
        }
        Ok(Box::new(RealObject::new(Owned(pin))?))
    }

    fn event(&self) -> Result<Box<dyn Event>, Code> {
        Ok(Box::new(RealEvent(new_event(true)?)))
    }

    fn waiter(&self) -> Result<Box<dyn Waiter>, Code> {
        Ok(Box::new(wait::RealWaiter::new(self.system.clone())?))
    }

    fn pages(&self, bytes: usize) -> Result<Box<dyn Pages>, Code> {
        // SAFETY: new pages wherever there is room.
        let base =
            unsafe { VirtualAlloc(ptr::null(), bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE) };
        if base.is_null() { Err(last_error()) } else { Ok(Box::new(RealPages(base.cast()))) }
    }

    fn endpoints(&self) -> Vec<Wired> {
        endpoints::wired()
    }

    fn holders(&self, endpoint: &str) -> Vec<Holder> {
        endpoints::holders(endpoint)
    }
}

struct RealEvent(Owned);

impl Event for RealEvent {
    fn handle(&self) -> RawHandle {
        self.0.raw()
    }
}

struct RealPages(*mut u8);

// SAFETY: memory of its own.
unsafe impl Send for RealPages {}

impl Pages for RealPages {
    fn base(&self) -> *mut u8 {
        self.0
    }
}

impl Drop for RealPages {
    fn drop(&mut self) {
        // SAFETY: allocated by `VirtualAlloc`, freed once.
        unsafe { VirtualFree(self.0.cast(), 0, MEM_RELEASE) };
    }
}
