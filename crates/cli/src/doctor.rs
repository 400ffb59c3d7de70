//! `barewire doctor`: looks at the machine and says in sentences what stands in the way of low-latency, bit-perfect sound, and
//! what to do about each. A check is a function from the [`Patient`] to [`Finding`]s, and one line in [`CHECKS`]; what a check
//! reads of the system it reads below [`Machine`]'s root, so that a folder of files can stand for a machine.
//!
//! `ours` looks at settings, registrations, devices and running drivers on every system; `rights`, `processor`, `cards` and
//! `servers` read what Linux tells in `/proc`, `/sys` and `/etc`, and find nothing where there is no such thing. `windows` does
//! the same with Windows' registry.

mod cards;
mod machine;
mod ours;
mod processor;
mod rights;
mod servers;
mod windows;

use crate::{Global, say};
use anyhow::Result;
use machine::Machine;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Doctor {
    /// Look at the files below FOLDER (`proc`, `sys`, `etc` …) as if they were this machine's: a copy from elsewhere, a test.
    #[arg(long, value_name = "FOLDER")]
    machine: Option<PathBuf>,
}

/// How bad something is; the worst one decides the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Level {
    /// As it should be.
    Good,
    /// Worth knowing; nothing is lost.
    Hint,
    /// Sound works, but not with low latency or not bit for bit.
    Warning,
    /// Something does not work at all.
    Problem,
}

/// What a check has found.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    /// The check's name, and what of it was found; something for programs to branch on: `priority`, `card-held` …
    name: &'static str,
    level: Level,
    /// What is so, and to what, without a full stop.
    text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    pub(crate) fn new(name: &'static str, level: Level, text: impl Into<String>) -> Self {
        Self { name, level, text: text.into(), remedy: None }
    }

    pub(crate) fn good(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, Level::Good, text)
    }

    pub(crate) fn hint(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, Level::Hint, text)
    }

    pub(crate) fn warning(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, Level::Warning, text)
    }

    pub(crate) fn problem(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, Level::Problem, text)
    }

    /// Adds what to do about it.
    pub(crate) fn remedy(mut self, text: impl Into<String>) -> Self {
        self.remedy = Some(text.into());
        self
    }
}

/// What checks look at.
pub(crate) struct Patient<'a> {
    pub(crate) global: &'a Global,
    pub(crate) machine: Machine,
}

type Check = fn(&Patient<'_>) -> Vec<Finding>;

/// All checks, in the order in which they are reported.
const CHECKS: [Check; 9] = [
    ours::settings,
    ours::registrations,
    rights::priority,
    processor::processor,
    cards::cards,
    servers::servers,
    windows::windows,
    ours::devices,
    ours::drivers,
];

#[derive(Serialize)]
struct Report {
    /// The worst level found.
    level: Level,
    findings: Vec<Finding>,
}

/// Runs all checks. Exit status 0: nothing stands in the way; 3: warnings; 4: problems.
pub(crate) fn run(global: &Global, options: &Doctor) -> Result<ExitCode> {
    const WARNINGS: u8 = 3;
    const PROBLEMS: u8 = 4;
    let patient = Patient { global, machine: Machine::new(options.machine.clone()) };
    let findings: Vec<Finding> = CHECKS.iter().flat_map(|check| check(&patient)).collect();
    let level = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Good);
    say::report(global, &Report { level, findings }, print);
    Ok(match level {
        Level::Good | Level::Hint => ExitCode::SUCCESS,
        Level::Warning => ExitCode::from(WARNINGS),
        Level::Problem => ExitCode::from(PROBLEMS),
    })
}

fn print(report: &Report) {
    for finding in &report.findings {
        let word = match finding.level {
            Level::Good => "good",
            Level::Hint => "hint",
            Level::Warning => "WARNING",
            Level::Problem => "PROBLEM",
        };
        say::line(format_args!("{word:8} {}", finding.text));
        if let Some(remedy) = &finding.remedy {
            say::line(format_args!("{:8} -> {remedy}", ""));
        }
    }
    let count = |level| report.findings.iter().filter(|finding| finding.level == level).count();
    let (problems, warnings) = (count(Level::Problem), count(Level::Warning));
    say::line(match report.level {
        Level::Good | Level::Hint => {
            "nothing stands in the way of low-latency, bit-perfect sound".to_owned()
        }
        Level::Warning | Level::Problem => format!("{problems} problems, {warnings} warnings"),
    });
}
