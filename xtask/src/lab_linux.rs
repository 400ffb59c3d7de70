//! The hardware lab on Linux: a machine in QEMU, in virtual time, with Debian's stock kernel and emulated sound cards that
//! write down what they played. The ordinary `barewire` command plays in it, and what arrived is compared with the file.
//! Called by `cargo xtask hardware`; `lab_linux/guest.rs` makes the machine's file system.
//!
//! Virtual time (`-icount … sleep=off`): guest, card and file keep one clock, so that results do not depend on the host.

mod guest;

use crate::install;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Frames of the file that is played.
const FRAMES: usize = 3 * 48_000;
/// Frames around the file that the emulation may add: the ring that Intel HDA plays twice at the start of its first stream,
/// and stale frames at stop. Never inside.
const MOST_AROUND: usize = 4096;
/// QEMU's arguments for virtual time: 8 ns an instruction.
const VIRTUAL_TIME: [&str; 4] = ["-accel", "tcg,thread=single", "-icount", "shift=3,sleep=off"];

/// A sound card and how the guest gets it.
struct Card {
    name: &'static str,
    devices: &'static [&'static str],
    modules: &'static str,
    /// Mixer elements that begin below unity, which the command has to say before they are set.
    volumes: &'static [&'static str],
    /// Frames of a block.
    block_frames: u32,
}

const CARDS: [Card; 4] = [
    Card {
        name: "hda",
        block_frames: 256,
        devices: &[
            "intel-hda",
            // No amplifier: it would begin at volume 0. The timer of the default drops frames on a busy host.
            "hda-output,audiodev=a,mixer=off,use-timer=off",
        ],
        modules: "snd-hda-intel",
        volumes: &[],
    },
    Card {
        name: "hda-64",
        block_frames: 64,
        devices: &[
            "intel-hda",
            // No amplifier: it would begin at volume 0. The timer of the default drops frames on a busy host.
            "hda-output,audiodev=a,mixer=off,use-timer=off",
        ],
        modules: "snd-hda-intel",
        volumes: &[],
    },
    Card {
        name: "ac97",
        block_frames: 256,
        devices: &["AC97,audiodev=a"],
        modules: "snd-intel8x0",
        volumes: &["Master", "PCM"],
    },
    Card {
        name: "usb",
        block_frames: 256,
        devices: &["qemu-xhci", "usb-audio,audiodev=a"],
        modules: "-a xhci-pci snd-usb-audio",
        volumes: &["Audio Output Volume Control"],
    },
];

/// Runs the lab. What cannot be run here is said, and is a failure if `strict`.
pub(crate) fn run(root: &Path, strict: bool) -> Result<()> {
    let missing = install::missing_of(&install::LAB_TOOLS);
    if !missing.is_empty() {
        for tool in &missing {
            println!(
                "SKIPPED {}: {} is not installed (Debian package {})",
                tool.reason, tool.program, tool.package
            );
        }
        if strict {
            bail!("in CI nothing may be skipped");
        }
        return Ok(());
    }
    let folder = target(root).join("lab-linux");
    std::fs::create_dir_all(&folder)?;
    build(root)?;
    let music = music();
    let guest = guest::Guest::make(&folder, &target(root).join("release/barewire"), &wav(&music))?;
    let mut failures = 0;
    for card in &CARDS {
        let begin = Instant::now();
        let outcome = play(&guest, &folder, card, &music);
        let seconds = begin.elapsed().as_secs_f64();
        match outcome {
            Ok(words) => println!("{:<6} ok, {words} ({seconds:.0} s)", card.name),
            Err(error) => {
                failures += 1;
                println!("{:<6} FAILED: {error:#} ({seconds:.0} s)", card.name);
            }
        }
    }
    if failures > 0 {
        bail!("{failures} cards failed; the guests' words are in {}", folder.display());
    }
    Ok(())
}

fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

fn build(root: &Path) -> Result<()> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root).args(["build", "--release", "--quiet", "-p", "barewire-cli"]);
    if !command.status()?.success() {
        bail!("`barewire` does not build");
    }
    Ok(())
}

/// Stereo frames that are never silent and never repeat soon.
fn music() -> Vec<u8> {
    let mut random = 0x6261_7265_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let [low, high, ..] = (random >> 40).to_le_bytes();
        [low | 1, high]
    };
    (0..2 * FRAMES).flat_map(|_| next()).collect()
}

/// A WAV file of 16 bits, 48 kHz, stereo.
fn wav(samples: &[u8]) -> Vec<u8> {
    let length = u32::try_from(samples.len()).unwrap_or(0);
    let mut file = Vec::with_capacity(samples.len() + 44);
    file.extend(b"RIFF");
    file.extend((length + 36).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend([1, 0, 2, 0]);
    file.extend(48_000_u32.to_le_bytes());
    file.extend(192_000_u32.to_le_bytes());
    file.extend([4, 0, 16, 0]);
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    file.extend(samples);
    file
}

/// What the guest does.
fn script(card: &Card) -> String {
    let mut script = format!("modprobe {}\nsleep 2\nbarewire devices\n", card.modules);
    for volume in card.volumes {
        script += &format!("amixer -q -c 0 sset '{volume}' 100% unmute\n");
    }
    // QEMU writes down what is played and has nothing to be captured: inputs of the same card would stand still.
    let play =
        format!("barewire --block {} --set 'input.device = \"none\"' play", card.block_frames);
    script + &format!("{play} /music.wav && echo PLAYED\n{play} /silence.wav\n")
}

fn play(guest: &guest::Guest, folder: &Path, card: &Card, music: &[u8]) -> Result<String> {
    let script = script(card);
    let heard = folder.join(format!("{}.wav", card.name));
    let _ = std::fs::remove_file(&heard);
    let log = folder.join(format!("{}.log", card.name));
    let mut command = Command::new("timeout");
    command.args(["-k", "2", "180", "qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-m", "512"]);
    command.args(VIRTUAL_TIME);
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio"]);
    command.arg("-no-reboot").arg("-kernel").arg(&guest.kernel);
    command.arg("-initrd").arg(guest.with_script(folder, card.name, &script)?);
    command.args(["-append", "console=ttyS0 quiet panic=-1", "-audiodev"]);
    let output = "out.frequency=48000,timer-period=1000";
    command.arg(format!("wav,id=a,path={},{output}", heard.display()));
    for device in card.devices {
        command.args(["-device", device]);
    }
    let file = std::fs::File::create(&log)?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let status = command.status().context("QEMU")?;
    let words = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
    let blocks = format!("in blocks of {}", card.block_frames);
    if !status.success() {
        bail!("the machine did not switch itself off: {status}");
    }
    for wanted in ["PLAYED", "integrity: exact", "0 xruns, 0 late", &blocks] {
        if !words.contains(wanted) {
            bail!("the guest did not say \"{wanted}\"");
        }
    }
    let warnings = words.matches("for bit-perfect playing").count();
    if warnings < card.volumes.len() {
        bail!("{warnings} of the volumes below unity were told");
    }
    let heard = std::fs::read(&heard).context("the card wrote nothing")?;
    compare(music, heard.get(44..).unwrap_or_default())
}

/// Whether all of `music` arrived in one piece, and nothing beside it but silence and the emulation's artefacts.
fn compare(music: &[u8], heard: &[u8]) -> Result<String> {
    const KEY_FRAMES: usize = 64;
    let (frames, _) = heard.as_chunks::<4>();
    let (wanted, _) = music.as_chunks::<4>();
    let key = wanted.get(..KEY_FRAMES).unwrap_or_default();
    // The last place where it begins: the one before it would be the ring that HDA plays twice.
    let Some(begin) = frames.windows(KEY_FRAMES).rposition(|window| window == key) else {
        bail!("the file's beginning did not arrive ({} frames did)", frames.len());
    };
    let arrived = frames.get(begin..).unwrap_or_default();
    let same = wanted.iter().zip(arrived).take_while(|(wanted, heard)| wanted == heard).count();
    if same < wanted.len() {
        bail!("frame {same} of {} is wrong or missing", wanted.len());
    }
    let is_loud = |frame: &&[u8; 4]| **frame != [0; 4];
    let before = frames.iter().take(begin).filter(is_loud).count();
    let after = arrived.iter().skip(same).filter(is_loud).count();
    if before > MOST_AROUND || after > MOST_AROUND {
        bail!("{before} frames too many before the file, {after} after it");
    }
    Ok(format!("{same} frames bit for bit, {before} stray frames before and {after} after"))
}

#[cfg(test)]
mod tests {
    use super::{compare, music};

    #[test]
    fn a_frame_that_is_lost_repeated_or_changed_is_found() {
        let music = music();
        assert!(compare(&music, &music).is_ok());
        let silence = [0; 4000];
        assert!(compare(&music, &[&silence[..], &music, &silence].concat()).is_ok());
        let cut = 400_000;
        let lost = [&music[..cut], &music[cut + 4..]].concat();
        assert!(compare(&music, &lost).unwrap_err().to_string().contains("100000"));
        let twice = [&music[..cut + 4], &music[cut..]].concat();
        assert!(compare(&music, &twice).is_err());
        let mut changed = music.clone();
        changed[cut] ^= 2;
        assert!(compare(&music, &changed).is_err());
        assert!(compare(&music, &music[..music.len() - 4]).is_err());
    }
}
