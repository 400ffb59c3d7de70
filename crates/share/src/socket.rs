//! The way of messages and of memory: a socket of this user alone. A [`Line`] is one conversation, question and answer by
//! turns; a [`Door`] is where the hub waits for new ones.

#[cfg(unix)]
#[path = "socket/unix.rs"]
mod os;
#[cfg(windows)]
#[path = "socket/windows.rs"]
mod os;

pub use os::{Door, Hangup, Line, is_there};

use crate::message::{self, Answer, Ask, Who};
use barewire_types::{Error, ErrorKind, Result};
use std::path::Path;
use std::time::Duration;

/// How long an answer may take: a device is opened meanwhile.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Calls the hub and introduces the caller.
///
/// # Errors
/// `NotFound` if there is no hub, `Denied` if it is not this user's, `Unsupported` if it is of another version.
pub fn call(address: &Path, version: &str, who: Who) -> Result<Line> {
    let line = Line::call(address)?;
    let hello = Ask::Hello { protocol: crate::PROTOCOL, version: version.to_owned(), who };
    match ask(&line, &hello)? {
        Answer::Welcome { protocol, .. } if protocol == crate::PROTOCOL => Ok(line),
        _ => {
            let text = "the hub is of another version of Barewire";
            Err(Error::new(ErrorKind::Unsupported, text)
                .remedy("end the hub and start it from the same version as the driver"))
        }
    }
}

/// Asks, and waits for the answer.
///
/// # Errors
/// The refusal, or `Lost` if the hub has gone.
pub fn ask(line: &Line, question: &Ask) -> Result<Answer> {
    line.send(&message::framed(question)?, &[])?;
    let body = line.receive(message::MOST_BYTES, PATIENCE)?;
    message::answer(&body)?.accepted()
}
