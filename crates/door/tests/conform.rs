//! The shared object against the driver tester, and nothing else: whether the rules alone find what is wrong with a driver.
//! `cargo xtask mutants` runs it with faults put into the driver's code. The program calls itself for each rule.
//!
//! A rule that is kept with a warning counts as broken here, unless it judges nothing, and so does one that is skipped
//! though the machine's list does not have it: `barewire conform --strict --skips`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]

use barewire_conformance::{Case, Level, Options, Outcome, Plan, Status, child, run};
use barewire_host::Source;
use barewire_host::registry::{Entry, entry, register};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What a device and its settings are like, and the rules that apply there.
struct Machine {
    name: &'static str,
    settings: String,
    /// Names and groups; all rules if none.
    only: &'static [&'static str],
    /// Those that are left out all the same.
    except: &'static [&'static str],
    /// Rules that do not apply, beside those that never do.
    skips: &'static [&'static str],
    /// Rules that apply here, although they do not elsewhere.
    wants: &'static [&'static str],
    is_simulated: bool,
    /// Under which name it is registered; named by its file if there is none.
    entry: Option<&'static str>,
}

impl Machine {
    fn new(name: &'static str, settings: &str, only: &'static [&'static str]) -> Self {
        let settings = settings.to_owned();
        Self {
            name,
            settings,
            only,
            except: &[],
            skips: &[],
            wants: &[],
            is_simulated: true,
            entry: None,
        }
    }

    fn cases(&self) -> Vec<Case> {
        let any = |words: &[&str], case: &Case| words.iter().any(|word| case.is_meant_by(word));
        let is_meant = |case: &&Case| {
            (self.only.is_empty() || any(self.only, case)) && !any(self.except, case)
        };
        let mut cases: Vec<Case> = Case::ALL.iter().filter(is_meant).copied().collect();
        cases.sort_by_key(|case| !FIRST.contains(&case.name()));
        cases
    }
}

/// What finds the most.
const FIRST: &[&str] = &[
    "start",
    "latencies",
    "latencies-hold",
    "time-info-as-negotiated",
    "position-steps",
    "time-is-monotone",
    "time-steps",
    "path-order",
    "path-latency",
    "output-ready-saves",
    "output-ready-manners",
    "restart",
];
/// What takes the longest.
const SLOW: &[&str] = &[
    "instances-leave-nothing",
    "quiet-run",
    "stop-while-callback-blocked",
    "start-while-callback-blocked",
    "blocked-callback-leaves-nothing",
];
/// Rules about the state and what lies beneath it.
const STATES: &[&str] = &["buffers", "running"];
/// Rules about latency and sound.
const LATENCIES: &[&str] = &["latencies", "latencies-hold", "early-latencies", "path"];
/// Rules about positions and times.
const POSITIONS: &[&str] = &[
    "position-steps",
    "position-keeps-time",
    "time-is-monotone",
    "time-steps",
    "halves-alternate",
    "position-agrees",
    "restart",
];

/// Periods that are lost now and then.
fn misses() -> String {
    let faults: Vec<String> = (1..=24)
        .map(|n| format!("{{ at_frames = {}, fault = \"miss\", for_frames = 384 }}", n * 1920))
        .collect();
    format!("virtual.faults = [{}]", faults.join(", "))
}

/// Machines and tastes that change what the driver does, those that find the most first.
fn machines() -> Vec<Machine> {
    let swift = Machine { except: SLOW, ..Machine::new("blocks that are periods", "", &[]) };
    let mut all = vec![swift];
    all.extend(machines_of_time());
    all.extend(machines_of_latency());
    all.extend(machines_of_state());
    all.push(Machine::new("blocks that are periods, in no hurry", "", SLOW));
    all
}

/// Blocks that are not periods.
const PERIODS: &str = "virtual.fixed_period_frames = 384\nblocks.preferred_frames = 256";

fn machines_of_latency() -> [Machine; 5] {
    [
        Machine::new("blocks that are not", PERIODS, LATENCIES),
        Machine {
            skips: &["output-ready-saves"],
            ..Machine::new(
                "outputs that are always played a block later",
                "driver.output_ready = \"queued\"",
                LATENCIES,
            )
        },
        Machine::new(
            "outputs that are always played at once",
            "driver.output_ready = \"direct\"",
            &["latencies", "latencies-hold", "path-latency", "path-order"],
        ),
        Machine::new(
            "a device that is late by itself, with small periods",
            "virtual.fixed_period_frames = 64\nvirtual.loop_delay_frames = 17\nvirtual.jitter_ns = 900000",
            LATENCIES,
        ),
        Machine {
            is_simulated: false,
            ..Machine::new(
                "a host with a thread of its own, in real time",
                "blocks.preferred_frames = 4096",
                &["path-later-writes", "path-later-answers", "output-ready-ceases"],
            )
        },
    ]
}

fn machines_of_state() -> [Machine; 4] {
    [
        Machine::new(
            "a device that can be open once, and is closed by a stop",
            "driver.release_on = \"stop\"\nvirtual.exclusive = true",
            &[
                "restart",
                "stop-twice",
                "path-after-restart",
                "path-latency",
                "rate-change-while-running",
            ],
        ),
        Machine {
            except: SLOW,
            ..Machine::new("a device that can be open once", "virtual.exclusive = true", STATES)
        },
        Machine {
            wants: &["failed-start"],
            ..Machine::new("a start that fails", "virtual.refuse_starts = 1", &["failed-start"])
        },
        Machine {
            entry: Some("Barewire night"),
            wants: &["registration", "registered-name"],
            ..Machine::new(
                "an entry of its own",
                "profile.night.output.gain = 1.0",
                &["loading", "init"],
            )
        },
    ]
}

fn machines_of_time() -> [Machine; 3] {
    let missing = format!("{PERIODS}\n{}", misses());
    [
        Machine::new("periods that are lost", &missing, POSITIONS),
        Machine {
            wants: &["losses-are-told"],
            ..Machine::new("periods that are lost, and told", &missing, &["losses-are-told"])
        },
        Machine::new(
            "a clock that is read badly",
            "virtual.reading_jitter_ns = 40000000\nblocks.preferred_frames = 4096",
            POSITIONS,
        ),
    ]
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--child", case, answer, calls, simulated, name] => {
            let root = std::env::var_os(ROOT).map(PathBuf::from);
            let entry = root.filter(|_| !name.is_empty()).map(|root| entry(&root, name).unwrap());
            be_child(case, Path::new(answer), Path::new(calls), simulated == "true", entry);
        }
        // The list of tests that a runner may ask for.
        ["--list", ..] => {}
        _ => machines().iter().for_each(every_rule_is_kept),
    }
}

/// Where entries are registered.
const ROOT: &str = "BAREWIRE_DRIVERS_ROOT";

fn be_child(case: &str, answer: &Path, calls: &Path, simulated: bool, entry: Option<Entry>) {
    let source = entry.as_ref().map_or_else(|| Source::file(library()), Source::entry);
    let options = Options { simulated, looped: true, registered: entry, ..Options::default() };
    let case = Case::named(case).unwrap();
    child(case, source, options, answer, calls).unwrap();
}

/// Built beside this test because it is its crate's.
fn library() -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
    folder.join(format!("{}barewire{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX))
}

/// Rules that never apply here.
fn never() -> BTreeSet<&'static str> {
    let list = include_str!("../../conformance/expected/linux-simulated.txt");
    let name = |line: &'static str| line.split('#').next().unwrap_or_default().trim();
    list.lines().map(name).filter(|name| !name.is_empty()).collect()
}

fn is_broken(machine: &Machine, outcome: &Outcome) -> bool {
    let name = outcome.case.name();
    let is_listed = || machine.skips.contains(&name) || never().contains(name);
    match outcome.status {
        Status::Passed | Status::NotRun => false,
        Status::Warned { .. } => outcome.level != Level::Information,
        // In real time the machine may be too busy; what was lost or fails to start is what these machines are for.
        Status::Skipped { .. } if !machine.is_simulated => false,
        Status::Skipped { .. } => machine.wants.contains(&name) || !is_listed(),
        _ => true,
    }
}

fn every_rule_is_kept(machine: &Machine) {
    let begin = Instant::now();
    let clock = if machine.is_simulated { "simulated" } else { "real" };
    let first = format!("driver.backend = \"virtual\"\nvirtual.clock = \"{clock}\"");
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("settings.toml");
    std::fs::write(&settings, format!("{first}\n{}", machine.settings)).unwrap();
    let root = folder.path().join("drivers");
    if let Some(name) = machine.entry {
        register(&root, name, &library(), name).unwrap();
    }
    let command = |case: Case, answer: &Path, calls: &Path| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--child", case.name()]).arg(answer).arg(calls);
        command.arg(machine.is_simulated.to_string()).arg(machine.entry.unwrap_or_default());
        command.env("BAREWIRE_SETTINGS", &settings).env("BAREWIRE_STATE", folder.path());
        command.env("XDG_CONFIG_HOME", folder.path()).env(ROOT, &root);
        command.env_remove("BAREWIRE_SET").env_remove("BAREWIRE_PROFILE");
        command
    };
    let cases = machine.cases();
    // A busy machine is slow; what hangs hangs for good.
    let patience = Duration::from_secs(60);
    let plan = Plan { cases, patience, stop_at_failure: true, ..Plan::all() };
    let outcomes = run(&plan, command, |outcome| {
        if std::env::var_os("BAREWIRE_TELL").is_some() {
            println!(
                "{:6.2} {} {} {}",
                outcome.seconds,
                outcome.status.name(),
                outcome.case,
                outcome.status
            );
        }
    })
    .unwrap();
    let broken: Vec<String> = outcomes
        .iter()
        .filter(|outcome| is_broken(machine, outcome))
        .map(|outcome| format!("{} {}: {}", outcome.status.name(), outcome.case, outcome.status))
        .collect();
    let name = machine.name;
    assert!(broken.is_empty(), "{name}: {}", broken.join("\n"));
    let seconds = begin.elapsed().as_secs_f64();
    println!("{name}: {} rules, none is broken ({seconds:.0} s)", outcomes.len());
}
