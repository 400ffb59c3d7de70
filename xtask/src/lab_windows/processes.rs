//! Children with a deadline. Only what was started here is ever ended, by its id.

use anyhow::{Context, Result, bail};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// How often a child is looked after.
const LOOK: Duration = Duration::from_millis(20);

/// Waits for the child, at most for `length`; `None` if it runs still.
pub(crate) fn wait(child: &mut Child, length: Duration) -> Result<Option<ExitStatus>> {
    let end = Instant::now() + length;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

/// Runs a command that has to end well within `length`.
pub(crate) fn well(command: &mut Command, length: Duration) -> Result<()> {
    let name = format!("{command:?}");
    let mut child = command.spawn().with_context(|| name.clone())?;
    match wait(&mut child, length)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("{name}: {status}"),
        None => {
            child.kill()?;
            child.wait()?;
            bail!("{name} took longer than {} s", length.as_secs())
        }
    }
}
