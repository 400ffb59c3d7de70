//! Bad input gets one clear sentence with the cause and what to do, an exit status, and leaves no half-written file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]

mod command;

use command::{Desk, Outcome, foreign, noise, wav};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

const SIMULATED: [&str; 3] = ["--simulated", "--set", "driver.backend='virtual'"];

/// One sentence that holds all these words, and a status that says so.
#[track_caller]
fn refused(outcome: &Outcome, words: &[&str]) {
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let lines: Vec<&str> = outcome.err.lines().collect();
    assert_eq!(lines.len(), 1, "one sentence: {outcome:?}");
    assert!(lines[0].starts_with("barewire: "), "{outcome:?}");
    for forbidden in ["panicked", "unwrap", "RUST_BACKTRACE", "os error 2)…"] {
        assert!(!lines[0].contains(forbidden), "{outcome:?}");
    }
    for word in words {
        assert!(lines[0].contains(word), "{word:?} is not in {outcome:?}");
    }
}

fn play(desk: &Desk, file: &Path) -> Outcome {
    let capture = desk.path("captured");
    let mut arguments: Vec<&OsStr> = SIMULATED.iter().map(OsStr::new).collect();
    arguments.extend([
        "--capture".as_ref(),
        capture.as_os_str(),
        "play".as_ref(),
        file.as_os_str(),
    ]);
    desk.run(&arguments)
}

fn with(desk: &Desk, more: &[&str]) -> Outcome {
    let all: Vec<&str> = SIMULATED.iter().chain(more).copied().collect();
    desk.run(&all)
}

#[test]
fn files_that_are_no_music_are_named_with_what_to_do() {
    let desk = Desk::new();
    let good = wav(48_000, 2, 16, &noise(1, 4_000));
    let patched = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let cases: [(&str, Vec<u8>, &[&str]); 12] = [
        ("empty.flac", Vec::new(), &["empty.flac", "empty"]),
        ("text.wav", b"This is no music at all, it is a text.".repeat(100), &["text.wav"]),
        ("magic.flac", b"fLaC".to_vec(), &["magic.flac"]),
        ("header.wav", good[..30].to_vec(), &["header.wav"]),
        ("nothing.wav", wav(48_000, 2, 16, &[]), &["nothing.wav", "no sound"]),
        ("mute.wav", patched(22, &[0, 0]), &["mute.wav"]),
        ("crowd.wav", patched(22, &[255, 255]), &["crowd.wav"]),
        ("slow.wav", patched(24, &[0, 0, 0, 0]), &["slow.wav"]),
        ("fast.wav", patched(24, &[255, 255, 255, 255]), &["fast.wav", "4294967295 Hz"]),
        ("bits.wav", patched(34, &[13, 0]), &["bits.wav"]),
        ("zeros.ogg", vec![0; 5_000], &["zeros.ogg"]),
        (
            "random.mp3",
            noise(2, 5_000).iter().flat_map(|s| s.to_le_bytes()).collect(),
            &["random.mp3"],
        ),
    ];
    for (name, bytes, words) in cases {
        let file = desk.write(name, bytes);
        let outcome = play(&desk, &file);
        refused(&outcome, words);
        assert!(outcome.err.contains("; "), "what to do: {outcome:?}");
    }
    refused(&play(&desk, &desk.path("missing.flac")), &["missing.flac", "No such file"]);
    refused(&play(&desk, desk.path(".").as_path()), &["directory"]);
    refused(&play(&desk, Path::new("/dev/null")), &["/dev/null"]);
    assert!(!desk.path("captured").exists(), "nothing was opened for any of them");
}

#[test]
fn a_file_that_is_cut_off_plays_as_far_as_it_goes_and_says_so() {
    let desk = Desk::new();
    let samples = noise(3, 40_000);
    let whole = wav(48_000, 2, 16, &samples);
    let file = desk.write("cut.wav", &whole[..whole.len() / 2]);
    refused(&play(&desk, &file), &["cut.wav", "cut off", "0.21"]);
    let captured = std::fs::read_dir(desk.path("captured")).unwrap().next().unwrap().unwrap();
    // The file is valid: reading checks its header against its length.
    let capture = command::Capture::read(&captured.path());
    assert!(capture.samples.iter().any(|&sample| sample != 0), "what there was was played");
}

#[test]
fn a_damaged_flac_is_never_played_as_if_it_were_whole() {
    let desk = Desk::new();
    let source = desk.write("whole.wav", wav(44_100, 2, 16, &noise(4, 60_000)));
    let whole = desk.path("whole.flac");
    if foreign("flac", &["-s".as_ref(), source.as_ref(), "-o".as_ref(), whole.as_ref()]).is_none() {
        return;
    }
    let bytes = std::fs::read(&whole).unwrap();
    // Behind the header of 42 bytes and the block of comments each bit belongs to samples or their checksums.
    let places = noise(5, 40);
    for place in places {
        let at = bytes.len() / 10 + place.unsigned_abs() as usize % (bytes.len() * 8 / 10);
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let file = desk.write("damaged.flac", damaged);
        refused(&play(&desk, &file), &["damaged.flac", "damaged"]);
    }
    for part in [3, 5, 9] {
        let file = desk.write("cut.flac", &bytes[..bytes.len() * part / 10]);
        refused(&play(&desk, &file), &["cut.flac", "damaged"]);
    }
}

#[test]
fn hostile_headers_neither_crash_nor_fill_the_memory() {
    let desk = Desk::new();
    let flac_magic = [&b"fLaC"[..], &[0x80, 0, 0, 34], &[0xFF; 34], &[0xFF; 64]].concat();
    let huge = |mut file: Vec<u8>, at: usize| {
        file[at..at + 4].copy_from_slice(&[0xFF; 4]);
        file
    };
    let good = wav(48_000, 2, 16, &noise(6, 400));
    let mp4 = [&[0xFF, 0xFF, 0xFF, 0xFF][..], b"ftypM4A ", &[0xFF; 64]].concat();
    let aiff = [&b"FORM"[..], &[0x7F, 0xFF, 0xFF, 0xFF], b"AIFFCOMM", &[0x7F; 60]].concat();
    let ogg = [&b"OggS"[..], &[0, 2], &[0xFF; 200]].concat();
    let files: [(&str, Vec<u8>); 7] = [
        ("hostile.flac", flac_magic),
        ("riff.wav", huge(good.clone(), 4)),
        ("format.wav", huge(good.clone(), 16)),
        ("data.wav", huge(good, 40)),
        ("box.m4a", mp4),
        ("form.aiff", aiff),
        ("page.ogg", ogg),
    ];
    for (name, bytes) in files {
        let file = desk.write(name, bytes);
        let capture = desk.path("captured");
        // Half a GiB of address space is plenty for what it does, and far from what these headers claim.
        let script = "ulimit -v 1500000; exec \"$0\" \"$@\"";
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", script, env!("CARGO_BIN_EXE_barewire")]).args(SIMULATED);
        shell.arg("--capture").arg(&capture).arg("play").arg(&file);
        shell.env("BAREWIRE_STATE", desk.path("state")).env_remove("RUST_BACKTRACE");
        let output = shell.output().unwrap();
        let outcome = Outcome {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        if name == "riff.wav" && outcome.code == Some(0) {
            // A length of all ones is how streams are written: the file's end is its end.
            continue;
        }
        refused(&outcome, &[name]);
    }
}

#[test]
fn what_cannot_be_found_is_named_with_where_to_look() {
    let desk = Desk::new();
    let file = desk.write("good.wav", wav(48_000, 2, 16, &noise(7, 400)));
    let good = file.to_str().unwrap();
    let none = with(&desk, &["--device", "virtual:nowhere", "play", good]);
    refused(&none, &["virtual:nowhere", "barewire devices"]);
    let none = with(&desk, &["--driver", "Nobody's driver", "play", good]);
    refused(&none, &["Nobody's driver", "barewire drivers"]);
    let none = with(&desk, &["--settings", "nowhere.toml", "play", good]);
    refused(&none, &["nowhere.toml", "no such settings file"]);
    let none = with(&desk, &["--profile", "night", "play", good]);
    refused(&none, &["night", "no profile"]);
}

#[test]
fn a_wrong_setting_is_named_with_its_place_and_the_nearest_right_one() {
    let desk = Desk::new();
    let file = desk.write("good.wav", wav(48_000, 2, 16, &noise(8, 400)));
    let good = file.to_str().unwrap();
    let cases = [
        ("[driver]\nbackned = \"virtual\"\n", vec![":2:1", "backned", "driver.backend"]),
        ("[driver]\nbackend = \"virtaul\"\n", vec![":2:11", "virtaul", "virtual"]),
        ("[blocks]\nmin_frames = 0\n", vec![":2:14", "from 1 to"]),
        ("[blocks\n", vec![":1:"]),
        ("[input]\ndevice = \"none\"\n[output]\ndevice = \"none\"\n", vec!["both"]),
    ];
    for (text, words) in cases {
        let settings = desk.write("settings.toml", text);
        refused(&with(&desk, &["--settings", settings.to_str().unwrap(), "play", good]), &words);
    }
    refused(&with(&desk, &["--set", "output.gain=loud", "play", good]), &["output.gain"]);
}

#[test]
fn impossible_rates_channels_and_blocks_are_refused_with_what_is_possible() {
    let desk = Desk::new();
    let file = desk.write("odd.wav", wav(45_678, 2, 16, &noise(9, 400)));
    refused(&play(&desk, &file), &["45678", "44100"]);
    let good = desk.write("good.wav", wav(48_000, 2, 16, &noise(9, 400)));
    let good = good.to_str().unwrap();
    refused(&with(&desk, &["--block", "0", "play", good]), &["blocks.preferred_frames"]);
    let outcome = with(
        &desk,
        &[
            "--set",
            "blocks.max_frames=64",
            "--set",
            "blocks.min_frames=64",
            "--block",
            "65",
            "play",
            good,
        ],
    );
    refused(&outcome, &["65"]);
    let mono = with(&desk, &["--set", "virtual.outputs=0", "play", good]);
    refused(&mono, &["no outputs"]);
    let rate = with(&desk, &["verify", "--rate", "1"]);
    refused(&rate, &["1 Hz", "48000"]);
}

#[test]
fn an_output_that_cannot_be_written_is_named_and_nothing_half_written_stays() {
    let desk = Desk::new();
    let good = desk.write("good.wav", wav(48_000, 2, 16, &noise(10, 400)));
    let record = |file: &str| with(&desk, &["record", "--seconds", "0.1", file]);
    refused(&record("no/such/folder/out.wav"), &["no/such/folder/out.wav"]);
    let folder = desk.path("folder.wav");
    std::fs::create_dir(&folder).unwrap();
    refused(&record("folder.wav"), &["folder.wav"]);
    // What cannot be recorded leaves no file behind.
    let outcome =
        with(&desk, &["--set", "virtual.inputs=0", "record", "--seconds", "0.1", "out.wav"]);
    refused(&outcome, &["no inputs"]);
    assert!(!desk.path("out.wav").exists());
    // What was there before is not touched by what fails.
    std::fs::write(desk.path("keep.wav"), "precious").unwrap();
    let outcome = with(
        &desk,
        &["--device", "virtual:nowhere", "record", "--force", "--seconds", "0.1", "keep.wav"],
    );
    refused(&outcome, &["virtual:nowhere"]);
    refused(&record("keep.wav"), &["keep.wav", "--force"]);
    assert_eq!(std::fs::read_to_string(desk.path("keep.wav")).unwrap(), "precious");
    // The virtual device's captures.
    let blocked = desk.write("blocked", "a file");
    let outcome =
        with(&desk, &["--capture", blocked.to_str().unwrap(), "play", good.to_str().unwrap()]);
    refused(&outcome, &["blocked"]);
}

/// Drivers as the interface has them on Linux, each with one manner that no host should die of.
const MISBEHAVED: &str = r#"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int init_fails(void *self, void *handle) { (void)self; (void)handle; return 0; }
static void name(void *self, char *text) { (void)self; strcpy(text, "Misbehaved"); }
static long version(void *self) { (void)self; return 1; }
static void message(void *self, char *text) { (void)self; strcpy(text, "the cable is on fire"); }
static long none(void *self, void *a, void *b) { (void)self; (void)a; (void)b; return -1000; }
static long crash(void *self, void *a, void *b) { (void)self; (void)a; (void)b; abort(); }
static void *table[24];
static struct { void **table; } object = { table };
void *instantiateDriver(void) {
    for (int n = 0; n < 24; n++) table[n] = MANNER == 4 ? (void *)crash : (void *)none;
    table[3] = (void *)init_fails;
    table[4] = (void *)name;
    table[5] = (void *)version;
    table[6] = (void *)message;
    if (MANNER == 4) { table[3] = (void *)crash; }
    if (MANNER == 1) return NULL;
    if (MANNER == 2) abort();
    if (MANNER == 3) for (;;) sleep(1);
    return &object;
}
"#;

#[test]
fn a_driver_that_misbehaves_takes_nothing_along() {
    let desk = Desk::new();
    let good = desk.write("good.wav", wav(48_000, 2, 16, &noise(12, 400)));
    let source = desk.write("misbehaved.c", MISBEHAVED);
    let manners = [
        ("1", "its factory gave no driver"),
        ("2", "crashed"),
        ("3", "did not answer"),
        ("4", "crashed"),
        ("5", "the cable is on fire"),
    ];
    for (manner, words) in manners {
        let library = desk.path(&format!("misbehaved{manner}.so"));
        // The compiler that links Rust programs.
        let mut compiler = std::process::Command::new("cc");
        compiler.args(["-shared", "-fPIC", &format!("-DMANNER={manner}"), "-o"]);
        assert!(compiler.args([&library, &source]).status().unwrap().success());
        let outcome =
            with(&desk, &["--driver", library.to_str().unwrap(), "play", good.to_str().unwrap()]);
        refused(&outcome, &["misbehaved", words]);
    }
}

#[test]
fn a_file_that_is_no_driver_is_said_to_be_none() {
    let desk = Desk::new();
    let good = desk.write("good.wav", wav(48_000, 2, 16, &noise(11, 400)));
    let text = desk.write("text.so", "this is no shared object");
    let truncated =
        desk.write("cut.so", &std::fs::read(env!("CARGO_BIN_EXE_barewire")).unwrap()[..4096]);
    for file in [&text, &truncated] {
        let outcome =
            with(&desk, &["--driver", file.to_str().unwrap(), "play", good.to_str().unwrap()]);
        refused(&outcome, &[file.to_str().unwrap()]);
    }
    let libc =
        ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6", "/lib64/libc.so.6"];
    if let Some(libc) = libc.iter().map(PathBuf::from).find(|path| path.exists()) {
        let outcome =
            with(&desk, &["--driver", libc.to_str().unwrap(), "play", good.to_str().unwrap()]);
        refused(&outcome, &["libc.so.6", "driver"]);
    }
}
