//! The backend on a real JACK2 server with the dummy driver, started and killed by the tests. A server's name is taken
//! from the environment of whoever uses libjack, so the tests run in a process of their own that has it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a test may stop the world"
)]

mod rig;

use barewire_device::contract::{Bench, Report, check_some};
use barewire_device::{Backend, Loss, Wake};
use barewire_engine::EventKind;
use barewire_jack::{JackBackend, Wiring};
use barewire_rt::{RealSystem, System};
use barewire_testkit::servers::{JACK_VARIABLE, Jackd, are_there};
use barewire_types::ErrorKind;
use rig::engine::Running;
use rig::{PERIOD_FRAMES, SECOND_NS, exchange, next, request};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Runs the tests below with a server's name of their own.
#[test]
fn on_a_real_server() {
    if are_there(&[("jackd", "jackd2")]) {
        let name = format!("barewire-test-{}", std::process::id());
        rig::run_ignored(&[(JACK_VARIABLE, Path::new(&name))]);
    }
}

fn start(rate_hz: u32) -> Jackd {
    let name = std::env::var(JACK_VARIABLE).expect("started by `on_a_real_server`");
    Jackd::start(&name, rate_hz, PERIOD_FRAMES, || !backend().devices().unwrap().is_empty())
}

/// Suspends the server for a while.
fn pause(server: &Jackd, length: Duration) {
    let signal = |name: &str| {
        let id = server.process().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    };
    signal("-STOP");
    std::thread::sleep(length);
    signal("-CONT");
}

/// The xruns in the server's own words.
fn own_xruns(server: &Jackd) -> usize {
    server.words().lines().filter(|line| line.contains("XRun")).count()
}

fn backend() -> JackBackend {
    JackBackend::with_wiring(RealSystem::new(), Wiring::Loop)
}

#[test]
#[ignore = "run by `on_a_real_server`"]
fn the_contract_is_kept() {
    /// A rule that a busy machine upset is tried again so often.
    const TRIES: u32 = 5;
    let _server = start(48_000);
    let make = || Bench {
        system: RealSystem::new(),
        backend: Box::new(backend()),
        request: request(),
        heard: None,
        is_looped: true,
        unplug: None,
    };
    let mut report = check_some(&make, |_| true);
    // Rules that a machine's load can upset: they hold if the machine leaves them in peace once. The server in simulated
    // time (src/fake) keeps them at the first try.
    let upset: Vec<&'static str> = [
        "position-follows-clock",
        "xrun-counted",
        "latency-as-stated",
        "unread-is-dropped",
        "past-deadline-polls",
        "deadline-kept",
    ]
    .into_iter()
    .filter(|rule| !report.kept.contains(rule))
    .collect();
    for rule in upset {
        let again = (0..TRIES).map(|_| check_some(&make, |name| name == rule));
        let report_of = |last: Option<Report>| last.unwrap_or_default();
        let mut last = None;
        for one in again {
            let kept = one.broken.is_empty() && one.not_tried.is_empty();
            last = Some(one);
            if kept {
                break;
            }
        }
        let last = report_of(last);
        report.broken.retain(|finding| finding.rule != rule);
        report.not_tried.retain(|(name, _)| *name != rule);
        report.broken.extend(last.broken);
        report.not_tried.extend(last.not_tried);
        report.kept.extend(last.kept);
    }
    println!("{report}");
    assert!(report.broken.is_empty());
    // What nobody hears or can unplug here is tried in simulated time, as are the two that need a run without an xrun, which
    // a busy machine may not give.
    let elsewhere = [
        "lost-for-good",
        "prefill-heard",
        "heard-exactly",
        "unwritten-is-silence",
        "xrun-resumes-on-a-frame",
    ];
    let busy = ["latency-as-stated", "unread-is-dropped"];
    let not_tried: Vec<&str> = report.not_tried.iter().map(|(rule, _)| *rule).collect();
    assert!(elsewhere.iter().all(|rule| not_tried.contains(rule)), "{not_tried:?}");
    let unexpected =
        not_tried.iter().find(|rule| !elsewhere.contains(rule) && !busy.contains(rule));
    assert_eq!(unexpected, None);
}

#[test]
#[ignore = "run by `on_a_real_server`"]
fn twenty_four_bits_come_back_untouched() {
    let _server = start(48_000);
    let mut stream = backend().open(&request()).unwrap();
    let (gaps, xruns) = rig::send_round(&*RealSystem::new(), &mut *stream, 96_000);
    assert!(gaps <= 2 * xruns, "{gaps} gaps, but {xruns} xruns told");
}

#[test]
#[ignore = "run by `on_a_real_server`"]
fn libjacks_own_thread_runs_the_cycle() {
    let _server = start(48_000);
    let running = Running::start(backend().open(&request()).unwrap());
    running.await_blocks(true, 300);
    let (own, foreign) = (&running.notes.own, &running.notes.foreign);
    let (own, foreign) = (own.load(Ordering::Relaxed), foreign.load(Ordering::Relaxed));
    // How many are ours depends on how often this machine lets the server stand still; in simulated time there are none.
    println!("{foreign} blocks on libjack's thread, {own} on ours");
    let notes = running.notes.clone();
    running.stop();
    let then = notes.foreign.load(Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(notes.foreign.load(Ordering::Relaxed), then, "stopped is stopped");
}

#[test]
#[ignore = "run by `on_a_real_server`"]
fn xruns_are_those_that_the_server_counts() {
    /// Longer than what a busy machine adds, and shorter than the pauses.
    const LEAST_US: u64 = 60_000;
    const PAUSES: usize = 12;
    let server = start(48_000);
    let system = RealSystem::new();
    let mut stream = backend().open(&request()).unwrap();
    stream.start().unwrap();
    let done = Arc::new(AtomicU32::new(0));
    let (its, mut sent, mut missed) = (done.clone(), 0, Vec::new());
    let reader = std::thread::spawn(move || {
        while its.load(Ordering::Acquire) == 0 {
            let Wake::Due(period) = next(&*system, &mut *stream) else { panic!("no period") };
            missed.extend((period.missed_frames > 0).then_some(period.missed_frames));
            exchange(&mut *stream, &mut sent);
        }
        missed
    });
    for _ in 0..PAUSES {
        std::thread::sleep(Duration::from_millis(100));
        pause(&server, Duration::from_millis(120));
    }
    std::thread::sleep(Duration::from_millis(200));
    done.store(1, Ordering::Release);
    let missed = reader.join().unwrap();
    let told = own_xruns(&server);
    let to_us = |frames: u32| u64::from(frames) * 1_000_000 / 48_000;
    let ours: Vec<u64> = missed.into_iter().map(to_us).filter(|&us| us >= LEAST_US).collect();
    println!("the server told {told} xruns, we {ours:?} us");
    assert!(ours.len() >= PAUSES, "each pause is counted");
    assert!(ours.len() <= told, "and nothing that the server does not count");
}

#[test]
#[ignore = "run by `on_a_real_server`"]
fn a_server_that_is_killed_is_lost_and_its_successor_found_each_time() {
    // Fifty times in the JACK lab (`cargo xtask jack`), in debug and in release.
    let kills = std::env::var("BAREWIRE_KILLS").map_or(6, |count| count.parse().unwrap());
    let mut server = start(48_000);
    let mut running = Running::start(backend().open(&request()).unwrap());
    for n in 0..kills {
        running.await_blocks(true, 5);
        server.crash();
        // Silence goes on from our own timer.
        running.await_blocks(false, 10);
        let begin = Instant::now();
        while !running.control.is_lost() {
            assert!(begin.elapsed() < Duration::from_secs(10), "{n}: the loss is not told");
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(running.control.take_dead());
        let error = backend().open(&request()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        server = start(48_000);
        let stream = backend().open(&request()).unwrap();
        assert!(running.control.offer(stream).is_ok(), "{n}: the offer is refused");
    }
    running.await_blocks(true, 5);
    while let Some(event) = running.events.pop() {
        assert!(!matches!(event.kind, EventKind::Lost(_)), "the engine itself never loses it");
    }
    running.stop();
}

#[test]
#[ignore = "run by `on_a_real_server`"]
fn a_stream_without_an_engine_tells_its_loss() {
    let system = RealSystem::new();
    let server = start(48_000);
    let mut stream = backend().open(&request()).unwrap();
    stream.start().unwrap();
    assert!(matches!(next(&*system, &mut *stream), Wake::Due(_)));
    server.crash();
    let end = system.now_ns() + 10 * SECOND_NS;
    loop {
        match stream.wait(system.now_ns() + SECOND_NS) {
            Wake::Lost(loss) => break assert_eq!(loss, Loss::Gone),
            _ => assert!(system.now_ns() < end, "the loss is not told"),
        }
    }
}

#[test]
#[ignore = "run by `on_a_real_server`"]
fn another_rate_than_the_servers_is_refused_with_a_remedy() {
    let _server = start(44_100);
    let error = backend().open(&request()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::UnsupportedRate);
    assert!(error.remedy_text().unwrap().contains("44100"), "{error}");
}

#[test]
#[ignore = "run by `on_a_real_server`"]
fn a_server_that_changes_its_period_is_a_device_that_changed() {
    let _server = start(48_000);
    let system = RealSystem::new();
    let mut stream = backend().open(&request()).unwrap();
    stream.start().unwrap();
    assert!(matches!(next(&*system, &mut *stream), Wake::Due(_)));
    let status = Command::new("jack_bufsize").arg("512").stdout(Stdio::null()).status();
    assert!(status.unwrap().success());
    let end = system.now_ns() + 10 * SECOND_NS;
    loop {
        match stream.wait(system.now_ns() + SECOND_NS) {
            Wake::Lost(loss) => break assert_eq!(loss, Loss::Changed),
            Wake::Due(_) => drop(exchange(&mut *stream, &mut 0)),
            _ => assert!(system.now_ns() < end, "the change is not told"),
        }
    }
}
