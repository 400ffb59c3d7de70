//! The tester tested: the reference specimen keeps every rule; each fault breaks the rule named for it and, with `--all`, no
//! other "must" than those it declares; with `--seeds N`, N faults drawn are found and N clean runs are clean. With `--untimed`
//! what shows only against a clock is left out.
//!
//! The program calls itself for each case.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]

use barewire_conformance::{Case, Group, Level, Options, Outcome, Plan, Status, child, run};
use barewire_host::Source;
use specimen::{FREE_RUNNING, Fault, Kind, VARIABLE};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == "--child") {
        return be_child(&arguments[1..]);
    }
    let number = |name: &str| -> Option<u64> {
        let place = arguments.iter().position(|word| word == name)?;
        arguments.get(place + 1)?.parse().ok()
    };
    if arguments.iter().any(|word| word == "--list") {
        return;
    }
    let begin = Instant::now();
    let only =
        arguments.iter().position(|word| word == "--fault").map(|n| arguments[n + 1].clone());
    if let Some(seeds) = number("--seeds") {
        drawn(number("--seed").unwrap_or(1), seeds);
    } else {
        let is_timed = !arguments.iter().any(|word| word == "--untimed");
        if only.is_none() {
            if is_timed {
                the_reference_keeps_every_rule(false);
            }
            the_reference_keeps_every_rule(true);
            every_must_has_a_fault();
        }
        let is_meant = |kind: &Kind| {
            (is_timed || !kind.needs_time()) && only.as_ref().is_none_or(|name| kind.name() == name)
        };
        let all = arguments.iter().any(|word| word == "--all");
        each_fault_breaks_its_rule(all, only.is_some(), is_meant);
    }
    println!("done in {:.0} s", begin.elapsed().as_secs_f64());
}

fn be_child(words: &[String]) {
    let [case, answer, calls, simulated] = words else { panic!("{words:?}") };
    let options = Options { simulated: simulated == "true", looped: true, ..Options::default() };
    let case = Case::named(case).unwrap();
    child(case, Source::file(library()), options, Path::new(answer), Path::new(calls)).unwrap();
}

/// The specimen, built beside this test because it depends on it.
fn library() -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
    folder.join(format!("{}specimen{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX))
}

/// Runs cases against the specimen with a fault, or without.
fn examine(
    fault: Option<Fault>,
    cases: Vec<Case>,
    stop_at_failure: bool,
    seed: Option<u64>,
) -> Vec<Outcome> {
    let simulated = !fault.is_some_and(|fault| fault.kind.needs_time());
    examine_with(fault, cases, stop_at_failure, seed, simulated)
}

fn examine_with(
    fault: Option<Fault>,
    cases: Vec<Case>,
    stop_at_failure: bool,
    seed: Option<u64>,
    simulated: bool,
) -> Vec<Outcome> {
    // What hangs hangs for good: a short patience is enough, and a busy machine's slowness is no hang.
    let patience = Duration::from_secs(12);
    let plan = Plan { cases, jobs: 2, patience, stop_at_failure, seed, ..Plan::all() };
    let command = |case: Case, answer: &Path, calls: &Path| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--child", case.name()]).arg(answer).arg(calls);
        command.arg(simulated.to_string());
        command.env_remove(VARIABLE).env_remove(FREE_RUNNING);
        if let Some(fault) = fault {
            command.env(VARIABLE, fault.to_text());
        }
        if simulated {
            command.env(FREE_RUNNING, "1");
        }
        command
    };
    run(&plan, command, |_| {}).unwrap()
}

fn words(outcomes: &[Outcome]) -> String {
    let lines: Vec<String> = outcomes
        .iter()
        .map(|outcome| format!("  {} {}: {}", outcome.status.name(), outcome.case, outcome.status))
        .collect();
    lines.join("\n")
}

fn the_reference_keeps_every_rule(simulated: bool) {
    // Against the clock, on whatever machine, only what must be so there.
    let timed =
        |case: &Case| case.about().level == Level::Must || case.about().group == Group::Path;
    let cases = Case::ALL.iter().copied().filter(|case| simulated || timed(case)).collect();
    let outcomes = examine_with(None, cases, false, None, simulated);
    let bad: Vec<Outcome> = outcomes
        .iter()
        .filter(|outcome| {
            outcome.status.is_failure() || matches!(outcome.status, Status::NotJudged { .. })
        })
        .cloned()
        .collect();
    assert!(bad.is_empty(), "the reference fails:\n{}", words(&bad));
    let skipped = outcomes.iter().filter(|it| matches!(it.status, Status::Skipped { .. })).count();
    println!("reference: {} rules, {skipped} do not apply", outcomes.len());
}

/// Rules that no specimen can break here, and why.
const WITHOUT_FAULT: [(&str, &str); 3] = [
    ("registration", "the specimen is named by its path"),
    ("reset-is-ignored", "needs a person who changes a setting"),
    ("init", "falls with init-fails-silently, which is named for failed-init"),
];

fn every_must_has_a_fault() {
    for case in Case::ALL.iter().filter(|case| case.about().level == Level::Must) {
        let named = Kind::ALL.iter().any(|kind| kind.breaks() == case.name());
        let excused = WITHOUT_FAULT.iter().any(|(name, _)| *name == case.name());
        assert!(named || excused, "no specimen breaks {case}");
    }
}

fn each_fault_breaks_its_rule(all: bool, is_told: bool, is_meant: impl Fn(&Kind) -> bool) {
    let is_meant = |kind: &Kind| kind.is_possible() && is_meant(kind);
    let kinds: Vec<Kind> = Kind::ALL.iter().copied().filter(is_meant).collect();
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(kind) = kinds.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if let Err(text) = judge(*kind, all) {
                        println!("WRONG {text}");
                        wrong.lock().unwrap().push(text);
                    } else if is_told || all {
                        println!("{}", kind.name());
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {} faults:\n{}", wrong.len(), kinds.len(), wrong.join("\n"));
    println!("{} faults, each breaks its rule", kinds.len());
}

fn judge(kind: Kind, all: bool) -> Result<(), String> {
    let named = Case::named(kind.breaks()).expect("a rule that there is");
    let musts = || Case::ALL.iter().copied().filter(|case| case.about().level == Level::Must);
    let cases = if all { musts().chain([named]).collect() } else { vec![named] };
    let mut outcomes = examine_with(Some(Fault::of(kind)), cases, false, None, true);
    if kind.needs_time() {
        // Against the clock only its own rule: what else fails there is a busy machine's doing.
        outcomes.retain(|outcome| outcome.case != named);
        outcomes.extend(examine(Some(Fault::of(kind)), vec![named], false, None));
    }
    let failed: BTreeSet<&str> = outcomes
        .iter()
        .filter(|outcome| outcome.status.is_failure())
        .map(|outcome| outcome.case.name())
        .collect();
    let name = kind.name();
    if !failed.contains(named.name()) {
        let telling: Vec<Outcome> = outcomes
            .iter()
            .filter(|outcome| outcome.case == named || outcome.status.is_failure())
            .cloned()
            .collect();
        return Err(format!("{name} does not break {named}:\n{}", words(&telling)));
    }
    if !all {
        return Ok(());
    }
    let declared: BTreeSet<&str> = kind.also().iter().copied().chain([named.name()]).collect();
    if failed == declared {
        return Ok(());
    }
    let more: Vec<&&str> = failed.difference(&declared).collect();
    let less: Vec<&&str> = declared.difference(&failed).collect();
    let bad: Vec<Outcome> =
        outcomes.iter().filter(|outcome| outcome.status.is_failure()).cloned().collect();
    Err(format!("{name} breaks {more:?} too, and not {less:?}:\n{}", words(&bad)))
}

/// What is swift and says the most.
fn swift() -> Vec<Case> {
    let slow = [Group::Timing, Group::Hosts];
    Case::ALL.iter().copied().filter(|case| !slow.contains(&case.about().group)).collect()
}

/// A fault that a seed chooses: kind, channel, moment and size.
fn draw(seed: u64) -> Fault {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03;
    let mut next = |limit: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % limit
    };
    next(2);
    let is_drawn = |kind: &Kind| kind.is_possible() && !kind.needs_time();
    let kinds: Vec<Kind> = Kind::ALL.iter().copied().filter(is_drawn).collect();
    let kind = kinds[usize::try_from(next(kinds.len() as u64)).unwrap()];
    let channel = usize::try_from(next(4)).unwrap();
    // Within the shortest pattern, which is 3000 frames long.
    let moment = 64 + next(2800);
    let size = 1 + u32::try_from(next(24)).unwrap();
    Fault { kind, channel, moment, size }
}

fn drawn(first: u64, count: u64) {
    let mut kinds = BTreeSet::new();
    let mut missed = Vec::new();
    for seed in first..first + count {
        let fault = draw(seed);
        kinds.insert(fault.kind.name());
        let own = Case::named(fault.kind.breaks()).unwrap();
        let mut cases = swift();
        cases.push(own);
        let outcomes = examine(Some(fault), cases, true, Some(seed));
        if !outcomes.iter().any(|outcome| outcome.status.is_failure()) {
            println!("MISSED seed {seed}: {}", fault.to_text());
            missed.push(format!("seed {seed}: {}", fault.to_text()));
        }
    }
    println!("{} of {count} faults found, of {} kinds", count - missed.len() as u64, kinds.len());
    let mut claimed = Vec::new();
    for seed in first..first + count {
        let outcomes = examine(None, swift(), false, Some(seed));
        let bad: Vec<Outcome> =
            outcomes.into_iter().filter(|outcome| outcome.status.is_failure()).collect();
        if !bad.is_empty() {
            println!("CLAIMED seed {seed}:\n{}", words(&bad));
            claimed.push(format!("seed {seed}:\n{}", words(&bad)));
        }
    }
    println!("{} of {count} clean runs were called so", count - claimed.len() as u64);
    assert!(missed.is_empty() && claimed.is_empty());
}
