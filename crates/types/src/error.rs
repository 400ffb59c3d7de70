//! What went wrong: a kind to branch on, words for a person, the operating system's code for us.

use std::borrow::Cow;
use std::fmt;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Named after what the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No such device, driver, file or key: choose another.
    NotFound,
    /// Another program holds it: close that program, or share.
    Busy,
    /// A right is missing: grant it.
    Denied,
    /// The device cannot do this rate: choose another rate.
    UnsupportedRate,
    /// The device cannot do this format, channel count or size: choose another.
    Unsupported,
    /// The caller's argument is wrong: correct the call.
    InvalidArgument,
    /// The call is not legal in this state: change the order of calls.
    WrongState,
    /// The device is gone or must be opened anew: reopen.
    Lost,
    /// The device or its driver misbehaves: nothing the caller can do but report it.
    Malfunction,
    /// The other side did not answer in time.
    Timeout,
    /// A file could not be read or written, or is damaged.
    Io,
    /// Memory could not be had.
    NoMemory,
    /// A defect of our own.
    Bug,
}

/// What happened, to what, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    remedy: Option<Cow<'static, str>>,
    os_code: Option<i32>,
}

impl Error {
    /// An error of `kind`; `message` says what happened and to what, without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), remedy: None, os_code: None }
    }

    /// Adds what a person can do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<Cow<'static, str>>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Adds the code that the operating system gave.
    #[must_use]
    pub fn os_code(mut self, code: i32) -> Self {
        self.os_code = Some(code);
        self
    }

    /// Puts what was being done before what happened: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message).into();
        self
    }

    /// The kind to branch on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What happened, without remedy and code.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it, if that is known.
    pub fn remedy_text(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    /// The operating system's code, if one was given.
    pub fn code(&self) -> Option<i32> {
        self.os_code
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(code) = self.os_code {
            write!(f, " (system code {code})")?;
        }
        if let Some(remedy) = &self.remedy {
            write!(f, "; {remedy}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
            std::io::ErrorKind::TimedOut => ErrorKind::Timeout,
            std::io::ErrorKind::OutOfMemory => ErrorKind::NoMemory,
            _ => ErrorKind::Io,
        };
        let message = error.to_string();
        match error.raw_os_error() {
            // The text already names the code.
            Some(code) => Self { kind, message: message.into(), remedy: None, os_code: Some(code) },
            None => Self::new(kind, message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_happened_to_what_and_what_to_do() {
        let error = Error::new(ErrorKind::Busy, "the device is held by another program")
            .os_code(16)
            .remedy("close that program")
            .context("hw:0,0");
        assert_eq!(
            error.to_string(),
            "hw:0,0: the device is held by another program (system code 16); close that program"
        );
        assert_eq!(error.kind(), ErrorKind::Busy);
    }
}
