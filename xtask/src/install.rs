//! Programs that nobody here wrote, against which tests compare: installed where that may be done, named where not.

use std::path::Path;
use std::process::{Command, Stdio};

/// A program and the Debian package that has it.
pub(crate) struct Tool {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
    /// What is not tested without it.
    pub(crate) reason: &'static str,
}

/// All of them.
pub(crate) const TOOLS: [Tool; 8] = [
    Tool { program: "flac", package: "flac", reason: "FLAC files against an independent decoder" },
    Tool { program: "sox", package: "sox", reason: "WAV files against an independent decoder" },
    Tool { program: "jackd", package: "jackd2", reason: "the JACK backend on a real server" },
    Tool { program: "strace", package: "strace", reason: "system calls of the device thread" },
    Tool { program: "pipewire", package: "pipewire", reason: "the JACK backend on PipeWire" },
    Tool { program: "pw-jack", package: "pipewire-jack", reason: "the JACK backend on PipeWire" },
    Tool { program: "pw-reserve", package: "pipewire-bin", reason: "cards held by others" },
    Tool { program: "dbus-run-session", package: "dbus", reason: "cards held by others, rights" },
];

/// What the JACK lab needs.
pub(crate) const JACK_TOOLS: [Tool; 3] = [
    Tool { program: "jackd", package: "jackd2", reason: "the JACK lab" },
    Tool { program: "pipewire", package: "pipewire", reason: "the JACK lab" },
    Tool { program: "pw-jack", package: "pipewire-jack", reason: "the JACK lab" },
];

/// What the hardware lab needs.
pub(crate) const LAB_TOOLS: [Tool; 6] = [
    Tool { program: "qemu-system-x86_64", package: "qemu-system-x86", reason: "the hardware lab" },
    Tool { program: "busybox", package: "busybox-static", reason: "the hardware lab" },
    Tool { program: "amixer", package: "alsa-utils", reason: "the hardware lab" },
    Tool { program: "cpio", package: "cpio", reason: "the hardware lab" },
    Tool { program: "modprobe", package: "kmod", reason: "the hardware lab" },
    Tool { program: "xz", package: "xz-utils", reason: "the hardware lab" },
];

/// What the Windows lab needs.
pub(crate) const WINDOWS_TOOLS: [Tool; 9] = [
    Tool {
        program: "x86_64-w64-mingw32-gcc",
        package: "gcc-mingw-w64-x86-64-win32",
        reason: "the Windows lab",
    },
    Tool {
        program: "i686-w64-mingw32-gcc",
        package: "gcc-mingw-w64-i686-win32",
        reason: "the Windows lab",
    },
    Tool { program: "wine-stable", package: "wine", reason: "the Windows lab" },
    Tool { program: "/usr/lib/wine/wine64", package: "wine64", reason: "the Windows lab" },
    Tool { program: "pulseaudio", package: "pulseaudio", reason: "the Windows lab" },
    Tool { program: "parec", package: "pulseaudio-utils", reason: "the Windows lab" },
    Tool {
        program: "/usr/lib/x86_64-linux-gnu/alsa-lib/libasound_module_pcm_pulse.so",
        package: "libasound2-plugins",
        reason: "exclusive streams of the Windows lab",
    },
    Tool { program: "debootstrap", package: "debootstrap", reason: "32-bit programs of Windows" },
    Tool { program: "unshare", package: "util-linux", reason: "32-bit programs of Windows" },
];

/// What builds Rust's library for Windows where rustup has none.
pub(crate) const RUST_TOOLS: [Tool; 3] = [
    Tool { program: "/usr/bin/rustc", package: "rustc-web", reason: "the Windows lab" },
    Tool { program: "/usr/bin/cargo", package: "cargo-web", reason: "the Windows lab" },
    Tool {
        program: "/usr/lib/rustlib/src/rust/library/rtstartup/rsbegin.rs",
        package: "rust-web-src",
        reason: "the Windows lab",
    },
];

fn is_there(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    // Debian's administrator has it, others may not; an absolute path stands for itself.
    let sbin = Path::new("/usr/sbin").join(program);
    sbin.is_file() || std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

fn quietly(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Installs what is missing if this user may; what is missing still.
pub(crate) fn missing() -> Vec<&'static Tool> {
    missing_of(&TOOLS)
}

/// Of `tools`, installs what is missing if this user may; what is missing still.
pub(crate) fn missing_of(tools: &'static [Tool]) -> Vec<&'static Tool> {
    let absent = || tools.iter().filter(|tool| !is_there(tool.program)).collect::<Vec<_>>();
    let wanted = absent();
    if wanted.is_empty() || !is_there("apt-get") || !may_install() {
        return wanted;
    }
    let packages: Vec<&str> = wanted.iter().map(|tool| tool.package).collect();
    println!("installing {}", packages.join(", "));
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    if !quietly("apt-get", &arguments) {
        // The lists of a new machine are empty or old.
        quietly("apt-get", &["update"]);
        quietly("apt-get", &arguments);
    }
    absent()
}

/// Only the administrator installs, and only into the system's own place.
fn may_install() -> bool {
    let output = Command::new("id").arg("-u").output();
    let is_administrator = output.is_ok_and(|output| output.stdout.starts_with(b"0"));
    is_administrator && Path::new("/var/lib/dpkg").is_dir()
}
