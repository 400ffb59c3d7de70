//! Real processes on a real hub: stopped and killed in the middle, of another user, of another version; and a hub that is
//! killed under a client. The hub runs in this process, its clients are this very program, started again.
//!
//! `cargo test --release -p barewire-hub-client --test processes -- --tries 50` is the long run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    missing_docs,
    reason = "a test may stop the world"
)]

use barewire_device::{Backend, DeviceId, Loss, OpenRequest, SideRequest, Stream, Wake};
use barewire_hub::{Hub, Options, Server};
use barewire_hub_client::HubBackend;
use barewire_rt::{RealSystem, Role, System};
use barewire_share::message::{self, Answer, Ask, Report, Who};
use barewire_share::socket::{self, Line};
use barewire_types::{ErrorKind, RateHz, SampleFormat};
use barewire_virtual::{Description, Sink, Source, VirtualBackend};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PERIOD_FRAMES: u32 = 1024;
/// Room for a machine that is busy with other things: what is proven is what a client can do to the hub, not what a
/// scheduler can.
const PREFILL_PERIODS: u32 = 6;
const EVERYDAY_TRIES: u32 = 2;
const SECOND: Duration = Duration::from_secs(1);

fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

/// The n-th sample of the client that is listened to: its number, and a check of it.
fn sample(n: u32) -> i32 {
    (n << 8 | n.wrapping_mul(167) & 0xFF) as i32
}

fn is_sample(value: i32) -> Option<u32> {
    let n = value as u32 >> 8;
    (sample(n) == value).then_some(n)
}

/// What the device was played on its first channel.
#[derive(Default)]
struct Heard(Mutex<Vec<i32>>);

impl Heard {
    fn sink(self: &Arc<Self>) -> Sink {
        let own = self.clone();
        Sink::Call(Arc::new(move || {
            let heard = own.clone();
            Box::new(move |_, bytes: &[u8]| {
                let first = |frame: &[u8]| i32::from_le_bytes(frame[..4].try_into().unwrap());
                heard.0.lock().unwrap().extend(bytes.chunks_exact(8).map(first));
            })
        }))
    }
}

struct Rig {
    folder: tempfile::TempDir,
    hub: Arc<Hub>,
    server: Option<Server>,
    heard: Arc<Heard>,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let heard = Arc::new(Heard::default());
        let (hub, server) = open_hub(folder.path(), heard.sink());
        Self { folder, hub, server: Some(server), heard }
    }

    fn address(&self) -> PathBuf {
        self.folder.path().join("hub.socket")
    }

    fn client(&self, work: &str) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--work", work, "--address"])
            .arg(self.address())
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Looks until `holds`, at most for ten seconds.
    fn wait(&self, what: &str, holds: impl Fn(&Report) -> bool) -> Report {
        let begin = Instant::now();
        loop {
            let report = self.hub.report();
            if holds(&report) {
                return report;
            }
            assert!(begin.elapsed() < 10 * SECOND, "{what}: {report:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.hub.close();
        if let Some(server) = self.server.take() {
            server.close(5_000_000_000);
        }
    }
}

fn open_hub(folder: &Path, sink: Sink) -> (Arc<Hub>, Server) {
    let system: Arc<dyn System> = RealSystem::new();
    let description = Description {
        formats: vec![SampleFormat::INT32],
        prefill_periods: PREFILL_PERIODS,
        source: Source::Silence,
        sink,
        ..Description::default()
    };
    let hub = Hub::new(Options {
        system: system.clone(),
        backends: vec![Arc::new(VirtualBackend::new(system.clone(), vec![description]))],
        wanted: Arc::new(|device| device.is_default),
        leader: None,
        taps: false,
        most_clients: 16,
    })
    .unwrap();
    let server = Server::open(hub.clone(), system, &folder.join("hub.socket")).unwrap();
    (hub, server)
}

fn open(address: &Path) -> Box<dyn Stream> {
    let backend = HubBackend::new(RealSystem::new(), address.to_owned(), None);
    let side = Some(SideRequest { channels: 2, format: None });
    let request = OpenRequest {
        id: DeviceId::new("hub", "virtual:loop"),
        rate: RateHz::DAT,
        capture: None,
        playback: side,
        period_frames: PERIOD_FRAMES,
    };
    backend.open(&request).unwrap()
}

/// Plays: `count` numbers on the first channel, `noise` a constant on the second.
fn play(address: &Path, work: &str) -> Loss {
    let system = RealSystem::new();
    let mut stream = open(address);
    stream.start().unwrap();
    let mut next = 1_u32;
    loop {
        match stream.wait(system.now_ns() + 1_000_000_000) {
            Wake::Due(_) => {}
            Wake::Lost(loss) => return loss,
            _ => continue,
        }
        let mut area = stream.playback();
        let frames = area.frames();
        for channel in 0..2 {
            let plane = area.plane(channel);
            for n in 0..frames {
                let value = match (work, channel) {
                    ("count", 0) => sample(next + n),
                    ("noise", 1) => 0x0123_4567,
                    _ => 0,
                };
                let place = plane.as_ptr().wrapping_add(n as usize * plane.step_bytes());
                // SAFETY: within the piece that was lent.
                unsafe { place.cast::<i32>().write_unaligned(value) };
            }
        }
        next += frames;
        stream.commit(frames);
    }
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: the process is a child of ours that was not waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

/// Numbers must ascend by one; a jump is the client's own lateness if it is whole blocks, with as many frames of silence.
fn altered(heard: &[i32]) -> (u64, u64) {
    let (mut altered, mut silent, mut expected) = (0, 0, None::<u32>);
    let begin = heard.iter().position(|&value| value != 0).unwrap_or(heard.len());
    let end = heard.iter().rposition(|&value| value != 0).unwrap_or(begin);
    for &value in &heard[begin..=end.max(begin).min(heard.len() - 1)] {
        if value == 0 {
            silent += 1;
            continue;
        }
        let Some(n) = is_sample(value) else {
            altered += 1;
            continue;
        };
        if expected.is_some_and(|expected| n != expected && (n - expected) % PERIOD_FRAMES != 0) {
            altered += 1;
        }
        expected = Some(n + 1);
    }
    (altered, silent)
}

struct Figures {
    altered: u64,
    xruns: u64,
    overstay_ns: u64,
    silent: u64,
}

/// A client counts; another one makes noise and is `struck`, or is left alone.
fn run_once(strike: Option<i32>) -> Figures {
    let rig = Rig::new();
    let mut counting = rig.client("count");
    rig.wait("the first client plays", |r| r.clients.iter().any(|c| c.runs && c.blocks > 2));
    let mut struck = rig.client("noise");
    rig.wait("both play", |r| r.clients.iter().filter(|c| c.runs && c.blocks > 2).count() == 2);
    let own = counting.id();
    let before = rig.hub.report();
    let of = |r: &Report| r.clients.iter().find(|c| c.who.process == own).map_or(0, |c| c.blocks);
    if let Some(number) = strike {
        signal(&struck, number);
    }
    // Twelve blocks: four times as many as it takes until nobody waits any more.
    let after = rig.wait("the other one goes on", |r| of(r) > of(&before) + 12);
    if strike == Some(libc::SIGSTOP) {
        signal(&struck, libc::SIGCONT);
    }
    let _ = struck.kill();
    let _ = struck.wait();
    let _ = counting.kill();
    let _ = counting.wait();
    let (altered, silent) = altered(&rig.heard.0.lock().unwrap());
    Figures { altered, silent, xruns: after.xruns, overstay_ns: after.longest_overstay_ns }
}

fn stopped_and_killed(tries: u32) {
    let kinds =
        [("clean", None), ("SIGSTOP", Some(libc::SIGSTOP)), ("SIGKILL", Some(libc::SIGKILL))];
    let mut totals = [(0, 0, 0, 0); 3];
    for _ in 0..tries {
        for ((_, strike), total) in kinds.iter().zip(&mut totals) {
            let figures = run_once(*strike);
            total.0 += figures.altered;
            total.1 += figures.xruns;
            total.2 = total.2.max(figures.overstay_ns);
            total.3 += figures.silent;
        }
    }
    for ((name, _), (altered, xruns, overstay_ns, silent)) in kinds.iter().zip(totals) {
        println!(
            "{name}: {tries} tries, {altered} frames altered, {xruns} xruns of the device, longest behind a deadline {} µs, {silent} frames of silence for blocks that the other client was late for itself",
            overstay_ns / 1000
        );
    }
    assert!(totals.iter().all(|total| total.0 == 0), "frames were altered");
    // Silence in the middle is the other client's own lateness: that of the clean runs, and none where they have none.
    let most = 3 * totals[0].3;
    assert!(totals[1].3 <= most && totals[2].3 <= most, "another client was made late");
    // A period is 21 ms, and a deadline lies 5 ms before it at the least: being behind one by more than that would be an xrun
    // that a client has caused. What the scheduler of this machine does is seen in the clean runs.
    let clean = totals[0].2.max(5_000_000);
    assert!(totals[1].2 <= 2 * clean && totals[2].2 <= 2 * clean, "the hub waited too long");
}

/// A hub in a process of its own, that is killed.
fn killed_hub() {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("hub.socket");
    let hub = |folder: &Path| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--work", "hub", "--address"])
            .arg(folder)
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    };
    let await_hub = || {
        let begin = Instant::now();
        while socket::call(&address, "test", Who::default()).is_err() {
            assert!(begin.elapsed() < 10 * SECOND, "the hub does not come up");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let mut first = hub(folder.path());
    await_hub();
    let its = address.clone();
    let client = std::thread::spawn(move || play(&its, "count"));
    std::thread::sleep(SECOND / 2);
    first.kill().unwrap();
    first.wait().unwrap();
    let begin = Instant::now();
    assert_eq!(client.join().unwrap(), Loss::Gone, "the client is told that the hub has gone");
    assert!(begin.elapsed() < SECOND, "a client notices at once");
    // What the dead hub has left behind is in nobody's way.
    let mut second = hub(folder.path());
    await_hub();
    let mut stream = open(&address);
    stream.start().unwrap();
    let system = RealSystem::new();
    let due = (0..20).any(|_| matches!(stream.wait(system.now_ns() + 500_000_000), Wake::Due(_)));
    assert!(due, "a new hub serves");
    second.kill().unwrap();
    second.wait().unwrap();
}

/// Another user is refused twice: by the file's rights, and by the hub itself where those are open to all.
fn another_user() {
    // SAFETY: no argument; cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        assert!(std::env::var_os("CI").is_none(), "in CI another user has to be tried");
        println!("SKIPPED: only the administrator can become another user");
        return;
    }
    let rig = Rig::new();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&rig.address()), 0o600, "the socket is its owner's alone");
    let program = rig.folder.path().join("stranger");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let open_to_all = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open_to_all(rig.folder.path(), 0o755);
    let stranger = || {
        let mut command = Command::new(&program);
        command.args(["--work", "stranger", "--address"]).arg(rig.address());
        command.uid(65_534).gid(65_534).current_dir("/");
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let refused = stranger();
    assert!(refused.starts_with("Denied"), "by the file's rights: {refused}");
    open_to_all(&rig.address(), 0o666);
    let refused = stranger();
    assert!(refused.starts_with("Denied"), "by the hub itself: {refused}");
    assert!(rig.hub.report().clients.is_empty());
    println!("another user: {refused}");
}

/// What a stranger says, without looking at whom it talks to: the hub has to refuse by itself.
fn stranger(address: &Path) {
    use std::io::{Read, Write};
    let mut socket = match std::os::unix::net::UnixStream::connect(address) {
        Ok(socket) => socket,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            println!("Denied by the system");
            return;
        }
        Err(error) => {
            println!("{error}");
            return;
        }
    };
    let who = Who { program: "stranger".to_owned(), process: 1 };
    let protocol = barewire_share::PROTOCOL;
    let hello = Ask::Hello { protocol, version: "0".to_owned(), who };
    socket.write_all(&message::framed(&hello).unwrap()).unwrap();
    let mut header = [0; 4];
    socket.read_exact(&mut header).unwrap();
    let mut body = vec![0; message::length(header, message::MOST_BYTES).unwrap()];
    socket.read_exact(&mut body).unwrap();
    match message::answer(&body).unwrap().accepted() {
        Err(error) => println!("{:?}: {error}", error.kind()),
        Ok(answer) => println!("let in: {answer:?}"),
    }
}

fn another_version() {
    let rig = Rig::new();
    let line = Line::call(&rig.address()).unwrap();
    let hello = Ask::Hello { protocol: 99, version: "9.9".to_owned(), who: Who::default() };
    let error = socket::ask(&line, &hello).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    println!("another version: {error}");
    // Whoever says something else first, or nothing that can be read, gets a sentence too.
    let line = Line::call(&rig.address()).unwrap();
    assert!(socket::ask(&line, &Ask::Describe {}).is_err());
    let line = Line::call(&rig.address()).unwrap();
    line.send(&[9, 0, 0, 0, b'{', b'}', 0, 1, 2, 3, 4, 5, 6], &[]).unwrap();
    let body = line.receive(message::MOST_BYTES, 5 * SECOND).unwrap();
    assert!(matches!(message::answer(&body).unwrap(), Answer::Refused { .. }));
}

fn main() {
    let address = argument("--address").map(PathBuf::from);
    match (argument("--work").as_deref(), address) {
        (Some("hub"), Some(folder)) => {
            let (hub, _server) = open_hub(&folder, Sink::Null);
            loop {
                std::thread::sleep(Duration::from_millis(50));
                hub.round();
            }
        }
        (Some("stranger"), Some(address)) => return stranger(&address),
        (Some(work), Some(address)) => {
            // On a thread of the role that real-time priority is asked for, as a driver's.
            let system = RealSystem::new();
            let work = work.to_owned();
            let body = Box::new(move || {
                play(&address, &work);
            });
            let thread = system.spawn("player", Role::Device, body).unwrap();
            while !thread.join(system.now_ns() + 1_000_000_000) {}
            return;
        }
        _ => {}
    }
    let tries = argument("--tries").and_then(|tries| tries.parse().ok()).unwrap_or(EVERYDAY_TRIES);
    another_user();
    another_version();
    killed_hub();
    stopped_and_killed(tries);
}
