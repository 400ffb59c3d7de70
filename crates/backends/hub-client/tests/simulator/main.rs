//! The hub in the simulator: clients that come, go, stall, die, flood and scribble, drawn from seeds, under the baton
//! scheduler and in simulated time, against a reference sum.
//!
//! `cargo test --release -p barewire-hub-client --test simulator -- --seeds 10000 --fault-seeds 1000` is the long run;
//! `-- --seed N` runs one seed again, `--trouble stall` with that trouble. A failure prints its seed.

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

mod client;
mod hostile;
mod late;
mod reference;
mod tap;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use world::{Outcome, Trouble};

/// Seeds of the everyday run, which is not optimised.
const EVERYDAY: u64 = 100;
/// Of each trouble.
const EVERYDAY_FAULTS: u64 = 25;

fn text(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

fn number(name: &str) -> Option<u64> {
    text(name)?.parse().ok()
}

/// A rule that is followed block by block, for a seed.
type Rule = fn(u64);

const RULES: [(&str, Rule); 3] = [
    ("who is late three times and comes back", late::follow),
    ("the tap beside the mix", tap::compare),
    ("a hub that lies", hostile::run),
];

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}

/// What was wrong with a rule, if anything was.
fn caught(name: &str, seed: u64, rule: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(rule)).err()?;
    Some(format!("seed {seed}, {name}: {}", words(&*panic)))
}

/// One seed; `Err` with what was wrong.
fn run(seed: u64, trouble: Trouble) -> Result<Outcome, String> {
    let result = catch_unwind(AssertUnwindSafe(|| world::run(seed, trouble)));
    match result {
        Ok(outcome) if outcome.faults.is_empty() => Ok(outcome),
        Ok(outcome) => Err(outcome.faults.join("; ")),
        Err(panic) => Err(words(&*panic)),
    }
}

#[derive(Default)]
struct Tally {
    cycles: u64,
    frames: u64,
    joins: u64,
    lates: u64,
    failures: Vec<String>,
}

fn sweep(trouble: Trouble, seeds: u64) -> Tally {
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
                    let result = run(seed, trouble);
                    // A seed that does not repeat is worth nothing: every 40th is run twice.
                    let again = seed.is_multiple_of(40).then(|| run(seed, trouble));
                    let mut tally = tally.lock().unwrap();
                    if let (Ok(first), Some(Ok(second))) = (&result, &again)
                        && first.hash != second.hash
                    {
                        tally.failures.push(format!("seed {seed}: another trace when run again"));
                    }
                    match result {
                        Ok(outcome) => {
                            tally.cycles += outcome.cycles;
                            tally.frames += outcome.frames;
                            tally.joins += outcome.joins;
                            tally.lates += outcome.lates;
                        }
                        Err(what) => {
                            tally.failures.push(format!("seed {seed} {trouble:?}: {what}"))
                        }
                    }
                }
            });
        }
    });
    tally.into_inner().unwrap()
}

fn main() {
    if let Some(seed) = number("--seed") {
        let trouble = text("--trouble").and_then(|name| Trouble::from_name(&name));
        let result = run(seed, trouble.unwrap_or(Trouble::None));
        println!("seed {seed}: {result:?}");
        assert!(result.is_ok());
        return;
    }
    let seeds = number("--seeds").unwrap_or(EVERYDAY);
    let fault_seeds = number("--fault-seeds").unwrap_or(EVERYDAY_FAULTS);
    let mut failures = Vec::new();
    for trouble in Trouble::ALL {
        let count = if trouble == Trouble::None { seeds } else { fault_seeds };
        let begin = Instant::now();
        let tally = sweep(trouble, count);
        println!(
            "{trouble:?}: {count} seeds, {} cycles, {} frames compared, {} entries, {} late blocks, {:.1} s",
            tally.cycles,
            tally.frames,
            tally.joins,
            tally.lates,
            begin.elapsed().as_secs_f64()
        );
        if matches!(trouble, Trouble::Stall | Trouble::Die) && count > 10 && tally.lates == 0 {
            failures.push(format!("{trouble:?} never made anybody late"));
        }
        failures.extend(tally.failures);
    }
    for (name, rule) in RULES {
        let begin = Instant::now();
        let wrong: Vec<String> =
            (0..fault_seeds).filter_map(|seed| caught(name, seed, || rule(seed))).collect();
        println!("{name}: {fault_seeds} seeds, {:.1} s", begin.elapsed().as_secs_f64());
        failures.extend(wrong);
    }
    for failure in failures.iter().take(20) {
        println!("FAILED {failure}");
    }
    assert!(failures.is_empty(), "{} seeds failed", failures.len());
}
