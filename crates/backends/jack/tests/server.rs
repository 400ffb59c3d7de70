//! The backend on a real JACK2 server with the dummy driver, started and killed by the tests. A server's name is taken
//! from the environment of whoever uses libjack, so the tests run in a process of their own that has it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a test may stop the world"
)]

use barewire_device::contract::{Bench, check_some};
use barewire_device::{Backend, DeviceId, Loss, OpenRequest, SideRequest, Stream, Wake};
use barewire_jack::{DEVICE, JackBackend, NAME, Wiring};
use barewire_rt::{RealSystem, System};
use barewire_types::{ErrorKind, RateHz};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const VARIABLE: &str = "JACK_DEFAULT_SERVER";
const PERIOD_FRAMES: u32 = 256;
const SECOND_NS: u64 = 1_000_000_000;

/// Runs the tests below with a server's name of their own.
#[test]
fn on_a_real_server() {
    let is_there = Command::new("jackd").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !is_there {
        assert!(std::env::var_os("BAREWIRE_ALL").is_none(), "jackd is not installed");
        println!("SKIPPED: jackd is not installed (Debian package jackd2)");
        return;
    }
    let name = format!("barewire-test-{}", std::process::id());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--test-threads=1", "--nocapture"]).env(VARIABLE, name);
    assert!(command.status().unwrap().success(), "see above");
}

/// A running server; killed when dropped.
struct Server(Child);

impl Server {
    fn start(rate_hz: u32) -> Self {
        let name = std::env::var(VARIABLE).expect("started by `on_a_real_server`");
        let (rate, period) = (rate_hz.to_string(), PERIOD_FRAMES.to_string());
        let mut command = Command::new("jackd");
        command.args(["-n", &name, "-r", "-d", "dummy", "-r", &rate, "-p", &period]);
        let server = Self(
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .stdin(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let begin = Instant::now();
        while backend().devices().unwrap().is_empty() {
            assert!(begin.elapsed() < Duration::from_secs(20), "jackd does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn backend() -> JackBackend {
    JackBackend::with_wiring(RealSystem::new(), Wiring::Loop)
}

fn request() -> OpenRequest {
    let side = Some(SideRequest { channels: 2, format: None });
    OpenRequest {
        id: DeviceId::new(NAME, DEVICE),
        rate: RateHz::DAT,
        capture: side,
        playback: side,
        period_frames: PERIOD_FRAMES,
    }
}

/// The n-th number of a sequence that tells its place and needs all 24 bits.
fn number(n: u32) -> f32 {
    let bits = n.wrapping_mul(0x9E_37_79) & 0xFF_FF_FF;
    (bits.cast_signed() - 0x80_00_00) as f32 / 8_388_608.0
}

/// Writes numbers from `next` on to the first channel; gives what the first channel captured.
fn exchange(stream: &mut dyn Stream, next: &mut u32) -> Vec<f32> {
    let area = stream.capture();
    let plane = area.plane(0);
    let frames = area.frames();
    let at = |n: u32| plane.as_ptr().wrapping_add(n as usize * plane.step_bytes()).cast::<f32>();
    // SAFETY: the sample lies within the piece that was lent.
    let captured = (0..frames).map(|n| unsafe { at(n).read() }).collect();
    stream.release(frames);
    let mut area = stream.playback();
    let frames = area.frames();
    let plane = area.plane(0);
    for n in 0..frames {
        let place = plane.as_ptr().wrapping_add(n as usize * plane.step_bytes()).cast::<f32>();
        // SAFETY: the sample lies within the piece that was lent.
        unsafe { place.write(number(*next)) };
        *next += 1;
    }
    stream.commit(frames);
    captured
}

/// The next period, idle wake-ups aside.
fn next(system: &dyn System, stream: &mut dyn Stream) -> Wake {
    let end = system.now_ns() + 5 * SECOND_NS;
    loop {
        match stream.wait(system.now_ns() + SECOND_NS) {
            Wake::Idle if system.now_ns() < end => {}
            other => return other,
        }
    }
}

#[test]
#[ignore = "run by `on_a_real_server`"]
fn the_contract_is_kept() {
    let _server = Server::start(48_000);
    let make = || Bench {
        system: RealSystem::new(),
        backend: Box::new(backend()),
        request: request(),
        heard: None,
        is_looped: true,
        unplug: None,
    };
    // What a machine's load can upset is left to the tests below, which allow for xruns.
    let timed =
        ["position-follows-clock", "xrun-counted", "latency-as-stated", "unread-is-dropped"];
    let report = check_some(&make, |rule| !timed.contains(&rule));
    println!("{report}");
    assert!(report.broken.is_empty());
}

#[test]
#[ignore = "run by `on_a_real_server`"]
fn twenty_four_bits_come_back_untouched_one_period_later() {
    let _server = Server::start(48_000);
    let system = RealSystem::new();
    let mut stream = backend().open(&request()).unwrap();
    stream.start().unwrap();
    let (mut sent, mut heard) = (0, Vec::new());
    let mut misses = 0;
    while heard.len() < 96_000 {
        let Wake::Due(period) = next(&*system, &mut *stream) else { panic!("no period") };
        misses += u32::from(period.missed_frames > 0);
        heard.extend(exchange(&mut *stream, &mut sent));
    }
    // Silence until the first committed frame, then all frames in their order; an xrun leaves out whole periods.
    let period = PERIOD_FRAMES as usize;
    let mut expected = 0;
    let mut gaps = 0;
    for block in heard.chunks_exact(period).skip(1) {
        let silent = block.iter().all(|&sample| sample == 0.0);
        let begins = (expected..=sent).step_by(period).find(|&n| number(n) == block[0]);
        if silent || begins != Some(expected) {
            gaps += 1;
        }
        let Some(begin) = begins.filter(|_| !silent) else { continue };
        assert!((begin..).zip(block).all(|(n, &sample)| number(n).to_bits() == sample.to_bits()));
        expected = begin + PERIOD_FRAMES;
    }
    println!("{gaps} gaps, {misses} xruns told");
    assert!(gaps <= 2 * misses, "{gaps} gaps, but {misses} xruns told");
}

#[test]
#[ignore = "run by `on_a_real_server`"]
fn libjacks_own_thread_runs_the_cycle() {
    let _server = Server::start(48_000);
    let system = RealSystem::new();
    let mut stream = backend().open(&request()).unwrap();
    let works = stream.clockwork().unwrap();
    let cycles = Arc::new(AtomicU32::new(0));
    let (counted, mut sent) = (cycles.clone(), 0);
    let here = std::thread::current().id();
    stream.start().unwrap();
    works
        .run(Box::new(move || {
            if std::thread::current().id() != here && matches!(stream.wait(0), Wake::Due(_)) {
                exchange(&mut *stream, &mut sent);
                counted.fetch_add(1, Ordering::SeqCst);
            }
            true
        }))
        .unwrap();
    let begin = Instant::now();
    while cycles.load(Ordering::SeqCst) < 100 {
        assert!(begin.elapsed() < Duration::from_secs(20), "{cycles:?} cycles");
        std::thread::sleep(Duration::from_millis(10));
    }
    let step = works.end(system.now_ns() + SECOND_NS);
    assert!(step.is_some(), "the step comes back");
    let then = cycles.load(Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(cycles.load(Ordering::SeqCst), then, "and is not called any more");
}

#[test]
#[ignore = "run by `on_a_real_server`"]
fn a_server_killed_fifty_times_is_lost_and_found_fifty_times() {
    let system = RealSystem::new();
    for _ in 0..50 {
        let server = Server::start(48_000);
        let mut stream = backend().open(&request()).unwrap();
        stream.start().unwrap();
        let mut sent = 0;
        for _ in 0..5 {
            assert!(matches!(next(&*system, &mut *stream), Wake::Due(_)));
            exchange(&mut *stream, &mut sent);
        }
        drop(server);
        let end = system.now_ns() + 10 * SECOND_NS;
        loop {
            match stream.wait(system.now_ns() + SECOND_NS) {
                Wake::Lost(loss) => break assert_eq!(loss, Loss::Gone),
                _ => assert!(system.now_ns() < end, "the loss is not told"),
            }
        }
        drop(stream);
        let error = backend().open(&request()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}

#[test]
#[ignore = "run by `on_a_real_server`"]
fn another_rate_than_the_servers_is_refused_with_a_remedy() {
    let _server = Server::start(44_100);
    let error = backend().open(&request()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::UnsupportedRate);
    assert!(error.remedy_text().unwrap().contains("44100"), "{error}");
}
