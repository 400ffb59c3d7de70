//! What a host loads: the exports of `libbarewire.so` and `barewire.dll`, nothing more. They make objects of the interface
//! and register the file; everything else happens behind the object, in `driver`.

mod assembly;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(windows)]
mod windows;
