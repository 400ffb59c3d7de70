//! A line to the hub, and a thread that notices when the hub goes.

use crate::Starter;
use crate::stream::{Hand, Link};
use barewire_device::Loss;
use barewire_rt::{Role, System};
use barewire_share::message::{Answer, Ask, Who};
use barewire_share::socket::{self, Line};
use barewire_share::wakes::Ties;
use barewire_types::{Error, ErrorKind, Result};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often the thread that watches for the hub's end looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(200);

/// This program as the hub is told of it.
pub fn own_name() -> Who {
    let file = std::env::current_exe().ok();
    let stem = file.as_deref().and_then(Path::file_stem);
    let program =
        stem.map_or_else(|| "a program".to_owned(), |stem| stem.to_string_lossy().into_owned());
    Who { program, process: std::process::id() }
}

/// Calls the hub at `address`; if nobody answers `starter` is asked for one.
pub(crate) fn call(address: &Path, starter: Option<&Starter>) -> Result<Line> {
    let version = env!("CARGO_PKG_VERSION");
    match (socket::call(address, version, own_name()), starter) {
        (Err(error), Some(start)) if error.kind() == ErrorKind::NotFound => {
            start()?;
            socket::call(address, version, own_name())
        }
        (line, _) => line,
    }
}

/// Asks the hub at `address` one thing.
///
/// # Errors
/// The refusal, `NotFound` if there is no hub.
pub fn ask_hub(address: &Path, question: &Ask) -> Result<Answer> {
    socket::ask(&call(address, None)?, question)
}

pub(crate) fn unexpected() -> Error {
    Error::new(ErrorKind::Malfunction, "the hub gives another answer than to what it was asked")
}

/// A line on which a client was let in.
pub(crate) struct HubLink {
    line: Line,
    quit: Arc<AtomicBool>,
    _ties: Ties,
}

impl HubLink {
    /// Watches over `line`; `hand` is told when the hub goes.
    pub(crate) fn new(
        line: Line,
        hand: Arc<Hand>,
        system: &Arc<dyn System>,
        ties: Ties,
    ) -> Result<Self> {
        let quit = Arc::new(AtomicBool::new(false));
        let (hangup, its) = (line.hangup()?, quit.clone());
        let body = move || {
            while !its.load(Ordering::Acquire) {
                if hangup.wait(LOOK) {
                    hand.lose();
                    return;
                }
            }
        };
        system.spawn("barewire-line", Role::Helper, Box::new(body))?;
        Ok(Self { line, quit, _ties: ties })
    }
}

impl Link for HubLink {
    fn start(&self) -> std::result::Result<(), Loss> {
        match socket::ask(&self.line, &Ask::Start {}) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Lost => Err(Loss::Changed),
            Err(_) => Err(Loss::Failed),
        }
    }

    fn stop(&self) {
        // A hub that has gone has stopped.
        let _ = socket::ask(&self.line, &Ask::Stop {});
    }
}

impl Drop for HubLink {
    fn drop(&mut self) {
        self.quit.store(true, Ordering::Release);
        self.line.hang_up();
    }
}
