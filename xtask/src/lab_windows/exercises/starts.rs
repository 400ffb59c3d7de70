//! The command starts on a plain Wine 8, without any file of ours beside it.

use crate::lab_windows::lab::Lab;
use anyhow::{Result, bail};
use std::time::Duration;

/// A quiet machine needs a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run(lab: &Lab) -> Result<String> {
    let command = lab.built.join("barewire.exe");
    let said = lab.run_well(&command, &["devices"], &[], PATIENCE)?;
    if !said.contains("virtual:") {
        bail!("`barewire devices` does not list the virtual device:\n{said}");
    }
    Ok("`barewire devices` lists the virtual device".to_owned())
}
