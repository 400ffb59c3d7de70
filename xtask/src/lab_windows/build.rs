//! The compilers for Windows, and what is built with them.

use super::lab::{Bits, Lab};
use super::processes;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The beginning of cargo's variables for this target.
pub(crate) fn variable(bits: Bits) -> String {
    format!("CARGO_TARGET_{}", bits.target().to_uppercase().replace('-', "_"))
}

/// Has Rust's standard library for this target at hand.
pub(crate) fn prepare(bits: Bits) -> Result<()> {
    let mut command = Command::new("rustup");
    command.args(["target", "add", bits.target()]).stderr(Stdio::null());
    let status = command.status().context("rustup")?;
    if !status.success() {
        bail!("rustup has no {}", bits.target());
    }
    Ok(())
}

/// Cargo, ready to build for this target.
pub(crate) fn cargo(root: &Path, bits: Bits) -> Result<Command> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root);
    command.env(format!("{}_LINKER", variable(bits)), format!("{}-gcc", bits.mingw()));
    Ok(command)
}

/// The driver as it is shipped, and the command.
pub(crate) fn everything(root: &Path, bits: Bits) -> Result<()> {
    prepare(bits)?;
    // Of the library's kinds only the one that is shipped: with others beside it nothing is optimised as a whole.
    let driver = "rustc --profile shipped -p barewire-door --lib --crate-type cdylib";
    for words in [driver, "build --release -p barewire-cli"] {
        let mut command = cargo(root, bits)?;
        command.args(words.split(' ')).args(["--quiet", "--target", bits.target()]);
        if !command.status()?.success() {
            bail!("`cargo {words}` fails for {}", bits.target());
        }
    }
    Ok(())
}

/// Builds one optimised program of tests of a package for this lab's Windows, that beside its code if it has no name; where
/// it is.
pub(crate) fn tests(lab: &Lab, package: &str, name: &str) -> Result<PathBuf> {
    let mut command = cargo(&lab.root, lab.bits)?;
    command.args(["test", "--quiet", "--release", "--no-run", "-p", package]);
    if name.is_empty() {
        command.arg("--lib")
    } else {
        command.args(["--test", name])
    };
    command.args(["--target", lab.bits.target(), "--message-format=json"]);
    let output = processes::in_everyday_time(&command).output().context("cargo")?;
    if !output.status.success() {
        bail!("{package}'s {name} do not build: {}", String::from_utf8_lossy(&output.stderr));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    // One line a unit; only a program has an executable.
    let found = messages.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    found.with_context(|| format!("cargo does not say where {package}'s {name} are"))
}
