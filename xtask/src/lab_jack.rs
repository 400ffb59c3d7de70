//! The JACK lab: the backend on real servers, JACK2 with its dummy driver and PipeWire with a sink of the lab's own, each killed
//! fifty times while a stream runs, in a debug and in a release build. The tests themselves are those of the crate; here they
//! run long. Called by `cargo xtask jack` and `cargo xtask test`.

use crate::install;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;

/// How often each server is killed in each build.
const KILLS: &str = "50";

/// Runs the lab. What cannot be run here is said, and is a failure if `strict`.
pub(crate) fn run(root: &Path, strict: bool) -> Result<()> {
    let missing = install::missing_of(&install::JACK_TOOLS);
    for tool in &missing {
        println!(
            "SKIPPED {}: {} is not installed (Debian package {})",
            tool.reason, tool.program, tool.package
        );
    }
    if !missing.is_empty() {
        return if strict { bail!("in CI nothing may be skipped") } else { Ok(()) };
    }
    for build in [&[][..], &["--release"]] {
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(program);
        command.current_dir(root).args(["test", "--quiet", "-p", "barewire-jack"]).args(build);
        command.args(["--test", "server", "--test", "pipewire"]);
        command.env("BAREWIRE_ALL", "1").env("BAREWIRE_KILLS", KILLS);
        if !command.status()?.success() {
            bail!("the JACK lab failed, see above");
        }
    }
    Ok(())
}
