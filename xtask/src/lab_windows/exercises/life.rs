//! The life of the shipped library and its objects (`crates/door/tests/life.rs`): a thousand of them, several at once, and
//! unloading in the middle of a run.

use crate::lab_windows::build;
use crate::lab_windows::lab::Lab;
use anyhow::{Context, Result};
use std::time::Duration;

/// A quiet machine needs twenty seconds.
const PATIENCE: Duration = Duration::from_secs(300);

pub(super) fn run(lab: &Lab) -> Result<String> {
    let test = build::tests(lab, "barewire-door", "life")?;
    let [library, _] = lab.shipped(lab.bits);
    let library = lab.windows_path(&library);
    let environment =
        [("BAREWIRE_LIBRARY", library.as_str()), ("BAREWIRE_SET", "driver.backend = \"virtual\"")];
    let arguments = ["--ignored", "--test-threads=1", "--nocapture"];
    let said = lab.run_well(&test, &arguments, &environment, PATIENCE)?;
    let init = said.lines().find_map(|line| line.split_once("init: "));
    let (_, init) = init.with_context(|| format!("the tests did not run:\n{said}"))?;
    Ok(format!("a thousand objects, unloaded while running, four at once; init {init}"))
}
