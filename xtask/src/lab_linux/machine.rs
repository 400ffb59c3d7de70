//! A machine in QEMU, in virtual time. Without a wish of its own it has no sound card: those come with the guest's modules.

use super::guest::Guest;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};

/// What a machine is made of and does.
pub(crate) struct Machine<'a> {
    /// Names its log.
    pub(crate) name: &'a str,
    /// 2 to this power is the length of an instruction in nanoseconds.
    pub(crate) shift: u32,
    /// QEMU's own devices; they play into the audio device `a`.
    pub(crate) devices: &'a [&'a str],
    /// The shell's commands.
    pub(crate) script: &'a str,
    /// Seconds of the host's time after which it is given up.
    pub(crate) patience: u32,
}

impl Machine<'_> {
    /// Lets it run to its end; what was said on its console. `heard` is where QEMU's own cards write what they play.
    pub(crate) fn run(&self, guest: &Guest, folder: &Path, heard: &Path) -> Result<String> {
        let log = folder.join(format!("{}.log", self.name));
        let mut command = Command::new("timeout");
        command.args(["-k", "2", &self.patience.to_string(), "qemu-system-x86_64"]);
        // Without the first two the kernel copies eight bytes an instruction and not one, of which virtual time counts each.
        // Without the other two, and with a clock of day of its own, two runs of a machine are one another's equal to the
        // microsecond, on any host.
        command.args(["-M", "q35", "-cpu", "max,-erms,-fsrm,-rdrand,-rdseed", "-m", "768"]);
        command.args(["-rtc", "base=2026-01-01,clock=vm", "-seed", "1"]);
        command.args(["-accel", "tcg,thread=single"]);
        // Virtual time: guest, cards and files keep one clock, and results do not depend on the host.
        command.arg("-icount").arg(format!("shift={},sleep=off", self.shift));
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio"]);
        command.arg("-no-reboot").arg("-kernel").arg(&guest.kernel);
        command.arg("-initrd").arg(guest.with_script(folder, self.name, self.script)?);
        command.args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off", "-audiodev"]);
        let output = "out.frequency=48000,timer-period=1000";
        command.arg(format!("wav,id=a,path={},{output}", heard.display()));
        for device in self.devices {
            command.args(["-device", device]);
        }
        let file = std::fs::File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let status = command.status().context("QEMU")?;
        let words = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
        if !status.success() {
            bail!("the machine did not switch itself off: {status}");
        }
        Ok(words)
    }
}
