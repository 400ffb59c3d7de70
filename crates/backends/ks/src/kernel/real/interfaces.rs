//! Device interfaces as the setup library lists them.
//!
//! Not asked: aliases (wrong on some WaveRT drivers, PortAudio#1045; ends the process under Wine 8) and
//! `CM_Get_Device_Interface_List` (ends it too).

use super::super::{Code, Listed};
use super::{last_error, wide};
use crate::uapi::Guid;
use std::ptr;
use windows_sys::Win32::Devices::DeviceAndDriverInstallation::{
    DIGCF_DEVICEINTERFACE, DIGCF_PRESENT, HDEVINFO, SP_DEVICE_INTERFACE_DATA,
    SP_DEVICE_INTERFACE_DETAIL_DATA_W, SP_DEVINFO_DATA, SPDRP_DEVICEDESC, SPDRP_FRIENDLYNAME,
    SetupDiDestroyDeviceInfoList, SetupDiEnumDeviceInterfaces, SetupDiGetClassDevsW,
    SetupDiGetDeviceInterfaceDetailW, SetupDiGetDeviceRegistryPropertyW,
    SetupDiOpenDeviceInterfaceRegKey,
};
use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::System::Registry::{
    HKEY, KEY_QUERY_VALUE, REG_SZ, RegCloseKey, RegQueryValueExW,
};
use windows_sys::core::GUID;

/// More interfaces than this are damage.
const MOST: u32 = 4096;
/// Paths and names are shorter, in UTF-16 units.
const LONGEST: usize = 2048;

struct Set(HDEVINFO);

impl Drop for Set {
    fn drop(&mut self) {
        // SAFETY: the set is ours and is destroyed once.
        unsafe { SetupDiDestroyDeviceInfoList(self.0) };
    }
}

fn guid(guid: &Guid) -> GUID {
    let b = guid.bytes();
    GUID {
        data1: u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        data2: u16::from_le_bytes([b[4], b[5]]),
        data3: u16::from_le_bytes([b[6], b[7]]),
        data4: [b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]],
    }
}

fn size_of_u32<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or(u32::MAX)
}

/// The interfaces of a category that are there.
pub(super) fn list(category: &Guid) -> Result<Vec<Listed>, Code> {
    let category = guid(category);
    let flags = DIGCF_PRESENT | DIGCF_DEVICEINTERFACE;
    // SAFETY: a GUID of ours; no enumerator, no window.
    let set =
        unsafe { SetupDiGetClassDevsW(&raw const category, ptr::null(), ptr::null_mut(), flags) };
    if set == INVALID_HANDLE_VALUE as HDEVINFO {
        return Err(last_error());
    }
    let set = Set(set);
    let mut found = Vec::new();
    for index in 0..MOST {
        // SAFETY: a structure of integers.
        let mut interface: SP_DEVICE_INTERFACE_DATA = unsafe { std::mem::zeroed() };
        interface.cbSize = size_of_u32::<SP_DEVICE_INTERFACE_DATA>();
        // SAFETY: the set lives; the structure says its size.
        let is_there = unsafe {
            SetupDiEnumDeviceInterfaces(
                set.0,
                ptr::null(),
                &raw const category,
                index,
                &raw mut interface,
            )
        };
        if is_there == 0 {
            break;
        }
        found.extend(one(&set, &interface));
    }
    Ok(found)
}

fn one(set: &Set, interface: &SP_DEVICE_INTERFACE_DATA) -> Option<Listed> {
    // Aligned as the structure, with room for the path behind its head.
    let mut room = vec![0_u64; (LONGEST * 2 + 16) / 8];
    let detail = room.as_mut_ptr().cast::<SP_DEVICE_INTERFACE_DETAIL_DATA_W>();
    // SAFETY: a structure of integers.
    let mut device: SP_DEVINFO_DATA = unsafe { std::mem::zeroed() };
    device.cbSize = size_of_u32::<SP_DEVINFO_DATA>();
    let bytes = u32::try_from(room.len() * 8).ok()?;
    // SAFETY: `detail` has `bytes` bytes and says the size of its head; the rest are structures of ours.
    let is_told = unsafe {
        (*detail).cbSize = size_of_u32::<SP_DEVICE_INTERFACE_DETAIL_DATA_W>();
        SetupDiGetDeviceInterfaceDetailW(
            set.0,
            interface,
            detail,
            bytes,
            ptr::null_mut(),
            &raw mut device,
        )
    };
    if is_told == 0 {
        return None;
    }
    let offset = std::mem::offset_of!(SP_DEVICE_INTERFACE_DETAIL_DATA_W, DevicePath);
    // SAFETY: the path lies behind the head, within `room`.
    let units = unsafe {
        std::slice::from_raw_parts(detail.cast::<u8>().add(offset).cast::<u16>(), LONGEST)
    };
    let path = text(units);
    let name = interface_name(set, interface)
        .or_else(|| device_property(set, &device, SPDRP_FRIENDLYNAME))
        .or_else(|| device_property(set, &device, SPDRP_DEVICEDESC));
    (!path.is_empty()).then_some(Listed { path, name })
}

fn text(units: &[u16]) -> String {
    let end = units.iter().position(|&unit| unit == 0).unwrap_or(units.len());
    String::from_utf16_lossy(&units[..end])
}

/// `FriendlyName` of the interface. Not every interface has a key.
fn interface_name(set: &Set, interface: &SP_DEVICE_INTERFACE_DATA) -> Option<String> {
    // SAFETY: the set and the interface live.
    let key: HKEY =
        unsafe { SetupDiOpenDeviceInterfaceRegKey(set.0, interface, 0, KEY_QUERY_VALUE) };
    if key.is_null() || key == INVALID_HANDLE_VALUE {
        return None;
    }
    let value = wide("FriendlyName");
    let mut units = vec![0_u16; LONGEST];
    let mut bytes = u32::try_from((LONGEST - 1) * 2).ok()?;
    let mut kind = 0;
    // SAFETY: the key is open, the name is terminated, the room is as long as it is said to be.
    let answer = unsafe {
        let answer = RegQueryValueExW(
            key,
            value.as_ptr(),
            ptr::null(),
            &raw mut kind,
            units.as_mut_ptr().cast(),
            &raw mut bytes,
        );
        RegCloseKey(key);
        answer
    };
    let name = text(&units);
    (answer == 0 && kind == REG_SZ && !name.is_empty()).then_some(name)
}

fn device_property(set: &Set, device: &SP_DEVINFO_DATA, which: u32) -> Option<String> {
    let mut units = vec![0_u16; LONGEST];
    let bytes = u32::try_from((LONGEST - 1) * 2).ok()?;
    // SAFETY: the set and the device live; the room is as long as it is said to be.
    let is_told = unsafe {
        SetupDiGetDeviceRegistryPropertyW(
            set.0,
            device,
            which,
            ptr::null_mut(),
            units.as_mut_ptr().cast(),
            bytes,
            ptr::null_mut(),
        )
    };
    let name = text(&units);
    (is_told != 0 && !name.is_empty()).then_some(name)
}
