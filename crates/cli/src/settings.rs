//! `barewire settings`: what is in force, where each value comes from, and what is wrong.

use crate::{Global, builtin, say};
use anyhow::{Result, bail};
use serde::Serialize;

#[derive(Serialize)]
struct InForce {
    file: Option<std::path::PathBuf>,
    profile: Option<String>,
    profiles: Vec<String>,
    entries: Vec<Entry>,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Entry {
    key: String,
    value: String,
    origin: String,
}

/// Prints the settings in force.
pub(crate) fn run(global: &Global) -> Result<()> {
    let loaded = builtin::settings(global).loaded();
    let entry = |entry: barewire_settings::Entry| Entry {
        key: entry.key,
        value: entry.value,
        origin: entry.origin.to_string(),
    };
    let mut problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    problems.extend(loaded.fallback().map(str::to_owned));
    let all = InForce {
        entries: loaded.entries().into_iter().map(entry).collect(),
        file: loaded.file,
        profile: loaded.profile,
        profiles: loaded.profiles,
        problems,
    };
    say::report(global, &all, |all| {
        if let Some(file) = &all.file {
            say::line(format_args!("# {}", file.display()));
        }
        let width = all.entries.iter().map(|entry| entry.key.len() + entry.value.len()).max();
        let width = width.unwrap_or(0).min(60) + 4;
        for Entry { key, value, origin } in &all.entries {
            let line = format!("{key} = {value}");
            say::line(format_args!("{line:width$}# {origin}"));
        }
    });
    if let Some(first) = all.problems.first() {
        bail!("{first}");
    }
    Ok(())
}
