//! The audio service of the Windows that this process runs on: enumeration, activation, volume, notices.
//!
//! COM is kept alive for as long as anything of it is in use, without a thread and without touching the caller's
//! apartment: a host's thread may be in one of its own, in none, or leave one at any time.

use super::client::WindowsClient;
use super::memory::{Text, wide};
use super::notices::Watch;
use super::properties;
use super::waiter::EventWaiter;
use super::{Answer, Client, Endpoint, Flow, NoticeListener, Service, Volume, Waiter};
use std::sync::{Mutex, PoisonError};
use windows::Win32::Media::Audio::Endpoints::IAudioEndpointVolume;
use windows::Win32::Media::Audio::{
    DEVICE_STATE_ACTIVE, EDataFlow, ENDPOINT_HARDWARE_SUPPORT_MUTE,
    ENDPOINT_HARDWARE_SUPPORT_VOLUME, IMMDevice, IMMDeviceEnumerator, IMMEndpoint,
    MMDeviceEnumerator, eAll, eCapture, eConsole, eRender,
};
use windows::Win32::System::Com::{
    CLSCTX_ALL, CO_MTA_USAGE_COOKIE, CoCreateInstance, CoDecrementMTAUsage, CoIncrementMTAUsage,
};
use windows::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows::core::{Interface, PCWSTR, s, w};

/// COM, kept alive. Exclusive clients die in Windows' own code if it goes before them (cubeb issue 415).
pub(super) struct Com(CO_MTA_USAGE_COOKIE);

// SAFETY: the cookie may be given back on any thread.
unsafe impl Send for Com {}
// SAFETY: nothing of it is used but by its owner.
unsafe impl Sync for Com {}

impl Com {
    pub(super) fn keep() -> Answer<Self> {
        // SAFETY: no argument.
        unsafe { CoIncrementMTAUsage() }.map(Self).map_err(|error| error.code().0)
    }
}

impl Drop for Com {
    fn drop(&mut self) {
        // SAFETY: the cookie is given back once. There is nothing to do if Windows refuses it.
        let _ = unsafe { CoDecrementMTAUsage(self.0) };
    }
}

/// The audio service of this machine.
#[derive(Default)]
pub struct WindowsService {
    watch: Mutex<Option<Watch>>,
}

impl WindowsService {
    /// Nothing is asked of Windows yet.
    pub fn new() -> Self {
        Self::default()
    }
}

pub(super) fn enumerator() -> Answer<IMMDeviceEnumerator> {
    // SAFETY: the class of that name makes this interface; COM is kept alive by the caller.
    unsafe { CoCreateInstance(&MMDeviceEnumerator, None, CLSCTX_ALL) }
        .map_err(|error| error.code().0)
}

fn device(id: &str) -> Answer<IMMDevice> {
    let id = wide(id);
    // SAFETY: a terminated string that lives over the call.
    unsafe { enumerator()?.GetDevice(PCWSTR(id.as_ptr())) }.map_err(|error| error.code().0)
}

pub(super) fn id_of(device: &IMMDevice) -> Option<String> {
    // SAFETY: the text is ours to free, which `Text` does.
    unsafe { device.GetId() }.ok().and_then(|text| Text(text).read())
}

fn describe(device: &IMMDevice) -> Option<Endpoint> {
    // SAFETY: writes nothing of ours.
    let flow = unsafe { device.cast::<IMMEndpoint>().ok()?.GetDataFlow() }.ok()?;
    let properties = properties::of(device);
    let id = id_of(device)?;
    Some(Endpoint {
        name: properties.name.unwrap_or_else(|| id.clone()),
        id,
        flow: if flow == eRender { Flow::Render } else { Flow::Capture },
        hardware: properties.hardware,
        format: properties.format,
    })
}

fn windows_flow(flow: Flow) -> EDataFlow {
    match flow {
        Flow::Render => eRender,
        Flow::Capture => eCapture,
    }
}

impl Service for WindowsService {
    fn endpoints(&self) -> Answer<Vec<Endpoint>> {
        let _com = Com::keep()?;
        let answer = |error: windows::core::Error| error.code().0;
        // SAFETY: no memory of ours is passed.
        let all = unsafe { enumerator()?.EnumAudioEndpoints(eAll, DEVICE_STATE_ACTIVE) }
            .map_err(answer)?;
        // SAFETY: as above.
        let count = unsafe { all.GetCount() }.map_err(answer)?;
        // SAFETY: as above. An endpoint that goes meanwhile is left out.
        let item = |n| unsafe { all.Item(n) }.ok();
        Ok((0..count).filter_map(item).filter_map(|device| describe(&device)).collect())
    }

    fn default_endpoint(&self, flow: Flow) -> Option<String> {
        let _com = Com::keep().ok()?;
        // SAFETY: no memory of ours is passed.
        let device =
            unsafe { enumerator().ok()?.GetDefaultAudioEndpoint(windows_flow(flow), eConsole) };
        id_of(&device.ok()?)
    }

    fn activate(&self, id: &str) -> Answer<Box<dyn Client>> {
        let com = Com::keep()?;
        Ok(Box::new(WindowsClient::new(&device(id)?, com)?))
    }

    fn volume(&self, id: &str) -> Option<Volume> {
        let _com = Com::keep().ok()?;
        let device = device(id).ok()?;
        // SAFETY: the endpoint makes this interface, or says no.
        let volume: IAudioEndpointVolume = unsafe { device.Activate(CLSCTX_ALL, None) }.ok()?;
        // SAFETY: no memory of ours is passed.
        let level_db = unsafe { volume.GetMasterVolumeLevel() }.ok()?;
        // SAFETY: as above.
        let is_muted = unsafe { volume.GetMute() }.is_ok_and(|muted| muted.as_bool());
        // SAFETY: as above.
        let hardware = unsafe { volume.QueryHardwareSupport() }.unwrap_or(0);
        let wanted = if is_muted {
            ENDPOINT_HARDWARE_SUPPORT_MUTE
        } else {
            ENDPOINT_HARDWARE_SUPPORT_VOLUME
        };
        Some(Volume { level_db, is_muted, is_hardware: hardware & wanted != 0 })
    }

    fn waiter(&self) -> Answer<Box<dyn Waiter>> {
        Ok(Box::new(EventWaiter::new()?))
    }

    fn watch(&self, listener: NoticeListener) {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        // The former goes first: Windows does not keep it alive.
        *watch = None;
        *watch = Watch::new(listener).ok();
    }

    fn is_wine(&self) -> bool {
        // SAFETY: a terminated name; ntdll is in every process.
        let Ok(module) = (unsafe { GetModuleHandleW(w!("ntdll.dll")) }) else { return false };
        // SAFETY: the module is loaded, the name terminated; the function is not called.
        unsafe { GetProcAddress(module, s!("wine_get_version")) }.is_some()
    }
}
