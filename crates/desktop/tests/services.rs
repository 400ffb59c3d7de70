//! Reservation of cards and real-time rights on buses of the tests' own. The card's other holder is PipeWire's `pw-reserve`;
//! RealtimeKit, which needs a machine with a person logged in, has a stand-in that keeps its interface.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]

use barewire_desktop::{make_realtime, reserve};
use barewire_rt::{RealSystem, Role, System};
use barewire_types::ErrorKind;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

const WITHIN: &str = "BAREWIRE_WITHIN";

fn is_there(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

/// Runs the ignored tests of this program under `command`, which ends with this program's name.
fn within(mut command: Command, bus: &str) {
    command.arg(std::env::current_exe().unwrap());
    command.args(["--ignored", "--test-threads=1", "--nocapture", bus]).env(WITHIN, "1");
    assert!(command.status().unwrap().success(), "see above");
}

fn are_there(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|program| !is_there(program)).collect();
    if !missing.is_empty() {
        println!(
            "SKIPPED: {missing:?} not installed (Debian packages dbus, pipewire-bin, util-linux)"
        );
    }
    assert!(missing.is_empty() || std::env::var_os("BAREWIRE_ALL").is_none(), "{missing:?}");
    missing.is_empty()
}

#[test]
fn on_a_session_bus() {
    if are_there(&["dbus-run-session", "pw-reserve"]) {
        let mut command = Command::new("dbus-run-session");
        command.arg("--");
        within(command, "session_");
    }
}

/// As a person without any right to real-time priority, with the session's bus as the system's.
#[test]
fn on_a_system_bus() {
    if !are_there(&["dbus-run-session", "setpriv", "prlimit", "sh"]) {
        return;
    }
    let mut command = Command::new("dbus-run-session");
    // Without the administrator's right to any priority, and with limits that allow none.
    let script = "export DBUS_SYSTEM_BUS_ADDRESS=$DBUS_SESSION_BUS_ADDRESS
        if [ \"$(id -u)\" = 0 ]; then exec setpriv --bounding-set -sys_nice prlimit --rtprio=0:0 \"$@\"; fi
        exec prlimit --rtprio=0:0 \"$@\"";
    command.args(["--", "sh", "-c", script, "sh"]);
    within(command, "system_");
}

#[test]
fn without_a_bus_nothing_is_reserved_and_nothing_fails() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--nocapture", "nobus_"]).env(WITHIN, "1");
    command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere/bus").env_remove("XDG_RUNTIME_DIR");
    assert!(command.status().unwrap().success(), "see above");
}

#[test]
#[ignore = "run by `without_a_bus_nothing_is_reserved_and_nothing_fails`"]
fn nobus_is_no_reservation() {
    assert!(reserve(7).unwrap().is_none());
}

/// PipeWire's own tool, and its words.
struct Holder {
    child: Child,
    words: Receiver<String>,
}

impl Holder {
    fn start(arguments: &[&str]) -> Self {
        // Line by line, although it writes to a pipe.
        let mut command = Command::new("stdbuf");
        command.args(["-oL", "pw-reserve", "-a", "foreign"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, words) = channel();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, words }
    }

    #[track_caller]
    fn says(&self, part: &str) {
        let end = Instant::now() + Duration::from_secs(10);
        while let Ok(line) = self.words.recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            println!("pw-reserve: {line}");
            if line.contains(part) {
                return;
            }
        }
        panic!("pw-reserve does not say \"{part}\"");
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process that the bus knows as the holder.
fn owner(device: &str) -> Option<u32> {
    let bus = zbus::blocking::Connection::session().unwrap();
    let bus = zbus::blocking::fdo::DBusProxy::new(&bus).unwrap();
    let name = format!("org.freedesktop.ReserveDevice1.{device}");
    bus.get_connection_unix_process_id(name.as_str().try_into().unwrap()).ok()
}

#[test]
#[ignore = "run by `on_a_session_bus`"]
fn session_a_card_that_another_program_holds_is_let_go_to_us_and_given_back() {
    let holder = Holder::start(&["-n", "Audio7", "-p", "0"]);
    holder.says("acquired");
    let ours = reserve(7).unwrap().expect("a bus");
    // While it is ours, nobody gets it.
    let other = Holder::start(&["-n", "Audio7", "-p", "5", "-r"]);
    other.says("busy");
    drop(other);
    assert_eq!(owner("Audio7"), Some(std::process::id()));
    drop(ours);
    // Free again: who had it before has it back, without being asked.
    holder.says("acquired");
    assert_eq!(owner("Audio7"), Some(holder.child.id()));
}

#[test]
#[ignore = "run by `on_a_session_bus`"]
fn session_a_holder_of_higher_priority_keeps_its_card_and_is_named() {
    let highest = i32::MAX.to_string();
    let holder = Holder::start(&["-n", "Audio8", "-p", &highest]);
    holder.says("acquired");
    let error = reserve(8).unwrap_err();
    println!("{error}");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.remedy_text().unwrap().contains("end foreign"), "{error}");
}

#[test]
#[ignore = "run by `on_a_session_bus`"]
fn session_a_free_card_is_reserved_and_a_second_time_after_it_was_given_back() {
    for _ in 0..3 {
        let ours = reserve(9).unwrap().expect("a bus");
        assert_eq!(reserve(9).unwrap_err().kind(), ErrorKind::Busy, "ours, and not let go");
        drop(ours);
    }
}

/// RealtimeKit's interface; what is asked of it is sent on.
struct StandIn(std::sync::Mutex<Sender<(u64, u64, u32)>>, bool);

#[zbus::interface(name = "org.freedesktop.RealtimeKit1")]
impl StandIn {
    #[zbus(name = "MakeThreadRealtimeWithPID")]
    fn make(&self, process: u64, thread: u64, priority: u32) -> zbus::fdo::Result<()> {
        self.0.lock().unwrap().send((process, thread, priority)).unwrap();
        if self.1 { Ok(()) } else { Err(zbus::fdo::Error::AccessDenied("no".to_owned())) }
    }

    #[zbus(property)]
    fn max_realtime_priority(&self) -> i32 {
        20
    }

    #[zbus(property, name = "RTTimeUSecMax")]
    fn rt_time_u_sec_max(&self) -> i64 {
        200_000
    }
}

fn stand_in(grants: bool) -> (zbus::blocking::Connection, Receiver<(u64, u64, u32)>) {
    let (sender, asked) = channel();
    let service = StandIn(std::sync::Mutex::new(sender), grants);
    let connection = zbus::blocking::connection::Builder::system()
        .and_then(|bus| bus.name("org.freedesktop.RealtimeKit1"))
        .and_then(|bus| bus.serve_at("/org/freedesktop/RealtimeKit1", service))
        .and_then(zbus::blocking::connection::Builder::build)
        .unwrap();
    (connection, asked)
}

#[test]
#[ignore = "run by `on_a_system_bus`"]
fn system_what_the_limits_refuse_is_asked_of_realtime_kit() {
    barewire_rt::grant_by(make_realtime);
    let (bus, asked) = stand_in(true);
    let system = RealSystem::new();
    let pause = || std::thread::sleep(Duration::from_millis(300));
    let device = system.spawn("device", Role::Device, Box::new(pause)).unwrap();
    let (process, thread, priority) = asked.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(process, u64::from(std::process::id()));
    assert!(thread > 1);
    assert_eq!(priority, 20, "no more than it grants");
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max realtime timeout")).unwrap();
    assert!(line.contains("200000"), "{line}");
    device.join(system.now_ns() + 5_000_000_000);
    assert_eq!(system.remarks(), Vec::<String>::new(), "it was granted in the end");
    drop(bus);
    let (bus, asked) = stand_in(false);
    let system = RealSystem::new();
    system.spawn("device", Role::Device, Box::new(pause)).unwrap();
    asked.recv_timeout(Duration::from_secs(10)).unwrap();
    let end = Instant::now() + Duration::from_secs(5);
    while system.remarks().is_empty() {
        assert!(Instant::now() < end, "a refusal is told");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(system.remarks()[0].contains("rtkit"), "{:?}", system.remarks());
    assert_eq!(make_realtime(4711, 45).unwrap_err().kind(), ErrorKind::Denied);
    drop(bus);
}
