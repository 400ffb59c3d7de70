//! One client of an endpoint. Calls go through Windows' own tables, so that on the device thread an answer is a number and
//! nothing is made of it.

use super::memory::free;
use super::notices::{CutOff, SessionEvents};
use super::windows::Com;
use super::{Answer, Client, EnginePeriods, Flow, Packet, Reading, Setup};
use crate::hresult;
use barewire_device::Loss;
use barewire_wave::{Described, WaveFormat};
use std::ptr;
use std::sync::Arc;
use windows::Win32::Foundation::{HANDLE, S_OK};
use windows::Win32::Media::Audio::{
    AUDCLNT_BUFFERFLAGS_DATA_DISCONTINUITY, AUDCLNT_BUFFERFLAGS_SILENT,
    AUDCLNT_SHAREMODE_EXCLUSIVE, AUDCLNT_SHAREMODE_SHARED, AUDCLNT_STREAMFLAGS_EVENTCALLBACK,
    AUDCLNT_STREAMFLAGS_LOOPBACK, AUDCLNT_STREAMFLAGS_NOPERSIST, AUDCLNT_STREAMOPTIONS_RAW,
    AudioCategory_Other, AudioClientProperties, IAudioCaptureClient, IAudioClient, IAudioClient2,
    IAudioClient3, IAudioClock, IAudioRenderClient, IAudioSessionControl, IAudioSessionControl2,
    IAudioSessionEvents, IMMDevice, WAVEFORMATEX,
};
use windows::Win32::System::Com::CLSCTX_ALL;
use windows::core::{GUID, HRESULT, Interface};

/// The session that all our streams belong to, so that the volume mixer shows one entry.
static SESSION: GUID = GUID::from_u128(0x6f1c_40f0_58f5_4b6e_9d0a_5b1e_0b3c_7a21);

/// Calls a method by its place in the interface's table: the answer is the bare number.
macro_rules! call {
    ($object:expr, $method:ident $(, $argument:expr)*) => {{
        let object = &$object;
        // SAFETY: a live interface; pointers among the arguments are ours and live over the call.
        unsafe { (Interface::vtable(object).$method)(Interface::as_raw(object) $(, $argument)*) }
    }};
}

fn answer(code: HRESULT) -> Answer<()> {
    if code.is_ok() { Ok(()) } else { Err(code.0) }
}

enum Service {
    None,
    Render(IAudioRenderClient),
    Capture(IAudioCaptureClient),
}

pub(super) struct WindowsClient {
    client: IAudioClient,
    service: Service,
    clock: Option<(IAudioClock, u64)>,
    session: Option<(IAudioSessionControl, IAudioSessionEvents)>,
    cut_off: Arc<CutOff>,
    // After the interfaces: they need it.
    _com: Com,
}

// SAFETY: made in the multithreaded apartment, which `_com` keeps alive; calls come from one thread at a time.
unsafe impl Send for WindowsClient {}

impl WindowsClient {
    pub(super) fn new(device: &IMMDevice, com: Com) -> Answer<Self> {
        // SAFETY: the endpoint makes this interface, or says no.
        let client: IAudioClient =
            unsafe { device.Activate(CLSCTX_ALL, None) }.map_err(|error| error.code().0)?;
        let cut_off = Arc::default();
        let service = Service::None;
        Ok(Self { client, service, clock: None, session: None, cut_off, _com: com })
    }

    fn newer<T: Interface>(&self) -> Answer<T> {
        self.client.cast().map_err(|error| error.code().0)
    }

    fn get<T: Interface>(&self) -> Answer<T> {
        let mut service = ptr::null_mut();
        answer(call!(self.client, GetService, &T::IID, &raw mut service))?;
        if service.is_null() {
            return Err(hresult::E_NOINTERFACE);
        }
        // SAFETY: the interface that was asked for, with a reference that is ours.
        Ok(unsafe { T::from_raw(service) })
    }

    /// No ducking of others, and word of why the session ends. A system without sessions plays all the same.
    fn join_session(&mut self) {
        let Ok(control) = self.get::<IAudioSessionControl>() else { return };
        if let Ok(control) = control.cast::<IAudioSessionControl2>() {
            let _ = call!(control, SetDuckingPreference, true.into());
        }
        let events: IAudioSessionEvents = SessionEvents { cut_off: self.cut_off.clone() }.into();
        let told = call!(control, RegisterAudioSessionNotification, events.as_raw());
        if told.is_ok() {
            self.session = Some((control, events));
        }
    }
}

impl Client for WindowsClient {
    fn mix_format(&self) -> Answer<WaveFormat> {
        let mut block = ptr::null_mut();
        answer(call!(self.client, GetMixFormat, &raw mut block))?;
        if block.is_null() {
            return Err(hresult::UNSUPPORTED_FORMAT);
        }
        // SAFETY: a format of Windows; how long it is stands in it.
        let extra = unsafe { ptr::addr_of!((*block).cbSize).read_unaligned() };
        let bytes = 18 + usize::from(extra);
        // SAFETY: so long, as it says itself.
        let bytes = unsafe { std::slice::from_raw_parts(block.cast::<u8>(), bytes) };
        let format = WaveFormat::from_bytes(bytes).ok_or(hresult::UNSUPPORTED_FORMAT);
        free(block.cast());
        format
    }

    fn supports(&self, is_exclusive: bool, format: &WaveFormat) -> bool {
        let described = Described::new(format);
        let mut closest = ptr::null_mut();
        let (mode, other) = if is_exclusive {
            (AUDCLNT_SHAREMODE_EXCLUSIVE, ptr::null_mut())
        } else {
            (AUDCLNT_SHAREMODE_SHARED, &raw mut closest)
        };
        let code =
            call!(self.client, IsFormatSupported, mode, described.place::<WAVEFORMATEX>(), other);
        free(closest.cast());
        code == S_OK
    }

    fn device_period(&self) -> Answer<(i64, i64)> {
        let (mut usual, mut least) = (0, 0);
        answer(call!(self.client, GetDevicePeriod, &raw mut usual, &raw mut least))?;
        Ok((usual, least))
    }

    fn be_raw(&self) -> Answer<()> {
        let properties = AudioClientProperties {
            cbSize: u32::try_from(size_of::<AudioClientProperties>()).unwrap_or(0),
            bIsOffload: false.into(),
            eCategory: AudioCategory_Other,
            Options: AUDCLNT_STREAMOPTIONS_RAW,
        };
        let client: IAudioClient2 = self.newer()?;
        answer(call!(client, SetClientProperties, &raw const properties))
    }

    fn engine_periods(&self, format: &WaveFormat) -> Answer<EnginePeriods> {
        let client: IAudioClient3 = self.newer()?;
        let described = Described::new(format);
        let [mut default_frames, mut step_frames, mut min_frames, mut max_frames] = [0; 4];
        answer(call!(
            client,
            GetSharedModeEnginePeriod,
            described.place::<WAVEFORMATEX>(),
            &raw mut default_frames,
            &raw mut step_frames,
            &raw mut min_frames,
            &raw mut max_frames
        ))?;
        Ok(EnginePeriods { default_frames, step_frames, min_frames, max_frames })
    }

    fn initialize(&mut self, setup: &Setup) -> Answer<()> {
        let described = Described::new(&setup.format);
        // Never persisted: an old mute of the user's would come back. Never converted: what is asked for is what is had.
        let mut flags = AUDCLNT_STREAMFLAGS_NOPERSIST;
        if setup.has_event {
            flags |= AUDCLNT_STREAMFLAGS_EVENTCALLBACK;
        }
        if setup.is_loopback {
            flags |= AUDCLNT_STREAMFLAGS_LOOPBACK;
        }
        let mode =
            if setup.is_exclusive { AUDCLNT_SHAREMODE_EXCLUSIVE } else { AUDCLNT_SHAREMODE_SHARED };
        answer(call!(
            self.client,
            Initialize,
            mode,
            flags,
            setup.duration_hns,
            setup.period_hns,
            described.place::<WAVEFORMATEX>(),
            &raw const SESSION
        ))
    }

    fn initialize_shared(&mut self, period_frames: u32, format: &WaveFormat) -> Answer<()> {
        let client: IAudioClient3 = self.newer()?;
        let described = Described::new(format);
        answer(call!(
            client,
            InitializeSharedAudioStream,
            AUDCLNT_STREAMFLAGS_EVENTCALLBACK,
            period_frames,
            described.place::<WAVEFORMATEX>(),
            &raw const SESSION
        ))
    }

    fn buffer_frames(&self) -> Answer<u32> {
        let mut frames = 0;
        answer(call!(self.client, GetBufferSize, &raw mut frames))?;
        Ok(frames)
    }

    fn set_event(&self, event: usize) -> Answer<()> {
        let handle = HANDLE(ptr::with_exposed_provenance_mut(event));
        answer(call!(self.client, SetEventHandle, handle))
    }

    fn prepare(&mut self, flow: Flow) -> Answer<()> {
        self.service = match flow {
            Flow::Render => Service::Render(self.get()?),
            Flow::Capture => Service::Capture(self.get()?),
        };
        self.clock = self.get::<IAudioClock>().ok().and_then(|clock| {
            let mut frequency = 0;
            let told = call!(clock, GetFrequency, &raw mut frequency);
            told.is_ok().then_some((clock, frequency))
        });
        self.join_session();
        Ok(())
    }

    fn start(&self) -> Answer<()> {
        answer(call!(self.client, Start))
    }

    fn stop(&self) -> Answer<()> {
        answer(call!(self.client, Stop))
    }

    fn reset(&self) -> Answer<()> {
        answer(call!(self.client, Reset))
    }

    fn padding(&self) -> Answer<u32> {
        let mut frames = 0;
        answer(call!(self.client, GetCurrentPadding, &raw mut frames))?;
        Ok(frames)
    }

    fn lend(&self, frames: u32) -> Answer<*mut u8> {
        let Service::Render(service) = &self.service else {
            return Err(hresult::WRONG_ENDPOINT_TYPE);
        };
        let mut data = ptr::null_mut();
        answer(call!(*service, GetBuffer, frames, &raw mut data))?;
        Ok(data)
    }

    fn give(&self, frames: u32, is_silent: bool) -> Answer<()> {
        let Service::Render(service) = &self.service else {
            return Err(hresult::WRONG_ENDPOINT_TYPE);
        };
        let flags = if is_silent { AUDCLNT_BUFFERFLAGS_SILENT.0.cast_unsigned() } else { 0 };
        answer(call!(*service, ReleaseBuffer, frames, flags))
    }

    fn packet(&self) -> Answer<Option<Packet>> {
        let Service::Capture(service) = &self.service else {
            return Err(hresult::WRONG_ENDPOINT_TYPE);
        };
        let mut data = ptr::null_mut();
        let [mut frames, mut flags] = [0_u32; 2];
        let [mut position, mut hns] = [0_u64; 2];
        let code = call!(
            *service,
            GetBuffer,
            &raw mut data,
            &raw mut frames,
            &raw mut flags,
            &raw mut position,
            &raw mut hns
        );
        // No packet yet; exclusive streams say so with a failure at times (Microsoft, `IAudioCaptureClient::GetBuffer`).
        if code.0 == hresult::BUFFER_ERROR || (code.is_ok() && frames == 0) {
            return Ok(None);
        }
        answer(code)?;
        let has = |flag: i32| flags & flag.cast_unsigned() != 0;
        Ok(Some(Packet {
            data,
            frames,
            is_silent: has(AUDCLNT_BUFFERFLAGS_SILENT.0),
            is_gap: has(AUDCLNT_BUFFERFLAGS_DATA_DISCONTINUITY.0),
            position,
            at_ns: hns.saturating_mul(100),
        }))
    }

    fn take(&self, frames: u32) -> Answer<()> {
        let Service::Capture(service) = &self.service else {
            return Err(hresult::WRONG_ENDPOINT_TYPE);
        };
        answer(call!(*service, ReleaseBuffer, frames))
    }

    fn clock(&self) -> Answer<Reading> {
        let (clock, frequency) = self.clock.as_ref().ok_or(hresult::E_NOINTERFACE)?;
        let [mut position, mut hns] = [0_u64; 2];
        answer(call!(*clock, GetPosition, &raw mut position, &raw mut hns))?;
        // The counter comes in units of 100 ns, not in ticks (Microsoft, `IAudioClock::GetPosition`).
        Ok(Reading { position, frequency: *frequency, at_ns: hns.saturating_mul(100) })
    }

    fn cut_off(&self) -> Option<Loss> {
        self.cut_off.loss()
    }
}

impl Drop for WindowsClient {
    fn drop(&mut self) {
        if let Some((control, events)) = &self.session {
            let _ = call!(*control, UnregisterAudioSessionNotification, events.as_raw());
        }
    }
}
