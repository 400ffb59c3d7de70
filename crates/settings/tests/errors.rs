//! What is wrong is told with line, column and the nearest right word.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test may stop the world"
)]

use barewire_settings::{Settings, SettingsError, Sources, Store};
use std::fs;

fn problems(text: &str) -> Vec<SettingsError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("barewire.toml");
    fs::write(&file, text).unwrap();
    Store::new(Sources::default().named(file)).load().problems
}

/// The only problem: line, column, what the message must contain, the suggestion.
#[track_caller]
fn one(text: &str, line: u32, column: u32, contains: &str, suggestion: Option<&str>) {
    let found = problems(text);
    let [problem] = &found[..] else { panic!("{text}: {found:?}") };
    assert_eq!((problem.line, problem.column), (line, column), "{text}: {problem}");
    assert!(problem.message.contains(contains), "{text}: {problem}");
    assert_eq!(problem.suggestion.as_deref(), suggestion, "{text}: {problem}");
}

#[test]
fn an_unknown_word_is_told_with_its_place_and_the_nearest_right_one() {
    one(
        "[driver]\nbackned = \"alsa\"\n",
        2,
        1,
        "unknown key `driver.backned`",
        Some("driver.backend"),
    );
    one("backend = \"alsa\"\n", 1, 1, "unknown key `backend`", Some("driver.backend"));
    one("[ouptut]\n", 1, 2, "unknown section `ouptut`", Some("output"));
    one("[blocks]\n  min = 64\n", 2, 3, "unknown key `blocks.min`", Some("blocks.min_frames"));
    one("[driver]\nbackend = \"also\"\n", 2, 11, "`also` is not `auto`", Some("alsa"));
    one("[output]\nformat = \"int42\"\n", 2, 10, "int42", Some("int24"));
    one("[output]\ndevice = { nam = \"x\" }\n", 2, 10, "not by `nam`", Some("name"));
    one("[xyzzy]\n", 1, 2, "unknown section", None);
    one("[profile.night.outptu]\ngain = 1\n", 1, 16, "unknown section", Some("output"));
}

#[test]
fn the_column_counts_characters_not_bytes() {
    one("[virtual]\ntitle = \"ü\"\n# äöü\n\"ößßö\" = 1\n", 4, 1, "unknown key", None);
    one("[virtual]\nfaults = [] # ä\ntitle = 'ä'\nname = 3\n", 4, 8, "`3` is not a text", None);
    let wide = "virtual = { title = \"äöü\", nam = \"x\" }\n";
    one(wide, 1, 28, "unknown key `virtual.nam`", Some("virtual.name"));
}

#[test]
fn an_impossible_value_is_told_with_what_is_possible() {
    one("[blocks]\nmin_frames = 0\n", 2, 14, "`\"auto\"` or an integer from 1 to 1048576", None);
    one("[output]\nchannels = -1\n", 2, 12, "from 1 to 256", None);
    one("[output]\nchannels = 2.0\n", 2, 12, "an integer", None);
    one("[output]\ngain = 9\n", 2, 8, "from 0 to 8", None);
    one("[output]\ngain = nan\n", 2, 8, "from 0 to 8", None);
    one("[output]\nchannel_map = [1, 0]\n", 2, 19, "a channel from 1 to 256", None);
    one("[virtual]\nrates_hz = [44100, 1]\n", 2, 20, "a rate in hertz", None);
    one("[output]\ndevice = \"\"\n", 2, 10, "is not", None);
    one("output = 3\n", 1, 1, "write `[output]`", None);
    one("profile = 3\n", 1, 1, "write `[profile]`", None);
    one("[profile]\nnight = 3\n", 2, 1, "write `[profile.night.output]`", None);
    let many = format!("[output]\nchannel_map = [{}]\n", "1,".repeat(257));
    one(&many, 2, 15, "257 entries are too many", None);
    let fault = |rest: &str| format!("[virtual]\nfaults = [{{ at_frames = 1, {rest} }}]\n");
    one(&fault("fault = \"mis\""), 2, 11, "`mis` is no fault", Some("miss"));
    one(&fault("fault = \"miss\""), 2, 11, "lacks `for_frames`", None);
    one(&fault("fault = \"miss\", for_ns = 3"), 2, 11, "has no `for_ns`", None);
    one(&fault("fault = \"stall\", for_ns = -3"), 2, 54, "not negative", None);
    one(&fault("falt = \"stall\""), 2, 11, "has no `falt`", Some("fault"));
}

#[test]
fn values_that_contradict_each_other_are_told_at_the_one_to_blame() {
    one(
        "[blocks]\nmax_frames = 64\nmin_frames = 128\n",
        3,
        14,
        "more than `blocks.max_frames`",
        None,
    );
    one("[blocks]\nmin_frames = 64\npreferred_frames = 32\n", 3, 20, "less than", None);
    one("[blocks]\nmax_frames = 64\npreferred_frames = 65\n", 3, 20, "more than", None);
    one(
        "[blocks]\ngranularity = \"powers-of-two\"\nmin_frames = 48\n",
        3,
        14,
        "powers of two",
        None,
    );
    one(
        "[blocks]\ngranularity = 32\nmin_frames = 48\nmax_frames = 100\n",
        4,
        14,
        "steps of 32",
        None,
    );
    one(
        "[blocks]\ngranularity = \"fixed\"\nmin_frames = 48\npreferred_frames = 64\n",
        3,
        14,
        "64 alone",
        None,
    );
    one(
        "[input]\ndevice = \"none\"\n[output]\ndevice = \"none\"\n",
        4,
        10,
        "nothing to record",
        None,
    );
    one(
        "[driver]\nbackend = \"jack\"\n[input]\ndevice = \"alsa:hw\"\n",
        4,
        10,
        "`driver.backend` is `jack`",
        None,
    );
    one("[input]\nchannels = 2\nchannel_map = [1, 3]\n", 3, 15, "names channel 3", None);
    one("[input]\nchannel_map = []\n", 2, 15, "is empty", None);
    one("[driver]\nsample_type = \"int24in32\"\n", 2, 15, "`int32`", None);
    one("[driver]\nsample_type = \"dsd8lsb\"\n", 2, 15, "DSD", None);
    one("[virtual]\nsink = \"wav\"\n", 2, 8, "`virtual.sink_path`", None);
    one("[virtual]\nsource = \"raw\"\n", 2, 10, "`virtual.source_path`", None);
    one("[virtual]\ninputs = 0\noutputs = 0\n", 3, 11, "neither", None);
    one("[virtual]\nformats = []\n", 2, 11, "no sample format", None);
    one("[virtual]\nrates_hz = []\n", 2, 12, "no rate", None);
    one("[virtual]\nmin_period_frames = 9000\n", 2, 21, "more than the greatest", None);
    one("[virtual]\nfixed_period_frames = 9000\n", 2, 23, "not within 8 to 8192", None);
    let unordered =
        "faults = [{ at_frames = 2, fault = \"unplug\" }, { at_frames = 1, fault = \"unplug\" }]";
    one(&format!("[virtual]\n{unordered}\n"), 2, 10, "ascending", None);
    // In a profile that nobody has chosen yet, too; the base is right.
    let profile = "[blocks]\nmax_frames = 64\n[profile.big.blocks]\nmin_frames = 128\n";
    one(profile, 4, 14, "more than `blocks.max_frames`", None);
}

#[test]
fn a_text_that_is_no_toml_is_told_at_the_place_where_it_ends_to_be_one() {
    one("[driver]\nbackend = \n", 2, 11, "", None);
    one("[driver]\nbackend = \"alsa\"\nbackend = \"jack\"\n", 3, 1, "duplicate key", None);
    let problems = problems("[driver\nbackend = 3\n");
    assert_eq!(problems[0].line, 1);
}

#[test]
fn every_problem_of_a_file_is_told_at_once() {
    let text = "[driver]\nbackned = 1\nmode = \"x\"\n[output]\nchannels = 0\n";
    let lines: Vec<u32> = problems(text).iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 3, 5]);
}

#[test]
fn a_problem_reads_as_one_sentence_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("barewire.toml");
    fs::write(&file, "[driver]\nbackned = 1\n").unwrap();
    let problem = Store::new(Sources::default().named(&file)).load().problems.remove(0);
    let expected =
        "barewire.toml:2:1: unknown key `driver.backned`; did you mean `driver.backend`?";
    assert!(problem.to_string().ends_with(expected), "{problem}");
    assert_eq!(&fs::read_to_string(&file).unwrap()[problem.span.clone()], "backned");
    let error = barewire_types::Error::from(problem);
    assert!(error.to_string().ends_with("did you mean `driver.backend`?"), "{error}");
}

#[test]
fn every_default_is_a_value_that_its_own_key_takes() {
    for spec in Settings::keys() {
        let found = problems(&format!("{} = {}\n", spec.key, spec.default));
        assert_eq!(found, [], "{} = {}", spec.key, spec.default);
        assert!(!spec.doc.is_empty() && !spec.allowed.is_empty(), "{}", spec.key);
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[\\[\\]{}=.\"'#a-z0-9, \n\\\\_-]{0,60}") {
        problems(&text);
    }
}

#[test]
fn no_value_of_any_key_makes_it_panic() {
    const VALUES: [&str; 22] = [
        "0",
        "-1",
        "1",
        "9223372036854775807",
        "-9223372036854775808",
        "1e308",
        "nan",
        "inf",
        "true",
        "\"\"",
        "\"auto\"",
        "\"\\u0000\"",
        "[]",
        "[[]]",
        "[1, \"a\"]",
        "{}",
        "{ a = 1 }",
        "{ id = {} }",
        "1979-05-27",
        "[{}]",
        "[{ at_frames = 1 }]",
        "\"*\"",
    ];
    for key in Settings::keys() {
        for value in VALUES {
            for problem in problems(&format!("{} = {value}\n", key.key)) {
                assert!(
                    problem.line == 1 && problem.column > 0,
                    "{} = {value}: {problem}",
                    key.key
                );
            }
        }
    }
}
