//! The specimen's object: the interface's methods, each with the faults that belong to it.

use crate::device::{CHANNELS, Device, L, Plane, Run, S, Shared, crash, told_position};
use crate::faults::{Kind, chosen, has};
use crate::slots;
use barewire_abi::constants::message;
use barewire_abi::layout::{BufferInfo, Callbacks, ChannelInfo, ClockSource};
use barewire_abi::{Code, Guid, Long, Native, Samples, Vtable, write_text};
use barewire_rt::LentMemory;
use std::ffi::c_void;
use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

const RATES: [f64; 3] = [44_100.0, 48_000.0, 96_000.0];
const MIN: i32 = 32;
const MAX: i32 = 512;
const PREFERRED: i32 = 64;
/// How long a stop waits for a blocked callback.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longer than any watchdog.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// The rate that was set last in this process.
static REMEMBERED: AtomicU64 = AtomicU64::new(0);
/// Latency that grows with each use, of a specimen that does so.
static GROWN: AtomicU32 = AtomicU32::new(0);

#[repr(C)]
pub(crate) struct Object {
    vtable: *const Vtable<Native>,
    references: AtomicU32,
    rate: Arc<AtomicU64>,
    is_initialized: AtomicBool,
    ready_used: AtomicBool,
    ready_asked: AtomicU32,
    state: Mutex<State>,
    shared: Mutex<Arc<Shared>>,
}

#[derive(Default)]
struct State {
    text: String,
    buffers: Option<Buffers>,
    run: Option<Run>,
    /// A refusal left this behind.
    stuck: bool,
    starts: u64,
    pending_rate: Option<f64>,
}

struct Buffers {
    planes: Vec<Plane>,
    memory: Arc<LentMemory>,
    frames: i32,
    callbacks: Callbacks<Native>,
    host: *const Callbacks<Native>,
    wants_time: bool,
}

pub(crate) fn it<'a>(this: *mut c_void) -> &'a Object {
    // SAFETY: the pointer that `make` gave, alive while the host holds a reference.
    unsafe { &*this.cast::<Object>() }
}

pub(crate) fn put<T>(place: *mut T, value: T) -> bool {
    if place.is_null() && !has(Kind::CrashesAtNull) {
        return false;
    }
    // SAFETY: the host's own memory for a value of this type.
    unsafe { place.write_unaligned(value) };
    true
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A new object with one reference.
pub(crate) fn make() -> *mut c_void {
    if has(Kind::NoObject) {
        return ptr::null_mut();
    }
    if has(Kind::LeaksMemory) {
        std::mem::forget(black_box(vec![1_u8; 1 << 17]));
    }
    let remembered = match REMEMBERED.load(Ordering::SeqCst) {
        bits if bits != 0 && !has(Kind::ForgetsRate) => bits,
        _ => 48_000.0_f64.to_bits(),
    };
    let object = Object {
        vtable: slots::vtable(),
        references: AtomicU32::new(1),
        rate: Arc::new(AtomicU64::new(remembered)),
        is_initialized: AtomicBool::new(false),
        ready_used: AtomicBool::new(false),
        ready_asked: AtomicU32::new(0),
        state: Mutex::default(),
        shared: Mutex::default(),
    };
    Box::into_raw(Box::new(object)).cast()
}

pub(crate) fn query_interface(this: *mut c_void, id: *const Guid, place: *mut *mut c_void) -> i32 {
    // SAFETY: the caller's id.
    let known = !id.is_null() && unsafe { id.read_unaligned() } == Guid::IUNKNOWN;
    if known {
        add_ref(this);
        put(place, this);
        return 0;
    }
    if !has(Kind::RefusalWithPointer) {
        put(place, ptr::null_mut());
    }
    0x8000_4002_u32.cast_signed()
}

pub(crate) fn add_ref(this: *mut c_void) -> u32 {
    it(this).references.fetch_add(1, Ordering::SeqCst) + 1
}

pub(crate) fn release(this: *mut c_void) -> u32 {
    let count = it(this).references.fetch_sub(1, Ordering::SeqCst) - 1;
    if count > 0 {
        return count;
    }
    if has(Kind::RunsOnWhenReleased) {
        return 0;
    }
    if has(Kind::ReleaseNeedsInit) && !it(this).is_initialized.load(Ordering::SeqCst) {
        crash();
    }
    // SAFETY: the last reference is gone; it came from a box.
    let object = unsafe { Box::from_raw(this.cast::<Object>()) };
    if is_own(&object) {
        lock(&object.shared).released.store(true, Ordering::SeqCst);
    }
    end_run(&object);
    u32::from(has(Kind::ReleaseNeverEnds))
}

pub(crate) fn init(object: &Object, handle: *mut c_void) -> i32 {
    if has(Kind::InitFollowsHandle) && !handle.is_null() {
        // SAFETY: none; this is what the fault is.
        std::hint::black_box(unsafe { handle.cast::<u8>().read_volatile() });
    }
    if has(Kind::InitFailsSilently) {
        return 0;
    }
    #[cfg(windows)]
    if has(Kind::ShunsMultithreaded) && crate::factory::is_multithreaded() {
        return 0;
    }
    if has(Kind::LeaksThreads) {
        thread::spawn(|| thread::sleep(FOR_EVER));
    }
    object.is_initialized.store(true, Ordering::SeqCst);
    if has(Kind::InitAnswersTwo) { 2 } else { 1 }
}

fn text(place: *mut u8, room: usize, words: &str) {
    if place.is_null() && !has(Kind::CrashesAtNull) {
        return;
    }
    let mut bytes = [0; 256];
    write_text(&mut bytes[..room], words);
    // SAFETY: the host's room, as far as the specimen is right about it.
    unsafe { ptr::copy(bytes.as_ptr(), place, room) };
}

pub(crate) fn driver_name(place: *mut u8) {
    match chosen().map(|fault| fault.kind) {
        // SAFETY: 32 bytes of the host's.
        Some(Kind::NameUnterminated) => unsafe { ptr::write_bytes(place, b'x', 32) },
        Some(Kind::NameTooLong) => text(place, 40, "Specimen"),
        _ => text(place, 32, "Specimen"),
    }
}

pub(crate) fn version(object: &Object) -> i32 {
    let ready = object.is_initialized.load(Ordering::SeqCst);
    match chosen().map(|fault| fault.kind) {
        Some(Kind::VersionChanges) if ready => 2,
        Some(Kind::VersionNegative) => -1,
        _ => 1,
    }
}

pub(crate) fn error_message(object: &Object, place: *mut u8) {
    let room = if has(Kind::ErrorTextTooLong) { 200 } else { 124 };
    let words = lock(&object.state).text.clone();
    text(place, room, &words);
}

impl Object {
    /// Whether `init` was called; what a specimen does that does not ask.
    fn is_ready(&self) -> bool {
        let ready = self.is_initialized.load(Ordering::SeqCst);
        if !ready && has(Kind::CrashesBeforeInit) {
            crash();
        }
        ready
    }

    pub(crate) fn has_buffers(&self) -> bool {
        lock(&self.state).buffers.is_some()
    }

    fn rate_hz(&self) -> f64 {
        f64::from_bits(self.rate.load(Ordering::SeqCst))
    }
}

pub(crate) fn channels(object: &Object, inputs: *mut L, outputs: *mut L) -> Code {
    static INSIDE: AtomicU32 = AtomicU32::new(0);
    if has(Kind::FreesUnderCalls) {
        if INSIDE.fetch_add(1, Ordering::SeqCst) > 0 {
            crash();
        }
        thread::yield_now();
        INSIDE.fetch_sub(1, Ordering::SeqCst);
    }
    if !object.is_ready() {
        return if has(Kind::SuccessBeforeInit) { Code::SUCCESS } else { Code::NOT_PRESENT };
    }
    let count = if has(Kind::NoChannels) { 0 } else { 4 };
    if !put(inputs, L::from_i32(count)) {
        return Code::INVALID_PARAMETER;
    }
    if has(Kind::ChannelsHalfWritten) || put(outputs, L::from_i32(count)) {
        Code::OK
    } else {
        Code::INVALID_PARAMETER
    }
}

pub(crate) fn latencies(object: &Object, input: *mut L, output: *mut L) -> Code {
    if !object.is_ready() {
        return Code::NOT_PRESENT;
    }
    let state = lock(&object.state);
    let frames = state.buffers.as_ref().map_or(PREFERRED, |buffers| buffers.frames);
    let is_direct = object.ready_used.load(Ordering::SeqCst) && !has(Kind::OutputReadyUseless);
    let blocks = if is_direct { 1 } else { 2 };
    let runs = state.run.as_ref().is_some_and(|run| !run.shared.stop.load(Ordering::SeqCst));
    let size = chosen().map_or(0, |fault| i32::try_from(fault.size).unwrap_or(0));
    let told = match chosen().map(|fault| fault.kind) {
        Some(Kind::LatencyZero) => (0, 0),
        Some(Kind::LatencyWrong) => (frames + 300 + size, frames * blocks),
        Some(Kind::LatencyShifts) if runs => (frames * 2, frames * blocks),
        Some(Kind::GrowsLatency) => {
            let grown = i32::try_from(GROWN.load(Ordering::SeqCst)).unwrap_or(0);
            (frames + grown, frames * blocks)
        }
        _ => (frames, frames * blocks),
    };
    if put(input, L::from_i32(told.0)) && put(output, L::from_i32(told.1)) {
        Code::OK
    } else {
        Code::INVALID_PARAMETER
    }
}

pub(crate) fn buffer_size(
    object: &Object,
    min: *mut L,
    max: *mut L,
    preferred: *mut L,
    granularity: *mut L,
) -> Code {
    let places = [min, max, preferred, granularity];
    if !object.is_ready() {
        return Code::NOT_PRESENT;
    }
    let mut told = [MIN, MAX, PREFERRED, -1];
    match chosen().map(|fault| fault.kind) {
        Some(Kind::PreferredZero) => told[2] = 0,
        Some(Kind::GranularityLies) => told[3] = 100,
        _ => {}
    }
    if places.into_iter().zip(told).all(|(place, value)| put(place, L::from_i32(value))) {
        Code::OK
    } else {
        Code::INVALID_PARAMETER
    }
}

fn is_offered(rate_hz: f64) -> bool {
    RATES.iter().any(|rate| (rate - rate_hz).abs() < 0.5)
}

pub(crate) fn can_sample_rate(object: &Object, rate_hz: f64) -> Code {
    if !object.is_ready() {
        return Code::NOT_PRESENT;
    }
    if has(Kind::AcceptsNan) && rate_hz.is_nan() {
        return Code::OK;
    }
    match is_offered(rate_hz) {
        true if has(Kind::RateQuestionSuccess) => Code::SUCCESS,
        true => {
            if has(Kind::RateQuestionSets) {
                object.rate.store(rate_hz.to_bits(), Ordering::SeqCst);
            }
            Code::OK
        }
        false => Code::NO_CLOCK,
    }
}

pub(crate) fn sample_rate(object: &Object, place: *mut f64) -> Code {
    if !object.is_ready() {
        return Code::NOT_PRESENT;
    }
    if has(Kind::QueryDeadlocks) {
        let shared = lock(&object.shared).clone();
        // The lock that is held over the host's callback.
        while shared.held.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
    }
    let rate_hz = if has(Kind::RateZero) { 0.0 } else { object.rate_hz() };
    if put(place, rate_hz) { Code::OK } else { Code::INVALID_PARAMETER }
}

pub(crate) fn set_sample_rate(object: &Object, rate_hz: f64) -> Code {
    if !object.is_ready() {
        return Code::NOT_PRESENT;
    }
    if !is_offered(rate_hz) && !has(Kind::AcceptsAnyRate) {
        if has(Kind::RefusalChangesRate) {
            object.rate.store(44_100.0_f64.to_bits(), Ordering::SeqCst);
        }
        return Code::NO_CLOCK;
    }
    let mut state = lock(&object.state);
    if has(Kind::RateLags) {
        let last = state.pending_rate.replace(rate_hz);
        object.rate.store(last.unwrap_or(48_000.0).to_bits(), Ordering::SeqCst);
        return Code::OK;
    }
    object.rate.store(rate_hz.to_bits(), Ordering::SeqCst);
    REMEMBERED.store(rate_hz.to_bits(), Ordering::SeqCst);
    if let Some(run) = state.run.as_ref().filter(|_| has(Kind::RateStopsRun)) {
        run.shared.stop.store(true, Ordering::SeqCst);
    }
    let callbacks = state.buffers.as_ref().map(|buffers| buffers.callbacks);
    drop(state);
    if has(Kind::TellsSameRate)
        && let Some(function) = callbacks.and_then(|callbacks| callbacks.sample_rate_did_change)
    {
        // SAFETY: the host's function.
        unsafe { function(rate_hz) };
    }
    Code::OK
}

pub(crate) fn clock_sources(
    object: &Object,
    list: *mut ClockSource<Native>,
    count: *mut L,
) -> Code {
    if has(Kind::ExitsInClockSources) {
        std::process::exit(0);
    }
    if has(Kind::LoopsInClockSources) {
        thread::sleep(FOR_EVER);
    }
    if !object.is_ready() {
        return Code::NOT_PRESENT;
    }
    if list.is_null() || count.is_null() {
        if has(Kind::CrashesAtNull) {
            crash();
        }
        return Code::INVALID_PARAMETER;
    }
    // SAFETY: the host's number.
    let room = usize::try_from(unsafe { count.read_unaligned() }.to_i32()).unwrap_or(0);
    for (n, name) in ["Internal", "Other"].into_iter().enumerate() {
        if n >= room && !has(Kind::ClocksOverrun) {
            break;
        }
        let number = L::from_i32(i32::try_from(n).unwrap_or(0));
        let in_force = n == 0 || has(Kind::TwoClocksInForce);
        let none = L::from_i32(-1);
        let is_current = L::from_i32(i32::from(in_force));
        let mut source =
            ClockSource { index: number, channel: none, group: none, is_current, name: [b'x'; 32] };
        if !has(Kind::ClockUnterminated) {
            write_text(&mut source.name, name);
        }
        // SAFETY: inside of the host's room, or the fault.
        unsafe { list.add(n).write_unaligned(source) };
    }
    put(count, L::from_i32(2));
    Code::OK
}

pub(crate) fn set_clock_source(object: &Object, index: L) -> Code {
    match index.to_i32() {
        _ if !object.is_ready() => Code::NOT_PRESENT,
        0 | 1 => Code::OK,
        _ => Code::INVALID_PARAMETER,
    }
}

pub(crate) fn sample_position(object: &Object, position: *mut S, time: *mut S) -> Code {
    if !object.is_ready() {
        return Code::NOT_PRESENT;
    }
    if has(Kind::SlowQueries) {
        thread::sleep(Duration::from_millis(2));
    }
    let shared = lock(&object.shared).clone();
    let runs = shared.first_done.load(Ordering::SeqCst) || shared.held.load(Ordering::SeqCst);
    let stopped = shared.stop.load(Ordering::SeqCst);
    if (!runs || stopped) && !has(Kind::PositionAtRest) {
        return Code::SP_NOT_ADVANCING;
    }
    let mut told = told_position(shared.position.load(Ordering::SeqCst));
    if has(Kind::PositionDisagrees) {
        told += 64;
    }
    let time_ns = shared.time_ns.load(Ordering::SeqCst);
    if put(position, S::from_u64(told)) && put(time, S::from_u64(time_ns)) {
        Code::OK
    } else {
        Code::INVALID_PARAMETER
    }
}

pub(crate) fn channel_info(object: &Object, place: *mut ChannelInfo<Native>) -> Code {
    if !object.is_ready() {
        return Code::NOT_PRESENT;
    }
    if place.is_null() {
        if has(Kind::CrashesAtNull) {
            crash();
        }
        return Code::INVALID_PARAMETER;
    }
    // SAFETY: the host's structure.
    let mut info = unsafe { place.read_unaligned() };
    let number = info.channel.to_i32();
    if !(0..4).contains(&number) {
        if has(Kind::CrashesAtChannel) {
            crash();
        }
        if !has(Kind::AnyChannel) {
            return Code::INVALID_PARAMETER;
        }
    }
    let is_input = info.is_input.to_i32() != 0;
    let state = lock(&object.state);
    let own =
        |plane: &Plane| plane.is_input == is_input && i32::try_from(plane.channel) == Ok(number);
    let active = state
        .buffers
        .as_ref()
        .is_some_and(|buffers| has(Kind::AlwaysActive) || buffers.planes.iter().any(own));
    info.is_active = L::from_i32(i32::from(active));
    info.group = L::default();
    info.sample_type = L::from_i32(if has(Kind::ChannelTypeUnknown) { 5 } else { 18 });
    info.name = [b'x'; 32];
    if !has(Kind::ChannelUnterminated) {
        write_text(&mut info.name, &format!("{} {number}", if is_input { "In" } else { "Out" }));
    }
    // SAFETY: the host's structure.
    unsafe { place.write_unaligned(info) };
    if has(Kind::ChannelOverrun) {
        // SAFETY: none; this is what the fault is.
        unsafe { place.add(1).cast::<u8>().write(0) };
    }
    Code::OK
}

/// What the host asks for, as the specimen understands it; `None` for nonsense.
fn planes(infos: *mut BufferInfo<Native>, count: i32) -> Option<Vec<Plane>> {
    let mut planes: Vec<Plane> = Vec::new();
    for n in 0..usize::try_from(count).ok()? {
        // SAFETY: inside of the host's entries.
        let info = unsafe { infos.add(n).read_unaligned() };
        let is_input = info.is_input.to_i32() != 0;
        let mut channel = info.channel.to_i32();
        if has(Kind::AcceptsAnyChannel) {
            channel = channel.clamp(0, 3);
        }
        if has(Kind::KeyedByPlace) {
            channel = i32::try_from(n % CHANNELS).ok()?;
        }
        let channel = usize::try_from(channel).ok().filter(|channel| *channel < CHANNELS)?;
        let again =
            planes.iter().any(|plane| plane.is_input == is_input && plane.channel == channel);
        if again && !has(Kind::KeyedByPlace) && !has(Kind::AcceptsAnyChannel) {
            return None;
        }
        planes.push(Plane { is_input, channel, first: 2 * n });
    }
    (!planes.is_empty()).then_some(planes)
}

fn is_size(frames: i32) -> bool {
    if has(Kind::AcceptsNoFrames) && frames == 0 {
        return true;
    }
    if has(Kind::UsesOtherSize) && frames == PREFERRED + 1 {
        return true;
    }
    let least = if has(Kind::RefusesLeast) { MIN + 1 } else { MIN };
    (least..=MAX).contains(&frames) && frames.count_ones() == 1
}

fn ask(callbacks: &Callbacks<Native>, selector: i32, value: i32) -> i32 {
    let Some(function) = callbacks.message else { return 0 };
    let (selector, value) = (L::from_i32(selector), L::from_i32(value));
    // SAFETY: the host's function.
    unsafe { function(selector, value, ptr::null_mut(), ptr::null_mut()) }.to_i32()
}

pub(crate) fn create_buffers(
    object: &Object,
    infos: *mut BufferInfo<Native>,
    count: L,
    frames: L,
    host: *const Callbacks<Native>,
) -> Code {
    let (count, frames) = (count.to_i32(), frames.to_i32());
    if !object.is_ready() {
        return Code::NOT_PRESENT;
    }
    if infos.is_null() && has(Kind::CrashesAtNoEntries) {
        crash();
    }
    {
        let state = lock(&object.state);
        if state.stuck || (state.buffers.is_some() && !has(Kind::CreatesWhileRunning)) {
            return Code::INVALID_MODE;
        }
    }
    let wanted = if infos.is_null() || host.is_null() { None } else { planes(infos, count) };
    let Some(planes) = wanted.filter(|_| is_size(frames)) else {
        lock(&object.state).stuck = has(Kind::StuckAfterRefusal);
        return Code::INVALID_PARAMETER;
    };
    if has(Kind::LeaksBuffers) {
        std::mem::forget(black_box(vec![1_u8; 1 << 17]));
    }
    // SAFETY: the host's structure.
    let callbacks = unsafe { host.read_unaligned() };
    let supports = ask(&callbacks, message::SELECTOR_SUPPORTED, message::SUPPORTS_TIME_INFO) == 1;
    let wants = supports && ask(&callbacks, message::SUPPORTS_TIME_INFO, 0) == 1;
    let version = ask(&callbacks, message::ENGINE_VERSION, 0);
    if has(Kind::NeedsVersionTwo) && version < 2 {
        return Code::HW_MALFUNCTION;
    }
    let believes = has(Kind::CallsNullTimeInfo) || has(Kind::BelievesInTimeInfo);
    let has_function = callbacks.buffer_switch_time_info.is_some() || believes;
    let wants_time =
        (wants || has(Kind::TimeInfoUnasked) || has(Kind::CallsNullTimeInfo)) && has_function;
    let bytes = usize::try_from(frames.max(MIN)).unwrap_or(0) * 4 + 64;
    let Some(memory) = LentMemory::new(planes.len() * 2, bytes) else { return Code::NO_MEMORY };
    let buffers = Buffers {
        planes,
        memory: Arc::new(memory),
        frames: if frames.count_ones() == 1 { frames } else { PREFERRED },
        callbacks,
        host,
        wants_time,
    };
    buffers.tell(infos);
    if has(Kind::GrowsLatency) {
        GROWN.fetch_add(1, Ordering::SeqCst);
    }
    if has(Kind::CallsInCreate) {
        buffers.device(object, 0, Arc::default()).block(0, 0, 1);
    }
    lock(&object.state).buffers = Some(buffers);
    Code::OK
}

impl Buffers {
    /// Writes the pointers.
    fn tell(&self, infos: *mut BufferInfo<Native>) {
        for (n, plane) in self.planes.iter().enumerate() {
            let mut halves = [self.memory.plane(plane.first), self.memory.plane(plane.first + 1)];
            match chosen().map(|fault| fault.kind) {
                Some(Kind::OneHalf) => halves[1] = halves[0],
                Some(Kind::SharedBuffers) => {
                    halves = [self.memory.plane(0), self.memory.plane(1)];
                }
                Some(Kind::NullHalf) => halves[1] = ptr::null_mut(),
                Some(Kind::OddAlignment) => halves = halves.map(|half| half.wrapping_add(4)),
                // SAFETY: a word of the specimen's own memory.
                Some(Kind::NoisyBuffers) => unsafe { halves[0].cast::<i32>().write(0x1234) },
                _ => {}
            }
            let place = infos.wrapping_add(n);
            // SAFETY: inside of the host's entries.
            unsafe { (&raw mut (*place).buffers).write_unaligned(halves.map(<*mut u8>::cast)) };
        }
        if has(Kind::ScribblesOverInfos) {
            // SAFETY: none; this is what the fault is.
            unsafe { infos.add(self.planes.len()).cast::<u8>().write(1) };
        }
    }

    fn device(&self, object: &Object, starts: u64, shared: Arc<Shared>) -> Device {
        let frames = usize::try_from(self.frames).unwrap_or(0);
        let mut silent = 2;
        if has(Kind::LatencyRestarts) && starts > 0 {
            silent += 1;
        }
        if has(Kind::LatencyMoody) {
            silent += usize::try_from(starts_of_process()).unwrap_or(0) % 3;
        }
        let goes_on = has(Kind::PositionGoesOn);
        Device {
            planes: self.planes.clone(),
            memory: self.memory.clone(),
            frames,
            rate_hz: object.rate.clone(),
            callbacks: self.callbacks,
            wants_time: self.wants_time,
            direct: object.ready_used.load(Ordering::SeqCst) && !has(Kind::OutputReadyUseless),
            shared,
            begin_position: if goes_on { starts * 4096 } else { 0 },
            line: (0..silent).map(|_| vec![0; frames * CHANNELS]).collect(),
            past: Vec::new(),
            pending: Vec::new(),
            last_rate: AtomicU64::new(0),
            ready_before: 0,
            unanswered: 0,
        }
    }
}

/// Counts starts, of whatever object.
fn starts_of_process() -> u64 {
    static STARTS: AtomicU64 = AtomicU64::new(0);
    STARTS.fetch_add(1, Ordering::SeqCst)
}

pub(crate) fn start(object: &Object) -> Code {
    let mut state = lock(&object.state);
    if let Some(code) = start_refused(&mut state) {
        return code;
    }
    if state.run.as_ref().is_some_and(|run| !run.shared.stop.load(Ordering::SeqCst)) {
        return Code::OK;
    }
    let starts = state.starts;
    let Some(buffers) = &state.buffers else {
        let careless =
            has(Kind::StartsWithoutBuffers) && object.is_initialized.load(Ordering::SeqCst);
        return if careless { Code::OK } else { Code::INVALID_MODE };
    };
    if has(Kind::CrashesInStart) {
        crash();
    }
    if has(Kind::FailsSilently) && starts_of_process() == 0 {
        return Code::HW_MALFUNCTION;
    }
    let shared: Arc<Shared> = Arc::default();
    let mut device = buffers.device(object, starts, shared.clone());
    state.starts += 1;
    *lock(&object.shared) = shared.clone();
    if has(Kind::NeverCalls) {
        return Code::OK;
    }
    let mut first = 0;
    if has(Kind::CallsWithinStart) {
        drop(state);
        device.block(0, 0, 1);
        first = 1;
        state = lock(&object.state);
    }
    state.run = Run::begin(device, first);
    drop(state);
    if has(Kind::WaitsInStart) {
        while !shared.first_done.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
    }
    Code::OK
}

/// Starts that come to nothing: while a callback of the last run has not returned, and those of faults.
fn start_refused(state: &mut State) -> Option<Code> {
    let last = state.run.as_ref().map(|run| run.shared.clone())?;
    let is_blocked = last.abandoned.load(Ordering::SeqCst) && !last.ended.load(Ordering::SeqCst);
    match chosen().map(|fault| fault.kind) {
        Some(Kind::StartLiesWhenBlocked) if is_blocked => Some(Code::OK),
        Some(Kind::StopWithinSticks) if last.stop.load(Ordering::SeqCst) => {
            Some(Code::INVALID_MODE)
        }
        _ => is_blocked.then_some(Code::HW_MALFUNCTION),
    }
}

fn is_own(object: &Object) -> bool {
    let id = lock(&object.state).run.as_ref().and_then(|run| run.id);
    id == Some(thread::current().id())
}

/// No lock is held meanwhile: a callback may be asking something.
fn end_run(object: &Object) {
    let Some(mut run) = lock(&object.state).run.take() else {
        let shared = lock(&object.shared).clone();
        if has(Kind::StopsMeet) && shared.held.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1500));
        }
        return;
    };
    let own = run.id == Some(thread::current().id());
    if own && has(Kind::StopWithinDeadlocks) {
        thread::sleep(FOR_EVER);
    }
    if has(Kind::StopNeedsOutputReady) && object.ready_used.load(Ordering::SeqCst) {
        let calls = run.shared.ready_calls.load(Ordering::SeqCst);
        while run.shared.ready_calls.load(Ordering::SeqCst) == calls {
            thread::sleep(Duration::from_millis(1));
        }
    }
    if has(Kind::StopWaitsLong) && object.ready_used.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(700));
    }
    run.end(if has(Kind::StopWaitsForEver) { FOR_EVER } else { PATIENCE });
    if own || run.shared.abandoned.load(Ordering::SeqCst) {
        lock(&object.state).run = Some(run);
    }
}

pub(crate) fn stop(object: &Object) -> Code {
    if has(Kind::SecondStopCrashes) && lock(&object.state).run.is_none() {
        crash();
    }
    if has(Kind::ReadsFreedCallbacks)
        && let Some(host) = freed_host()
    {
        // SAFETY: none; this is what the fault is.
        std::hint::black_box(unsafe { host.cast::<u8>().read_volatile() });
    }
    end_run(object);
    Code::OK
}

static HOST: AtomicU64 = AtomicU64::new(0);

/// The host's structure, which may be gone.
fn freed_host() -> Option<*const Callbacks<Native>> {
    let address = usize::try_from(HOST.load(Ordering::SeqCst)).ok()?;
    (address != 0).then(|| ptr::with_exposed_provenance(address))
}

pub(crate) fn dispose_buffers(object: &Object) -> Code {
    if lock(&object.state).buffers.is_none() && has(Kind::CrashesAtDispose) {
        crash();
    }
    let is_own = is_own(object);
    if !has(Kind::RunsOnWhenDisposed) {
        end_run(object);
    }
    if is_own && has(Kind::DisposeWithinForgets) {
        return Code::OK;
    }
    let buffers = lock(&object.state).buffers.take();
    match buffers {
        Some(buffers) => {
            HOST.store(buffers.host.expose_provenance() as u64, Ordering::SeqCst);
            if has(Kind::RunsOnWhenDisposed) {
                std::mem::forget(buffers);
            }
            Code::OK
        }
        None => Code::INVALID_MODE,
    }
}

pub(crate) fn output_ready(object: &Object) -> Code {
    let asked = object.ready_asked.fetch_add(1, Ordering::SeqCst);
    if has(Kind::OutputReadyMoody) && asked % 3 == 2 {
        return Code::NOT_PRESENT;
    }
    let shared = lock(&object.shared).clone();
    if has(Kind::OutputReadyNowAndThen) {
        return if shared.held.load(Ordering::SeqCst) { Code::OK } else { Code::NOT_PRESENT };
    }
    object.ready_used.store(true, Ordering::SeqCst);
    shared.ready_calls.fetch_add(1, Ordering::SeqCst);
    Code::OK
}
