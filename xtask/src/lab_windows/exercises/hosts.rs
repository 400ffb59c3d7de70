//! Whole hosts, as their sources tell what they call (`crates/conformance/src/checks/hosts.rs`): PortAudio's scan, JUCE's dummy
//! run, RtAudio, NAudio, rs_asio without COM, Roon, Kodi, REW's second instance, cpal. Each in a process of its own, by the
//! driver's file and by its registered name, over a simulated device in lock step.

use super::registration::{self, LIBRARY};
use super::wasapi;
use crate::lab_windows::cache;
use crate::lab_windows::lab::Lab;
use anyhow::{Context, Result, bail};
use std::time::Duration;

/// A quiet machine needs ten seconds.
const PATIENCE: Duration = Duration::from_secs(600);
/// Seconds that a host may take: a busy machine's slowness is no hang.
const HOST_PATIENCE: &str = "120";
/// How many there are.
const HOSTS: usize = 9;
const SETTINGS: &str = "driver.backend = \"wasapi\"\ndriver.mode = \"exclusive\"\noutput.device = { name = \"Simulated wide\" }\ninput.device = { name = \"Simulated wide\" }\n";

pub(super) fn run(lab: &Lab) -> Result<String> {
    registration::install(lab, SETTINGS)?;
    wasapi::install(lab)?;
    registration::barewire(lab, &["register"])?;
    // Nothing is listed: what is skipped is a failure.
    std::fs::write(lab.prefix.path.join("drive_c/skips.txt"), "")?;
    let ways = [("path", LIBRARY), ("name", "Barewire")];
    for (way, subject) in ways {
        let said = tester(lab, subject).with_context(|| format!("by {way}"))?;
        let passed = said.lines().filter(|line| line.starts_with("passed ")).count();
        if passed != HOSTS {
            bail!("{passed} of {HOSTS} hosts by {way}:\n{said}");
        }
    }
    Ok(format!("{HOSTS} hosts by path and by name"))
}

fn tester(lab: &Lab, subject: &str) -> Result<String> {
    let shim = lab.windows_path(&cache::shim(lab.bits)?);
    let environment = [
        ("BAREWIRE_SETTINGS", registration::SETTINGS_PLACE),
        ("BAREWIRE_SIMULATED", "wide"),
        ("BAREWIRE_SIMULATED_PACE", "lock"),
        ("WINEPATH", shim.as_str()),
    ];
    let arguments = ["conform", subject, "hosts", "--loop"];
    // One at a time: the device is held by one alone.
    let more = ["--jobs", "1", "--patience", HOST_PATIENCE, "--skips", r"C:\skips.txt"];
    let all = [&arguments[..], &more[..]].concat();
    lab.run_well(registration::PROGRAM.as_ref(), &all, &environment, PATIENCE)
}
