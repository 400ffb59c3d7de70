//! The calls of `future`: each selector's structure checked and turned into a [`FutureCall`].

use super::arguments::{all_there, get, put};
use crate::constants::future;
use crate::dialect::{Dialect, Long};
use crate::driver::{
    AsioDriver, AsioResult, ChannelControls, FutureCall, InputMonitor, InternalBuffers, IoFormat,
};
use crate::layout;
use crate::text::read_text;
use std::ffi::c_void;

/// Bytes of an instance name that are looked at: a directory entry's limit.
const INSTANCE_NAME_BYTES: usize = 255;

pub(super) fn call_future<D: Dialect>(
    driver: &impl AsioDriver,
    selector: i32,
    argument: *mut c_void,
) -> AsioResult<()> {
    match selector {
        future::ENABLE_TIME_CODE_READ => driver.future(FutureCall::EnableTimeCodeRead),
        future::DISABLE_TIME_CODE_READ => driver.future(FutureCall::DisableTimeCodeRead),
        future::CAN_INPUT_MONITOR..=future::CAN_OUTPUT_METER => {
            driver.future(FutureCall::Can(selector))
        }
        future::CAN_REPORT_OVERLOAD => driver.future(FutureCall::CanReportOverload),
        future::SET_INPUT_MONITOR => {
            let raw = get(argument.cast::<layout::InputMonitor<D>>())?;
            driver.future(FutureCall::SetInputMonitor(InputMonitor {
                input: Some(raw.input.to_i32()).filter(|&input| input >= 0),
                output: raw.output.to_i32(),
                gain: raw.gain.to_i32(),
                is_on: raw.state.to_i32() != 0,
                pan: raw.pan.to_i32(),
            }))
        }
        future::TRANSPORT => {
            let raw = get(argument.cast::<layout::TransportParameters<D>>())?;
            driver.future(FutureCall::Transport(raw.command.to_i32()))
        }
        future::SET_INPUT_GAIN..=future::GET_OUTPUT_METER => {
            controls::<D>(driver, selector, argument.cast())
        }
        future::SET_IO_FORMAT | future::GET_IO_FORMAT | future::CAN_DO_IO_FORMAT => {
            io_format_call::<D>(driver, selector, argument.cast())
        }
        future::GET_INTERNAL_BUFFER_SAMPLES => {
            let place = argument.cast::<layout::InternalBufferInfo<D>>();
            all_there(&[place])?;
            let mut buffers = InternalBuffers::default();
            driver.future(FutureCall::GetInternalBuffers(&mut buffers))?;
            let input = D::Long::from_i32(buffers.input_frames);
            let output = D::Long::from_i32(buffers.output_frames);
            put(place, layout::InternalBufferInfo { input, output });
            Ok(())
        }
        future::SET_INSTANCE_NAME => {
            driver.future(FutureCall::SetInstanceName(instance_name(argument.cast())))
        }
        other => driver.future(FutureCall::Unknown(other)),
    }
}

fn controls<D: Dialect>(
    driver: &impl AsioDriver,
    selector: i32,
    place: *mut layout::ChannelControls<D>,
) -> AsioResult<()> {
    let mut raw = get(place)?;
    let mut controls = ChannelControls {
        channel: raw.channel.to_i32(),
        is_input: raw.is_input.to_i32() != 0,
        gain: raw.gain.to_i32(),
        meter: raw.meter.to_i32(),
    };
    match selector {
        future::SET_INPUT_GAIN => return driver.future(FutureCall::SetInputGain(controls)),
        future::SET_OUTPUT_GAIN => return driver.future(FutureCall::SetOutputGain(controls)),
        future::GET_INPUT_METER => driver.future(FutureCall::GetInputMeter(&mut controls))?,
        _ => driver.future(FutureCall::GetOutputMeter(&mut controls))?,
    }
    raw.meter = D::Long::from_i32(controls.meter);
    put(place, raw);
    Ok(())
}

/// Only the first field of the structure is read or written, whatever the rest of its 512 bytes is.
fn io_format_call<D: Dialect>(
    driver: &impl AsioDriver,
    selector: i32,
    place: *mut layout::IoFormat<D>,
) -> AsioResult<()> {
    let asked = IoFormat::from_number(get(place)?.format.to_i32());
    if selector == future::GET_IO_FORMAT {
        let mut now = IoFormat::Pcm;
        driver.future(FutureCall::GetIoFormat(&mut now))?;
        put(place, layout::IoFormat { format: D::Long::from_i32(now.number()) });
        return Ok(());
    }
    let call = if selector == future::SET_IO_FORMAT {
        FutureCall::SetIoFormat(asked)
    } else {
        FutureCall::CanDoIoFormat(asked)
    };
    let result = driver.future(call);
    if result.is_err() {
        // So the interface has it: what cannot be done becomes "invalid".
        put(place, layout::IoFormat { format: D::Long::from_i32(-1) });
    }
    result
}

fn instance_name(text: *const u8) -> Option<String> {
    if text.is_null() {
        return None;
    }
    let mut bytes = Vec::new();
    for n in 0..INSTANCE_NAME_BYTES {
        // SAFETY: a terminated string of the host's; nothing behind its end is read.
        let byte = unsafe { text.wrapping_add(n).read() };
        if byte == 0 {
            break;
        }
        bytes.push(byte);
    }
    Some(read_text(&bytes)).filter(|name| !name.is_empty())
}
