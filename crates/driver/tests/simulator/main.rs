//! The simulator: hosts and devices of all manners, drawn from seeds, under the baton scheduler, in simulated time.
//!
//! `cargo test --release -p barewire-driver --test simulator -- --seeds 10000` is the long run; `-- --seed N` runs one
//! seed again. A failure prints its seed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    missing_docs,
    unreachable_pub,
    reason = "a test may stop the world, and documents itself by its names"
)]

mod host;
mod plant;
mod scenario;
mod signal;
mod world;

use plant::Bug;
use scenario::{Manner, Scenario, Trouble};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Seeds of the everyday run, which is not optimised.
const EVERYDAY: u64 = 200;

#[derive(Default)]
struct Tally {
    manners: BTreeMap<Manner, u64>,
    troubles: BTreeMap<Trouble, u64>,
    cycles: u64,
    frames: u64,
    switches: u64,
    failures: Vec<String>,
}

fn argument(name: &str) -> Option<u64> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)?.parse().ok()
}

/// One seed; `Err` with what was wrong.
fn run(seed: u64, bug: Bug) -> Result<world::Outcome, String> {
    let scenario = Scenario::new(seed);
    let result = catch_unwind(AssertUnwindSafe(|| world::run(&scenario, bug)));
    match result {
        Ok(outcome) if outcome.faults.is_empty() => Ok(outcome),
        Ok(outcome) => Err(outcome.faults.join("; ")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            Err(text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned())
        }
    }
}

fn sweep(seeds: u64) -> Tally {
    let next = AtomicU64::new(0);
    let tally = Mutex::new(Tally::default());
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    let result = run(seed, Bug::None);
                    // A seed that does not repeat is worth nothing: every 40th is run twice.
                    let again = seed.is_multiple_of(40).then(|| run(seed, Bug::None));
                    let scenario = Scenario::new(seed);
                    let mut tally = tally.lock().unwrap();
                    *tally.manners.entry(scenario.manner).or_default() += 1;
                    for trouble in &scenario.troubles {
                        *tally.troubles.entry(*trouble).or_default() += 1;
                    }
                    if let (Ok(first), Some(Ok(second))) = (&result, &again)
                        && first.hash != second.hash
                    {
                        tally.failures.push(format!("seed {seed}: another trace when run again"));
                    }
                    match result {
                        Ok(outcome) => {
                            tally.cycles += outcome.cycles;
                            tally.frames += outcome.frames;
                            tally.switches += outcome.switches;
                        }
                        Err(what) => {
                            tally.failures.push(format!("seed {seed}: {what} ({scenario:?})"))
                        }
                    }
                }
            });
        }
    });
    tally.into_inner().unwrap()
}

/// Seeds in which each planted bug must be found at least once.
const BUG_SEEDS: u64 = 60;

fn planted() -> Vec<String> {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        let found = (0..BUG_SEEDS).find_map(|seed| run(seed, bug).err().map(|what| (seed, what)));
        match found {
            Some((seed, what)) => {
                let what: String = what.chars().take(90).collect();
                println!("  {bug:?}: found with seed {seed}: {what}");
            }
            None => {
                missed.push(format!("the planted bug {bug:?} was not found in {BUG_SEEDS} seeds"))
            }
        }
    }
    missed
}

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    // Failures are told by seed; a backtrace of each planted panic helps nobody.
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(seed) = argument("--seed") {
        println!("{:#?}", Scenario::new(seed));
        match run(seed, Bug::None) {
            Ok(outcome) => println!(
                "seed {seed}: passed, {} cycles, hash {:016x}",
                outcome.cycles, outcome.hash
            ),
            Err(what) => {
                println!("seed {seed}: {what}");
                std::process::exit(1);
            }
        }
        return;
    }
    let seeds = argument("--seeds").unwrap_or(EVERYDAY);
    let begin = Instant::now();
    let tally = sweep(seeds);
    println!(
        "simulator: {seeds} seeds, {} cycles, {} frames, {} switches",
        tally.cycles, tally.frames, tally.switches
    );
    for (manner, count) in &tally.manners {
        println!("  host {manner:?}: {count}");
    }
    for (trouble, count) in &tally.troubles {
        println!("  device {trouble:?}: {count}");
    }
    let mut failures = tally.failures;
    println!("planted bugs:");
    failures.extend(planted());
    for failure in failures.iter().take(20) {
        println!("FAILED {failure}");
    }
    let passed = seeds - (failures.len() as u64).min(seeds);
    println!("simulator: {:.1} s", begin.elapsed().as_secs_f64());
    println!("{passed} passed, {} failed", failures.len());
    if !failures.is_empty() {
        std::process::exit(1);
    }
}
