//! Windows: a named pipe that only this user may open, the other end's process asked of the system and its user of its token;
//! names of memory travel before each message.

use crate::memory::Handle;
use crate::message;
use crate::security::{Descriptor, check_process, failed, rights, wide};
use barewire_types::{Error, ErrorKind, Result};
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_ALREADY_EXISTS, ERROR_IO_PENDING, ERROR_OPERATION_ABORTED,
    ERROR_PIPE_BUSY, ERROR_PIPE_CONNECTED, GENERIC_READ, GENERIC_WRITE, GetLastError, HANDLE,
    INVALID_HANDLE_VALUE, WAIT_TIMEOUT,
};
use windows_sys::Win32::Storage::FileSystem::{
    CreateFileW, FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED, OPEN_EXISTING,
    PIPE_ACCESS_DUPLEX, ReadFile, SECURITY_IDENTIFICATION, SECURITY_SQOS_PRESENT, WriteFile,
};
use windows_sys::Win32::System::IO::{CancelIoEx, GetOverlappedResult, OVERLAPPED};
use windows_sys::Win32::System::Pipes::{
    ConnectNamedPipe, CreateNamedPipeW, DisconnectNamedPipe, GetNamedPipeClientProcessId,
    GetNamedPipeServerProcessId, PIPE_READMODE_BYTE, PIPE_REJECT_REMOTE_CLIENTS, PIPE_TYPE_BYTE,
    PIPE_UNLIMITED_INSTANCES, PIPE_WAIT, PeekNamedPipe, WaitNamedPipeW,
};
use windows_sys::Win32::System::Threading::{CreateEventW, WaitForSingleObject};

/// Names that come with one message at most: page, gate, segment.
const MOST_HANDLES: usize = 3;
/// What a pipe holds before its writer has to wait.
const BUFFER_BYTES: u32 = 1 << 16;
/// How often it is looked whether the other end has gone.
const LOOK: Duration = Duration::from_millis(20);
/// How long a call waits for the hub to answer other callers.
const BUSY: Duration = Duration::from_secs(2);

/// One end of a pipe.
#[derive(Debug)]
struct Pipe {
    handle: OwnedHandle,
    is_server: bool,
    is_down: AtomicBool,
}

/// One conversation.
#[derive(Debug)]
pub struct Line {
    pipe: Arc<Pipe>,
    handles: Mutex<Vec<Handle>>,
}

/// Where the hub waits for conversations. Its name goes when it is dropped.
#[derive(Debug)]
pub struct Door {
    name: Vec<u16>,
    waiting: Mutex<Option<Waiting>>,
    _held: OwnedHandle,
}

/// An instance of the pipe that nobody has called yet. The system writes to `overlapped` when somebody does.
struct Waiting {
    pipe: OwnedHandle,
    event: OwnedHandle,
    overlapped: Box<OVERLAPPED>,
}

// SAFETY: what the pointers in `overlapped` lead to is the event, a handle of the process.
unsafe impl Send for Waiting {}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("pipe", &self.pipe).finish_non_exhaustive()
    }
}

fn lost(error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::WouldBlock {
        return Error::new(ErrorKind::Timeout, "the hub does not answer")
            .remedy("end the hub and start it again");
    }
    Error::new(ErrorKind::Lost, format!("the hub has gone: {error}"))
}

/// The pipe that stands for an address: names of pipes know no folders, so it is the address's hash.
fn pipe_name(address: &Path) -> Vec<u16> {
    wide(&format!(r"\\.\pipe\barewire-hub-{:016x}", hash(address)))
}

fn hash(address: &Path) -> u64 {
    let text = address.to_string_lossy().to_lowercase().replace('/', r"\");
    // FNV-1a.
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// Held by one hub of this session for each address, and gone with it. The pipe's own flag for its first instance would do, but
/// Wine 8 does not know it.
fn hold(address: &Path) -> Result<OwnedHandle> {
    let descriptor = Descriptor::own(rights::EVENT)?;
    let attributes = descriptor.attributes();
    let name = wide(&format!(r"Local\barewire-hub-{:016x}", hash(address)));
    // SAFETY: descriptor and terminated name live over the call.
    let raw = unsafe { CreateEventW(&raw const attributes, 1, 0, name.as_ptr()) };
    let is_old = last_error() == i32::try_from(ERROR_ALREADY_EXISTS).unwrap_or(0);
    if raw.is_null() {
        return Err(failed("the hub's door"));
    }
    // SAFETY: just made, and ours alone.
    let held = unsafe { OwnedHandle::from_raw_handle(raw) };
    if is_old { Err(taken()) } else { Ok(held) }
}

fn taken() -> Error {
    Error::new(ErrorKind::Busy, "a hub is running already").remedy("see `barewire top`")
}

fn milliseconds(patience: Duration) -> u32 {
    // The highest value would be for ever.
    u32::try_from(patience.as_millis()).unwrap_or(u32::MAX).min(u32::MAX - 1)
}

/// An event that stays set.
fn event() -> io::Result<OwnedHandle> {
    // SAFETY: no name and no attributes.
    let raw = unsafe { CreateEventW(ptr::null(), 1, 0, ptr::null()) };
    if raw.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and ours alone.
    Ok(unsafe { OwnedHandle::from_raw_handle(raw) })
}

fn overlapped(event: &OwnedHandle) -> OVERLAPPED {
    // SAFETY: a structure of integers and pointers.
    let mut overlapped: OVERLAPPED = unsafe { std::mem::zeroed() };
    overlapped.hEvent = event.as_raw_handle();
    overlapped
}

/// Whether there is a hub at `address`.
pub fn is_there(address: &Path) -> bool {
    // SAFETY: a terminated name. One millisecond, since 0 is the pipe's own default.
    let is_free = unsafe { WaitNamedPipeW(pipe_name(address).as_ptr(), 1) } != 0;
    is_free || io::Error::from_raw_os_error(last_error()).kind() != io::ErrorKind::NotFound
}

fn last_error() -> i32 {
    // SAFETY: no argument.
    i32::from_ne_bytes(unsafe { GetLastError() }.to_ne_bytes())
}

impl Pipe {
    /// Starts a reading or writing and waits for its end; how many bytes.
    fn transfer(
        &self,
        patience: Duration,
        start: impl FnOnce(HANDLE, *mut OVERLAPPED) -> i32,
    ) -> io::Result<usize> {
        let event = event()?;
        let mut overlapped = overlapped(&event);
        let handle = self.handle.as_raw_handle();
        if start(handle, &raw mut overlapped) == 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != i32::try_from(ERROR_IO_PENDING).ok() {
                return Err(error);
            }
        }
        let mut is_late = false;
        if !self.is_down.load(Ordering::Acquire) {
            // SAFETY: an event of ours.
            let waited =
                unsafe { WaitForSingleObject(event.as_raw_handle(), milliseconds(patience)) };
            is_late = waited == WAIT_TIMEOUT;
        }
        if is_late || self.is_down.load(Ordering::Acquire) {
            // SAFETY: the structure of the operation that was started; it may have ended already.
            unsafe { CancelIoEx(handle, &raw const overlapped) };
        }
        let mut count = 0;
        // SAFETY: waits until the system is done with the structure and the bytes.
        let done = unsafe { GetOverlappedResult(handle, &raw const overlapped, &raw mut count, 1) };
        if done != 0 {
            return Ok(usize::try_from(count).unwrap_or(0));
        }
        let error = io::Error::last_os_error();
        let is_cancelled = error.raw_os_error() == i32::try_from(ERROR_OPERATION_ABORTED).ok();
        Err(if is_late && is_cancelled { io::ErrorKind::WouldBlock.into() } else { error })
    }

    fn read_exact(&self, mut place: &mut [u8], patience: Duration) -> io::Result<()> {
        while !place.is_empty() {
            let (room, at) = (u32::try_from(place.len()).unwrap_or(u32::MAX), place.as_mut_ptr());
            let got = self.transfer(patience, |handle, overlapped| {
                // SAFETY: the bytes live until `transfer` has seen the operation's end.
                unsafe { ReadFile(handle, at, room, ptr::null_mut(), overlapped) }
            })?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            place = place.get_mut(got..).unwrap_or_default();
        }
        Ok(())
    }

    fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (count, at) = (u32::try_from(bytes.len()).unwrap_or(u32::MAX), bytes.as_ptr());
            let written = self.transfer(super::PATIENCE, |handle, overlapped| {
                // SAFETY: the bytes live until `transfer` has seen the operation's end.
                unsafe { WriteFile(handle, at, count, ptr::null_mut(), overlapped) }
            })?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// The process at the other end.
    fn other(&self) -> Result<u32> {
        let mut process = 0;
        let handle = self.handle.as_raw_handle();
        // SAFETY: a pipe of ours; writes one number of ours.
        let told = unsafe {
            if self.is_server {
                GetNamedPipeClientProcessId(handle, &raw mut process)
            } else {
                GetNamedPipeServerProcessId(handle, &raw mut process)
            }
        };
        if told == 0 {
            return Err(failed("asking who is at the other end"));
        }
        Ok(process)
    }

    /// Whether the other end is there.
    fn is_up(&self) -> bool {
        let mut waiting = 0;
        // SAFETY: a pipe of ours; writes one number of ours.
        let told = unsafe {
            PeekNamedPipe(
                self.handle.as_raw_handle(),
                ptr::null_mut(),
                0,
                ptr::null_mut(),
                &raw mut waiting,
                ptr::null_mut(),
            )
        };
        told != 0 && !self.is_down.load(Ordering::Acquire)
    }
}

impl Line {
    fn new(handle: OwnedHandle, is_server: bool) -> Self {
        let pipe = Arc::new(Pipe { handle, is_server, is_down: AtomicBool::new(false) });
        Self { pipe, handles: Mutex::default() }
    }

    /// Calls the hub.
    ///
    /// # Errors
    /// `NotFound` if there is none; `Denied` if it is not this user's.
    pub fn call(address: &Path) -> Result<Self> {
        let name = pipe_name(address);
        let begin = Instant::now();
        // Whoever has made the pipe may know who we are, and nothing more.
        let flags = FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION;
        let raw = loop {
            // SAFETY: a terminated name.
            let raw = unsafe {
                CreateFileW(
                    name.as_ptr(),
                    GENERIC_READ | GENERIC_WRITE,
                    0,
                    ptr::null(),
                    OPEN_EXISTING,
                    flags,
                    ptr::null_mut(),
                )
            };
            if raw != INVALID_HANDLE_VALUE {
                break raw;
            }
            let error = io::Error::last_os_error();
            let is_busy = error.raw_os_error() == i32::try_from(ERROR_PIPE_BUSY).ok();
            if is_busy && begin.elapsed() < BUSY {
                // SAFETY: a terminated name.
                unsafe { WaitNamedPipeW(name.as_ptr(), milliseconds(LOOK)) };
                continue;
            }
            let kind = match error.kind() {
                io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                _ => ErrorKind::NotFound,
            };
            return Err(Error::new(kind, format!("no hub at {}: {error}", address.display()))
                .remedy("start one with `barewire hub`"));
        };
        // SAFETY: just opened, and ours alone.
        let line = Self::new(unsafe { OwnedHandle::from_raw_handle(raw) }, false);
        line.check_user()?;
        Ok(line)
    }

    /// Whether the other side is this user.
    ///
    /// # Errors
    /// `Denied` if not.
    pub fn check_user(&self) -> Result<()> {
        check_process(self.pipe.other()?)
    }

    /// Sends a framed message, and names of memory before it.
    ///
    /// # Errors
    /// `Lost` if the other side has gone.
    pub fn send(&self, bytes: &[u8], handles: &[&Handle]) -> Result<()> {
        let mut all = vec![u8::try_from(handles.len()).unwrap_or(u8::MAX)];
        for handle in handles {
            let name = handle.name().as_bytes();
            all.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            all.extend(name);
        }
        all.extend(bytes);
        self.pipe.write_all(&all).map_err(|error| lost(&error))
    }

    /// Waits for a message of at most `most` bytes. Memory that comes with it waits for [`take_handles`](Self::take_handles).
    ///
    /// # Errors
    /// `Lost` if the other side has gone, `Timeout`, `InvalidArgument` for what is no message.
    pub fn receive(&self, most: usize, patience: Duration) -> Result<Vec<u8>> {
        let read =
            |place: &mut [u8]| self.pipe.read_exact(place, patience).map_err(|error| lost(&error));
        let mut count = [0];
        read(&mut count)?;
        // The hub is given no memory by anybody.
        let allowed = if self.pipe.is_server { 0 } else { MOST_HANDLES };
        if usize::from(count[0]) > allowed {
            return Err(Error::new(ErrorKind::InvalidArgument, "a message with too much memory"));
        }
        for _ in 0..count[0] {
            let mut length = [0];
            read(&mut length)?;
            let mut name = vec![0; usize::from(length[0])];
            read(&mut name)?;
            let handle = Handle::named(&String::from_utf8_lossy(&name))?;
            self.handles.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
        }
        let mut header = [0; 4];
        read(&mut header)?;
        let mut body = vec![0; message::length(header, most)?];
        read(&mut body)?;
        Ok(body)
    }

    /// The memory that has come.
    pub fn take_handles(&self) -> Vec<Handle> {
        std::mem::take(&mut *self.handles.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Watches for the other side to go.
    ///
    /// # Errors
    /// None on this system.
    pub fn hangup(&self) -> Result<Hangup> {
        Ok(Hangup(self.pipe.clone()))
    }

    /// Ends the conversation for both sides; of a client, once what watches for the other side has looked.
    pub fn hang_up(&self) {
        self.pipe.is_down.store(true, Ordering::Release);
        let handle = self.pipe.handle.as_raw_handle();
        // SAFETY: a pipe of ours; everything that is under way on it ends, and is waited for where it was started.
        unsafe { CancelIoEx(handle, ptr::null()) };
        if self.pipe.is_server {
            // SAFETY: as above.
            unsafe { DisconnectNamedPipe(handle) };
        }
    }
}

/// Tells when the other side of a line has gone, without reading from it.
#[derive(Debug)]
pub struct Hangup(Arc<Pipe>);

impl Hangup {
    /// Waits for it at most so long; true if it has gone.
    pub fn wait(&self, patience: Duration) -> bool {
        let begin = Instant::now();
        loop {
            if !self.0.is_up() {
                return true;
            }
            let left = patience.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return false;
            }
            std::thread::sleep(left.min(LOOK));
        }
    }
}

impl Waiting {
    /// Another instance of the pipe, already waiting for a caller.
    fn new(name: &[u16], is_first: bool) -> Result<Self> {
        let descriptor = Descriptor::own(rights::PIPE)?;
        let attributes = descriptor.attributes();
        let first = if is_first { FILE_FLAG_FIRST_PIPE_INSTANCE } else { 0 };
        // SAFETY: the terminated name and the descriptor live over the call.
        let raw = unsafe {
            CreateNamedPipeW(
                name.as_ptr(),
                PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | first,
                PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
                PIPE_UNLIMITED_INSTANCES,
                BUFFER_BYTES,
                BUFFER_BYTES,
                0,
                &raw const attributes,
            )
        };
        if raw == INVALID_HANDLE_VALUE {
            let is_taken =
                is_first && last_error() == i32::try_from(ERROR_ACCESS_DENIED).unwrap_or(0);
            let error = failed("the hub's door");
            if is_taken {
                return Err(taken());
            }
            return Err(error);
        }
        // SAFETY: just made, and ours alone.
        let pipe = unsafe { OwnedHandle::from_raw_handle(raw) };
        let event = event()?;
        let mut waiting = Self { overlapped: Box::new(overlapped(&event)), pipe, event };
        let handle = waiting.pipe.as_raw_handle();
        // SAFETY: the structure lives in its box until the operation has ended; see `drop`.
        if unsafe { ConnectNamedPipe(handle, &raw mut *waiting.overlapped) } == 0 {
            let error = io::Error::last_os_error();
            let code = error.raw_os_error().and_then(|code| u32::try_from(code).ok());
            match code {
                Some(ERROR_IO_PENDING) => {}
                Some(ERROR_PIPE_CONNECTED) => {
                    // SAFETY: an event of ours: somebody was quicker than the call.
                    unsafe {
                        windows_sys::Win32::System::Threading::SetEvent(
                            waiting.event.as_raw_handle(),
                        )
                    };
                }
                _ => return Err(Error::from(error).context("the hub's door")),
            }
        }
        Ok(waiting)
    }

    fn is_called(&self, patience: Duration) -> bool {
        // SAFETY: an event of ours.
        let waited =
            unsafe { WaitForSingleObject(self.event.as_raw_handle(), milliseconds(patience)) };
        waited != WAIT_TIMEOUT
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let handle = self.pipe.as_raw_handle();
        let mut count = 0;
        // SAFETY: the system has to be done with the structure before it is freed; cancelled, it is at once.
        unsafe {
            CancelIoEx(handle, &raw const *self.overlapped);
            GetOverlappedResult(handle, &raw const *self.overlapped, &raw mut count, 1);
        }
    }
}

impl Door {
    /// Waits at `address` from now on, for this user alone.
    ///
    /// # Errors
    /// `Busy` if another hub does.
    pub fn open(address: &Path) -> Result<Self> {
        let name = pipe_name(address);
        let at = |error: Error| error.context(address.display());
        let held = hold(address).map_err(at)?;
        let first = Waiting::new(&name, true).map_err(at)?;
        Ok(Self { name, waiting: Mutex::new(Some(first)), _held: held })
    }

    /// The next conversation; `None` if nobody has called within `patience`.
    ///
    /// # Errors
    /// What the system says.
    pub fn next(&self, patience: Duration) -> Result<Option<Line>> {
        let mut place = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = match place.take() {
            Some(waiting) => waiting,
            None => Waiting::new(&self.name, false)?,
        };
        if !waiting.is_called(patience) {
            *place = Some(waiting);
            return Ok(None);
        }
        // Before this one is served: whoever calls next is to find the door.
        *place = Waiting::new(&self.name, false).ok();
        let pipe = waiting.pipe.try_clone().map_err(Error::from)?;
        Ok(Some(Line::new(pipe, true)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Block;
    use crate::security::{own_user, take_string};
    use windows_sys::Win32::Security::Authorization::{
        ConvertSecurityDescriptorToStringSecurityDescriptorW, GetSecurityInfo, SDDL_REVISION_1,
        SE_KERNEL_OBJECT,
    };
    use windows_sys::Win32::Security::DACL_SECURITY_INFORMATION;

    fn address(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("{name}-{}", std::process::id()))
    }

    /// Who may open an object, in Windows's own words.
    fn descriptor(handle: &OwnedHandle) -> String {
        let (mut descriptor, mut text) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: a handle of ours; writes pointers of ours.
        unsafe {
            let result = GetSecurityInfo(
                handle.as_raw_handle(),
                SE_KERNEL_OBJECT,
                DACL_SECURITY_INFORMATION,
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
                &raw mut descriptor,
            );
            assert_eq!(result, 0);
            let made = ConvertSecurityDescriptorToStringSecurityDescriptorW(
                descriptor,
                SDDL_REVISION_1,
                DACL_SECURITY_INFORMATION,
                &raw mut text,
                ptr::null_mut(),
            );
            assert_ne!(made, 0);
            take_string(text)
        }
    }

    #[test]
    fn the_pipe_is_this_users_alone() {
        let door = Door::open(&address("alone")).unwrap();
        let waiting = door.waiting.lock().unwrap();
        let text = descriptor(&waiting.as_ref().unwrap().pipe);
        println!("{text}");
        let entries: Vec<&str> = text.split('(').skip(1).collect();
        assert_eq!(entries.len(), 2, "{text}");
        assert!(entries[0].starts_with("D;") && entries[0].ends_with(";NU)"), "{text}");
        let own = own_user().unwrap();
        assert!(entries[1].starts_with("A;"), "{text}");
        assert!(entries[1].ends_with(&format!(";{own})")), "{text}, and the user is {own}");
    }

    #[test]
    fn memory_travels_with_a_message_and_a_hangup_is_seen() {
        let address = address("travels");
        assert!(!is_there(&address));
        let door = Door::open(&address).unwrap();
        assert!(is_there(&address));
        assert_eq!(Door::open(&address).unwrap_err().kind(), ErrorKind::Busy);
        let client = Line::call(&address).unwrap();
        let served = door.next(Duration::from_secs(5)).unwrap().unwrap();
        served.check_user().unwrap();
        let blocks = [Block::shared(4096, true).unwrap(), Block::shared(8192, false).unwrap()];
        let handles: Vec<&Handle> = blocks.iter().filter_map(|block| block.handle()).collect();
        served.send(&message::framed(&"here").unwrap(), &handles).unwrap();
        let body = client.receive(100, Duration::from_secs(5)).unwrap();
        assert_eq!(body, b"\"here\"");
        let came = client.take_handles();
        assert!(Block::given(&came[0], 4096, true).is_err());
        let page = Block::given(&came[0], 4096, false).unwrap();
        blocks[0].scribble(0, b"seen");
        // SAFETY: mapped, and written just before.
        assert_eq!(unsafe { page.base().read_volatile() }, b's');
        let hangup = client.hangup().unwrap();
        assert!(!hangup.wait(Duration::ZERO));
        drop(served);
        assert!(hangup.wait(Duration::from_secs(5)));
        let error = client.receive(100, Duration::from_secs(5)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lost);
    }

    #[test]
    fn who_sends_nothing_or_too_much_is_not_waited_for() {
        let address = address("silent");
        let door = Door::open(&address).unwrap();
        let client = Line::call(&address).unwrap();
        let served = door.next(Duration::from_secs(5)).unwrap().unwrap();
        let silent = served.receive(100, Duration::from_millis(20)).unwrap_err();
        assert_eq!(silent.kind(), ErrorKind::Timeout);
        client.send(&[255, 255, 255, 255, 0], &[]).unwrap();
        let much = served.receive(100, Duration::from_secs(1)).unwrap_err();
        assert_eq!(much.kind(), ErrorKind::InvalidArgument);
        // Nobody gives the hub memory.
        let client = Line::call(&address).unwrap();
        let served = door.next(Duration::from_secs(5)).unwrap().unwrap();
        let block = Block::shared(4096, true).unwrap();
        let handles: Vec<&Handle> = block.handle().into_iter().collect();
        client.send(&message::framed(&"here").unwrap(), &handles).unwrap();
        let given = served.receive(100, Duration::from_secs(1)).unwrap_err();
        assert_eq!(given.kind(), ErrorKind::InvalidArgument);
    }
}
