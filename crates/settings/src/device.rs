//! Which device is meant.

use crate::choices::BackendChoice;
use crate::nearest::nearest;
use crate::schema::{Limits, Refusal, Setting};
use crate::values::{refuse_kind, words};
use toml_edit::{InlineTable, Value};

/// Which device is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The one that the system or the backend prefers.
    #[default]
    Default,
    /// None: this direction is not used.
    None,
    /// The device of that id, `backend:rest`.
    Id(String),
    /// The device of exactly that name.
    Name(String),
    /// The first device whose name or id fits: with `*` or `?` the whole text must fit, else a part of it is enough.
    /// Letters are compared without regard to case.
    Pattern(String),
}

/// The keys of the table form.
const FORMS: [&str; 3] = ["id", "name", "pattern"];

impl DeviceChoice {
    /// Whether a device of that id and name is meant. [`DeviceChoice::Default`] fits none here: who is the default is
    /// the backend's knowledge.
    pub fn fits(&self, id: &str, name: &str) -> bool {
        match self {
            Self::Default | Self::None => false,
            Self::Id(wanted) => wanted == id,
            Self::Name(wanted) => wanted == name,
            Self::Pattern(pattern) => fits_pattern(pattern, name) || fits_pattern(pattern, id),
        }
    }

    /// A device as a person writes it in one word: `default`, `none`, an id (it begins with the name of a backend and a
    /// colon), else a name.
    pub fn from_word(word: &str) -> Self {
        match word {
            "default" => Self::Default,
            "none" => Self::None,
            _ if is_id(word) => Self::Id(word.to_owned()),
            _ => Self::Name(word.to_owned()),
        }
    }
}

fn is_id(word: &str) -> bool {
    word.split_once(':').is_some_and(|(backend, rest)| {
        !rest.is_empty() && backend != "auto" && BackendChoice::WORDS.contains(&backend)
    })
}

fn fits_pattern(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let text: Vec<char> = text.to_lowercase().chars().collect();
    if pattern.iter().any(|c| matches!(c, '*' | '?')) {
        fits_glob(&pattern, &text)
    } else {
        pattern.is_empty() || text.windows(pattern.len()).any(|window| window == pattern)
    }
}

/// `*` is any text, `?` any one character. Remembers the last star only, so it takes at most pattern × text steps.
fn fits_glob(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || text.get(t) == Some(c) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star_p, star_t)) = star else { return false };
                star = Some((star_p, star_t + 1));
                p = star_p + 1;
                t = star_t + 1;
            }
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|c| *c == '*'))
}

impl Setting for DeviceChoice {
    fn allowed(_: Limits) -> String {
        "`\"default\"`, `\"none\"`, an id (`\"alsa:…\"`), an exact name, or `{ id = … }`, `{ name = … }`, \
         `{ pattern = … }`"
            .to_owned()
    }

    fn read(value: &Value, limits: Limits) -> Result<Self, Refusal> {
        match value {
            Value::String(word) if !word.value().trim().is_empty() => {
                Ok(Self::from_word(word.value()))
            }
            Value::InlineTable(table) => read_table(table),
            _ => Err(refuse_kind(value, &Self::allowed(limits))),
        }
    }

    fn write(&self) -> Value {
        let table = |form: &str, text: &str| {
            Value::InlineTable(InlineTable::from_iter([(form, Value::from(text))]))
        };
        match self {
            Self::Default => "default".into(),
            Self::None => "none".into(),
            Self::Id(id) if is_id(id) => id.as_str().into(),
            Self::Id(id) => table("id", id),
            Self::Name(name) => table("name", name),
            Self::Pattern(pattern) => table("pattern", pattern),
        }
    }
}

fn read_table(table: &InlineTable) -> Result<DeviceChoice, Refusal> {
    let mut entries = table.iter();
    let (Some((form, value)), None) = (entries.next(), entries.next()) else {
        return Err(Refusal::new(format!("a device is told by one of {}", words(&FORMS))));
    };
    let make = match form {
        "id" => DeviceChoice::Id,
        "name" => DeviceChoice::Name,
        "pattern" => DeviceChoice::Pattern,
        _ => {
            let message = format!("a device is told by {}, not by `{form}`", words(&FORMS));
            return Err(Refusal::new(message).suggest(nearest(form, FORMS)));
        }
    };
    match value.as_str() {
        Some(text) if !text.trim().is_empty() => Ok(make(text.to_owned())),
        _ => Err(refuse_kind(value, "a text that is not empty").at(value.span())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_glob_or_a_part() {
        let fits = |pattern: &str, name: &str| {
            DeviceChoice::Pattern(pattern.to_owned()).fits("alsa:usb-0", name)
        };
        assert!(fits("babyface", "RME Babyface Pro"));
        assert!(fits("*pro", "RME Babyface Pro"));
        assert!(fits("rme*f?ce*", "RME Babyface Pro"));
        assert!(!fits("babyface*", "RME Babyface Pro"));
        assert!(!fits("?", "RME"));
        assert!(fits("usb-0", "whatever"));
        assert!(fits("alsa:*", "whatever"));
        assert!(fits("**", ""));
    }

    #[test]
    fn only_a_known_backend_makes_an_id() {
        assert_eq!(DeviceChoice::from_word("alsa:hw"), DeviceChoice::Id("alsa:hw".into()));
        assert_eq!(DeviceChoice::from_word("USB: 2"), DeviceChoice::Name("USB: 2".into()));
        assert_eq!(DeviceChoice::from_word("auto:x"), DeviceChoice::Name("auto:x".into()));
    }

    /// The star by definition: try every split.
    fn plain_glob(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, _) => text.is_empty(),
            (Some(('*', rest)), _) => (0..=text.len()).any(|n| plain_glob(rest, &text[n..])),
            (Some((c, rest)), Some((t, more))) => (*c == '?' || c == t) && plain_glob(rest, more),
            (Some(_), None) => false,
        }
    }

    proptest::proptest! {
        #[test]
        fn the_glob_agrees_with_its_definition(pattern in "[ab*?]{0,7}", text in "[ab]{0,9}") {
            let pattern: Vec<char> = pattern.chars().collect();
            let text: Vec<char> = text.chars().collect();
            proptest::prop_assert_eq!(fits_glob(&pattern, &text), plain_glob(&pattern, &text));
        }
    }
}
