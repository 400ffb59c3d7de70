//! What Windows makes of jacks: endpoints, the wires between the two, and the programs that use them. Nothing here has a filter's
//! handle; everything is asked of the system's list of endpoints. Wine 8 tells of no wires, so that there the list is empty.

use crate::kernel::{Holder, Wired};
use std::path::Path;
use windows::Win32::Foundation::{CloseHandle, HANDLE, MAX_PATH};
use windows::Win32::Media::Audio::{
    AudioSessionStateActive, DEVICE_STATE_ACTIVE, IAudioSessionControl2, IAudioSessionManager2,
    IDeviceTopology, IMMDevice, IMMDeviceEnumerator, IPart, MMDeviceEnumerator, eAll,
};
use windows::Win32::System::Com::{
    CLSCTX_ALL, COINIT_MULTITHREADED, CoCreateInstance, CoInitializeEx, CoTaskMemFree,
    CoUninitialize,
};
use windows::Win32::System::Threading::{
    OpenProcess, PROCESS_NAME_WIN32, PROCESS_QUERY_LIMITED_INFORMATION, QueryFullProcessImageNameW,
};
use windows::core::{Interface, PCWSTR, PWSTR, Result};

/// `PARTID_MASK` of `devicetopology.h`: in a connector's number the pin of the filter.
const PIN_OF_PART: u32 = 0xFFFF;

/// COM on this thread, for as long as this is held.
struct Com(bool);

impl Com {
    fn new() -> Self {
        // SAFETY: paired with the call in `drop` if it succeeds; a host that chose otherwise for this thread stays as it is.
        Self(unsafe { CoInitializeEx(None, COINIT_MULTITHREADED) }.is_ok())
    }
}

impl Drop for Com {
    fn drop(&mut self) {
        if self.0 {
            // SAFETY: paired with the call in `new`; no interface outlives the function that holds this.
            unsafe { CoUninitialize() };
        }
    }
}

fn list() -> Result<IMMDeviceEnumerator> {
    // SAFETY: COM is there, or the call fails.
    unsafe { CoCreateInstance(&MMDeviceEnumerator, None, CLSCTX_ALL) }
}

/// Text of the system's, which is given back.
fn text(place: PWSTR) -> String {
    if place.is_null() {
        return String::new();
    }
    // SAFETY: a terminated string.
    let text = unsafe { place.to_string() }.unwrap_or_default();
    // SAFETY: from COM's memory, and not used any more.
    unsafe { CoTaskMemFree(Some(place.0.cast())) };
    text
}

/// Every endpoint with its jack, as far as both are told.
pub(super) fn wired() -> Vec<Wired> {
    let _com = Com::new();
    let endpoints = || -> Result<Vec<IMMDevice>> {
        // SAFETY: interfaces that are held.
        let all = unsafe { list()?.EnumAudioEndpoints(eAll, DEVICE_STATE_ACTIVE) }?;
        // SAFETY: as above.
        let count = unsafe { all.GetCount() }?;
        // SAFETY: as above.
        Ok((0..count).filter_map(|n| unsafe { all.Item(n) }.ok()).collect())
    };
    let endpoints = endpoints().unwrap_or_default();
    endpoints.iter().filter_map(|endpoint| wire(endpoint).ok()).collect()
}

/// An endpoint has one connector, and at the other end of the wire is the jack's.
fn wire(endpoint: &IMMDevice) -> Result<Wired> {
    // SAFETY: an interface that is held; that which is asked for takes no parameters.
    let topology: IDeviceTopology = unsafe { endpoint.Activate(CLSCTX_ALL, None) }?;
    // SAFETY: as above.
    let jack = unsafe { topology.GetConnector(0)?.GetConnectedTo() }?;
    let part: IPart = jack.cast()?;
    // SAFETY: as above.
    let (number, device) = unsafe { (part.GetLocalId()?, part.GetTopologyObject()?) };
    // SAFETY: as above.
    let (endpoint, filter) = unsafe { (endpoint.GetId()?, device.GetDeviceId()?) };
    let endpoint = text(endpoint).to_lowercase();
    Ok(Wired { endpoint, filter: text(filter), pin: number & PIN_OF_PART })
}

/// Programs with a session on an endpoint that plays or records now.
pub(super) fn holders(endpoint: &str) -> Vec<Holder> {
    let _com = Com::new();
    let mut processes = processes(endpoint).unwrap_or_default();
    processes.sort_unstable();
    processes.dedup();
    processes.into_iter().map(|process| Holder { process, name: name(process) }).collect()
}

fn processes(endpoint: &str) -> Result<Vec<u32>> {
    let id: Vec<u16> = endpoint.encode_utf16().chain([0]).collect();
    // SAFETY: a terminated string, and interfaces that are held.
    let endpoint = unsafe { list()?.GetDevice(PCWSTR(id.as_ptr())) }?;
    // SAFETY: an interface that is held; that which is asked for takes no parameters.
    let manager: IAudioSessionManager2 = unsafe { endpoint.Activate(CLSCTX_ALL, None) }?;
    // SAFETY: as above.
    let sessions = unsafe { manager.GetSessionEnumerator() }?;
    // SAFETY: as above.
    let count = unsafe { sessions.GetCount() }?;
    let process = |n| -> Option<u32> {
        // SAFETY: as above.
        let session = unsafe { sessions.GetSession(n) }.ok()?;
        // SAFETY: as above.
        let is_active = unsafe { session.GetState() } == Ok(AudioSessionStateActive);
        let session: IAudioSessionControl2 = session.cast().ok()?;
        // SAFETY: as above. 0 are the system's own sounds.
        let process = unsafe { session.GetProcessId() }.ok()?;
        (is_active && process != 0).then_some(process)
    };
    Ok((0..count).filter_map(process).collect())
}

/// A process that is closed when dropped.
struct Process(HANDLE);

impl Drop for Process {
    fn drop(&mut self) {
        // SAFETY: ours, and closed once. Nothing can be done about a failure.
        let _ = unsafe { CloseHandle(self.0) };
    }
}

/// The file of a program, without its folder.
fn name(process: u32) -> Option<String> {
    // SAFETY: a number; a process that may not be asked is refused.
    let process = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, false, process) };
    let process = Process(process.ok()?);
    let mut path = [0_u16; MAX_PATH as usize];
    let mut length = MAX_PATH;
    let place = PWSTR(path.as_mut_ptr());
    // SAFETY: `path` is as long as is said.
    let asked = unsafe {
        QueryFullProcessImageNameW(process.0, PROCESS_NAME_WIN32, place, &raw mut length)
    };
    asked.ok()?;
    let path = String::from_utf16_lossy(path.get(..length as usize)?);
    Path::new(&path).file_name().map(|name| name.to_string_lossy().into_owned())
}
