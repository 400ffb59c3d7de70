//! The compilers for Windows, and what is built with them.

use super::lab::Bits;
use anyhow::{Context, Result, bail};
use std::path::Path;
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

/// The driver, the command and the programs of exercises, optimised.
pub(crate) fn everything(root: &Path, bits: Bits) -> Result<()> {
    prepare(bits)?;
    let arguments = ["--release", "-p", "barewire-door", "-p", "barewire-cli"];
    let mut command = cargo(root, bits)?;
    command.args(["build", "--quiet", "--target", bits.target()]).args(arguments);
    if !command.status()?.success() {
        bail!("the driver and the command do not build for {}", bits.target());
    }
    Ok(())
}
