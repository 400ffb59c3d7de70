//! Wine prefixes: one template for each kind of Wine in the cache, and throw-away copies of it.

use super::wine::Wine;
use super::{cache, processes};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a new Windows may take. It takes 5 s on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(300);
/// Files of the registry: Wine writes them in place if they have several links, so copies get their own.
const REGISTRY: [&str; 3] = ["system.reg", "user.reg", "userdef.reg"];

/// A Windows: its drive C and its registry.
#[derive(Clone, Debug)]
pub(crate) struct Prefix {
    pub(crate) path: PathBuf,
}

impl Prefix {
    /// Makes the template if it is not in the cache.
    pub(crate) fn prepare(wine: &Wine) -> Result<()> {
        template(wine).map(drop)
    }

    /// A fresh copy of the template at `place`, which replaces what was there. Links where it can: half a second.
    pub(crate) fn copy(wine: &Wine, place: &Path) -> Result<Self> {
        let template = template(wine)?;
        cache::remove(place)?;
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut command = Command::new("cp");
        command.arg("-a");
        // Another file system has no common files.
        if !command_succeeds(Command::new("cp").arg("-al").arg(&template).arg(place)) {
            cache::remove(place)?;
            command.arg(&template).arg(place);
            processes::well(&mut command, PATIENCE)?;
        }
        let own = Self { path: place.to_owned() };
        for file in REGISTRY {
            own.install(&template.join(file), file)?;
        }
        Ok(own)
    }

    /// Puts a file there. What lies there is replaced, never written into: it may be the template's own.
    pub(crate) fn install(&self, file: &Path, place: &str) -> Result<()> {
        let place = self.path.join(place);
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        if place.exists() {
            fs::remove_file(&place)?;
        }
        fs::copy(file, &place)
            .with_context(|| format!("{} to {}", file.display(), place.display()))?;
        Ok(())
    }
}

fn command_succeeds(command: &mut Command) -> bool {
    command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn template(wine: &Wine) -> Result<PathBuf> {
    cache::entry(&format!("prefix-{}-1", wine.kind()), |place| {
        println!("making a Windows ({})", wine.kind());
        let prefix = Prefix { path: place.to_owned() };
        let mut command = wine.without_sound(&prefix);
        command.args(["wineboot", "-i"]).stdin(Stdio::null()).stdout(Stdio::null());
        processes::well(command.stderr(Stdio::null()), PATIENCE)?;
        // Only now the registry is written.
        processes::well(&mut wine.server(&prefix, &["-w"]), PATIENCE)
    })
}
