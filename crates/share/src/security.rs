//! Windows: objects that only this user may open, and who is at the other end of a pipe.

use barewire_types::{Error, ErrorKind, Result};
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;
use windows_sys::Win32::Foundation::{HANDLE, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{
    GetTokenInformation, PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES, TOKEN_QUERY, TOKEN_USER,
    TokenUser,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, OpenProcess, OpenProcessToken, PROCESS_QUERY_LIMITED_INFORMATION,
};

/// Rights, as the descriptors spell them.
pub(crate) mod rights {
    /// All that can be done with a file or pipe.
    pub(crate) const PIPE: u32 = 0x001F_01FF;
    /// All that can be done with a section.
    pub(crate) const SECTION: u32 = 0x000F_001F;
    /// A section may be looked at and mapped to be read.
    pub(crate) const SECTION_READ: u32 = 0x0000_0005;
    /// All that can be done with an event: whoever makes one that is there already asks for as much.
    pub(crate) const EVENT: u32 = 0x001F_0003;
    /// An event may be set and waited for.
    pub(crate) const EVENT_USE: u32 = 0x0010_0002;
}

/// What the system said last.
pub(crate) fn failed(doing: &str) -> Error {
    Error::from(std::io::Error::last_os_error()).context(doing)
}

/// Terminated, for the system.
pub(crate) fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// Reads a string that the system has made, and frees it.
///
/// # Safety
/// `text` is terminated and was made by a function that says to free it with `LocalFree`.
pub(crate) unsafe fn take_string(text: *mut u16) -> String {
    let mut units = Vec::new();
    let mut at = text;
    loop {
        // SAFETY: within the string, which is terminated.
        let unit = unsafe { at.read() };
        if unit == 0 {
            break;
        }
        units.push(unit);
        at = at.wrapping_add(1);
    }
    // SAFETY: as the caller promised.
    unsafe { LocalFree(text.cast()) };
    String::from_utf16_lossy(&units)
}

/// The user whose token this process runs with, as `S-1-…`.
fn user_of(process: HANDLE) -> Result<String> {
    let mut raw: HANDLE = ptr::null_mut();
    // SAFETY: a process's handle; writes one handle of ours.
    if unsafe { OpenProcessToken(process, TOKEN_QUERY, &raw mut raw) } == 0 {
        return Err(failed("asking for a process's user"));
    }
    // SAFETY: just opened, and ours alone.
    let token = unsafe { OwnedHandle::from_raw_handle(raw) };
    // A structure of pointers, then the id: at most 68 bytes.
    let mut place = [0_u64; 32];
    let mut used = 0;
    let room = u32::try_from(size_of_val(&place)).unwrap_or(0);
    // SAFETY: writes at most `room` bytes.
    let told = unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            TokenUser,
            place.as_mut_ptr().cast(),
            room,
            &raw mut used,
        )
    };
    if told == 0 {
        return Err(failed("asking for a process's user"));
    }
    // SAFETY: the system has written such a structure, and `place` is aligned for it.
    let user = unsafe { place.as_ptr().cast::<TOKEN_USER>().read() };
    let mut text: *mut u16 = ptr::null_mut();
    // SAFETY: the id lies in `place`; writes one pointer of ours.
    if unsafe { ConvertSidToStringSidW(user.User.Sid, &raw mut text) } == 0 {
        return Err(failed("asking for a process's user"));
    }
    // SAFETY: made by the function above.
    Ok(unsafe { take_string(text) })
}

/// This process's user.
pub(crate) fn own_user() -> Result<String> {
    // SAFETY: no argument; the result needs no closing.
    user_of(unsafe { GetCurrentProcess() })
}

/// Whether a process is this user's.
pub(crate) fn check_process(process: u32) -> Result<()> {
    // SAFETY: numbers only.
    let raw = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, process) };
    if raw.is_null() {
        return Err(failed("asking who is at the other end"));
    }
    // SAFETY: just opened, and ours alone.
    let other = unsafe { OwnedHandle::from_raw_handle(raw) };
    let (theirs, own) = (user_of(other.as_raw_handle())?, own_user()?);
    if theirs == own {
        return Ok(());
    }
    let text = format!("the hub is user {own}'s, and user {theirs} may not use it");
    Err(Error::new(ErrorKind::Denied, text).remedy("start a hub of your own"))
}

/// A descriptor that gives this user some rights, and nobody else any.
pub(crate) struct Descriptor(PSECURITY_DESCRIPTOR);

impl Descriptor {
    /// For objects that this process makes. Logons over the network are kept out even of the same user.
    pub(crate) fn own(rights: u32) -> Result<Self> {
        let text = Self::words(rights)?;
        let mut descriptor = ptr::null_mut();
        // SAFETY: a terminated string; writes one pointer of ours.
        let made = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                wide(&text).as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                ptr::null_mut(),
            )
        };
        if made == 0 {
            return Err(failed("saying who may open the hub's objects"));
        }
        Ok(Self(descriptor))
    }

    /// The same in words: denied to the network (`NU`), then granted to this user alone, nothing inherited (`P`).
    pub(crate) fn words(rights: u32) -> Result<String> {
        Ok(format!("D:P(D;;{rights:#x};;;NU)(A;;{rights:#x};;;{})", own_user()?))
    }

    pub(crate) fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or(0),
            lpSecurityDescriptor: self.0,
            bInheritHandle: 0,
        }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: made by the function that says to free it so.
        unsafe { LocalFree(self.0) };
    }
}
