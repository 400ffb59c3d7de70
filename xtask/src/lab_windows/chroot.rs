//! A small Debian of its own for 32-bit Wine, where the machine's cannot be installed: 32-bit and 64-bit libraries have to
//! be of the very same version, and a machine's security updates come at different times. It is made from one suite
//! alone, without updates, in the cache; nothing is added to the machine's own packages.
//!
//! Programs run in it in a mount namespace of their own: what is mounted is gone with the last of them, however they end.

use super::cache;
use super::processes;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The release of Debian: Wine 8.
const SUITE: &str = "bookworm";
/// Where packages come from if the machine's own list names no place.
const MIRROR: &str = "http://deb.debian.org/debian";
/// How long it may take. It takes 4 minutes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(1800);
const PACKAGES: [&str; 5] =
    ["wine", "wine64", "wine32:i386", "libasound2-plugins:i386", "libpulse0:i386"];

/// Mounts what the arguments name between the first and `--`, and runs the rest in the system.
const ENTER: &str = r#"set -e
system=$1; shift
for place in /proc /sys; do mount --bind $place "$system$place"; done
mount --rbind /dev "$system/dev"
while [ "$1" != -- ]; do mkdir -p "$system$1"; mount --bind "$1" "$system$1"; shift; done
shift
exec chroot "$system" "$@"
"#;

/// The system, and what of the machine is seen in it.
pub(crate) struct Chroot {
    place: PathBuf,
    seen: Vec<PathBuf>,
}

impl Chroot {
    /// Makes it if it is not in the cache. Seen in it are the checkout, what is built, the cache, and `/tmp`.
    pub(crate) fn new(root: &Path) -> Result<Self> {
        let place = cache::entry(&format!("debian-{SUITE}-i386-1"), make)?;
        let target = super::target(root);
        fs::create_dir_all(&target)?;
        let mut seen = vec![PathBuf::from("/tmp"), cache::folder()?, root.to_owned(), target];
        seen.sort();
        seen.dedup();
        Ok(Self { place, seen })
    }

    /// A program in it, without arguments yet.
    pub(crate) fn command(&self, program: &str) -> Command {
        entering(&self.place, &self.seen, program)
    }
}

fn entering(place: &Path, seen: &[PathBuf], program: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", ENTER, "sh"]);
    command.arg(place).args(seen).args(["--", program]);
    command
}

fn make(place: &Path) -> Result<()> {
    println!("making a small Debian for 32-bit Wine; this takes some minutes");
    let log = fs::File::create(place.with_extension("log"))?;
    let quietly = |command: &mut Command| -> Result<()> {
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
        command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
        processes::well(command, PATIENCE)
            .with_context(|| format!("see {}", place.with_extension("log").display()))
    };
    let mirror = mirror();
    let mut command = Command::new("debootstrap");
    command.args(["--variant=minbase", "--include=ca-certificates", SUITE]);
    quietly(command.arg(place).arg(&mirror))?;
    fs::write(place.join("etc/apt/sources.list"), format!("deb {mirror} {SUITE} main\n"))?;
    // Speed: what is written here is made again if the power goes.
    fs::write(place.join("etc/dpkg/dpkg.cfg.d/lab"), concat!("force-un", "safe-io\n"))?;
    let inside =
        |program: &str, arguments: &[&str]| quietly(entering(place, &[], program).args(arguments));
    inside("dpkg", &["--add-architecture", "i386"])?;
    inside("apt-get", &["update"])?;
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(PACKAGES);
    inside("apt-get", &arguments)?;
    inside("apt-get", &["clean"])?;
    if !place.join("usr/lib/wine/wine").is_file() {
        bail!("Debian's 32-bit Wine is not where it was");
    }
    Ok(())
}

/// Where this machine gets Debian's packages from.
fn mirror() -> String {
    let mut texts = vec![fs::read_to_string("/etc/apt/sources.list").unwrap_or_default()];
    if let Ok(folder) = fs::read_dir("/etc/apt/sources.list.d") {
        texts.extend(folder.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok()));
    }
    let named = texts.iter().flat_map(|text| text.lines()).find_map(|line| {
        let line = line.trim();
        let words = line.strip_prefix("URIs:").or_else(|| line.strip_prefix("deb "))?;
        let is_debian =
            |word: &&str| word.contains("://") && word.trim_end_matches('/').ends_with("/debian");
        words.split_whitespace().find(is_debian).map(str::to_owned)
    });
    named.unwrap_or_else(|| MIRROR.to_owned())
}
