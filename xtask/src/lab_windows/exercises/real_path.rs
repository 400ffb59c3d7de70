//! WASAPI as Wine itself has it: shared over PulseAudio, and exclusive, looked at by the clock, over ALSA. The contract in both
//! directions; what is played arrives at the sink bit for bit, what the source sings is captured bit for bit
//! (`crates/backends/wasapi/tests/on_windows.rs`).

use super::mixers::Singer;
use crate::lab_windows::build;
use crate::lab_windows::lab::Lab;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::time::Duration;

/// A quiet machine needs half a minute; attempts on a busy one many times that.
const PATIENCE: Duration = Duration::from_secs(300);
/// Comparisons of each way.
const COMPARISONS: usize = 6;

pub(super) fn run(lab: &Lab) -> Result<String> {
    let program = build::tests(lab, "barewire-wasapi", "on_windows")?;
    let folder = lab.prefix.path.join("drive_c");
    let (sink, tune) = (folder.join("sink.raw"), folder.join("tune.raw"));
    lab.pulse.keep_in(File::create(&sink)?);
    // ALSA's own settings are not read: PulseAudio's would be put in place of these.
    let alsa = folder.join("alsa.conf");
    let server = lab.pulse.server();
    fs::write(
        &alsa,
        format!(
            "pcm.default {{ type pulse server \"{server}\" }}\nctl.default {{ type pulse server \"{server}\" }}\n"
        ),
    )?;
    let (alsa, sink_name, tune_name) = (
        alsa.to_str().context("a path that is no text")?,
        lab.windows_path(&sink),
        lab.windows_path(&tune),
    );
    let environment = [
        ("BAREWIRE_SINK", sink_name.as_str()),
        ("BAREWIRE_TUNE", tune_name.as_str()),
        ("ALSA_CONFIG_PATH", alsa),
    ];
    let singer = Singer::new(lab.pulse.mouth()?, tune);
    let both = [("shared", "pulse"), ("exclusive", "alsa")].map(|(way, driver)| {
        lab.registry(&format!(
            "[HKEY_CURRENT_USER\\Software\\Wine\\Drivers]\n\"Audio\"=\"{driver}\"\n"
        ))?;
        let way = format!("{way}::");
        let arguments = [way.as_str(), "--ignored", "--test-threads=1", "--nocapture"];
        lab.run_well(&program, &arguments, &environment, PATIENCE)
    });
    let sung = singer.end();
    let mut again = 0;
    for said in both {
        let said = said?;
        // See `testkit::wire`.
        let is_again = |line: &&str| {
            ["late by", "not played for", "nobody was run"].iter().any(|words| line.contains(words))
        };
        again += said.lines().filter(is_again).count();
        let exact = said.lines().filter(|line| line.contains("frames exact")).count();
        if exact != COMPARISONS {
            bail!("{exact} of {COMPARISONS} comparisons:\n{said}");
        }
    }
    sung?;
    Ok(format!(
        "the contract in both directions, shared and exclusive; {COMPARISONS} comparisons of each bit for bit; made again on a busy machine: {again}"
    ))
}
