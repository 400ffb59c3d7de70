//! The only scripts of the project: `cargo xtask test`, `tidy`, `hardware`, `windows`, `jack`, `bench`.

mod conformance;
mod install;
mod lab_jack;
mod lab_linux;
mod lab_windows;
mod mutants;
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
        /// Also what takes many minutes.
        #[arg(long)]
        long: bool,
        /// Only the machines whose names begin so.
        #[arg(default_value = "")]
        only: String,
    },
    /// The Windows lab: the driver and the command under Wine, for 64 and 32 bits.
    Windows(lab_windows::Options),
    /// `cargo test` for Windows, under Wine: `cargo xtask wine-test -- -p barewire-rt`.
    WineTest {
        /// 64 or 32.
        #[arg(long, default_value = "64")]
        bits: lab_windows::Bits,
        /// What `cargo test` gets.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Runs a program of Windows.
    Wine {
        /// 64 or 32.
        #[arg(long, default_value = "64")]
        bits: lab_windows::Bits,
        /// The program.
        program: PathBuf,
        /// What it gets.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The JACK lab: real servers, JACK2 and PipeWire, killed fifty times each while a stream runs.
    Jack {
        /// What cannot be run here is a failure.
        #[arg(long)]
        ci: bool,
    },
    /// Our own driver against every rule, and the driver tester against its specimens.
    Conformance,
    /// Faults put into our driver's code, one at a time, against every rule: how many are found.
    Mutants(mutants::Options),
    /// All benchmarks: tables of ratios within one run.
    Bench,
}

fn main() -> Result<()> {
    let root = root();
    match Command::parse().action {
        Action::Test { ci } => run::test(&root, ci || std::env::var_os("CI").is_some()),
        Action::Tidy => tidy::run(&root),
        Action::Hardware { ci, long, only } => {
            lab_linux::run(&root, ci || std::env::var_os("CI").is_some(), long, &only)
        }
        Action::Windows(options) => {
            let strict = options.ci || std::env::var_os("CI").is_some();
            lab_windows::run(&root, &options, strict)
        }
        Action::WineTest { bits, arguments } => lab_windows::test(&root, bits, &arguments),
        Action::Wine { bits, program, arguments } => {
            std::process::exit(lab_windows::wine(&root, bits, &program, &arguments)?)
        }
        Action::Jack { ci } => lab_jack::run(&root, ci || std::env::var_os("CI").is_some()),
        Action::Conformance => conformance::test(&root, false),
        Action::Mutants(options) => mutants::run(&root, &options),
        Action::Bench => run::bench(&root),
    }
}

/// The folder of the workspace: the parent of this crate's.
fn root() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    own.parent().map_or(own.clone(), PathBuf::from)
}
