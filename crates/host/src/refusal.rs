//! A driver's refusal as one clear sentence: which driver, which call, its own words, its code.

use barewire_abi::{Code, DriverRef, Native};
use barewire_types::{Error, ErrorKind};

/// `call` was answered with `code`; the driver's own words are asked for.
pub(crate) fn refusal(driver: &DriverRef<Native>, name: &str, call: &str, code: Code) -> Error {
    let text = one_line(&driver.error_message());
    let text = if text.is_empty() { code.sentence().into() } else { text };
    Error::new(kind(code), format!("{name}: {call} was refused: {text} [{code}]"))
}

/// The driver did something that the interface does not allow.
pub(crate) fn misbehaved(name: &str, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Malfunction, format!("{name} misbehaves: {what}"))
        .remedy("report it to those who made the driver")
}

fn kind(code: Code) -> ErrorKind {
    match code {
        Code::NOT_PRESENT => ErrorKind::NotFound,
        Code::INVALID_PARAMETER => ErrorKind::InvalidArgument,
        Code::INVALID_MODE | Code::SP_NOT_ADVANCING => ErrorKind::WrongState,
        Code::NO_CLOCK => ErrorKind::UnsupportedRate,
        Code::NO_MEMORY => ErrorKind::NoMemory,
        _ => ErrorKind::Malfunction,
    }
}

/// Some drivers put several lines or controls into their words.
pub(crate) fn one_line(text: &str) -> String {
    text.split(|letter: char| letter.is_control() || letter == ' ')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
