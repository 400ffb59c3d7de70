//! What Windows says of endpoints and sessions, on threads of its own that hold locks of its own: it is passed on, and
//! nothing else is done there (miniaudio issues 1034, 1149; NAudio issue 989).

use super::windows::{Com, enumerator};
use super::{Answer, Notice, NoticeListener};
use barewire_device::Loss;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use windows::Win32::Foundation::PROPERTYKEY;
use windows::Win32::Media::Audio::{
    AudioSessionDisconnectReason, AudioSessionState, DEVICE_STATE, DEVICE_STATE_ACTIVE,
    DisconnectReasonDeviceRemoval, DisconnectReasonExclusiveModeOverride,
    DisconnectReasonFormatChanged, EDataFlow, ERole, IAudioSessionEvents, IAudioSessionEvents_Impl,
    IMMDeviceEnumerator, IMMNotificationClient, IMMNotificationClient_Impl,
    PKEY_AudioEngine_DeviceFormat, eConsole,
};
use windows::core::{BOOL, GUID, PCWSTR, Result, implement};

/// A registration, taken back when dropped. Windows takes no reference of its own (NAudio issue 1394).
pub(super) struct Watch {
    enumerator: IMMDeviceEnumerator,
    client: IMMNotificationClient,
    _com: Com,
}

// SAFETY: the enumerator and our own object may be used on any thread.
unsafe impl Send for Watch {}

impl Watch {
    pub(super) fn new(listener: NoticeListener) -> Answer<Self> {
        let _com = Com::keep()?;
        let enumerator = enumerator()?;
        let client: IMMNotificationClient = Listener { listener }.into();
        // SAFETY: the object lives until the registration is taken back.
        unsafe { enumerator.RegisterEndpointNotificationCallback(&client) }
            .map_err(|error| error.code().0)?;
        Ok(Self { enumerator, client, _com })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // SAFETY: registered in `new`.
        let _ = unsafe { self.enumerator.UnregisterEndpointNotificationCallback(&self.client) };
    }
}

#[implement(IMMNotificationClient)]
struct Listener {
    listener: NoticeListener,
}

impl Listener_Impl {
    fn tell(&self, id: &PCWSTR, notice: impl FnOnce(String) -> Notice) {
        // SAFETY: a terminated text of Windows, alive over the call.
        if let (false, Ok(id)) = (id.is_null(), unsafe { id.to_string() }) {
            (self.listener)(notice(id));
        }
    }
}

impl IMMNotificationClient_Impl for Listener_Impl {
    fn OnDeviceStateChanged(&self, id: &PCWSTR, state: DEVICE_STATE) -> Result<()> {
        let is_there = state == DEVICE_STATE_ACTIVE;
        self.tell(id, if is_there { Notice::Arrived } else { Notice::Left });
        Ok(())
    }

    fn OnDeviceAdded(&self, id: &PCWSTR) -> Result<()> {
        self.tell(id, Notice::Arrived);
        Ok(())
    }

    fn OnDeviceRemoved(&self, id: &PCWSTR) -> Result<()> {
        self.tell(id, Notice::Left);
        Ok(())
    }

    fn OnDefaultDeviceChanged(&self, _: EDataFlow, role: ERole, _: &PCWSTR) -> Result<()> {
        // It comes once for each role.
        if role == eConsole {
            (self.listener)(Notice::DefaultChanged);
        }
        Ok(())
    }

    fn OnPropertyValueChanged(&self, id: &PCWSTR, key: &PROPERTYKEY) -> Result<()> {
        // Other properties change in storms.
        if *key == PKEY_AudioEngine_DeviceFormat {
            self.tell(id, Notice::Changed);
        }
        Ok(())
    }
}

/// Why a session was cut off; 0 as long as it was not.
#[derive(Default)]
pub(super) struct CutOff(AtomicU32);

impl CutOff {
    pub(super) fn loss(&self) -> Option<Loss> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Loss::Gone),
            2 => Some(Loss::Changed),
            3 => Some(Loss::Taken),
            _ => Some(Loss::Failed),
        }
    }

    fn note(&self, reason: AudioSessionDisconnectReason) {
        #[expect(non_upper_case_globals, reason = "Windows' names")]
        let number = match reason {
            DisconnectReasonDeviceRemoval => 1,
            DisconnectReasonFormatChanged => 2,
            DisconnectReasonExclusiveModeOverride => 3,
            _ => 4,
        };
        self.0.store(number, Ordering::Release);
    }
}

#[implement(IAudioSessionEvents)]
pub(super) struct SessionEvents {
    pub(super) cut_off: Arc<CutOff>,
}

impl IAudioSessionEvents_Impl for SessionEvents_Impl {
    fn OnDisplayNameChanged(&self, _: &PCWSTR, _: *const GUID) -> Result<()> {
        Ok(())
    }

    fn OnIconPathChanged(&self, _: &PCWSTR, _: *const GUID) -> Result<()> {
        Ok(())
    }

    fn OnSimpleVolumeChanged(&self, _: f32, _: BOOL, _: *const GUID) -> Result<()> {
        Ok(())
    }

    fn OnChannelVolumeChanged(&self, _: u32, _: *const f32, _: u32, _: *const GUID) -> Result<()> {
        Ok(())
    }

    fn OnGroupingParamChanged(&self, _: *const GUID, _: *const GUID) -> Result<()> {
        Ok(())
    }

    fn OnStateChanged(&self, _: AudioSessionState) -> Result<()> {
        Ok(())
    }

    fn OnSessionDisconnected(&self, reason: AudioSessionDisconnectReason) -> Result<()> {
        self.cut_off.note(reason);
        Ok(())
    }
}
