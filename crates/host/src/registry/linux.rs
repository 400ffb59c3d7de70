//! cwASIO's registration: a folder for each driver, in it the file `driver` with the path of the `.so` and, optional,
//! `description`; of both the first line counts. Read and written here and nowhere else.

use super::{Entry, Listing, check_name};
use barewire_types::{Error, ErrorKind, Result};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Where cwASIO's hosts look; the path is fixed in them.
const ROOT: &str = "/etc/cwASIO";

/// Names another root than [`ROOT`], for tests and for drivers of one's own that other hosts need not find.
const ROOT_VARIABLE: &str = "BAREWIRE_DRIVERS_ROOT";

/// cwASIO's hosts read this much of each file.
const LINE_BYTES: usize = 1023;

/// The file of our own driver, as it is built and shipped.
pub const OWN_FILE: &str = "libbarewire.so";

/// The folder, below that of our programs, where those for processes of the other width lie; none here.
pub const OTHER_KIND: Option<&str> = None;

/// Where drivers are registered: `/etc/cwASIO`, or what `BAREWIRE_DRIVERS_ROOT` says.
pub fn default_root() -> PathBuf {
    std::env::var_os(ROOT_VARIABLE)
        .filter(|root| !root.is_empty())
        .map_or_else(|| ROOT.into(), PathBuf::from)
}

/// All drivers that are registered under `root`; none if there is no such folder.
///
/// # Errors
/// If the folder is there and cannot be read.
pub fn entries(root: &Path) -> Result<Listing> {
    let mut listing = Listing::default();
    let folder = match fs::read_dir(root) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(listing),
        Err(error) => return Err(Error::from(error).context(root.display())),
    };
    let mut names: Vec<_> = folder.filter_map(|item| Some(item.ok()?.file_name())).collect();
    names.sort();
    for name in names {
        let Some(name) = name.to_str() else {
            let text = format!("{}: an entry's name is no UTF-8", root.display());
            listing.problems.push(Error::new(ErrorKind::Io, text));
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        match entry(root, name) {
            Ok(entry) => listing.entries.push(entry),
            Err(error) => listing.problems.push(error),
        }
    }
    Ok(listing)
}

/// The driver that is registered as `name`.
///
/// # Errors
/// `NotFound` if there is none or its file is gone, else whatever keeps it from being read.
pub fn entry(root: &Path, name: &str) -> Result<Entry> {
    check_name(name)?;
    let folder = root.join(name);
    let file = folder.join("driver");
    let line = match first_line(&file) {
        Ok(line) if !line.is_empty() => line,
        Ok(_) => {
            let text = format!("{}: it names no file", file.display());
            return Err(Error::new(ErrorKind::Io, text).remedy("register the driver again"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = format!("no driver is registered as \"{name}\" in {}", root.display());
            return Err(Error::new(ErrorKind::NotFound, text)
                .remedy("`barewire drivers` lists those that are"));
        }
        Err(error) => return Err(Error::from(error).context(file.display())),
    };
    let driver = PathBuf::from(line);
    if !driver.is_file() {
        let text = format!("the driver \"{name}\" is registered, but {} is gone", driver.display());
        return Err(Error::new(ErrorKind::NotFound, text).remedy("install or unregister it"));
    }
    let description = first_line(&folder.join("description")).ok().filter(|line| !line.is_empty());
    Ok(plain(name, driver, description))
}

/// An entry without what only Windows has.
fn plain(name: &str, driver: PathBuf, description: Option<String>) -> Entry {
    let (name, bits) = (name.into(), usize::BITS);
    Entry { name, driver, description, class: None, bits, threading: None }
}

/// Registers the file `driver` as `name`, or renews what is registered so.
///
/// # Errors
/// `InvalidArgument` for names and paths that hosts could not read, `Busy` if the name belongs to another driver,
/// `Denied` without the right to write below `root`.
pub fn register(root: &Path, name: &str, driver: &Path, description: &str) -> Result<Entry> {
    check_name(name)?;
    let driver =
        fs::canonicalize(driver).map_err(|error| Error::from(error).context(driver.display()))?;
    let Some(line) = driver.to_str().filter(|line| is_line(line) && driver.is_file()) else {
        let text = format!(
            "{} cannot be registered: a file with a path in UTF-8, of one line and at most {LINE_BYTES} bytes is needed",
            driver.display()
        );
        return Err(Error::new(ErrorKind::InvalidArgument, text));
    };
    if !is_line(description) {
        let text = format!("a description is one line of at most {LINE_BYTES} bytes");
        return Err(Error::new(ErrorKind::InvalidArgument, text));
    }
    let folder = root.join(name);
    if let Ok(other) = first_line(&folder.join("driver")) {
        let other = Path::new(&other);
        if other.is_file() && other.file_name() != driver.file_name() {
            let text = format!("the name \"{name}\" belongs to {}", other.display());
            return Err(Error::new(ErrorKind::Busy, text)
                .remedy("take another name, or unregister that driver first"));
        }
    }
    fs::create_dir_all(&folder).map_err(|error| not_written(&folder, error))?;
    write_line(&folder, "description", description)?;
    // Last: from now on hosts see the entry.
    write_line(&folder, "driver", line)?;
    let description = Some(description.to_owned()).filter(|text| !text.is_empty());
    Ok(plain(name, driver, description))
}

/// Takes the entry `name` away. What others put into its folder stays, and the folder with it.
///
/// # Errors
/// `NotFound` if nothing is registered so, `Denied` without the right to write below `root`.
pub fn unregister(root: &Path, name: &str) -> Result<()> {
    check_name(name)?;
    let folder = root.join(name);
    let file = folder.join("driver");
    match fs::remove_file(&file) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = format!("no driver is registered as \"{name}\" in {}", root.display());
            return Err(Error::new(ErrorKind::NotFound, text));
        }
        Err(error) => return Err(not_written(&file, error)),
    }
    // Neither has to be there, and the folder may hold more: only the file above makes the entry.
    let _ = fs::remove_file(folder.join("description"));
    let _ = fs::remove_dir(&folder);
    Ok(())
}

/// The names under which our own driver is registered, be its file there or not.
///
/// # Errors
/// If the folder is there and cannot be read.
pub fn own_names(root: &Path) -> Result<Vec<String>> {
    let folder = match fs::read_dir(root) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::from(error).context(root.display())),
    };
    let names = folder.filter_map(|item| item.ok()?.file_name().into_string().ok());
    let is_own = |name: &String| {
        let line = first_line(&root.join(name).join("driver")).unwrap_or_default();
        Path::new(&line).file_name().is_some_and(|file| file == OWN_FILE)
    };
    let mut own: Vec<String> = names.filter(is_own).collect();
    own.sort();
    Ok(own)
}

/// Only Windows looks for a file that is named without a folder.
pub(super) fn in_system(_: &Path) -> Option<PathBuf> {
    None
}

fn is_line(text: &str) -> bool {
    text.len() <= LINE_BYTES && !text.contains(char::is_control)
}

fn first_line(file: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(file)?.take(LINE_BYTES as u64).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().next().unwrap_or_default().trim_end().to_owned())
}

/// Writes beside and moves into place: nobody ever reads half a line.
fn write_line(folder: &Path, name: &str, line: &str) -> Result<()> {
    let (file, beside) = (folder.join(name), folder.join(format!(".{name}.new")));
    let written = File::create(&beside)
        .and_then(|mut open| open.write_all(format!("{line}\n").as_bytes()))
        .and_then(|()| fs::rename(&beside, &file));
    written.map_err(|error| {
        let _ = fs::remove_file(&beside);
        not_written(&file, error)
    })
}

fn not_written(path: &Path, error: io::Error) -> Error {
    let denied = error.kind() == io::ErrorKind::PermissionDenied;
    let error = Error::from(error).context(path.display());
    if denied { error.remedy("do it as root, or give another root") } else { error }
}
