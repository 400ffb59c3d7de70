//! The rules of the house that no compiler checks. Each rule is a function from a file to complaints; tests plant a
//! violation of each.

mod layers;
mod source;

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// Checks everything; complaints are printed, one a line.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut complaints = layers::check(root)?;
    for path in sources(root)? {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        complaints.extend(source::check(&name, &text));
    }
    for name in ["README.md", "CHANGELOG.md", "ARCHITECTURE.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        if !root.join(name).is_file() {
            complaints.push(format!("{name}: is missing"));
        }
    }
    if complaints.is_empty() {
        return Ok(());
    }
    complaints.iter().for_each(|complaint| println!("{complaint}"));
    bail!("{} rules of the house are broken", complaints.len());
}

fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.join("crates"), root.join("labs"), root.join("xtask")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
