//! The table of functions that every ASIO object begins with a pointer to.

use crate::dialect::Dialect;
use crate::guid::Guid;
use crate::layout::{BufferInfo, Callbacks, ChannelInfo, ClockSource};
use std::ffi::c_void;

/// Declares the table twice: the calling convention is part of a function's type, and 32-bit Windows has its own.
macro_rules! vtable {
    ($unknown:literal, $method:literal) => {
        /// The 24 slots, in order. Nothing follows them.
        #[repr(C)]
        #[expect(missing_docs, reason = "the slots bear the interface's own names")]
        pub struct Vtable<D: Dialect> {
            pub query_interface:
                unsafe extern $unknown fn(*mut c_void, *const Guid, *mut *mut c_void) -> D::Long,
            pub add_ref: unsafe extern $unknown fn(*mut c_void) -> D::Long,
            pub release: unsafe extern $unknown fn(*mut c_void) -> D::Long,
            pub init: unsafe extern $method fn(*mut c_void, *mut c_void) -> D::Long,
            pub get_driver_name: unsafe extern $method fn(*mut c_void, *mut u8),
            pub get_driver_version: unsafe extern $method fn(*mut c_void) -> D::Long,
            pub get_error_message: unsafe extern $method fn(*mut c_void, *mut u8),
            pub start: unsafe extern $method fn(*mut c_void) -> D::Long,
            pub stop: unsafe extern $method fn(*mut c_void) -> D::Long,
            pub get_channels:
                unsafe extern $method fn(*mut c_void, *mut D::Long, *mut D::Long) -> D::Long,
            pub get_latencies:
                unsafe extern $method fn(*mut c_void, *mut D::Long, *mut D::Long) -> D::Long,
            pub get_buffer_size: unsafe extern $method fn(
                *mut c_void,
                *mut D::Long,
                *mut D::Long,
                *mut D::Long,
                *mut D::Long,
            ) -> D::Long,
            pub can_sample_rate: unsafe extern $method fn(*mut c_void, f64) -> D::Long,
            pub get_sample_rate: unsafe extern $method fn(*mut c_void, *mut f64) -> D::Long,
            pub set_sample_rate: unsafe extern $method fn(*mut c_void, f64) -> D::Long,
            pub get_clock_sources:
                unsafe extern $method fn(*mut c_void, *mut ClockSource<D>, *mut D::Long) -> D::Long,
            pub set_clock_source: unsafe extern $method fn(*mut c_void, D::Long) -> D::Long,
            pub get_sample_position:
                unsafe extern $method fn(*mut c_void, *mut D::Samples, *mut D::Samples) -> D::Long,
            pub get_channel_info:
                unsafe extern $method fn(*mut c_void, *mut ChannelInfo<D>) -> D::Long,
            pub create_buffers: unsafe extern $method fn(
                *mut c_void,
                *mut BufferInfo<D>,
                D::Long,
                D::Long,
                *const Callbacks<D>,
            ) -> D::Long,
            pub dispose_buffers: unsafe extern $method fn(*mut c_void) -> D::Long,
            pub control_panel: unsafe extern $method fn(*mut c_void) -> D::Long,
            pub future: unsafe extern $method fn(*mut c_void, D::Long, *mut c_void) -> D::Long,
            pub output_ready: unsafe extern $method fn(*mut c_void) -> D::Long,
        }
    };
}

#[cfg(all(windows, target_arch = "x86"))]
vtable!("stdcall", "thiscall");
#[cfg(not(all(windows, target_arch = "x86")))]
vtable!("C", "C");

const _: () = {
    assert!(size_of::<Vtable<crate::Native>>() == 24 * size_of::<usize>());
    assert!(std::mem::offset_of!(Vtable<crate::Native>, init) == 3 * size_of::<usize>());
    assert!(std::mem::offset_of!(Vtable<crate::Native>, output_ready) == 23 * size_of::<usize>());
};
