//! What an exercise gets: a Windows of its own (a copy of a Wine prefix, thrown away behind it), a sound server of its own,
//! and ways to run programs with a deadline.

use super::cache;
use super::prefix::Prefix;
use super::processes;
use super::pulse::Pulse;
use super::wine::{Ran, Running, Wine};
use anyhow::{Result, bail};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long a Windows that is told to end may take.
const FAREWELL: Duration = Duration::from_secs(30);

/// The width of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bits {
    /// x86-64.
    B64,
    /// 32-bit x86.
    B32,
}

impl Bits {
    pub(crate) const ALL: [Self; 2] = [Self::B64, Self::B32];

    /// Rust's name.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::B64 => "x86_64-pc-windows-gnu",
            Self::B32 => "i686-pc-windows-gnu",
        }
    }

    /// The beginning of the names of mingw's programs.
    pub(crate) fn mingw(self) -> &'static str {
        match self {
            Self::B64 => "x86_64-w64-mingw32",
            Self::B32 => "i686-w64-mingw32",
        }
    }

    /// Where Windows keeps libraries for programs of this width.
    pub(crate) fn system_folder(self) -> &'static str {
        match self {
            Self::B64 => "drive_c/windows/system32",
            Self::B32 => "drive_c/windows/syswow64",
        }
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::B64 { "64" } else { "32" })
    }
}

impl FromStr for Bits {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|bits| bits.to_string() == text).ok_or("64 or 32".to_owned())
    }
}

/// Why an exercise cannot be run here: said where that is allowed, a failure where not.
#[derive(Debug)]
pub(crate) struct CannotRun(pub(crate) String);

impl fmt::Display for CannotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CannotRun {}

/// See the module.
pub(crate) struct Lab {
    pub(crate) bits: Bits,
    /// The checkout.
    pub(crate) root: PathBuf,
    /// Where `barewire.exe` and examples were built, optimised: `target/…/release`.
    pub(crate) built: PathBuf,
    /// The Windows of this exercise: registry and drive C. Throw-away.
    pub(crate) prefix: Prefix,
    /// The sound server of this exercise.
    pub(crate) pulse: Pulse,
    /// Whether there is time for everything at its full length.
    pub(crate) is_long: bool,
    wine: Wine,
}

impl Lab {
    /// Makes what is not in the cache.
    pub(crate) fn prepare(root: &Path, bits: Bits) -> Result<()> {
        Prefix::prepare(&Wine::new(root, bits)?)
    }

    /// A lab for programs of this width, fresh.
    pub(crate) fn new(root: &Path, bits: Bits) -> Result<Self> {
        let wine = Wine::new(root, bits)?;
        let prefix = Prefix::copy(&wine, &place(root)?)?;
        let pulse = Pulse::start()?;
        wine.boot(&prefix, &pulse)?;
        let built = built(root, bits);
        Ok(Self { bits, root: root.to_owned(), built, prefix, pulse, is_long: false, wine })
    }

    /// Runs a program, at most until `deadline`, with more in its environment.
    pub(crate) fn run(
        &self,
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
        deadline: Duration,
    ) -> Result<Ran> {
        self.start(program, arguments, environment)?.wait(deadline)
    }

    /// As [`run`](Self::run); anything but exit code 0 is an error with what it said.
    pub(crate) fn run_well(
        &self,
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
        deadline: Duration,
    ) -> Result<String> {
        let ran = self.run(program, arguments, environment, deadline)?;
        if ran.code != Some(0) {
            bail!("{} {}: {ran}", program.display(), arguments.join(" "));
        }
        Ok(ran.said)
    }

    /// Starts a program.
    pub(crate) fn start(
        &self,
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Running> {
        let mut command = self.wine.command(&self.prefix, &self.pulse);
        command.arg(program).args(arguments).envs(environment.iter().copied());
        Running::start(command)
    }

    /// Runs a program with this process's standard streams; its exit code. Programs of Rust that
    /// do not link `barewire-rt` find what they lack.
    pub(crate) fn run_in_foreground(&self, program: &Path, arguments: &[String]) -> Result<i32> {
        let shim = cache::shim(self.bits)?;
        let mut command = self.wine.command(&self.prefix, &self.pulse);
        command.arg(program).args(arguments).env("WINEPATH", self.windows_path(&shim));
        Ok(command.status()?.code().unwrap_or(1))
    }

    /// The driver as it is shipped, and the command; the files of another width than this lab's may be missing or old.
    pub(crate) fn shipped(&self, bits: Bits) -> [PathBuf; 2] {
        let command = built(&self.root, bits).join("barewire.exe");
        let folder = super::target(&self.root).join(bits.target()).join("shipped");
        [folder.join("barewire.dll"), command]
    }

    /// Whether programs of both widths run here.
    pub(crate) fn runs_both(&self) -> bool {
        self.wine.runs_both()
    }

    /// How programs of Windows call a file of ours.
    pub(crate) fn windows_path(&self, file: &Path) -> String {
        format!("Z:{}", file.display()).replace('/', "\\")
    }

    /// Copies a file into this Windows: `place` is below the prefix, as `drive_c/windows/system32/x.dll`. See
    /// [`Bits::system_folder`].
    pub(crate) fn install(&self, file: &Path, place: &str) -> Result<()> {
        self.prefix.install(file, place)
    }

    /// Adds to the registry what `text` says, in the form of `.reg` files without their first line. With
    /// 64-bit programs that is the 64-bit view, with 32-bit programs the 32-bit view.
    pub(crate) fn registry(&self, text: &str) -> Result<()> {
        let file = self.prefix.path.join("drive_c/lab.reg");
        std::fs::write(&file, format!("REGEDIT4\r\n\r\n{}", text.replace('\n', "\r\n")))?;
        let reg = self.prefix.path.join(self.bits.system_folder()).join("reg.exe");
        self.run_well(&reg, &["import", r"C:\lab.reg"], &[], Duration::from_secs(60)).map(drop)
    }
}

fn built(root: &Path, bits: Bits) -> PathBuf {
    super::target(root).join(bits.target()).join("release")
}

/// Where a prefix of this process lies. What processes that were killed have left behind is removed.
fn place(root: &Path) -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let folder = super::target(root).join("lab-windows");
    std::fs::create_dir_all(&folder)?;
    for entry in std::fs::read_dir(&folder)?.flatten() {
        if !Path::new("/proc").join(entry.file_name()).exists() {
            cache::remove(&entry.path())?;
        }
    }
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Ok(folder.join(std::process::id().to_string()).join(number.to_string()))
}

impl Drop for Lab {
    fn drop(&mut self) {
        // It may be gone already; whatever runs still is ended with it.
        let _ = processes::well(&mut self.wine.server(&self.prefix, &["-k"]), FAREWELL);
        let _ = processes::well(&mut self.wine.server(&self.prefix, &["-w"]), FAREWELL);
        let _ = cache::remove(&self.prefix.path);
    }
}
