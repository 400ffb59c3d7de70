//! What a host loads: the exports of `libbarewire.so`, nothing more. They make objects of the interface and register the
//! file; everything else happens behind the object, in `driver`.
//!
//! Windows' exports (class factory, self-registration) will stand beside `linux`.

#[cfg(target_os = "linux")]
mod assembly;
#[cfg(target_os = "linux")]
mod linux;
