//! The driver tester on our own driver: by its file, as some hosts load it, and by its registered name, through COM. No "must"
//! and no "should" is broken, and nothing is skipped that `crates/conformance/expected` does not list.

use super::registration::{self, LIBRARY};
use crate::lab_windows::lab::Lab;
use anyhow::{Context, Result, bail};
use std::time::Duration;

/// A quiet machine needs two minutes for all rules; a rule that hangs is ended by the tester itself.
const PATIENCE: Duration = Duration::from_secs(1800);
/// Seconds that a rule may take: a busy machine's slowness is no hang.
const RULE_PATIENCE: &str = "120";
/// Where the list of what is skipped lies in this Windows.
const LIST: &str = "skips.txt";

pub(super) fn run(lab: &Lab) -> Result<String> {
    registration::install(lab, "driver.backend = \"virtual\"\n")?;
    registration::barewire(lab, &["register"])?;
    let path = conform(lab, LIBRARY, "path")?;
    let registered = conform(lab, "Barewire", "registered")?;
    a_wrong_threading_model_is_seen(lab)?;
    a_new_skip_is_seen(lab)?;
    Ok(format!("by path {path}; by name {registered}"))
}

fn tester(lab: &Lab, arguments: &[&str]) -> Result<String> {
    let mut all = vec!["conform"];
    all.extend(arguments);
    let list = format!("C:\\{LIST}");
    all.extend(["--simulated", "--loop", "--patience", RULE_PATIENCE, "--skips", &list]);
    registration::barewire_for(lab, &all, PATIENCE)
}

/// Every rule; how many came to what.
fn conform(lab: &Lab, subject: &str, way: &str) -> Result<String> {
    let name = format!("crates/conformance/expected/windows-{way}-{}.txt", lab.bits);
    lab.install(&lab.root.join(&name), &format!("drive_c/{LIST}"))?;
    let said = tester(lab, &[subject]).with_context(|| format!("{subject}, {name}"))?;
    let last = said.lines().rev().find(|line| line.contains(" cases: ")).context(said.clone())?;
    Ok(last.to_owned())
}

/// The rules of the registry are broken by an entry of ours that was made wrong.
fn a_wrong_threading_model_is_seen(lab: &Lab) -> Result<()> {
    let class = barewire_class(lab)?;
    let place = format!("HKLM\\SOFTWARE\\Classes\\CLSID\\{class}\\InprocServer32");
    let reg = lab.prefix.path.join(lab.bits.system_folder()).join("reg.exe");
    let set = |model: &str| {
        let words = ["add", &place, "/v", "ThreadingModel", "/d", model, "/f"];
        lab.run_well(&reg, &words, &[], Duration::from_secs(60)).map(drop)
    };
    set("Free")?;
    let outcome = tester(lab, &["Barewire", "threading-model"]);
    set("Both")?;
    match outcome {
        Err(error) if format!("{error:#}").contains("saw \"Free\"") => Ok(()),
        Err(error) => Err(error),
        Ok(said) => bail!("a wrong threading model was taken for well:\n{said}"),
    }
}

/// The class id that our driver's entry names.
fn barewire_class(lab: &Lab) -> Result<String> {
    let reg = lab.prefix.path.join(lab.bits.system_folder()).join("reg.exe");
    let words = ["query", "HKLM\\SOFTWARE\\ASIO\\Barewire", "/v", "CLSID"];
    let ran = lab.run(&reg, &words, &[], Duration::from_secs(60))?;
    let begin = ran.said.find('{').with_context(|| ran.said.clone())?;
    let end = ran.said.find('}').with_context(|| ran.said.clone())?;
    Ok(ran.said[begin..=end].to_owned())
}

/// With nothing listed the same skips are failures.
fn a_new_skip_is_seen(lab: &Lab) -> Result<()> {
    std::fs::write(lab.prefix.path.join("drive_c").join(LIST), "")?;
    match tester(lab, &[LIBRARY, "registration"]) {
        Err(error) if format!("{error:#}").contains("does not list it: registration") => Ok(()),
        Err(error) => Err(error),
        Ok(said) => bail!("a skip that is not listed was taken for well:\n{said}"),
    }
}
