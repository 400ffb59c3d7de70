//! One function for each slot: arguments made safe, results made theirs. Everything goes through [`Object::enter`].

use super::Object;
use crate::MAX_BUFFERS;
use crate::callbacks::{HostCallbacks, RawCallbacks};
use crate::constants::{Code, future};
use crate::dialect::{Dialect, Long, Samples};
use crate::driver::{
    AsioDriver, AsioError, AsioResult, BufferRequest, ChannelControls, FutureCall, InputMonitor,
    InternalBuffers, IoFormat,
};
use crate::guid::Guid;
use crate::layout::{self, BufferInfo, Callbacks, ChannelInfo, ClockSource};
use crate::text::{read_text, write_text};
use crate::vtable::Vtable;
use std::ffi::c_void;
use std::ptr;
use std::sync::{Arc, PoisonError};

const NAME_BYTES: usize = 32;
const ERROR_BYTES: usize = 124;
const S_OK: i32 = 0;
const E_NOINTERFACE: i32 = 0x8000_4002_u32.cast_signed();
const E_POINTER: i32 = 0x8000_4003_u32.cast_signed();
/// Bytes of an instance name that are looked at: a directory entry's limit.
const INSTANCE_NAME_BYTES: usize = 255;

fn null() -> AsioError {
    AsioError::new(Code::INVALID_PARAMETER, "the host passed a null pointer")
}

/// Writes through a pointer of the host's, which need not be aligned.
fn put<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: a host that passes a pointer for an answer lends the memory for it.
        unsafe { place.write_unaligned(value) };
    }
}

/// Reads through a pointer of the host's, which need not be aligned.
fn get<T: Copy>(place: *const T) -> AsioResult<T> {
    if place.is_null() {
        return Err(null());
    }
    // SAFETY: a host that passes a structure lends it over the call.
    Ok(unsafe { place.read_unaligned() })
}

fn all_there<T>(places: &[*mut T]) -> AsioResult<()> {
    if places.iter().any(|place| place.is_null()) { Err(null()) } else { Ok(()) }
}

/// Gives both pairs of functions their calling conventions; see [`Vtable`].
macro_rules! slots {
    ($unknown:literal, $method:literal) => {
        pub(super) fn vtable<D: Dialect, T: AsioDriver>() -> *const Vtable<D> {
            const {
                &Vtable::<D> {
                    query_interface: query_interface::<D, T>,
                    add_ref: add_ref::<D, T>,
                    release: release::<D, T>,
                    init: init::<D, T>,
                    get_driver_name: get_driver_name::<D, T>,
                    get_driver_version: get_driver_version::<D, T>,
                    get_error_message: get_error_message::<D, T>,
                    start: start::<D, T>,
                    stop: stop::<D, T>,
                    get_channels: get_channels::<D, T>,
                    get_latencies: get_latencies::<D, T>,
                    get_buffer_size: get_buffer_size::<D, T>,
                    can_sample_rate: can_sample_rate::<D, T>,
                    get_sample_rate: get_sample_rate::<D, T>,
                    set_sample_rate: set_sample_rate::<D, T>,
                    get_clock_sources: get_clock_sources::<D, T>,
                    set_clock_source: set_clock_source::<D, T>,
                    get_sample_position: get_sample_position::<D, T>,
                    get_channel_info: get_channel_info::<D, T>,
                    create_buffers: create_buffers::<D, T>,
                    dispose_buffers: dispose_buffers::<D, T>,
                    control_panel: control_panel::<D, T>,
                    future: future_call::<D, T>,
                    output_ready: output_ready::<D, T>,
                }
            }
        }

        unsafe extern $unknown fn query_interface<D: Dialect, T: AsioDriver>(
            this: *mut c_void,
            id: *const Guid,
            place: *mut *mut c_void,
        ) -> i32 {
            let Some(object) = Object::<D, T>::get(this) else { return E_POINTER };
            let Ok(id) = get(id) else { return E_POINTER };
            if place.is_null() {
                return E_POINTER;
            }
            let known = id == Guid::IUNKNOWN || id == object.class;
            put(place, if known { this } else { ptr::null_mut() });
            if !known {
                return E_NOINTERFACE;
            }
            object.references.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            S_OK
        }

        unsafe extern $unknown fn add_ref<D: Dialect, T: AsioDriver>(this: *mut c_void) -> u32 {
            Object::<D, T>::get(this).map_or(0, |object| {
                object.references.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1
            })
        }

        unsafe extern $unknown fn release<D: Dialect, T: AsioDriver>(this: *mut c_void) -> u32 {
            Object::<D, T>::release(this)
        }

        unsafe extern $method fn init<D: Dialect, T: AsioDriver>(
            this: *mut c_void,
            handle: *mut c_void,
        ) -> D::Long {
            let code = Object::<D, T>::enter(this, "init", |driver| driver.init(handle));
            D::Long::from_i32(i32::from(code == Code::OK))
        }

        unsafe extern $method fn get_driver_name<D: Dialect, T: AsioDriver>(
            this: *mut c_void,
            name: *mut u8,
        ) {
            Object::<D, T>::enter(this, "getDriverName", |driver| {
                put_text::<NAME_BYTES>(name, &driver.driver_name())
            });
        }

        unsafe extern $method fn get_driver_version<D: Dialect, T: AsioDriver>(
            this: *mut c_void,
        ) -> D::Long {
            let mut version = 0;
            Object::<D, T>::enter(this, "getDriverVersion", |driver| {
                version = driver.driver_version();
                Ok(())
            });
            D::Long::from_i32(version)
        }

        unsafe extern $method fn get_error_message<D: Dialect, T: AsioDriver>(
            this: *mut c_void,
            text: *mut u8,
        ) {
            let Some(object) = Object::<D, T>::get(this) else { return };
            let kept = object.error.lock().unwrap_or_else(PoisonError::into_inner).clone();
            // A null pointer is all that can go wrong here, and there is no code to tell it with.
            let _ = put_text::<ERROR_BYTES>(text, &kept);
        }

        unsafe extern $method fn start<D: Dialect, T: AsioDriver>(this: *mut c_void) -> D::Long {
            answer::<D>(Object::<D, T>::enter(this, "start", |driver| driver.start()))
        }

        unsafe extern $method fn stop<D: Dialect, T: AsioDriver>(this: *mut c_void) -> D::Long {
            answer::<D>(Object::<D, T>::enter(this, "stop", |driver| driver.stop()))
        }

        unsafe extern $method fn get_channels<D: Dialect, T: AsioDriver>(
            this: *mut c_void,
            inputs: *mut D::Long,
            outputs: *mut D::Long,
        ) -> D::Long {
            pair::<D, T>(this, "getChannels", inputs, outputs, T::channels)
        }

        unsafe extern $method fn get_latencies<D: Dialect, T: AsioDriver>(
            this: *mut c_void,
            input: *mut D::Long,
            output: *mut D::Long,
        ) -> D::Long {
            pair::<D, T>(this, "getLatencies", input, output, T::latencies)
        }

        unsafe extern $method fn get_buffer_size<D: Dialect, T: AsioDriver>(
            this: *mut c_void,
            min: *mut D::Long,
            max: *mut D::Long,
            preferred: *mut D::Long,
            granularity: *mut D::Long,
        ) -> D::Long {
            let places = [min, max, preferred, granularity];
            places.iter().for_each(|&place| put(place, D::Long::default()));
            answer::<D>(Object::<D, T>::enter(this, "getBufferSize", |driver| {
                all_there(&places)?;
                let size = driver.buffer_size()?;
                let sizes =
                    [size.min_frames, size.max_frames, size.preferred_frames, size.granularity];
                for (place, value) in places.into_iter().zip(sizes) {
                    put(place, D::Long::from_i32(value));
                }
                Ok(())
            }))
        }

        unsafe extern $method fn can_sample_rate<D: Dialect, T: AsioDriver>(
            this: *mut c_void,
            rate_hz: f64,
        ) -> D::Long {
            answer::<D>(Object::<D, T>::enter(this, "canSampleRate", |driver| {
                driver.can_sample_rate(rate_hz)
            }))
        }

        unsafe extern $method fn get_sample_rate<D: Dialect, T: AsioDriver>(
            this: *mut c_void,
            place: *mut f64,
        ) -> D::Long {
            put(place, 0.0);
            answer::<D>(Object::<D, T>::enter(this, "getSampleRate", |driver| {
                all_there(&[place])?;
                put(place, driver.sample_rate()?);
                Ok(())
            }))
        }

        unsafe extern $method fn set_sample_rate<D: Dialect, T: AsioDriver>(
            this: *mut c_void,
            rate_hz: f64,
        ) -> D::Long {
            answer::<D>(Object::<D, T>::enter(this, "setSampleRate", |driver| {
                driver.set_sample_rate(rate_hz)
            }))
        }

        unsafe extern $method fn get_clock_sources<D: Dialect, T: AsioDriver>(
            this: *mut c_void,
            sources: *mut ClockSource<D>,
            count: *mut D::Long,
        ) -> D::Long {
            answer::<D>(Object::<D, T>::enter(this, "getClockSources", |driver| {
                clock_sources(driver, sources, count)
            }))
        }

        unsafe extern $method fn set_clock_source<D: Dialect, T: AsioDriver>(
            this: *mut c_void,
            index: D::Long,
        ) -> D::Long {
            answer::<D>(Object::<D, T>::enter(this, "setClockSource", |driver| {
                driver.set_clock_source(index.to_i32())
            }))
        }

        unsafe extern $method fn get_sample_position<D: Dialect, T: AsioDriver>(
            this: *mut c_void,
            position: *mut D::Samples,
            time: *mut D::Samples,
        ) -> D::Long {
            put(position, D::Samples::default());
            put(time, D::Samples::default());
            answer::<D>(Object::<D, T>::enter(this, "getSamplePosition", |driver| {
                all_there(&[position, time])?;
                let now = driver.sample_position()?;
                put(position, D::Samples::from_u64(now.position_frames));
                put(time, D::Samples::from_u64(now.time_ns));
                Ok(())
            }))
        }

        unsafe extern $method fn get_channel_info<D: Dialect, T: AsioDriver>(
            this: *mut c_void,
            place: *mut ChannelInfo<D>,
        ) -> D::Long {
            answer::<D>(Object::<D, T>::enter(this, "getChannelInfo", |driver| {
                channel_info(driver, place)
            }))
        }

        unsafe extern $method fn create_buffers<D: Dialect, T: AsioDriver>(
            this: *mut c_void,
            infos: *mut BufferInfo<D>,
            count: D::Long,
            frames: D::Long,
            callbacks: *const Callbacks<D>,
        ) -> D::Long {
            answer::<D>(Object::<D, T>::enter(this, "createBuffers", |driver| {
                create(driver, infos, count.to_i32(), frames.to_i32(), callbacks)
            }))
        }

        unsafe extern $method fn dispose_buffers<D: Dialect, T: AsioDriver>(
            this: *mut c_void,
        ) -> D::Long {
            answer::<D>(Object::<D, T>::enter(this, "disposeBuffers", |driver| {
                driver.dispose_buffers()
            }))
        }

        unsafe extern $method fn control_panel<D: Dialect, T: AsioDriver>(
            this: *mut c_void,
        ) -> D::Long {
            answer::<D>(Object::<D, T>::enter(this, "controlPanel", |driver| driver.control_panel()))
        }

        unsafe extern $method fn future_call<D: Dialect, T: AsioDriver>(
            this: *mut c_void,
            selector: D::Long,
            argument: *mut c_void,
        ) -> D::Long {
            let code = Object::<D, T>::enter(this, "future", |driver| {
                call_future::<D>(driver, selector.to_i32(), argument)
            });
            answer::<D>(if code == Code::OK { Code::SUCCESS } else { code })
        }

        unsafe extern $method fn output_ready<D: Dialect, T: AsioDriver>(
            this: *mut c_void,
        ) -> D::Long {
            answer::<D>(Object::<D, T>::enter(this, "outputReady", |driver| driver.output_ready()))
        }
    };
}

#[cfg(all(windows, target_arch = "x86"))]
slots!("stdcall", "thiscall");
#[cfg(not(all(windows, target_arch = "x86")))]
slots!("C", "C");

fn answer<D: Dialect>(code: Code) -> D::Long {
    D::Long::from_i32(code.0)
}

fn put_text<const N: usize>(place: *mut u8, text: &str) -> AsioResult<()> {
    all_there(&[place])?;
    let mut bytes = [0; N];
    write_text(&mut bytes, text);
    put(place.cast::<[u8; N]>(), bytes);
    Ok(())
}

fn pair<D: Dialect, T: AsioDriver>(
    this: *mut c_void,
    name: &'static str,
    input: *mut D::Long,
    output: *mut D::Long,
    ask: fn(&T) -> AsioResult<(i32, i32)>,
) -> D::Long {
    put(input, D::Long::default());
    put(output, D::Long::default());
    answer::<D>(Object::<D, T>::enter(this, name, |driver| {
        all_there(&[input, output])?;
        let (inputs, outputs) = ask(driver)?;
        put(input, D::Long::from_i32(inputs));
        put(output, D::Long::from_i32(outputs));
        Ok(())
    }))
}

/// In `count` the array's room, out the number of sources there are; no more than fit are written.
fn clock_sources<D: Dialect>(
    driver: &impl AsioDriver,
    places: *mut ClockSource<D>,
    count: *mut D::Long,
) -> AsioResult<()> {
    let room = usize::try_from(get(count)?.to_i32()).unwrap_or(0);
    put(count, D::Long::default());
    if places.is_null() && room > 0 {
        return Err(null());
    }
    let sources = driver.clock_sources()?;
    for (n, source) in sources.iter().take(room).enumerate() {
        let mut name = [0; NAME_BYTES];
        write_text(&mut name, &source.name);
        let number = |value: Option<i32>| D::Long::from_i32(value.unwrap_or(-1));
        let raw = ClockSource {
            index: D::Long::from_i32(source.index),
            channel: number(source.channel),
            group: number(source.group),
            is_current: D::Long::from_i32(i32::from(source.is_current)),
            name,
        };
        put(places.wrapping_add(n), raw);
    }
    put(count, D::Long::from_i32(i32::try_from(sources.len()).unwrap_or(i32::MAX)));
    Ok(())
}

fn channel_info<D: Dialect>(
    driver: &impl AsioDriver,
    place: *mut ChannelInfo<D>,
) -> AsioResult<()> {
    let asked = get(place)?;
    let is_input = asked.is_input.to_i32() != 0;
    let info = driver.channel_info(asked.channel.to_i32(), is_input)?;
    let mut name = [0; NAME_BYTES];
    write_text(&mut name, &info.name);
    let raw = ChannelInfo {
        channel: asked.channel,
        is_input: asked.is_input,
        is_active: D::Long::from_i32(i32::from(info.is_active)),
        group: D::Long::from_i32(info.group),
        sample_type: D::Long::from_i32(info.sample_type.0),
        name,
    };
    put(place, raw);
    Ok(())
}

fn create<D: Dialect>(
    driver: &impl AsioDriver,
    infos: *mut BufferInfo<D>,
    count: i32,
    frames: i32,
    callbacks: *const Callbacks<D>,
) -> AsioResult<()> {
    let count = usize::try_from(count).ok().filter(|n| (1..=MAX_BUFFERS).contains(n));
    let Some(count) = count else {
        let text = "the host asks for no channel at all, or for more than there can be";
        return Err(AsioError::new(Code::INVALID_PARAMETER, text));
    };
    let wanted = (0..count)
        .map(|n| {
            let info = get(infos.wrapping_add(n))?;
            Ok(BufferRequest {
                is_input: info.is_input.to_i32() != 0,
                channel: info.channel.to_i32(),
            })
        })
        .collect::<AsioResult<Vec<_>>>()?;
    let place = |n: usize, buffers| {
        let info = infos.wrapping_add(n);
        if let Ok(mut raw) = get(info) {
            raw.buffers = buffers;
            put(info, raw);
        }
    };
    // Until the driver says otherwise there are none: what stood there before would look like an answer.
    (0..count).for_each(|n| place(n, [ptr::null_mut(); 2]));
    let host: Arc<dyn HostCallbacks> = Arc::new(RawCallbacks(get(callbacks)?));
    let made = driver.create_buffers(&wanted, frames, host)?;
    for (n, halves) in made.iter().enumerate().take(count) {
        place(n, halves.map(<*mut u8>::cast));
    }
    Ok(())
}

fn io_format(number: i32) -> IoFormat {
    match number {
        0 => IoFormat::Pcm,
        1 => IoFormat::Dsd,
        other => IoFormat::Unknown(other),
    }
}

fn call_future<D: Dialect>(
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
    let asked = io_format(get(place)?.format.to_i32());
    if selector == future::GET_IO_FORMAT {
        let mut now = IoFormat::Pcm;
        driver.future(FutureCall::GetIoFormat(&mut now))?;
        let number = match now {
            IoFormat::Pcm => 0,
            IoFormat::Dsd => 1,
            IoFormat::Unknown(number) => number,
        };
        put(place, layout::IoFormat { format: D::Long::from_i32(number) });
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
