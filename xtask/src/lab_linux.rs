//! The hardware lab on Linux: machines in QEMU, in virtual time, with Debian's stock kernel and sound cards of three kinds:
//! QEMU's own (`cards`), a USB interface of our own in user space and the kernel's loop (`trials`). The ordinary `barewire`
//! command plays and captures in them, and what arrived is compared with what was sent. Called by `cargo xtask hardware`;
//! `guest` makes the machines' file system, `machine` runs one.

mod cards;
mod guest;
mod machine;
mod music;
mod trials;

use crate::install;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// One machine and what it has to show.
enum Task {
    Card(&'static cards::Card),
    Trial(&'static trials::Trial),
}

impl Task {
    fn name(&self) -> &'static str {
        match self {
            Self::Card(card) => card.name,
            Self::Trial(trial) => trial.name,
        }
    }

    fn is_long(&self) -> bool {
        matches!(self, Self::Trial(trial) if trial.is_long)
    }

    fn run(&self, guest: &guest::Guest, folder: &Path) -> Result<String> {
        match self {
            Self::Card(card) => cards::play(guest, folder, card),
            Self::Trial(trial) => trials::run(guest, folder, trial),
        }
    }
}

/// Runs the lab, or those machines of it whose name begins with `only`; what takes many minutes only by its whole name, or if
/// `long`. What cannot be run here is said, and is a failure if `strict`.
pub(crate) fn run(root: &Path, strict: bool, long: bool, only: &str) -> Result<()> {
    let missing = install::missing_of(&install::LAB_TOOLS);
    if !missing.is_empty() {
        for tool in &missing {
            println!(
                "SKIPPED {}: {} is not installed (Debian package {})",
                tool.reason, tool.program, tool.package
            );
        }
        if strict {
            bail!("in CI nothing may be skipped");
        }
        return Ok(());
    }
    let folder = target(root).join("lab-linux");
    std::fs::create_dir_all(&folder)?;
    build(root)?;
    let release = target(root).join("release");
    let programs = ["barewire", "usb-audio", "examples/on-hardware"].map(|name| release.join(name));
    let guest = guest::Guest::make(&folder, &programs)?;
    // The longest first, so that no core waits for the other at the end.
    let trials = trials::TRIALS.iter().map(Task::Trial);
    let tasks: Vec<Task> = trials
        .chain(cards::CARDS.iter().map(Task::Card))
        .filter(|task| task.name().starts_with(only))
        .collect();
    if tasks.is_empty() {
        bail!("no machine's name begins with \"{only}\"");
    }
    let is_wanted = |task: &Task| long || !task.is_long() || task.name() == only;
    for task in tasks.iter().filter(|task| !is_wanted(task)) {
        println!("{:<12} left out: `cargo xtask hardware --long` runs it", task.name());
    }
    let tasks: Vec<Task> = tasks.into_iter().filter(is_wanted).collect();
    let failures = all(&tasks, &guest, &folder);
    if failures > 0 {
        bail!("{failures} machines failed; their words are in {}", folder.display());
    }
    Ok(())
}

/// Runs the machines on all cores; how many failed. A machine uses one core, and knows nothing of the others.
fn all(tasks: &[Task], guest: &guest::Guest, folder: &Path) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (next, failures) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let console = Mutex::new(());
    std::thread::scope(|scope| {
        for _ in 0..cores.min(tasks.len()) {
            scope.spawn(|| {
                while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begin = Instant::now();
                    let outcome = task.run(guest, folder);
                    let seconds = begin.elapsed().as_secs_f64();
                    let _whole = console.lock();
                    match outcome {
                        Ok(words) => println!("{:<12} ok, {words} ({seconds:.0} s)", task.name()),
                        Err(error) => {
                            failures.fetch_add(1, Ordering::Relaxed);
                            println!("{:<12} FAILED: {error:#} ({seconds:.0} s)", task.name());
                        }
                    }
                }
            });
        }
    });
    failures.into_inner()
}

fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

fn build(root: &Path) -> Result<()> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    for what in [
        ["-p", "barewire-cli", "--bin", "barewire"],
        ["-p", "barewire-usb-audio", "--bin", "usb-audio"],
        ["-p", "barewire-alsa", "--example", "on-hardware"],
    ] {
        let mut command = Command::new(&program);
        command.current_dir(root).args(["build", "--release", "--quiet"]).args(what);
        if !command.status()?.success() {
            bail!("{} does not build", what[1]);
        }
    }
    Ok(())
}
