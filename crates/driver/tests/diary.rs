//! A driver says what it does and what went wrong outside of the host too, and leaves nothing behind.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test may stop the world"
)]

mod rig;

use barewire_driver::{
    Config, DiaryPlace, FixedConfig, Status, log_file, status_directory, statuses,
};
use barewire_settings::LogLevel;
use barewire_testkit::Manners;
use barewire_virtual::{Description, Fault, FaultKind, Script};
use rig::{Rig, rig_with};
use std::fs;
use std::path::Path;
use std::sync::Arc;

fn rig_at(directory: &Path, least: LogLevel, device: Description) -> Rig {
    let place = DiaryPlace { directory: directory.to_owned(), least, max_bytes: 1 << 20 };
    rig_with(device, Arc::new(FixedConfig(Config { diary: Some(place), ..Config::default() })))
}

fn only(directory: &Path) -> Status {
    let all = statuses(directory).unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    all.into_iter().next().unwrap()
}

#[test]
fn the_status_follows_the_driver_and_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let faults = vec![Fault { at_frames: 640, kind: FaultKind::Miss(64) }];
    let device =
        Description { script: Script { faults, ..Script::default() }, ..Description::default() };
    let rig = rig_at(at, LogLevel::Info, device);
    assert_eq!(statuses(at).unwrap(), [], "nothing before init");
    let _host = rig.play(64, 40, Manners::default());
    let status = only(at);
    assert_eq!((status.process, status.state.as_str()), (std::process::id(), "prepared"));
    assert_eq!((status.rate_hz, status.block_frames, status.xruns), (Some(48_000), Some(64), 1));
    assert_eq!(status.integrity, "exact (32 bits)");
    assert_eq!((status.last_error, status.entry.as_str()), (None, "Barewire"));
    // Hosts hide what a refused call says.
    rig.driver.set_sample_rate(1.0).unwrap_err();
    let error = only(at).last_error.unwrap();
    assert!(error.contains("setSampleRate") && error.contains("does not run at 1 Hz"), "{error}");
    rig.release();
    assert_eq!(statuses(at).unwrap(), []);
    assert_eq!(fs::read_dir(status_directory(at)).unwrap().count(), 0, "no file is left");
    let log = fs::read_to_string(log_file(at)).unwrap();
    for words in [
        "serves",
        "started at 48000 Hz",
        "xrun: the device lost 64 frames",
        "stopped after",
        "refused",
    ] {
        assert!(log.contains(words), "{words:?} is not in:\n{log}");
    }
    let xrun = log.lines().find(|line| line.contains("xrun:")).unwrap();
    assert!(xrun.contains(" warn ") && xrun.contains("at frame"), "{xrun}");
    assert!(!log.contains(" debug "));
}

#[test]
fn what_a_dead_process_left_behind_is_not_shown_and_cleared_away() {
    let folder = tempfile::tempdir().unwrap();
    let directory = status_directory(folder.path());
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("1-1.lock"), "").unwrap();
    fs::write(directory.join("1-1.json"), "{}").unwrap();
    assert_eq!(statuses(folder.path()).unwrap(), []);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
}

#[test]
fn a_place_that_cannot_be_written_costs_the_diary_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    fs::write(&file, "").unwrap();
    let rig = rig_at(&file, LogLevel::Debug, Description::default());
    let _host = rig.play(64, 10, Manners::default());
    let notes = rig.observer.report().notes;
    assert!(notes.iter().any(|note| note.contains("cannot be written")), "{notes:?}");
    rig.release();
}

#[test]
fn a_log_that_is_off_is_not_written_and_debug_tells_each_call() {
    for (level, lines) in [(LogLevel::Off, 0), (LogLevel::Debug, 5)] {
        let folder = tempfile::tempdir().unwrap();
        let rig = rig_at(folder.path(), level, Description::default());
        let _host = rig.play(64, 10, Manners::default());
        rig.release();
        let log = fs::read_to_string(log_file(folder.path())).unwrap_or_default();
        let calls = log.lines().filter(|line| line.ends_with(": done"));
        assert!(log.lines().count() >= lines && (lines > 0 || log.is_empty()), "{log}");
        assert_eq!(calls.count() >= 4, lines > 0, "{log}");
    }
}
