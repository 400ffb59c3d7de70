//! Texts laid over each other, and the rules between values checked on what results.

use crate::check::{Conflict, check};
use crate::error::{Origin, Place, SettingsError};
use crate::read::{Assignment, Reading, read_lines, read_text};
use crate::sections::Settings;
use std::collections::BTreeMap;

/// Reads a text and lays each of its profiles over its base, so that a conflict in a profile is found before the
/// profile is wanted.
pub(crate) fn read_and_check(text: &str, place: &Place) -> Reading {
    let mut reading = read_text(text, place);
    let mut base = Layers::default();
    base.add(&reading.assignments, None);
    let mut problems = base.conflicts();
    for profile in &reading.profiles {
        let mut layers = base.clone();
        layers.add(&reading.assignments, Some(profile));
        let more = layers.conflicts();
        problems.extend(more.into_iter().filter(|p| !base.conflicts().contains(p)));
    }
    reading.problems.extend(problems);
    reading
}

/// Settings with texts laid over each other.
#[derive(Clone, Default)]
pub(crate) struct Layers {
    pub(crate) settings: Settings,
    pub(crate) origins: BTreeMap<String, Origin>,
    blame: BTreeMap<String, Assignment>,
}

impl Layers {
    pub(crate) fn add(&mut self, assignments: &[Assignment], profile: Option<&str>) {
        for assignment in assignments.iter().filter(|a| a.profile.as_deref() == profile) {
            let Assignment { key, value, place, line, profile, .. } = assignment;
            // It was possible when it was read, so it is now.
            let _ = self.settings.set(key, value);
            let origin = Origin { place: place.clone(), line: *line, profile: profile.clone() };
            self.origins.insert(key.clone(), origin);
            self.blame.insert(key.clone(), assignment.clone());
        }
    }

    /// Adds all lines, or none and says why.
    pub(crate) fn try_lines(
        &mut self,
        text: &str,
        place: &Place,
        profile: Option<&str>,
    ) -> Vec<SettingsError> {
        let reading = read_lines(text, place);
        if !reading.problems.is_empty() {
            return reading.problems;
        }
        let mut tried = self.clone();
        tried.add(&reading.assignments, None);
        if profile.is_some() {
            tried.add(&reading.assignments, profile);
        }
        let mut conflicts = tried.conflicts();
        if conflicts.is_empty() {
            *self = tried;
        }
        for conflict in &mut conflicts {
            if conflict.place != *place {
                // The text that was laid on last is to blame, even where the rule names a key of another.
                let key = conflict.key.take().unwrap_or_default();
                *conflict =
                    SettingsError::whole(place.clone(), std::mem::take(&mut conflict.message))
                        .key(key);
            }
        }
        conflicts
    }

    /// Who wrote the value to blame for a conflict, if anybody did.
    fn blamed(&self, conflict: &Conflict) -> Option<&Assignment> {
        let written = |key| self.blame.get(key);
        written(conflict.key).or_else(|| written(conflict.otherwise?))
    }

    /// The rules between values that are broken, each with the place of the key to blame.
    fn conflicts(&self) -> Vec<SettingsError> {
        check(&self.settings)
            .into_iter()
            .map(|conflict| match self.blamed(&conflict) {
                Some(Assignment { place, line, column, span, .. }) => SettingsError {
                    line: *line,
                    column: *column,
                    span: span.clone(),
                    ..SettingsError::whole(place.clone(), conflict.message)
                }
                .key(conflict.key),
                None => {
                    let place = self.blame.values().next().map(|a| a.place.clone());
                    SettingsError::whole(place.unwrap_or_default(), conflict.message)
                        .key(conflict.key)
                }
            })
            .collect()
    }
}
