//! The shared object against the driver tester, and nothing else: whether the rules alone find what is wrong with a driver.
//! `cargo xtask mutants` runs it with faults put into the driver's code. The program calls itself for each rule.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]

use barewire_conformance::{Case, Options, Outcome, Plan, Status, child, run};
use barewire_host::Source;
use std::path::{Path, PathBuf};
use std::process::Command;

const SETTINGS: &str = "driver.backend = \"virtual\"\nvirtual.clock = \"simulated\"";

/// Machines and tastes that change what the driver does: blocks that are periods, blocks that are not, outputs that are always
/// played a block later.
const MACHINES: [&str; 3] = [
    "",
    "virtual.fixed_period_frames = 384\nblocks.preferred_frames = 256",
    "driver.output_ready = \"queued\"",
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--child", case, answer, calls] => be_child(case, Path::new(answer), Path::new(calls)),
        // The list of tests that a runner may ask for.
        ["--list", ..] => {}
        _ => MACHINES.into_iter().for_each(every_rule_is_kept),
    }
}

fn be_child(case: &str, answer: &Path, calls: &Path) {
    let options = Options { simulated: true, looped: true, ..Options::default() };
    let case = Case::named(case).unwrap();
    child(case, Source::file(library()), options, answer, calls).unwrap();
}

/// Built beside this test because it is its crate's.
fn library() -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
    folder.join(format!("{}barewire{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX))
}

fn every_rule_is_kept(machine: &str) {
    let settings = format!("{SETTINGS}\n{machine}");
    let folder = tempfile::tempdir().unwrap();
    let command = |case: Case, answer: &Path, calls: &Path| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--child", case.name()]).arg(answer).arg(calls);
        command.env("BAREWIRE_SET", &settings).env("BAREWIRE_STATE", folder.path());
        command.env("XDG_CONFIG_HOME", folder.path()).env_remove("BAREWIRE_SETTINGS");
        command
    };
    let plan = Plan { stop_at_failure: true, ..Plan::all() };
    let outcomes = run(&plan, command, |_| {}).unwrap();
    let is_broken = |outcome: &&Outcome| {
        outcome.status.is_failure() || matches!(outcome.status, Status::NotJudged { .. })
    };
    let broken: Vec<String> = outcomes
        .iter()
        .filter(is_broken)
        .map(|outcome| format!("{} {}: {}", outcome.status.name(), outcome.case, outcome.status))
        .collect();
    assert!(broken.is_empty(), "{machine:?}: {}", broken.join("\n"));
    println!("{machine:?}: {} rules, none is broken", outcomes.len());
}
