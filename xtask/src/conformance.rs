//! `cargo xtask conformance`: our own driver against every rule, and the driver tester against its specimens.

use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// Faults that are drawn, and clean runs.
const DRAWN: &str = "100";

fn run(root: &Path, program: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(program);
    command.current_dir(root).args(arguments);
    let status = command.status().with_context(|| program.display().to_string())?;
    if !status.success() {
        bail!("`{} {}` failed", program.display(), arguments.join(" "));
    }
    Ok(())
}

/// Our driver: no "must" and no "should" is broken or kept with a warning, and nothing is skipped that is not listed.
fn ours(root: &Path) -> Result<()> {
    let driver = "target/debug/libbarewire.so";
    let program = root.join("target/debug/barewire");
    let folder = root.join("target/conformance");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let report = folder.join("linux.xml");
    let report = report.to_string_lossy();
    let list = "crates/conformance/expected/linux-simulated.txt";
    let arguments = [
        "conform",
        driver,
        "--simulated",
        "--loop",
        "--strict",
        "--junit",
        &report,
        "--skips",
        list,
    ];
    run(root, &program, &arguments)
}

/// Everything: `swift` leaves out the faults that are drawn.
pub(crate) fn test(root: &Path, swift: bool) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let cargo = Path::new(&cargo);
    run(root, cargo, &["build", "--quiet", "-p", "barewire-cli", "-p", "barewire-door"])?;
    ours(root)?;
    let specimens = ["test", "--quiet", "-p", "barewire-conformance", "--test", "specimens", "--"];
    let mut all = specimens.to_vec();
    all.push("--all");
    run(root, cargo, &all)?;
    if swift {
        return Ok(());
    }
    let mut drawn = specimens.to_vec();
    drawn.extend(["--seeds", DRAWN]);
    run(root, cargo, &drawn)
}
