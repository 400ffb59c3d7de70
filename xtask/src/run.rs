//! What `cargo xtask test` does, step by step. The same at home and in CI; only there a skipped step is a failure.

use crate::{install, tidy};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Worlds of the simulator's long run.
const SEEDS: &str = "10000";

fn cargo(root: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root).args(arguments).envs(environment.iter().copied());
    let status = command.status().with_context(|| format!("cargo {}", arguments.join(" ")))?;
    if !status.success() {
        bail!("`cargo {}` failed", arguments.join(" "));
    }
    Ok(())
}

fn step(name: &str, body: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("== {name}");
    let begin = Instant::now();
    body()?;
    println!("== {name}: done in {:.0} s", begin.elapsed().as_secs_f64());
    Ok(())
}

/// Everything that must hold before a commit.
pub(crate) fn test(root: &Path, strict: bool) -> Result<()> {
    let missing = install::missing();
    for tool in &missing {
        println!(
            "SKIPPED {}: {} is not installed (Debian package {})",
            tool.reason, tool.program, tool.package
        );
    }
    if strict && !missing.is_empty() {
        bail!("in CI nothing may be skipped");
    }
    // Tests that need a program fail without it if this is set, and skip themselves, saying so, if it is not.
    let environment: &[(&str, &str)] =
        if missing.is_empty() { &[("BAREWIRE_ALL", "1")] } else { &[] };
    step("format", || cargo(root, &["fmt", "--all", "--check"], &[]))?;
    step("tidy", || tidy::run(root))?;
    // Nothing of that depends on time, so what waits for downloads and discs is done beside it.
    std::thread::scope(|scope| {
        let windows = scope.spawn(|| crate::lab_windows::make_ready(root, strict));
        lints(root, strict)?;
        windows.join().unwrap_or_else(|_| bail!("the Windows lab cannot be made ready"))
    })?;
    // The shared object, for the tests that load it as a stranger does.
    step("driver", || cargo(root, &["build", "--quiet", "-p", "barewire-door"], &[]))?;
    step("tests", || cargo(root, &["test", "--workspace"], environment))?;
    step("simulator, the long run", || {
        let long = ["test", "--release", "--quiet", "-p", "barewire-driver", "--test", "simulator"];
        let mut arguments = long.to_vec();
        arguments.extend(["--", "--seeds", SEEDS]);
        cargo(root, &arguments, &[])
    })?;
    step("hub, the long run", || hub(root))?;
    step("JACK lab", || crate::lab_jack::run(root, strict))?;
    step("conformance", || crate::conformance::test(root, true))?;
    step("hardware lab", || crate::lab_linux::run(root, strict, false, ""))?;
    step("Windows lab", || {
        crate::lab_windows::run(root, &crate::lab_windows::Options::everyday(), strict)
    })?;
    if !missing.is_empty() {
        println!("{} things were skipped, see above", missing.len());
    }
    Ok(())
}

/// What compilers see.
fn lints(root: &Path, strict: bool) -> Result<()> {
    step("lints", || {
        let all = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
        cargo(root, &all, &[])
    })?;
    step("lints for Windows", || crate::lab_windows::lints(root, strict))?;
    step("documentation", || {
        let flags = [("RUSTDOCFLAGS", "-D warnings")];
        cargo(root, &["doc", "--workspace", "--no-deps", "--quiet"], &flags)
    })
}

/// The hub against a reference sum and against clients in trouble, in simulated time; then real processes.
fn hub(root: &Path) -> Result<()> {
    const FAULT_SEEDS: &str = "1000";
    const TRIES: &str = "50";
    let test = ["test", "--release", "--quiet", "-p", "barewire-hub-client", "--test"];
    let run = |more: &[&str]| cargo(root, &[&test[..], more].concat(), &[]);
    run(&["simulator", "--", "--seeds", SEEDS, "--fault-seeds", FAULT_SEEDS])?;
    run(&["processes", "--", "--tries", TRIES])?;
    let orders = ["test", "--release", "--quiet", "-p", "barewire-share", "--test", "loom"];
    let loom = [("RUSTFLAGS", "--cfg loom"), ("CARGO_TARGET_DIR", "target/loom")];
    cargo(root, &orders, &loom)
}

/// All benchmarks.
pub(crate) fn bench(root: &Path) -> Result<()> {
    cargo(root, &["bench", "--workspace"], &[])
}
