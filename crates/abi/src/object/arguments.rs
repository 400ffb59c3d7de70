//! What a host passes, checked and made safe; what a driver answers, put where the host wants it.

use super::Object;
use crate::MAX_BUFFERS;
use crate::callbacks::{HostCallbacks, RawCallbacks};
use crate::constants::Code;
use crate::dialect::{Dialect, Long};
use crate::driver::{AsioDriver, AsioError, AsioResult, BufferRequest, Halves};
use crate::layout::{BufferInfo, Callbacks, ChannelInfo, ClockSource};
use crate::text::write_text;
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

/// Bytes of a driver's, channel's or clock's name, with its end.
pub(super) const NAME_BYTES: usize = 32;
/// Bytes of an error text, with its end.
pub(super) const ERROR_BYTES: usize = 124;

pub(super) fn null() -> AsioError {
    AsioError::new(Code::INVALID_PARAMETER, "the host passed a null pointer")
}

/// Writes through a pointer of the host's, which need not be aligned.
pub(super) fn put<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: a host that passes a pointer for an answer lends the memory for it.
        unsafe { place.write_unaligned(value) };
    }
}

/// Reads through a pointer of the host's, which need not be aligned.
pub(super) fn get<T: Copy>(place: *const T) -> AsioResult<T> {
    if place.is_null() {
        return Err(null());
    }
    // SAFETY: a host that passes a structure lends it over the call.
    Ok(unsafe { place.read_unaligned() })
}

pub(super) fn all_there<T>(places: &[*mut T]) -> AsioResult<()> {
    if places.iter().any(|place| place.is_null()) { Err(null()) } else { Ok(()) }
}

pub(super) fn answer<D: Dialect>(code: Code) -> D::Long {
    D::Long::from_i32(code.0)
}

pub(super) fn put_text<const N: usize>(place: *mut u8, text: &str) -> AsioResult<()> {
    all_there(&[place])?;
    let mut bytes = [0; N];
    write_text(&mut bytes, text);
    put(place.cast::<[u8; N]>(), bytes);
    Ok(())
}

pub(super) fn pair<D: Dialect, T: AsioDriver>(
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
pub(super) fn clock_sources<D: Dialect>(
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

pub(super) fn channel_info<D: Dialect>(
    driver: &impl AsioDriver,
    place: *mut ChannelInfo<D>,
) -> AsioResult<()> {
    let asked = get(place)?;
    let zero = D::Long::default();
    let mut name = [0; NAME_BYTES];
    put(place, ChannelInfo { is_active: zero, group: zero, sample_type: zero, name, ..asked });
    let is_input = asked.is_input.to_i32() != 0;
    let info = driver.channel_info(asked.channel.to_i32(), is_input)?;
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

pub(super) fn create<D: Dialect>(
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
    let made = made(driver, &wanted, frames, callbacks);
    match &made {
        Ok(made) => made.iter().enumerate().for_each(|(n, h)| place(n, h.map(<*mut u8>::cast))),
        // There are buffers already, and this may be the very array that holds them.
        Err(error) if error.code == Code::INVALID_MODE => {}
        // What stood there before would look like an answer.
        Err(_) => (0..count).for_each(|n| place(n, [ptr::null_mut(); 2])),
    }
    made.map(|_| ())
}

/// As many halves as are wanted, or none.
fn made<D: Dialect>(
    driver: &impl AsioDriver,
    wanted: &[BufferRequest],
    frames: i32,
    callbacks: *const Callbacks<D>,
) -> AsioResult<Vec<Halves>> {
    let callbacks = get(callbacks)?;
    if callbacks.buffer_switch.is_none() {
        let text = "the host gave no function to be called for each block";
        return Err(AsioError::new(Code::INVALID_PARAMETER, text));
    }
    let host: Arc<dyn HostCallbacks> = Arc::new(RawCallbacks(callbacks));
    let made = driver.create_buffers(wanted, frames, host)?;
    if made.len() != wanted.len() {
        driver.dispose_buffers()?;
        let text = "a defect of the driver itself: a channel was left without buffers";
        return Err(AsioError::new(Code::HW_MALFUNCTION, text));
    }
    Ok(made)
}
