//! Rust's standard library for Windows where rustup has none to give: built from Debian's sources by Debian's compiler, once,
//! into the cache. A library of one compiler is of no use to another, so all of Windows is then built by Debian's.

use super::cache;
use super::lab::Bits;
use super::processes;
use crate::install;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Debian's compiler, never rustup's.
pub(crate) const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
/// Where Debian's compiler has its own things.
const OWN: &str = "/usr/lib/rustlib";
const HOST: &str = "x86_64-unknown-linux-gnu";
/// A quiet machine needs a minute.
const PATIENCE: Duration = Duration::from_secs(1800);
/// A package without anything in it: what is wanted is what it rests on.
const MANIFEST: &str = "[package]\nname = \"nothing\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[lib]\n[profile.release]\npanic = \"unwind\"\ndebug = 0\n[workspace]\n";

/// What the compiler is to take for its own folder.
pub(crate) fn sysroot(bits: Bits) -> Result<PathBuf> {
    if let Some(tool) = install::missing_of(&install::RUST_TOOLS).first() {
        bail!("{} is not installed (Debian package {})", tool.program, tool.package);
    }
    let output = Command::new(RUSTC).arg("--version").output().context(RUSTC)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split(' ').nth(1).with_context(|| format!("{RUSTC} says {text}"))?;
    cache::entry(&format!("std{bits}-{version}-2"), |place| make(place, bits))
}

fn make(place: &Path, bits: Bits) -> Result<()> {
    println!("building Rust's library for {bits}-bit Windows from Debian's sources");
    let lib = place.join("lib/rustlib").join(bits.target()).join("lib");
    fs::create_dir_all(&lib)?;
    // What runs here while it builds (macros) is of the compiler's own library.
    let mut link = Command::new("ln");
    link.arg("-s").arg(format!("{OWN}/{HOST}")).arg(place.join("lib/rustlib").join(HOST));
    processes::well(&mut link, PATIENCE)?;
    // The linker is given them by name.
    for name in ["rsbegin", "rsend"] {
        let source = format!("{OWN}/src/rust/library/rtstartup/{name}.rs");
        let mut command = Command::new(RUSTC);
        command.args(["--target", bits.target(), "--emit=obj", "-o"]);
        command.arg(lib.join(format!("{name}.o"))).arg(source).env("RUSTC_BOOTSTRAP", "1");
        processes::well(&mut command, PATIENCE)?;
    }
    let build = place.join("build");
    fs::create_dir_all(build.join("src"))?;
    fs::write(build.join("Cargo.toml"), MANIFEST)?;
    fs::write(build.join("src/lib.rs"), "")?;
    let mut command = Command::new(CARGO);
    command.current_dir(&build).args(["build", "--release", "--quiet", "--target", bits.target()]);
    command.arg("-Zbuild-std=std,panic_unwind,panic_abort,proc_macro,test");
    // Of a nightly compiler nothing is used but this one flag.
    command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", RUSTC);
    // What is shipped is optimised as a whole with it.
    command.env("RUSTFLAGS", "-Cembed-bitcode=yes");
    command.env("CARGO_TARGET_DIR", build.join("target")).stdin(Stdio::null());
    processes::well(&mut command, PATIENCE)?;
    let made = build.join("target").join(bits.target()).join("release/deps");
    for entry in fs::read_dir(&made)? {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libnothing") {
            fs::copy(&file, lib.join(name))?;
        }
    }
    cache::remove(&build)
}
