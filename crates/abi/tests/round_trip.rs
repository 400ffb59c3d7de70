//! What a driver answers in safe words arrives at a host unchanged, and what a host passes arrives at the driver, in
//! both dialects.

#![allow(clippy::unwrap_used, clippy::float_cmp, reason = "part of a test")]

mod fake;

use barewire_abi::constants::{future, time_flag};
use barewire_abi::layout::{self, Callbacks};
use barewire_abi::*;
use barewire_rt::float_state::FloatState;
use barewire_types::Half;
use fake::{CLASS, Fake, LONG_NAME, Manner, Seen};
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

fn driver<D: Dialect>(manner: Manner) -> (DriverRef<D>, Arc<Seen>) {
    let (object, seen) = Fake::object::<D>(manner);
    // SAFETY: an object of this dialect, just made.
    (unsafe { DriverRef::from_raw(object) }.unwrap(), seen)
}

fn every_answer_arrives<D: Dialect>() {
    let (driver, seen) = driver::<D>(Manner::Good);
    assert_eq!((driver.init(ptr::without_provenance_mut(77)), seen.last()), (1, "init 77".into()));
    assert!(LONG_NAME.starts_with(&driver.driver_name()));
    assert!((30..32).contains(&driver.driver_name().len()));
    assert_eq!(driver.driver_version(), 0x0102_0304);
    assert_eq!(driver.channels(), (Code::OK, 3, 5));
    assert_eq!(driver.latencies(), (Code::OK, 111, 222));
    let (code, size) = driver.buffer_size();
    assert_eq!((code, size.min_frames, size.max_frames), (Code::OK, 32, 4096));
    assert_eq!((size.preferred_frames, size.granularity), (256, -1));
    assert_eq!((driver.can_sample_rate(96_000.25), seen.last()), (Code::OK, "can 96000.25".into()));
    assert_eq!(driver.sample_rate(), (Code::OK, 44_100.5));
    assert_eq!((driver.set_sample_rate(-0.5), seen.last()), (Code::OK, "set -0.5".into()));
    let (code, sources, count) = driver.clock_sources();
    assert_eq!((code, sources.len(), count), (Code::OK, 3, 3));
    assert_eq!(
        (sources[0].channel, sources[2].group, sources[1].is_current),
        (None, Some(6), true)
    );
    assert_eq!(sources[2].name, "clock 2");
    assert_eq!((driver.set_clock_source(-3), seen.last()), (Code::OK, "clock -3".into()));
    let position =
        SamplePosition { position_frames: 0x1_2345_6789, time_ns: 0x0ABC_DEF0_1122_3344 };
    assert_eq!(driver.sample_position(), (Code::OK, position));
    let (code, info) = driver.channel_info(4, true);
    assert_eq!((code, info.is_active, info.group), (Code::OK, true, 7));
    assert_eq!((info.sample_type, seen.last()), (SampleType(18), "channel 4 true".into()));
    assert_eq!((driver.start(), driver.stop()), (Code::OK, Code::OK));
    assert_eq!((driver.dispose_buffers(), driver.control_panel()), (Code::OK, Code::OK));
    assert_eq!((driver.output_ready(), seen.last()), (Code::OK, "ready".into()));
}

#[test]
fn every_answer_arrives_in_both_dialects() {
    every_answer_arrives::<Windows>();
    every_answer_arrives::<Unix>();
}

fn every_selector_arrives<D: Dialect>() {
    let (driver, seen) = driver::<D>(Manner::Good);
    for (selector, debug) in [
        (future::ENABLE_TIME_CODE_READ, "future EnableTimeCodeRead"),
        (future::DISABLE_TIME_CODE_READ, "future DisableTimeCodeRead"),
        (future::CAN_TIME_INFO, "future Can(10)"),
        (future::CAN_REPORT_OVERLOAD, "future CanReportOverload"),
    ] {
        assert_eq!((driver.ask(selector), seen.last()), (Code::SUCCESS, debug.into()));
    }
    assert_eq!(driver.ask(future::OPTIONAL_ONE), Code::INVALID_PARAMETER);
    assert_eq!(driver.ask(0x2609_2017), Code::INVALID_PARAMETER);
    assert_eq!(driver.internal_buffers().1.output_frames, 34);
    let (code, format) = driver.io_format(future::GET_IO_FORMAT, IoFormat::Pcm);
    assert_eq!((code, format), (Code::SUCCESS, IoFormat::Dsd));
    let (code, _) = driver.io_format(future::SET_IO_FORMAT, IoFormat::Dsd);
    assert_eq!((code, seen.last()), (Code::SUCCESS, "future SetIoFormat(Dsd)".into()));
    assert_eq!(driver.set_instance_name("Studio"), Code::SUCCESS);
    assert_eq!(seen.last(), "future SetInstanceName(Some(\"Studio\"))");
    assert_eq!(driver.set_instance_name(""), Code::SUCCESS);
    assert_eq!(seen.last(), "future SetInstanceName(None)");

    let long = D::Long::from_i32;
    let mut monitor = layout::InputMonitor::<D> {
        input: long(-1),
        output: long(2),
        gain: long(0x7FFF_FFFF),
        state: long(1),
        pan: long(3),
    };
    // SAFETY: the structure of this selector, in this dialect.
    let code = unsafe { driver.future(future::SET_INPUT_MONITOR, (&raw mut monitor).cast()) };
    assert_eq!(code, Code::SUCCESS);
    assert!(seen.last().contains("input: None, output: 2, gain: 2147483647, is_on: true, pan: 3"));
    let mut controls = layout::ChannelControls::<D> {
        channel: long(1),
        is_input: long(0),
        gain: long(5),
        meter: long(0),
        future: [0; 32],
    };
    // SAFETY: as above.
    let code = unsafe { driver.future(future::GET_OUTPUT_METER, (&raw mut controls).cast()) };
    assert_eq!((code, controls.meter.to_i32(), controls.gain.to_i32()), (Code::SUCCESS, 99, 5));
}

#[test]
fn every_selector_arrives_in_both_dialects() {
    every_selector_arrives::<Windows>();
    every_selector_arrives::<Unix>();
}

#[test]
fn an_io_format_that_is_refused_becomes_invalid_and_nothing_else_is_touched() {
    let (driver, _) = driver::<Windows>(Manner::Refuses);
    let mut place = [1_i32, 0x5555_5555];
    // SAFETY: the driver reads and writes the first field alone.
    let code = unsafe { driver.future(future::SET_IO_FORMAT, place.as_mut_ptr().cast()) };
    assert_eq!((code, place), (Code::NO_CLOCK, [-1, 0x5555_5555]));
}

/// What the callbacks below were called with.
static CALLS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static RATE_BITS: AtomicU64 = AtomicU64::new(0);

fn note(text: String) {
    CALLS.lock().unwrap().push(text);
}

unsafe extern "C" fn switch<L: Long>(half: L, direct: L) {
    FloatState::save().flushing().restore();
    note(format!("switch {} {}", half.to_i32(), direct.to_i32()));
}
unsafe extern "C" fn rate(rate_hz: f64) {
    RATE_BITS.store(rate_hz.to_bits(), Ordering::SeqCst);
}
unsafe extern "C" fn message<L: Long>(
    selector: L,
    value: L,
    message: *mut c_void,
    opt: *mut f64,
) -> L {
    assert!(message.is_null() && opt.is_null());
    note(format!("message {} {}", selector.to_i32(), value.to_i32()));
    L::from_i32(selector.to_i32() * 10)
}
unsafe extern "C" fn time_info<D: Dialect>(
    time: *mut layout::Time<D>,
    half: D::Long,
    _: D::Long,
) -> *mut layout::Time<D> {
    // SAFETY: the driver lends a whole structure.
    let time = unsafe { *time };
    assert!(time.reserved.iter().all(|word| word.to_i32() == 0) && time.code.flags.to_i32() == 0);
    note(format!(
        "time {} {} {:x} {} {:x}",
        half.to_i32(),
        time.info.sample_position.to_u64(),
        time.info.system_time.to_u64(),
        time.info.sample_rate,
        time.info.flags.to_i32(),
    ));
    ptr::without_provenance_mut(0xDEAD)
}

fn a_host_is_called_as_it_asked<D: Dialect>() {
    let (driver, seen) = driver::<D>(Manner::Good);
    let callbacks = Callbacks::<D> {
        buffer_switch: Some(switch::<D::Long>),
        sample_rate_did_change: Some(rate),
        message: Some(message::<D::Long>),
        buffer_switch_time_info: Some(time_info::<D>),
    };
    let wanted = [
        BufferRequest { is_input: false, channel: 4 },
        BufferRequest { is_input: true, channel: 0 },
    ];
    let (code, made) = driver.create_buffers(&wanted, 64, callbacks);
    assert_eq!(code, Code::OK);
    assert_eq!(seen.last(), format!("create {wanted:?} 64"));
    let all: Vec<_> = (0..2).flat_map(|n| made.halves(n)).collect();
    assert!(all.iter().all(|half| !half.is_null()));
    assert_eq!(made.halves(2), [ptr::null_mut(); 2]);

    CALLS.lock().unwrap().clear();
    let host = seen.host.lock().unwrap().take().unwrap();
    let before = FloatState::save();
    host.buffer_switch(Half::One);
    assert_eq!(FloatState::save(), before, "what the host did to the processor stays with it");
    let time = TimeInfo {
        position_frames: 7 << 33,
        time_ns: 0x0ABC_DEF0_1122_3344,
        rate_hz: 96_000.0,
        rate_changed: true,
    };
    host.buffer_switch_time_info(Half::Zero, &time);
    host.sample_rate_did_change(88_200.0);
    assert!(host.has_time_info() && host.supports(5));
    assert_eq!(host.message(3, -1), 30);
    let flags = time_flag::SAMPLE_RATE_CHANGED | 15;
    let wanted = [
        "switch 1 1".into(),
        format!("time 0 {} abcdef011223344 96000 {flags:x}", 7_u64 << 33),
        "message 1 5".into(),
        "message 3 -1".into(),
    ];
    assert_eq!(*CALLS.lock().unwrap(), wanted);
    assert_eq!(f64::from_bits(RATE_BITS.load(Ordering::SeqCst)), 88_200.0);
}

#[test]
fn a_host_is_called_as_it_asked_in_both_dialects() {
    a_host_is_called_as_it_asked::<Windows>();
    a_host_is_called_as_it_asked::<Unix>();
}

#[test]
fn the_high_word_comes_first_on_windows_and_nothing_is_split_on_unix() {
    let (driver, _) = Fake::object::<Windows>(Manner::Good);
    let (other, _) = Fake::object::<Unix>(Manner::Good);
    let mut words = [0_u32; 4];
    let mut whole = [0_i64; 2];
    // SAFETY: an object begins with its table.
    let (table, other_table) = unsafe {
        (&**driver.cast::<*const Vtable<Windows>>(), &**other.cast::<*const Vtable<Unix>>())
    };
    let (position, time) = words.split_at_mut(2);
    // SAFETY: the arguments of this slot.
    unsafe {
        (table.get_sample_position)(driver, position.as_mut_ptr().cast(), time.as_mut_ptr().cast())
    };
    assert_eq!(words, [1, 0x2345_6789, 0x0ABC_DEF0, 0x1122_3344]);
    let [position, time] = &mut whole;
    // SAFETY: as above.
    unsafe { (other_table.get_sample_position)(other, position, time) };
    assert_eq!(whole, [0x1_2345_6789, 0x0ABC_DEF0_1122_3344]);
    // SAFETY: the one reference of each.
    unsafe { ((table.release)(driver), (other_table.release)(other)) };
}

#[test]
fn an_object_answers_to_two_ids_with_one_pointer_and_lives_as_long_as_its_references() {
    let (driver, seen) = driver::<Unix>(Manner::Good);
    let before = object_count();
    for id in [CLASS, Guid::IUNKNOWN] {
        assert_eq!(driver.query_interface(id).unwrap().as_raw(), driver.as_raw());
    }
    assert!(driver.query_interface(Guid::from_u128(1)).is_none());
    assert_eq!((driver.add_ref(), driver.release_one()), (2, 1));
    assert_eq!(seen.released.load(Ordering::SeqCst), 0);
    drop(driver);
    assert_eq!(seen.released.load(Ordering::SeqCst), 1);
    assert!(object_count() <= before, "other tests may make and release objects meanwhile");
}
