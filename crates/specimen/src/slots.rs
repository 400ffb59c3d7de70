//! The specimen's table: each method of `object` in a slot, with the target's calling convention.

use crate::device::{L, S};
use crate::future::future_call;
use crate::object::{self, Object, it};
use barewire_abi::layout::{BufferInfo, Callbacks, ChannelInfo, ClockSource};
use barewire_abi::{Code, Guid, Long, Native, Vtable};
use std::ffi::c_void;

/// What methods answer, as the interface's `long`.
trait Answer {
    fn long(self) -> L;
}

impl Answer for Code {
    fn long(self) -> L {
        L::from_i32(self.0)
    }
}

impl Answer for i32 {
    fn long(self) -> L {
        L::from_i32(self)
    }
}

impl Answer for u32 {
    fn long(self) -> L {
        L::from_flags(self)
    }
}

fn no_panel(_: &Object) -> Code {
    Code::NOT_PRESENT
}

macro_rules! methods {
    ($abi:literal: $($slot:ident ( $($argument:ident : $type:ty),* ) = $call:path;)+) => {
        $(
            unsafe extern $abi fn $slot(this: *mut c_void $(, $argument: $type)*) -> L {
                $call(it(this) $(, $argument)*).long()
            }
        )+
    };
}

macro_rules! slots {
    ($unknown:literal, $method:literal) => {
        unsafe extern $unknown fn query_interface(
            this: *mut c_void,
            id: *const Guid,
            place: *mut *mut c_void,
        ) -> L {
            object::query_interface(this, id, place).long()
        }
        unsafe extern $unknown fn add_ref(this: *mut c_void) -> L {
            object::add_ref(this).long()
        }
        unsafe extern $unknown fn release(this: *mut c_void) -> L {
            object::release(this).long()
        }
        unsafe extern $method fn get_driver_name(_: *mut c_void, place: *mut u8) {
            object::driver_name(place);
        }
        unsafe extern $method fn get_error_message(this: *mut c_void, place: *mut u8) {
            object::error_message(it(this), place);
        }
        methods! { $method:
            init(handle: *mut c_void) = object::init;
            get_driver_version() = object::version;
            start() = object::start;
            stop() = object::stop;
            get_channels(inputs: *mut L, outputs: *mut L) = object::channels;
            get_latencies(input: *mut L, output: *mut L) = object::latencies;
            get_buffer_size(min: *mut L, max: *mut L, preferred: *mut L, step: *mut L)
                = object::buffer_size;
            can_sample_rate(rate_hz: f64) = object::can_sample_rate;
            get_sample_rate(rate_hz: *mut f64) = object::sample_rate;
            set_sample_rate(rate_hz: f64) = object::set_sample_rate;
            get_clock_sources(list: *mut ClockSource<Native>, count: *mut L)
                = object::clock_sources;
            set_clock_source(index: L) = object::set_clock_source;
            get_sample_position(position: *mut S, time: *mut S) = object::sample_position;
            get_channel_info(info: *mut ChannelInfo<Native>) = object::channel_info;
            create_buffers(
                infos: *mut BufferInfo<Native>,
                count: L,
                frames: L,
                host: *const Callbacks<Native>
            ) = object::create_buffers;
            dispose_buffers() = object::dispose_buffers;
            control_panel() = no_panel;
            future(selector: L, argument: *mut c_void) = future_call;
            output_ready() = object::output_ready;
        }
    };
}

#[cfg(all(windows, target_arch = "x86"))]
slots!("stdcall", "thiscall");
#[cfg(not(all(windows, target_arch = "x86")))]
slots!("C", "C");

static VTABLE: Vtable<Native> = Vtable {
    query_interface,
    add_ref,
    release,
    init,
    get_driver_name,
    get_driver_version,
    get_error_message,
    start,
    stop,
    get_channels,
    get_latencies,
    get_buffer_size,
    can_sample_rate,
    get_sample_rate,
    set_sample_rate,
    get_clock_sources,
    set_clock_source,
    get_sample_position,
    get_channel_info,
    create_buffers,
    dispose_buffers,
    control_panel,
    future,
    output_ready,
};

/// The table that every object begins with a pointer to.
pub(crate) fn vtable() -> *const Vtable<Native> {
    #[cfg(all(windows, target_arch = "x86"))]
    if let Some(other) = wrong::vtable() {
        return other;
    }
    &raw const VTABLE
}

/// Methods that do not keep 32-bit Windows' convention.
#[cfg(all(windows, target_arch = "x86"))]
mod wrong {
    use super::{L, VTABLE};
    use crate::faults::{Kind, has};
    use barewire_abi::{Native, Vtable};
    use std::arch::naked_asm;
    use std::ffi::c_void;

    static TAKES_TOO_MUCH: Vtable<Native> = Vtable { get_latencies: takes_too_much, ..VTABLE };
    static TAKES_NOTHING: Vtable<Native> = Vtable { can_sample_rate: takes_nothing, ..VTABLE };
    static DESTROYS_REGISTER: Vtable<Native> = Vtable { output_ready: destroys_register, ..VTABLE };

    pub(super) fn vtable() -> Option<*const Vtable<Native>> {
        match () {
            () if has(Kind::TakesTooMuch) => Some(&raw const TAKES_TOO_MUCH),
            () if has(Kind::TakesNothing) => Some(&raw const TAKES_NOTHING),
            () if has(Kind::DestroysRegister) => Some(&raw const DESTROYS_REGISTER),
            () => None,
        }
    }

    /// As if there were a third argument.
    #[unsafe(naked)]
    unsafe extern "thiscall" fn takes_too_much(_: *mut c_void, _: *mut L, _: *mut L) -> L {
        naked_asm!(
            "push dword ptr [esp + 8]",
            "push dword ptr [esp + 8]",
            "call {real}",
            "ret 12",
            real = sym super::get_latencies,
        )
    }

    /// As a C function, which leaves its arguments to the caller.
    #[unsafe(naked)]
    unsafe extern "thiscall" fn takes_nothing(_: *mut c_void, _: f64) -> L {
        naked_asm!(
            "push dword ptr [esp + 8]",
            "push dword ptr [esp + 8]",
            "call {real}",
            "ret",
            real = sym super::can_sample_rate,
        )
    }

    #[unsafe(naked)]
    unsafe extern "thiscall" fn destroys_register(_: *mut c_void) -> L {
        naked_asm!("xor edi, edi", "jmp {real}", real = sym super::output_ready)
    }
}
