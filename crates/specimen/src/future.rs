//! The specimen's answers to `future`.

use crate::device::L;
use crate::faults::{Kind, has};
use crate::object::{Object, put};
use barewire_abi::constants::future;
use barewire_abi::{Code, Long};
use std::ffi::c_void;

pub(crate) fn future_call(object: &Object, selector: L, argument: *mut c_void) -> Code {
    match selector.to_i32() {
        future::CAN_INPUT_MONITOR if has(Kind::FutureOk) => Code::OK,
        future::CAN_TIME_INFO if has(Kind::DeniesTimeInfo) => Code::INVALID_PARAMETER,
        future::CAN_TIME_INFO => Code::SUCCESS,
        future::SET_INSTANCE_NAME => instance_name(argument.cast()),
        future::GET_IO_FORMAT if !argument.is_null() => {
            put(argument.cast::<L>(), L::default());
            Code::SUCCESS
        }
        future::CAN_DO_IO_FORMAT if has(Kind::PcmRefused) => Code::NOT_PRESENT,
        future::GET_INTERNAL_BUFFER_SAMPLES if !argument.is_null() => {
            let words: usize = if has(Kind::InternalOverrun) { 8 } else { 2 };
            for n in 0..words {
                // SAFETY: inside of the host's structure, or the fault.
                unsafe { argument.cast::<L>().add(n).write_unaligned(L::default()) };
            }
            Code::SUCCESS
        }
        future::CAN_DO_IO_FORMAT if has(Kind::DsdInconsistent) => Code::SUCCESS,
        future::SET_IO_FORMAT if has(Kind::DsdWithBuffers) && !argument.is_null() => {
            let has_buffers = object.has_buffers();
            if has_buffers { Code::SUCCESS } else { refuse_format(argument) }
        }
        future::SET_IO_FORMAT | future::CAN_DO_IO_FORMAT if !argument.is_null() => {
            refuse_format(argument)
        }
        18 | 0 if has(Kind::YesToUnknown) => Code::SUCCESS,
        _ => Code::INVALID_PARAMETER,
    }
}

/// Whether the entry that the host names is the specimen's, or, without a name, whether it can be told.
fn instance_name(name: *const u8) -> Code {
    if name.is_null() || has(Kind::TakesAnyName) {
        return Code::SUCCESS;
    }
    let own = c"Specimen".to_bytes_with_nul();
    // SAFETY: the host's text; nothing is read behind the first byte that differs.
    let is_own = (0..own.len()).all(|n| unsafe { name.add(n).read() } == own[n]);
    if is_own { Code::SUCCESS } else { Code::NOT_PRESENT }
}

fn refuse_format(argument: *mut c_void) -> Code {
    let place = argument.cast::<L>();
    // SAFETY: the host's structure begins with the format.
    if unsafe { place.read_unaligned() }.to_i32() == 0 {
        return Code::SUCCESS;
    }
    put(place, L::from_i32(-1));
    Code::NOT_PRESENT
}
