//! A host that nobody here wrote: PortAudio, out of PyPI's `sounddevice` wheel for Windows, finds the registered driver and
//! plays and captures through it, over the simulated devices in lock step (`crates/door/tests/portaudio.rs`).

use super::{registration, wasapi};
use crate::lab_windows::lab::{Bits, CannotRun, Lab};
use crate::lab_windows::{build, cache, processes};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Half a million frames at several rates and in several block sizes, and minutes; a quiet machine needs half a minute.
const PATIENCE: Duration = Duration::from_secs(540);
/// How long the wheel's way here may take.
const DOWNLOAD: Duration = Duration::from_secs(120);
/// The wheel: fixed, so that everybody tries the same.
const WHEEL: &str = "sounddevice==0.5.6";
const SETTINGS: &str = "driver.backend = \"wasapi\"\ndriver.mode = \"exclusive\"\noutput.device = { name = \"Simulated wide\" }\ninput.device = { name = \"Simulated wide\" }\n";

pub(super) fn run(lab: &Lab) -> Result<String> {
    let cannot = |error| CannotRun(format!("PortAudio's library cannot be had: {error:#}"));
    let library = library(lab.bits).map_err(cannot)?;
    let test = build::tests(lab, "barewire-door", "portaudio")?;
    registration::install(lab, SETTINGS)?;
    wasapi::install(lab)?;
    let records = lab.prefix.path.join("drive_c/records");
    std::fs::create_dir_all(&records)?;
    let (shim, library) = (lab.windows_path(&cache::shim(lab.bits)?), lab.windows_path(&library));
    let environment = [
        ("BAREWIRE_SIMULATED", "wide"),
        ("BAREWIRE_SIMULATED_PACE", "lock"),
        ("BAREWIRE_SIMULATED_FOLDER", r"C:\records"),
        ("BAREWIRE_PORTAUDIO", library.as_str()),
        ("BAREWIRE_SETTINGS", registration::SETTINGS_PLACE),
        ("WINEPATH", shim.as_str()),
    ];
    registration::barewire(lab, &["register"])?;
    let arguments = ["--ignored", "--test-threads=1", "--nocapture"];
    let said = lab.run_well(&test, &arguments, &environment, PATIENCE)?;
    let exact = said.lines().filter(|line| line.contains("bit for bit")).count();
    let round =
        said.lines().filter_map(|line| line.strip_prefix("round trip ")).collect::<Vec<_>>();
    if exact == 0 || round.is_empty() {
        bail!("nothing was compared:\n{said}");
    }
    Ok(format!("{exact} comparisons bit for bit; round trip {}", round.join("; ")))
}

/// The library, out of the wheel, which is fetched once.
fn library(bits: Bits) -> Result<PathBuf> {
    let folder = cache::entry("portaudio-1", |place| {
        let mut pip = Command::new("pip3");
        pip.args(["download", "--quiet", "--no-deps", "--only-binary=:all:"]);
        pip.args(["--disable-pip-version-check", "--platform", "win_amd64", "--dest"]);
        pip.arg(place).arg(WHEEL).stdout(Stdio::null()).stderr(Stdio::null());
        processes::well(&mut pip, DOWNLOAD)?;
        let wheel = std::fs::read_dir(place)?.flatten().next().context("pip fetched nothing")?;
        let mut unpack = Command::new("python3");
        unpack.args(["-m", "zipfile", "-e"]).arg(wheel.path()).arg(place);
        processes::well(&mut unpack, DOWNLOAD)
    })?;
    let name = format!("_sounddevice_data/portaudio-binaries/libportaudio{bits}bit-asio.dll");
    let file = folder.join(Path::new(&name));
    if !file.is_file() {
        bail!("{} is not in {WHEEL}", file.display());
    }
    Ok(file)
}
