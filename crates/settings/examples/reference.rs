//! Prints the reference page of the settings: `cargo run -p barewire-settings --example reference > docs/settings.md`.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    io::stdout().write_all(barewire_settings::reference_page().as_bytes())
}
