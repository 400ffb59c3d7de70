//! No host can bring a driver down through the interface: null pointers, absurd numbers, dirty memory, panics within,
//! and letting go in the middle of a call.

#![allow(clippy::unwrap_used, clippy::float_cmp, reason = "part of a test")]

mod fake;

use barewire_abi::layout::{BufferInfo, Callbacks, ChannelInfo, ClockSource};
use barewire_abi::*;
use fake::{Fake, Manner, Seen};
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

const DIRTY: u8 = 0xA5;

type L = <Unix as Dialect>::Long;

/// An object of the fake as a host without our library sees it: its pointer and its table.
struct Raw<D: Dialect> {
    this: *mut c_void,
    table: &'static Vtable<D>,
    seen: Arc<Seen>,
}

impl<D: Dialect> Raw<D> {
    fn new(manner: Manner) -> Self {
        let (this, seen) = Fake::object::<D>(manner);
        // SAFETY: an object begins with a pointer to its table, which is a constant.
        let table = unsafe { &**this.cast::<*const Vtable<D>>() };
        Self { this, table, seen }
    }

    fn error(&self) -> String {
        let mut text = [DIRTY; 140];
        // SAFETY: room for more than the interface asks for.
        unsafe { (self.table.get_error_message)(self.this, text.as_mut_ptr()) };
        assert!(text[..124].contains(&0) && text[124..].iter().all(|&byte| byte == DIRTY));
        read_text(&text)
    }
}

impl<D: Dialect> Drop for Raw<D> {
    fn drop(&mut self) {
        // SAFETY: the one reference.
        unsafe { (self.table.release)(self.this) };
        assert_eq!(self.seen.released.load(Ordering::SeqCst), 1);
    }
}

fn callbacks<D: Dialect>() -> Callbacks<D> {
    unsafe extern "C" fn switch<L: Long>(_: L, _: L) {}
    Callbacks {
        buffer_switch: Some(switch::<D::Long>),
        sample_rate_did_change: None,
        message: None,
        buffer_switch_time_info: None,
    }
}

/// Calls every slot that takes a pointer with null for all of them.
fn all_null<D: Dialect>(raw: &Raw<D>, this: *mut c_void) -> Vec<i32> {
    let t = raw.table;

    let one = D::Long::from_i32(1);
    // SAFETY: null is what the guard must refuse.
    let codes = unsafe {
        (t.get_driver_name)(this, ptr::null_mut());
        (t.get_error_message)(this, ptr::null_mut());
        [
            (t.query_interface)(this, ptr::null_mut(), ptr::null_mut()),
            (t.get_channels)(this, ptr::null_mut(), ptr::null_mut()),
            (t.get_latencies)(this, ptr::null_mut(), ptr::null_mut()),
            (t.get_buffer_size)(
                this,
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
            ),
            (t.get_sample_rate)(this, ptr::null_mut()),
            (t.get_clock_sources)(this, ptr::null_mut(), ptr::null_mut()),
            (t.get_sample_position)(this, ptr::null_mut(), ptr::null_mut()),
            (t.get_channel_info)(this, ptr::null_mut()),
            (t.create_buffers)(this, ptr::null_mut(), one, one, ptr::null_mut()),
            (t.future)(this, D::Long::from_i32(3), ptr::null_mut()),
            (t.future)(this, D::Long::from_i32(4), ptr::null_mut()),
            (t.future)(this, D::Long::from_i32(5), ptr::null_mut()),
            (t.future)(this, D::Long::from_i32(0x2311_1961), ptr::null_mut()),
            (t.future)(this, D::Long::from_i32(0x2504_2012), ptr::null_mut()),
        ]
    };
    codes.iter().map(|code| code.to_i32()).collect()
}

fn null_pointers_are_refused<D: Dialect>() {
    let raw = Raw::<D>::new(Manner::Good);
    for this in [raw.this, ptr::null_mut()] {
        let codes = all_null(&raw, this);
        assert_eq!(codes[0], 0x8000_4003_u32.cast_signed());
        assert!(codes[1..].iter().all(|&code| code == -998), "{codes:?}");
    }
    // Only the name was asked of the driver itself.
    assert_eq!(*raw.seen.calls.lock().unwrap(), ["name"]);
    let t = raw.table;

    let zero = D::Long::from_i32(0);
    // SAFETY: a null object is what the guard must refuse.
    let codes = unsafe {
        [
            (t.start)(ptr::null_mut()),
            (t.stop)(ptr::null_mut()),
            (t.can_sample_rate)(ptr::null_mut(), 0.0),
            (t.set_sample_rate)(ptr::null_mut(), 0.0),
            (t.set_clock_source)(ptr::null_mut(), zero),
            (t.dispose_buffers)(ptr::null_mut()),
            (t.control_panel)(ptr::null_mut()),
            (t.output_ready)(ptr::null_mut()),
        ]
    };
    assert!(codes.iter().all(|code| code.to_i32() == -998), "{codes:?}");
    // SAFETY: as above.
    let zeros = unsafe {
        [
            (t.init)(ptr::null_mut(), ptr::null_mut()),
            (t.add_ref)(ptr::null_mut()),
            (t.release)(ptr::null_mut()),
            (t.get_driver_version)(ptr::null_mut()),
        ]
    };
    assert_eq!(zeros, [zero; 4]);
}

#[test]
fn null_pointers_are_refused_by_every_slot() {
    null_pointers_are_refused::<Windows>();
    null_pointers_are_refused::<Unix>();
}

fn refusals_leave_zeros<D: Dialect>(manner: Manner, wanted: Code) {
    let raw = Raw::<D>::new(manner);
    let (t, this) = (raw.table, raw.this);
    let dirty = D::Long::from_i32(-77);
    let zero = D::Long::from_i32(0);
    let mut longs = [dirty; 9];
    let mut rate_hz = -1.0;
    let (mut position, mut time) = (D::Samples::from_u64(5), D::Samples::from_u64(6));
    let mut info = ChannelInfo::<D> {
        channel: zero,
        is_input: zero,
        is_active: dirty,
        group: dirty,
        sample_type: dirty,
        name: [DIRTY; 32],
    };
    let [a, b, c, d, e, f, g, h, i] = &mut longs;
    // SAFETY: arguments of these slots, in this dialect.
    let codes = unsafe {
        [
            (t.get_channels)(this, a, b),
            (t.get_latencies)(this, c, d),
            (t.get_buffer_size)(this, e, f, g, h),
            (t.get_sample_rate)(this, &raw mut rate_hz),
            (t.get_sample_position)(this, &raw mut position, &raw mut time),
            (t.get_channel_info)(this, &raw mut info),
            (t.get_clock_sources)(this, ptr::null_mut(), i),
            (t.output_ready)(this),
            (t.start)(this),
        ]
    };
    assert!(codes.iter().all(|code| code.to_i32() == wanted.0), "{codes:?}");
    assert_eq!(longs, [zero; 9]);
    assert_eq!((rate_hz, position.to_u64(), time.to_u64()), (0.0, 0, 0));
    assert_eq!((info.is_active, info.sample_type, info.name), (zero, zero, [0; 32]));
    // SAFETY: as above.
    assert_eq!(unsafe { (t.init)(this, ptr::null_mut()) }, zero);
    assert!(!raw.error().is_empty());
}

#[test]
fn a_refusal_leaves_zeros_and_words() {
    refusals_leave_zeros::<Windows>(Manner::Refuses, Code::NO_CLOCK);
    refusals_leave_zeros::<Unix>(Manner::Refuses, Code::NO_CLOCK);
}

#[test]
fn a_panic_within_the_driver_is_a_code_and_a_sentence() {
    refusals_leave_zeros::<Windows>(Manner::Panics, Code::HW_MALFUNCTION);
    refusals_leave_zeros::<Unix>(Manner::Panics, Code::HW_MALFUNCTION);
    let raw = Raw::<Unix>::new(Manner::Panics);
    // SAFETY: arguments of this slot.
    unsafe { (raw.table.set_clock_source)(raw.this, 1) };
    assert_eq!(raw.error(), "a defect of the driver itself, in setClockSource");
    // SAFETY: as above.
    unsafe { (raw.table.output_ready)(raw.this) };
    assert_eq!(raw.error(), "a defect of the driver itself, in setClockSource", "no words here");
}

fn texts_are_bounded<D: Dialect>() {
    let raw = Raw::<D>::new(Manner::Refuses);
    let mut name = [DIRTY; 40];
    // SAFETY: room for more than the interface asks for.
    unsafe { (raw.table.get_driver_name)(raw.this, name.as_mut_ptr()) };
    assert!(name[..32].ends_with(&[0]) && name[32..].iter().all(|&byte| byte == DIRTY));
    assert!(std::str::from_utf8(&name[..31]).is_ok(), "no character is cut in two");
    // SAFETY: no arguments.
    unsafe { (raw.table.start)(raw.this) };
    assert!(raw.error().len() > 100);
}

#[test]
fn texts_are_bounded_in_both_dialects() {
    texts_are_bounded::<Windows>();
    texts_are_bounded::<Unix>();
}

fn absurd_counts<D: Dialect>() {
    let raw = Raw::<D>::new(Manner::Good);
    let (t, this, long) = (raw.table, raw.this, D::Long::from_i32);
    let callbacks = callbacks::<D>();
    let poison = ptr::without_provenance_mut(8);
    let mut info = BufferInfo::<D> { is_input: long(1), channel: long(0), buffers: [poison; 2] };
    for count in [0, -1, i32::MIN, i32::MAX, 100_000] {
        // SAFETY: the guard must refuse the count before it follows the pointer.
        let code = unsafe {
            (t.create_buffers)(this, &raw mut info, long(count), long(64), &raw const callbacks)
        };
        assert_eq!(code, long(-998));
    }
    let none = Callbacks { buffer_switch: None, ..callbacks };
    // SAFETY: one entry, as told.
    let code =
        unsafe { (t.create_buffers)(this, &raw mut info, long(1), long(64), &raw const none) };
    assert_eq!((code, info.buffers), (long(-998), [ptr::null_mut(); 2]));
    assert_eq!(raw.seen.count(), 0, "the driver heard of none of it");

    let dirty = ClockSource::<D> {
        index: long(-7),
        channel: long(-7),
        group: long(-7),
        is_current: long(-7),
        name: [DIRTY; 32],
    };
    for (room, written) in [(-5, 0), (0, 0), (1, 1), (2, 2), (3, 3), (i32::MAX, 3)] {
        let mut places = [dirty; 4];
        let mut count = long(room);
        // SAFETY: the driver has three sources, so no more than three may be written.
        let code = unsafe { (t.get_clock_sources)(this, places.as_mut_ptr(), &raw mut count) };
        assert_eq!((code, count), (long(0), long(3)));
        assert!(places[..written].iter().all(|place| place.name[0] == b'c'));
        assert!(places[written..].iter().all(|place| place.name == [DIRTY; 32]));
    }
}

#[test]
fn absurd_counts_are_refused_and_nothing_is_written_past_the_room() {
    absurd_counts::<Windows>();
    absurd_counts::<Unix>();
}

#[test]
fn structures_need_not_be_aligned() {
    let raw = Raw::<Windows>::new(Manner::Good);
    let mut memory = [0_u8; 64];
    let place = memory[1..].as_mut_ptr().cast::<ChannelInfo<Windows>>();
    // SAFETY: 52 bytes of room.
    let code = unsafe { (raw.table.get_channel_info)(raw.this, place) };
    assert_eq!((code, memory[1 + 16]), (0, 18));
}

#[test]
fn a_driver_that_leaves_a_channel_without_buffers_is_found_out() {
    let raw = Raw::<Unix>::new(Manner::Forgets);
    let poison = ptr::without_provenance_mut(8);
    let mut infos = [BufferInfo::<Unix> { is_input: 1, channel: 0, buffers: [poison; 2] }; 2];
    let callbacks = callbacks::<Unix>();
    // SAFETY: two entries, as told.
    let code = unsafe {
        (raw.table.create_buffers)(raw.this, infos.as_mut_ptr(), 2, 64, &raw const callbacks)
    };
    assert_eq!(code, L::from_i32(Code::HW_MALFUNCTION.0));
    assert!(infos.iter().all(|info| info.buffers == [ptr::null_mut(); 2]));
    assert_eq!(raw.seen.last(), "dispose");
}

#[test]
fn buffers_that_are_in_use_are_not_taken_from_the_array_that_holds_them() {
    for (manner, left) in [(Manner::HasBuffers, 8), (Manner::Refuses, 0)] {
        let raw = Raw::<Unix>::new(manner);
        let half = ptr::without_provenance_mut(8);
        let mut info = BufferInfo::<Unix> { is_input: 1, channel: 0, buffers: [half; 2] };
        let callbacks = callbacks::<Unix>();
        // SAFETY: one entry, as told.
        let code = unsafe {
            (raw.table.create_buffers)(raw.this, &raw mut info, 1, 64, &raw const callbacks)
        };
        assert!(code < 0);
        assert_eq!(info.buffers.map(<*mut c_void>::addr), [left; 2]);
    }
}

static LET_GO: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

unsafe extern "C" fn let_go(_: L, _: L, _: *mut c_void, _: *mut f64) -> L {
    let this = LET_GO.load(Ordering::SeqCst);
    // SAFETY: an object begins with a pointer to its table; the test's only reference is given up here.
    unsafe { ((**this.cast::<*const Vtable<Unix>>()).release)(this) }
}

#[test]
fn a_host_may_let_go_inside_a_question_and_the_call_still_ends_well() {
    let (this, seen) = Fake::object::<Unix>(Manner::Asks);
    LET_GO.store(this, Ordering::SeqCst);
    // SAFETY: an object begins with a pointer to its table.
    let table = unsafe { &**this.cast::<*const Vtable<Unix>>() };
    let callbacks = Callbacks { message: Some(let_go), ..callbacks::<Unix>() };
    let mut info = BufferInfo::<Unix> { is_input: 0, channel: 0, buffers: [ptr::null_mut(); 2] };
    // SAFETY: one entry, as told.
    unsafe { (table.create_buffers)(this, &raw mut info, 1, 64, &raw const callbacks) };
    assert_eq!(seen.calls.lock().unwrap()[0], "after the question: 0", "still there");
    assert_eq!(seen.released.load(Ordering::SeqCst), 1);
}

#[test]
fn an_object_without_a_table_is_no_driver() {
    let mut object = [ptr::null_mut::<c_void>(); 4];
    // SAFETY: what begins with a null pointer must be refused.
    assert!(unsafe { DriverRef::<Unix>::from_raw(object.as_mut_ptr().cast()) }.is_none());
}
