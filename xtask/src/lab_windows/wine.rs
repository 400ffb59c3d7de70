//! Wine itself: 64-bit programs run in the machine's Wine, 32-bit ones there too if it can, else in a system of its own.

use super::chroot::Chroot;
use super::lab::Bits;
use super::prefix::Prefix;
use super::processes;
use super::pulse::Pulse;
use anyhow::{Context, Result};
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Where Debian puts the 32-bit Wine.
const WINE32: &str = "/usr/lib/wine/wine";
/// How long Wine may take to start. It takes a second on a quiet machine.
const BOOT: Duration = Duration::from_secs(120);
/// How long streams of a program that has ended are listened to.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long what was told to end may take.
const FAREWELL: Duration = Duration::from_secs(10);

/// How programs are started.
pub(crate) struct Wine {
    /// Where, if not in this machine's own system.
    system: Option<Chroot>,
}

impl Wine {
    /// The Wine for programs of this width.
    pub(crate) fn new(root: &Path, bits: Bits) -> Result<Self> {
        let is_own = bits == Bits::B64 || Path::new(WINE32).is_file();
        let system = if is_own { None } else { Some(Chroot::new(root)?) };
        Ok(Self { system })
    }

    /// Whether it runs programs of both widths.
    pub(crate) fn runs_both(&self) -> bool {
        self.system.is_some() || Path::new(WINE32).is_file()
    }

    /// Names the kind of prefix that it needs.
    pub(crate) fn kind(&self) -> &'static str {
        if self.system.is_some() { "chroot" } else { "own" }
    }

    fn program(&self, program: &str, prefix: &Prefix) -> Command {
        let mut command = match &self.system {
            Some(system) => system.command(program),
            None => Command::new(program),
        };
        command.env("WINEPREFIX", &prefix.path).env("WINEARCH", "win64").env("WINEDEBUG", "-all");
        // Neither .NET nor a browser is asked for, and no menus are written into the home directory.
        command.env("WINEDLLOVERRIDES", "mscoree,mshtml,winemenubuilder.exe=");
        for variable in ["DISPLAY", "PULSE_SERVER", "WINEPATH"] {
            command.env_remove(variable);
        }
        command
    }

    /// `wine`, before the program and its arguments, without a sound server.
    pub(crate) fn without_sound(&self, prefix: &Prefix) -> Command {
        self.program("wine-stable", prefix)
    }

    /// `wine`, before the program and its arguments.
    pub(crate) fn command(&self, prefix: &Prefix, pulse: &Pulse) -> Command {
        let mut command = self.without_sound(prefix);
        command.env("PULSE_SERVER", pulse.server());
        command
    }

    /// Starts what every program of a prefix needs, with no stream of ours in its hands.
    pub(crate) fn boot(&self, prefix: &Prefix, pulse: &Pulse) -> Result<()> {
        // It stays for a while without programs, and goes by itself if we cannot end it any more.
        processes::well(&mut self.server(prefix, &["-p60"]), BOOT)?;
        let mut command = self.command(prefix, pulse);
        command.arg("wineboot").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        processes::well(&mut command, BOOT)
    }

    /// What waits for a prefix's last program, or ends it.
    pub(crate) fn server(&self, prefix: &Prefix, arguments: &[&str]) -> Command {
        let mut command = self.program("wineserver-stable", prefix);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// What became of a program.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit code; `None` if it was ended because its time was up.
    pub(crate) code: Option<i32>,
    /// What it said, on both streams.
    pub(crate) said: String,
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "exit code {code}")?,
            None => write!(f, "it did not end in time")?,
        }
        let said = self.said.trim_end();
        if said.is_empty() { f.write_str(", without a word") } else { write!(f, ":\n{said}") }
    }
}

/// A program that runs. Dropping it ends it.
pub(crate) struct Running {
    child: Child,
    ears: Vec<JoinHandle<()>>,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let name = format!("{command:?}");
        let mut child = command.spawn().context(name)?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let mut ears = Vec::new();
        if let Some(stream) = child.stdout.take() {
            let said = said.clone();
            ears.push(std::thread::spawn(move || listen(stream, &said)));
        }
        if let Some(stream) = child.stderr.take() {
            let said = said.clone();
            ears.push(std::thread::spawn(move || listen(stream, &said)));
        }
        Ok(Self { child, ears, said })
    }

    /// Waits for its end, at most for `deadline`; then it is ended.
    pub(crate) fn wait(mut self, deadline: Duration) -> Result<Ran> {
        let status = processes::wait(&mut self.child, deadline)?;
        if status.is_none() {
            self.child.kill()?;
            self.child.wait()?;
        }
        // Services that Wine started meanwhile hold its streams too, and live longer.
        let end = Instant::now() + LAST_WORDS;
        while !self.ears.iter().all(JoinHandle::is_finished) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let said = String::from_utf8_lossy(&said).replace('\r', "");
        Ok(Ran { code: status.and_then(|status| status.code()), said })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = processes::wait(&mut self.child, FAREWELL);
    }
}

fn listen(mut stream: impl Read, said: &Mutex<Vec<u8>>) {
    let mut piece = [0; 4096];
    while let Ok(length) = stream.read(&mut piece)
        && length > 0
    {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend_from_slice(piece.get(..length).unwrap_or_default());
    }
}

/// Where a file lies that a program of Windows calls `path`.
#[allow(dead_code, reason = "for exercises")]
pub(crate) fn unix_path(prefix: &Prefix, path: &str) -> PathBuf {
    let below = path.get(3..).unwrap_or_default().replace('\\', "/");
    match path.get(..1) {
        Some("Z" | "z") => Path::new("/").join(below),
        _ => prefix.path.join("drive_c").join(below),
    }
}
