//! Unix: a socket in a folder that only its owner may enter, the other side's user asked of the kernel (`SO_PEERCRED`),
//! descriptors passed beside the message (`SCM_RIGHTS`).

use crate::memory::Handle;
use crate::message;
use barewire_types::{Error, ErrorKind, Result};
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Descriptors that come with one message at most: page, gate, segment.
const MOST_HANDLES: usize = 3;
/// Room for them, with room to notice that there are more.
const CONTROL_BYTES: usize = 64;

/// One conversation.
#[derive(Debug)]
pub struct Line {
    socket: UnixStream,
    handles: Mutex<Vec<Handle>>,
}

/// Where the hub waits for conversations. Its name goes when it is dropped.
#[derive(Debug)]
pub struct Door {
    listener: UnixListener,
    path: PathBuf,
    /// Held locked: one hub for each address.
    _lock: File,
}

fn lost(error: &io::Error) -> Error {
    let text = if error.kind() == io::ErrorKind::WouldBlock {
        return Error::new(ErrorKind::Timeout, "the hub does not answer")
            .remedy("end the hub and start it again");
    } else {
        format!("the hub has gone: {error}")
    };
    Error::new(ErrorKind::Lost, text)
}

/// The user at the other end.
fn user_of(socket: &UnixStream) -> Result<libc::uid_t> {
    // SAFETY: a structure of integers.
    let mut who: libc::ucred = unsafe { std::mem::zeroed() };
    let mut bytes = libc::socklen_t::try_from(size_of::<libc::ucred>()).unwrap_or(0);
    // SAFETY: the kernel writes one structure of ours, of the length told.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut who).cast(),
            &raw mut bytes,
        )
    };
    if result != 0 {
        return Err(Error::from(io::Error::last_os_error()).context("asking who calls"));
    }
    Ok(who.uid)
}

fn own_user() -> libc::uid_t {
    // SAFETY: no argument; cannot fail.
    unsafe { libc::geteuid() }
}

fn same_user(socket: &UnixStream) -> Result<()> {
    let (theirs, own) = (user_of(socket)?, own_user());
    if theirs == own {
        return Ok(());
    }
    let text = format!("the hub is user {own}'s, and user {theirs} may not use it");
    Err(Error::new(ErrorKind::Denied, text).remedy("start a hub of your own"))
}

/// Whether there is a hub at `address`.
pub fn is_there(address: &Path) -> bool {
    address.exists()
}

impl Line {
    fn new(socket: UnixStream) -> Self {
        Self { socket, handles: Mutex::default() }
    }

    /// Calls the hub.
    ///
    /// # Errors
    /// `NotFound` if there is none; `Denied` if it is not this user's.
    pub fn call(address: &Path) -> Result<Self> {
        let socket = UnixStream::connect(address).map_err(|error| {
            let kind = match error.kind() {
                io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                _ => ErrorKind::NotFound,
            };
            Error::new(kind, format!("no hub at {}: {error}", address.display()))
                .remedy("start one with `barewire hub`")
        })?;
        same_user(&socket)?;
        Ok(Self::new(socket))
    }

    /// Whether the other side is this user.
    ///
    /// # Errors
    /// `Denied` if not.
    pub fn check_user(&self) -> Result<()> {
        same_user(&self.socket)
    }

    /// Sends a framed message, and handles of memory with it.
    ///
    /// # Errors
    /// `Lost` if the other side has gone.
    pub fn send(&self, bytes: &[u8], handles: &[&Handle]) -> Result<()> {
        self.socket
            .set_write_timeout(Some(super::PATIENCE))
            .and_then(|()| {
                let sent = if handles.is_empty() { 0 } else { self.send_with(bytes, handles)? };
                (&self.socket).write_all(bytes.get(sent..).unwrap_or_default())
            })
            .map_err(|error| lost(&error))
    }

    fn send_with(&self, bytes: &[u8], handles: &[&Handle]) -> io::Result<usize> {
        let fds: Vec<RawFd> = handles.iter().map(|handle| handle.fd().as_raw_fd()).collect();
        let mut control = [0_u64; CONTROL_BYTES / 8];
        let data_bytes = u32::try_from(size_of_val(&fds[..])).unwrap_or(0);
        let mut piece =
            libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        // SAFETY: a structure of integers and pointers.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = &raw mut piece;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        // SAFETY: arithmetic only.
        let (space, length) = unsafe { (libc::CMSG_SPACE(data_bytes), libc::CMSG_LEN(data_bytes)) };
        if space as usize > CONTROL_BYTES {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        header.msg_controllen = space as _;
        // SAFETY: the control buffer has room for one header, as `space` says.
        let first = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
        // SAFETY: as above; aligned for it, since the buffer is of words of eight bytes.
        unsafe {
            (*first).cmsg_level = libc::SOL_SOCKET;
            (*first).cmsg_type = libc::SCM_RIGHTS;
            (*first).cmsg_len = length as _;
        }
        // SAFETY: as above.
        let data = unsafe { libc::CMSG_DATA(first) };
        // SAFETY: the buffer has room for the descriptors behind its header.
        unsafe { std::ptr::copy_nonoverlapping(fds.as_ptr().cast(), data, size_of_val(&fds[..])) };
        // SAFETY: everything the header names lives over the call.
        let sent = unsafe {
            libc::sendmsg(self.socket.as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL)
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Waits for a message of at most `most` bytes. Handles that come with it wait for [`take_handles`](Self::take_handles).
    ///
    /// # Errors
    /// `Lost` if the other side has gone, `Timeout`, `InvalidArgument` for what is no message.
    pub fn receive(&self, most: usize, patience: Duration) -> Result<Vec<u8>> {
        self.socket.set_read_timeout(Some(patience)).map_err(|error| lost(&error))?;
        let mut header = [0; 4];
        let mut filled = 0;
        while filled < header.len() {
            let got = self.receive_some(&mut header[filled..]).map_err(|error| lost(&error))?;
            if got == 0 {
                return Err(lost(&io::ErrorKind::UnexpectedEof.into()));
            }
            filled += got;
        }
        let mut body = vec![0; message::length(header, most)?];
        (&self.socket).read_exact(&mut body).map_err(|error| lost(&error))?;
        Ok(body)
    }

    fn receive_some(&self, place: &mut [u8]) -> io::Result<usize> {
        let mut control = [0_u64; CONTROL_BYTES / 8];
        let mut piece = libc::iovec { iov_base: place.as_mut_ptr().cast(), iov_len: place.len() };
        // SAFETY: a structure of integers and pointers.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = &raw mut piece;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = CONTROL_BYTES as _;
        // SAFETY: everything the header names lives over the call.
        let got = unsafe {
            libc::recvmsg(self.socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC)
        };
        let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: the kernel has filled the control buffer and told its length.
        let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        while !next.is_null() {
            // SAFETY: not null, so it lies within the control buffer.
            let about = unsafe { *next };
            if about.cmsg_level == libc::SOL_SOCKET && about.cmsg_type == libc::SCM_RIGHTS {
                // SAFETY: arithmetic only.
                let head = unsafe { libc::CMSG_LEN(0) } as usize;
                let count = (about.cmsg_len as usize).saturating_sub(head) / size_of::<RawFd>();
                // SAFETY: the data follows its header.
                let data = unsafe { libc::CMSG_DATA(next) }.cast::<RawFd>();
                for n in 0..count {
                    // SAFETY: within what the kernel told; perhaps not aligned.
                    let raw = unsafe { data.wrapping_add(n).read_unaligned() };
                    // SAFETY: the kernel has made it for this process, and nobody else knows it.
                    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
                    if handles.len() < MOST_HANDLES {
                        handles.push(Handle::from(fd));
                    }
                }
            }
            // SAFETY: as for the first one.
            next = unsafe { libc::CMSG_NXTHDR(&raw const header, next) };
        }
        Ok(got)
    }

    /// The handles that have come.
    pub fn take_handles(&self) -> Vec<Handle> {
        std::mem::take(&mut *self.handles.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Watches for the other side to go.
    ///
    /// # Errors
    /// What the system says.
    pub fn hangup(&self) -> Result<Hangup> {
        Ok(Hangup(self.socket.try_clone()?))
    }

    /// Ends the conversation for both sides.
    pub fn hang_up(&self) {
        // It may have ended already.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

/// Tells when the other side of a line has gone, without reading from it.
#[derive(Debug)]
pub struct Hangup(UnixStream);

impl Hangup {
    /// Waits for it at most so long; true if it has gone.
    pub fn wait(&self, patience: Duration) -> bool {
        let mut entry =
            libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
        let milliseconds = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one structure of ours.
        let result = unsafe { libc::poll(&raw mut entry, 1, milliseconds) };
        result > 0 && entry.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0
    }
}

impl Door {
    /// Waits at `address` from now on, for this user alone.
    ///
    /// # Errors
    /// `Busy` if another hub does.
    pub fn open(address: &Path) -> Result<Self> {
        let at = |error: io::Error| Error::from(error).context(address.display());
        if let Some(folder) = address.parent().filter(|folder| !folder.exists()) {
            fs::create_dir_all(folder).map_err(at)?;
            fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(at)?;
        }
        let lock = File::create(address.with_extension("lock")).map_err(at)?;
        lock.try_lock().map_err(|_| {
            let text = format!("a hub is running already at {}", address.display());
            Error::new(ErrorKind::Busy, text).remedy("see `barewire top`")
        })?;
        // What lies there now is of a hub that was killed.
        let _ = fs::remove_file(address);
        let listener = UnixListener::bind(address).map_err(at)?;
        fs::set_permissions(address, Permissions::from_mode(0o600)).map_err(at)?;
        Ok(Self { listener, path: address.to_owned(), _lock: lock })
    }

    /// The next conversation; `None` if nobody has called within `patience`.
    ///
    /// # Errors
    /// What the system says.
    pub fn next(&self, patience: Duration) -> Result<Option<Line>> {
        let mut entry =
            libc::pollfd { fd: self.listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let milliseconds = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one structure of ours.
        if unsafe { libc::poll(&raw mut entry, 1, milliseconds) } <= 0 {
            return Ok(None);
        }
        let (socket, _) = self.listener.accept()?;
        Ok(Some(Line::new(socket)))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // The next hub removes it if this fails.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Block;

    #[test]
    fn memory_travels_with_a_message_and_a_hangup_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let address = folder.path().join("hub.socket");
        let door = Door::open(&address).unwrap();
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
        assert_eq!(
            client.receive(100, Duration::from_secs(5)).unwrap_err().kind(),
            ErrorKind::Lost
        );
    }

    #[test]
    fn who_sends_nothing_or_too_much_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let address = folder.path().join("hub.socket");
        let door = Door::open(&address).unwrap();
        let client = Line::call(&address).unwrap();
        let served = door.next(Duration::from_secs(5)).unwrap().unwrap();
        let silent = served.receive(100, Duration::from_millis(20)).unwrap_err();
        assert_eq!(silent.kind(), ErrorKind::Timeout);
        client.send(&[255, 255, 255, 255, 0], &[]).unwrap();
        let much = served.receive(100, Duration::from_secs(1)).unwrap_err();
        assert_eq!(much.kind(), ErrorKind::InvalidArgument);
    }
}
