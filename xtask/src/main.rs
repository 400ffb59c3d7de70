//! The only scripts of the project: `cargo xtask test`, `tidy`, `hardware`, `bench`.

mod install;
mod lab_linux;
mod run;
mod tidy;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// The scripts of the project.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Everything that must hold before a commit: format, lints, tidy, documentation, all tests.
    Test {
        /// What cannot be run here is a failure. Set too if the environment says `CI`.
        #[arg(long)]
        ci: bool,
    },
    /// The rules of the house that no compiler checks.
    Tidy,
    /// The hardware lab: emulated sound cards in QEMU, in virtual time; what they play is compared.
    Hardware {
        /// What cannot be run here is a failure.
        #[arg(long)]
        ci: bool,
    },
    /// All benchmarks: tables of ratios within one run.
    Bench,
}

fn main() -> Result<()> {
    let root = root();
    match Command::parse().action {
        Action::Test { ci } => run::test(&root, ci || std::env::var_os("CI").is_some()),
        Action::Tidy => tidy::run(&root),
        Action::Hardware { ci } => lab_linux::run(&root, ci || std::env::var_os("CI").is_some()),
        Action::Bench => run::bench(&root),
    }
}

/// The folder of the workspace: the parent of this crate's.
fn root() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    own.parent().map_or(own.clone(), PathBuf::from)
}
