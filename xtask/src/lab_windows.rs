//! The Windows lab: builds the driver and the command for 64-bit and 32-bit Windows and runs them under Wine, with a
//! PulseAudio of its own below. Called by `cargo xtask windows`, `wine` and `wine-test`.
//!
//! An exercise is a module below `exercises` and a line in its list. What exercises get is in `lab.rs`; `cache.rs` keeps what
//! is slow to make, `prefix.rs`, `chroot.rs` and `debian_std.rs` make it, `wine.rs` runs programs, `pulse.rs` is the sound server.

mod build;
mod cache;
mod chroot;
mod debian_std;
mod exercises;
mod lab;
mod prefix;
mod processes;
mod pulse;
mod wine;

use crate::install;
use anyhow::{Context, Result, bail};
use exercises::Exercise;
pub(crate) use lab::Bits;
use lab::{CannotRun, Lab};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What is asked for.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What cannot be run here is a failure.
    #[arg(long)]
    pub(crate) ci: bool,
    /// Only programs of 64 or 32 bits.
    #[arg(long)]
    bits: Option<Bits>,
    /// Everything at its full length: ten minutes of sound by every way.
    #[arg(long)]
    long: bool,
    /// Only exercises that have one of these names; a word that is no name stands for all that contain it.
    words: Vec<String>,
    #[arg(skip)]
    is_everyday: bool,
}

impl Options {
    /// What everybody runs before a commit: of the exercises those that need no quiet machine and not many minutes.
    pub(crate) fn everyday() -> Self {
        Self { ci: false, bits: None, long: false, words: Vec::new(), is_everyday: true }
    }

    fn wanted(&self, bits: Bits) -> Vec<&'static Exercise> {
        let is_wanted = |exercise: &&Exercise| {
            is_wanted(exercise.name, &self.words)
                && (!self.is_everyday || exercise.everyday.has(bits))
        };
        exercises::ALL.iter().filter(is_wanted).collect()
    }
}

/// Runs the lab. What cannot be run here is said, and is a failure if `strict`.
pub(crate) fn run(root: &Path, options: &Options, strict: bool) -> Result<()> {
    if cfg!(windows) {
        bail!("the lab runs on Linux; on Windows use `cargo test --workspace`");
    }
    if !is_equipped(strict)? {
        return Ok(());
    }
    let widths = Bits::ALL.into_iter().filter(|bits| options.bits.is_none_or(|only| only == *bits));
    let mut lanes: Vec<Lane> = widths
        .map(|bits| Lane { root, bits, options, strict, wanted: options.wanted(bits) })
        .filter(|lane| !lane.wanted.is_empty())
        .collect();
    for lane in &lanes {
        if lane.wanted.iter().any(|exercise| exercise.needs_product) {
            build::everything(root, lane.bits)?;
        }
    }
    let mut ready = Vec::new();
    for lane in lanes.drain(..) {
        if lane.is_prepared()? {
            ready.push(lane);
        }
    }
    // In lock step nothing depends on how fast it goes: both widths at once.
    let mut failures: usize = std::thread::scope(|scope| {
        let runs: Vec<_> = ready.iter().map(|lane| scope.spawn(|| lane.run(false))).collect();
        runs.into_iter().map(|run| run.join().unwrap_or(1)).sum()
    });
    failures += ready.iter().map(|lane| lane.run(true)).sum::<usize>();
    if failures > 0 {
        bail!("{failures} exercises failed");
    }
    Ok(())
}

/// The exercises of one width.
struct Lane<'a> {
    root: &'a Path,
    bits: Bits,
    options: &'a Options,
    strict: bool,
    wanted: Vec<&'static Exercise>,
}

impl Lane<'_> {
    /// Makes Wine and its template; whether that is possible here.
    fn is_prepared(&self) -> Result<bool> {
        match Lab::prepare(self.root, self.bits) {
            Ok(()) => Ok(true),
            Err(error) if self.strict => Err(error),
            Err(error) => {
                println!("SKIPPED the Windows lab for {}-bit programs: {error:#}", self.bits);
                Ok(false)
            }
        }
    }

    /// Runs those that are timed, or those that are not; how many failed.
    fn run(&self, are_timed: bool) -> usize {
        let chosen = self.wanted.iter().filter(|exercise| exercise.is_timed == are_timed);
        chosen.filter(|exercise| !self.is_well(exercise)).count()
    }

    fn is_well(&self, exercise: &Exercise) -> bool {
        let begin = Instant::now();
        let run = || {
            let mut lab = Lab::new(self.root, self.bits)?;
            lab.is_long = self.options.long;
            (exercise.run)(&lab)
        };
        let outcome = if exercise.is_timed { processes::in_real_time(run) } else { run() };
        let seconds = begin.elapsed().as_secs_f64();
        let name = format!("{} {:<24}", self.bits, exercise.name);
        match outcome {
            Ok(words) => println!("{name} ok, {words} ({seconds:.0} s)"),
            Err(error) if !self.strict && error.is::<CannotRun>() => {
                println!("{name} SKIPPED: {error:#}");
            }
            Err(error) => {
                println!("{name} FAILED: {error:#} ({seconds:.0} s)");
                return false;
            }
        }
        true
    }
}

/// Makes ahead what the lab needs and takes minutes without keeping the processors busy: the compilers' libraries, the Wines.
pub(crate) fn make_ready(root: &Path, strict: bool) -> Result<()> {
    if !is_equipped(strict)? {
        return Ok(());
    }
    for bits in Bits::ALL {
        let made = build::prepare(bits).and_then(|()| Lab::prepare(root, bits));
        if strict {
            made?;
        }
    }
    Ok(())
}

fn is_wanted(name: &str, words: &[String]) -> bool {
    let is_name = |word: &str| exercises::ALL.iter().any(|exercise| exercise.name == word);
    let stands_for = |word: &String| name == word || !is_name(word) && name.contains(word.as_str());
    words.is_empty() || words.iter().any(stands_for)
}

/// Installs what is missing; false if something is missing still, which is said.
fn is_equipped(strict: bool) -> Result<bool> {
    let missing = install::missing_of(&install::WINDOWS_TOOLS);
    for tool in &missing {
        println!(
            "SKIPPED {}: {} is not installed (Debian package {})",
            tool.reason, tool.program, tool.package
        );
    }
    if strict && !missing.is_empty() {
        bail!("in CI nothing may be skipped");
    }
    Ok(missing.is_empty())
}

/// Runs a program of Windows, for `cargo test --target …` too, which calls this as its runner; the exit code.
pub(crate) fn wine(root: &Path, bits: Bits, program: &Path, arguments: &[String]) -> Result<i32> {
    if !is_equipped(true)? {
        bail!("programs are missing");
    }
    let lab = Lab::new(root, bits)?;
    lab.run_in_foreground(program, arguments)
}

/// Runs `cargo test` with `arguments` for Windows, under Wine.
pub(crate) fn test(root: &Path, bits: Bits, arguments: &[String]) -> Result<()> {
    if !is_equipped(true)? {
        bail!("programs are missing");
    }
    build::prepare(bits)?;
    let own = std::env::current_exe().context("this program cannot find itself")?;
    let runner = format!("{} wine --bits {bits} --", own.display());
    let mut command = build::cargo(root, bits)?;
    command.arg("test").arg("--target").arg(bits.target()).args(arguments);
    command.env(format!("{}_RUNNER", build::variable(bits)), runner);
    if !command.status()?.success() {
        bail!("tests failed");
    }
    Ok(())
}

/// The lints, for code that is compiled for Windows alone. Of both widths one: they differ in nothing that a lint knows.
pub(crate) fn lints(root: &Path, strict: bool) -> Result<()> {
    /// Of Linux alone.
    const ELSEWHERE: [&str; 4] =
        ["barewire-alsa", "barewire-desktop", "barewire-jack", "barewire-usb-audio"];
    /// With tests that are of Linux alone.
    const TESTED_ELSEWHERE: [&str; 2] = ["barewire-driver", "barewire-hub-client"];
    let bits = Bits::B64;
    if let Err(error) = build::prepare_lints(bits) {
        if strict {
            return Err(error);
        }
        println!("SKIPPED the lints of Windows' code: {error:#}");
        return Ok(());
    }
    let mut whole = vec!["--workspace", "--all-targets"];
    whole.extend(ELSEWHERE.iter().chain(&TESTED_ELSEWHERE).flat_map(|name| ["--exclude", name]));
    let untested: Vec<&str> = TESTED_ELSEWHERE.iter().flat_map(|name| ["-p", name]).collect();
    for packages in [whole, untested] {
        let mut command = build::cargo(root, bits)?;
        command.args(["clippy", "--quiet", "--target", bits.target()]).args(packages);
        if !command.args(["--", "-D", "warnings"]).status()?.success() {
            bail!("the lints of Windows' code failed");
        }
    }
    Ok(())
}

/// Where cargo builds.
pub(crate) fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
