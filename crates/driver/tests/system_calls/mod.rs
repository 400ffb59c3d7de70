//! What strace says of the device thread of a second run of this program.

use std::process::Command;

const VARIABLE: &str = "BAREWIRE_TRACED";

/// What the device thread did between the first and the last mark of its sink.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// Marks of the sink itself.
    pub(crate) marks: usize,
    /// Waits with a deadline.
    pub(crate) waits: usize,
    /// Wakes of other threads, which never block.
    pub(crate) wakes: usize,
    /// Everything else.
    pub(crate) foreign: Vec<String>,
}

/// What this program was started for, if it is strace's.
pub(crate) fn wanted() -> Option<String> {
    std::env::var(VARIABLE).ok()
}

/// A system call that nothing else makes and that does nothing.
pub(crate) fn mark() {
    // SAFETY: no arguments, no effect.
    unsafe { libc::getppid() };
}

/// Says so if strace is not there, which is a failure where everything must be.
pub(crate) fn is_missing() -> bool {
    let is_there = Command::new("strace").arg("--version").output().is_ok();
    if !is_there {
        assert!(std::env::var_os("BAREWIRE_ALL").is_none(), "strace is not installed");
        println!("SKIPPED: strace is not installed, so system calls were not looked at");
    }
    !is_there
}

/// The system calls of a run with this planted.
pub(crate) fn of_a_run(plant: &str) -> Calls {
    let folder = tempfile::tempdir().unwrap();
    let account = folder.path().join("strace.txt");
    let output = Command::new("strace")
        .args(["-f", "-qq", "-s", "32", "-o"])
        .arg(&account)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "traced", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, plant)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stdout));
    read(&std::fs::read_to_string(account).unwrap())
}

fn read(account: &str) -> Calls {
    let lines = || account.lines().filter_map(|line| line.split_once(char::is_whitespace));
    let mut calls = Calls::default();
    let mut threads: Vec<&str> =
        lines().filter(|(_, call)| is_mark(call)).map(|(thread, _)| thread).collect();
    threads.sort_unstable();
    threads.dedup();
    for thread in threads {
        let own: Vec<&str> = lines()
            .filter(|(its, _)| *its == thread)
            .map(|(_, call)| call.trim_start())
            // The end of a call whose beginning was told already, and signals, which are no calls.
            .filter(|call| !call.starts_with(['<', '-', '+']))
            .collect();
        let first = own.iter().position(|call| is_mark(call)).unwrap();
        let last = own.iter().rposition(|call| is_mark(call)).unwrap();
        for call in &own[first..=last] {
            calls.count(call);
        }
    }
    calls
}

fn is_mark(call: &str) -> bool {
    call.trim_start().starts_with("getppid(")
}

impl Calls {
    fn count(&mut self, call: &str) {
        let has_deadline = call.contains("tv_sec=");
        if is_mark(call) {
            self.marks += 1;
        } else if call.starts_with("futex(") && call.contains("FUTEX_WAKE") {
            self.wakes += 1;
        } else if call.starts_with("futex(") && call.contains("FUTEX_WAIT_BITSET") && has_deadline {
            self.waits += 1;
        } else {
            self.foreign.push(call.to_owned());
        }
    }
}

#[test]
fn a_wait_without_a_deadline_is_foreign() {
    let account = "7 getppid() = 1\n8 write(1, \"x\", 1) = 1\n7 futex(0x5, FUTEX_WAIT_PRIVATE, 2, NULL <unfinished ...>\n\
        7 <... futex resumed>) = 0\n7 futex(0x5, FUTEX_WAIT_BITSET_PRIVATE, 0, {tv_sec=1, tv_nsec=2}, FUTEX_BITSET_MATCH_ANY) = 0\n\
        7 getppid() = 1\n7 write(1, \"x\", 1) = 1\n";
    let calls = read(account);
    assert_eq!((calls.marks, calls.waits, calls.foreign.len()), (2, 1, 1), "{calls:?}");
}
