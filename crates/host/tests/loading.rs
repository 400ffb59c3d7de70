//! Files that are no drivers, or drivers that make nothing: one clear sentence each.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "part of a test")]

use barewire_host::{Session, Source};
use barewire_types::{Error, ErrorKind};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Compiles C with the linker that Rust needs anyway.
fn compile(folder: &Path, name: &str, code: &str) -> std::path::PathBuf {
    let (source, object) = (folder.join(format!("{name}.c")), folder.join(format!("{name}.so")));
    fs::write(&source, code).unwrap();
    let done = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&object, &source])
        .status()
        .unwrap();
    assert!(done.success());
    object
}

fn refused(path: &Path) -> Error {
    Session::open(&Source::file(path)).unwrap_err()
}

#[test]
fn what_is_no_driver_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let text = path.join("text.so");
    fs::write(&text, "hello").unwrap();
    let other = compile(path, "other", "int something(void) { return 1; }");
    let empty = compile(path, "empty", "void *instantiateDriver(void) { return 0; }");
    let bare = compile(
        path,
        "bare",
        "static void *object[1]; void *instantiateDriver(void) { return object; }",
    );
    for (file, kind, words) in [
        (path.join("missing.so"), ErrorKind::NotFound, "No such file"),
        (text, ErrorKind::Unsupported, "a driver is a shared object for this kind of processor"),
        (other, ErrorKind::Unsupported, "no driver, since it has no function instantiateDriver"),
        (empty, ErrorKind::Malfunction, "its factory gave no driver"),
        (bare, ErrorKind::Malfunction, "its factory gave no driver"),
        (path.to_owned(), ErrorKind::Unsupported, "cannot be loaded"),
    ] {
        let error = refused(&file);
        let said = error.to_string();
        assert_eq!(error.kind(), kind, "{said}");
        assert!(said.contains(words) && said.contains(file.to_str().unwrap()), "{said}");
        assert!(!said.contains('\n'));
    }
}
