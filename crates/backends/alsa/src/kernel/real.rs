//! The real kernel, by system calls. The only `unsafe` of this backend that talks to the system.

use super::{Control, Errno, Holder, Kernel, MixerElement, Pcm, Ready, Ring, Waiter};
use crate::decibel;
use crate::uapi::{
    self, CardInfo, ChannelInfo, ElemId, ElemInfo, ElemList, ElemValue, HwParams, MmapControl,
};
use crate::uapi::{MmapStatus, PcmInfo, Request, SwParams, SyncPtr, Tlv};
use barewire_rt::{Wake, Waker};
use barewire_types::Ns;
use std::fs::{self, File, OpenOptions};
use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// The kernel that this process runs on.
#[derive(Debug, Default)]
pub struct RealKernel;

fn last_errno() -> Errno {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().unwrap_or(0)
}

/// One request. `T` is the structure whose size the request's number carries.
fn request<T>(file: &File, request: Request, argument: &mut T) -> Result<(), Errno> {
    let size = (request.0 >> 16) & 0x3FFF;
    debug_assert!(size == 0 || size == std::ffi::c_ulong::try_from(size_of::<T>()).unwrap_or(0));
    // SAFETY: the kernel touches at most the size that the number carries, which is that of `T`.
    unsafe { call(file, request, ptr::from_mut(argument).cast()) }
}

/// # Safety
/// `argument` has to be what the request takes.
unsafe fn call(
    file: &File,
    request: Request,
    argument: *mut std::ffi::c_void,
) -> Result<(), Errno> {
    // SAFETY: the descriptor is open; for the argument the caller answers.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), request.0 as _, argument) };
    if result < 0 { Err(last_errno()) } else { Ok(()) }
}

fn command(file: &File, command: Request) -> Result<(), Errno> {
    request(file, command, &mut 0_i32)
}

fn open(path: &str, extra: i32) -> Result<File, Errno> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_CLOEXEC | extra)
        .open(path)
        .map_err(|error| errno_of(&error))
}

fn letter(direction: i32) -> char {
    if direction == uapi::PLAYBACK { 'p' } else { 'c' }
}

/// Whose thread this is: the kernel names a PCM's owner by the thread that opened it.
fn process_of(thread: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok())
}

impl Kernel for RealKernel {
    fn cards(&self) -> Vec<u32> {
        let Ok(entries) = fs::read_dir("/dev/snd") else {
            return Vec::new();
        };
        let mut cards: Vec<u32> = entries
            .filter_map(|entry| {
                entry.ok()?.file_name().to_str()?.strip_prefix("controlC")?.parse().ok()
            })
            .collect();
        cards.sort_unstable();
        cards
    }

    fn open_control(&self, card: u32) -> Result<Box<dyn Control>, Errno> {
        let file = open(&format!("/dev/snd/controlC{card}"), 0)?;
        Ok(Box::new(RealControl { file }))
    }

    fn open_pcm(&self, card: u32, device: u32, direction: i32) -> Result<Box<dyn Pcm>, Errno> {
        let path = format!("/dev/snd/pcmC{card}D{device}{}", letter(direction));
        let file = open(&path, libc::O_NONBLOCK)?;
        Ok(Box::new(RealPcm { file, pages: None }))
    }

    fn holders(&self, card: u32, device: u32, direction: i32) -> Vec<Holder> {
        let folder = format!("/proc/asound/card{card}/pcm{device}{}", letter(direction));
        let Ok(entries) = fs::read_dir(folder) else {
            return Vec::new();
        };
        let process = |entry: fs::DirEntry| -> Option<u32> {
            let status = fs::read_to_string(entry.path().join("status")).ok()?;
            let line = status.lines().find(|line| line.starts_with("owner_pid"))?;
            line.split(':').nth(1)?.trim().parse().ok()
        };
        let mut holders: Vec<Holder> = entries
            .filter_map(|entry| process(entry.ok()?))
            .map(|thread| {
                let process = process_of(thread).unwrap_or(thread);
                let name = fs::read_to_string(format!("/proc/{process}/comm")).ok();
                Holder { process, name: name.map(|name| name.trim().to_owned()) }
            })
            .collect();
        holders.dedup();
        holders
    }

    fn waiter(&self) -> Result<Box<dyn Waiter>, Errno> {
        // SAFETY: makes a new descriptor and touches no memory of ours.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if descriptor < 0 {
            return Err(last_errno());
        }
        // SAFETY: the descriptor is new, and nobody else owns it.
        let event = Arc::new(Event(unsafe { OwnedFd::from_raw_fd(descriptor) }));
        Ok(Box::new(RealWaiter { event }))
    }
}

struct RealControl {
    file: File,
}

impl RealControl {
    fn element_ids(&self) -> Result<Vec<ElemId>, Errno> {
        // SAFETY: a structure of integers and a pointer that may be null.
        let mut list: ElemList = unsafe { zeroed() };
        request(&self.file, uapi::control::ELEM_LIST, &mut list)?;
        // SAFETY: a structure of integers.
        let mut ids = vec![unsafe { zeroed::<ElemId>() }; list.count as usize];
        list.space = list.count;
        list.ids = ids.as_mut_ptr();
        request(&self.file, uapi::control::ELEM_LIST, &mut list)?;
        ids.truncate(list.used as usize);
        Ok(ids)
    }

    /// What a volume means in decibels, if it says so.
    fn records(&self, info: &ElemInfo) -> Option<Vec<u32>> {
        const TLV_READABLE: u32 = 1 << 4;
        if info.access & TLV_READABLE == 0 {
            return None;
        }
        let words = [0; 256];
        let length = u32::try_from(size_of_val(&words)).ok()?;
        // The number is in force from the kernel's own information on, not from the list's.
        let mut tlv = Tlv { numid: info.id.numid, length, words };
        let argument = ptr::from_mut(&mut tlv).cast();
        // SAFETY: behind the head lie as many bytes as it says.
        unsafe { call(&self.file, uapi::control::TLV_READ, argument) }.ok()?;
        Some(tlv.words.to_vec())
    }

    #[expect(clippy::useless_conversion, reason = "c_long has 32 bits on 32-bit systems")]
    fn element(&self, id: ElemId) -> Option<MixerElement> {
        const BOOLEAN: i32 = 1;
        const INTEGER: i32 = 2;
        const READABLE: u32 = 1;
        // SAFETY: a structure of integers.
        let mut info: ElemInfo = unsafe { zeroed() };
        info.id = id;
        request(&self.file, uapi::control::ELEM_INFO, &mut info).ok()?;
        if !matches!(info.kind, BOOLEAN | INTEGER) || info.access & READABLE == 0 {
            return None;
        }
        // SAFETY: a structure of integers.
        let mut value: ElemValue = unsafe { zeroed() };
        value.id = id;
        request(&self.file, uapi::control::ELEM_READ, &mut value).ok()?;
        let channels = (info.count as usize).min(value.integer.len());
        let is_switch = info.kind == BOOLEAN;
        let (min, max) = if is_switch { (0, 1) } else { (info.integer[0], info.integer[1]) };
        let (min, max) = (i64::from(min), i64::from(max));
        Some(MixerElement {
            name: uapi::text(&id.name),
            is_switch,
            min,
            max,
            unity: self.records(&info).and_then(|words| decibel::unity(&words, min, max)),
            values: value.integer[..channels].iter().map(|&v| i64::from(v)).collect(),
        })
    }
}

impl Control for RealControl {
    fn card_info(&self) -> Result<CardInfo, Errno> {
        // SAFETY: a structure of integers.
        let mut info: CardInfo = unsafe { zeroed() };
        request(&self.file, uapi::control::CARD_INFO, &mut info)?;
        Ok(info)
    }

    fn next_device(&self, after: i32) -> Result<Option<u32>, Errno> {
        let mut device = after;
        request(&self.file, uapi::control::PCM_NEXT_DEVICE, &mut device)?;
        Ok(u32::try_from(device).ok())
    }

    fn pcm_info(&self, device: u32, direction: i32) -> Result<PcmInfo, Errno> {
        // SAFETY: a structure of integers.
        let mut info: PcmInfo = unsafe { zeroed() };
        info.device = device;
        info.stream = direction;
        request(&self.file, uapi::control::PCM_INFO, &mut info)?;
        Ok(info)
    }

    fn mixer(&self) -> Result<Vec<MixerElement>, Errno> {
        const MIXER: i32 = 2;
        let ids = self.element_ids()?;
        Ok(ids
            .into_iter()
            .filter(|id| id.iface == MIXER)
            .filter_map(|id| self.element(id))
            .collect())
    }
}

/// A mapping, unmapped when dropped.
struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping belongs to whoever holds it; the kernel does not care which thread touches it.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(file: &File, bytes: usize, offset: i64, protection: i32) -> Result<Self, Errno> {
        let (descriptor, shared) = (file.as_raw_fd(), libc::MAP_SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base =
            unsafe { libc::mmap(ptr::null_mut(), bytes, protection, shared, descriptor, offset) };
        if base == libc::MAP_FAILED {
            return Err(last_errno());
        }
        let base = NonNull::new(base.cast()).ok_or(super::errno::ENOMEM)?;
        Ok(Self { base, bytes })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `new` made, and nothing refers to it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

impl Ring for Mapping {
    fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }
}

/// The status and control pages, where the kernel lets us map them. It refuses where the driver must be told of each
/// change (USB) or caches are not coherent.
struct Pages {
    status: Mapping,
    control: Mapping,
}

impl Pages {
    fn map(file: &File) -> Option<Self> {
        let status =
            Mapping::new(file, size_of::<MmapStatus>(), uapi::MMAP_STATUS, libc::PROT_READ).ok()?;
        let both = libc::PROT_READ | libc::PROT_WRITE;
        let control =
            Mapping::new(file, size_of::<MmapControl>(), uapi::MMAP_CONTROL, both).ok()?;
        Some(Self { status, control })
    }

    /// The kernel writes this page at any time, so the pair of position and time is read until it holds still.
    fn status(&self) -> MmapStatus {
        const TRIES: u32 = 8;
        let page = self.status.base.cast::<MmapStatus>().as_ptr();
        // SAFETY: the page is mapped, aligned, and at least this large.
        let mut seen = unsafe { page.read_volatile() };
        for _ in 0..TRIES {
            fence(Ordering::Acquire);
            // SAFETY: as above.
            let again = unsafe { page.read_volatile() };
            if again.hw_ptr == seen.hw_ptr && again.tstamp == seen.tstamp {
                break;
            }
            seen = again;
        }
        seen
    }

    fn publish(&self, appl_ptr: u64) {
        // SAFETY: the page is mapped, aligned to a page, and begins with `appl_ptr`.
        let word = unsafe { self.control.base.cast::<AtomicU64>().as_ref() };
        word.store(appl_ptr, Ordering::Release);
    }
}

struct RealPcm {
    file: File,
    pages: Option<Pages>,
}

impl RealPcm {
    fn sync(&self, flags: u32, appl_ptr: u64) -> Result<MmapStatus, Errno> {
        // SAFETY: unions of integers.
        let mut sync: SyncPtr = unsafe { zeroed() };
        sync.flags = flags;
        sync.control.control = MmapControl {
            appl_ptr: std::ffi::c_ulong::try_from(appl_ptr).unwrap_or(0),
            avail_min: 0,
        };
        request(&self.file, uapi::pcm::SYNC_PTR, &mut sync)?;
        // SAFETY: the kernel filled in the status.
        Ok(unsafe { sync.status.status })
    }
}

impl Pcm for RealPcm {
    fn refine(&self, params: &mut HwParams) -> Result<(), Errno> {
        request(&self.file, uapi::pcm::HW_REFINE, params)
    }

    fn set_hardware(&self, params: &mut HwParams) -> Result<(), Errno> {
        request(&self.file, uapi::pcm::HW_PARAMS, params)
    }

    fn set_software(&self, params: &mut SwParams) -> Result<(), Errno> {
        request(&self.file, uapi::pcm::SW_PARAMS, params)
    }

    fn use_monotonic_time(&self) -> Result<(), Errno> {
        request(&self.file, uapi::pcm::TTSTAMP, &mut { uapi::TSTAMP_MONOTONIC })
    }

    fn map(&mut self, bytes: usize) -> Result<Box<dyn Ring>, Errno> {
        self.pages = Pages::map(&self.file);
        let both = libc::PROT_READ | libc::PROT_WRITE;
        Ok(Box::new(Mapping::new(&self.file, bytes, 0, both)?))
    }

    fn channel_offset(&self, channel: u32) -> Result<usize, Errno> {
        let mut info = ChannelInfo { channel, ..ChannelInfo::default() };
        request(&self.file, uapi::pcm::CHANNEL_INFO, &mut info)?;
        let offset = usize::try_from(info.offset).map_err(|_| super::errno::EINVAL)?;
        Ok(offset + info.first as usize / 8)
    }

    fn link(&self, other: &dyn Pcm) -> Result<(), Errno> {
        // LINK takes the other descriptor by value.
        // SAFETY: both descriptors are open; no memory is touched.
        let result = unsafe {
            libc::ioctl(self.file.as_raw_fd(), uapi::pcm::LINK.0 as _, other.descriptor())
        };
        if result < 0 { Err(last_errno()) } else { Ok(()) }
    }

    fn prepare(&self) -> Result<(), Errno> {
        command(&self.file, uapi::pcm::PREPARE)
    }

    fn start(&self) -> Result<(), Errno> {
        command(&self.file, uapi::pcm::START)
    }

    fn halt(&self) -> Result<(), Errno> {
        command(&self.file, uapi::pcm::DROP)
    }

    fn status(&self, fresh: bool) -> Result<MmapStatus, Errno> {
        match &self.pages {
            Some(pages) => {
                if fresh {
                    command(&self.file, uapi::pcm::HWSYNC)?;
                }
                Ok(pages.status())
            }
            None => {
                let hwsync = if fresh { uapi::sync_flag::HWSYNC } else { 0 };
                self.sync(hwsync | uapi::sync_flag::APPL | uapi::sync_flag::AVAIL_MIN, 0)
            }
        }
    }

    fn full_status(&self) -> Result<uapi::Status, Errno> {
        let mut status = uapi::Status::default();
        request(&self.file, uapi::pcm::STATUS_EXT, &mut status)?;
        Ok(status)
    }

    fn publish(&self, appl_ptr: u64) -> Result<(), Errno> {
        match &self.pages {
            Some(pages) => pages.publish(appl_ptr),
            None => {
                self.sync(uapi::sync_flag::AVAIL_MIN, appl_ptr)?;
            }
        }
        Ok(())
    }

    fn descriptor(&self) -> i32 {
        self.file.as_raw_fd()
    }
}

struct Event(OwnedFd);

impl Wake for Event {
    fn wake(&self) {
        let one = 1_u64;
        // SAFETY: eight bytes of ours are read. A full counter means that the wake is pending already.
        unsafe { libc::write(self.0.as_raw_fd(), ptr::from_ref(&one).cast(), 8) };
    }
}

struct RealWaiter {
    event: Arc<Event>,
}

/// Nanoseconds of `CLOCK_MONOTONIC`, the clock that deadlines and the PCM's time stamps share.
fn monotonic_ns() -> Ns {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one structure of ours.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    Ns::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + Ns::try_from(now.tv_nsec).unwrap_or(0)
}

impl Waiter for RealWaiter {
    fn waker(&self) -> Waker {
        self.event.clone()
    }

    fn wait(&mut self, descriptor: i32, until: Ns) -> Ready {
        let left = until.saturating_sub(monotonic_ns());
        let timeout = libc::timespec {
            tv_sec: libc::time_t::try_from(left / 1_000_000_000).unwrap_or(libc::time_t::MAX),
            tv_nsec: std::ffi::c_long::try_from(left % 1_000_000_000).unwrap_or(0),
        };
        let poll = |fd, events| libc::pollfd { fd, events, revents: 0 };
        let mut polled = [
            poll(descriptor, libc::POLLIN | libc::POLLOUT),
            poll(self.event.0.as_raw_fd(), libc::POLLIN),
        ];
        // SAFETY: two structures of ours; the timeout outlives the call; no signal mask is given.
        let ready = unsafe { libc::ppoll(polled.as_mut_ptr(), 2, &raw const timeout, ptr::null()) };
        if ready > 0 && polled[1].revents != 0 {
            let mut count = 0_u64;
            // SAFETY: eight bytes of ours are written.
            unsafe { libc::read(self.event.0.as_raw_fd(), ptr::from_mut(&mut count).cast(), 8) };
            return Ready::Woken;
        }
        if ready > 0 { Ready::Pcm } else { Ready::Time }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_named_by_its_process() {
        let told = std::thread::spawn(|| {
            // SAFETY: touches no memory.
            let thread = u32::try_from(unsafe { libc::gettid() }).ok();
            (thread, thread.and_then(process_of))
        });
        let (thread, process) = told.join().unwrap_or_default();
        assert_eq!(process, Some(std::process::id()));
        assert_ne!(thread, process);
    }
}
