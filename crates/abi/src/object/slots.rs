//! One function for each slot: the interface's types here, [`super::arguments`] makes them safe. Everything goes through
//! [`Object::enter`].

use super::Object;
use super::arguments::{
    ERROR_BYTES, NAME_BYTES, all_there, answer, channel_info, clock_sources, create, get, pair,
    put, put_text,
};
use super::future::call_future;
use crate::constants::Code;
use crate::dialect::{Dialect, Long, Samples};
use crate::driver::AsioDriver;
use crate::guid::Guid;
use crate::layout::{BufferInfo, Callbacks, ChannelInfo, ClockSource};
use crate::vtable::Vtable;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::Ordering;

const S_OK: i32 = 0;
const E_NOINTERFACE: i32 = 0x8000_4002_u32.cast_signed();
const E_POINTER: i32 = 0x8000_4003_u32.cast_signed();

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
        ) -> D::Long {
            D::Long::from_i32(another_interface::<D, T>(this, id, place))
        }

        unsafe extern $unknown fn add_ref<D: Dialect, T: AsioDriver>(this: *mut c_void) -> D::Long {
            let count = Object::<D, T>::get(this)
                .map_or(0, |object| object.references.fetch_add(1, Ordering::Relaxed) + 1);
            D::Long::from_flags(count)
        }

        unsafe extern $unknown fn release<D: Dialect, T: AsioDriver>(this: *mut c_void) -> D::Long {
            D::Long::from_flags(Object::<D, T>::release(this))
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
            put(text.cast::<[u8; ERROR_BYTES]>(), object.kept());
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
            answer::<D>(Object::<D, T>::enter_swiftly(this, |driver| {
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
            answer::<D>(Object::<D, T>::enter_swiftly(this, |driver| driver.output_ready()))
        }
    };
}

#[cfg(all(windows, target_arch = "x86"))]
slots!("stdcall", "thiscall");
#[cfg(not(all(windows, target_arch = "x86")))]
slots!("C", "C");

/// There is one interface, known by the class's own id, and it is `IUnknown` too.
fn another_interface<D: Dialect, T: AsioDriver>(
    this: *mut c_void,
    id: *const Guid,
    place: *mut *mut c_void,
) -> i32 {
    put(place, ptr::null_mut());
    let Some(object) = Object::<D, T>::get(this) else { return E_POINTER };
    let Ok(id) = get(id) else { return E_POINTER };
    if place.is_null() {
        return E_POINTER;
    }
    if id != Guid::IUNKNOWN && id != object.class {
        return E_NOINTERFACE;
    }
    object.references.fetch_add(1, Ordering::Relaxed);
    put(place, this);
    S_OK
}
