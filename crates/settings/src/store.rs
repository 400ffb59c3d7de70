//! Which texts there are, which one wins, and what holds when one is broken.
//!
//! Defaults, then the file, then the profile chosen in it, then the environment, then the command line. A broken file
//! is as good as its last good self; a broken environment or command line is left out. All of it is reported.

use crate::error::{Origin, Place, SettingsError};
use crate::file::{Stamp, read_file, replace_file};
use crate::layers::{Layers, read_and_check};
use crate::nearest::nearest;
use crate::places::{SETTINGS_VARIABLE, settings_file, state_directory};
use crate::read::Reading;
use crate::sections::Settings;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Names the profile.
pub const PROFILE_VARIABLE: &str = "BAREWIRE_PROFILE";

/// Holds lines `key = value` that stand above the file.
pub const SET_VARIABLE: &str = "BAREWIRE_SET";

/// The texts that settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file.
    pub file: Option<PathBuf>,
    /// Whether a person named the file, so that it is an error if there is none.
    pub must_exist: bool,
    /// The profile that is wanted.
    pub profile: Option<String>,
    /// What `BAREWIRE_SET` holds.
    pub environment: String,
    /// `key=value` from the command line.
    pub arguments: Vec<String>,
    /// Where a copy of the last good file is kept; none is kept without it.
    pub state_directory: Option<PathBuf>,
}

impl Sources {
    /// What the environment says, and the platform's usual places.
    pub fn from_environment() -> Self {
        let text = |name| std::env::var(name).ok().filter(|text: &String| !text.is_empty());
        Self {
            file: settings_file(),
            must_exist: std::env::var_os(SETTINGS_VARIABLE).is_some_and(|name| !name.is_empty()),
            profile: text(PROFILE_VARIABLE),
            environment: text(SET_VARIABLE).unwrap_or_default(),
            arguments: Vec::new(),
            state_directory: state_directory(),
        }
    }

    /// This file instead (`--settings FILE`).
    #[must_use]
    pub fn named(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self.must_exist = true;
        self
    }
}

/// Where the settings that hold come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InForce {
    /// The file, or the defaults because there is none.
    File,
    /// The file as it was when it was last right.
    LastGood,
    /// The defaults, because the file is broken and never was right.
    Defaults,
}

/// Settings that hold, and how they came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings, checked.
    pub settings: Settings,
    /// Everything that is wrong, in the order of the texts. The settings hold all the same.
    pub problems: Vec<SettingsError>,
    /// Where the settings come from.
    pub in_force: InForce,
    /// The file, whether it exists or not.
    pub file: Option<PathBuf>,
    /// The profile that holds.
    pub profile: Option<String>,
    /// All profiles of the file.
    pub profiles: Vec<String>,
    origins: BTreeMap<String, Origin>,
}

/// One line of `barewire settings`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Its value as TOML.
    pub value: String,
    /// Where the value comes from.
    pub origin: Origin,
}

impl Loaded {
    /// Where the value of a key comes from.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or_default()
    }

    /// Every key with its value and origin, in the order of the reference page.
    pub fn entries(&self) -> Vec<Entry> {
        Settings::keys()
            .into_iter()
            .filter_map(|spec| {
                let value = self.settings.value(&spec.key)?;
                let origin = self.origin(&spec.key);
                Some(Entry { key: spec.key, value, origin })
            })
            .collect()
    }

    /// One sentence on what holds instead of a broken file; `None` if the file is right.
    pub fn fallback(&self) -> Option<&'static str> {
        match self.in_force {
            InForce::File => None,
            InForce::LastGood => Some("the settings file is broken: the last good settings hold"),
            InForce::Defaults => Some("the settings file is broken: the defaults hold"),
        }
    }
}

/// Loads settings, again and again. Control threads only; one thread at a time.
#[derive(Debug)]
pub struct Store {
    sources: Sources,
    /// The text that was last right.
    last_good: Option<String>,
    /// What was read last, right or wrong.
    read: Option<String>,
    read_stamp: Stamp,
    /// The stamp may hide a change that came right after the reading.
    doubtful: bool,
    /// The stamp that the previous look saw.
    seen: Option<Stamp>,
}

impl Store {
    /// A store that has read nothing yet.
    pub fn new(sources: Sources) -> Self {
        Self {
            sources,
            last_good: None,
            read: None,
            read_stamp: Stamp::default(),
            doubtful: false,
            seen: None,
        }
    }

    /// The texts that this store reads.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Another profile from the next [`load`](Self::load) on.
    pub fn choose_profile(&mut self, profile: Option<String>) {
        self.sources.profile = profile;
    }

    /// Reads everything anew. Never fails: what is wrong is left out and reported.
    pub fn load(&mut self) -> Loaded {
        let (reading, in_force, mut problems) = self.load_file();
        let mut layers = Layers::default();
        layers.add(&reading.assignments, None);
        let profile = self.sources.profile.clone().filter(|wanted| {
            let known = reading.profiles.contains(wanted);
            if !known {
                problems.push(self.no_such_profile(wanted, &reading.profiles));
            }
            known
        });
        if let Some(profile) = &profile {
            layers.add(&reading.assignments, Some(profile));
        }
        let environment = Place::Environment(SET_VARIABLE);
        for (text, place) in [
            (self.sources.environment.clone(), environment),
            (self.sources.arguments.join("\n"), Place::CommandLine),
        ] {
            problems.extend(layers.try_lines(&text, &place, profile.as_deref()));
        }
        Loaded {
            settings: layers.settings,
            problems,
            in_force,
            file: self.sources.file.clone(),
            profile,
            profiles: reading.profiles,
            origins: layers.origins,
        }
    }

    /// Whether the file is another than the one read last, and has come to rest: a file is only believed when two
    /// looks in a row see the same. Costs one query of the file's stamp; call it about once a second.
    pub fn changed(&mut self) -> bool {
        let Some(file) = self.sources.file.clone() else { return false };
        let stamp = Stamp::of(&file);
        let at_rest = self.seen.replace(stamp) == Some(stamp);
        if stamp != self.read_stamp {
            return at_rest;
        }
        if !self.doubtful {
            return false;
        }
        self.doubtful = stamp.is_fresh();
        at_rest && read_file(&file).is_ok_and(|text| text != self.read)
    }

    fn load_file(&mut self) -> (Reading, InForce, Vec<SettingsError>) {
        let Some(file) = self.sources.file.clone() else {
            return (Reading::default(), InForce::File, Vec::new());
        };
        // The stamp first: a change between the two is then seen by the next look.
        self.read_stamp = Stamp::of(&file);
        self.doubtful = self.read_stamp.is_fresh();
        self.seen = None;
        let place = Place::File(file.clone());
        let text = read_file(&file);
        self.read = text.as_ref().ok().cloned().flatten();
        let problems = match text {
            Ok(Some(text)) => {
                let reading = read_and_check(&text, &place);
                if reading.problems.is_empty() {
                    self.remember(&file, text);
                    return (reading, InForce::File, Vec::new());
                }
                reading.problems
            }
            Ok(None) if self.sources.must_exist => {
                vec![SettingsError::whole(place, "there is no such settings file")]
            }
            Ok(None) => {
                self.last_good = Some(String::new());
                return (Reading::default(), InForce::File, Vec::new());
            }
            Err(message) => vec![SettingsError::whole(place, message)],
        };
        let (reading, in_force) = self.fall_back(&file);
        (reading, in_force, problems)
    }

    /// The last good text of this process, else the copy of an earlier one, else the defaults.
    fn fall_back(&self, file: &Path) -> (Reading, InForce) {
        let copy = || fs::read_to_string(self.copy_of(file)?).ok();
        let Some(text) = self.last_good.clone().or_else(copy) else {
            return (Reading::default(), InForce::Defaults);
        };
        let reading = read_and_check(&text, &Place::LastGood(file.to_owned()));
        if reading.problems.is_empty() {
            (reading, InForce::LastGood)
        } else {
            (Reading::default(), InForce::Defaults)
        }
    }

    fn remember(&mut self, file: &Path, text: String) {
        if let Some(copy) = self.copy_of(file)
            && fs::read_to_string(&copy).ok().as_ref() != Some(&text)
        {
            // The copy is a convenience for the next process: without it that one falls back to the defaults.
            let _ = replace_file(&copy, &text);
        }
        self.last_good = Some(text);
    }

    /// A name that tells settings files of different folders apart.
    fn copy_of(&self, file: &Path) -> Option<PathBuf> {
        let whole = std::path::absolute(file).ok()?;
        let hash = whole
            .as_os_str()
            .as_encoded_bytes()
            .iter()
            .fold(FNV_START, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME));
        let stem = file.file_stem()?.to_string_lossy();
        Some(self.sources.state_directory.as_ref()?.join(format!("{stem}-{hash:016x}.last-good")))
    }

    fn no_such_profile(&self, wanted: &str, profiles: &[String]) -> SettingsError {
        let place = self.sources.file.clone().map_or(Place::Default, Place::File);
        SettingsError::whole(place, format!("there is no profile `{wanted}`"))
            .key(format!("profile.{wanted}"))
            .suggest(nearest(wanted, profiles.iter().map(String::as_str)))
    }
}

/// The FNV-1a hash's start and factor for 64 bits.
const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
