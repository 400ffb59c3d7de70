//! What is tried on the USB interface of our own and on the kernel's loop. Each trial is a machine of its own with a script;
//! whatever holds says `OK` and whatever does not `BAD`, in the guest, and here the `OK`s are counted.

use super::guest::Guest;
use super::machine::Machine;
use anyhow::{Result, bail};
use std::path::Path;

/// A machine and what it has to say.
pub(crate) struct Trial {
    pub(crate) name: &'static str,
    /// Shell commands behind those of [`BEGIN`].
    script: &'static str,
    /// How many lines begin with `OK`.
    oks: usize,
    /// What has to be said, in this order.
    says: &'static [&'static str],
}

/// What all scripts may use.
const BEGIN: &str = "dmesg -n 1
modprobe vhci-hcd; modprobe snd-usb-audio
# plugs the interface in; its words are in /tmp/usb.log
plug() {
    chrt -f 80 usb-audio \"$@\" >>/tmp/usb.log 2>&1 & USB=$!
    for n in $(seq 100); do [ -e /dev/snd/pcmC0D0p ] && break; sleep 0.1; done
    sleep 0.2
}
unplug() { kill $USB; for n in $(seq 100); do [ -e /dev/snd/pcmC0D0p ] || break; sleep 0.1; done; }
# what arrived in run $1 is the file $2
run() { ls -d /tmp/run/* | head -n $1 | tail -n 1; }
arrived() { on-hardware compare /$2.wav $(run $1); }
says() { if grep -q \"$2\" $1; then echo \"OK says $2\"; else echo \"BAD says not $2\"; fi; }
";

/// All of them, the longest first.
pub(crate) const TRIALS: [Trial; 1] = [
    Trial {
        name: "usb-play",
        script: "plug --record /tmp/run --volume -6
barewire devices
barewire play /r44100.wav /r48000.wav /r96000.wav /r192000.wav /r384000.wav >/tmp/play.log 2>/tmp/play.err
cat /tmp/play.log /tmp/usb.log
amixer -q -c 0 sset PCM 100% unmute
arrived 1 r44100; arrived 2 r48000; arrived 3 r96000; arrived 4 r192000; arrived 5 r384000
says /tmp/play.log 'to Lab Interface'
says /tmp/play.log '58 of 64'
barewire play /b24.wav 2>/tmp/play.err; arrived 6 b24
",
        oks: 8,
        says: &["58 of 64", "rate 44100", "rate 48000", "rate 96000", "rate 192000", "rate 384000", "integrity: exact"],
    },
];

/// Runs one.
pub(crate) fn run(guest: &Guest, folder: &Path, trial: &Trial) -> Result<String> {
    let script = format!("{BEGIN}{}echo END\n", trial.script);
    let heard = folder.join(format!("{}.wav", trial.name));
    let machine =
        Machine { name: trial.name, shift: 1, devices: &[], script: &script, patience: 580 };
    let words = machine.run(guest, folder, &heard)?;
    judge(trial, &words)
}

fn judge(trial: &Trial, words: &str) -> Result<String> {
    if let Some(bad) = words.lines().find(|line| line.starts_with("BAD")) {
        bail!("{bad}");
    }
    if !words.lines().any(|line| line.trim() == "END") {
        bail!("the script did not come to its end");
    }
    let oks = words.lines().filter(|line| line.starts_with("OK ")).count();
    if oks != trial.oks {
        bail!("{oks} of {} trials said OK", trial.oks);
    }
    let mut rest = words;
    for wanted in trial.says {
        match rest.split_once(wanted) {
            Some((_, behind)) => rest = behind,
            None => bail!("the guest did not say \"{wanted}\", or not in its place"),
        }
    }
    Ok(format!("{oks} trials"))
}
