//! The compilers for Windows, and what is built with them.

use super::lab::{Bits, Lab};
use super::{debian_std, processes};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Where Rust's standard library for Windows comes from.
#[derive(Clone)]
enum Std {
    /// From rustup, for the compiler that builds everything else too.
    Rustup,
    /// Built from Debian's sources, for Debian's compiler; the folder.
    Debian(PathBuf),
}

/// The beginning of cargo's variables for this target.
pub(crate) fn variable(bits: Bits) -> String {
    format!("CARGO_TARGET_{}", bits.target().to_uppercase().replace('-', "_"))
}

/// The standard library for this target, had once.
fn library(bits: Bits) -> Result<Std> {
    static HAD: Mutex<[Option<Std>; 2]> = Mutex::new([None, None]);
    let mut had = HAD.lock().unwrap_or_else(PoisonError::into_inner);
    let place = &mut had[usize::from(bits == Bits::B32)];
    if let Some(library) = place {
        return Ok(library.clone());
    }
    let mut command = Command::new("rustup");
    command.args(["target", "add", bits.target()]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let library = if command.status().is_ok_and(|status| status.success()) {
        Std::Rustup
    } else {
        println!("rustup has no {}: Debian's sources are used", bits.target());
        let folder = debian_std::sysroot(bits);
        Std::Debian(folder.with_context(|| format!("neither rustup has {}", bits.target()))?)
    };
    Ok(place.insert(library).clone())
}

/// Has Rust's standard library for this target at hand.
pub(crate) fn prepare(bits: Bits) -> Result<()> {
    library(bits).map(drop)
}

/// Has the compiler's own lints for this target at hand: Debian's compiler has none.
pub(crate) fn prepare_lints(bits: Bits) -> Result<()> {
    match library(bits)? {
        Std::Rustup => Ok(()),
        Std::Debian(_) => bail!("rustup has no {}, and clippy no other source", bits.target()),
    }
}

/// Cargo, ready to build for this target.
pub(crate) fn cargo(root: &Path, bits: Bits) -> Result<Command> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root);
    command.env(format!("{}_LINKER", variable(bits)), format!("{}-gcc", bits.mingw()));
    if let Std::Debian(folder) = library(bits)? {
        command.env("RUSTC", debian_std::RUSTC);
        let flags = format!("--sysroot={}", folder.display());
        command.env(format!("{}_RUSTFLAGS", variable(bits)), flags);
    }
    Ok(command)
}

/// The command.
const COMMAND: &str = "build --release -p barewire-cli";
/// The driver as it is shipped. Of the library's kinds only that one: with others beside it nothing is optimised as a whole.
const DRIVER: &str = "rustc --profile shipped -p barewire-door --lib --crate-type cdylib";

/// The driver as it is shipped, and the command.
pub(crate) fn everything(root: &Path, bits: Bits) -> Result<()> {
    build(root, bits, &[DRIVER, COMMAND])
}

/// The command alone.
pub(crate) fn command(root: &Path, bits: Bits) -> Result<()> {
    build(root, bits, &[COMMAND])
}

fn build(root: &Path, bits: Bits, what: &[&str]) -> Result<()> {
    prepare(bits)?;
    for words in what {
        let mut command = cargo(root, bits)?;
        command.args(words.split(' ')).args(["--quiet", "--target", bits.target()]);
        if !processes::in_everyday_time(&command).status()?.success() {
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
