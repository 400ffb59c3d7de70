//! Where the settings file and what is remembered lie on this operating system.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Names the settings file.
pub const SETTINGS_VARIABLE: &str = "BAREWIRE_SETTINGS";

/// Names the directory of what is remembered: last good settings, status files, logs.
pub const STATE_VARIABLE: &str = "BAREWIRE_STATE";

/// The settings file: `$BAREWIRE_SETTINGS`, else the platform's usual place. `None` if the environment names no place.
pub fn settings_file() -> Option<PathBuf> {
    settings_file_by(&|name| std::env::var_os(name))
}

/// The directory of what is remembered: `$BAREWIRE_STATE`, else the platform's usual place.
pub fn state_directory() -> Option<PathBuf> {
    state_directory_by(&|name| std::env::var_os(name))
}

/// Names the hub's address.
pub const HUB_VARIABLE: &str = "BAREWIRE_HUB";

/// Where the hub of this user is called: `$BAREWIRE_HUB`; below `$BAREWIRE_STATE` if that is set; else below
/// `$XDG_RUNTIME_DIR`, which goes at log-out, or with what is remembered.
pub fn hub_address() -> Option<PathBuf> {
    hub_address_by(&|name| std::env::var_os(name))
}

fn hub_address_by(lookup: Lookup<'_>) -> Option<PathBuf> {
    const NAME: &str = "hub.socket";
    if let Some(address) = not_empty(lookup(HUB_VARIABLE)) {
        return Some(address);
    }
    if let Some(state) = not_empty(lookup(STATE_VARIABLE)) {
        return Some(state.join(NAME));
    }
    let runtime = not_empty(lookup("XDG_RUNTIME_DIR")).filter(|path| path.is_absolute());
    let folder = runtime.map(|path| path.join("barewire"));
    Some(folder.or_else(|| state_directory_by(lookup))?.join(NAME))
}

type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

fn settings_file_by(lookup: Lookup<'_>) -> Option<PathBuf> {
    if let Some(file) = not_empty(lookup(SETTINGS_VARIABLE)) {
        return Some(file);
    }
    Some(directory(lookup, &PLATFORM.config)?.join("barewire.toml"))
}

fn state_directory_by(lookup: Lookup<'_>) -> Option<PathBuf> {
    not_empty(lookup(STATE_VARIABLE)).or_else(|| directory(lookup, &PLATFORM.state))
}

/// A variable that names a directory, what to take below the home directory if it is not set, and our part.
struct Place {
    variable: &'static str,
    below_home: Option<&'static str>,
    ours: &'static str,
}

struct Platform {
    config: Place,
    state: Place,
}

#[cfg(windows)]
const PLATFORM: Platform = Platform {
    config: Place { variable: "APPDATA", below_home: None, ours: "Barewire" },
    state: Place { variable: "LOCALAPPDATA", below_home: None, ours: "Barewire" },
};

/// As the XDG Base Directory Specification has it.
#[cfg(not(windows))]
const PLATFORM: Platform = Platform {
    config: Place { variable: "XDG_CONFIG_HOME", below_home: Some(".config"), ours: "barewire" },
    state: Place { variable: "XDG_STATE_HOME", below_home: Some(".local/state"), ours: "barewire" },
};

fn directory(lookup: Lookup<'_>, place: &Place) -> Option<PathBuf> {
    let named = not_empty(lookup(place.variable)).filter(|path| path.is_absolute());
    let base = match named {
        Some(base) => base,
        None => not_empty(lookup("HOME"))
            .filter(|home| home.is_absolute())?
            .join(Path::new(place.below_home?)),
    };
    Some(base.join(place.ours))
}

fn not_empty(value: Option<OsString>) -> Option<PathBuf> {
    value.filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[cfg(all(test, not(windows)))]
mod tests {
    use super::*;

    fn with<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).into())
    }

    #[test]
    fn the_hub_is_called_where_only_this_session_looks() {
        let at = |lookup: Lookup<'_>| hub_address_by(lookup).map(|p| p.display().to_string());
        let home = ("HOME", "/h/a");
        assert_eq!(at(&with(&[home])).as_deref(), Some("/h/a/.local/state/barewire/hub.socket"));
        let run = ("XDG_RUNTIME_DIR", "/run/user/1");
        assert_eq!(at(&with(&[home, run])).as_deref(), Some("/run/user/1/barewire/hub.socket"));
        let state = (STATE_VARIABLE, "/s");
        assert_eq!(at(&with(&[home, run, state])).as_deref(), Some("/s/hub.socket"));
        let named = (HUB_VARIABLE, "/n");
        assert_eq!(at(&with(&[home, run, state, named])).as_deref(), Some("/n"));
    }

    #[test]
    fn the_file_lies_where_the_base_directory_specification_says() {
        let home = with(&[("HOME", "/h/a")]);
        let file = |lookup: Lookup<'_>| settings_file_by(lookup).map(|p| p.display().to_string());
        assert_eq!(file(&home).as_deref(), Some("/h/a/.config/barewire/barewire.toml"));
        let state = state_directory_by(&home).unwrap();
        assert_eq!(state.display().to_string(), "/h/a/.local/state/barewire");
        let xdg = with(&[("HOME", "/h/a"), ("XDG_CONFIG_HOME", "/x")]);
        assert_eq!(file(&xdg).as_deref(), Some("/x/barewire/barewire.toml"));
        // The specification: a relative path is to be ignored.
        let relative = with(&[("HOME", "/h/a"), ("XDG_CONFIG_HOME", "x")]);
        assert_eq!(file(&relative).as_deref(), Some("/h/a/.config/barewire/barewire.toml"));
        let named = with(&[("HOME", "/h/a"), (SETTINGS_VARIABLE, "here.toml")]);
        assert_eq!(file(&named).as_deref(), Some("here.toml"));
        assert_eq!(file(&with(&[])), None);
    }
}
