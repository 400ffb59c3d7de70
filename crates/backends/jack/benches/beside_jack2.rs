//! Beside JACK2 in the same minutes: jackd with the dummy driver and one plain client, by turns with the virtual device and our
//! engine, both with 64 frames at 48 kHz and real-time priority if it may be had. What is compared: from the wake-up to the
//! callback, changes of context, and processor time, per cycle. `cargo bench -p barewire-jack`.
//!
//! JACK2: a client is woken as the server wakes all its clients, so it is measured where both ends can be seen: from the end of
//! one client's callback to the begin of the next one's, in a graph of two. (The begin of a cycle is told to clients through a
//! filter only, which on a busy machine lies milliseconds off.) Changes and time of server and client together, as the kernel
//! counts them, are those of a graph of one. Ours: from the return of the device's wait to the client's block, in one process.
//! Neither includes how late the timer woke the one or the other.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a benchmark may stop the world"
)]

use barewire_device::{
    Backend, DeviceId, Loss, Note, OpenRequest, Shape, SideRequest, Stream, Wake,
};
use barewire_engine::{
    BlockTime, Client, ClientPlan, Conduct, Engine, Fallback, Links, Output, OutputMode, Plan,
    Telemetry, run,
};
use barewire_rt::{Area, AreaMut, RealSystem, Role, System, Waker, events};
use barewire_types::{Half, Ns, RateHz, SampleFormat};
use barewire_virtual::{Description, VirtualBackend};
use libloading::Library;
use std::ffi::{c_char, c_int, c_ulong, c_void};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

const PERIOD_FRAMES: u32 = 64;
const TURNS: usize = 5;
const TURN: Duration = Duration::from_secs(3);
const NAME: &str = "barewire-bench";
const ROOM: usize = 1 << 16;

/// Nanoseconds of each cycle, written by one thread.
struct Samples {
    values: Vec<AtomicU64>,
    count: AtomicUsize,
}

impl Samples {
    fn new() -> Arc<Self> {
        let values = (0..ROOM).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { values, count: AtomicUsize::new(0) })
    }

    fn add(&self, ns: u64) {
        let n = self.count.load(Ordering::Relaxed);
        if let Some(value) = self.values.get(n) {
            value.store(ns, Ordering::Relaxed);
            self.count.store(n + 1, Ordering::Release);
        }
    }

    /// What came since the last call.
    fn take(&self) -> Vec<u64> {
        let count = self.count.swap(0, Ordering::AcqRel);
        self.values[..count].iter().map(|value| value.load(Ordering::Relaxed)).collect()
    }
}

/// What the kernel has counted for all threads of a process: changes of context, nanoseconds of processor time.
#[derive(Clone, Copy, Default)]
struct Use {
    changes: u64,
    busy_ns: u64,
}

/// Of the threads of a process, or of the one of this name.
fn used(process: u32, name: Option<&str>) -> Use {
    let mut sum = Use::default();
    for task in std::fs::read_dir(format!("/proc/{process}/task")).unwrap() {
        let task = task.unwrap().path();
        let own = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
        if name.is_some_and(|name| name != own.trim()) {
            continue;
        }
        let status = std::fs::read_to_string(task.join("status")).unwrap_or_default();
        let count = |line: &str| {
            let (name, value) = line.split_once(':')?;
            name.ends_with("_ctxt_switches").then(|| value.trim().parse::<u64>().ok())?
        };
        sum.changes += status.lines().filter_map(count).sum::<u64>();
        let times = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        sum.busy_ns += times.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
    }
    sum
}

impl Use {
    fn plus(self, other: Self) -> Self {
        Self { changes: self.changes + other.changes, busy_ns: self.busy_ns + other.busy_ns }
    }
}

/// One side's figures of all turns.
#[derive(Default)]
struct Figures {
    /// Nanoseconds from wake to callback.
    wakes: Vec<u64>,
    used: Use,
    /// Cycles in which that was used.
    cycles: u64,
}

impl Figures {
    fn count(&mut self, before: Use, after: Use, cycles: u64) {
        self.used.changes += after.changes.saturating_sub(before.changes);
        self.used.busy_ns += after.busy_ns.saturating_sub(before.busy_ns);
        self.cycles += cycles;
    }

    fn print(&mut self, name: &str) {
        self.wakes.sort_unstable();
        let count = self.wakes.len();
        let at =
            |part: usize| self.wakes.get(count * part / 1000).copied().unwrap_or(0) as f64 / 1000.0;
        let cycles = self.cycles.max(1) as f64;
        println!(
            "| {name} | {count} | {:.1} | {:.1} | {:.1} | {:.2} | {:.1} |",
            at(500),
            at(990),
            at(999),
            self.used.changes as f64 / cycles,
            self.used.busy_ns as f64 / cycles / 1000.0
        );
    }
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

type Raw = *mut c_void;
type Process = unsafe extern "C" fn(u32, Raw) -> c_int;
type Open = unsafe extern "C" fn(*const c_char, u32, *mut u32, ...) -> Raw;
type OnWords = unsafe extern "C" fn(*const c_char);
type SetWords = unsafe extern "C" fn(OnWords);
type SetProcess = unsafe extern "C" fn(Raw, Process, Raw) -> c_int;
type OfClient = unsafe extern "C" fn(Raw) -> c_int;
type Register = unsafe extern "C" fn(Raw, *const c_char, *const c_char, c_ulong, c_ulong) -> Raw;
type Connect = unsafe extern "C" fn(Raw, *const c_char, *const c_char) -> c_int;

/// A graph of a first client and, if it is active, a second one behind it.
struct Graph {
    library: Library,
    first: Raw,
    second: Raw,
    system: Arc<RealSystem>,
    /// When the first client's callback ended.
    ended_ns: AtomicU64,
    cycles: AtomicU64,
    wakes: Arc<Samples>,
}

unsafe extern "C" fn first(_: u32, place: Raw) -> c_int {
    // SAFETY: the graph, which is never freed.
    let graph = unsafe { &*place.cast::<Graph>() };
    graph.cycles.fetch_add(1, Ordering::Relaxed);
    graph.ended_ns.store(graph.system.now_ns(), Ordering::Relaxed);
    0
}

unsafe extern "C" fn second(_: u32, place: Raw) -> c_int {
    // SAFETY: the graph, which is never freed.
    let graph = unsafe { &*place.cast::<Graph>() };
    let now = graph.system.now_ns();
    graph.wakes.add(now - graph.ended_ns.load(Ordering::Relaxed));
    0
}

unsafe extern "C" fn swallow(_: *const c_char) {}

impl Graph {
    /// Starts a server and two plain clients in this process, the first of them active.
    fn start() -> (Server, &'static Self) {
        // SAFETY: before any other thread of this program; libjack reads it when a client is opened.
        unsafe { std::env::set_var("JACK_DEFAULT_SERVER", NAME) };
        let mut command = Command::new("jackd");
        command.args(["-n", NAME, "-R", "-P", "45", "-d", "dummy", "-r", "48000", "-p", "64"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let server = Server(command.spawn().unwrap());
        // SAFETY: loading libjack has no conditions; it is never unloaded.
        let library = unsafe { Library::new("libjack.so.0") }.unwrap();
        let mut clients = [std::ptr::null_mut(); 2];
        // SAFETY: the symbols have the types of JACK's documentation, the names end with zeros.
        unsafe {
            library.get::<SetWords>(b"jack_set_error_function\0").unwrap()(swallow);
            library.get::<SetWords>(b"jack_set_info_function\0").unwrap()(swallow);
            let open = library.get::<Open>(b"jack_client_open\0").unwrap();
            for _ in 0..200 {
                clients[0] = open(c"first".as_ptr(), 1, std::ptr::null_mut());
                if !clients[0].is_null() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            clients[1] = open(c"second".as_ptr(), 1, std::ptr::null_mut());
        }
        assert!(clients.iter().all(|client| !client.is_null()), "jackd does not answer");
        let graph: &'static Self = Box::leak(Box::new(Self {
            library,
            first: clients[0],
            second: clients[1],
            system: RealSystem::new(),
            ended_ns: AtomicU64::new(0),
            cycles: AtomicU64::new(0),
            wakes: Samples::new(),
        }));
        let place: Raw = std::ptr::from_ref(graph).cast_mut().cast();
        let audio = c"32 bit float mono audio".as_ptr();
        // SAFETY: as above; the graph is never freed. 2 is an output, 1 an input.
        unsafe {
            let set = graph.library.get::<SetProcess>(b"jack_set_process_callback\0").unwrap();
            set(graph.first, first, place);
            set(graph.second, second, place);
            let register = graph.library.get::<Register>(b"jack_port_register\0").unwrap();
            register(graph.first, c"out".as_ptr(), audio, 2, 0);
            register(graph.second, c"in".as_ptr(), audio, 1, 0);
            graph.library.get::<OfClient>(b"jack_activate\0").unwrap()(graph.first);
        }
        (server, graph)
    }

    /// Measures wakes with the second client in the graph for as long as `body` takes.
    fn with_second(&self, body: impl FnOnce()) {
        // SAFETY: the client is open.
        unsafe {
            self.library.get::<OfClient>(b"jack_activate\0").unwrap()(self.second);
            let connect = self.library.get::<Connect>(b"jack_connect\0").unwrap();
            assert_eq!(connect(self.second, c"first:out".as_ptr(), c"second:in".as_ptr()), 0);
        }
        std::thread::sleep(Duration::from_millis(100));
        self.wakes.take();
        body();
        // SAFETY: as above.
        unsafe { self.library.get::<OfClient>(b"jack_deactivate\0").unwrap()(self.second) };
    }
}

/// A stream that tells when its wait returned.
struct Stamped {
    stream: Box<dyn Stream>,
    system: Arc<dyn System>,
    woken_ns: Arc<AtomicU64>,
}

impl Stream for Stamped {
    fn shape(&self) -> Shape {
        self.stream.shape()
    }
    fn waker(&self) -> Waker {
        self.stream.waker()
    }
    fn notes(&self) -> Vec<Note> {
        self.stream.notes()
    }
    fn start(&mut self) -> Result<(), Loss> {
        self.stream.start()
    }
    fn stop(&mut self) {
        self.stream.stop();
    }
    fn wait(&mut self, until: Ns) -> Wake {
        let wake = self.stream.wait(until);
        self.woken_ns.store(self.system.now_ns(), Ordering::Relaxed);
        wake
    }
    fn capture(&mut self) -> Area<'_> {
        self.stream.capture()
    }
    fn release(&mut self, frames: u32) {
        self.stream.release(frames);
    }
    fn playback(&mut self) -> AreaMut<'_> {
        self.stream.playback()
    }
    fn commit(&mut self, frames: u32) {
        self.stream.commit(frames);
    }
}

/// A client that notes how long after the wake-up it was called.
struct Noting {
    system: Arc<dyn System>,
    woken_ns: Arc<AtomicU64>,
    samples: Arc<Samples>,
}

impl Client for Noting {
    fn inputs(&mut self, _: Half) -> AreaMut<'_> {
        AreaMut::EMPTY
    }
    fn outputs(&self, _: Half) -> Area<'_> {
        Area::EMPTY
    }
    fn begin(&mut self, _: Half, _: &BlockTime) {
        self.samples.add(self.system.now_ns() - self.woken_ns.load(Ordering::Relaxed));
    }
    fn finish(&mut self, _: Ns) -> Output {
        Output::This
    }
}

#[derive(Default)]
struct Run(AtomicBool);

impl Conduct for Run {
    fn stop(&self) -> &AtomicBool {
        &self.0
    }
    fn inside(&self, passes: &mut dyn FnMut()) {
        passes();
    }
}

/// The virtual device for one turn, in real time.
fn ours(samples: &Arc<Samples>, body: impl FnOnce()) {
    let real = RealSystem::new();
    let system: Arc<dyn System> = real.clone();
    let device = Description { period_frames: (16, 4096), ..Description::default() };
    let id = DeviceId::new(barewire_virtual::NAME, &device.name);
    let side = Some(SideRequest { channels: 2, format: None });
    let request = OpenRequest {
        id,
        rate: RateHz::DAT,
        capture: side,
        playback: side,
        period_frames: PERIOD_FRAMES,
    };
    let stream = VirtualBackend::new(system.clone(), vec![device]).open(&request).unwrap();
    let woken_ns = Arc::<AtomicU64>::default();
    let stream = Box::new(Stamped { stream, system: system.clone(), woken_ns: woken_ns.clone() });
    let telemetry = Arc::<Telemetry>::default();
    let (stream, _control) = Fallback::new(stream, system.clone(), telemetry.clone(), events(64).0);
    let waker = stream.waker();
    let client = ClientPlan {
        format: SampleFormat::INT32,
        inputs: Vec::new(),
        outputs: Vec::new(),
        output_mode: OutputMode::Auto,
        gain: 1.0,
    };
    let noting = Noting { system: system.clone(), woken_ns, samples: samples.clone() };
    let links = Links { system: system.clone(), telemetry, events: events(64).0 };
    let plan = Plan::one(PERIOD_FRAMES, client);
    let engine = Engine::compile(&plan, Box::new(stream), vec![Box::new(noting)], links).unwrap();
    let conduct = Arc::<Run>::default();
    let its: Arc<dyn Conduct> = conduct.clone();
    let run = Box::new(move || drop(run(Box::new(engine), &its, |started| started.unwrap())));
    let thread = system.spawn("device", Role::Device, run).unwrap();
    body();
    conduct.0.store(true, Ordering::Release);
    waker.wake();
    assert!(thread.join(system.now_ns() + 5_000_000_000));
    real.remarks().iter().for_each(|remark| println!("{remark}"));
}

fn main() {
    if Command::new("jackd").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("SKIPPED: jackd is not installed (Debian package jackd2)");
        return;
    }
    let own = Samples::new();
    let (server, graph) = Graph::start();
    let (mut jack2, mut barewire) = (Figures::default(), Figures::default());
    let here = |name| used(std::process::id(), name);
    let both = || here(None).plus(used(server.0.id(), None));
    let cycles = || graph.cycles.load(Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(500));
    for _ in 0..TURNS {
        let (before, first) = (both(), cycles());
        std::thread::sleep(TURN);
        jack2.count(before, both(), cycles() - first);
        graph.with_second(|| {
            std::thread::sleep(TURN);
            jack2.wakes.extend(graph.wakes.take());
        });
        // Server and client go on meanwhile, on both sides' turns; of this process only our device thread is counted now.
        ours(&own, || {
            let before = here(Some("device"));
            own.take();
            std::thread::sleep(TURN);
            let wakes = own.take();
            barewire.count(before, here(Some("device")), wakes.len() as u64);
            barewire.wakes.extend(wakes);
        });
    }
    println!(
        "| | wakes | wake to callback p50 µs | p99 µs | p99.9 µs | context switches a cycle | processor µs a cycle |"
    );
    println!("|---|---|---|---|---|---|---|");
    jack2.print("JACK2, dummy driver");
    barewire.print("Barewire, virtual device");
}
