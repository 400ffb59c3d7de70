//! winmm itself, and from the endpoints' own list the names that winmm cuts off.

use super::{Code, Direction, Ready, Wave, WaveDevice, WaveFormat, Waves, code};
use barewire_rt::{LentMemory, System, Wake, Waker};
use barewire_types::{Ns, SampleFormat};
use barewire_wave::Described;
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use windows::Win32::Devices::FunctionDiscovery::PKEY_Device_FriendlyName;
use windows::Win32::Foundation::{CloseHandle, HANDLE, WAIT_OBJECT_0};
use windows::Win32::Media::Audio::{
    CALLBACK_EVENT, HWAVEIN, HWAVEOUT, IMMDeviceEnumerator, MIDI_WAVE_OPEN_TYPE,
    MMDeviceEnumerator, WAVE_FORMAT_DIRECT, WAVE_FORMAT_QUERY, WAVE_MAPPER, WAVEFORMATEX, WAVEHDR,
    WAVEINCAPSW, WAVEOUTCAPSW, WHDR_DONE, waveInAddBuffer, waveInClose, waveInGetDevCapsW,
    waveInGetNumDevs, waveInMessage, waveInOpen, waveInPrepareHeader, waveInReset, waveInStart,
    waveInUnprepareHeader, waveOutClose, waveOutGetDevCapsW, waveOutGetNumDevs, waveOutMessage,
    waveOutOpen, waveOutPrepareHeader, waveOutReset, waveOutUnprepareHeader, waveOutWrite,
};
use windows::Win32::System::Com::{
    CLSCTX_ALL, COINIT_MULTITHREADED, CoCreateInstance, CoInitializeEx, CoUninitialize, STGM_READ,
};
use windows::Win32::System::Threading::{CreateEventW, SetEvent, WaitForSingleObject};
use windows::Win32::System::Variant::VT_LPWSTR;
use windows::core::{PCWSTR, PSTR};

/// `DRV_QUERYFUNCTIONINSTANCEID` and `…SIZE` of `mmddk.h`: the endpoint's id of a wave device.
const INSTANCE_ID: u32 = 0x0811;
const INSTANCE_ID_BYTES: u32 = 0x0812;
/// `DRVM_MAPPER_PREFERRED_GET` of `mmddk.h`: which device the mapper would take.
const MAPPER_PREFERRED: u32 = 0x2015;
/// Longer ids and names are nobody's.
const MOST_NAME_BYTES: u32 = 2048;

/// The winmm of this process.
pub struct Winmm {
    system: Arc<dyn System>,
}

impl Winmm {
    /// The winmm of this process; `system` is its clock.
    pub fn new(system: Arc<dyn System>) -> Self {
        Self { system }
    }
}

fn check(result: u32) -> Result<(), Code> {
    if result == 0 { Ok(()) } else { Err(result) }
}

fn text(wide: &[u16]) -> String {
    let end = wide.iter().position(|&unit| unit == 0).unwrap_or(wide.len());
    String::from_utf16_lossy(&wide[..end])
}

/// Sends a message to a device that is not open: winmm takes its number for a handle.
fn message(direction: Direction, number: u32, message: u32, first: usize, second: usize) -> u32 {
    let place = number as usize as *mut c_void;
    match direction {
        // SAFETY: numbers are as good as handles here; the arguments are places of the callers'.
        Direction::Playback => unsafe {
            waveOutMessage(Some(HWAVEOUT(place)), message, first, second)
        },
        // SAFETY: as above.
        Direction::Capture => unsafe {
            waveInMessage(Some(HWAVEIN(place)), message, Some(first), Some(second))
        },
    }
}

fn endpoint(direction: Direction, number: u32) -> Option<String> {
    let mut bytes: u32 = 0;
    let place = (&raw mut bytes) as usize;
    if message(direction, number, INSTANCE_ID_BYTES, place, 0) != 0
        || bytes == 0
        || bytes > MOST_NAME_BYTES
    {
        return None;
    }
    let mut id = vec![0_u16; bytes.div_ceil(2) as usize];
    let place = id.as_mut_ptr() as usize;
    if message(direction, number, INSTANCE_ID, place, bytes as usize) != 0 {
        return None;
    }
    let id = text(&id);
    (!id.is_empty()).then(|| id.to_lowercase())
}

fn preferred(direction: Direction) -> Option<u32> {
    let (mut number, mut flags) = (u32::MAX, 0_u32);
    let places = ((&raw mut number) as usize, (&raw mut flags) as usize);
    let result = message(direction, WAVE_MAPPER, MAPPER_PREFERRED, places.0, places.1);
    (result == 0 && number != u32::MAX).then_some(number)
}

/// winmm's name and count of channels.
fn caps(direction: Direction, number: u32) -> Option<(String, u16)> {
    match direction {
        Direction::Playback => {
            let mut caps = WAVEOUTCAPSW::default();
            let size = size(&caps);
            // SAFETY: the structure is ours and as long as is said.
            check(unsafe { waveOutGetDevCapsW(number as usize, &raw mut caps, size) }).ok()?;
            let name = caps.szPname;
            Some((text(&name), caps.wChannels))
        }
        Direction::Capture => {
            let mut caps = WAVEINCAPSW::default();
            let size = size(&caps);
            // SAFETY: as above.
            check(unsafe { waveInGetDevCapsW(number as usize, &raw mut caps, size) }).ok()?;
            let name = caps.szPname;
            Some((text(&name), caps.wChannels))
        }
    }
}

fn size<T>(_: &T) -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or(0)
}

/// The endpoints' own list, for as long as this thread takes part in COM.
struct Endpoints {
    list: Option<IMMDeviceEnumerator>,
    leaves: bool,
}

impl Endpoints {
    fn new() -> Self {
        // SAFETY: paired with the call in `drop` if it succeeds; a host that chose otherwise for this thread stays as it is.
        let leaves = unsafe { CoInitializeEx(None, COINIT_MULTITHREADED) }.is_ok();
        // SAFETY: COM is there, or the call fails.
        let list = unsafe { CoCreateInstance(&MMDeviceEnumerator, None, CLSCTX_ALL) }.ok();
        Self { list, leaves }
    }

    /// The whole name of an endpoint.
    fn name(&self, id: &str) -> Option<String> {
        let wide: Vec<u16> = id.encode_utf16().chain([0]).collect();
        let list = self.list.as_ref()?;
        // SAFETY: a terminated string.
        let device = unsafe { list.GetDevice(PCWSTR(wide.as_ptr())) }.ok()?;
        // SAFETY: an interface that is held.
        let store = unsafe { device.OpenPropertyStore(STGM_READ) }.ok()?;
        let key = PKEY_Device_FriendlyName;
        // SAFETY: a key of ours; both types of it are a GUID and a number.
        let value = unsafe { store.GetValue((&raw const key).cast()) }.ok()?;
        // Not through `PROPVARIANT`'s own text: Wine 8 has no `PropVariantToBSTR` and ends the process.
        // SAFETY: every variant has a tag.
        let inner = unsafe { &value.Anonymous.Anonymous };
        if inner.vt != VT_LPWSTR {
            return None;
        }
        // SAFETY: the tag says so, and the string lives as long as the value.
        let name = unsafe { inner.Anonymous.pwszVal.to_string() }.ok()?;
        (!name.is_empty()).then_some(name)
    }
}

impl Drop for Endpoints {
    fn drop(&mut self) {
        self.list = None;
        if self.leaves {
            // SAFETY: paired with the call in `new`; nothing of COM's is held any more.
            unsafe { CoUninitialize() };
        }
    }
}

/// Speakers of so many channels, as Windows lays them out; beyond 8 simply the lowest.
fn speakers(channels: u16) -> u32 {
    match channels {
        1 => 0x4,
        2 => 0x3,
        4 => 0x33,
        6 => 0x3F,
        8 => 0x63F,
        n if n < 18 => (1 << n) - 1,
        _ => 0,
    }
}

/// The short form for 16 bits in stereo, which every driver knows; the longer one for the rest.
fn described(format: &WaveFormat) -> Described {
    let WaveFormat { sample, channels, rate } = *format;
    let is_extensible = sample != SampleFormat::INT16 || channels > 2;
    let mask = speakers(channels);
    Described::new(&barewire_wave::WaveFormat {
        format: sample,
        rate,
        channels,
        mask,
        is_extensible,
    })
}

impl Waves for Winmm {
    fn devices(&self, direction: Direction) -> Vec<WaveDevice> {
        let count = match direction {
            // SAFETY: no arguments.
            Direction::Playback => unsafe { waveOutGetNumDevs() },
            // SAFETY: no arguments.
            Direction::Capture => unsafe { waveInGetNumDevs() },
        };
        let endpoints = Endpoints::new();
        let preferred = preferred(direction).unwrap_or(0);
        (0..count)
            .filter_map(|number| {
                let (short, channels) = caps(direction, number)?;
                let endpoint = endpoint(direction, number);
                let whole = endpoint.as_deref().and_then(|id| endpoints.name(id));
                let (name, is_default) = (whole.unwrap_or(short), number == preferred);
                Some(WaveDevice { number, name, endpoint, channels, is_default })
            })
            .collect()
    }

    fn query(&self, direction: Direction, number: u32, format: &WaveFormat) -> Result<(), Code> {
        let format = described(format);
        let how = MIDI_WAVE_OPEN_TYPE(WAVE_FORMAT_QUERY.0 | WAVE_FORMAT_DIRECT.0);
        let format = format.place::<WAVEFORMATEX>();
        check(match direction {
            // SAFETY: the format says itself how long it is; a query opens nothing.
            Direction::Playback => unsafe { waveOutOpen(None, number, format, None, None, how) },
            // SAFETY: as above.
            Direction::Capture => unsafe { waveInOpen(None, number, format, None, None, how) },
        })
    }

    fn open(
        &self,
        direction: Direction,
        number: u32,
        format: &WaveFormat,
        packets: u32,
        packet_frames: u32,
    ) -> Result<Box<dyn Wave>, Code> {
        let bytes = packet_frames as usize * format.frame_bytes();
        let memory = LentMemory::new(1, packets as usize * bytes).ok_or(code::NOMEM)?;
        let signal = Arc::new(Signal::new()?);
        let wave = described(format);
        let wave = wave.place::<WAVEFORMATEX>();
        let how = MIDI_WAVE_OPEN_TYPE(CALLBACK_EVENT.0 | WAVE_FORMAT_DIRECT.0);
        let event = Some(signal.event.0 as usize);
        let handle = match direction {
            Direction::Playback => {
                let mut handle = HWAVEOUT::default();
                let place = Some(&raw mut handle);
                // SAFETY: places of ours; the event outlives the handle, which `OpenWave` closes first.
                check(unsafe { waveOutOpen(place, number, wave, event, None, how) })?;
                Handle::Out(handle)
            }
            Direction::Capture => {
                let mut handle = HWAVEIN::default();
                let place = Some(&raw mut handle);
                // SAFETY: as above.
                check(unsafe { waveInOpen(place, number, wave, event, None, how) })?;
                Handle::In(handle)
            }
        };
        let length = u32::try_from(bytes).map_err(|_| code::NOMEM)?;
        let base = memory.plane(0);
        let header = |n: u32| WAVEHDR {
            lpData: PSTR(base.wrapping_add(n as usize * bytes)),
            dwBufferLength: length,
            ..WAVEHDR::default()
        };
        let headers = (0..packets).map(header).collect();
        let mut wave = OpenWave { system: self.system.clone(), handle, headers, memory, signal };
        for packet in 0..packets {
            wave.prepare(packet)?;
        }
        Ok(Box::new(wave))
    }
}

/// The event that winmm sets and that the waker sets too.
struct Signal {
    event: HANDLE,
    woken: AtomicBool,
}

// SAFETY: a handle of an event may be used on any thread.
unsafe impl Send for Signal {}
// SAFETY: as above.
unsafe impl Sync for Signal {}

impl Signal {
    fn new() -> Result<Self, Code> {
        // SAFETY: no names, no attributes: an event that resets itself.
        let event = unsafe { CreateEventW(None, false, false, None) };
        Ok(Self { event: event.map_err(|_| code::NOMEM)?, woken: AtomicBool::new(false) })
    }
}

impl Wake for Signal {
    fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        // SAFETY: the event lives as long as this value. A failure leaves the waiter to its deadline.
        let _ = unsafe { SetEvent(self.event) };
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        // SAFETY: made in `new`, used by nobody any more.
        let _ = unsafe { CloseHandle(self.event) };
    }
}

#[derive(Clone, Copy)]
enum Handle {
    Out(HWAVEOUT),
    In(HWAVEIN),
}

struct OpenWave {
    system: Arc<dyn System>,
    handle: Handle,
    headers: Box<[WAVEHDR]>,
    memory: LentMemory,
    signal: Arc<Signal>,
}

// SAFETY: winmm's handles may be used on any thread; headers and memory are used by one at a time.
unsafe impl Send for OpenWave {}

impl OpenWave {
    fn header(&mut self, packet: u32) -> Result<(*mut WAVEHDR, u32), Code> {
        let header = self.headers.get_mut(packet as usize).ok_or(code::ERROR)?;
        Ok((header, u32::try_from(size_of::<WAVEHDR>()).unwrap_or(0)))
    }

    fn prepare(&mut self, packet: u32) -> Result<(), Code> {
        let (header, size) = self.header(packet)?;
        check(match self.handle {
            // SAFETY: the header and its memory stay where they are until `drop` unprepares it.
            Handle::Out(handle) => unsafe { waveOutPrepareHeader(handle, header, size) },
            // SAFETY: as above.
            Handle::In(handle) => unsafe { waveInPrepareHeader(handle, header, size) },
        })
    }
}

impl Wave for OpenWave {
    fn base(&self) -> *mut u8 {
        self.memory.plane(0)
    }

    fn queue(&mut self, packet: u32) -> Result<(), Code> {
        let (header, size) = self.header(packet)?;
        // SAFETY: a header of ours that is not queued: winmm does not touch it.
        unsafe {
            (*header).dwFlags &= !WHDR_DONE;
            (*header).dwBytesRecorded = 0;
        }
        check(match self.handle {
            // SAFETY: prepared, and not queued.
            Handle::Out(handle) => unsafe { waveOutWrite(handle, header, size) },
            // SAFETY: as above.
            Handle::In(handle) => unsafe { waveInAddBuffer(handle, header, size) },
        })
    }

    fn returned(&self, packet: u32) -> Option<u32> {
        let header = ptr::from_ref(self.headers.get(packet as usize)?);
        // SAFETY: the header is ours; winmm's thread may write these words meanwhile, hence volatile.
        let flags = unsafe { (&raw const (*header).dwFlags).read_volatile() };
        if flags & WHDR_DONE == 0 {
            return None;
        }
        std::sync::atomic::fence(Ordering::Acquire);
        let bytes = match self.handle {
            // SAFETY: as above.
            Handle::Out(_) => unsafe { (&raw const (*header).dwBufferLength).read_volatile() },
            // SAFETY: as above.
            Handle::In(_) => unsafe { (&raw const (*header).dwBytesRecorded).read_volatile() },
        };
        Some(bytes)
    }

    fn start(&mut self) -> Result<(), Code> {
        match self.handle {
            Handle::Out(_) => Ok(()),
            // SAFETY: an open handle.
            Handle::In(handle) => check(unsafe { waveInStart(handle) }),
        }
    }

    fn reset(&mut self) {
        // A device that is gone has nothing to reset.
        let _ = match self.handle {
            // SAFETY: an open handle.
            Handle::Out(handle) => unsafe { waveOutReset(handle) },
            // SAFETY: as above.
            Handle::In(handle) => unsafe { waveInReset(handle) },
        };
    }

    fn waker(&self) -> Waker {
        self.signal.clone()
    }

    fn wait(&mut self, until: Ns) -> Ready {
        let left_ns = until.saturating_sub(self.system.now_ns());
        // Rounded up: returning early would turn the rest into a spin. `INFINITE` is one more than is ever asked for.
        let milliseconds = u32::try_from(left_ns.div_ceil(1_000_000)).unwrap_or(u32::MAX - 1);
        // SAFETY: the event lives as long as this value.
        let waited = unsafe { WaitForSingleObject(self.signal.event, milliseconds) };
        if self.signal.woken.swap(false, Ordering::AcqRel) {
            return Ready::Woken;
        }
        if waited == WAIT_OBJECT_0 { Ready::Event } else { Ready::Time }
    }
}

impl Drop for OpenWave {
    fn drop(&mut self) {
        self.reset();
        for packet in 0..u32::try_from(self.headers.len()).unwrap_or(0) {
            let Ok((header, size)) = self.header(packet) else { break };
            let _ = match self.handle {
                // SAFETY: after the reset no header is queued.
                Handle::Out(handle) => unsafe { waveOutUnprepareHeader(handle, header, size) },
                // SAFETY: as above.
                Handle::In(handle) => unsafe { waveInUnprepareHeader(handle, header, size) },
            };
        }
        let _ = match self.handle {
            // SAFETY: the handle is not used any more.
            Handle::Out(handle) => unsafe { waveOutClose(handle) },
            // SAFETY: as above.
            Handle::In(handle) => unsafe { waveInClose(handle) },
        };
    }
}
