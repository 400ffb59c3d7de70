//! A C host that knows only cwASIO's documentation loads `libbarewire.so`, plays through it, and unloads it: the
//! independent oracle of layouts, codes and exports.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "part of a test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Cargo puts the library beside the tests of its crate.
fn library() -> PathBuf {
    let path = std::env::current_exe().unwrap().parent().unwrap().join("libbarewire.so");
    assert!(path.is_file(), "{} was not built", path.display());
    path
}

/// Compiles the host once, with the compiler that links Rust programs.
fn host() -> &'static Path {
    static HOST: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_folder, program) = HOST.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("stranger");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stranger.c");
        let done = Command::new("cc")
            .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-o"])
            .args([&program, &source])
            .args(["-ldl", "-lpthread"])
            .status()
            .unwrap();
        assert!(done.success());
        (folder, program)
    });
    program
}

fn run(mode: &str, root: &Path) -> Output {
    Command::new(host())
        .arg(library())
        .arg(mode)
        .env("BAREWIRE_DRIVERS_ROOT", root)
        .env("BAREWIRE_SET", "driver.backend = \"virtual\"")
        .output()
        .unwrap()
}

fn plays(mode: &str) {
    let folder = tempfile::tempdir().unwrap();
    let output = run(mode, folder.path());
    let said = String::from_utf8_lossy(&output.stdout);
    let more = String::from_utf8_lossy(&output.stderr);
    assert_eq!((said.as_ref(), output.status.code()), ("ok\n", Some(0)), "{mode}: {more}");
}

#[test]
fn a_stranger_plays_bit_for_bit_with_time_info_and_unloads_the_library() {
    plays("timed");
}

#[test]
fn a_stranger_plays_bit_for_bit_without_time_info() {
    plays("plain");
}

#[test]
fn a_stranger_that_ends_with_release_alone_may_unload_at_once() {
    plays("release");
    plays("release here");
}

#[test]
fn a_callback_that_does_not_come_back_holds_release_up_for_seconds_at_most_and_keeps_the_library() {
    plays("stuck");
}

#[test]
fn the_library_registers_itself_and_takes_itself_off() {
    let folder = tempfile::tempdir().unwrap();
    let answer = |mode| String::from_utf8(run(mode, folder.path()).stdout).unwrap();
    // EINVAL for the second name, which would lead out of the folder.
    assert_eq!(answer("register"), "0 22\n");
    let driver = std::fs::read_to_string(folder.path().join("Barewire/driver")).unwrap();
    assert_eq!(Path::new(driver.trim()), library().canonicalize().unwrap());
    assert_eq!(answer("unregister"), "0 22\n");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // ENOENT.
    assert_eq!(answer("unregister"), "2 22\n");
}
