//! Open filters and pins: control calls with a deadline, and stream requests.
//!
//! Handles are overlapped, so every call has an `OVERLAPPED` and an event of its own. What the system may still write into
//! is never freed: a call that does not end leaves its memory behind.

use super::super::{Code, Failure, Object, RawHandle, Ticket, code};
use super::{Owned, last_error, new_event};
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::Arc;
use windows_sys::Win32::Foundation::{
    ERROR_IO_INCOMPLETE, ERROR_IO_PENDING, ERROR_NOT_FOUND, WAIT_OBJECT_0,
};
use windows_sys::Win32::System::IO::{
    CancelIoEx, DeviceIoControl, GetOverlappedResult, OVERLAPPED,
};
use windows_sys::Win32::System::Threading::{ResetEvent, WaitForSingleObject};

/// Drivers answer within microseconds; one that takes longer than this does not answer.
const PATIENCE_MS: u32 = 1000;
/// Replies on the device thread are shorter; longer ones may allocate.
const SHORT_REPLY: usize = 256;
/// Requests too.
const SHORT_REQUEST: usize = 128;

/// What the system works on while a call is under way.
struct Call {
    overlapped: OVERLAPPED,
    event: Owned,
    input: Vec<u64>,
    output: Vec<u64>,
}

impl Call {
    fn new() -> Result<Box<Self>, Code> {
        Ok(Box::new(Self {
            // SAFETY: zeros are a fresh `OVERLAPPED`.
            overlapped: unsafe { std::mem::zeroed() },
            event: new_event(false)?,
            input: vec![0; SHORT_REQUEST / 8],
            output: vec![0; SHORT_REPLY / 8],
        }))
    }
}

/// An open filter or pin.
pub(super) struct RealObject {
    file: Arc<Owned>,
    /// `None` once a call did not end: nothing more is asked of such a driver.
    call: Option<ManuallyDrop<Box<Call>>>,
}

// SAFETY: the pointers in `Call` are to its own memory.
unsafe impl Send for RealObject {}

impl RealObject {
    pub(super) fn new(file: Owned) -> Result<Self, Code> {
        Ok(Self { file: Arc::new(file), call: Some(ManuallyDrop::new(Call::new()?)) })
    }
}

impl Drop for RealObject {
    fn drop(&mut self) {
        if let Some(mut call) = self.call.take() {
            // SAFETY: no call is under way, and it is not used again.
            unsafe { ManuallyDrop::drop(&mut call) };
        }
    }
}

/// How a call ended, if it did.
enum End {
    Done(Result<usize, Failure>),
    Never,
}

impl Call {
    /// Makes the call and waits for its end.
    fn make(&mut self, file: &Owned, code: u32, input: usize, output: usize) -> End {
        // SAFETY: zeros are a fresh `OVERLAPPED`; no call is under way.
        self.overlapped = unsafe { std::mem::zeroed() };
        self.overlapped.hEvent = self.event.0;
        let (input_place, output_place) = (self.input.as_ptr(), self.output.as_mut_ptr());
        let (input, output) =
            (u32::try_from(input).unwrap_or(0), u32::try_from(output).unwrap_or(0));
        let overlapped = &raw mut self.overlapped;
        // SAFETY: all memory lies in this call's box, which outlives the request: it is leaked if it does not end.
        let is_done = unsafe {
            DeviceIoControl(
                file.0,
                code,
                if input == 0 { ptr::null() } else { input_place.cast() },
                input,
                if output == 0 { ptr::null_mut() } else { output_place.cast() },
                output,
                ptr::null_mut(),
                overlapped,
            )
        };
        if is_done == 0 {
            let error = last_error();
            if error != ERROR_IO_PENDING {
                let needed = self.overlapped.InternalHigh;
                return End::Done(Err(Failure { code: error, needed }));
            }
        }
        for _ in 0..2 {
            // SAFETY: the event lives as long as the call.
            if unsafe { WaitForSingleObject(self.event.0, PATIENCE_MS) } == WAIT_OBJECT_0 {
                return End::Done(self.result(file));
            }
            // SAFETY: the request is under way.
            unsafe { CancelIoEx(file.0, overlapped) };
        }
        End::Never
    }

    fn result(&mut self, file: &Owned) -> Result<usize, Failure> {
        let mut bytes = 0;
        // SAFETY: the request has ended.
        let is_good =
            unsafe { GetOverlappedResult(file.0, &raw const self.overlapped, &raw mut bytes, 0) };
        let bytes = bytes as usize;
        if is_good == 0 { Err(Failure { code: last_error(), needed: bytes }) } else { Ok(bytes) }
    }
}

impl Object for RealObject {
    fn control(&mut self, code: u32, input: &[u8], output: &mut [u8]) -> Result<usize, Failure> {
        let Some(call) = &mut self.call else { return Err(code::SEM_TIMEOUT.into()) };
        let call = &mut ***call;
        for (place, length) in [(&mut call.input, input.len()), (&mut call.output, output.len())] {
            if length > place.len() * 8 {
                // Control threads only: the device thread asks for little.
                place.resize(length.div_ceil(8), 0);
            }
        }
        // SAFETY: both places have room, checked above, and no call is under way.
        unsafe {
            let place = call.input.as_mut_ptr().cast::<u8>();
            place.copy_from_nonoverlapping(input.as_ptr(), input.len());
            let place = call.output.as_mut_ptr().cast::<u8>();
            place.copy_from_nonoverlapping(output.as_ptr(), output.len());
        }
        match call.make(&self.file, code, input.len(), output.len()) {
            End::Done(result) => {
                let length = output.len();
                let place = call.output.as_ptr().cast::<u8>();
                // SAFETY: as above.
                unsafe { output.as_mut_ptr().copy_from_nonoverlapping(place, length) };
                result
            }
            End::Never => {
                // The driver still has the memory: it is left to it.
                self.call = None;
                Err(code::SEM_TIMEOUT.into())
            }
        }
    }

    fn ticket(&self) -> Result<Box<dyn Ticket>, Code> {
        Ok(Box::new(RealTicket {
            file: self.file.clone(),
            event: new_event(false)?,
            // SAFETY: zeros are a fresh `OVERLAPPED`.
            overlapped: Box::new(unsafe { std::mem::zeroed() }),
            is_pending: false,
        }))
    }

    fn handle(&self) -> RawHandle {
        self.file.raw()
    }
}

/// A stream request. Holds the pin open until it is dropped.
struct RealTicket {
    file: Arc<Owned>,
    event: Owned,
    overlapped: Box<OVERLAPPED>,
    is_pending: bool,
}

// SAFETY: as for `RealObject`.
unsafe impl Send for RealTicket {}

impl Ticket for RealTicket {
    unsafe fn submit(&mut self, code: u32, header: *mut u8, bytes: usize) -> Result<(), Code> {
        if self.is_pending {
            return Err(code::INVALID_PARAMETER);
        }
        // SAFETY: zeros are a fresh `OVERLAPPED`; no request is under way. The event is ours.
        unsafe {
            *self.overlapped = std::mem::zeroed();
            ResetEvent(self.event.0);
        }
        self.overlapped.hEvent = self.event.0;
        let length = u32::try_from(bytes).map_err(|_| code::INVALID_PARAMETER)?;
        // The header is output even of requests to write.
        // SAFETY: the caller keeps header and samples until the request has ended; `overlapped` is leaked with this ticket
        // if it does not.
        let is_done = unsafe {
            DeviceIoControl(
                self.file.0,
                code,
                ptr::null(),
                0,
                header.cast(),
                length,
                ptr::null_mut(),
                &raw mut *self.overlapped,
            )
        };
        let error = if is_done == 0 { last_error() } else { 0 };
        if error != 0 && error != ERROR_IO_PENDING {
            return Err(error);
        }
        self.is_pending = true;
        Ok(())
    }

    fn poll(&mut self) -> Option<Result<(), Code>> {
        if !self.is_pending {
            return None;
        }
        let mut bytes = 0;
        // SAFETY: the request was begun with this `OVERLAPPED`, which lives.
        let is_good = unsafe {
            GetOverlappedResult(self.file.0, &raw const *self.overlapped, &raw mut bytes, 0)
        };
        let outcome = if is_good == 0 { Err(last_error()) } else { Ok(()) };
        if outcome == Err(ERROR_IO_INCOMPLETE) {
            return None;
        }
        self.is_pending = false;
        Some(outcome)
    }

    fn cancel(&mut self) {
        if self.is_pending {
            // SAFETY: the request was begun with this `OVERLAPPED`, which lives.
            let is_asked = unsafe { CancelIoEx(self.file.0, &raw const *self.overlapped) };
            // It may have ended meanwhile.
            debug_assert!(is_asked != 0 || last_error() == ERROR_NOT_FOUND);
        }
    }

    fn event(&self) -> RawHandle {
        self.event.raw()
    }
}
