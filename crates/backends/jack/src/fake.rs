//! A JACK server in simulated time, behind the same table of functions as the real libjack: the second proof of what a real
//! server shows only when the machine is quiet. Unit tests of this crate alone use it.
//!
//! It behaves as JACK2's asynchronous server does: what a client writes in a cycle goes out with the next one; a client that
//! is late costs whole cycles, by which the count of frames jumps; the notice of the xrun comes with the next cycle. Its
//! hardware is two channels each way, joined by a cable if that is wanted, with latencies of their own.

#![allow(clippy::expect_used, clippy::panic, reason = "a test may stop the world")]

mod cycles;
mod rules;

use crate::library::{Jack, LatencyRange, OnEnd, OnEvent, OnFrames, OnWords, RawClient, RawPort};
use barewire_rt::{Role, System};
use barewire_types::{Ns, RateHz, frames_to_ns};
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_ulong, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Channels of the hardware.
pub(crate) const CHANNELS: usize = 2;
/// Frames from a cycle's begin until what was written in it leaves the converter.
pub(crate) const PLAYBACK_LATENCY: u32 = 200;
/// Frames from the converter until a cycle that has the frame begins.
pub(crate) const CAPTURE_LATENCY: u32 = 120;

thread_local! {
    /// The server that clients of this thread reach.
    static SERVER: RefCell<Option<Arc<Server>>> = const { RefCell::new(None) };
}

/// What the hardware was played.
#[derive(Default)]
pub(crate) struct Tape {
    /// Interleaved, since the server's start.
    pub(crate) samples: Vec<f32>,
    /// Where the cycle lay in `samples` in which the client first read its inputs since it last did not.
    pub(crate) run_begin: usize,
    was_read: bool,
}

/// A server with room for one client.
pub(crate) struct Server {
    pub(crate) system: Arc<dyn System>,
    pub(crate) rate: RateHz,
    pub(crate) period_frames: AtomicU32,
    state: Mutex<State>,
    ends: Arc<AtomicBool>,
    /// Whether a cable joins the hardware's outputs with its inputs.
    is_cabled: bool,
    /// 1 while the client is called.
    calls: AtomicU32,
    /// How long the server stands still when its next cycle is due.
    pause_ns: AtomicU64,
}

#[derive(Default)]
struct State {
    client: Option<Box<Client>>,
    tape: Tape,
    /// The server's count of frames.
    frame: u32,
    cycle_us: u64,
    xruns: u32,
}

struct Client {
    is_active: bool,
    process: Option<OnFrames>,
    shutdown: Option<OnEnd>,
    buffer_size: Option<OnFrames>,
    xrun: Option<OnEvent>,
    place: *mut c_void,
    #[expect(clippy::vec_box, reason = "the client has the ports' addresses")]
    ports: Vec<Box<Port>>,
}

// SAFETY: the pointers are the client's, who keeps them valid for every thread of libjack's.
unsafe impl Send for Client {}

struct Port {
    name: CString,
    is_input: bool,
    buffer: Vec<f32>,
    /// The hardware's channel that it is connected with.
    channel: Option<usize>,
}

impl Server {
    /// Starts a server that this thread's clients reach.
    pub(crate) fn start(
        system: &Arc<dyn System>,
        period_frames: u32,
        is_cabled: bool,
    ) -> Arc<Self> {
        let server = Arc::new(Self {
            system: system.clone(),
            rate: RateHz::DAT,
            period_frames: AtomicU32::new(period_frames),
            // Near the end of the count's range, so that it wraps in every test.
            state: Mutex::new(State {
                frame: u32::MAX - 5 * period_frames,
                tape: Tape {
                    samples: vec![0.0; period_frames as usize * CHANNELS],
                    ..Tape::default()
                },
                ..State::default()
            }),
            ends: Arc::default(),
            is_cabled,
            calls: AtomicU32::new(0),
            pause_ns: AtomicU64::new(0),
        });
        let its = server.clone();
        let run = Box::new(move || its.run());
        system.spawn("server", Role::Device, run).expect("a thread");
        SERVER.set(Some(server.clone()));
        server
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the server.
    pub(crate) fn kill(&self) {
        self.ends.store(true, Ordering::Release);
    }

    /// Tells its clients that it runs with other cycles from now on.
    pub(crate) fn resize(&self, frames: u32) {
        let told = self
            .state()
            .client
            .as_ref()
            .and_then(|client| Some((client.buffer_size?, client.place)));
        if let Some((tell, place)) = told {
            // SAFETY: as the client gave them.
            unsafe { tell(frames, place) };
        }
        self.period_frames.store(frames, Ordering::Release);
    }

    /// Lets the server stand still for so long, as one that was suspended.
    pub(crate) fn pause(&self, length_ns: Ns) {
        self.pause_ns.store(length_ns, Ordering::Release);
    }

    /// Its own count of xruns.
    pub(crate) fn xruns(&self) -> u32 {
        self.state().xruns
    }

    /// What was played since the first cycle of the client's latest run, with the cycle before it.
    pub(crate) fn heard(&self) -> Vec<f32> {
        let state = self.state();
        let period = self.period_frames.load(Ordering::Acquire) as usize * CHANNELS;
        let begin = state.tape.run_begin.saturating_sub(period);
        state.tape.samples[begin..].to_vec()
    }

    fn run(&self) {
        let mut next = self.system.now_ns();
        let mut cycle = 0_u32;
        let mut notice_at = None;
        while !self.ends.load(Ordering::Acquire) {
            let frames = self.period_frames.load(Ordering::Acquire);
            let period_ns = frames_to_ns(frames.into(), self.rate);
            next += period_ns;
            self.sleep_until(next);
            let pause_ns = self.pause_ns.swap(0, Ordering::AcqRel);
            self.sleep_until(next + pause_ns);
            let late_ns = self.system.now_ns() - next;
            let lost = u32::try_from(late_ns / period_ns).unwrap_or(0);
            if lost > 0 {
                self.lose(lost, frames, pause_ns == 0);
                next += u64::from(lost) * period_ns;
                // With this cycle or one soon after, as it happens.
                notice_at = Some(cycle + cycle % 3);
            } else if cycle.is_multiple_of(50) {
                // Late by next to nothing, and told all the same.
                notice_at = notice_at.or(Some(cycle));
            }
            if notice_at.is_some_and(|at| at <= cycle) {
                notice_at = None;
                self.notify();
            }
            self.cycle(frames, next);
            cycle += 1;
        }
        let end =
            self.state().client.as_ref().and_then(|client| Some((client.shutdown?, client.place)));
        if let Some((shutdown, place)) = end {
            // SAFETY: as the client gave them.
            unsafe { shutdown(place) };
        }
    }

    /// Cycles were lost: because the client was late, which the server sees and counts, or because the server itself did not
    /// run, of which it knows nothing but that it is late.
    fn lose(&self, lost: u32, frames: u32, counts: bool) {
        let mut state = self.state();
        state.xruns += 1;
        if counts {
            state.frame = state.frame.wrapping_add(lost * frames);
        }
        let silence = lost as usize * frames as usize * CHANNELS;
        state.tape.samples.extend(std::iter::repeat_n(0.0, silence));
    }

    fn notify(&self) {
        let client =
            self.state().client.as_ref().and_then(|client| Some((client.xrun?, client.place)));
        if let Some((xrun, place)) = client {
            // SAFETY: as the client gave them.
            unsafe { xrun(place) };
        }
    }

    fn sleep_until(&self, until: Ns) {
        while self.system.now_ns() < until && !self.ends.load(Ordering::Acquire) {
            self.system.sleep(&AtomicU32::new(0), 0, until);
        }
    }

    /// The samples that the hardware captured in the cycle that begins now.
    fn captured(&self, tape: &Tape, frames: usize, channel: usize) -> Vec<f32> {
        let delay = (PLAYBACK_LATENCY + CAPTURE_LATENCY) as usize;
        let end = tape.samples.len() / CHANNELS + frames;
        (end - frames..end)
            .map(|n| n.checked_sub(delay).and_then(|n| tape.samples.get(n * CHANNELS + channel)))
            .map(|sample| if self.is_cabled { sample.copied().unwrap_or(0.0) } else { 0.0 })
            .collect()
    }

    fn cycle(&self, frames: u32, at: Ns) {
        self.calls.store(1, Ordering::Release);
        let mut guard = self.state();
        let state = &mut *guard;
        state.frame = state.frame.wrapping_add(frames);
        state.cycle_us = at / 1000;
        let length = frames as usize;
        if let Some(client) = state.client.as_mut() {
            for port in &mut client.ports {
                let channel = port.channel.filter(|_| port.is_input);
                let fresh = channel.map(|channel| self.captured(&state.tape, length, channel));
                port.buffer = fresh.unwrap_or_else(|| vec![0.0; length]);
            }
        }
        let call = state.client.as_ref().filter(|client| client.is_active);
        let call = call.and_then(|client| Some((client.process?, client.place)));
        drop(guard);
        READ.set(false);
        if let Some((process, place)) = call {
            // SAFETY: as the client gave them; `client_close` waits until this call has returned.
            unsafe { process(frames, place) };
        }
        let mut guard = self.state();
        let state = &mut *guard;
        if READ.get() && !state.tape.was_read {
            state.tape.run_begin = state.tape.samples.len();
        }
        state.tape.was_read = READ.get();
        let begin = state.tape.samples.len();
        state.tape.samples.resize(begin + length * CHANNELS, 0.0);
        for port in
            state.client.iter().flat_map(|client| &client.ports).filter(|port| !port.is_input)
        {
            let Some(channel) = port.channel else { continue };
            for (n, &sample) in port.buffer.iter().enumerate() {
                state.tape.samples[begin + n * CHANNELS + channel] = sample;
            }
        }
        drop(guard);
        self.calls.store(0, Ordering::Release);
        self.system.wake(&self.calls);
    }
}

fn server(client: RawClient) -> &'static Server {
    // SAFETY: `client_open` made it of a server that it leaked a reference of.
    unsafe { &*client.cast::<Server>() }
}

/// The hardware's channel of a port's name, and its direction.
fn hardware(name: &CStr) -> Option<usize> {
    let name = name.to_str().ok()?;
    let number = name.strip_prefix("system:playback_").or(name.strip_prefix("system:capture_"))?;
    number.parse::<usize>().ok()?.checked_sub(1)
}

unsafe extern "C" fn client_open(_: *const c_char, _: c_uint, _: *mut c_uint) -> RawClient {
    let Some(server) = SERVER.with_borrow(Clone::clone) else { return ptr::null_mut() };
    if server.ends.load(Ordering::Acquire) {
        return ptr::null_mut();
    }
    let (process, shutdown, buffer_size, xrun) = (None, None, None, None);
    let place = ptr::null_mut();
    let client =
        Client { is_active: false, process, shutdown, buffer_size, xrun, place, ports: Vec::new() };
    server.state().client = Some(Box::new(client));
    Arc::into_raw(server).cast_mut().cast()
}

unsafe extern "C" fn client_close(client: RawClient) -> c_int {
    let own = server(client);
    let gone = own.state().client.as_mut().map(|client| client.is_active = false);
    while gone.is_some() && own.calls.load(Ordering::Acquire) == 1 {
        own.system.await_word(&own.calls, 1, u64::MAX);
    }
    own.state().client = None;
    // SAFETY: the reference that `client_open` leaked.
    drop(unsafe { Arc::from_raw(client.cast::<Server>()) });
    0
}

unsafe extern "C" fn activate(client: RawClient) -> c_int {
    if let Some(client) = &mut server(client).state().client {
        client.is_active = true;
    }
    0
}

unsafe extern "C" fn sample_rate(client: RawClient) -> u32 {
    server(client).rate.get()
}

unsafe extern "C" fn buffer_size(client: RawClient) -> u32 {
    server(client).period_frames.load(Ordering::Acquire)
}

unsafe extern "C" fn ports(
    _: RawClient,
    _: *const c_char,
    _: *const c_char,
    flags: c_ulong,
) -> *mut *const c_char {
    static PLAYBACK: [&CStr; CHANNELS] = [c"system:playback_1", c"system:playback_2"];
    static CAPTURE: [&CStr; CHANNELS] = [c"system:capture_1", c"system:capture_2"];
    let names = if flags & crate::library::IS_INPUT == 0 { CAPTURE } else { PLAYBACK };
    let list: Vec<*const c_char> =
        names.iter().map(|name| name.as_ptr()).chain([ptr::null()]).collect();
    Box::into_raw(list.into_boxed_slice()).cast()
}

unsafe extern "C" fn free(list: *mut c_void) {
    // SAFETY: made by `ports`, always of this length.
    drop(unsafe { Box::from_raw(list.cast::<[*const c_char; CHANNELS + 1]>()) });
}

unsafe extern "C" fn port_register(
    client: RawClient,
    name: *const c_char,
    _: *const c_char,
    flags: c_ulong,
    _: c_ulong,
) -> RawPort {
    let is_input = flags & crate::library::IS_INPUT != 0;
    // SAFETY: a name that ends with a zero.
    let name = unsafe { CStr::from_ptr(name) }.to_owned();
    let mut port = Box::new(Port { name, is_input, buffer: Vec::new(), channel: None });
    let raw = ptr::from_mut(&mut *port);
    if let Some(client) = &mut server(client).state().client {
        client.ports.push(port);
    }
    raw.cast()
}

unsafe extern "C" fn port_name(port: RawPort) -> *const c_char {
    // SAFETY: a port of ours, which lives as long as its client.
    unsafe { &*port.cast::<Port>() }.name.as_ptr()
}

unsafe extern "C" fn port_buffer(port: RawPort, _: u32) -> *mut c_void {
    // SAFETY: as above; within a cycle nobody else touches it.
    let port = unsafe { &mut *port.cast::<Port>() };
    if port.is_input {
        READ.set(true);
    }
    port.buffer.as_mut_ptr().cast()
}

thread_local! {
    /// An input was asked for on this thread, which is a server's.
    static READ: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

unsafe extern "C" fn port_by_name(_: RawClient, name: *const c_char) -> RawPort {
    // SAFETY: a name that ends with a zero.
    let name = unsafe { CStr::from_ptr(name) };
    // A handle that tells the direction is all that is needed of hardware's ports.
    if name.to_bytes().starts_with(b"system:") {
        name.as_ptr().cast_mut().cast()
    } else {
        ptr::null_mut()
    }
}

unsafe extern "C" fn port_latency(_: RawPort, mode: c_uint, range: *mut LatencyRange) {
    let frames =
        if mode == crate::library::CAPTURE_LATENCY { CAPTURE_LATENCY } else { PLAYBACK_LATENCY };
    // SAFETY: a place of the caller's.
    unsafe { *range = LatencyRange { min: frames, max: frames } };
}

unsafe extern "C" fn connect(client: RawClient, from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: names that end with zeros.
    let (from, to) = unsafe { (CStr::from_ptr(from), CStr::from_ptr(to)) };
    let mut state = server(client).state();
    let ports = state.client.as_mut().map(|client| &mut client.ports);
    for port in ports.into_iter().flatten() {
        let other = if port.is_input { from } else { to };
        if *port.name == *(if port.is_input { to } else { from }) {
            port.channel = hardware(other);
        }
    }
    0
}

unsafe extern "C" fn on_process(client: RawClient, call: OnFrames, place: *mut c_void) -> c_int {
    if let Some(client) = &mut server(client).state().client {
        (client.process, client.place) = (Some(call), place);
    }
    0
}

unsafe extern "C" fn on_shutdown(client: RawClient, call: OnEnd, _: *mut c_void) {
    if let Some(client) = &mut server(client).state().client {
        client.shutdown = Some(call);
    }
}

unsafe extern "C" fn on_buffer_size(client: RawClient, call: OnFrames, _: *mut c_void) -> c_int {
    if let Some(client) = &mut server(client).state().client {
        client.buffer_size = Some(call);
    }
    0
}

unsafe extern "C" fn on_xrun(client: RawClient, call: OnEvent, _: *mut c_void) -> c_int {
    if let Some(client) = &mut server(client).state().client {
        client.xrun = Some(call);
    }
    0
}

unsafe extern "C" fn on_sample_rate(_: RawClient, _: OnFrames, _: *mut c_void) -> c_int {
    0
}

unsafe extern "C" fn on_words(_: OnWords) {}

unsafe extern "C" fn time() -> u64 {
    SERVER.with_borrow(|server| server.as_ref().map_or(0, |server| server.system.now_ns() / 1000))
}

unsafe extern "C" fn cycle_times(
    client: RawClient,
    frame: *mut u32,
    now_us: *mut u64,
    next_us: *mut u64,
    period_us: *mut f32,
) -> c_int {
    let state = server(client).state();
    // SAFETY: places of the caller's.
    unsafe {
        *frame = state.frame;
        *now_us = state.cycle_us;
        *next_us = state.cycle_us;
        *period_us = 0.0;
    }
    0
}

/// A backend that reaches this thread's server.
pub(crate) fn backend(system: &Arc<dyn System>) -> crate::JackBackend {
    let (system, wiring) = (system.clone(), crate::Wiring::Physical);
    crate::JackBackend { system, wiring, libraries }
}

/// The fake as the only libjack there is.
fn libraries() -> &'static [Jack] {
    type Open = unsafe extern "C" fn(*const c_char, c_uint, *mut c_uint, ...) -> RawClient;
    static FAKE: OnceLock<[Jack; 1]> = OnceLock::new();
    FAKE.get_or_init(|| {
        // SAFETY: on this system a call with further arguments passes the first three as one without does.
        let client_open =
            unsafe { std::mem::transmute::<*const (), Open>(client_open as *const ()) };
        [Jack {
            client_open,
            client_close,
            activate,
            sample_rate,
            buffer_size,
            ports,
            free,
            port_register,
            port_name,
            port_buffer,
            port_latency,
            port_by_name,
            connect,
            on_process,
            on_shutdown,
            on_buffer_size,
            on_sample_rate,
            on_xrun,
            on_error: on_words,
            on_info: on_words,
            time,
            cycle_times,
            _library: None,
        }]
    })
}
