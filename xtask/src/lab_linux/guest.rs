//! The guest's kernel and file system: Debian's kernel as it is packaged, busybox, the `barewire` command and the lab's own
//! programs with their loader and libraries, the files that are played, and the kernel's sound modules.

use super::music::{FILES, Music, STEREO_16};

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MODULES: [&str; 8] = [
    "snd-hda-intel",
    "snd-hda-codec-generic",
    "snd-intel8x0",
    "snd-usb-audio",
    "xhci-pci",
    "snd-aloop",
    "snd-dummy",
    "vhci-hcd",
];
const TOOLS: [&str; 19] = [
    "sh", "mount", "modprobe", "sleep", "echo", "poweroff", "sync", "cat", "kill", "ls", "grep",
    "dmesg", "head", "tail", "rm", "seq", "timeout", "wc", "tr",
];

const INIT: &str = "#!/bin/sh
export PATH=/bin HOME=/tmp
mount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev
. /script
sync; poweroff -f
";

/// What every run has in common.
pub(crate) struct Guest {
    pub(crate) kernel: PathBuf,
    base: PathBuf,
}

fn output(program: &str, arguments: &[&str], folder: &Path) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stderr(Stdio::null());
    let output = command.output().with_context(|| program.to_owned())?;
    if !output.status.success() {
        bail!("`{program} {}` failed", arguments.join(" "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Guest {
    /// Fetches the kernel if it is not there yet, and packs the file system. The first of `programs` is `barewire`.
    pub(crate) fn make(folder: &Path, programs: &[PathBuf]) -> Result<Self> {
        let version = kernel(folder)?;
        let root = folder.join("root");
        let _ = fs::remove_dir_all(&root);
        for place in ["bin", "sbin", "proc", "sys", "dev", "tmp"] {
            fs::create_dir_all(root.join(place))?;
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).context("busybox")?;
        for tool in TOOLS {
            link("busybox", &root.join("bin").join(tool))?;
        }
        // The kernel itself asks for codecs through it.
        link("../bin/busybox", &root.join("sbin/modprobe"))?;
        for program in programs {
            let name = program.file_name().context("a program without a name")?;
            fs::copy(program, root.join("bin").join(name))
                .with_context(|| program.display().to_string())?;
            libraries(program, &root)?;
        }
        modules(folder, &version, &root)?;
        for tool in ["amixer", "chrt"] {
            let program = Path::new("/usr/bin").join(tool);
            fs::copy(&program, root.join("bin").join(tool)).context(tool)?;
            libraries(&program, &root)?;
        }
        output("mkdir", &["-p", "usr/share"], &root)?;
        output("cp", &["-r", "/usr/share/alsa", "usr/share/"], &root)?;
        for music in FILES {
            let file = music.wav(&music.samples());
            fs::write(root.join(format!("{}.wav", music.name)), file)?;
        }
        let Music { frames, channels, bytes, .. } = STEREO_16;
        let silence = vec![0; frames * usize::from(channels * bytes)];
        fs::write(root.join("silence.wav"), STEREO_16.wav(&silence))?;
        fs::write(root.join("init"), INIT)?;
        output("chmod", &["+x", "init"], &root)?;
        let base = folder.join("base.cpio");
        pack(&root, &base)?;
        Ok(Self { kernel: folder.join(format!("kernel/boot/vmlinuz-{version}")), base })
    }

    /// The file system with what this run does.
    pub(crate) fn with_script(&self, folder: &Path, name: &str, script: &str) -> Result<PathBuf> {
        let place = folder.join(format!("{name}-script"));
        fs::create_dir_all(&place)?;
        fs::write(place.join("script"), script)?;
        let extra = folder.join(format!("{name}-script.cpio"));
        pack(&place, &extra)?;
        let mut whole = fs::read(&self.base)?;
        whole.extend(fs::read(extra)?);
        let path = folder.join(format!("{name}.cpio"));
        fs::write(&path, whole)?;
        Ok(path)
    }
}

fn link(to: &str, place: &Path) -> Result<()> {
    output("ln", &["-s", to, &place.to_string_lossy()], Path::new("/")).map(drop)
}

fn pack(root: &Path, to: &Path) -> Result<()> {
    let command = format!("find . | cpio -o -H newc -R 0:0 --quiet > '{}'", to.display());
    output("sh", &["-c", &command], root).map(drop)
}

/// Downloads and unpacks Debian's current kernel; its version.
fn kernel(folder: &Path) -> Result<String> {
    let depends = output("apt-cache", &["depends", "linux-image-amd64"], folder)?;
    let package = depends.split_whitespace().find(|word| word.starts_with("linux-image-6"));
    let package = package.context("no package of a kernel is known: run `apt-get update`")?;
    let version = package.trim_start_matches("linux-image-").to_owned();
    let unpacked = folder.join("kernel");
    if !unpacked.join(format!("boot/vmlinuz-{version}")).is_file() {
        let _ = fs::remove_dir_all(&unpacked);
        println!("fetching {package}");
        let fetch = format!("rm -f linux-image-*.deb && apt-get download {package}");
        output("sh", &["-c", &fetch], folder)?;
        output("sh", &["-c", "dpkg -x linux-image-*.deb kernel"], folder)?;
        output("depmod", &["-b", "kernel", &version], folder)?;
    }
    Ok(version)
}

/// The loader and all libraries of a program, at the places where it looks for them.
fn libraries(program: &Path, root: &Path) -> Result<()> {
    let program = program.to_string_lossy();
    for word in output("ldd", &[&program], root)?.split_whitespace() {
        if word.starts_with('/') {
            copy_to(Path::new(word), root, word)?;
        }
    }
    Ok(())
}

fn copy_to(file: &Path, root: &Path, place: &str) -> Result<()> {
    let to = root.join(place.trim_start_matches('/'));
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(file, &to).with_context(|| file.display().to_string())?;
    Ok(())
}

/// The modules and what they need, unpacked.
fn modules(folder: &Path, version: &str, root: &Path) -> Result<()> {
    let kernel = folder.join("kernel");
    let base = kernel.to_string_lossy().into_owned();
    for module in MODULES {
        let list =
            output("modprobe", &["-d", &base, "-S", version, "--show-depends", module], folder)?;
        for path in list.lines().filter_map(|line| line.strip_prefix("insmod ")) {
            let path = path.trim();
            let inside = path.trim_start_matches(base.as_str());
            copy_to(Path::new(path), root, inside)?;
            if inside.ends_with(".xz") {
                output("xz", &["-d", "-f", inside.trim_start_matches('/')], root)?;
            }
        }
    }
    for list in ["modules.builtin", "modules.order"] {
        let inside = format!("lib/modules/{version}/{list}");
        copy_to(&kernel.join(&inside), root, &inside)?;
    }
    output("depmod", &["-b", &root.to_string_lossy(), version], folder).map(drop)
}
