//! A hub beside JACK2 in the same minutes: 1, 2, 4, 8 and 16 clients, each a process of its own with the same body (a copy of two
//! channels), 64 frames at 48 kHz, real-time priority if it may be had. `cargo bench -p barewire-hub-client -- --raw FILE` also
//! writes the percentiles of every turn; `--clients N` and `--kind NAME` run a part.
//!
//! By turns: the hub over the virtual device; jackd with its dummy driver and its clients as a chain (each plays into the next);
//! the same with all of them between the device's own ports; and bare wake-ups, which no star can go below: a thread with a timer
//! that wakes all clients by the hub's page and waits at its gate, without a device, a mix or samples. What is compared, per cycle: until the last client's callback
//! begins, from the hub's own wake-up for ours, and from the first client's callback for JACK2, whose clients are told of its
//! wake-up through a filter only; so JACK2 is given the way from its server to its first client. Processor time and changes of
//! context are the kernel's counts for the process that serves and all clients.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a benchmark may stop the world"
)]

use barewire_device::{
    Backend, DeviceId, DeviceInfo, Loss, Note, OpenRequest, Shape, SideRequest, Stream, Wake,
};
use barewire_hub::{Hub, Options, Server};
use barewire_hub_client::HubBackend;
use barewire_rt::{Area, AreaMut, RealSystem, Role, System, Waker};
use barewire_share::memory::{Handle, Shared};
use barewire_share::{Block, Cycle, Gate, PageReader, PageWriter};
use barewire_types::{Ns, RateHz, SampleFormat};
use barewire_virtual::{Description, VirtualBackend};
use libloading::Library;
use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_ulong, c_void};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PERIOD_FRAMES: u32 = 64;
const COUNTS: [usize; 5] = [1, 2, 4, 8, 16];
const TURNS: usize = 3;
const TURN: Duration = Duration::from_secs(3);
/// After the last client has come.
const SETTLE: Duration = Duration::from_millis(500);
const ROOM: usize = 1 << 16;
const NAME: &str = "barewire-hub-bench";

fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

/// When a client's callback began in which cycle; written by its device thread alone.
struct Notes(Vec<[u64; 2]>);

impl Notes {
    fn new() -> Self {
        Self(Vec::with_capacity(ROOM))
    }

    fn add(&mut self, cycle: u64, begin_ns: Ns) {
        // Full is full: nothing is allocated.
        if self.0.len() < self.0.capacity() {
            self.0.push([cycle, begin_ns]);
        }
    }

    fn write(&self, path: &Path) {
        let bytes: Vec<u8> = self.0.iter().flatten().flat_map(|word| word.to_le_bytes()).collect();
        std::fs::write(path, bytes).unwrap();
    }

    fn read(path: &Path) -> Vec<[u64; 2]> {
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
        let bytes = std::fs::read(path).unwrap();
        bytes.chunks_exact(16).map(|pair| [word(&pair[..8]), word(&pair[8..])]).collect()
    }
}

/// Tells the parent that the client plays, and waits until it is to end.
fn play_until_told() {
    println!("plays");
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read(&mut [0]);
}

mod jack {
    use super::*;

    type Raw = *mut c_void;
    type Open = unsafe extern "C" fn(*const c_char, u32, *mut u32, ...) -> Raw;
    type Process = unsafe extern "C" fn(u32, Raw) -> c_int;
    type SetProcess = unsafe extern "C" fn(Raw, Process, Raw) -> c_int;
    type OfClient = unsafe extern "C" fn(Raw) -> c_int;
    type Register =
        unsafe extern "C" fn(Raw, *const c_char, *const c_char, c_ulong, c_ulong) -> Raw;
    type Connect = unsafe extern "C" fn(Raw, *const c_char, *const c_char) -> c_int;
    type Buffer = unsafe extern "C" fn(Raw, u32) -> *mut f32;
    type FrameTime = unsafe extern "C" fn(Raw) -> u32;

    struct Client {
        raw: Raw,
        ports: [[Raw; 2]; 2],
        buffer: Buffer,
        frame_time: FrameTime,
        system: Arc<RealSystem>,
        notes: Notes,
    }

    unsafe extern "C" fn process(frames: u32, place: Raw) -> c_int {
        // SAFETY: the client, which is never freed and which only this thread uses.
        let client = unsafe { &mut *place.cast::<Client>() };
        let now = client.system.now_ns();
        for [from, to] in client.ports {
            // SAFETY: ports of this client; each has so many frames, and an input and an output never lie in one place.
            unsafe {
                let (from, to) = ((client.buffer)(from, frames), (client.buffer)(to, frames));
                std::ptr::copy(from, to, frames as usize);
            }
        }
        // SAFETY: the client is open.
        let cycle = unsafe { (client.frame_time)(client.raw) } / PERIOD_FRAMES;
        client.notes.add(u64::from(cycle), now);
        0
    }

    fn terminated(text: &str) -> Vec<u8> {
        text.bytes().chain([0]).collect()
    }

    /// A client process: number `own`, whose sound comes from `from` and goes to the device if it is `last`.
    pub(super) fn client(own: usize, from: &str, is_last: bool, notes: &Path) {
        // SAFETY: loading libjack has no conditions; it is never unloaded.
        let library: &Library =
            Box::leak(Box::new(unsafe { Library::new("libjack.so.0") }.unwrap()));
        // SAFETY: before any other thread of this program; libjack reads it when a client is opened.
        unsafe { std::env::set_var("JACK_DEFAULT_SERVER", NAME) };
        let name = format!("c{own}");
        let audio = c"32 bit float mono audio".as_ptr();
        // SAFETY: the symbols have the types of JACK's documentation, the names end with zeros. 2 is an output, 1 an input.
        unsafe {
            let open = library.get::<Open>(b"jack_client_open\0").unwrap();
            let mut raw: Raw = std::ptr::null_mut();
            for _ in 0..200 {
                raw = open(terminated(&name).as_ptr().cast(), 1, std::ptr::null_mut());
                if !raw.is_null() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            assert!(!raw.is_null(), "jackd does not answer");
            let register = library.get::<Register>(b"jack_port_register\0").unwrap();
            let ports = [1, 2].map(|n| {
                let port = |word: &str, flag| {
                    let name = terminated(&format!("{word}{n}"));
                    register(raw, name.as_ptr().cast(), audio, flag, 0)
                };
                [port("in", 1), port("out", 2)]
            });
            let client = Box::leak(Box::new(Client {
                raw,
                ports,
                buffer: *library.get::<Buffer>(b"jack_port_get_buffer\0").unwrap(),
                frame_time: *library.get::<FrameTime>(b"jack_last_frame_time\0").unwrap(),
                system: RealSystem::new(),
                notes: Notes::new(),
            }));
            let place: Raw = std::ptr::from_mut(client).cast();
            library.get::<SetProcess>(b"jack_set_process_callback\0").unwrap()(raw, process, place);
            library.get::<OfClient>(b"jack_activate\0").unwrap()(raw);
            let connect = library.get::<Connect>(b"jack_connect\0").unwrap();
            for n in [1, 2] {
                let source = if from == "system" {
                    format!("system:capture_{n}")
                } else {
                    format!("{from}:out{n}")
                };
                let pair = |from: &str, to: &str| {
                    let (from, to) = (terminated(from), terminated(to));
                    assert_eq!(connect(raw, from.as_ptr().cast(), to.as_ptr().cast()), 0);
                };
                pair(&source, &format!("{name}:in{n}"));
                if is_last {
                    pair(&format!("{name}:out{n}"), &format!("system:playback_{n}"));
                }
            }
            play_until_told();
            library.get::<OfClient>(b"jack_deactivate\0").unwrap()(raw);
            (*place.cast::<Client>()).notes.write(notes);
            library.get::<OfClient>(b"jack_client_close\0").unwrap()(raw);
        }
    }

    /// A server that is ended when it is dropped.
    pub(super) struct Jackd(pub(super) Child);

    impl Jackd {
        pub(super) fn start() -> Self {
            let mut command = Command::new("jackd");
            command.args(["-n", NAME, "-R", "-P", "45", "-d", "dummy", "-r", "48000", "-p", "64"]);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            Self(command.spawn().unwrap())
        }
    }

    impl Drop for Jackd {
        fn drop(&mut self) {
            // By its own way, so that it gives its place back: JACK2 has eight for a user.
            let _ = Command::new("kill").arg(self.0.id().to_string()).status();
            for _ in 0..100 {
                if let Ok(Some(_)) = self.0.try_wait() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// A client process of the hub.
fn hub_client(address: &Path, notes: &Path) {
    let system = RealSystem::new();
    let backend = HubBackend::new(system.clone(), address.to_owned(), None);
    let side = Some(SideRequest { channels: 2, format: None });
    let request = OpenRequest {
        id: DeviceId::new("hub", "virtual:loop"),
        rate: RateHz::DAT,
        capture: side,
        playback: side,
        period_frames: PERIOD_FRAMES,
    };
    let mut stream = backend.open(&request).unwrap();
    let (ends, all) = (Arc::<AtomicBool>::default(), Arc::new(Mutex::new(Notes::new())));
    let (its, its_notes, its_system) = (ends.clone(), all.clone(), system.clone());
    let body = move || {
        let mut notes = its_notes.lock().unwrap();
        stream.start().unwrap();
        while !its.load(Ordering::Acquire) {
            let Wake::Due(period) = stream.wait(its_system.now_ns() + 100_000_000) else {
                continue;
            };
            let now = its_system.now_ns();
            copy(&mut *stream);
            notes.add(period.at_ns, now);
        }
        stream.stop();
    };
    let thread = system.spawn("device", Role::Device, Box::new(body)).unwrap();
    play_until_told();
    ends.store(true, Ordering::Release);
    assert!(thread.join(system.now_ns() + 5_000_000_000));
    all.lock().unwrap().write(notes);
}

const BARE_BYTES: usize = 4096;

/// A client of bare wake-ups: page and gate are descriptors of the process that started it.
fn bare_client(page: &str, gate: &str, core: Option<usize>, notes: &Path) {
    if let Some(core) = core {
        // SAFETY: a set of cores is integers; the call reads it and changes nothing but where this process runs.
        unsafe {
            let mut cores: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(core, &mut cores);
            assert_eq!(libc::sched_setaffinity(0, size_of_val(&cores), &raw const cores), 0);
        }
    }
    let block = |path: &str| {
        let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
        Block::given(&Handle::from(OwnedFd::from(file)), BARE_BYTES, true).unwrap()
    };
    let page = PageReader::new(Shared::new(block(page)).unwrap()).unwrap();
    let gate: Gate = Shared::new(block(gate)).unwrap();
    let system = RealSystem::new();
    let (ends, all) = (Arc::<AtomicBool>::default(), Arc::new(Mutex::new(Notes::new())));
    let (its, its_notes, its_system) = (ends.clone(), all.clone(), system.clone());
    let body = move || {
        let mut notes = its_notes.lock().unwrap();
        let mut seen = page.number();
        while !its.load(Ordering::Acquire) {
            its_system.await_shared(&[(page.word(), seen)], its_system.now_ns() + 100_000_000);
            let now = its_system.now_ns();
            let Some(cycle) = page.read().filter(|cycle| cycle.number != seen) else { continue };
            seen = cycle.number;
            notes.add(cycle.at_ns, now);
            gate.answer(seen, &*its_system);
        }
    };
    let thread = system.spawn("device", Role::Device, Box::new(body)).unwrap();
    play_until_told();
    ends.store(true, Ordering::Release);
    assert!(thread.join(system.now_ns() + 5_000_000_000));
    all.lock().unwrap().write(notes);
}

fn with_bare(folder: &Path, count: usize, is_pinned: bool) -> Figures {
    let system: Arc<dyn System> = RealSystem::new();
    let blocks = [(); 2].map(|()| Block::shared(BARE_BYTES, false).unwrap());
    let own = std::process::id();
    let [page_path, gate_path] = blocks
        .each_ref()
        .map(|block| format!("/proc/{own}/fd/{}", block.handle().unwrap().fd().as_raw_fd()));
    let [page, gate] = blocks;
    let page = PageWriter::new(Shared::new(page).unwrap());
    let gate: Gate = Shared::new(gate).unwrap();
    let woken = Arc::new(Mutex::new(Notes::new()));
    let ends = Arc::<AtomicBool>::default();
    let expected = Arc::<AtomicU32>::default();
    let (its, its_woken, its_system) = (ends.clone(), woken.clone(), system.clone());
    let its_expected = expected.clone();
    let body = move || {
        let alarm = AtomicU32::new(0);
        let period_ns = u64::from(PERIOD_FRAMES) * 1_000_000_000 / 48_000;
        let begin_ns = its_system.now_ns();
        for number in 1..i32::MAX as u32 {
            if its.load(Ordering::Acquire) {
                break;
            }
            let at_ns = begin_ns + u64::from(number) * period_ns;
            its_system.sleep(&alarm, 0, at_ns);
            let now = its_system.now_ns();
            if let Ok(mut woken) = its_woken.try_lock() {
                woken.add(at_ns, now);
            }
            gate.words().open(number, its_expected.load(Ordering::Acquire));
            page.publish(&Cycle { number, at_ns, ..Cycle::default() });
            its_system.wake_shared(page.word());
            while let Some(missing) = gate.words().missing() {
                if its_system.now_ns() >= at_ns + period_ns {
                    break;
                }
                its_system.await_shared(&[(gate.word(), missing)], at_ns + period_ns);
            }
        }
    };
    let thread = system.spawn("device", Role::Device, Box::new(body)).unwrap();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let clients = (0..count)
        .map(|n| {
            let core = (n % cores).to_string();
            let mut arguments = vec!["--work", "bare", "--page", &page_path, "--gate", &gate_path];
            if is_pinned {
                arguments.extend(["--core", &core]);
            }
            Running::start(folder, n, &arguments)
        })
        .collect();
    expected.store(u32::try_from(count).unwrap(), Ordering::Release);
    let figures = measure(clients, own, Some("device"), Some(&woken));
    ends.store(true, Ordering::Release);
    assert!(thread.join(system.now_ns() + 5_000_000_000));
    figures
}

/// The body: two channels copied.
fn copy(stream: &mut dyn Stream) {
    let area = stream.capture();
    let from = [0, 1].map(|channel| area.plane(channel).as_ptr());
    let frames = area.frames();
    let mut area = stream.playback();
    for (channel, from) in from.into_iter().enumerate() {
        let to = area.plane(channel).as_ptr();
        // SAFETY: planar pieces of so many 32-bit samples in memory that outlives the cycle; inputs and outputs lie apart.
        unsafe { std::ptr::copy(from.cast::<u32>(), to.cast::<u32>(), frames as usize) };
    }
    stream.release(frames);
    stream.commit(frames);
}

/// Notes when the device's wait returned, by the cycle's time.
struct Stamped {
    stream: Box<dyn Stream>,
    system: Arc<dyn System>,
    woken: Arc<Mutex<Notes>>,
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
        let now = self.system.now_ns();
        if let (Wake::Due(period), Ok(mut woken)) = (&wake, self.woken.try_lock()) {
            woken.add(period.at_ns, now);
        }
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

struct StampedBackend {
    inner: VirtualBackend,
    system: Arc<dyn System>,
    woken: Arc<Mutex<Notes>>,
}

impl Backend for StampedBackend {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn devices(&self) -> barewire_types::Result<Vec<DeviceInfo>> {
        self.inner.devices()
    }
    fn open(&self, request: &OpenRequest) -> barewire_types::Result<Box<dyn Stream>> {
        let (stream, system) = (self.inner.open(request)?, self.system.clone());
        Ok(Box::new(Stamped { stream, system, woken: self.woken.clone() }))
    }
}

/// What the kernel has counted: nanoseconds of processor time, changes of context.
#[derive(Clone, Copy, Default)]
struct Use {
    busy_ns: u64,
    changes: u64,
}

impl Use {
    /// Of the threads of a process, or of the one of this name.
    fn of(process: u32, name: Option<&str>) -> Self {
        let mut sum = Self::default();
        for task in std::fs::read_dir(format!("/proc/{process}/task")).unwrap() {
            let task = task.unwrap().path();
            let read = |file: &str| std::fs::read_to_string(task.join(file)).unwrap_or_default();
            if name.is_some_and(|name| !read("comm").starts_with(name)) {
                continue;
            }
            let count = |line: &str| {
                let (name, value) = line.split_once(':')?;
                name.ends_with("_ctxt_switches").then(|| value.trim().parse::<u64>().ok())?
            };
            sum.changes += read("status").lines().filter_map(count).sum::<u64>();
            let times = read("schedstat");
            sum.busy_ns += times.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
        }
        sum
    }

    fn plus(self, other: Self) -> Self {
        Self { busy_ns: self.busy_ns + other.busy_ns, changes: self.changes + other.changes }
    }

    fn since(self, before: Self) -> Self {
        Self {
            busy_ns: self.busy_ns.saturating_sub(before.busy_ns),
            changes: self.changes.saturating_sub(before.changes),
        }
    }
}

/// A client process.
struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    notes: PathBuf,
}

impl Running {
    /// Starts this program again as a client and waits until it plays.
    fn start(folder: &Path, number: usize, arguments: &[&str]) -> Self {
        let notes = folder.join(format!("notes{number}"));
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(arguments).arg("--notes").arg(&notes);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let mut told = [0; 5];
        child.stdout.as_mut().unwrap().read_exact(&mut told).expect("the client plays");
        Self { child, stdin, notes }
    }

    fn end(mut self) -> Vec<[u64; 2]> {
        drop(self.stdin.take());
        assert!(self.child.wait().unwrap().success());
        Notes::read(&self.notes)
    }
}

/// What one turn, or all turns of one kind, came to.
#[derive(Default)]
struct Figures {
    /// Until the last client's callback, sorted: from the cycle's begin, and from the first client's callback.
    last_ns: Vec<u64>,
    spread_ns: Vec<u64>,
    cycles: u64,
    all: Use,
    server: Use,
    /// Cycles that not every client has had.
    incomplete: u64,
}

impl Figures {
    fn at(sorted: &[u64], permille: usize) -> f64 {
        let n = (sorted.len() * permille / 1000).min(sorted.len().saturating_sub(1));
        sorted.get(n).copied().unwrap_or(0) as f64 / 1000.0
    }

    fn add(&mut self, turn: &Self) {
        self.last_ns.extend(&turn.last_ns);
        self.spread_ns.extend(&turn.spread_ns);
        self.last_ns.sort_unstable();
        self.spread_ns.sort_unstable();
        self.cycles += turn.cycles;
        self.all = self.all.plus(turn.all);
        self.server = self.server.plus(turn.server);
        self.incomplete += turn.incomplete;
    }
}

/// Has `clients` play for a turn; `serving` and `thread` are the process that serves and its own thread's name. Cycles begin
/// where `woken` says, or with the first client's callback.
fn measure(
    clients: Vec<Running>,
    serving: u32,
    thread: Option<&str>,
    woken: Option<&Mutex<Notes>>,
) -> Figures {
    let system = RealSystem::new();
    std::thread::sleep(SETTLE);
    let used = || {
        let server = Use::of(serving, thread);
        let all = clients.iter().map(|client| Use::of(client.child.id(), None));
        (all.fold(server, Use::plus), server)
    };
    let (before, from_ns) = (used(), system.now_ns());
    std::thread::sleep(TURN);
    let (after, to_ns) = (used(), system.now_ns());
    let count = clients.len();
    let mut cycles = BTreeMap::<u64, Vec<u64>>::new();
    for client in clients {
        for [cycle, begin_ns] in client.end() {
            if (from_ns..to_ns).contains(&begin_ns) {
                cycles.entry(cycle).or_default().push(begin_ns);
            }
        }
    }
    let woken: Option<BTreeMap<u64, u64>> =
        woken.map(|woken| woken.lock().unwrap().0.iter().map(|&[cycle, ns]| (cycle, ns)).collect());
    let mut figures = Figures {
        all: after.0.since(before.0),
        server: after.1.since(before.1),
        cycles: cycles.len() as u64,
        ..Figures::default()
    };
    for (cycle, begins) in &cycles {
        let first = match &woken {
            Some(woken) => woken.get(cycle).copied(),
            None => begins.iter().min().copied(),
        };
        match (first, begins.iter().max()) {
            (Some(first), Some(last)) if begins.len() == count => {
                figures.last_ns.push(last.saturating_sub(first));
                let first_client = begins.iter().min().unwrap_or(last);
                figures.spread_ns.push(last - first_client);
            }
            _ => figures.incomplete += 1,
        }
    }
    figures.last_ns.sort_unstable();
    figures.spread_ns.sort_unstable();
    figures
}

fn with_hub(folder: &Path, count: usize) -> Figures {
    let system: Arc<dyn System> = RealSystem::new();
    let woken = Arc::new(Mutex::new(Notes::new()));
    let description = Description {
        formats: vec![SampleFormat::INT32],
        period_frames: (16, 4096),
        prefill_periods: 2,
        ..Description::default()
    };
    let inner = VirtualBackend::new(system.clone(), vec![description]);
    let hub = Hub::new(Options {
        system: system.clone(),
        backends: vec![Arc::new(StampedBackend {
            inner,
            system: system.clone(),
            woken: woken.clone(),
        })],
        wanted: Arc::new(|device| device.is_default),
        leader: None,
        taps: false,
        most_clients: 32,
    })
    .unwrap();
    let address = folder.join("hub.socket");
    let server = Server::open(hub.clone(), system, &address).unwrap();
    let address = address.display().to_string();
    let arguments = ["--work", "hub", "--address", &address];
    let clients = (0..count).map(|n| Running::start(folder, n, &arguments)).collect();
    let figures = measure(clients, std::process::id(), Some("barewire-device"), Some(&woken));
    hub.close();
    server.close(5_000_000_000);
    figures
}

fn with_jack(folder: &Path, count: usize, is_chain: bool) -> Figures {
    let server = jack::Jackd::start();
    let mut clients = Vec::new();
    for n in 0..count {
        let from = if is_chain && n > 0 { format!("c{}", n - 1) } else { "system".to_owned() };
        let is_last = !is_chain || n + 1 == count;
        let (own, last) = (n.to_string(), is_last.to_string());
        let arguments = ["--work", "jack", "--own", &own, "--from", &from, "--last", &last];
        clients.push(Running::start(folder, n, &arguments));
    }
    measure(clients, server.0.id(), None, None)
}

const KINDS: [&str; 5] = [
    "Barewire hub",
    "JACK2, chain",
    "JACK2, parallel",
    "bare wake-ups",
    "bare wake-ups, each client kept on one core",
];

/// The work of a client process, if this is one.
fn work() -> bool {
    let Some(notes) = argument("--notes").map(PathBuf::from) else { return false };
    let named = |name| argument(name).unwrap();
    match named("--work").as_str() {
        "hub" => hub_client(named("--address").as_ref(), &notes),
        "bare" => {
            let core = argument("--core").map(|core| core.parse().unwrap());
            bare_client(&named("--page"), &named("--gate"), core, &notes);
        }
        _ => {
            let is_last = named("--last") == "true";
            jack::client(named("--own").parse().unwrap(), &named("--from"), is_last, &notes);
        }
    }
    true
}

fn main() {
    if work() {
        return;
    }
    let jackd = Command::new("jackd").arg("--version").stdout(Stdio::null()).status();
    if jackd.is_err() {
        println!("SKIPPED: jackd is not installed (Debian package jackd2)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut raw = format!(
        "# {cores} cores; {} s a turn; µs\nkind,clients,turn,cycles,incomplete,processor_ns,context_switches,server_processor_ns",
        TURN.as_secs()
    );
    (0..=100).for_each(|percent| write!(raw, ",p{percent}").unwrap());
    raw.push('\n');
    println!("{cores} cores");
    println!(
        "| clients | | cycles | not all | last client p50 µs | p99 µs | from the first client's, p50 µs | processor µs a client and cycle | context switches a client and cycle | server's own µs a cycle |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let only_count = argument("--clients").map(|count| count.parse::<usize>().unwrap());
    for count in COUNTS.into_iter().filter(|&count| only_count.is_none_or(|only| only == count)) {
        run(folder.path(), count, &mut raw);
    }
    if let Some(path) = argument("--raw") {
        std::fs::write(path, raw).unwrap();
    }
}

/// All turns with so many clients; a line of the table for each kind.
fn run(folder: &Path, count: usize, raw: &mut String) {
    let only_kind = argument("--kind");
    let is_wanted = |kind: usize| only_kind.as_ref().is_none_or(|only| only == KINDS[kind]);
    let mut sums: [Figures; KINDS.len()] = Default::default();
    for turn in 0..TURNS {
        for (kind, sum) in sums.iter_mut().enumerate().filter(|(kind, _)| is_wanted(*kind)) {
            let figures = match kind {
                0 => with_hub(folder, count),
                3 | 4 => with_bare(folder, count, kind == 4),
                kind => with_jack(folder, count, kind == 1),
            };
            write!(
                raw,
                "{},{count},{turn},{},{},{},{},{}",
                KINDS[kind].replace(", ", " "),
                figures.cycles,
                figures.incomplete,
                figures.all.busy_ns,
                figures.all.changes,
                figures.server.busy_ns
            )
            .unwrap();
            for percent in 0..=100 {
                write!(raw, ",{:.1}", Figures::at(&figures.last_ns, percent * 10)).unwrap();
            }
            raw.push('\n');
            sum.add(&figures);
        }
    }
    for (kind, sum) in KINDS.iter().zip(&sums).filter(|(_, sum)| sum.cycles > 0) {
        let each = (sum.cycles * count as u64) as f64;
        println!(
            "| {count} | {kind} | {} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.2} | {:.1} |",
            sum.cycles,
            sum.incomplete,
            Figures::at(&sum.last_ns, 500),
            Figures::at(&sum.last_ns, 990),
            Figures::at(&sum.spread_ns, 500),
            sum.all.busy_ns as f64 / each / 1000.0,
            sum.all.changes as f64 / each,
            sum.server.busy_ns as f64 / sum.cycles as f64 / 1000.0
        );
    }
}
