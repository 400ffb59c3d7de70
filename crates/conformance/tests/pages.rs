//! The pages in `docs/conformance` are what the table of rules makes of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop the world")]

use barewire_conformance::page::pages;
use std::collections::BTreeSet;
use std::path::Path;

/// Pages that a person wrote.
const WRITTEN: [&str; 3] = ["README.md", "cwasio4rtaudio.md", "wineasio.md"];

#[test]
fn each_rule_has_its_page_and_no_page_is_left_over() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance");
    let mut names: BTreeSet<String> = WRITTEN.iter().map(|name| (*name).to_owned()).collect();
    for (name, text) in pages() {
        let there = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(
            there == text,
            "docs/conformance/{name} is old: cargo run -p barewire-conformance --example pages"
        );
        names.insert(name);
    }
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(names.contains(&name), "docs/conformance/{name} belongs to no rule");
    }
}
