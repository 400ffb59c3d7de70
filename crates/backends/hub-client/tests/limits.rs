//! What one caller may do to the hub over its socket: too many messages, messages of any bytes, too many lines, too many
//! clients. Each ends with a sentence or a cut line, and whoever plays meanwhile goes on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may stop the world"
)]

use barewire_hub::{Hub, Options, Server};
use barewire_rt::{Ns, RealSystem, Role, System, Thread, Woken};
use barewire_share::message::{self, Answer, Ask, Who, Wish};
use barewire_share::socket::{self, Line};
use barewire_types::{ErrorKind, Result};
use barewire_virtual::{Description, VirtualBackend};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// As the hub has them.
const MOST_A_SECOND: usize = 500;
const MOST_LINES: usize = 96;
const MOST_CLIENTS: usize = 3;

/// The machine's system, whose clock stands: all messages of a test fall into one second, however busy the machine is.
#[derive(Debug)]
struct Standing(Arc<RealSystem>);

impl System for Standing {
    fn now_ns(&self) -> Ns {
        5_000_000_000
    }
    fn sleep(&self, word: &AtomicU32, expected: u32, until: Ns) -> Woken {
        self.0.sleep(word, expected, until)
    }
    fn await_word(&self, word: &AtomicU32, expected: u32, until: Ns) -> Woken {
        self.0.await_word(word, expected, until)
    }
    fn wake(&self, word: &AtomicU32) {
        self.0.wake(word);
    }
    fn await_shared(&self, words: &[(&AtomicU32, u32)], until: Ns) -> Woken {
        self.0.await_shared(words, until)
    }
    fn wake_shared(&self, word: &AtomicU32) {
        self.0.wake_shared(word);
    }
    fn spawn(&self, name: &str, role: Role, body: Box<dyn FnOnce() + Send>) -> Result<Thread> {
        self.0.spawn(name, role, body)
    }
    fn join_deadline_ns(&self, length_ns: Ns) -> Ns {
        self.0.join_deadline_ns(length_ns)
    }
}

struct Rig {
    folder: tempfile::TempDir,
    hub: Arc<Hub>,
    server: Option<Server>,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let system: Arc<dyn System> = RealSystem::new();
        let description = Description { prefill_periods: 4, ..Description::default() };
        let hub = Hub::new(Options {
            system: system.clone(),
            backends: vec![Arc::new(VirtualBackend::new(system, vec![description]))],
            wanted: Arc::new(|device| device.is_default),
            leader: None,
            taps: false,
            most_clients: MOST_CLIENTS,
        })
        .unwrap();
        let standing = Arc::new(Standing(RealSystem::new()));
        let server = Server::open(hub.clone(), standing, &folder.path().join("hub.socket"));
        Self { folder, hub, server: Some(server.unwrap()) }
    }

    fn address(&self) -> PathBuf {
        self.folder.path().join("hub.socket")
    }

    fn call_as(&self, program: &str, process: u32) -> Line {
        let who = Who { program: program.to_owned(), process };
        socket::call(&self.address(), "test", who).unwrap()
    }

    fn call(&self) -> Line {
        self.call_as("caller", 1)
    }

    /// One that is let in and started, so that a run is under way.
    fn playing(&self) -> Line {
        let line = self.call_as("player", 2);
        attach(&line).unwrap();
        socket::ask(&line, &Ask::Start {}).unwrap();
        line
    }

    fn goes_on(&self) {
        let blocks = || self.hub.report().blocks;
        let before = blocks();
        for _ in 0..2000 {
            if blocks() > before + 3 {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the device does not move");
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

fn attach(line: &Line) -> Result<Answer> {
    let wish = Wish { rate_hz: 48_000, period_frames: 512, captures: true, plays: true };
    socket::ask(line, &Ask::Attach { wish })
}

/// Answers until the line is cut.
fn answers(line: &Line) -> Vec<Answer> {
    let mut all = Vec::new();
    loop {
        match line.receive(message::MOST_BYTES, 10 * SECOND) {
            Ok(body) => all.push(message::answer(&body).unwrap()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Lost, "the line is not cut");
                return all;
            }
        }
    }
}

#[test]
fn a_flood_of_messages_is_cut_and_nobody_else_hears_of_it() {
    let rig = Rig::new();
    let _playing = rig.playing();
    let line = rig.call();
    for n in 0..MOST_A_SECOND {
        // As fast as the line takes them, answered one by one: exactly so many are allowed.
        let answer = socket::ask(&line, &Ask::Tune { client: "x".into(), gain: None, muted: None });
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::NotFound, "message {n}");
    }
    let refused = socket::ask(&line, &Ask::Report {}).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}");
    assert!(answers(&line).is_empty(), "the line is cut");
    assert!(matches!(socket::ask(&rig.call(), &Ask::Report {}), Ok(Answer::Report { .. })));
    rig.goes_on();
}

#[test]
fn the_last_client_too_many_is_refused_and_a_place_that_is_left_is_free() {
    let rig = Rig::new();
    let mut lines: Vec<Line> = (0..MOST_CLIENTS).map(|_| rig.playing()).collect();
    let line = rig.call();
    let refused = attach(&line).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Busy);
    assert!(refused.to_string().contains("serves 3 clients"), "{refused}");
    assert!(attach(&lines[0]).is_err(), "twice on one line");
    lines.pop();
    for n in 0.. {
        match attach(&line) {
            Ok(_) => break,
            Err(error) => assert!(n < 2000, "the place is never free: {error}"),
        }
        if n > 0 && n % 400 == 0 {
            rig.goes_on();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(rig.hub.report().clients.len(), MOST_CLIENTS);
    rig.goes_on();
}

#[test]
fn a_caller_too_many_is_refused_and_a_message_too_long_is_not_read() {
    let rig = Rig::new();
    let _playing = rig.playing();
    let lines: Vec<Line> = (1..MOST_LINES).map(|_| rig.call()).collect();
    let refused = socket::call(&rig.address(), "test", Who::default()).unwrap_err();
    assert!([ErrorKind::Busy, ErrorKind::Lost].contains(&refused.kind()), "{refused}");
    // A length beyond what a client may say: nothing of that size is ever made room for.
    for most in [message::MOST_ASK_BYTES + 1, u32::MAX as usize] {
        let line = &lines[usize::from(most > message::MOST_BYTES)];
        let mut bytes = (most as u32).to_le_bytes().to_vec();
        bytes.extend([b' '; 100]);
        line.send(&bytes, &[]).unwrap();
        assert!(answers(line).is_empty(), "the line is cut");
    }
    assert!(matches!(socket::ask(&lines[5], &Ask::Report {}), Ok(Answer::Report { .. })));
    rig.goes_on();
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// A message with some damage: bytes changed, left out, doubled, or another length told than there is.
fn damaged(random: &mut Random) -> Vec<u8> {
    let wish = Wish { rate_hz: 48_000, period_frames: 512, captures: true, plays: true };
    let asks = [
        Ask::Describe {},
        Ask::Attach { wish },
        Ask::Start {},
        Ask::Stop {},
        Ask::Report {},
        Ask::Tune { client: "a".into(), gain: Some(0.5), muted: Some(true) },
        Ask::Hello {
            protocol: barewire_share::PROTOCOL,
            version: String::new(),
            who: Who::default(),
        },
    ];
    let mut body = message::framed(&asks[random.below(asks.len())]).unwrap().split_off(4);
    for _ in 0..random.below(4) {
        let at = random.below(body.len());
        match random.below(4) {
            0 => body[at] = random.below(256) as u8,
            1 => body.truncate(at + 1),
            2 => body.extend_from_within(at..),
            _ => body[at] ^= 1 << random.below(8),
        }
    }
    let mut length = body.len() as u32;
    if random.below(8) == 0 {
        length = random.below(5000) as u32;
    }
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend(body);
    bytes
}

#[test]
fn no_message_of_any_bytes_makes_the_hub_end_or_miss_a_block() {
    const SEEDS: u64 = 300;
    let rig = Rig::new();
    let _playing = rig.playing();
    let mut accepted = 0;
    for seed in 0..SEEDS {
        let mut random = Random(seed << 8 | 1);
        // One in four comes without a hello.
        let line =
            if seed.is_multiple_of(4) { Line::call(&rig.address()).unwrap() } else { rig.call() };
        for _ in 0..1 + random.below(20) {
            if line.send(&damaged(&mut random), &[]).is_err() {
                break;
            }
        }
        // Whatever comes back is an answer of the protocol; a half message is left standing.
        while let Ok(body) = line.receive(message::MOST_BYTES, Duration::from_millis(20)) {
            let answer = message::answer(&body);
            let answer = answer.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            accepted += u64::from(!matches!(answer, Answer::Refused { .. }));
        }
    }
    assert!(accepted > SEEDS / 10, "only {accepted} of {SEEDS} were understood at all");
    assert!(matches!(socket::ask(&rig.call(), &Ask::Report {}), Ok(Answer::Report { .. })));
    rig.goes_on();
    for _ in 0..2000 {
        if rig.hub.report().clients.len() == 1 {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("clients are left over: {:?}", rig.hub.report().clients);
}
