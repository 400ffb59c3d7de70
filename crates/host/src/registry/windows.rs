//! Windows: `SOFTWARE\ASIO\<name>` holds a class id, `Classes\CLSID\{id}\InprocServer32` the file. Both exist once for
//! 64-bit programs and once for 32-bit ones: a host sees the view of its own kind alone. Read and written here and
//! nowhere else.
//!
//! A root is a key of the registry, written as a path: hosts look below `HKEY_LOCAL_MACHINE\SOFTWARE`;
//! `HKEY_CURRENT_USER\Software` needs no administrator, but of the hosts known only ours looks there.

use super::{Entry, Listing, check_name, class_of, is_own_class};
use barewire_abi::Guid;
use barewire_types::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use windows_registry::{CLASSES_ROOT, CURRENT_USER, Key, LOCAL_MACHINE};

/// Where hosts look.
const ROOT: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE";

/// Names another root than [`ROOT`].
const ROOT_VARIABLE: &str = "BAREWIRE_DRIVERS_ROOT";

/// The file of our own driver, as it is built and shipped.
pub const OWN_FILE: &str = "barewire.dll";

/// The folder, below that of our programs, where those for processes of the other width lie.
pub const OTHER_KIND: Option<&str> = Some(if usize::BITS == 64 { "x86" } else { "x64" });

/// Below a root: drivers by name.
const DRIVERS: &str = "ASIO";

const READ: u32 = 0x2_0019;
const READ_AND_WRITE: u32 = 0x2_001F;

/// `E_ACCESSDENIED`, and "there is no such key".
const ACCESS_DENIED: i32 = 0x8007_0005_u32.cast_signed();
const NO_SUCH_KEY: i32 = 0x8007_0002_u32.cast_signed();

/// The registry as programs of one kind see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct View {
    bits: u32,
}

impl View {
    const OWN: Self = Self { bits: usize::BITS };
    const ALL: [Self; 2] = [Self::OWN, Self { bits: 96 - usize::BITS }];

    /// `KEY_WOW64_32KEY` or `KEY_WOW64_64KEY`.
    const fn flag(self) -> u32 {
        if self.bits == 32 { 0x200 } else { 0x100 }
    }

    fn open(self, base: &Key, path: &str) -> windows_registry::Result<Key> {
        base.options().access(READ | self.flag()).open(path)
    }

    fn create(self, base: &Key, path: &str) -> windows_registry::Result<Key> {
        base.options().access(READ_AND_WRITE | self.flag()).create().open(path)
    }
}

/// A root, taken apart.
struct Root {
    hive: &'static Key,
    path: String,
}

impl Root {
    fn of(path: &Path) -> Result<Self> {
        let text = path.display().to_string();
        let (hive, below) = text.split_once('\\').unwrap_or((&text, ""));
        let hive = match hive.to_ascii_uppercase().as_str() {
            "HKEY_LOCAL_MACHINE" | "HKLM" => LOCAL_MACHINE,
            "HKEY_CURRENT_USER" | "HKCU" => CURRENT_USER,
            _ => {
                let text = format!("{text} is no key of the registry where drivers can stand");
                return Err(Error::new(ErrorKind::InvalidArgument, text)
                    .remedy(format!("write {ROOT} or HKEY_CURRENT_USER\\Software")));
            }
        };
        Ok(Self { hive, path: below.trim_matches('\\').to_owned() })
    }

    fn drivers(&self) -> String {
        format!(r"{}\{DRIVERS}", self.path)
    }

    fn classes(&self) -> String {
        format!(r"{}\Classes\CLSID", self.path)
    }
}

/// Where drivers are registered: `HKEY_LOCAL_MACHINE\SOFTWARE`, or what `BAREWIRE_DRIVERS_ROOT` says.
pub fn default_root() -> PathBuf {
    std::env::var_os(ROOT_VARIABLE)
        .filter(|root| !root.is_empty())
        .map_or_else(|| ROOT.into(), PathBuf::from)
}

/// All drivers that are registered under `root`, in both views; none if there is no such key.
///
/// # Errors
/// If `root` is no key, or cannot be read.
pub fn entries(root: &Path) -> Result<Listing> {
    let own = Root::of(root)?;
    let mut listing = Listing::default();
    let mut found = BTreeMap::new();
    for (rank, view) in (0..).zip(View::ALL) {
        let key = match view.open(own.hive, &own.drivers()) {
            Err(error) if error.code().0 == NO_SUCH_KEY => continue,
            refused => done(root, "read", refused)?,
        };
        for name in done(root, "read", key.keys())? {
            match read(&own, view, &name) {
                // A key outside of `Wow6432Node` is one and the same in both views.
                Ok(entry) if !found.values().any(|known| *known == entry) => {
                    found.insert((name.to_lowercase(), rank), entry);
                }
                Ok(_) => {}
                Err(problem) => listing.problems.push(problem),
            }
        }
    }
    listing.entries = found.into_values().collect();
    listing.problems.dedup();
    Ok(listing)
}

/// The driver that is registered as `name` for programs of this kind.
///
/// # Errors
/// `NotFound` if there is none or its file is gone, `Unsupported` if it is for programs of another kind, else whatever
/// keeps it from being read.
pub fn entry(root: &Path, name: &str) -> Result<Entry> {
    check_name(name)?;
    let own = Root::of(root)?;
    let place = format!(r"{}\{name}", own.drivers());
    if View::OWN.open(own.hive, &place).is_ok() {
        return read(&own, View::OWN, name);
    }
    if let Some(other) = View::ALL.into_iter().find(|view| view.open(own.hive, &place).is_ok()) {
        return Err(other_kind(&format!("the driver \"{name}\""), other.bits));
    }
    let text = format!("no driver is registered as \"{name}\" in {}", root.display());
    Err(Error::new(ErrorKind::NotFound, text).remedy("`barewire drivers` lists those that are"))
}

/// What a person is told of a driver that this process cannot load.
pub(crate) fn other_kind(what: &str, bits: u32) -> Error {
    let text = format!("{what} is for {bits}-bit programs, and this is a {}-bit one", usize::BITS);
    Error::new(ErrorKind::Unsupported, text).remedy(format!("use the {bits}-bit barewire.exe"))
}

fn read(root: &Root, view: View, name: &str) -> Result<Entry> {
    let View { bits } = view;
    let problem = |words: String| {
        let text = format!("the driver \"{name}\" for {bits}-bit programs: {words}");
        Error::new(ErrorKind::NotFound, text).remedy("install it again, or unregister it")
    };
    let key = view
        .open(root.hive, &format!(r"{}\{name}", root.drivers()))
        .map_err(|error| problem(error.message()))?;
    let id = key.get_string("CLSID").map_err(|_| problem("it names no class".to_owned()))?;
    let class = Guid::parse(&id).ok_or_else(|| problem(format!("{id:?} is no class id")))?;
    let place = format!(r"CLSID\{class}\InprocServer32");
    let unknown = |_| problem(format!("its class {class} is not registered"));
    let server = view.open(CLASSES_ROOT, &place).map_err(unknown)?;
    let file = server.get_string("").map_err(unknown)?;
    let threading = server.get_string("ThreadingModel").ok();
    let driver = PathBuf::from(file.trim().trim_matches('"'));
    // A bare name is looked for by the loader, and variables are resolved by COM.
    if driver.is_absolute() && !file.contains('%') {
        if !driver.is_file() {
            return Err(problem(format!("{} is gone", driver.display())));
        }
        if let Some(of_file) = bits_of(&driver)
            && of_file != bits
        {
            return Err(problem(format!("{} is a {of_file}-bit file", driver.display())));
        }
    }
    let description = key.get_string("Description").ok().filter(|text| !text.is_empty());
    Ok(Entry { name: name.into(), driver, description, class: Some(class), bits, threading })
}

/// Where a file lies that is named without a folder: whoever loads it, and hosts that open it first, look there.
pub(super) fn in_system(file: &Path) -> Option<PathBuf> {
    if file.file_name()? != file.as_os_str() {
        return None;
    }
    let root = PathBuf::from(std::env::var_os("SystemRoot")?);
    let places = [root.join("System32"), root].map(|folder| folder.join(file));
    places.into_iter().find(|place| place.is_file())
}

/// For programs of how many bits a file is; `None` if it is no program file.
pub(crate) fn bits_of(file: &Path) -> Option<u32> {
    match object::FileKind::parse(&*std::fs::read(file).ok()?) {
        Ok(object::FileKind::Pe32) => Some(32),
        Ok(object::FileKind::Pe64) => Some(64),
        _ => None,
    }
}

/// Registers our driver's file as `name` for programs of its own kind, or renews what is registered so. (Drivers of
/// others register themselves: only they know their class ids.)
///
/// # Errors
/// `InvalidArgument` for names and files that hosts could not use, `Busy` if the name belongs to another driver,
/// `Denied` without the right to write below `root`.
pub fn register(root: &Path, name: &str, driver: &Path, description: &str) -> Result<Entry> {
    check_name(name)?;
    let own = Root::of(root)?;
    let driver = std::path::absolute(driver)
        .map_err(|error| Error::from(error).context(driver.display()))?;
    let (Some(line), Some(bits)) = (driver.to_str(), bits_of(&driver)) else {
        let text = format!("{} cannot be registered: it is no program library", driver.display());
        return Err(Error::new(ErrorKind::InvalidArgument, text));
    };
    let (view, class) = (View { bits }, class_of(name));
    if let Ok(other) = read(&own, view, name)
        && other.class != Some(class)
    {
        let text = format!("the name \"{name}\" belongs to {}", other.driver.display());
        return Err(Error::new(ErrorKind::Busy, text)
            .remedy("take another name, or unregister that driver first"));
    }
    let written = || {
        let place = format!(r"{}\{class}", own.classes());
        view.create(own.hive, &place)?.set_string("", description)?;
        let server = view.create(own.hive, &format!(r"{place}\InprocServer32"))?;
        server.set_string("", line)?;
        // Every method may be called from any thread, so nothing has to be marshalled.
        server.set_string("ThreadingModel", "Both")?;
        // Last: from now on hosts see the entry.
        let key = view.create(own.hive, &format!(r"{}\{name}", own.drivers()))?;
        key.set_string("Description", name)?;
        key.set_string("CLSID", class.to_string())
    };
    done(root, "written", written())?;
    read(&own, view, name)
}

/// Takes the entry `name` away, with its class, in both views.
///
/// # Errors
/// `NotFound` if nothing is registered so, `Denied` without the right to write below `root`.
pub fn unregister(root: &Path, name: &str) -> Result<()> {
    check_name(name)?;
    let own = Root::of(root)?;
    let mut count = 0;
    for view in View::ALL {
        let Ok(key) = view.open(own.hive, &format!(r"{}\{name}", own.drivers())) else { continue };
        let class = key.get_string("CLSID").ok().and_then(|id| Guid::parse(&id));
        drop(key);
        done(root, "written", remove(&own, view, name, class))?;
        count += 1;
    }
    if count == 0 {
        let text = format!("no driver is registered as \"{name}\" in {}", root.display());
        return Err(Error::new(ErrorKind::NotFound, text));
    }
    Ok(())
}

/// Takes all entries of our own driver away that programs of this kind see, whatever they are called now.
///
/// # Errors
/// `Denied` without the right to write below `root`.
pub fn unregister_own_kind(root: &Path) -> Result<()> {
    let own = Root::of(root)?;
    for (name, class) in own_in(root, &own, View::OWN)? {
        done(root, "written", remove(&own, View::OWN, &name, Some(class)))?;
    }
    Ok(())
}

/// The names under which our own driver is registered in either view, be its file there or not.
///
/// # Errors
/// If `root` is no key, or cannot be read.
pub fn own_names(root: &Path) -> Result<Vec<String>> {
    let own = Root::of(root)?;
    let mut names = Vec::new();
    for view in View::ALL {
        names.extend(own_in(root, &own, view)?.into_iter().map(|(name, _)| name));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn own_in(root: &Path, own: &Root, view: View) -> Result<Vec<(String, Guid)>> {
    let drivers = match view.open(own.hive, &own.drivers()) {
        Err(error) if error.code().0 == NO_SUCH_KEY => return Ok(Vec::new()),
        answer => done(root, "read", answer)?,
    };
    let class = |name: &str| {
        let id = drivers.open(name).and_then(|key| key.get_string("CLSID")).ok()?;
        Guid::parse(&id).filter(|class| is_own_class(*class))
    };
    let names = done(root, "read", drivers.keys())?;
    Ok(names
        .filter_map(|name| Some((class(&name)?, name)))
        .map(|(class, name)| (name, class))
        .collect())
}

fn remove(own: &Root, view: View, name: &str, class: Option<Guid>) -> windows_registry::Result<()> {
    // First: hosts that look now find no entry that leads nowhere.
    view.create(own.hive, &own.drivers())?.remove_tree(name)?;
    let Some(class) = class.map(|class| class.to_string()) else { return Ok(()) };
    let classes = own.classes();
    if view.open(own.hive, &format!(r"{classes}\{class}")).is_err() {
        // An entry that led nowhere.
        return Ok(());
    }
    view.create(own.hive, &classes)?.remove_tree(class)
}

/// The registry's answer, its refusal in our words.
fn done<T>(root: &Path, what: &str, answer: windows_registry::Result<T>) -> Result<T> {
    answer.map_err(|error| {
        let code = error.code().0;
        let text = format!("{} cannot be {what}: {}", root.display(), error.message());
        if code == ACCESS_DENIED {
            Error::new(ErrorKind::Denied, text).os_code(code).remedy(
                "run it as administrator: right-click the command prompt, \"Run as administrator\"",
            )
        } else {
            Error::new(ErrorKind::Io, text).os_code(code)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_folder_is_found_where_windows_looks() {
        let entry = |driver: &str| Entry {
            name: "Some".into(),
            driver: driver.into(),
            description: None,
            class: None,
            bits: usize::BITS,
            threading: None,
        };
        let found = entry("kernel32.dll").file();
        assert!(found.is_absolute() && found.is_file(), "{}", found.display());
        for elsewhere in ["nowhere.dll", r"folder\kernel32.dll", r"C:\kernel32.dll"] {
            assert_eq!(entry(elsewhere).file(), PathBuf::from(elsewhere));
        }
    }
}
