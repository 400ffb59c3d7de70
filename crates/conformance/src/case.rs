//! What a case is: level, group, and everything that is said of it. The table of all cases is in `cases`.

pub use crate::cases::Case;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How much a rule weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A rule of the interface, or a host crashes or hangs if it is broken.
    Must,
    /// Some hosts do not work well if it is broken.
    Should,
    /// Nothing is judged; what was seen is printed.
    Information,
}

impl Level {
    /// The word in tables and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Must => "must",
            Self::Should => "should",
            Self::Information => "information",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What belongs together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Registration, loading, references, unloading.
    Loading,
    /// Before and with `init`.
    Init,
    /// What may be asked without buffers.
    Queries,
    /// Making and disposing of buffers.
    Buffers,
    /// While blocks come.
    Running,
    /// From outputs round to inputs.
    Path,
    /// One-bit samples.
    Dsd,
    /// Period, jitter, drift, load.
    Timing,
    /// Whole hosts, in their own order of calls.
    Hosts,
}

impl Group {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 9] = [
        Self::Loading,
        Self::Init,
        Self::Queries,
        Self::Buffers,
        Self::Running,
        Self::Path,
        Self::Dsd,
        Self::Timing,
        Self::Hosts,
    ];

    /// The word in tables and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Init => "init",
            Self::Queries => "queries",
            Self::Buffers => "buffers",
            Self::Running => "running",
            Self::Path => "path",
            Self::Dsd => "dsd",
            Self::Timing => "timing",
            Self::Hosts => "hosts",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What is said of a case.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The stable name.
    pub name: &'static str,
    /// Where it belongs.
    pub group: Group,
    /// How much it weighs.
    pub level: Level,
    /// The rule.
    pub rule: &'static str,
    /// Why hosts need it.
    pub why: &'static str,
    /// Where the rule comes from.
    pub source: &'static str,
    /// Cases without which this one says nothing.
    pub rests_on: &'static [Case],
    /// It runs only if long waits are wanted.
    pub is_long: bool,
}

impl Case {
    /// The case of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|case| case.about().name == name)
    }

    /// The stable name.
    pub fn name(self) -> &'static str {
        self.about().name
    }

    /// Whether `word` chooses it: its name, its group or its level.
    pub fn is_meant_by(self, word: &str) -> bool {
        let about = self.about();
        about.name == word || about.group.name() == word || about.level.name() == word
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kebab_case_and_nobody_has_two_of_them() {
        let mut names: Vec<&str> = Case::ALL.iter().map(|case| case.name()).collect();
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(names.iter().all(|name| name.chars().all(good)));
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn a_case_rests_only_on_cases_before_it() {
        for (place, case) in Case::ALL.iter().enumerate() {
            for base in case.about().rests_on {
                assert!(Case::ALL[..place].contains(base), "{case} rests on {base}");
            }
        }
    }

    #[test]
    fn everything_is_said_of_every_case() {
        for case in Case::ALL {
            let about = case.about();
            for text in [about.rule, about.why, about.source] {
                assert!(text.len() > 4 && text.ends_with('.'), "{case}: {text:?}");
            }
        }
    }
}
