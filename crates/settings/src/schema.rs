//! How a table of keys becomes a struct, its defaults, its parser and its page: the two macros that `sections`
//! uses, and what a type must do to be the value of a key.

use std::ops::Range;
use toml_edit::Value;

/// One key as the reference page and the parser know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// The whole key: `output.device`.
    pub key: String,
    /// What it means.
    pub doc: String,
    /// What may stand there, in words.
    pub allowed: String,
    /// What stands there if nobody says anything, as TOML.
    pub default: String,
}

/// The least and the greatest that a number may be, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limits {
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Limits {
    /// No limit but the type's own.
    pub(crate) const NONE: Self = Self { min: f64::NEG_INFINITY, max: f64::INFINITY };

    pub(crate) fn hold(self, number: f64) -> bool {
        number >= self.min && number <= self.max
    }

    /// `from 1 to 8`, or nothing.
    pub(crate) fn words(self) -> String {
        if self == Self::NONE {
            String::new()
        } else {
            format!(" from {} to {}", self.min, self.max)
        }
    }
}

/// Why a value cannot be taken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) message: String,
    pub(crate) suggestion: Option<String>,
    /// Where in the text, if that is narrower than the whole value.
    pub(crate) span: Option<Range<usize>>,
}

impl Refusal {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), suggestion: None, span: None }
    }

    pub(crate) fn suggest(mut self, suggestion: Option<String>) -> Self {
        self.suggestion = suggestion;
        self
    }

    /// Narrows the place, unless it is narrow already.
    pub(crate) fn at(mut self, span: Option<Range<usize>>) -> Self {
        self.span = self.span.or(span);
        self
    }
}

/// What can stand behind a key.
pub(crate) trait Setting: Sized {
    /// What may stand there, in words: `an integer from 1 to 8`.
    fn allowed(limits: Limits) -> String;
    /// The value, or why it is none.
    fn read(value: &Value, limits: Limits) -> Result<Self, Refusal>;
    /// As TOML.
    fn write(&self) -> Value;
}

/// A struct whose fields are keys.
pub(crate) trait Section: Default {
    /// What the section is for.
    fn doc() -> String;
    /// Its keys, without the section's name.
    fn keys() -> Vec<KeySpec>;
    /// Sets a field; `None` if there is no such field.
    fn set(&mut self, field: &str, value: &Value) -> Option<Result<(), Refusal>>;
    /// A field's value; `None` if there is no such field.
    fn get(&self, field: &str) -> Option<Value>;
}

/// Joins the lines of a doc comment.
pub(crate) fn join_doc(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// A struct of keys: `field: Type = default, within least..=greatest;`.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $name:ident {
            $( $(#[doc = $doc:literal])+ $field:ident : $type:ty = $default:expr $(, within $min:literal ..= $max:expr)? ; )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $( $(#[doc = $doc])+ pub $field: $type, )+ }

        impl Default for $name {
            fn default() -> Self { Self { $( $field: $default, )+ } }
        }

        impl $crate::schema::Section for $name {
            fn doc() -> String { $crate::schema::join_doc(&[$($about),+]) }

            fn keys() -> Vec<$crate::schema::KeySpec> {
                let default = Self::default();
                vec![ $( $crate::schema::KeySpec {
                    key: stringify!($field).to_owned(),
                    doc: $crate::schema::join_doc(&[$($doc),+]),
                    allowed: <$type as $crate::schema::Setting>::allowed(section!(@limits $($min, $max)?)),
                    default: $crate::schema::Setting::write(&default.$field).to_string(),
                } ),+ ]
            }

            fn set(
                &mut self,
                field: &str,
                value: &toml_edit::Value,
            ) -> Option<Result<(), $crate::schema::Refusal>> {
                match field {
                    $( stringify!($field) => {
                        let limits = section!(@limits $($min, $max)?);
                        Some(<$type as $crate::schema::Setting>::read(value, limits).map(|v| self.$field = v))
                    } )+
                    _ => None,
                }
            }

            fn get(&self, field: &str) -> Option<toml_edit::Value> {
                match field {
                    $( stringify!($field) => Some($crate::schema::Setting::write(&self.$field)), )+
                    _ => None,
                }
            }
        }
    };
    (@limits) => { $crate::schema::Limits::NONE };
    (@limits $min:literal, $max:expr) => {
        $crate::schema::Limits { min: f64::from($min), max: f64::from($max) }
    };
}

/// The struct of all sections: `field: Section = "name in the file";`. Two sections may share a name.
macro_rules! sections {
    (
        $(#[doc = $about:literal])+
        $name:ident { $( $(#[doc = $doc:literal])+ $field:ident : $type:ty = $section:literal ; )+ }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name { $( $(#[doc = $doc])+ pub $field: $type, )+ }

        impl $name {
            /// Every key there is, in the order of the reference page.
            pub fn keys() -> Vec<$crate::schema::KeySpec> {
                let mut all = Vec::new();
                $(
                    all.extend(<$type as $crate::schema::Section>::keys().into_iter().map(|mut spec| {
                        spec.key = format!("{}.{}", $section, spec.key);
                        spec
                    }));
                )+
                all
            }

            /// The sections and what they are for, in the order of the reference page.
            pub(crate) fn sections() -> Vec<(&'static str, String)> {
                let mut all: Vec<(&'static str, String)> = Vec::new();
                $(
                    if !all.iter().any(|(name, _)| *name == $section) {
                        let doc = $crate::schema::join_doc(&[$($doc),+]);
                        let more = <$type as $crate::schema::Section>::doc();
                        all.push(($section, format!("{doc} {more}")));
                    }
                )+
                all
            }

            /// Sets a key; `None` if there is no such key.
            pub(crate) fn set(
                &mut self,
                key: &str,
                value: &toml_edit::Value,
            ) -> Option<Result<(), $crate::schema::Refusal>> {
                let (section, field) = key.split_once('.')?;
                $(
                    if section == $section
                        && let Some(result) = $crate::schema::Section::set(&mut self.$field, field, value)
                    {
                        return Some(result);
                    }
                )+
                None
            }

            /// A key's value as TOML; `None` if there is no such key.
            pub fn value(&self, key: &str) -> Option<String> {
                let (section, field) = key.split_once('.')?;
                $(
                    if section == $section
                        && let Some(value) = $crate::schema::Section::get(&self.$field, field)
                    {
                        return Some(value.to_string());
                    }
                )+
                None
            }
        }
    };
}

pub(crate) use {section, sections};
