//! `barewire hub` as a process of its own: started by the first client and ending after the last, by systemd's unit, and
//! killed under a host.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]

mod command;

use barewire_abi::constants::message;
use barewire_abi::{AsioDriver, BufferRequest};
use barewire_driver::{Config, Driver, FixedConfig, Options};
use barewire_hub_client::{HubBackend, ask_hub};
use barewire_rt::{RealSystem, System};
use barewire_share::message::{Answer, Ask, Report};
use barewire_testkit::{FakeHost, Manners};
use command::Desk;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A reset is asked for after ten seconds without a device.
const PATIENCE: Duration = Duration::from_secs(60);
const BLOCK_FRAMES: u32 = 512;
const DEVICE: &str = "input.device = { pattern = \"virtual:loop\" }\noutput.device = { pattern = \"virtual:loop\" }\n\
    [virtual]\nprefill_periods = 6\n";

#[track_caller]
fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A desk with a hub's address, and settings.
struct Rig {
    desk: Desk,
    settings: PathBuf,
}

impl Rig {
    fn new(more: &str) -> Self {
        let desk = Desk::new();
        let settings = desk.write("settings.toml", format!("{more}\n{DEVICE}"));
        Self { desk, settings }
    }

    fn address(&self) -> PathBuf {
        self.desk.path("state").join("hub.socket")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.desk.command(arguments);
        command.env("BAREWIRE_SETTINGS", &self.settings).env_remove("BAREWIRE_HUB");
        command.stdout(Stdio::null()).stderr(Stdio::inherit());
        command
    }

    fn report(&self) -> Option<Report> {
        match ask_hub(&self.address(), &Ask::Report {}) {
            Ok(Answer::Report { report }) => Some(*report),
            _ => None,
        }
    }

    fn hub(&self) -> Running {
        let hub = Running(self.command(&["hub"]).spawn().unwrap());
        wait("the hub comes up", || self.report());
        hub
    }
}

/// A process that is not left over.
struct Running(Child);

impl Running {
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Seconds of a tone that is not silence, 16 bits, stereo.
fn tone(path: &Path, seconds: u32) {
    let frames = 48_000 * seconds;
    let samples = (0..frames).flat_map(|n| [i16::try_from(n % 251).unwrap() * 100 + 1; 2]);
    let data: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
    let length = u32::try_from(data.len()).unwrap();
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + length).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    bytes.extend(48_000_u32.to_le_bytes());
    bytes.extend(192_000_u32.to_le_bytes());
    bytes.extend(b"\x04\0\x10\0data");
    bytes.extend(length.to_le_bytes());
    bytes.extend(data);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn the_first_client_starts_the_hub_and_it_ends_after_the_last() {
    let hub = format!(
        "driver.backend = \"hub\"\nhub.start = \"first-client\"\nhub.command = {:?}",
        env!("CARGO_BIN_EXE_barewire")
    );
    let rig = Rig::new(&hub);
    let file = rig.desk.path("tone.wav");
    tone(&file, 2);
    let play = || {
        let mut command = rig.command(&["play"]);
        Running(command.arg(&file).spawn().unwrap())
    };
    assert!(rig.report().is_none(), "there is a hub before there is a client");
    let mut first = play();
    let runs = |count: usize| {
        let report = rig.report()?;
        let playing = report.clients.iter().filter(|client| client.runs && client.blocks > 3);
        (playing.count() == count).then_some(report)
    };
    let report = wait("the first client plays", || runs(1));
    assert_eq!(report.device, "virtual:loop");
    let hub = report.process;
    let mut second = play();
    let report = wait("both play", || runs(2));
    assert_eq!(report.process, hub, "one hub for both");
    assert!(first.0.wait().unwrap().success());
    assert!(second.0.wait().unwrap().success());
    wait("the hub ends after the last", || rig.report().is_none().then_some(()));
    wait("and its process too", || {
        (!Path::new(&format!("/proc/{hub}/exe")).exists()).then_some(())
    });
    assert!(!rig.address().exists(), "its socket is left over");
}

#[test]
fn systemd_s_unit_is_whole_and_what_it_starts_is_a_hub() {
    let rig = Rig::new("");
    let printed = rig.desk.run(&["hub", "unit"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let start = printed.out.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let (program, arguments) = start.split_once(' ').unwrap();
    assert_eq!(Path::new(program), Path::new(env!("CARGO_BIN_EXE_barewire")));
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let mut hub = Running(rig.command(&arguments).spawn().unwrap());
    wait("the unit's command is a hub", || rig.report());
    let stop = rig.command(&["hub", "stop"]).status().unwrap();
    assert!(stop.success());
    assert!(hub.0.wait().unwrap().success());
    // By systemd's own reading, where there is one.
    let unit = rig.desk.write("barewire-hub.service", &printed.out);
    let verified = Command::new("systemd-analyze").args(["verify", "--user"]).arg(&unit).output();
    match verified {
        Ok(verified) => {
            let said = String::from_utf8_lossy(&verified.stderr);
            assert!(!said.contains("barewire-hub.service"), "{said}");
        }
        Err(error) => println!("SKIPPED: systemd-analyze: {error}"),
    }
}

#[test]
fn a_hub_that_is_killed_leaves_its_host_with_silence_and_a_reset_request_and_it_comes_back() {
    let rig = Rig::new("");
    let mut first = rig.hub();
    let system: Arc<dyn System> = RealSystem::new();
    let backend = HubBackend::new(system.clone(), rig.address(), None);
    let config = Config { backend: Some("hub".to_owned()), ..Config::default() };
    let config = Arc::new(FixedConfig(config));
    let options = Options { system, backends: vec![Arc::new(backend)], config };
    let own = Arc::new(Driver::new(options));
    let driver: Arc<dyn AsioDriver> = own.clone();
    driver.init(std::ptr::null_mut()).unwrap();
    let host = FakeHost::new(BLOCK_FRAMES, Manners::default());
    let all = [(false, 0), (false, 1), (true, 0), (true, 1)];
    let all = all.map(|(is_input, channel)| BufferRequest { is_input, channel });
    host.create_buffers(&driver, &all).unwrap();
    driver.start().unwrap();
    let blocks = || host.heard(|heard| heard.blocks);
    let goes_on = |what: &str| {
        let before = blocks();
        wait(what, || (blocks() > before + 5).then_some(()));
    };
    goes_on("the host is called");
    wait("what it plays comes back", || {
        host.heard(|h| h.input.iter().any(|&n| n != 0)).then_some(())
    });
    first.kill();
    goes_on("without a hub the host is called all the same");
    let from = host.heard(|heard| heard.input.len());
    goes_on("and again");
    let is_silent = host.heard(|heard| heard.input[from..].iter().all(|&sample| sample == 0));
    assert!(is_silent, "what the host is given without a hub is silence");
    let asked =
        || host.heard(|h| h.messages.iter().any(|(what, _)| *what == message::RESET_REQUEST));
    wait("the host is asked for a reset", || asked().then_some(()));
    goes_on("the host goes on");
    let _second = rig.hub();
    wait("the host comes back by itself", || {
        let report = rig.report()?;
        report.clients.iter().any(|client| client.blocks > 10).then_some(())
    });
    let from = host.heard(|heard| heard.input.len());
    wait("and hears itself again", || {
        host.heard(|heard| heard.input[from..].iter().any(|&n| n != 0)).then_some(())
    });
    driver.stop().unwrap();
    driver.dispose_buffers().unwrap();
    drop(own);
}
