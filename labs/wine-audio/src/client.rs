//! The interfaces of a simulated endpoint as COM sees them. What they do is the model's.

use crate::model::wave::Wave;
use crate::model::{self, Fault, Hresult, World};
use crate::pace::machine;
use std::ffi::c_void;
use std::sync::{Arc, Mutex};
use windows::Win32::Foundation::{
    CloseHandle, E_NOTIMPL, E_POINTER, ERROR_ALREADY_EXISTS, GetLastError, HANDLE,
};
use windows::Win32::Media::Audio::{
    AUDCLNT_BUFFERFLAGS_DATA_DISCONTINUITY, AUDCLNT_BUFFERFLAGS_SILENT, AUDCLNT_SHAREMODE,
    AUDCLNT_SHAREMODE_EXCLUSIVE, AUDCLNT_STREAMOPTIONS_RAW, AUDIO_STREAM_CATEGORY,
    AudioClientProperties, AudioSessionState, AudioSessionStateActive,
    DisconnectReasonDeviceRemoval, DisconnectReasonExclusiveModeOverride,
    DisconnectReasonFormatChanged, IAudioCaptureClient, IAudioCaptureClient_Impl,
    IAudioClient_Impl, IAudioClient2_Impl, IAudioClient3, IAudioClient3_Impl, IAudioClock,
    IAudioClock_Impl, IAudioRenderClient, IAudioRenderClient_Impl, IAudioSessionControl,
    IAudioSessionControl_Impl, IAudioSessionEvents, WAVEFORMATEX,
};
use windows::Win32::System::Com::CoTaskMemAlloc;
use windows::Win32::System::Threading::CreateEventW;
use windows::core::{BOOL, Error, GUID, HRESULT, Interface, PCWSTR, PWSTR, Ref, Result, implement};

/// A client of the model, released with the last interface of it.
struct Handle {
    client: usize,
    events: Mutex<Option<IAudioSessionEvents>>,
    claim: Mutex<Option<Claim>>,
}

/// Tells other processes that this one has an endpoint for itself alone: the model knows of its own process only. Windows
/// takes the name back with the process.
struct Claim(HANDLE);

impl Claim {
    /// `None` if another process has it.
    fn new(endpoint: &str) -> Option<Self> {
        let name: Vec<u16> = format!("barewire-{endpoint}").encode_utf16().chain([0]).collect();
        // SAFETY: the name ends with a zero.
        let made = unsafe { CreateEventW(None, false, false, PCWSTR(name.as_ptr())) };
        // SAFETY: takes nothing. It tells of a call that went well, too.
        let is_new = unsafe { GetLastError() } != ERROR_ALREADY_EXISTS;
        made.ok().map(Self).filter(|_| is_new)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // SAFETY: our own handle.
        let _ = unsafe { CloseHandle(self.0) };
    }
}

// SAFETY: the listener is called under the lock alone.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // The endpoint is free before others are told so.
        machine().with(|world, _| world.release(self.client));
    }
}

fn answer<T>(result: std::result::Result<T, Hresult>) -> Result<T> {
    result.map_err(|code| Error::from_hresult(HRESULT(code)))
}

fn refuse<T>(code: HRESULT) -> Result<T> {
    Err(Error::from_hresult(code))
}

impl Handle {
    fn with<T>(
        &self,
        body: impl FnOnce(&mut World, usize, u64) -> std::result::Result<T, Hresult>,
    ) -> Result<T> {
        let result = machine().with(|world, now| body(world, self.client, now));
        self.say_why(&result);
        answer(result)
    }

    fn go_on<T>(
        &self,
        body: impl FnOnce(&mut World, usize, u64) -> std::result::Result<T, Hresult>,
    ) -> Result<T> {
        let result = machine().go_on(|world, now| body(world, self.client, now));
        self.say_why(&result);
        answer(result)
    }

    /// The session's end is told before the client learns of it by a failed call.
    fn say_why<T>(&self, result: &std::result::Result<T, Hresult>) {
        if !matches!(result, Err(model::DEVICE_INVALIDATED)) {
            return;
        }
        let reason = match machine().with(|world, _| world.fault(self.client)) {
            Some(Fault::Unplugged) => DisconnectReasonDeviceRemoval,
            Some(Fault::FormatChanged) => DisconnectReasonFormatChanged,
            Some(Fault::Taken) => DisconnectReasonExclusiveModeOverride,
            Some(Fault::Stalled) | None => return,
        };
        if let Some(events) = &*self.events.lock().unwrap() {
            // SAFETY: an object of the client's, which it has not taken back.
            let _ = unsafe { events.OnSessionDisconnected(reason) };
        }
    }
}

/// # Safety
/// `format` must be what Windows' clients pass: null, or a format that says how long it is.
unsafe fn read(format: *const WAVEFORMATEX) -> std::result::Result<Wave, Hresult> {
    if format.is_null() {
        return Err(model::E_INVALIDARG);
    }
    // SAFETY: as the caller promised.
    let extra = unsafe { std::ptr::addr_of!((*format).cbSize).read_unaligned() };
    // SAFETY: as the caller promised.
    let bytes = unsafe { std::slice::from_raw_parts(format.cast::<u8>(), 18 + usize::from(extra)) };
    Wave::read(bytes).ok_or(model::E_INVALIDARG)
}

#[implement(IAudioClient3)]
pub(crate) struct SimulatedClient {
    handle: Arc<Handle>,
}

impl SimulatedClient {
    pub(crate) fn new(endpoint: usize) -> std::result::Result<Self, Hresult> {
        let client = machine().with(|world, _| world.activate(endpoint))?;
        Ok(Self {
            handle: Arc::new(Handle { client, events: Mutex::default(), claim: Mutex::default() }),
        })
    }
}

impl IAudioClient_Impl for SimulatedClient_Impl {
    fn Initialize(
        &self,
        mode: AUDCLNT_SHAREMODE,
        flags: u32,
        duration_hns: i64,
        period_hns: i64,
        format: *const WAVEFORMATEX,
        _session: *const GUID,
    ) -> Result<()> {
        // SAFETY: the client's.
        let wave = answer(unsafe { read(format) })?;
        let is_exclusive = mode == AUDCLNT_SHAREMODE_EXCLUSIVE;
        let setup = model::Setup { is_exclusive, flags, duration_hns, period_hns, wave };
        self.handle.with(|world, client, _| {
            let name = world.spec(client).name.clone();
            // What this process itself has the model refuses.
            let is_own = world.is_held(client);
            let claim = if is_own { None } else { Some(Claim::new(&name)) };
            if matches!(claim, Some(None)) {
                return Err(model::DEVICE_IN_USE);
            }
            world.initialize(client, &setup)?;
            if is_exclusive {
                *self.handle.claim.lock().unwrap() = claim.flatten();
            }
            Ok(())
        })
    }

    fn GetBufferSize(&self) -> Result<u32> {
        self.handle.with(|world, client, _| world.buffer(client))
    }

    fn GetStreamLatency(&self) -> Result<i64> {
        self.handle.with(|world, client, _| Ok(world.spec(client).usual_period_hns))
    }

    fn GetCurrentPadding(&self) -> Result<u32> {
        let padding = self.handle.with(|world, client, now| world.padding(client, now))?;
        let client = self.handle.client;
        machine().look(|world| world.queued(client).is_none_or(|queued| queued < padding));
        Ok(padding)
    }

    fn IsFormatSupported(
        &self,
        mode: AUDCLNT_SHAREMODE,
        format: *const WAVEFORMATEX,
        closest: *mut *mut WAVEFORMATEX,
    ) -> HRESULT {
        if !closest.is_null() {
            // SAFETY: the client's.
            unsafe { *closest = std::ptr::null_mut() };
        }
        // SAFETY: the client's.
        match unsafe { read(format) } {
            Ok(wave) => {
                let is_exclusive = mode == AUDCLNT_SHAREMODE_EXCLUSIVE;
                HRESULT(
                    machine()
                        .with(|world, _| world.supports(self.handle.client, is_exclusive, &wave)),
                )
            }
            Err(code) => HRESULT(code),
        }
    }

    fn GetMixFormat(&self) -> Result<*mut WAVEFORMATEX> {
        let bytes = self.handle.with(|world, client, _| Ok(world.spec(client).mix.write()))?;
        // SAFETY: freed by the client.
        let block = unsafe { CoTaskMemAlloc(bytes.len()) };
        if block.is_null() {
            return refuse(HRESULT(model::E_OUTOFMEMORY));
        }
        // SAFETY: room for the format.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), block.cast(), bytes.len()) };
        Ok(block.cast())
    }

    fn GetDevicePeriod(&self, usual: *mut i64, least: *mut i64) -> Result<()> {
        let periods = self.handle.with(|world, client, _| {
            let spec = world.spec(client);
            Ok((spec.usual_period_hns, spec.min_period_hns))
        })?;
        for (place, value) in [(usual, periods.0), (least, periods.1)] {
            if !place.is_null() {
                // SAFETY: the client's.
                unsafe { *place = value };
            }
        }
        Ok(())
    }

    fn Start(&self) -> Result<()> {
        self.handle.go_on(|world, client, now| world.start(client, now))
    }

    fn Stop(&self) -> Result<()> {
        self.handle.with(|world, client, now| world.stop(client, now))
    }

    fn Reset(&self) -> Result<()> {
        self.handle.with(|world, client, _| world.reset(client))
    }

    fn SetEventHandle(&self, event: HANDLE) -> Result<()> {
        self.handle.with(|world, client, _| world.set_event(client, event.0.expose_provenance()))
    }

    fn GetService(&self, id: *const GUID, service: *mut *mut c_void) -> Result<()> {
        if id.is_null() || service.is_null() {
            return refuse(E_POINTER);
        }
        // SAFETY: the client's.
        let id = unsafe { *id };
        let handle = || self.handle.clone();
        let is_render = self.handle.with(|world, client, _| world.is_render(client))?;
        let made: *mut c_void = if id == IAudioRenderClient::IID && is_render {
            IAudioRenderClient::from(Render(handle())).into_raw()
        } else if id == IAudioCaptureClient::IID && !is_render {
            IAudioCaptureClient::from(Capture(handle())).into_raw()
        } else if id == IAudioClock::IID {
            IAudioClock::from(Clock(handle())).into_raw()
        } else if id == IAudioSessionControl::IID {
            IAudioSessionControl::from(Session(handle())).into_raw()
        } else {
            return refuse(HRESULT(model::WRONG_ENDPOINT_TYPE));
        };
        // SAFETY: the client's.
        unsafe { *service = made };
        Ok(())
    }
}

impl IAudioClient2_Impl for SimulatedClient_Impl {
    fn IsOffloadCapable(&self, _: AUDIO_STREAM_CATEGORY) -> Result<BOOL> {
        Ok(false.into())
    }

    fn SetClientProperties(&self, properties: *const AudioClientProperties) -> Result<()> {
        if properties.is_null() {
            return refuse(E_POINTER);
        }
        // SAFETY: the client's.
        let properties = unsafe { &*properties };
        if properties.cbSize != 16 {
            return refuse(HRESULT(model::E_INVALIDARG));
        }
        if properties.Options.0 & AUDCLNT_STREAMOPTIONS_RAW.0 == 0 {
            return Ok(());
        }
        self.handle.with(|world, client, _| world.be_raw(client))
    }

    fn GetBufferSizeLimits(
        &self,
        _: *const WAVEFORMATEX,
        _: BOOL,
        _: *mut i64,
        _: *mut i64,
    ) -> Result<()> {
        refuse(E_NOTIMPL)
    }
}

impl IAudioClient3_Impl for SimulatedClient_Impl {
    fn GetSharedModeEnginePeriod(
        &self,
        format: *const WAVEFORMATEX,
        default: *mut u32,
        step: *mut u32,
        min: *mut u32,
        max: *mut u32,
    ) -> Result<()> {
        // SAFETY: the client's.
        let wave = answer(unsafe { read(format) })?;
        let engine = self.handle.with(|world, client, _| world.engine(client, &wave))?;
        let all =
            [(default, engine.default), (step, engine.step), (min, engine.min), (max, engine.max)];
        for (place, value) in all {
            // SAFETY: the client's.
            unsafe { *place = value };
        }
        Ok(())
    }

    fn GetCurrentSharedModeEnginePeriod(
        &self,
        _: *mut *mut WAVEFORMATEX,
        _: *mut u32,
    ) -> Result<()> {
        refuse(E_NOTIMPL)
    }

    fn InitializeSharedAudioStream(
        &self,
        flags: u32,
        period: u32,
        format: *const WAVEFORMATEX,
        _session: *const GUID,
    ) -> Result<()> {
        // SAFETY: the client's.
        let wave = answer(unsafe { read(format) })?;
        self.handle.with(|world, client, _| world.initialize_shared(client, flags, period, wave))
    }
}

#[implement(IAudioRenderClient)]
struct Render(Arc<Handle>);

impl IAudioRenderClient_Impl for Render_Impl {
    fn GetBuffer(&self, frames: u32) -> Result<*mut u8> {
        self.0.with(|world, client, now| world.lend(client, frames, now))
    }

    fn ReleaseBuffer(&self, frames: u32, flags: u32) -> Result<()> {
        let is_silent = flags & AUDCLNT_BUFFERFLAGS_SILENT.0.cast_unsigned() != 0;
        self.0.go_on(|world, client, now| world.give(client, frames, is_silent, now))
    }
}

#[implement(IAudioCaptureClient)]
struct Capture(Arc<Handle>);

impl IAudioCaptureClient_Impl for Capture_Impl {
    fn GetBuffer(
        &self,
        data: *mut *mut u8,
        frames: *mut u32,
        flags: *mut u32,
        position: *mut u64,
        hns: *mut u64,
    ) -> Result<()> {
        let packet = self.0.with(|world, client, now| world.packet(client, now))?;
        if packet.is_none() {
            // Looked for in vain: it comes when time has gone on.
            self.0.go_on(|_, _, _| Ok(()))?;
            let client = self.0.client;
            machine().look(|world| world.has_packet(client));
        }
        let is_gap = packet.as_ref().is_some_and(|packet| packet.is_gap);
        let gap = AUDCLNT_BUFFERFLAGS_DATA_DISCONTINUITY.0.cast_unsigned();
        // SAFETY: the client's.
        unsafe {
            *data = packet.as_ref().map_or(std::ptr::null_mut(), |packet| packet.data.cast_mut());
            *frames = packet.as_ref().map_or(0, |packet| packet.frames);
            *flags = if is_gap { gap } else { 0 };
            if !position.is_null() {
                *position = packet.as_ref().map_or(0, |packet| packet.position);
            }
            if !hns.is_null() {
                *hns = packet.as_ref().map_or(0, |packet| packet.at_ns / 100);
            }
        }
        Ok(())
    }

    fn ReleaseBuffer(&self, frames: u32) -> Result<()> {
        self.0.with(|world, client, _| world.take(client, frames))
    }

    fn GetNextPacketSize(&self) -> Result<u32> {
        self.0.with(|world, client, now| world.padding(client, now))
    }
}

#[implement(IAudioClock)]
struct Clock(Arc<Handle>);

impl IAudioClock_Impl for Clock_Impl {
    fn GetFrequency(&self) -> Result<u64> {
        self.0.with(|world, client, _| world.frequency(client))
    }

    fn GetPosition(&self, position: *mut u64, hns: *mut u64) -> Result<()> {
        let (frames, now) = self.0.with(|world, client, now| {
            let units = world.spec(client).position_units;
            Ok((world.position(client, now)? * units, now))
        })?;
        // SAFETY: the client's.
        unsafe {
            *position = frames;
            if !hns.is_null() {
                *hns = now / 100;
            }
        }
        Ok(())
    }

    fn GetCharacteristics(&self) -> Result<u32> {
        Ok(0)
    }
}

#[implement(IAudioSessionControl)]
struct Session(Arc<Handle>);

impl IAudioSessionControl_Impl for Session_Impl {
    fn GetState(&self) -> Result<AudioSessionState> {
        Ok(AudioSessionStateActive)
    }

    fn GetDisplayName(&self) -> Result<PWSTR> {
        refuse(E_NOTIMPL)
    }

    fn SetDisplayName(&self, _: &PCWSTR, _: *const GUID) -> Result<()> {
        Ok(())
    }

    fn GetIconPath(&self) -> Result<PWSTR> {
        refuse(E_NOTIMPL)
    }

    fn SetIconPath(&self, _: &PCWSTR, _: *const GUID) -> Result<()> {
        Ok(())
    }

    fn GetGroupingParam(&self) -> Result<GUID> {
        refuse(E_NOTIMPL)
    }

    fn SetGroupingParam(&self, _: *const GUID, _: *const GUID) -> Result<()> {
        Ok(())
    }

    fn RegisterAudioSessionNotification(&self, events: Ref<IAudioSessionEvents>) -> Result<()> {
        *self.0.events.lock().unwrap() = events.cloned();
        Ok(())
    }

    fn UnregisterAudioSessionNotification(&self, _: Ref<IAudioSessionEvents>) -> Result<()> {
        *self.0.events.lock().unwrap() = None;
        Ok(())
    }
}
