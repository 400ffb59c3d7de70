//! Servers that nobody here wrote, for tests: JACK2 with its dummy driver, and PipeWire with a sink of its own. Each knows
//! only the tests that were told its name, and ends with them.

#![allow(clippy::expect_used, reason = "a test may stop the world")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Names the server that libjack of JACK2 connects with.
pub const JACK_VARIABLE: &str = "JACK_DEFAULT_SERVER";
/// The folder of PipeWire's socket.
pub const PIPEWIRE_VARIABLE: &str = "PIPEWIRE_RUNTIME_DIR";

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether all programs are installed; if not, that is said, and is a failure where everything must be.
///
/// # Panics
/// If one is missing and the environment has `BAREWIRE_ALL`.
pub fn are_there(programs: &[(&str, &str)]) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |name: &str| std::env::split_paths(&paths).any(|folder| folder.join(name).is_file());
    let missing: Vec<_> = programs.iter().filter(|(name, _)| !is_there(name)).collect();
    for (name, package) in &missing {
        println!("SKIPPED: {name} is not installed (Debian package {package})");
    }
    assert!(missing.is_empty() || std::env::var_os("BAREWIRE_ALL").is_none(), "{missing:?}");
    missing.is_empty()
}

/// A running `jackd`; ended in order when dropped, so that it leaves its place among the few that JACK2 has for servers.
#[derive(Debug)]
pub struct Jackd {
    child: Child,
    log: PathBuf,
}

impl Jackd {
    /// Starts one of this name, and waits until it `answers`.
    ///
    /// # Panics
    /// If it does not.
    pub fn start(name: &str, rate_hz: u32, period_frames: u32, answers: impl Fn() -> bool) -> Self {
        let (rate, period) = (rate_hz.to_string(), period_frames.to_string());
        let log = std::env::temp_dir().join(format!("{name}.log"));
        let words = File::create(&log).expect("a log");
        let mut command = Command::new("jackd");
        command.args(["-n", name, "-R", "-P", "10", "-d", "dummy", "-r", &rate, "-p", &period]);
        command.stdout(words.try_clone().expect("a log")).stderr(words).stdin(Stdio::null());
        let server = Self { child: command.spawn().expect("jackd"), log };
        let begin = Instant::now();
        while !answers() {
            assert!(begin.elapsed() < PATIENCE, "jackd does not answer: {}", server.words());
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// What it said so far.
    pub fn words(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it as a crash would. Its successor takes its place, having its name.
    ///
    /// # Panics
    /// If it has ended by itself.
    pub fn crash(mut self) {
        self.child.kill().expect("a running jackd");
    }

    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Jackd {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let begin = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begin.elapsed().as_secs() < 5 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.log);
    }
}

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

/// A running `pipewire` at 48 kHz and 256 frames; killed when dropped.
#[derive(Debug)]
pub struct PipeWire {
    child: Child,
}

impl PipeWire {
    /// Starts one whose socket lies in `folder`, and waits until it `answers`.
    ///
    /// # Panics
    /// If it does not.
    pub fn start(folder: &Path, answers: impl Fn() -> bool) -> Self {
        let configuration = folder.join("own.conf");
        fs::write(&configuration, CONFIGURATION).expect("a configuration");
        let mut command = of_daemon("pipewire", folder);
        command.arg("-c").arg(configuration).stdout(Stdio::null());
        let daemon = Self { child: command.spawn().expect("pipewire") };
        let begin = Instant::now();
        while !answers() {
            assert!(begin.elapsed() < PATIENCE, "PipeWire does not answer");
            if let Some(sink) = sink(folder) {
                let mut command = of_daemon("pw-cli", folder);
                let _ = command.args(["s", &sink, "PortConfig", PORTS]).output();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        daemon
    }
}

impl Drop for PipeWire {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn of_daemon(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.env(PIPEWIRE_VARIABLE, folder).env("XDG_RUNTIME_DIR", folder);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// The sink's number, if the daemon runs.
fn sink(folder: &Path) -> Option<String> {
    let output = of_daemon("pw-cli", folder).args(["ls", "Node"]).output().ok()?;
    let mut number = None;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some(rest) = line.trim().strip_prefix("id ") {
            number = rest.split(',').next().map(str::to_owned);
        } else if line.contains("node.name = \"sink\"") {
            return number;
        }
    }
    None
}
