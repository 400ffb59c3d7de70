//! Text to assignments: every key known, every value possible by itself. What values must keep between them is
//! `check`'s; which text wins is `store`'s.

use crate::error::{Place, SettingsError, line_and_column};
use crate::nearest::{nearest, nearest_key};
use crate::schema::Refusal;
use crate::sections::Settings;
use std::ops::Range;
use toml_edit::{Document, Item, TableLike, Value};

/// The section that holds the profiles.
pub(crate) const PROFILE: &str = "profile";

/// A key and its value, both known to be possible.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    pub(crate) profile: Option<String>,
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) place: Place,
    pub(crate) span: Range<usize>,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// What a text says and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    pub(crate) assignments: Vec<Assignment>,
    /// Names of all profiles, empty ones included.
    pub(crate) profiles: Vec<String>,
    pub(crate) problems: Vec<SettingsError>,
}

/// Reads a whole file.
pub(crate) fn read_text(text: &str, place: &Place) -> Reading {
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let message = error.message().trim().replace('\n', ", ");
            let span = error.span().unwrap_or(0..0);
            let problem = SettingsError::at(place, text, span, message);
            return Reading { problems: vec![problem], ..Reading::default() };
        }
    };
    let mut reader = Reader { text, place, scratch: Settings::default(), out: Reading::default() };
    reader.sections(document.as_table(), None);
    reader.out
}

/// Reads lines `key = value` of a variable or the command line. A value that is no TOML is taken for a text, so that
/// `driver.backend=virtual` needs no quotes.
pub(crate) fn read_lines(lines: &str, place: &Place) -> Reading {
    let quoted: Vec<String> = lines.lines().map(with_quotes).collect();
    read_text(&quoted.join("\n"), place)
}

fn with_quotes(line: &str) -> String {
    match line.split_once('=') {
        Some((key, value)) if Document::parse(line).is_err() => {
            let quoted = Value::from(value.trim()).to_string();
            let better = format!("{key}= {quoted}");
            if Document::parse(better.as_str()).is_ok() { better } else { line.to_owned() }
        }
        _ => line.to_owned(),
    }
}

struct Reader<'a> {
    text: &'a str,
    place: &'a Place,
    /// Tells whether a value is possible.
    scratch: Settings,
    out: Reading,
}

impl Reader<'_> {
    fn sections(&mut self, table: &dyn TableLike, profile: Option<&str>) {
        for (name, item) in table.iter() {
            let span = key_span(table, name);
            let known = Settings::sections().iter().any(|(section, _)| *section == name);
            match item.as_table_like() {
                Some(inner) if name == PROFILE && profile.is_none() => self.profiles(inner),
                Some(inner) if known => self.section(inner, name, profile),
                None if known || name == PROFILE => {
                    self.problem(
                        span,
                        name,
                        format!("`{name}` is a section: write `[{name}]`"),
                        None,
                    );
                }
                Some(_) => self.unknown_section(span, name),
                None => self.unknown_key(span, name),
            }
        }
    }

    fn profiles(&mut self, table: &dyn TableLike) {
        for (name, item) in table.iter() {
            match item.as_table_like() {
                Some(inner) => {
                    self.out.profiles.push(name.to_owned());
                    self.sections(inner, Some(name));
                }
                None => {
                    let span = key_span(table, name);
                    let message =
                        format!("`{name}` is not a profile: write `[{PROFILE}.{name}.output]`");
                    self.problem(span, name, message, None);
                }
            }
        }
    }

    fn section(&mut self, table: &dyn TableLike, section: &str, profile: Option<&str>) {
        for (name, item) in table.iter() {
            let key = format!("{section}.{name}");
            let key_span = key_span(table, name);
            let span = item.span().unwrap_or_else(|| key_span.clone());
            let Some(value) = value_of(item) else { continue };
            match self.scratch.set(&key, &value) {
                None => self.unknown_key(key_span, &key),
                Some(Ok(())) => self.assign(profile, key, value, span),
                Some(Err(Refusal { message, suggestion, span: narrower })) => {
                    let message = format!("`{key}`: {message}");
                    self.problem(narrower.unwrap_or(span), &key, message, suggestion);
                }
            }
        }
    }

    fn assign(&mut self, profile: Option<&str>, key: String, value: Value, span: Range<usize>) {
        let (line, column) = line_and_column(self.text, span.start);
        self.out.assignments.push(Assignment {
            profile: profile.map(str::to_owned),
            key,
            value,
            place: self.place.clone(),
            span,
            line,
            column,
        });
    }

    fn unknown_section(&mut self, span: Range<usize>, name: &str) {
        let sections = Settings::sections();
        let names = sections.iter().map(|(name, _)| *name).chain([PROFILE]);
        self.problem(span, name, format!("unknown section `{name}`"), nearest(name, names));
    }

    fn unknown_key(&mut self, span: Range<usize>, key: &str) {
        let keys: Vec<String> = Settings::keys().into_iter().map(|spec| spec.key).collect();
        self.problem(span, key, format!("unknown key `{key}`"), nearest_key(key, &keys));
    }

    fn problem(
        &mut self,
        span: Range<usize>,
        key: &str,
        message: String,
        suggestion: Option<String>,
    ) {
        let problem = SettingsError::at(self.place, self.text, span, message);
        self.out.problems.push(problem.key(key).suggest(suggestion));
    }
}

fn key_span(table: &dyn TableLike, name: &str) -> Range<usize> {
    table.get_key_value(name).and_then(|(key, _)| key.span()).unwrap_or(0..0)
}

/// The value of an item; a table written under a header of its own counts as an inline table.
fn value_of(item: &Item) -> Option<Value> {
    let mut value = item.clone().into_value().ok()?;
    value.decor_mut().clear();
    Some(value)
}
