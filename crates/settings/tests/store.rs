//! Which text wins, what holds when one is broken, and how a change is seen and written.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test may stop the world"
)]

use barewire_settings::{
    BackendChoice, DeviceChoice, FaultKind, InForce, MapEntry, Place, SET_VARIABLE, SizeStep,
    Sources, Store, VirtualFault, reference_page, write_key,
};
use std::fs;
use std::path::PathBuf;

struct Folder {
    folder: tempfile::TempDir,
    sources: Sources,
}

fn folder(text: &str) -> Folder {
    let folder = tempfile::tempdir().unwrap();
    let sources = Sources {
        state_directory: Some(folder.path().join("state")),
        ..Sources::default().named(folder.path().join("barewire.toml"))
    };
    let folder = Folder { folder, sources };
    folder.write(text);
    folder
}

impl Folder {
    fn file(&self) -> PathBuf {
        self.folder.path().join("barewire.toml")
    }

    fn write(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn store(&self) -> Store {
        Store::new(self.sources.clone())
    }
}

#[test]
fn everything_that_can_be_said_is_read() {
    let text = r#"
[driver]
backend = "virtual"
sample_type = "float32"
[input]
device = "none"
[output]
device = { pattern = "baby*" }
channels = 4
channel_map = [4, "none", 1]
gain = 0.5
pad_to_channels = 2
latency_offset_frames = -12
[blocks]
granularity = "powers-of-two"
[virtual]
rates_hz = [44100, 48000]
[[virtual.faults]]
at_frames = 10
fault = "late-wake"
for_ns = 5
[[virtual.faults]]
at_frames = 20
fault = "unplug"
"#;
    let loaded = folder(text).store().load();
    assert_eq!(loaded.problems, []);
    let settings = loaded.settings;
    assert_eq!(settings.driver.backend, BackendChoice::Virtual);
    assert_eq!(settings.input.device, DeviceChoice::None);
    assert_eq!(settings.output.device, DeviceChoice::Pattern("baby*".into()));
    let map = settings.output.channel_map.unwrap();
    assert_eq!(map, [MapEntry::Device(3), MapEntry::Silent, MapEntry::Device(0)]);
    assert!((settings.mix.gain - 0.5).abs() < f64::EPSILON);
    assert_eq!(settings.output.latency_offset_frames, -12);
    assert_eq!(settings.blocks.granularity, Some(SizeStep::PowersOfTwo));
    let faults = [
        VirtualFault { at_frames: 10, kind: FaultKind::LateWake(5) },
        VirtualFault { at_frames: 20, kind: FaultKind::Unplug(None) },
    ];
    assert_eq!(settings.virtual_device.faults, faults);
}

#[test]
fn the_later_text_wins_and_each_value_tells_where_it_comes_from() {
    let here = folder(
        "[output]\nchannels = 2\nformat = \"int16\"\nlatency_offset_frames = 1\npad_to_channels = 2\n\
         [profile.night.output]\nformat = \"int24\"\nlatency_offset_frames = 2\npad_to_channels = 3\n",
    );
    let sources = Sources {
        profile: Some("night".into()),
        environment: "output.latency_offset_frames = 3\noutput.pad_to_channels = 4".into(),
        arguments: vec!["output.pad_to_channels=5".into(), "driver.backend=virtual".into()],
        ..here.sources.clone()
    };
    let loaded = Store::new(sources).load();
    assert_eq!(loaded.problems, []);
    let entry = |key: &str| {
        let entry = loaded.entries().into_iter().find(|entry| entry.key == key).unwrap();
        (entry.value, entry.origin.place, entry.origin.line, entry.origin.profile)
    };
    let file = || Place::File(here.file());
    assert_eq!(entry("log.level"), ("\"info\"".into(), Place::Default, 0, None));
    assert_eq!(entry("output.channels"), ("2".into(), file(), 2, None));
    assert_eq!(entry("output.format"), ("\"int24\"".into(), file(), 7, Some("night".into())));
    let variable = Place::Environment(SET_VARIABLE);
    assert_eq!(entry("output.latency_offset_frames"), ("3".into(), variable, 1, None));
    assert_eq!(entry("output.pad_to_channels"), ("5".into(), Place::CommandLine, 1, None));
    assert_eq!(entry("driver.backend"), ("\"virtual\"".into(), Place::CommandLine, 2, None));
}

#[test]
fn a_broken_file_keeps_the_last_good_settings_and_says_so() {
    let here = folder("[output]\nchannels = 4\n");
    let mut store = here.store();
    assert_eq!(store.load().settings.output.channels, Some(4));
    for broken in [
        "[output]\nchannels = 5\nformat = 3\n",
        "[output\n",
        "output.device = \"none\"\ninput.device = \"none\"\n",
    ] {
        here.write(broken);
        let same_process = store.load();
        let next_process = here.store().load();
        for loaded in [same_process, next_process] {
            assert_eq!(loaded.settings.output.channels, Some(4), "{broken}");
            assert_eq!(loaded.in_force, InForce::LastGood, "{broken}");
            assert_eq!(loaded.origin("output.channels").place, Place::LastGood(here.file()));
            assert_eq!(loaded.problems.len(), 1, "{broken}");
            assert!(loaded.fallback().unwrap().contains("last good"));
        }
    }
    here.write("[output]\nchannels = 6\n");
    let mended = store.load();
    assert_eq!((mended.settings.output.channels, mended.in_force), (Some(6), InForce::File));
    assert!(mended.problems.is_empty() && mended.fallback().is_none());
}

#[test]
fn a_file_that_never_was_right_leaves_the_defaults() {
    let loaded = folder("[output]\nchannels = 4\nformat = 3\n").store().load();
    assert_eq!((loaded.settings.output.channels, loaded.in_force), (None, InForce::Defaults));
    assert_eq!(loaded.problems.len(), 1);
}

#[test]
fn a_last_good_copy_belongs_to_its_own_file() {
    let here = folder("[output]\nchannels = 4\n");
    here.store().load();
    let other = here.folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("barewire.toml"), "broken").unwrap();
    let loaded = Store::new(here.sources.clone().named(other.join("barewire.toml"))).load();
    assert_eq!((loaded.settings.output.channels, loaded.in_force), (None, InForce::Defaults));
}

#[test]
fn a_missing_file_is_an_error_only_if_a_person_named_it() {
    let here = folder("");
    fs::remove_file(here.file()).unwrap();
    assert!(here.store().load().problems[0].message.contains("no such settings file"));
    let unnamed = Sources { must_exist: false, ..here.sources.clone() };
    let loaded = Store::new(unnamed).load();
    assert_eq!((loaded.problems.len(), loaded.in_force), (0, InForce::File));
}

#[test]
fn what_is_no_text_file_is_refused_in_words() {
    let here = folder("");
    let message = |here: &Folder| here.store().load().problems[0].message.clone();
    fs::write(here.file(), b"[driver]\n# \xff\xfe\n").unwrap();
    assert!(message(&here).contains("line 2 is not UTF-8"), "{}", message(&here));
    fs::write(here.file(), "#".repeat((1 << 20) + 1)).unwrap();
    assert!(message(&here).contains("longer than"));
    fs::remove_file(here.file()).unwrap();
    fs::create_dir(here.file()).unwrap();
    assert!(message(&here).contains("not a file"));
}

#[test]
fn a_broken_environment_or_command_line_is_left_out_and_told() {
    let here = folder("[blocks]\nmax_frames = 64\n");
    let with = |environment: &str, argument: &str| {
        let sources = Sources {
            environment: environment.into(),
            arguments: vec![argument.into()],
            ..here.sources.clone()
        };
        Store::new(sources).load()
    };
    let loaded = with("output.channels = 0", "output.channels=3");
    assert_eq!(loaded.settings.output.channels, Some(3));
    assert_eq!(loaded.problems[0].place, Place::Environment(SET_VARIABLE));
    // It contradicts the file: then it is the one to be left out.
    let loaded = with("", "blocks.min_frames=128");
    assert_eq!(loaded.settings.blocks.min_frames, None);
    assert_eq!(loaded.settings.blocks.max_frames, Some(64));
    assert_eq!((loaded.problems.len(), &loaded.problems[0].place), (1, &Place::CommandLine));
    let blamed = with("", "blocks.max_frames = 32\nblocks.preferred_frames = 64");
    assert_eq!(blamed.problems[0].line, 2);
    assert_eq!(blamed.in_force, InForce::File);
}

#[test]
fn an_unknown_profile_is_told_with_the_nearest_one() {
    let here = folder("[profile.night.output]\ngain = 0.5\n[profile.empty]\n");
    let sources = Sources { profile: Some("nihgt".into()), ..here.sources.clone() };
    let loaded = Store::new(sources).load();
    assert_eq!(loaded.problems[0].suggestion.as_deref(), Some("night"));
    assert_eq!((loaded.profile, loaded.settings.mix.gain), (None, 1.0));
    assert_eq!(loaded.profiles, ["night", "empty"]);
}

#[test]
fn a_change_is_seen_once_it_has_come_to_rest() {
    let here = folder("[output]\nchannels = 4\n");
    let mut store = here.store();
    store.load();
    assert!(!store.changed() && !store.changed(), "nothing has changed");
    here.write("[output]\nchannels = 16\n");
    assert!(!store.changed(), "the writer may be at it still");
    here.write("[output]\nchannels = 128\n");
    assert!(!store.changed(), "and was");
    assert!(store.changed());
    assert_eq!(store.load().settings.output.channels, Some(128));
    assert!(!store.changed() && !store.changed());
    fs::remove_file(here.file()).unwrap();
    assert!(!store.changed());
    assert!(store.changed(), "it is gone");
}

#[test]
fn a_change_within_one_step_of_the_file_systems_clock_is_seen() {
    let here = folder("[output]\nchannels = 4\n");
    let mut store = here.store();
    store.load();
    let stamp = fs::metadata(here.file()).unwrap().modified().unwrap();
    here.write("[output]\nchannels = 5\n");
    fs::File::options().write(true).open(here.file()).unwrap().set_modified(stamp).unwrap();
    assert!(!store.changed());
    assert!(store.changed(), "length and stamp are the same, the text is not");
}

#[test]
fn a_key_is_written_and_all_else_stays() {
    let text = "# mine\n[output]\n  device = \"none\" # why\n\n[input]\nlatency_offset_frames = 3   # measured\n";
    let here = folder(text);
    write_key(&here.file(), "input.latency_offset_frames", "-7").unwrap();
    assert_eq!(here.text(), text.replace("= 3 ", "= -7 "));
    write_key(&here.file(), "output.latency_offset_frames", "9").unwrap();
    write_key(&here.file(), "profile.a.b.output.gain", "0.5").unwrap();
    write_key(&here.file(), "driver.backend", "virtual").unwrap();
    let loaded = here.store().load();
    assert_eq!(loaded.problems, [], "{}", here.text());
    assert_eq!(loaded.settings.output.latency_offset_frames, 9);
    assert_eq!(loaded.settings.driver.backend, BackendChoice::Virtual);
    assert_eq!(loaded.profiles, ["a.b"]);
    assert!(here.text().starts_with("# mine\n[output]\n  device = \"none\" # why\n"));
    let names: Vec<_> = fs::read_dir(here.folder.path()).unwrap().collect();
    assert_eq!(names.len(), 2, "the file and the state: nothing is left beside them");
}

#[test]
fn a_key_can_be_written_where_there_is_no_file() {
    let here = folder("");
    let file = here.folder.path().join("new/barewire.toml");
    write_key(&file, "output.latency_offset_frames", "9").unwrap();
    let loaded = Store::new(here.sources.clone().named(&file)).load();
    assert_eq!((loaded.problems.len(), loaded.settings.output.latency_offset_frames), (0, 9));
}

#[test]
fn what_must_not_be_written_leaves_the_file_as_it_was() {
    let refused = |text: &str, key: &str, value: &str| {
        let here = folder(text);
        let error = write_key(&here.file(), key, value).unwrap_err();
        assert_eq!(here.text(), text, "{error}");
        error.to_string()
    };
    assert!(refused("", "output.chanels", "2").contains("output.channels"));
    assert!(refused("", "output", "2").contains("[output]"));
    assert!(refused("", "output.channels", "0").contains("from 1 to 256"));
    assert!(refused("[output\n", "output.channels", "2").contains("barewire.toml:1"));
    assert!(refused("output.channels = 0\n", "output.gain", "1").contains("from 1 to 256"));
    assert!(refused("[blocks]\nmin_frames = 8\n", "blocks.max_frames", "4").contains("more than"));
    assert!(!refused("output = { gain = 1 }\n", "output.gain.x", "1").is_empty());
}

#[test]
fn the_page_tells_every_key() {
    let page = reference_page();
    for spec in barewire_settings::Settings::keys() {
        let (_, name) = spec.key.split_once('.').unwrap();
        assert!(page.contains(&format!("| `{name}` |")), "{}", spec.key);
        assert!(page.contains(&spec.doc.replace('|', "\\|")), "{}", spec.key);
    }
}
