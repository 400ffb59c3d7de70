//! What runs in the process of one case: the case itself, and beside it the name of the call that is being made, in a file
//! that outlives the process.

use crate::case::Case;
use crate::checks;
use crate::desk::{Desk, Options};
use crate::outcome::Answer;
use barewire_host::{Source, bare};
use barewire_types::{Error, ErrorKind, Result};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::thread::ThreadId;

/// Room for a call's name; padded, so that a shorter name leaves nothing of a longer one.
pub(crate) const NAME_ROOM: usize = 32;

static TRACE: OnceLock<(ThreadId, Mutex<File>)> = OnceLock::new();

/// Where what was found goes before the driver is let go of, which it may not survive.
static FOUND: OnceLock<PathBuf> = OnceLock::new();

/// The file for that, beside the one for calls.
pub(crate) fn found_beside(calls: &Path) -> PathBuf {
    calls.with_extension("found")
}

/// Writes down what a rule has found. A second one replaces it: the last is what the rule goes by.
pub(crate) fn found(words: &str) {
    if let Some(place) = FOUND.get() {
        // What cannot be written costs a word in a report.
        let _ = std::fs::write(place, words);
    }
}

/// Only calls of the case's own thread: those from within blocks come between them.
fn trace(call: &'static str) {
    let Some((thread, file)) = TRACE.get() else { return };
    if std::thread::current().id() != *thread {
        return;
    }
    let Ok(mut file) = file.try_lock() else { return };
    // A trace that cannot be written costs a word in a report.
    let _ = file.seek(SeekFrom::Start(0));
    let _ = write!(file, "{call:NAME_ROOM$}");
}

/// Set in a process that only initialises the driver beside another one.
const SECOND: &str = "BAREWIRE_CONFORM_SECOND";

/// This very process once more, to initialise the driver beside it.
pub(crate) fn second_process() -> Option<Child> {
    let mut command = Command::new(std::env::current_exe().ok()?);
    command.args(std::env::args_os().skip(1)).env(SECOND, "1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().ok()
}

/// Fine if the driver initialises itself, or says why not.
fn be_second(source: &Source) -> Result<()> {
    let subject = source.bare()?;
    let text = bare::Place::<[u8; 124]>::dirty()?;
    let answer = subject.init(0);
    subject.error_message(Some(&text));
    if answer == 1 || text.get()[0] != 0 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Malfunction, "init was refused without a text"))
}

/// Runs `case` against the driver of `source` and writes the verdict to `answer`, the calls to `calls`.
///
/// # Errors
/// If the files cannot be written.
pub fn child(
    case: Case,
    source: Source,
    options: Options,
    answer: &Path,
    calls: &Path,
) -> Result<()> {
    if std::env::var_os(SECOND).is_some() {
        return be_second(&source);
    }
    let file = File::create(calls).map_err(|error| Error::from(error).context(calls.display()))?;
    // This process runs one case: nothing was set before.
    let _ = TRACE.set((std::thread::current().id(), Mutex::new(file)));
    bare::trace(trace);
    // As above.
    let _ = FOUND.set(found_beside(calls));
    let desk = Desk::new(source, options);
    let result = checks::check(case, &desk);
    let status = desk.verdict(result);
    let text = serde_json::to_string(&Answer { status, notes: desk.notes() })
        .map_err(|error| Error::new(ErrorKind::Bug, error.to_string()))?;
    std::fs::write(answer, text).map_err(|error| Error::from(error).context(answer.display()))
}
