//! `KsCreatePin` for the simulated card: opens the filter once more and has the driver make a pin of it, since Wine 8 opens
//! nothing by a name relative to a device.

use barewire_ks_device::lab_code;
use std::ffi::c_void;
use std::ptr;
use windows_sys::Win32::Foundation::{
    CloseHandle, ERROR_IO_PENDING, GetLastError, HANDLE, INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::Storage::FileSystem::{
    CreateFileW, FILE_ATTRIBUTE_NORMAL, FILE_FLAG_OVERLAPPED, FILE_SHARE_READ, FILE_SHARE_WRITE,
    OPEN_EXISTING,
};
use windows_sys::Win32::System::IO::{DeviceIoControl, GetOverlappedResult, OVERLAPPED};
use windows_sys::Win32::System::Threading::CreateEventW;

const CONNECT_BYTES: usize = if size_of::<usize>() == 8 { 72 } else { 64 };

/// A control call; the bytes of its output, or a code.
fn control(file: HANDLE, code: u32, input: &[u8], output: &mut [u8]) -> Result<usize, u32> {
    // SAFETY: all memory lives until the call has ended, for which it is waited.
    unsafe {
        let event = CreateEventW(ptr::null(), 1, 0, ptr::null());
        let mut overlapped: OVERLAPPED = std::mem::zeroed();
        overlapped.hEvent = event;
        let mut bytes = 0;
        let is_done = DeviceIoControl(
            file,
            code,
            input.as_ptr().cast(),
            u32::try_from(input.len()).unwrap_or(0),
            output.as_mut_ptr().cast(),
            u32::try_from(output.len()).unwrap_or(0),
            ptr::null_mut(),
            &raw mut overlapped,
        );
        let mut error = if is_done == 0 { GetLastError() } else { 0 };
        if error == 0 || error == ERROR_IO_PENDING {
            let is_good = GetOverlappedResult(file, &raw const overlapped, &raw mut bytes, 1);
            error = if is_good == 0 { GetLastError() } else { 0 };
        }
        CloseHandle(event);
        if error == 0 { Ok(bytes as usize) } else { Err(error) }
    }
}

fn path_of(filter: HANDLE) -> Result<Vec<u16>, u32> {
    let mut bytes = vec![0; 4096];
    let length = control(filter, lab_code::PATH, &[], &mut bytes)?;
    let units = bytes[..length].chunks_exact(2);
    let mut path: Vec<u16> = units.map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    // `\??\` in the kernel, `\\?\` outside.
    if let Some(unit) = path.get_mut(1) {
        *unit = u16::from(b'\\');
    }
    path.push(0);
    Ok(path)
}

/// Opens a pin of a filter; a Win32 code.
///
/// # Safety
/// `connect` is a whole `KSPIN_CONNECT` with its format; `pin` can be written.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "the name of the interface")]
pub unsafe extern "system" fn KsCreatePin(
    filter: HANDLE,
    connect: *const u8,
    access: u32,
    pin: *mut HANDLE,
) -> u32 {
    let path = match path_of(filter) {
        Ok(path) => path,
        Err(error) => return error,
    };
    // SAFETY: the format begins with its size; the path is terminated.
    let (connect, file) = unsafe {
        let format = connect.add(CONNECT_BYTES).cast::<u32>().read_unaligned() as usize;
        let file = CreateFileW(
            path.as_ptr(),
            access,
            FILE_SHARE_READ | FILE_SHARE_WRITE,
            ptr::null(),
            OPEN_EXISTING,
            FILE_ATTRIBUTE_NORMAL | FILE_FLAG_OVERLAPPED,
            ptr::null_mut::<c_void>(),
        );
        (std::slice::from_raw_parts(connect, CONNECT_BYTES + format), file)
    };
    if file == INVALID_HANDLE_VALUE {
        // SAFETY: reads a word of this thread.
        return unsafe { GetLastError() };
    }
    match control(file, lab_code::MAKE_PIN, connect, &mut []) {
        Ok(_) => {
            // SAFETY: the caller's place.
            unsafe { *pin = file };
            0
        }
        Err(error) => {
            // SAFETY: opened above.
            unsafe { CloseHandle(file) };
            error
        }
    }
}
