//! Installs the simulated card into a Wine prefix: `ks-install path\to\barewire.inf`. Tests only.

#[cfg(windows)]
fn main() {
    let inf = std::env::args().nth(1).unwrap_or_else(|| "barewire.inf".to_owned());
    for name in ["root\\bwkswave\\0", "root\\bwkstopo\\0"] {
        if let Err(what) = windows::device(name) {
            println!("{name}: {what}");
            std::process::exit(1);
        }
    }
    if let Err(what) = windows::driver(&inf) {
        println!("{inf}: {what}");
        std::process::exit(1);
    }
}

#[cfg(not(windows))]
fn main() {
    println!("only Wine has use for this");
}

#[cfg(windows)]
mod windows {
    use std::ptr;
    use windows_sys::Win32::Devices::DeviceAndDriverInstallation::{
        DIF_REGISTERDEVICE, INSTALLFLAG_FORCE, SP_DEVINFO_DATA, SPDRP_FRIENDLYNAME,
        SPDRP_HARDWAREID, SetupDiCallClassInstaller, SetupDiCreateDeviceInfoList,
        SetupDiCreateDeviceInfoW, SetupDiSetDeviceRegistryPropertyW,
        UpdateDriverForPlugAndPlayDevicesW,
    };
    use windows_sys::Win32::Foundation::GetLastError;
    use windows_sys::core::GUID;

    static MEDIA: GUID = GUID::from_u128(0x4d36e96c_e325_11ce_bfc1_08002be10318);
    /// `ERROR_DEVINST_ALREADY_EXISTS`.
    const IS_THERE: u32 = 0xE000_0207;

    fn wide(text: &str) -> Vec<u16> {
        text.encode_utf16().chain([0]).collect()
    }

    fn failed(what: &str) -> String {
        // SAFETY: reads a word of this thread.
        format!("{what} failed with {:#x}", unsafe { GetLastError() })
    }

    /// A device without hardware.
    pub(super) fn device(name: &str) -> Result<(), String> {
        let name = wide(name);
        // SAFETY: structures and strings of ours, terminated.
        unsafe {
            let set = SetupDiCreateDeviceInfoList(&raw const MEDIA, ptr::null_mut());
            let mut device: SP_DEVINFO_DATA = std::mem::zeroed();
            device.cbSize = u32::try_from(size_of::<SP_DEVINFO_DATA>()).unwrap_or(0);
            let is_new = SetupDiCreateDeviceInfoW(
                set,
                name.as_ptr(),
                &raw const MEDIA,
                ptr::null(),
                ptr::null_mut(),
                0,
                &raw mut device,
            );
            if is_new == 0 {
                return if GetLastError() == IS_THERE {
                    Ok(())
                } else {
                    Err(failed("creating it"))
                };
            }
            for (which, text) in
                [(SPDRP_HARDWAREID, "bwks\0"), (SPDRP_FRIENDLYNAME, "Simulated card")]
            {
                let text = wide(text);
                let bytes = u32::try_from(text.len() * 2).unwrap_or(0);
                let place = text.as_ptr().cast();
                if SetupDiSetDeviceRegistryPropertyW(set, &raw mut device, which, place, bytes) == 0
                {
                    return Err(failed("describing it"));
                }
            }
            if SetupDiCallClassInstaller(DIF_REGISTERDEVICE, set, &raw const device) == 0 {
                return Err(failed("registering it"));
            }
        }
        Ok(())
    }

    /// Its driver.
    pub(super) fn driver(inf: &str) -> Result<(), String> {
        let (inf, hardware) = (wide(inf), wide("bwks"));
        let mut needs_restart = 0;
        // SAFETY: strings of ours, terminated; a place of ours.
        let is_installed = unsafe {
            UpdateDriverForPlugAndPlayDevicesW(
                ptr::null_mut(),
                hardware.as_ptr(),
                inf.as_ptr(),
                INSTALLFLAG_FORCE,
                &raw mut needs_restart,
            )
        };
        if is_installed == 0 { Err(failed("installing it")) } else { Ok(()) }
    }
}
