//! The machine as its files tell of it: everything is read below a root, which is `/` or a folder that stands for a machine.

use std::path::{Path, PathBuf};

/// A machine's files.
pub(crate) struct Machine {
    root: PathBuf,
    is_this: bool,
}

/// A running program.
pub(crate) struct Process {
    pub(crate) id: u32,
    pub(crate) name: String,
    /// Its command line, word by word.
    pub(crate) arguments: Vec<String>,
}

impl Machine {
    /// The machine below `root`, or this one.
    pub(crate) fn new(root: Option<PathBuf>) -> Self {
        let is_this = root.is_none();
        Self { root: root.unwrap_or_else(|| PathBuf::from("/")), is_this }
    }

    /// Whether it is the machine that this program runs on: only of that one devices can be asked.
    pub(crate) fn is_this(&self) -> bool {
        self.is_this
    }

    /// Whether it tells of itself as Linux does.
    pub(crate) fn is_linux(&self) -> bool {
        self.path("proc/self").is_dir() || self.path("proc/version").is_file()
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        let name = name.as_ref();
        self.root.join(name.strip_prefix("/").unwrap_or(name))
    }

    /// A file's text without the space around it; `None` if it cannot be read.
    pub(crate) fn read(&self, name: impl AsRef<Path>) -> Option<String> {
        let bytes = std::fs::read(self.path(name)).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    pub(crate) fn has(&self, name: impl AsRef<Path>) -> bool {
        self.path(name).exists()
    }

    /// The names in a folder, sorted; none if it cannot be read.
    pub(crate) fn names(&self, folder: impl AsRef<Path>) -> Vec<String> {
        let Ok(items) = std::fs::read_dir(self.path(folder)) else { return Vec::new() };
        let name =
            |item: std::io::Result<std::fs::DirEntry>| item.ok()?.file_name().into_string().ok();
        let mut names: Vec<String> = items.filter_map(name).collect();
        names.sort();
        names
    }

    /// The names in a folder that begin with `start`.
    pub(crate) fn names_with(&self, folder: impl AsRef<Path>, start: &str) -> Vec<String> {
        let mut names = self.names(folder);
        names.retain(|name| name.starts_with(start));
        names
    }

    /// The value of a line `key: value` of a file.
    pub(crate) fn field(&self, file: impl AsRef<Path>, key: &str) -> Option<String> {
        let text = self.read(file)?;
        let value = |line: &str| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == key).then(|| value.trim().to_owned())
        };
        text.lines().find_map(value)
    }

    /// The name of a process, if it is there.
    pub(crate) fn process_name(&self, id: u32) -> Option<String> {
        self.read(format!("proc/{id}/comm"))
    }

    /// The running programs of these names.
    pub(crate) fn processes(&self, wanted: &[&str]) -> Vec<Process> {
        let process = |folder: String| {
            let id = folder.parse().ok()?;
            let name = self.process_name(id).filter(|name| wanted.contains(&name.as_str()))?;
            let line = self.read(format!("proc/{id}/cmdline")).unwrap_or_default();
            let words = line.split('\0').filter(|word| !word.is_empty());
            Some(Process { id, name, arguments: words.map(str::to_owned).collect() })
        };
        self.names("proc").into_iter().filter_map(process).collect()
    }
}
