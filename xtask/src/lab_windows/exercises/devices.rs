//! Several objects of the driver at once, in one process and in two, and devices that are lost and come back
//! (`crates/door/tests/devices.rs`), over simulated devices.

use super::{registration, wasapi};
use crate::lab_windows::lab::Lab;
use crate::lab_windows::{build, cache};
use anyhow::{Result, bail};
use std::fmt::Write as _;
use std::time::Duration;

/// A quiet machine needs half a minute: a device counts as stalled after two seconds.
const PATIENCE: Duration = Duration::from_secs(540);
/// Each with an entry of its own.
const DEVICES: [&str; 12] = [
    "Wide",
    "Jitter",
    "Begins-late",
    "Fast",
    "Slept",
    "Replugged",
    "Reformatted",
    "Given-back",
    "Unplugged",
    "Changed",
    "Taken",
    "Stalled",
];

pub(super) fn run(lab: &Lab) -> Result<String> {
    let test = build::tests(lab, "barewire-door", "devices")?;
    let mut settings = "driver.backend = \"wasapi\"\ndriver.mode = \"exclusive\"\n".to_owned();
    for device in DEVICES {
        let name = device.to_lowercase();
        writeln!(settings, "[profile.{device}]")?;
        writeln!(settings, "output.device = {{ name = \"Simulated {name}\" }}")?;
        writeln!(settings, "input.device = \"none\"")?;
    }
    registration::install(lab, &settings)?;
    wasapi::install(lab)?;
    registration::barewire(lab, &["register"])?;
    let shim = lab.windows_path(&cache::shim(lab.bits)?);
    let names = DEVICES.map(str::to_lowercase).join(",");
    let mut told = Vec::new();
    for (part, pace) in [("in_step", "lock"), ("in_time", "real")] {
        let records = lab.prefix.path.join("drive_c").join(part);
        std::fs::create_dir_all(records)?;
        let folder = format!("C:\\{part}");
        let environment = [
            ("BAREWIRE_SETTINGS", registration::SETTINGS_PLACE),
            ("BAREWIRE_STATE", r"C:\state"),
            ("BAREWIRE_SIMULATED", names.as_str()),
            ("BAREWIRE_SIMULATED_PACE", pace),
            ("BAREWIRE_SIMULATED_FOLDER", folder.as_str()),
            ("WINEPATH", shim.as_str()),
        ];
        let arguments = [part, "--ignored", "--test-threads=1", "--nocapture"];
        let said = lab.run_well(&test, &arguments, &environment, PATIENCE)?;
        let count = |words: &str| said.lines().filter(|line| line.contains(words)).count();
        let (exact, again) = (count("bit for bit"), count("plays again after"));
        if exact + again == 0 {
            bail!("the tests did not run:\n{said}");
        }
        told.push((exact, again));
    }
    Ok(format!(
        "{} streams at once and beside a refusal bit for bit; {} devices back after a loss",
        told[0].0, told[1].1
    ))
}
