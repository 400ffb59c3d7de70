//! What became of a case.

use crate::case::{Case, Level};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Status {
    /// The rule is kept.
    Passed,
    /// The rule is kept, but a person should read this.
    Warned {
        /// What is odd.
        warnings: Vec<String>,
    },
    /// The rule is broken.
    Failed {
        /// What the driver did.
        seen: String,
        /// What the rule asks for.
        expected: String,
    },
    /// The process of the case was ended.
    Crashed {
        /// By which signal or exception, or with which exit code.
        how: String,
        /// The call that was made last.
        during: String,
    },
    /// The case did not end in time.
    Hung {
        /// Seconds.
        after_s: u64,
        /// The call that was made last.
        during: String,
    },
    /// The case does not apply to this driver or system.
    Skipped {
        /// Why.
        reason: String,
    },
    /// What it rests on does not hold, so that it would say nothing.
    NotJudged {
        /// What does not hold.
        because: String,
    },
    /// Long waits were not wanted.
    NotRun,
}

impl Status {
    /// The word in tables.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Warned { .. } => "warned",
            Self::Failed { .. } => "FAILED",
            Self::Crashed { .. } => "CRASHED",
            Self::Hung { .. } => "HUNG",
            Self::Skipped { .. } => "skipped",
            Self::NotJudged { .. } => "not judged",
            Self::NotRun => "not run",
        }
    }

    /// Whether the driver broke the rule.
    pub const fn is_failure(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Crashed { .. } | Self::Hung { .. })
    }

    /// Whether the rule was found to be kept.
    pub const fn is_pass(&self) -> bool {
        matches!(self, Self::Passed | Self::Warned { .. })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => Ok(()),
            Self::Warned { warnings } => f.write_str(&warnings.join("; ")),
            Self::Failed { seen, expected } => write!(f, "saw {seen}; expected {expected}"),
            Self::Crashed { how, during } => write!(f, "{how} in {during}"),
            Self::Hung { after_s, during } => write!(f, "no end within {after_s} s, in {during}"),
            Self::Skipped { reason } => f.write_str(reason),
            Self::NotJudged { because } => f.write_str(because),
            Self::NotRun => f.write_str("takes long; run with --long"),
        }
    }
}

/// A case and its verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The case's name.
    #[serde(serialize_with = "name_of")]
    pub case: Case,
    /// Its weight.
    pub level: Level,
    /// The verdict.
    #[serde(flatten)]
    pub status: Status,
    /// What was seen besides, for people.
    pub notes: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

fn name_of<S: serde::Serializer>(case: &Case, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(case.name())
}

/// What a child writes at its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) status: Status,
    pub(crate) notes: Vec<String>,
}
