//! The command proves what the driver promises: exactness for every format and layout, latencies to the frame, and files
//! that are whole when it is interrupted.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]

mod command;

use command::{Capture, Desk, noise, wav};
use std::process::Stdio;
use std::time::{Duration, Instant};

const SIMULATED: [&str; 4] = ["--simulated", "--json", "--set", "driver.backend='virtual'"];

fn with(desk: &Desk, more: &[String]) -> command::Outcome {
    let all: Vec<&str> = SIMULATED.iter().copied().chain(more.iter().map(String::as_str)).collect();
    desk.run(&all)
}

fn set(words: &[String]) -> Vec<String> {
    words.iter().flat_map(|word| ["--set".to_owned(), word.clone()]).collect()
}

#[test]
fn verify_says_exact_for_every_integer_format_layout_and_many_channel_counts() {
    let desk = Desk::new();
    for (format, bits) in [("int16", 16), ("int24", 24), ("int24in32", 24), ("int32", 32)] {
        for layout in ["interleaved", "planar"] {
            for channels in [1, 2, 3, 8, 64] {
                let mut arguments = set(&[
                    format!("virtual.formats=['{format}']"),
                    format!("virtual.layout='{layout}'"),
                    format!("virtual.inputs={channels}"),
                    format!("virtual.outputs={channels}"),
                    format!("virtual.loop_delay_frames={channels}"),
                ]);
                arguments.extend(["verify", "--frames", "3000"].map(str::to_owned));
                let report = with(&desk, &arguments).json();
                let case = format!("{format}, {layout}, {channels} channels");
                assert_eq!(report["exact"], true, "{case}: {report}");
                assert_eq!(report["measured"], format!("exact ({bits} bits)"), "{case}");
                assert_eq!(report["predicted"], report["measured"], "{case}");
                assert_eq!(report["device_format"], format, "{case}");
                assert_eq!(report["channels"], channels.max(1), "{case}");
            }
        }
    }
}

#[test]
fn verify_is_not_fooled_by_a_path_that_is_not_exact() {
    let desk = Desk::new();
    let cases = [
        ("output.gain=0.5", "scaled"),
        ("output.channel_map=[2, 1]", "swapped"),
        ("virtual.faults=[{ at_frames = 1000, fault = 'miss', for_frames = 7 }]", ""),
    ];
    for (setting, word) in cases {
        let mut arguments = set(&[setting.to_owned()]);
        arguments.extend(["verify", "--frames", "3000"].map(str::to_owned));
        let outcome = with(&desk, &arguments);
        assert_eq!(outcome.code, Some(1), "{setting}: {outcome:?}");
        assert!(outcome.out.contains("\"measured\": \"not exact\""), "{setting}: {outcome:?}");
        assert!(outcome.out.contains(word), "{setting}: {outcome:?}");
    }
}

#[test]
fn reported_latency_is_measured_latency() {
    let desk = Desk::new();
    for block in [32, 64, 100, 480, 1024] {
        for period in ["'auto'", "48", "64", "441"] {
            for ready in ["direct", "queued"] {
                let mut arguments = set(&[
                    format!("virtual.fixed_period_frames={period}"),
                    format!("driver.output_ready='{ready}'"),
                ]);
                arguments.extend(["--block".to_owned(), block.to_string(), "latency".to_owned()]);
                let report = with(&desk, &arguments).json();
                let difference = report["difference_frames"].as_i64().unwrap();
                assert!(difference.abs() <= 1, "block {block}, period {period}, {ready}: {report}");
            }
        }
    }
}

#[test]
fn a_measured_offset_is_stored_and_then_told() {
    let desk = Desk::new();
    // A correction that is wrong, beside a line that is to stay.
    let text = "[output]\nlatency_offset_frames = -33\ngain = 1.0 # unity\n";
    let settings = desk.write("s.toml", text);
    let latency = |more: &[&str]| {
        let mut all = vec!["--settings", settings.to_str().unwrap()];
        all.push("latency");
        all.extend(more);
        with(&desk, &all.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(latency(&["--store"]).json()["difference_frames"], 33);
    assert_eq!(latency(&[]).json()["difference_frames"], 0);
    assert!(std::fs::read_to_string(&settings).unwrap().contains("gain = 1.0 # unity"), "kept");
}

/// Lets a run go on for a while, then asks it to end, and gives what it said.
fn interrupted(
    desk: &Desk,
    arguments: &[&str],
    signal: &str,
    is_under_way: impl Fn() -> bool,
) -> command::Outcome {
    let mut command = desk.command(arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let hang = Instant::now() + Duration::from_secs(60);
    while !is_under_way() {
        assert!(Instant::now() < hang, "it does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    command::Outcome {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn an_interrupted_command_ends_cleanly_with_whole_files() {
    for signal in ["-INT", "-TERM"] {
        let desk = Desk::new();
        let samples = noise(1, 2 * 48_000 * 60);
        let file = desk.write("minute.wav", wav(48_000, 2, 16, &samples));
        let (name, captured) = (file.to_str().unwrap().to_owned(), desk.path("captured"));
        let long_enough =
            |path: &std::path::Path| path.metadata().is_ok_and(|file| file.len() > 100_000);
        let capture = captured.join("capture-001-48000Hz.wav");
        let virtual_one = ["--set", "driver.backend='virtual'"];
        let play =
            [&virtual_one[..], &["--capture", captured.to_str().unwrap(), "play", &name]].concat();
        let outcome = interrupted(&desk, &play, signal, || long_enough(&capture));
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.err.contains("interrupted"), "{outcome:?}");
        let heard = Capture::read(&capture);
        assert!(heard.samples.len() < samples.len(), "it did not play to the end");
        let begin = heard.samples.iter().position(|&sample| sample != 0).unwrap();
        let end = heard.samples.iter().rposition(|&sample| sample != 0).unwrap();
        let first = samples.iter().position(|&sample| sample >> 16 != 0).unwrap();
        let played = &heard.samples[begin..=end];
        assert!(played.len() > 10_000);
        assert!(played.iter().zip(&samples[first..]).all(|(a, b)| *a == b >> 16 << 16));

        let out = desk.path("take.wav");
        let record = [&virtual_one[..], &["record", "take.wav"]].concat();
        let outcome = interrupted(&desk, &record, signal, || {
            // The file may be a draft until it is whole.
            std::fs::read_dir(desk.path(".")).unwrap().flatten().any(|entry| {
                entry.file_name().to_string_lossy().contains("take") && long_enough(&entry.path())
            })
        });
        assert!(outcome.code == Some(0) || outcome.err.contains("interrupted"), "{outcome:?}");
        assert!(Capture::header(&out).2 > 0, "a whole file");
    }
}

#[test]
fn play_says_that_no_hardware_was_found_only_if_none_was_chosen() {
    let desk = Desk::new();
    let file = desk.write("short.wav", wav(48_000, 2, 16, &noise(2, 4_000)));
    let capture = desk.path("captured");
    let play = |more: &[&str]| {
        let mut all = vec!["--capture", capture.to_str().unwrap()];
        all.extend(more);
        all.extend(["play", file.to_str().unwrap()]);
        desk.run(&all)
    };
    let chosen = play(&["--device", "virtual:loop"]);
    assert_eq!(chosen.code, Some(0), "{chosen:?}");
    assert!(!chosen.out.contains("No sound hardware"), "{chosen:?}");
    assert!(chosen.out.contains("is written to"), "{chosen:?}");
    if std::path::Path::new("/dev/snd").exists() {
        println!("not judged here: this machine may have hardware");
        return;
    }
    let automatic = play(&[]);
    assert!(automatic.out.contains("No sound hardware was found"), "{automatic:?}");
    assert!(automatic.out.contains("is written to"), "{automatic:?}");
}

#[test]
fn the_certificate_tells_value_and_container_apart_and_its_hashes_agree() {
    let desk = Desk::new();
    let page = desk.path("certificate.md");
    let mut arguments = set(&["virtual.formats=['int24in32']".to_owned()]);
    arguments.push("--set".to_owned());
    arguments.push("driver.sample_type='int32'".to_owned());
    arguments.extend(["verify", "--frames", "3000", "--page"].map(str::to_owned));
    arguments.push(page.display().to_string());
    let report = with(&desk, &arguments).json();
    assert_eq!((&report["exact"], &report["container_exact"]), (&true.into(), &false.into()));
    assert_eq!((&report["bits"], &report["container_bits"]), (&24.into(), &32.into()));
    let patterns = report["patterns"].as_array().unwrap();
    for proof in patterns {
        let same = proof["sent_sha256"] == proof["received_sha256"];
        assert_eq!(proof["exact"], same, "{proof}");
    }
    assert_eq!(patterns.iter().filter(|proof| proof["bits"] == 32).count(), 1);
    let stored = std::fs::read_to_string(page.with_extension("json")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&stored).unwrap(), report);
    let text = std::fs::read_to_string(page).unwrap();
    assert!(text.contains("value-exact (24 bits): yes; container-exact (32 bits): no"), "{text}");
}
