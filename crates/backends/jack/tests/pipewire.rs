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
use rig::engine::Running;
use rig::{PERIOD_FRAMES, SECOND_NS, next, request};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const VARIABLE: &str = "PIPEWIRE_RUNTIME_DIR";

/// A daemon without session manager and bus: a clock, a sink, and nothing of the machine's.
const CONFIGURATION: &str = r#"
context.properties = {
    support.dbus = false
    core.daemon = true
    core.name = pipewire-0
    default.clock.rate = 48000
    default.clock.quantum = 256
    default.clock.min-quantum = 256
    default.clock.max-quantum = 256
}
context.spa-libs = {
    support.* = support/libspa-support
    audio.convert.* = audioconvert/libspa-audioconvert
}
context.modules = [
    { name = libpipewire-module-rt args = { nice.level = 0 rt.prio = 10 } flags = [ ifexists nofail ] }
    { name = libpipewire-module-protocol-native }
    { name = libpipewire-module-metadata }
    { name = libpipewire-module-spa-node-factory }
    { name = libpipewire-module-client-node }
    { name = libpipewire-module-access }
    { name = libpipewire-module-adapter }
    { name = libpipewire-module-link-factory }
]
context.objects = [
    { factory = metadata args = { metadata.name = default } }
    { factory = adapter args = {
        factory.name = support.null-audio-sink
        node.name = sink
        media.class = Audio/Sink
        object.linger = true
        audio.position = "FL,FR"
        priority.driver = 30000
        node.always-process = true
        monitor.channel-volumes = true
    } }
]
"#;
/// What a session manager would do: gives the sink its ports.
const PORTS: &str = "{ direction: Input, mode: dsp, monitor: true, format: { mediaType: audio, mediaSubtype: raw, format: F32P, rate: 48000, channels: 2, position: [ FL, FR ] } }";

/// Runs the tests below with a daemon's folder of their own.
#[test]
fn on_a_real_pipewire() {
    let needed =
        [("pipewire", "pipewire"), ("pw-cli", "pipewire-bin"), ("pw-jack", "pipewire-jack")];
    if rig::are_there(&needed) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("own.conf"), CONFIGURATION).unwrap();
        // No JACK2 server of this name runs, so that its libjack finds none.
        let nobody = Path::new("barewire-nobody");
        rig::run_ignored(&[
            (VARIABLE, folder.path()),
            ("XDG_RUNTIME_DIR", folder.path()),
            ("JACK_DEFAULT_SERVER", nobody),
        ]);
    }
}

/// A running daemon; killed when dropped.
struct Daemon(Child);

fn folder() -> PathBuf {
    std::env::var_os(VARIABLE).expect("started by `on_a_real_pipewire`").into()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stderr(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Daemon {
    fn start() -> Self {
        let mut command = Command::new("pipewire");
        command.arg("-c").arg(folder().join("own.conf")).stdin(Stdio::null());
        let daemon = Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let begin = Instant::now();
        while backend().devices().unwrap().is_empty() {
            assert!(begin.elapsed() < Duration::from_secs(20), "PipeWire does not answer");
            if let Some(sink) = sink() {
                output("pw-cli", &["s", &sink, "PortConfig", PORTS]);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The sink's number, if the daemon runs.
fn sink() -> Option<String> {
    let mut number = None;
    for line in output("pw-cli", &["ls", "Node"]).lines() {
        if let Some(rest) = line.trim().strip_prefix("id ") {
            number = rest.split(',').next().map(str::to_owned);
        } else if line.contains("node.name = \"sink\"") {
            return number;
        }
    }
    None
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
    let _daemon = Daemon::start();
    let devices = backend().devices().unwrap();
    let playback = devices[0].playback.as_ref().unwrap();
    assert_eq!(playback.channels.names, ["sink:playback_FL", "sink:playback_FR"]);
    assert!(devices[0].notes.iter().any(|note| note.text.contains("24 bits")), "{devices:?}");
    // PipeWire drops the cycle of a sink or a client that a busy machine woke too late, and tells the driver's own
    // xruns only. What comes is exact each time; a gap of our own would be there each time, too.
    let rounds = (0..5).map(|_| {
        let mut stream = round().open(&request()).unwrap();
        rig::send_round(&*RealSystem::new(), &mut *stream, 96_000)
    });
    let told: Vec<(u32, u32)> = rounds.collect();
    assert!(told.iter().any(|(gaps, xruns)| *gaps <= 2 * xruns), "gaps and xruns: {told:?}");
}

#[test]
#[ignore = "run by `on_a_real_pipewire`"]
fn by_default_outputs_are_connected_with_the_sink_and_its_thread_runs_the_cycle() {
    let _daemon = Daemon::start();
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
    let mut daemon = Daemon::start();
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
        daemon = Daemon::start();
        assert!(running.control.offer(backend().open(&request).unwrap()).is_ok(), "{n}");
    }
    running.await_blocks(true, 5);
    running.stop();
}

#[test]
#[ignore = "run by `on_a_real_pipewire`"]
fn a_stream_without_an_engine_tells_its_loss() {
    let system = RealSystem::new();
    let daemon = Daemon::start();
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
