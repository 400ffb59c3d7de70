//! Changes one key of the file and leaves comments, order and everything else as they were.

use crate::error::{Place, SettingsError};
use crate::file::{read_file, replace_file};
use crate::layers::read_and_check;
use crate::read::PROFILE;
use barewire_types::{Error, ErrorKind, Result};
use std::fs;
use std::path::Path;
use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

/// What a new file begins with.
const HEADER: &str = "# Barewire's settings. `barewire settings` shows what is in force; docs/settings.md tells all keys.\n\n";

/// Sets `key` (`output.latency_offset_frames`, or `profile.NAME.output…`) to a value written as TOML, or to a text.
/// The file is made if there is none, and replaced as a whole, so that a reader sees the old or the new one.
///
/// # Errors
/// `InvalidArgument` if there is no such key, the value is impossible, or the file is broken before; `Io`, `Denied` if
/// it cannot be written. The file is then as it was.
pub fn write_key(file: &Path, key: &str, value: &str) -> Result<()> {
    let place = Place::File(file.to_owned());
    let old = read_file(file)
        .map_err(|message| Error::from(SettingsError::whole(place.clone(), message)))?;
    let old = old.unwrap_or_else(|| HEADER.to_owned());
    refuse_problems(&old, &place)?;
    let new = with_key(&old, key, value)?;
    refuse_problems(&new, &place)?;
    // A link stays a link.
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    replace_file(&target, &new).map_err(|error| {
        Error::from(error)
            .context(format_args!("the settings file {} cannot be written", file.display()))
    })
}

fn refuse_problems(text: &str, place: &Place) -> Result<()> {
    match read_and_check(text, place).problems.into_iter().next() {
        Some(problem) => Err(problem.into()),
        None => Ok(()),
    }
}

fn with_key(text: &str, key: &str, value: &str) -> Result<String> {
    let broken = |what: String| Error::new(ErrorKind::InvalidArgument, what);
    let mut document: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| broken(error.message().to_owned()))?;
    let value = value.trim();
    let value: Value = value.parse().unwrap_or_else(|_| value.into());
    let [parents @ .., name] = &path_of(key)[..] else {
        return Err(broken(format!("`{key}` is no key")));
    };
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for (depth, parent) in parents.iter().enumerate() {
        let entry = table.entry(parent).or_insert_with(|| {
            let mut new = Table::new();
            // `[profile.x.output]` needs no `[profile]` and `[profile.x]` above it.
            new.set_implicit(depth + 1 < parents.len());
            Item::Table(new)
        });
        table = entry
            .as_table_like_mut()
            .ok_or_else(|| broken(format!("`{parent}` is not a section")))?;
    }
    put(table, name, value);
    Ok(document.to_string())
}

/// Replaces a value and keeps the spaces and the comment beside it.
fn put(table: &mut dyn TableLike, name: &str, mut value: Value) {
    match table.get_mut(name) {
        Some(item) => {
            if let Some(old) = item.as_value() {
                *value.decor_mut() = old.decor().clone();
            }
            *item = Item::Value(value);
        }
        None => {
            table.insert(name, Item::Value(value));
        }
    }
}

/// `profile.a.b.output.device` → `profile`, `a.b`, `output`, `device`; every other key at its dots.
fn path_of(key: &str) -> Vec<&str> {
    let in_profile = || {
        let rest = key.strip_prefix(PROFILE)?.strip_prefix('.')?;
        let (rest, name) = rest.rsplit_once('.')?;
        let (profile, section) = rest.rsplit_once('.')?;
        Some(vec![PROFILE, profile, section, name])
    };
    in_profile().unwrap_or_else(|| key.split('.').collect())
}
