//! WASAPI: the backend, unmodified, through Wine's own `mmdevapi` over simulated devices in lock step, whose record of what
//! they were given is compared; and the whole driver over the same devices, as the command plays through it.

use crate::lab_windows::lab::{Bits, Lab};
use crate::lab_windows::{build, cache};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// Every simulated device (`labs/wine-audio/src/scenarios.rs`).
const DEVICES: &str = "usual,wide,packed,sixteen,float,liar,eight,jitter,begins-late,fast,bytes,engine,forbidden,busy,denied,mute,unplugged,changed,taken,stalled";
/// Ten minutes of sound and two of a minute, in lock step: a quiet machine needs one.
const PATIENCE: Duration = Duration::from_secs(540);
/// The driver of the simulated devices, as `mmdevapi` looks for it.
const DRIVER: &str = "winebarewire.drv";

pub(super) fn run(lab: &Lab) -> Result<String> {
    let test = built(lab)?;
    let driver = lab.built.join("barewire_wine_audio.dll");
    lab.install(&driver, &format!("{}/{DRIVER}", lab.bits.system_folder()))?;
    lab.registry("[HKEY_CURRENT_USER\\Software\\Wine\\Drivers]\n\"Audio\"=\"barewire\"\n")?;
    let records = lab.prefix.path.join("drive_c/records");
    std::fs::create_dir_all(&records)?;
    let shim = lab.windows_path(&cache::shim(lab.bits)?);
    let environment = [
        ("BAREWIRE_SIMULATED", DEVICES),
        ("BAREWIRE_SIMULATED_PACE", "lock"),
        ("BAREWIRE_SIMULATED_FOLDER", r"C:\records"),
        ("WINEPATH", shim.as_str()),
    ];
    let arguments = ["--ignored", "--test-threads=1", "--nocapture"];
    let said = lab.run_well(&test, &arguments, &environment, PATIENCE)?;
    let passed = said.lines().find(|line| line.starts_with("test result: ok")).unwrap_or_default();
    if !passed.contains(" 0 failed") || passed.contains(" 0 passed") {
        bail!("the tests did not run:\n{said}");
    }
    let jitter = said.lines().filter_map(|line| line.split_once("jitter: round trip "));
    let jitter = jitter.map(|(_, rest)| rest).next().unwrap_or("unknown");
    Ok(format!("all formats and refusals; events 1 ms off: round trip {jitter}"))
}

/// Builds the simulated devices and the tests; the tests' program.
fn built(lab: &Lab) -> Result<PathBuf> {
    let (root, bits): (&Path, Bits) = (&lab.root, lab.bits);
    let mut devices = build::cargo(root, bits)?;
    devices.args(["build", "--quiet", "--release", "--target", bits.target()]);
    if !devices.args(["-p", "barewire-wine-audio"]).status()?.success() {
        bail!("the simulated devices do not build");
    }
    let mut tests = build::cargo(root, bits)?;
    tests.args(["test", "--quiet", "--release", "--no-run", "--target", bits.target()]);
    tests.args(["-p", "barewire-wasapi", "--test", "simulated_device"]);
    let output = tests
        .arg("--message-format=json")
        .stderr(Stdio::inherit())
        .stdout(Stdio::piped())
        .output()?;
    if !output.status.success() {
        bail!("the tests do not build");
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let program = said
        .lines()
        .filter_map(|line| line.split_once("\"executable\":\""))
        .filter_map(|(_, rest)| rest.split('"').next())
        .find(|path| path.contains("simulated_device"));
    program.map(PathBuf::from).context("cargo does not say where the tests are")
}
