//! What is tried on the USB interface of our own and on the kernel's loop. Each trial is a machine of its own with a script;
//! whatever holds says `OK` and whatever does not `BAD`, in the guest, and here the `OK`s are counted.

use super::guest::Guest;
use super::machine::Machine;
use anyhow::{Result, bail};
use std::path::Path;

/// A machine and what it has to say.
pub(crate) struct Trial {
    pub(crate) name: &'static str,
    /// It takes many minutes: run when asked for by its name or by `--long`.
    pub(crate) is_long: bool,
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
# the kernel's loop, its time from a high-resolution timer
loop() {
    modprobe snd-dummy hrtimer=1 pcm_substreams=1; sleep 0.2
    modprobe snd-aloop timer_source=Dummy.0.0 pcm_substreams=1; sleep 0.2
}
says() { if grep -q \"$2\" $1; then echo \"OK says $2\"; else echo \"BAD says not $2\"; fi; }
";

/// All of them, the longest first.
pub(crate) const TRIALS: [Trial; 8] = [
    Trial {
        name: "usb-xruns",
        is_long: true,
        script: "plug
on-hardware duplex alsa:Interface,0 48000 256 300 xruns=500 tolerance=6 apart=8
grep -c gap /tmp/usb.log
",
        oks: 1,
        says: &["500 xruns told once each"],
    },
    Trial {
        name: "usb-unplug",
        is_long: true,
        // What was on its way at the unplugging is lost; from the return on not a frame.
        script: "plug --record /tmp/run
files=; for n in $(seq 140); do files=\"$files /r48000.wav\"; done
barewire play $files >/tmp/play.log 2>&1 </dev/null & PLAY=$!
sleep 1
for n in $(seq 50); do kill $USB; sleep 0.2; plug --record /tmp/run; sleep 0.8; done
kill -INT $PLAY; wait $PLAY
cat /tmp/usb.log; tr -d '\\33' </tmp/play.log | tail -n 20
for run in /tmp/run/*; do on-hardware rest /r48000.wav $run; done
",
        oks: 51,
        says: &["integrity: interrupted"],
    },
    Trial {
        name: "usb-duplex",
        is_long: false,
        script: "plug --ppm -120
on-hardware duplex alsa:Interface,0 48000 64 60 tolerance=6
on-hardware duplex alsa:Interface,0 48000 64 2 tolerance=6 channels=8
on-hardware duplex alsa:Interface,0 48000 32 2 tolerance=6
on-hardware duplex alsa:Interface,0 48000 256 2 tolerance=6
on-hardware duplex alsa:Interface,0 44100 64 2 tolerance=6 format=int16
on-hardware duplex alsa:Interface,0 96000 64 2 tolerance=12 format=int24
on-hardware duplex alsa:Interface,0 192000 128 2 tolerance=24
grep gap /tmp/usb.log && echo BAD gaps; cat /tmp/usb.log
",
        oks: 7,
        says: &["0 xruns told"],
    },
    Trial {
        name: "aloop-xruns",
        is_long: true,
        script: "loop
on-hardware duplex alsa:Loopback,0 48000 64 300 xruns=500 capture=alsa:Loopback,1 clock=alsa:Dummy,0 tolerance=4096 apart=8
",
        oks: 1,
        says: &["500 xruns told once each"],
    },
    Trial {
        name: "aloop",
        is_long: false,
        script: "loop
on-hardware duplex alsa:Loopback,0 48000 64 60 capture=alsa:Loopback,1 clock=alsa:Dummy,0
on-hardware contract alsa:Loopback,0 48000 64 clock=alsa:Dummy,0 sides=playback
",
        oks: 2,
        says: &["0 xruns told"],
    },
    Trial {
        name: "usb-contract",
        is_long: false,
        script: "on-hardware contract alsa:Interface,0 48000 64 record=/tmp/run plug=chrt,-f,80,usb-audio,--record,/tmp/run
",
        oks: 1,
        says: &[],
    },
    Trial {
        name: "usb-verify",
        is_long: false,
        script: "plug
for f in int16 int24 int32; do
    barewire --device alsa:Interface,0 --block 64 --set output.format=\\\"$f\\\" --set input.format=\\\"$f\\\" --set output.channels=2 --set input.channels=2 verify --frames 4800 >/tmp/log 2>&1
    cat /tmp/log; says /tmp/log 'measured:  exact'
done
barewire --device alsa:Interface,0 --block 128 verify --frames 4800 --rate 96000 >/tmp/log 2>&1
cat /tmp/log; says /tmp/log 'measured:  exact'; says /tmp/log '8 channels'
barewire --device alsa:Interface,0 --block 64 latency
barewire play /r48000.wav /r48000.wav /r48000.wav /r48000.wav >/dev/null 2>&1 & sleep 0.3
barewire --device alsa:Interface,0 play /r48000.wav >/tmp/log 2>&1 </dev/null; cat /tmp/log
says /tmp/log 'held by barewire (process'
barewire play /r48000.wav >/tmp/log 2>&1 </dev/null; cat /tmp/log
says /tmp/log 'No sound hardware was free, so the virtual device was used: .* held by barewire (process'
cat /tmp/usb.log
",
        oks: 7,
        says: &[],
    },
    Trial {
        name: "usb-play",
        is_long: false,
        script: "plug --record /tmp/run --volume -6
barewire devices
barewire play /r44100.wav /r48000.wav /r96000.wav /r192000.wav /r384000.wav >/tmp/play.log 2>/tmp/play.err
cat /tmp/play.log /tmp/usb.log
amixer -q -c 0 sset PCM 64 unmute
arrived 1 r44100; arrived 2 r48000; arrived 3 r96000; arrived 4 r192000; arrived 5 r384000
says /tmp/play.log 'to Lab Interface'
says /tmp/play.log '58 of 70: set it to 64, which is 0 dB'
barewire play /b24.wav 2>/tmp/play.err; arrived 6 b24
barewire --set 'output.format = \"int16\"' --set output.channels=2 play /b16.wav 2>/tmp/play.err; arrived 7 b16
barewire --set 'output.format = \"int24\"' play /c8b24.wav 2>/tmp/play.err; arrived 8 c8b24
barewire play /c8b32.wav 2>/tmp/play.err; arrived 9 c8b32
grep gap /tmp/usb.log && echo BAD gaps
",
        oks: 11,
        says: &["58 of 70", "rate 44100", "rate 48000", "rate 96000", "rate 192000", "rate 384000", "integrity: exact"],
    },
];

/// Runs one.
pub(crate) fn run(guest: &Guest, folder: &Path, trial: &Trial) -> Result<String> {
    let script = format!("{BEGIN}{}echo END\n", trial.script);
    let heard = folder.join(format!("{}.wav", trial.name));
    let patience = if trial.is_long { 5400 } else { 1500 };
    let machine = Machine { name: trial.name, shift: 1, devices: &[], script: &script, patience };
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
