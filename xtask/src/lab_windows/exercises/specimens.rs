//! The driver tester tested on Windows: the specimen without a fault keeps every rule, and each fault breaks the rule that is
//! named for it; on 32-bit Windows also those of the calling convention, which there are nowhere else. What shows only against
//! a clock is left to Linux: Wine's waits are of whole milliseconds, which is as long as the specimen's blocks.

use crate::lab_windows::build;
use crate::lab_windows::lab::Lab;
use anyhow::{Context, Result};
use std::time::Duration;

/// A quiet machine needs four minutes.
const PATIENCE: Duration = Duration::from_secs(2400);

pub(super) fn run(lab: &Lab) -> Result<String> {
    let program = build::tests(lab, "barewire-conformance", "specimens")?;
    let said = lab.run_well(&program, &["--untimed"], &[], PATIENCE)?;
    let is_ours = |line: &&str| !["done", "wine:"].iter().any(|begin| line.starts_with(begin));
    let lines: Vec<&str> = said.lines().filter(is_ours).collect();
    lines.iter().find(|line| line.contains("each breaks its rule")).context(said.clone())?;
    Ok(lines.join("; "))
}
