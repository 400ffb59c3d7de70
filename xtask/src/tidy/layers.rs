//! Which crate may depend on which: those above it in `docs/layers.toml`, and outside crates only with a reason in
//! `docs/dependencies.md`.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[derive(Deserialize)]
struct Layers {
    /// Crates from the ground up, without the prefix; each may use those before it.
    order: Vec<String>,
    /// Crates that only tests may use.
    tests_only: Vec<String>,
}

#[derive(Deserialize)]
struct Manifest {
    package: Package,
    #[serde(default)]
    dependencies: BTreeMap<String, toml::Value>,
    #[serde(default, rename = "dev-dependencies")]
    dev_dependencies: BTreeMap<String, toml::Value>,
    #[serde(default)]
    target: BTreeMap<String, Targeted>,
}

#[derive(Deserialize)]
struct Targeted {
    #[serde(default)]
    dependencies: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

const PREFIX: &str = "barewire-";

/// Everything that is wrong with the dependencies.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let layers: Layers = toml::from_str(&read(&root.join("docs/layers.toml"))?)?;
    let reasons = read(&root.join("docs/dependencies.md"))?;
    let mut complaints = Vec::new();
    for folder in manifests(root)? {
        let manifest: Manifest = toml::from_str(&read(&root.join(&folder).join("Cargo.toml"))?)?;
        complaints.extend(check_one(&layers, &reasons, &folder, &manifest));
    }
    Ok(complaints)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

fn manifests(root: &Path) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Root {
        workspace: Workspace,
    }
    #[derive(Deserialize)]
    struct Workspace {
        members: Vec<String>,
    }
    let root: Root = toml::from_str(&read(&root.join("Cargo.toml"))?)?;
    Ok(root.workspace.members)
}

fn check_one(layers: &Layers, reasons: &str, folder: &str, manifest: &Manifest) -> Vec<String> {
    let mut complaints = Vec::new();
    let name = manifest.package.name.trim_start_matches(PREFIX);
    if folder.rsplit('/').next() != Some(name) {
        complaints.push(format!("{folder}: the folder of {name} bears another name"));
    }
    let place = layers.order.iter().position(|layer| layer == name);
    let Some(place) = place else {
        complaints.push(format!("{folder}: {name} has no place in docs/layers.toml"));
        return complaints;
    };
    let targeted = manifest.target.values().flat_map(|target| target.dependencies.keys());
    let normal: Vec<&String> = manifest.dependencies.keys().chain(targeted).collect();
    for dependency in &normal {
        let Some(own) = dependency.strip_prefix(PREFIX) else { continue };
        if layers.tests_only.iter().any(|only| only == own) {
            complaints.push(format!("{folder}: {own} is for tests only"));
        }
        if !layers.order[..place].iter().any(|layer| layer == own) {
            complaints
                .push(format!("{folder}: {name} may not depend on {own}, which stands below it"));
        }
    }
    for dependency in normal.into_iter().chain(manifest.dev_dependencies.keys()) {
        let is_own = dependency.starts_with(PREFIX);
        if !is_own && !reasons.contains(&format!("| `{dependency}` |")) {
            complaints
                .push(format!("{folder}: {dependency} has no reason in docs/dependencies.md"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers() -> Layers {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Layers {
            order: list(&["types", "rt", "engine", "testkit"]),
            tests_only: list(&["testkit"]),
        }
    }

    fn complaints(folder: &str, manifest: &str) -> usize {
        let manifest = toml::from_str(manifest).unwrap();
        check_one(&layers(), "| `libc` | because |", folder, &manifest).len()
    }

    #[test]
    fn a_crate_uses_only_what_stands_above_it() {
        let package =
            |name: &str| format!("[package]\nname = \"barewire-{name}\"\n[dependencies]\n");
        let good = package("engine") + "barewire-types = \"1\"\nlibc = \"1\"\n";
        assert_eq!(complaints("crates/engine", &good), 0);
        assert_eq!(complaints("crates/motor", &good), 1, "the folder");
        assert_eq!(complaints("crates/rt", &(package("rt") + "barewire-engine = \"1\"\n")), 1);
        assert_eq!(complaints("crates/rt", &(package("rt") + "serde = \"1\"\n")), 1, "no reason");
        assert_eq!(complaints("crates/other", &package("other")), 1, "no place");
        assert_eq!(
            complaints("crates/engine", &(package("engine") + "barewire-testkit = \"1\"\n")),
            2
        );
    }
}
