//! WASAPI over simulated devices: the backend as it is shipped, through Wine's own `mmdevapi`, over a Wine audio driver of ours
//! (`labs/wine-audio`) that moves in lock step and writes down what it was given.

use crate::lab_windows::lab::Lab;
use crate::lab_windows::{build, cache, processes};
use anyhow::{Result, bail};
use std::time::Duration;

/// Every simulated device (`labs/wine-audio/src/scenarios.rs`).
const DEVICES: &str = "usual,wide,packed,sixteen,float,liar,eight,jitter,begins-late,fast,bytes,engine,forbidden,busy,denied,mute,unplugged,changed,taken,stalled";
/// Minutes of sound in lock step; a quiet machine needs a tenth.
const PATIENCE: Duration = Duration::from_secs(540);
const BUILD: Duration = Duration::from_secs(1800);
/// The driver of the simulated devices, as `mmdevapi` looks for it.
const DRIVER: &str = "winebarewire.drv";
/// Minutes of both directions at once.
const LONG_MINUTES: &str = "10";
const SHORT_MINUTES: &str = "1";

pub(super) fn run(lab: &Lab) -> Result<String> {
    let [beside, test] =
        ["", "simulated_device"].map(|name| build::tests(lab, "barewire-wasapi", name));
    lab.run_well(&beside?, &[], &[], PATIENCE)?;
    install(lab)?;
    let records = lab.prefix.path.join("drive_c/records");
    std::fs::create_dir_all(&records)?;
    let shim = lab.windows_path(&cache::shim(lab.bits)?);
    let environment = [
        ("BAREWIRE_SIMULATED", DEVICES),
        ("BAREWIRE_SIMULATED_PACE", "lock"),
        ("BAREWIRE_SIMULATED_FOLDER", r"C:\records"),
        ("BAREWIRE_MINUTES", if lab.is_long { LONG_MINUTES } else { SHORT_MINUTES }),
        ("WINEPATH", shim.as_str()),
    ];
    let arguments = ["--ignored", "--test-threads=1", "--nocapture"];
    let said = lab.run_well(&test?, &arguments, &environment, PATIENCE)?;
    let passed = said.lines().find(|line| line.starts_with("test result: ok")).unwrap_or_default();
    if !passed.contains(" 0 failed") || passed.contains(" 0 passed") {
        bail!("the tests did not run:\n{said}");
    }
    let exact = said.lines().filter(|line| line.contains("bit for bit")).count();
    let jitter = said.lines().find_map(|line| line.split_once("jitter: round trip "));
    let jitter = jitter.map_or("unknown", |(_, rest)| rest);
    if exact == 0 {
        bail!("nothing was compared:\n{said}");
    }
    Ok(format!("{exact} comparisons bit for bit; events 1 ms off: round trip {jitter}"))
}

/// Builds the simulated devices, which from now on are all that this Windows has.
pub(super) fn install(lab: &Lab) -> Result<()> {
    let mut command = build::cargo(&lab.root, lab.bits)?;
    command.args(["build", "--quiet", "--release", "--lib", "-p", "barewire-wine-audio"]);
    processes::well(command.args(["--target", lab.bits.target()]), BUILD)?;
    let driver = lab.built.join("barewire_wine_audio.dll");
    lab.install(&driver, &format!("{}/{DRIVER}", lab.bits.system_folder()))?;
    lab.registry("[HKEY_CURRENT_USER\\Software\\Wine\\Drivers]\n\"Audio\"=\"barewire\"\n")
}
