//! The backend on PipeWire's own JACK: a daemon of the tests' own, with a null sink as the hardware, reached through the
//! libjack that PipeWire brings. What the sink is played comes back from its monitor ports.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a test may stop the world"
)]

mod rig;

use barewire_device::{Backend, Loss, OpenRequest, Wake};
use barewire_jack::{JackBackend, Wiring};
use barewire_rt::{RealSystem, System};
use barewire_testkit::servers::{JACK_VARIABLE, PIPEWIRE_VARIABLE, PipeWire, are_there};
use rig::engine::Running;
use rig::{PERIOD_FRAMES, SECOND_NS, next, request};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Runs the tests below with a daemon's folder of their own.
#[test]
fn on_a_real_pipewire() {
    let needed =
        [("pipewire", "pipewire"), ("pw-cli", "pipewire-bin"), ("pw-jack", "pipewire-jack")];
    if are_there(&needed) {
        let folder = tempfile::tempdir().unwrap();
        // No JACK2 server of this name runs, so that its libjack finds none.
        let nobody = Path::new("barewire-nobody");
        rig::run_ignored(&[
            (PIPEWIRE_VARIABLE, folder.path()),
            ("XDG_RUNTIME_DIR", folder.path()),
            (JACK_VARIABLE, nobody),
        ]);
    }
}

fn start() -> PipeWire {
    let folder = std::env::var_os(PIPEWIRE_VARIABLE).expect("started by `on_a_real_pipewire`");
    PipeWire::start(Path::new(&folder), || !backend().devices().unwrap().is_empty())
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stderr(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// As everybody has it: connected with the hardware.
fn backend() -> JackBackend {
    JackBackend::new(RealSystem::new())
}

/// With inputs that hear what the sink is played.
fn round() -> JackBackend {
    let ports = |word: &str| vec![format!("sink:{word}_FL"), format!("sink:{word}_FR")];
    let wiring = Wiring::Named { captures: ports("monitor"), plays: ports("playback") };
    JackBackend::with_wiring(RealSystem::new(), wiring)
}

#[test]
#[ignore = "run by `on_a_real_pipewire`"]
fn twenty_four_bits_come_back_from_the_sinks_monitor() {
    let _daemon = start();
    let devices = backend().devices().unwrap();
    let playback = devices[0].playback.as_ref().unwrap();
    assert_eq!(playback.channels.names, ["sink:playback_FL", "sink:playback_FR"]);
    assert!(devices[0].notes.iter().any(|note| note.text.contains("24 bits")), "{devices:?}");
    // PipeWire drops the cycle of a sink or a client that a busy machine woke too late, and tells the driver's own
    // xruns only. What comes is exact each time; a gap of our own would be there each time, too.
    const MOST_ROUNDS: usize = 15;
    let mut told = Vec::new();
    while told.len() < MOST_ROUNDS {
        let mut stream = round().open(&request()).unwrap();
        let (gaps, xruns) = rig::send_round(&*RealSystem::new(), &mut *stream, 96_000);
        if gaps <= 2 * xruns {
            return;
        }
        told.push((gaps, xruns));
    }
    panic!("gaps and xruns: {told:?}");
}

#[test]
#[ignore = "run by `on_a_real_pipewire`"]
fn by_default_outputs_are_connected_with_the_sink_and_its_thread_runs_the_cycle() {
    let _daemon = start();
    let stream = backend().open(&OpenRequest { capture: None, ..request() }).unwrap();
    let running = Running::start(stream);
    running.await_blocks(true, 300);
    let links = output("pw-link", &["-l"]);
    for (channel, ours) in [("FL", "out_1"), ("FR", "out_2")] {
        let at =
            links.find(&format!("sink:playback_{channel}\n")).unwrap_or_else(|| panic!("{links}"));
        let below = links[at..].lines().nth(1).unwrap_or_default();
        assert!(below.contains("|<- ") && below.contains(ours), "{links}");
    }
    let (own, foreign) = (&running.notes.own, &running.notes.foreign);
    println!("{foreign:?} blocks on libjack's thread, {own:?} on ours");
    assert!(foreign.load(Ordering::Relaxed) >= 300);
    running.stop();
}

#[test]
#[ignore = "run by `on_a_real_pipewire`"]
fn a_daemon_that_is_killed_is_lost_and_its_successor_found_each_time() {
    let kills = std::env::var("BAREWIRE_KILLS").map_or(3, |count| count.parse().unwrap());
    let request = OpenRequest { capture: None, ..request() };
    let mut daemon = start();
    let running = Running::start(backend().open(&request).unwrap());
    for n in 0..kills {
        running.await_blocks(true, 5);
        drop(daemon);
        running.await_blocks(false, 10);
        let begin = Instant::now();
        while !running.control.is_lost() {
            assert!(begin.elapsed() < Duration::from_secs(10), "{n}: the loss is not told");
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(running.control.take_dead());
        assert!(backend().open(&request).is_err(), "{n}: there is no server");
        daemon = start();
        assert!(running.control.offer(backend().open(&request).unwrap()).is_ok(), "{n}");
    }
    running.await_blocks(true, 5);
    running.stop();
}

#[test]
#[ignore = "run by `on_a_real_pipewire`"]
fn a_stream_without_an_engine_tells_its_loss() {
    let system = RealSystem::new();
    let daemon = start();
    let mut stream = round().open(&request()).unwrap();
    assert_eq!(stream.shape().period_frames, PERIOD_FRAMES);
    stream.start().unwrap();
    assert!(matches!(next(&*system, &mut *stream), Wake::Due(_)));
    drop(daemon);
    let end = system.now_ns() + 10 * SECOND_NS;
    loop {
        match stream.wait(system.now_ns() + SECOND_NS) {
            Wake::Lost(loss) => break assert_eq!(loss, Loss::Gone),
            _ => assert!(system.now_ns() < end, "the loss is not told"),
        }
    }
}
