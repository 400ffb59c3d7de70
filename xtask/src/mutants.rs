//! `cargo xtask mutants`: faults that cargo-mutants puts into the driver's state, position and latency code, one at a time,
//! against the driver tester alone. What it does not find is listed in `docs/mutants.md`, with the reason.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The tool's version: another one makes other mutants.
const VERSION: &str = "27.1.0";
/// What mutants are made of: states, the host's half of a cycle with positions and times, what is told of them, latency.
const FILES: [&str; 5] = [
    "crates/driver/src/state.rs",
    "crates/driver/src/driver.rs",
    "crates/driver/src/host_client.rs",
    "crates/engine/src/latency.rs",
    "crates/engine/src/timeline.rs",
];
/// What is not tried, and why.
const NOT_TRIED: [(&str, &str); 2] = [
    (
        r"AsioResult::|LockGuard::",
        "never builds: the tool does not see that the name stands for `Result`",
    ),
    (r"driver_version -> i32 with 1$", "is what stands there"),
];
/// What has to be found.
const LEAST_PERCENT: usize = 90;
/// Seconds that all rules may take before a mutant counts as one that hangs; without a fault they take less than one minute.
const TIMEOUT_S: &str = "300";

/// What is asked for.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only the K-th of N parts, counted from 0: `0/8`. Every N-th mutant is in it.
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
}

/// Makes the mutants, runs the rules against each, and counts.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let tool = installed(root)?;
    let target = crate::lab_windows::target(root);
    let output = target.join("mutants");
    std::fs::create_dir_all(&output)?;
    // What was built for the last mutant serves the next run too.
    let build = target.join("mutants-build");
    let environment =
        [("CARGO_TARGET_DIR", build.as_os_str()), ("CARGO_PROFILE_DEV_DEBUG", "0".as_ref())];
    // The tool's own trial would run the tests of the crates that are changed; these here have to pass before any change.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).envs(environment);
    command.args(["test", "--quiet", "-p", "barewire-door", "--test", "conform"]);
    if !command.status()?.success() {
        bail!("the driver as it stands breaks rules");
    }
    let mut command = Command::new(tool);
    command.current_dir(root).arg("mutants").arg("--output").arg(&output);
    command.envs(environment);
    command.args([
        "--workspace",
        "--baseline",
        "skip",
        "--test-package",
        "barewire-door",
        // Of that package's tests nothing else is built.
        "--cargo-arg=--test=conform",
        "--timeout",
        TIMEOUT_S,
    ]);
    for file in FILES {
        command.args(["--file", file]);
    }
    for (names, _why) in NOT_TRIED {
        command.args(["--exclude-re", names]);
    }
    if let Some(shard) = &options.shard {
        command.args(["--shard", shard, "--sharding", "round-robin"]);
    }
    let status = command.status().context("cargo-mutants")?;
    // 2 and 3: some survived, some hung. All others are failures of the tool.
    if !matches!(status.code(), Some(0 | 2 | 3)) {
        bail!("cargo-mutants: {status}");
    }
    judge(&output.join("mutants.out"))
}

fn lines(file: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn judge(folder: &Path) -> Result<()> {
    let [caught, missed, hung, unviable] = ["caught", "missed", "timeout", "unviable"]
        .map(|name| lines(&folder.join(name.to_owned() + ".txt")));
    let (caught, missed, hung) = (caught?, missed?, hung?);
    let (found, all) = (caught.len() + hung.len(), caught.len() + hung.len() + missed.len());
    for line in &missed {
        println!("survived: {line}");
    }
    println!(
        "{found} of {all} mutants found by the rules alone ({} %), {} hung among them; {} did not build",
        found * 100 / all.max(1),
        hung.len(),
        unviable?.len()
    );
    if found * 100 < all * LEAST_PERCENT || all == 0 {
        bail!("fewer than {LEAST_PERCENT} %");
    }
    Ok(())
}

/// The tool, in a folder of its own.
fn installed(root: &Path) -> Result<PathBuf> {
    let folder = crate::lab_windows::target(root).join("tools");
    let tool = folder.join("bin/cargo-mutants");
    let told = Command::new(&tool).args(["mutants", "--version"]).output();
    if told.is_ok_and(|told| String::from_utf8_lossy(&told.stdout).contains(VERSION)) {
        return Ok(tool);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["install", "cargo-mutants", "--locked", "--version", VERSION, "--root"]);
    if !command.arg(&folder).status()?.success() {
        bail!("cargo-mutants {VERSION} cannot be installed");
    }
    Ok(tool)
}
