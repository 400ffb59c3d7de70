//! What is wrong with a setting and where it stands; where a value comes from.

use barewire_types::{Error, ErrorKind};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// A text that settings were read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// None: nobody said anything.
    #[default]
    Default,
    /// The settings file.
    File(PathBuf),
    /// What the settings file held when it was last right.
    LastGood(PathBuf),
    /// That environment variable.
    Environment(&'static str),
    /// The command line.
    CommandLine,
}

/// Where a value comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The text.
    pub place: Place,
    /// The line in it, from 1; 0 for defaults.
    pub line: u32,
    /// The profile, if it stands in one.
    pub profile: Option<String>,
}

/// What is wrong, where it stands, and the nearest that would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// The text.
    pub place: Place,
    /// The line, from 1; 0 if the whole text is meant.
    pub line: u32,
    /// The column in characters, from 1; 0 if the whole text is meant.
    pub column: u32,
    /// The bytes of the text that are meant, for a caller that shows them.
    pub span: Range<usize>,
    /// The key, if one is meant.
    pub key: Option<String>,
    /// What is wrong, without a full stop.
    pub message: String,
    /// The key or value that is nearest.
    pub suggestion: Option<String>,
}

impl SettingsError {
    /// About a whole text.
    pub(crate) fn whole(place: Place, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { place, line: 0, column: 0, span: 0..0, key: None, message, suggestion: None }
    }

    /// About a piece of `text`.
    pub(crate) fn at(
        place: &Place,
        text: &str,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        let (line, column) = line_and_column(text, span.start);
        Self { line, column, span, ..Self::whole(place.clone(), message) }
    }

    pub(crate) fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    pub(crate) fn suggest(mut self, suggestion: Option<String>) -> Self {
        self.suggestion = suggestion;
        self
    }
}

/// Line and column in characters, both from 1, of a byte of `text`.
pub(crate) fn line_and_column(text: &str, byte: usize) -> (u32, u32) {
    let before = text.get(..byte).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (number(line), number(column))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::LastGood(path) => write!(f, "last good {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        if self.line != 0 && !matches!(self.place, Place::CommandLine) {
            write!(f, ":{}", self.line)?;
        }
        match &self.profile {
            Some(profile) => write!(f, " (profile {profile})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        if self.line != 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; did you mean `{suggestion}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SettingsError {}

impl From<SettingsError> for Error {
    fn from(error: SettingsError) -> Self {
        let remedy = match &error.suggestion {
            Some(suggestion) => format!("did you mean `{suggestion}`?"),
            None => "correct it; `barewire settings` shows what is in force".to_owned(),
        };
        let plain = SettingsError { suggestion: None, ..error };
        Error::new(ErrorKind::InvalidArgument, plain.to_string()).remedy(remedy)
    }
}
