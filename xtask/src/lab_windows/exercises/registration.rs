//! The driver is registered for programs of both widths, with an entry for each profile; a host finds each entry, makes it
//! by COM and asks it everything; `regsvr32` does the same for one width; all of it can be taken back.

use crate::lab_windows::lab::{Bits, Lab};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::time::Duration;

/// A quiet machine needs a second.
const PATIENCE: Duration = Duration::from_secs(120);
/// Where it is installed, below the prefix.
const FOLDER: &str = "drive_c/Program Files/Barewire";
pub(super) const PROGRAM: &str = r"C:\Program Files\Barewire\barewire.exe";
pub(super) const LIBRARY: &str = r"C:\Program Files\Barewire\barewire.dll";
/// Where `install` puts the settings.
pub(super) const SETTINGS_PLACE: &str = r"C:\Program Files\Barewire\settings.toml";
const SETTINGS: &str =
    "driver.backend = \"virtual\"\n[profile.Desk]\nblocks.preferred_frames = 512\n";

#[derive(Deserialize)]
struct Listed {
    name: String,
    bits: u32,
    probe: Option<Probed>,
    problem: Option<String>,
}

#[derive(Deserialize)]
struct Probed {
    block_frames: Option<[i32; 3]>,
}

/// Puts everything where an installation would; whether the other width is there too.
pub(super) fn install(lab: &Lab, settings: &str) -> Result<bool> {
    for (file, name) in lab.shipped(lab.bits).iter().zip(["barewire.dll", "barewire.exe"]) {
        lab.install(file, &format!("{FOLDER}/{name}"))?;
    }
    let (other, folder) = match lab.bits {
        Bits::B64 => (Bits::B32, "x86"),
        Bits::B32 => (Bits::B64, "x64"),
    };
    let files = lab.shipped(other);
    let is_there = files.iter().all(|file| file.is_file()) && lab.runs_both();
    if is_there {
        for (file, name) in files.iter().zip(["barewire.dll", "barewire.exe"]) {
            lab.install(file, &format!("{FOLDER}/{folder}/{name}"))?;
        }
    }
    set(lab, settings)?;
    Ok(is_there)
}

/// Writes the settings of what is installed.
pub(super) fn set(lab: &Lab, settings: &str) -> Result<()> {
    Ok(std::fs::write(lab.prefix.path.join(FOLDER).join("settings.toml"), settings)?)
}

/// Runs the installed command.
pub(super) fn barewire(lab: &Lab, arguments: &[&str]) -> Result<String> {
    barewire_for(lab, arguments, PATIENCE)
}

/// As `barewire`, with another deadline.
pub(super) fn barewire_for(lab: &Lab, arguments: &[&str], patience: Duration) -> Result<String> {
    let settings = [("BAREWIRE_SETTINGS", SETTINGS_PLACE)];
    lab.run_well(PROGRAM.as_ref(), arguments, &settings, patience)
}

fn listed(lab: &Lab) -> Result<Vec<Listed>> {
    let said = barewire(lab, &["drivers", "--json"])?;
    serde_json::from_str(&said).with_context(|| said)
}

/// What must be there: name, bits, and the block size that tells whether its settings hold.
fn expect(lab: &Lab, wanted: &[(&str, u32, i32)]) -> Result<()> {
    let mut found = Vec::new();
    for entry in listed(lab)? {
        let Some(frames) = entry.probe.and_then(|probe| probe.block_frames) else {
            bail!("{} ({} bits): {:?}", entry.name, entry.bits, entry.problem);
        };
        found.push((entry.name, entry.bits, frames[1]));
    }
    found.sort();
    let mut wanted: Vec<_> = wanted.iter().map(|(n, b, f)| ((*n).to_owned(), *b, *f)).collect();
    wanted.sort();
    if found != wanted {
        bail!("found {found:?} and not {wanted:?}");
    }
    Ok(())
}

pub(super) fn run(lab: &Lab) -> Result<String> {
    let both = install(lab, SETTINGS)?;
    barewire(lab, &["register"])?;
    let own = if lab.bits == Bits::B64 { 64 } else { 32 };
    let mut all = vec![("Barewire", own, 256), ("Barewire Desk", own, 512)];
    if both {
        all.extend([("Barewire", 96 - own, 256), ("Barewire Desk", 96 - own, 512)]);
    }
    expect(lab, &all).context("after `barewire register`")?;
    barewire(lab, &["unregister"])?;
    expect(lab, &[]).context("after `barewire unregister`")?;
    let regsvr = lab.prefix.path.join(lab.bits.system_folder()).join("regsvr32.exe");
    lab.run_well(&regsvr, &["/s", LIBRARY], &[], PATIENCE)?;
    expect(lab, &[("Barewire", own, 256)]).context("after `regsvr32`")?;
    lab.run_well(&regsvr, &["/s", "/u", LIBRARY], &[], PATIENCE)?;
    expect(lab, &[]).context("after `regsvr32 /u`")?;
    Ok(format!("{} entries found, made by COM and asked; taken back", all.len()))
}
