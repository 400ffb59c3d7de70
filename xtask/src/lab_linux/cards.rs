//! QEMU's own cards: Intel HDA, AC97 and USB audio. QEMU writes what they play to a WAV file, which is compared with the
//! file that `barewire play` was given.

use super::guest::Guest;
use super::machine::Machine;
use super::music::STEREO_16;
use anyhow::{Context, Result, bail};
use std::path::Path;

/// Frames around the file that the emulation may add: the ring that Intel HDA plays twice at the start of its first stream,
/// and stale frames at stop. Never inside.
const MOST_AROUND: usize = 4096;
/// A sound card and how the guest gets it.
pub(crate) struct Card {
    pub(crate) name: &'static str,
    devices: &'static [&'static str],
    modules: &'static str,
    /// Mixer elements that begin below unity, which the command has to say before they are set.
    volumes: &'static [&'static str],
    /// What the command says of its integrity once they are at the top.
    verdict: &'static str,
    /// Frames of a block.
    block_frames: u32,
}

const EXACT: &str = "integrity: exact";

/// The cards.
pub(crate) const CARDS: [Card; 4] = [
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
        verdict: EXACT,
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
        verdict: EXACT,
    },
    Card {
        name: "ac97",
        block_frames: 256,
        devices: &["AC97,audiodev=a"],
        modules: "snd-intel8x0",
        volumes: &["Master", "PCM"],
        // QEMU leaves samples as they are at the top of PCM, which a real codec has at 12 dB above unity; the
        // kernel says so (`db_scale_5bit_12db_max` in `sound/pci/ac97/ac97_codec.c`), and the command has to believe it.
        verdict: "stands at 31 of 31: set it to 23, which is 0 dB",
    },
    Card {
        name: "usb",
        block_frames: 256,
        devices: &["qemu-xhci", "usb-audio,audiodev=a"],
        modules: "-a xhci-pci snd-usb-audio",
        volumes: &["Audio Output Volume Control"],
        verdict: EXACT,
    },
];

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

/// Plays on `card`, and compares.
pub(crate) fn play(guest: &Guest, folder: &Path, card: &Card) -> Result<String> {
    let script = script(card);
    let heard = folder.join(format!("{}.wav", card.name));
    let _ = std::fs::remove_file(&heard);
    let machine = Machine {
        name: card.name,
        // 500 million instructions a second. At a quarter and at half of that, some runs at 64 frames had a block too late.
        shift: 1,
        devices: card.devices,
        script: &script,
        patience: 180,
    };
    let words = machine.run(guest, folder, &heard)?;
    let blocks = format!("in blocks of {}", card.block_frames);
    if !words.contains("PLAYED") {
        bail!("the guest did not play to the end");
    }
    // Once for the music and once for the silence behind it.
    for wanted in [card.verdict, "  0 xruns, 0 late", &blocks] {
        if words.matches(wanted).count() != 2 {
            bail!("the guest did not say \"{wanted}\" twice");
        }
    }
    let warnings = words.matches("for bit-perfect playing").count();
    if warnings < card.volumes.len() {
        bail!("{warnings} of the volumes below unity were told");
    }
    let heard = std::fs::read(&heard).context("the card wrote nothing")?;
    compare(&STEREO_16.samples(), heard.get(44..).unwrap_or_default())
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
    use super::{STEREO_16, compare};

    #[test]
    fn a_frame_that_is_lost_repeated_or_changed_is_found() {
        let music = STEREO_16.samples();
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
