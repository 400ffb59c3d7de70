//! What the device captured is, sample for sample, what decoders give that nobody here wrote: Debian's `flac` and `sox`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]

mod command;

use command::{Capture, Desk, foreign, noise, wav};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

const FRAMES: usize = 60_000;

/// A FLAC file of noise, made by `flac`.
fn flac(desk: &Desk, name: &str, rate_hz: u32, bits: u16, seed: u64) -> Option<PathBuf> {
    let source =
        desk.write(&format!("{name}.wav"), wav(rate_hz, 2, bits, &noise(seed, 2 * FRAMES)));
    let file = desk.path(&format!("{name}.flac"));
    let arguments: [&OsStr; 5] =
        ["-s".as_ref(), "-f".as_ref(), "-o".as_ref(), file.as_ref(), source.as_ref()];
    foreign("flac", &arguments)?;
    Some(file)
}

/// What `flac -d` gives, left-justified.
fn decoded_by_flac(desk: &Desk, file: &Path, bits: u16) -> Option<Vec<i32>> {
    let raw = desk.path("decoded.raw");
    let arguments: [&OsStr; 8] = [
        "-d".as_ref(),
        "-s".as_ref(),
        "-f".as_ref(),
        "--force-raw-format".as_ref(),
        "--endian=little".as_ref(),
        "--sign=signed".as_ref(),
        file.as_ref(),
        "-o".as_ref(),
    ];
    let mut all = arguments.to_vec();
    all.push(raw.as_ref());
    foreign("flac", &all)?;
    let width = usize::from(bits / 8);
    let sample = |bytes: &[u8]| {
        let mut four = [0; 4];
        four[4 - width..].copy_from_slice(bytes);
        i32::from_le_bytes(four)
    };
    Some(std::fs::read(raw).unwrap().chunks_exact(width).map(sample).collect())
}

/// What `sox` gives as 32-bit integers.
fn decoded_by_sox(desk: &Desk, file: &Path) -> Option<Vec<i32>> {
    let raw = desk.path("sox.raw");
    let options = ["-t", "raw", "-e", "signed", "-b", "32", "-L"];
    let mut all: Vec<&OsStr> = vec!["-D".as_ref(), file.as_ref()];
    all.extend(options.map(OsStr::new));
    all.push(raw.as_ref());
    foreign("sox", &all)?;
    let word = |four: &[u8]| i32::from_le_bytes(four.try_into().unwrap());
    Some(std::fs::read(raw).unwrap().chunks_exact(4).map(word).collect())
}

fn only(captures: Vec<Capture>, rate_hz: u32) -> Capture {
    assert_eq!(captures.len(), 1, "one opening, one capture");
    let capture = captures.into_iter().next().unwrap();
    assert_eq!((capture.rate_hz, capture.channels), (rate_hz, 2));
    capture
}

#[test]
fn flac_arrives_as_its_own_decoder_has_it() {
    for (seed, (rate_hz, bits)) in (1..).zip([(44_100, 16), (96_000, 24), (192_000, 24)]) {
        let desk = Desk::new();
        let Some(file) = flac(&desk, "noise", rate_hz, bits, seed) else { return };
        let Some(expected) = decoded_by_flac(&desk, &file, bits) else { return };
        assert_eq!(expected.len(), 2 * FRAMES);
        only(desk.play(&[&file], &[]), rate_hz).is_exactly(&expected);
    }
}

#[test]
fn wav_of_32_bit_integers_arrives_as_sox_has_it() {
    let desk = Desk::new();
    let file = desk.write("noise.wav", wav(48_000, 2, 32, &noise(4, 2 * FRAMES)));
    let Some(expected) = decoded_by_sox(&desk, &file) else { return };
    only(desk.play(&[&file], &[]), 48_000).is_exactly(&expected);
}

#[test]
fn aiff_and_wav_arrive_as_sox_has_them() {
    for (name, bits) in [("noise.aiff", 16), ("noise.aiff", 24), ("other.wav", 24)] {
        let desk = Desk::new();
        let source = desk.write("source.wav", wav(48_000, 2, bits, &noise(5, 2 * FRAMES)));
        let file = desk.path(name);
        if foreign("sox", &["-D".as_ref(), source.as_ref(), file.as_ref()]).is_none() {
            return;
        }
        let Some(expected) = decoded_by_sox(&desk, &file) else { return };
        only(desk.play(&[&file], &[]), 48_000).is_exactly(&expected);
    }
}

#[test]
fn a_playlist_of_several_rates_leaves_one_capture_for_each_and_plays_without_a_gap_within_one() {
    let desk = Desk::new();
    let list =
        [("a", 44_100, 16, 6), ("b", 44_100, 16, 7), ("c", 96_000, 24, 8), ("d", 44_100, 24, 9)];
    let mut files = Vec::new();
    let mut expected = Vec::new();
    for (name, rate_hz, bits, seed) in list {
        let Some(file) = flac(&desk, name, rate_hz, bits, seed) else { return };
        expected.push(decoded_by_flac(&desk, &file, bits).unwrap());
        files.push(file);
    }
    let names: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let captures = desk.play(&names, &[]);
    let rates: Vec<u32> = captures.iter().map(|capture| capture.rate_hz).collect();
    assert_eq!(rates, [44_100, 96_000, 44_100]);
    captures[0].is_exactly(&[&expected[0][..], &expected[1][..]].concat());
    captures[1].is_exactly(&expected[2]);
    captures[2].is_exactly(&expected[3]);
}

#[test]
fn ogg_vorbis_plays_to_its_end_and_sounds_as_sox_has_it() {
    let desk = Desk::new();
    // Noise that a lossy codec keeps: quiet and slow.
    let slow: Vec<i32> = noise(6, 2 * FRAMES / 32).iter().flat_map(|&s| [s / 4; 32]).collect();
    let source = desk.write("source.wav", wav(48_000, 2, 16, &slow));
    let file = desk.path("slow.ogg");
    if foreign("sox", &["-D".as_ref(), source.as_ref(), file.as_ref()]).is_none() {
        return;
    }
    let Some(expected) = decoded_by_sox(&desk, &file) else { return };
    let capture = only(desk.play(&[&file], &[]), 48_000);
    let lead = capture.samples.len() - expected.len();
    // `sox` rounds to 16 bits: two steps of those are far less than any sound that is another.
    let agrees = |skipped: usize| {
        let captured = &capture.samples[skipped..skipped + expected.len()];
        captured.iter().zip(&expected).all(|(a, b)| a.abs_diff(*b) < 2 << 16)
    };
    assert!((0..=lead).step_by(2).any(agrees), "no shift of whole frames lets them agree");
}

#[test]
fn a_planted_wrong_bit_is_seen() {
    let desk = Desk::new();
    let mut samples = noise(10, 2_000);
    let file = desk.write("noise.wav", wav(48_000, 2, 32, &samples));
    let capture = only(desk.play(&[&file], &[]), 48_000);
    capture.is_exactly(&samples);
    samples[1_234] ^= 1;
    let wrong = std::panic::catch_unwind(|| capture.is_exactly(&samples));
    assert!(wrong.is_err(), "one bit of one sample");
}
