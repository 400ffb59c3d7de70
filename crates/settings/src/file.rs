//! The file as bytes: read with a bound, replaced as a whole, known by its stamp.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The longest settings file: with every channel mapped by hand in many profiles it is far shorter, and a wrong path
/// must not fill the memory.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// File systems stamp changes in steps of up to this much (FAT's are the coarsest in use), so a file that was changed
/// that shortly before it was read may change again without a new stamp.
const STAMP_STEP: Duration = Duration::from_secs(2);

/// The file's text; `None` if there is no file; else what is wrong with it.
pub(crate) fn read_file(file: &Path) -> Result<Option<String>, String> {
    let unreadable = |error: std::io::Error| format!("the settings file cannot be read: {error}");
    match fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
        // Reading a pipe could wait for ever.
        Ok(data) if !data.is_file() => return Err("this is not a file".to_owned()),
        Ok(data) if data.len() > MAX_FILE_BYTES => {
            return Err(format!("the settings file is longer than {MAX_FILE_BYTES} bytes"));
        }
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    let open = File::open(file).map_err(unreadable)?;
    open.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8 text: save the settings file as UTF-8")
    })
}

/// Writes beside the file and puts the new one in its place.
pub(crate) fn replace_file(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut beside = OsString::from(file.as_os_str());
    beside.push(format!(".{}.tmp", std::process::id()));
    let written = fs::File::create(&beside).and_then(|mut new| {
        new.write_all(text.as_bytes())?;
        if let Ok(old) = fs::metadata(file) {
            new.set_permissions(old.permissions())?;
        }
        new.sync_all()?;
        fs::rename(&beside, file)
    });
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// By what a file is known to be another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    changed: Option<SystemTime>,
    bytes: Option<u64>,
}

impl Stamp {
    pub(crate) fn of(file: &Path) -> Self {
        let data = fs::metadata(file).ok();
        Self {
            changed: data.as_ref().and_then(|data| data.modified().ok()),
            bytes: data.map(|data| data.len()),
        }
    }

    /// Whether the file was changed so shortly before now that it may change again without a new stamp.
    pub(crate) fn is_fresh(self) -> bool {
        self.changed.is_some_and(|changed| {
            SystemTime::now().duration_since(changed).map_or(true, |age| age < STAMP_STEP)
        })
    }
}
