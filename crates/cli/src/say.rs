//! Words for people, JSON for programs.

use crate::Global;
use serde::Serialize;
use std::io::{self, Write};

/// Prints a line, or gives up quietly: the reader of a pipe may have left.
pub(crate) fn line(text: impl std::fmt::Display) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Prints a line on the error channel.
pub(crate) fn aside(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints `value` as JSON if that was asked for, else what `words` says.
pub(crate) fn report<T: Serialize>(global: &Global, value: &T, words: impl FnOnce(&T)) {
    if global.json {
        match serde_json::to_string_pretty(value) {
            Ok(text) => line(text),
            Err(error) => aside(format_args!("the report cannot be written as JSON: {error}")),
        }
    } else {
        words(value);
    }
}

/// One sentence about what went wrong, in the chosen form.
pub(crate) fn failure(global: &Global, error: &anyhow::Error) {
    let text = format!("{error:#}");
    if global.json {
        line(serde_json::json!({ "error": text }));
    }
    aside(format_args!("barewire: {text}"));
}
