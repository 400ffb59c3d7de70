//! Writes the pages of the rules: `cargo run -p barewire-conformance --example pages`, in the project's folder.

use barewire_conformance::page::pages;
use std::io;

fn main() -> io::Result<()> {
    for (name, text) in pages() {
        std::fs::write(format!("docs/conformance/{name}"), text)?;
    }
    Ok(())
}
