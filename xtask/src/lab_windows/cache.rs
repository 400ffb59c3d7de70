//! What is slow to make and is shared by all checkouts of this user: the template prefixes, the 32-bit system, helpers.
//! It lies outside of `target`, is made once, whole or not at all, and outlives `cargo clean`.

use super::lab::Bits;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Stands in for the file that Wine 8 lacks and Rust's std imports. Only test programs get it: what is shipped must do
/// without.
const SHIM: &str = "#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE place, SIZE_T bytes) { return SystemFunction036(place, (ULONG)bytes); }
";

/// The folder of the cache.
pub(crate) fn folder() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = match set("XDG_CACHE_HOME") {
        Some(base) => PathBuf::from(base),
        None => PathBuf::from(set("HOME").context("HOME is not set")?).join(".cache"),
    };
    let folder = base.join("barewire-lab");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

/// Held until the answer is dropped; other processes wait.
pub(crate) fn lock(file: &Path) -> Result<File> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let lock = File::create(file).with_context(|| file.display().to_string())?;
    lock.lock().with_context(|| file.display().to_string())?;
    Ok(lock)
}

/// The entry `name`, which `make` fills if it is not there yet; a failure leaves nothing. Others that want it wait.
pub(crate) fn entry(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = folder()?;
    let place = folder.join(name);
    let _lock = lock(&folder.join(format!("{name}.lock")))?;
    if place.is_dir() {
        return Ok(place);
    }
    let draft = folder.join(format!("{name}.draft"));
    remove(&draft)?;
    fs::create_dir_all(&draft)?;
    if let Err(error) = make(&draft) {
        remove(&draft)?;
        return Err(error);
    }
    fs::rename(&draft, &place)?;
    Ok(place)
}

/// Removes a folder of ours. Never leaves its file system: a mount that was forgotten is not followed.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let status = Command::new("rm").args(["-rf", "--one-file-system"]).arg(folder).status()?;
    if !status.success() {
        bail!("{} cannot be removed", folder.display());
    }
    Ok(())
}

/// The folder with the file that Rust's own programs need under Wine 8.
pub(crate) fn shim(bits: Bits) -> Result<PathBuf> {
    entry(&format!("shim{bits}-1"), |place| {
        let source = place.join("shim.c");
        fs::write(&source, SHIM)?;
        let mut command = Command::new(format!("{}-gcc", bits.mingw()));
        command.args(["-shared", "-O1", "-o"]).arg(place.join("bcryptprimitives.dll"));
        command.arg(source).arg("-ladvapi32");
        if bits == Bits::B32 {
            // Rust imports the bare name.
            command.arg("-Wl,--kill-at");
        }
        if !command.status()?.success() {
            bail!("the shim does not compile");
        }
        Ok(())
    })
}
