//! DirectSound itself.

use super::{Code, Direction, Sound, SoundDevice, SoundFormat, Sounds, code};
use barewire_types::SampleFormat;
use barewire_wave::{Described, WaveFormat};
use std::ffi::c_void;
use std::ptr;
use std::time::{Duration, Instant};
use windows::Win32::Media::Audio::DirectSound::{
    DSBCAPS_GETCURRENTPOSITION2, DSBCAPS_GLOBALFOCUS, DSBPLAY_LOOPING, DSBUFFERDESC,
    DSCBSTART_LOOPING, DSCBUFFERDESC, DSDEVID_DefaultCapture, DSDEVID_DefaultPlayback,
    DSSCL_PRIORITY, DirectSoundCaptureCreate8, DirectSoundCaptureEnumerateW, DirectSoundCreate8,
    DirectSoundEnumerateW, GetDeviceID, IDirectSound8, IDirectSoundBuffer, IDirectSoundCapture,
    IDirectSoundCaptureBuffer,
};
use windows::Win32::Media::Audio::WAVEFORMATEX;
use windows::Win32::Media::{timeBeginPeriod, timeEndPeriod};
use windows::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows::Win32::UI::WindowsAndMessaging::GetDesktopWindow;
use windows::core::{BOOL, GUID, PCWSTR, s, w};

/// The DirectSound of this process.
pub struct DirectSound;

fn codes<T>(result: windows::core::Result<T>) -> Result<T, Code> {
    result.map_err(|error| error.code().0.cast_unsigned())
}

/// The endpoint that a GUID of DirectSound stands for (seen in the names that `DirectSoundEnumerate` gives for modules).
fn endpoint(direction: Direction, guid: &GUID) -> String {
    let flow = if direction == Direction::Playback { 0 } else { 1 };
    format!("{{0.0.{flow}.00000000}}.{{{}}}", format!("{guid:?}").to_lowercase())
}

/// The GUID in an endpoint's id.
fn guid(endpoint: &str) -> Option<GUID> {
    let (_, guid) = endpoint.rsplit_once('{')?;
    let digits: String = guid.trim_end_matches('}').chars().filter(|&c| c != '-').collect();
    u128::from_str_radix(&digits, 16).ok().map(GUID::from_u128)
}

/// Called by DirectSound for each device; `context` is the `Vec` of [`devices`](Sounds::devices).
unsafe extern "system" fn found(
    guid: *mut GUID,
    name: PCWSTR,
    _module: PCWSTR,
    context: *mut c_void,
) -> BOOL {
    // The first has no GUID: it stands for whatever is the default.
    if !guid.is_null() && !context.is_null() {
        // SAFETY: `devices` waits for the enumeration with this list, which nobody else uses meanwhile.
        let list = unsafe { &mut *context.cast::<Vec<(GUID, String)>>() };
        // SAFETY: DirectSound gives a GUID that lives over this call.
        let guid = unsafe { *guid };
        // SAFETY: and a terminated string.
        let name = unsafe { name.to_string() }.unwrap_or_default();
        list.push((guid, name));
    }
    BOOL(1)
}

/// The short form for 16 bits in stereo, which every driver knows; the longer one for the rest.
fn described(format: &SoundFormat) -> Described {
    let SoundFormat { sample, channels, rate } = *format;
    let is_extensible = sample != SampleFormat::INT16;
    let mask = if channels == 1 { 0x4 } else { 0x3 };
    Described::new(&WaveFormat { format: sample, rate, channels, mask, is_extensible })
}

fn size<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or(0)
}

impl Sounds for DirectSound {
    fn devices(&self, direction: Direction) -> Vec<SoundDevice> {
        let mut list: Vec<(GUID, String)> = Vec::new();
        let place = Some((&raw mut list).cast_const().cast::<c_void>());
        let (listed, usual) = match direction {
            Direction::Playback => {
                // SAFETY: the list outlives the enumeration, which ends before the call does.
                let listed = unsafe { DirectSoundEnumerateW(Some(found), place) };
                (listed, DSDEVID_DefaultPlayback)
            }
            Direction::Capture => {
                // SAFETY: as above.
                let listed = unsafe { DirectSoundCaptureEnumerateW(Some(found), place) };
                (listed, DSDEVID_DefaultCapture)
            }
        };
        // Without a sound driver there is nothing to list.
        if listed.is_err() {
            return Vec::new();
        }
        // SAFETY: a constant of ours.
        let usual = unsafe { GetDeviceID(Some(&raw const usual)) }.ok();
        let device = |(guid, name): (GUID, String)| SoundDevice {
            endpoint: endpoint(direction, &guid),
            name,
            is_default: usual == Some(guid),
        };
        list.into_iter().map(device).collect()
    }

    fn open(
        &self,
        direction: Direction,
        endpoint: &str,
        format: &SoundFormat,
        ring_frames: u32,
    ) -> Result<Box<dyn Sound>, Code> {
        let guid = guid(endpoint).ok_or(code::NODRIVER)?;
        let frame_bytes = u32::try_from(format.frame_bytes()).map_err(|_| code::BADFORMAT)?;
        let bytes = frame_bytes.checked_mul(ring_frames).ok_or(code::OUTOFMEMORY)?;
        let wave = described(format);
        match direction {
            Direction::Playback => {
                let (device, ring) = playing(&guid, &wave, bytes)?;
                if self.is_wine() {
                    settle(&device, &wave, frame_bytes * format.rate.get())?;
                }
                let timer = FineTimer::new();
                Ok(Box::new(Playing { ring, _device: device, frame_bytes, _timer: timer }))
            }
            Direction::Capture => {
                let (device, ring) = capturing(&guid, &wave, bytes)?;
                let timer = FineTimer::new();
                Ok(Box::new(Capturing { ring, _device: device, frame_bytes, _timer: timer }))
            }
        }
    }

    fn is_wine(&self) -> bool {
        // SAFETY: constant, terminated strings; `ntdll` is in every process.
        let ntdll = unsafe { GetModuleHandleW(w!("ntdll.dll")) };
        // SAFETY: the module stays loaded.
        ntdll.is_ok_and(|ntdll| unsafe { GetProcAddress(ntdll, s!("wine_get_version")) }.is_some())
    }
}

fn playing(
    guid: &GUID,
    wave: &Described,
    bytes: u32,
) -> Result<(IDirectSound8, IDirectSoundBuffer), Code> {
    let mut device: Option<IDirectSound8> = None;
    // SAFETY: places of ours.
    codes(unsafe { DirectSoundCreate8(Some(guid), &raw mut device, None) })?;
    let device = device.ok_or(code::NODRIVER)?;
    // A window must be named, and a driver in a foreign program has none: the desktop's will do.
    // SAFETY: no arguments.
    let window = unsafe { GetDesktopWindow() };
    // SAFETY: an interface that is held.
    codes(unsafe { device.SetCooperativeLevel(window, DSSCL_PRIORITY) })?;
    let ring = ring(&device, wave, bytes)?;
    Ok((device, ring))
}

fn ring(device: &IDirectSound8, wave: &Described, bytes: u32) -> Result<IDirectSoundBuffer, Code> {
    let wanted = DSBUFFERDESC {
        dwSize: size::<DSBUFFERDESC>(),
        // Without global focus the sound ends when another program comes to the front.
        dwFlags: DSBCAPS_GLOBALFOCUS | DSBCAPS_GETCURRENTPOSITION2,
        dwBufferBytes: bytes,
        lpwfxFormat: wave.place::<WAVEFORMATEX>().cast_mut(),
        ..DSBUFFERDESC::default()
    };
    let mut ring: Option<IDirectSoundBuffer> = None;
    // SAFETY: the description and the format live over the call.
    codes(unsafe { device.CreateSoundBuffer(&raw const wanted, &raw mut ring, None) })?;
    ring.ok_or(code::NODRIVER)
}

fn capturing(
    guid: &GUID,
    wave: &Described,
    bytes: u32,
) -> Result<(IDirectSoundCapture, IDirectSoundCaptureBuffer), Code> {
    let mut device: Option<IDirectSoundCapture> = None;
    // SAFETY: places of ours.
    codes(unsafe { DirectSoundCaptureCreate8(Some(guid), &raw mut device, None) })?;
    let device = device.ok_or(code::NODRIVER)?;
    let wanted = DSCBUFFERDESC {
        dwSize: size::<DSCBUFFERDESC>(),
        dwBufferBytes: bytes,
        lpwfxFormat: wave.place::<WAVEFORMATEX>().cast_mut(),
        ..DSCBUFFERDESC::default()
    };
    let mut ring: Option<IDirectSoundCaptureBuffer> = None;
    // SAFETY: the description and the format live over the call.
    codes(unsafe { device.CreateCaptureBuffer(&raw const wanted, &raw mut ring, None) })?;
    let ring = ring.ok_or(code::NODRIVER)?;
    Ok((device, ring))
}

/// Wine's mixer takes its whole stock in one leap when the first ring of a device begins (Wine 8: 60 ms), and our cursor
/// would leap with it. So silence begins first; once it has moved the stock is there, for as long as the device is open.
fn settle(device: &IDirectSound8, wave: &Described, second_bytes: u32) -> Result<(), Code> {
    const PATIENCE: Duration = Duration::from_millis(200);
    // A new ring of integers or floats is silent.
    let ring = ring(device, wave, second_bytes)?;
    // SAFETY: an interface that is held.
    codes(unsafe { ring.Play(0, 0, DSBPLAY_LOOPING) })?;
    let end = Instant::now() + PATIENCE;
    let mut cursor = 0;
    while cursor == 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
        // SAFETY: a place of ours.
        codes(unsafe { ring.GetCurrentPosition(Some(&raw mut cursor), None) })?;
    }
    // SAFETY: an interface that is held.
    codes(unsafe { ring.Stop() })
}

/// The two pieces of a ring that a lock lends; the second is empty here, since nothing that is asked for wraps.
struct Piece {
    base: *mut c_void,
    bytes: u32,
}

impl Piece {
    const NONE: Self = Self { base: ptr::null_mut(), bytes: 0 };
}

/// Sleeps end on the millisecond while this is held: the cursor has to be asked every few of them.
struct FineTimer;

impl FineTimer {
    fn new() -> Self {
        // SAFETY: a number; paired with the call in `drop`. A refusal leaves sleeps as coarse as they are.
        let _ = unsafe { timeBeginPeriod(1) };
        Self
    }
}

impl Drop for FineTimer {
    fn drop(&mut self) {
        // SAFETY: as above.
        let _ = unsafe { timeEndPeriod(1) };
    }
}

struct Playing {
    // Before the device, which must outlive it.
    ring: IDirectSoundBuffer,
    _device: IDirectSound8,
    frame_bytes: u32,
    _timer: FineTimer,
}

// SAFETY: DirectSound's objects may be used on any thread, and this one is used by one at a time.
unsafe impl Send for Playing {}

impl Sound for Playing {
    fn start(&mut self) -> Result<(), Code> {
        // SAFETY: an interface that is held.
        codes(unsafe { self.ring.SetCurrentPosition(0) })?;
        // SAFETY: as above.
        codes(unsafe { self.ring.Play(0, 0, DSBPLAY_LOOPING) })
    }

    fn stop(&mut self) {
        // One that is lost has stopped already.
        // SAFETY: as above.
        let _ = unsafe { self.ring.Stop() };
    }

    fn cursor(&mut self) -> Result<u32, Code> {
        let mut bytes = 0;
        // SAFETY: a place of ours.
        codes(unsafe { self.ring.GetCurrentPosition(Some(&raw mut bytes), None) })?;
        Ok(bytes / self.frame_bytes)
    }

    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Code> {
        let (from, length) = (at * self.frame_bytes, u32::try_from(bytes.len()).unwrap_or(0));
        let mut piece = Piece::NONE;
        let places = (&raw mut piece.base, &raw mut piece.bytes);
        // SAFETY: places of ours.
        codes(unsafe { self.ring.Lock(from, length, places.0, places.1, None, None, 0) })?;
        let usable = bytes.len().min(piece.bytes as usize);
        // SAFETY: so many bytes were lent at this place.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), piece.base.cast(), usable) };
        // SAFETY: gives back what was lent.
        codes(unsafe { self.ring.Unlock(piece.base, piece.bytes, None, 0) })
    }

    fn read(&mut self, _: u32, _: &mut [u8]) -> Result<(), Code> {
        Err(code::FAIL)
    }

    fn restore(&mut self) -> Result<(), Code> {
        // SAFETY: an interface that is held.
        codes(unsafe { self.ring.Restore() })
    }
}

struct Capturing {
    // Before the device, which must outlive it.
    ring: IDirectSoundCaptureBuffer,
    _device: IDirectSoundCapture,
    frame_bytes: u32,
    _timer: FineTimer,
}

// SAFETY: as for `Playing`.
unsafe impl Send for Capturing {}

impl Sound for Capturing {
    fn start(&mut self) -> Result<(), Code> {
        // SAFETY: an interface that is held.
        codes(unsafe { self.ring.Start(DSCBSTART_LOOPING) })
    }

    fn stop(&mut self) {
        // SAFETY: as above.
        let _ = unsafe { self.ring.Stop() };
    }

    fn cursor(&mut self) -> Result<u32, Code> {
        let mut bytes = 0;
        // SAFETY: a place of ours. What lies before the read cursor is captured; the capture cursor runs ahead.
        codes(unsafe { self.ring.GetCurrentPosition(None, Some(&raw mut bytes)) })?;
        Ok(bytes / self.frame_bytes)
    }

    fn write(&mut self, _: u32, _: &[u8]) -> Result<(), Code> {
        Err(code::FAIL)
    }

    fn read(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), Code> {
        let (from, length) = (at * self.frame_bytes, u32::try_from(bytes.len()).unwrap_or(0));
        let mut piece = Piece::NONE;
        let places = (&raw mut piece.base, &raw mut piece.bytes);
        // SAFETY: places of ours.
        codes(unsafe { self.ring.Lock(from, length, places.0, places.1, None, None, 0) })?;
        let usable = bytes.len().min(piece.bytes as usize);
        // SAFETY: so many bytes were lent at this place.
        unsafe {
            ptr::copy_nonoverlapping(piece.base.cast_const().cast(), bytes.as_mut_ptr(), usable)
        };
        // SAFETY: gives back what was lent.
        codes(unsafe { self.ring.Unlock(piece.base, piece.bytes, None, 0) })
    }

    fn restore(&mut self) -> Result<(), Code> {
        Err(code::NODRIVER)
    }
}
