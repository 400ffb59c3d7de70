//! The registration folder, with all that may be wrong in it.

#![cfg(not(windows))]
#![allow(clippy::unwrap_used, reason = "part of a test")]

use barewire_host::registry::{entries, entry, register, unregister};
use barewire_types::ErrorKind;
use std::fs;
use std::path::PathBuf;

struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }
    fn root(&self) -> PathBuf {
        self.folder.path().join("registered")
    }
    fn file(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, "").unwrap();
        path.canonicalize().unwrap()
    }
    fn write(&self, name: &str, file: &str, text: &str) {
        fs::create_dir_all(self.root().join(name)).unwrap();
        fs::write(self.root().join(name).join(file), text).unwrap();
    }
}

#[test]
fn what_was_registered_is_found_and_is_gone_when_unregistered() {
    let folder = Folder::new();
    let (root, driver) = (folder.root(), folder.file("one.so"));
    assert!(entries(&root).unwrap().entries.is_empty(), "no folder, no drivers");
    let made = register(&root, "One", &driver, "The first").unwrap();
    assert_eq!(entries(&root).unwrap().entries, std::slice::from_ref(&made));
    assert_eq!((made.title(), &made.driver), ("The first", &driver));
    // As cwASIO's hosts read it: the first line, without its end.
    assert_eq!(
        fs::read_to_string(root.join("One/driver")).unwrap(),
        format!("{}\n", driver.display())
    );
    register(&root, "One", &driver, "").unwrap();
    assert_eq!(entry(&root, "One").unwrap().title(), "One", "renewed without a description");
    unregister(&root, "One").unwrap();
    assert_eq!(unregister(&root, "One").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
}

#[test]
fn what_others_put_into_the_folder_stays() {
    let folder = Folder::new();
    let driver = folder.file("one.so");
    register(&folder.root(), "One", &driver, "x").unwrap();
    folder.write("One", "settings", "of another kind");
    unregister(&folder.root(), "One").unwrap();
    assert!(folder.root().join("One/settings").exists());
    assert_eq!(entries(&folder.root()).unwrap().problems.len(), 1);
}

#[test]
fn broken_entries_are_problems_and_the_rest_is_found() {
    let folder = Folder::new();
    let driver = folder.file("one.so");
    let line = driver.to_str().unwrap();
    folder.write("B good", "driver", &format!("{line}\r\nsecond line"));
    folder.write("A good", "driver", line);
    folder.write("A good", "description", "words\nmore words");
    folder.write("Empty", "driver", "\n");
    folder.write("Gone", "driver", "/nonexistent/driver.so\n");
    folder.write("Nothing", "description", "no driver file");
    folder.write(".hidden", "driver", line);
    folder.write("A name that is longer than the interface allows", "driver", line);
    fs::write(folder.root().join("a file"), "").unwrap();
    let found = entries(&folder.root()).unwrap();
    let titles: Vec<_> = found.entries.iter().map(|entry| entry.title()).collect();
    assert_eq!(titles, ["words", "B good"]);
    assert!(found.entries.iter().all(|entry| entry.driver == driver));
    assert_eq!(found.problems.len(), 5, "{:#?}", found.problems);
    for words in
        ["names no file", "is gone", "no driver is registered", "cannot be a driver's name"]
    {
        let said = found.problems.iter().any(|problem| problem.to_string().contains(words));
        assert!(said, "{words}: {:#?}", found.problems);
    }
}

#[test]
fn names_and_paths_that_hosts_could_not_read_are_refused_and_leave_nothing() {
    let folder = Folder::new();
    let driver = folder.file("one.so");
    for name in ["", ".x", "a/b", "../x", "a\nb", "more than thirty-one bytes of it!"] {
        let error = register(&folder.root(), name, &driver, "").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name:?}");
    }
    let error = register(&folder.root(), "One", &driver, "two\nlines").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let missing = folder.root().join("missing.so");
    assert_eq!(
        register(&folder.root(), "One", &missing, "").unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert!(register(&folder.root(), "One", folder.folder.path(), "").is_err(), "a folder");
    assert!(!folder.root().exists());
}

#[test]
fn a_name_that_belongs_to_another_driver_is_not_taken_over() {
    let folder = Folder::new();
    let (theirs, ours) = (folder.file("theirs.so"), folder.file("ours.so"));
    register(&folder.root(), "One", &theirs, "").unwrap();
    let error = register(&folder.root(), "One", &ours, "").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!(entry(&folder.root(), "One").unwrap().driver, theirs);
    // A driver that is gone holds no name.
    fs::remove_file(&theirs).unwrap();
    register(&folder.root(), "One", &ours, "").unwrap();
}
