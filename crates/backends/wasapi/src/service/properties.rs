//! What an endpoint says of itself without being opened.

use crate::wave::WaveFormat;
use windows::Win32::Foundation::PROPERTYKEY;
use windows::Win32::Media::Audio::{IMMDevice, PKEY_AudioEngine_DeviceFormat};
use windows::Win32::System::Com::STGM_READ;
use windows::Win32::System::Com::StructuredStorage::{PROPVARIANT, PropVariantClear};
use windows::Win32::System::Variant::{VT_BLOB, VT_LPWSTR};
use windows::Win32::UI::Shell::PropertiesSystem::IPropertyStore;
use windows::core::GUID;

/// `PKEY_Device_FriendlyName`: "Speakers (USB Audio)".
const NAME: PROPERTYKEY =
    PROPERTYKEY { fmtid: GUID::from_u128(0xa45c254e_df1c_4efd_8020_67d146a850e0), pid: 14 };
/// The device instance that the endpoint belongs to, which all endpoints of one piece of hardware share (Windows' registry
/// under `MMDevices`; Wine has it too).
const HARDWARE: PROPERTYKEY =
    PROPERTYKEY { fmtid: GUID::from_u128(0xb3f8fa53_0004_438e_9003_51a46e139bfc), pid: 2 };

#[derive(Default)]
pub(super) struct Properties {
    pub(super) name: Option<String>,
    pub(super) hardware: Option<String>,
    pub(super) format: Option<WaveFormat>,
}

pub(super) fn of(device: &IMMDevice) -> Properties {
    // SAFETY: no memory of ours is passed.
    let Ok(store) = (unsafe { device.OpenPropertyStore(STGM_READ) }) else {
        return Properties::default();
    };
    Properties {
        name: Value::get(&store, &NAME).and_then(|value| value.text()),
        hardware: Value::get(&store, &HARDWARE).and_then(|value| value.text()),
        format: Value::get(&store, &PKEY_AudioEngine_DeviceFormat).and_then(|value| value.format()),
    }
}

/// A value that is cleared when we are done. It is read by hand: `PropVariantToBSTR`, which the bindings' own text
/// conversion calls, is not implemented in Wine 8 and ends the process.
struct Value(PROPVARIANT);

impl Value {
    fn get(store: &IPropertyStore, key: &PROPERTYKEY) -> Option<Self> {
        // SAFETY: the key lives over the call.
        unsafe { store.GetValue(key) }.ok().map(Self)
    }

    fn text(&self) -> Option<String> {
        // SAFETY: the tag is read first, and says which member is there.
        let inner = unsafe { &self.0.Anonymous.Anonymous };
        if inner.vt != VT_LPWSTR {
            return None;
        }
        // SAFETY: a text, as the tag says.
        let text = unsafe { inner.Anonymous.pwszVal };
        // SAFETY: not null, and terminated.
        (!text.is_null()).then(|| unsafe { text.to_string() }.ok()).flatten()
    }

    fn format(&self) -> Option<WaveFormat> {
        // SAFETY: the tag is read first, and says which member is there.
        let inner = unsafe { &self.0.Anonymous.Anonymous };
        if inner.vt != VT_BLOB {
            return None;
        }
        // SAFETY: a block, as the tag says.
        let block = unsafe { inner.Anonymous.blob };
        if block.pBlobData.is_null() {
            return None;
        }
        // SAFETY: the block has that many bytes and lives as long as the value.
        let bytes = unsafe { std::slice::from_raw_parts(block.pBlobData, block.cbSize as usize) };
        WaveFormat::from_bytes(bytes)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: made by Windows, cleared once; a cleared value may be dropped.
        let _ = unsafe { PropVariantClear(&raw mut self.0) };
    }
}
