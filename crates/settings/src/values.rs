//! Settings that are numbers, lists, texts and formats.

use crate::nearest::nearest;
use crate::schema::{Limits, Refusal, Setting};
use barewire_types::{MAX_CHANNELS, RateHz, SampleFormat};
use std::path::PathBuf;
use toml_edit::{Array, Value};

/// The most entries of any list: no list is about more than channels.
const MAX_ENTRIES: usize = MAX_CHANNELS;

/// What one channel of the host is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapEntry {
    /// Nothing: it is silent, or goes nowhere.
    Silent,
    /// A channel of the device, numbered from 0 (the file numbers from 1).
    Device(u16),
}

impl MapEntry {
    /// The device's channel, numbered from 0, as an engine's plan wants it.
    pub fn channel(self) -> Option<u16> {
        match self {
            Self::Silent => None,
            Self::Device(channel) => Some(channel),
        }
    }
}

/// The step from one offered block size to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeStep {
    /// Multiples of so many frames above the smallest.
    Frames(u32),
    /// Powers of two.
    PowersOfTwo,
    /// Only the preferred size.
    Fixed,
}

/// `a`, `b` or `c`.
pub(crate) fn words(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// The refusal of a value that is of another kind than what is allowed.
pub(crate) fn refuse_kind(value: &Value, allowed: &str) -> Refusal {
    let text = value.to_string();
    let text = text.trim();
    let shown: String = text.chars().take(40).collect();
    let dots = if shown.len() < text.len() { "…" } else { "" };
    Refusal::new(format!("`{shown}{dots}` is not {allowed}"))
}

macro_rules! integers {
    ($($type:ty)+) => { $(
        impl Setting for $type {
            fn allowed(limits: Limits) -> String {
                let limits = if limits == Limits::NONE {
                    format!(" from {} to {}", <$type>::MIN, <$type>::MAX)
                } else {
                    limits.words()
                };
                format!("an integer{limits}")
            }

            fn read(value: &Value, limits: Limits) -> Result<Self, Refusal> {
                value
                    .as_integer()
                    .and_then(|number| <$type>::try_from(number).ok())
                    .filter(|number| limits.hold(f64::from(*number)))
                    .ok_or_else(|| refuse_kind(value, &Self::allowed(limits)))
            }

            fn write(&self) -> Value { i64::from(*self).into() }
        }
    )+ };
}

integers!(u16 u32 i32);

impl Setting for f64 {
    fn allowed(limits: Limits) -> String {
        format!("a number{}", limits.words())
    }

    fn read(value: &Value, limits: Limits) -> Result<Self, Refusal> {
        let number = match value {
            // Exact: limits lie far below 2^31.
            Value::Integer(number) => i32::try_from(*number.value()).ok().map(Self::from),
            other => other.as_float(),
        };
        number
            .filter(|number| number.is_finite() && limits.hold(*number))
            .ok_or_else(|| refuse_kind(value, &Self::allowed(limits)))
    }

    fn write(&self) -> Value {
        (*self).into()
    }
}

impl<T: Setting> Setting for Option<T> {
    fn allowed(limits: Limits) -> String {
        format!("`\"auto\"` or {}", T::allowed(limits))
    }

    fn read(value: &Value, limits: Limits) -> Result<Self, Refusal> {
        if value.as_str() == Some("auto") {
            return Ok(None);
        }
        T::read(value, limits).map(Some).map_err(|mut refusal| {
            // What is allowed may always be `auto` too.
            if let Some(head) = refusal.message.strip_suffix(&T::allowed(limits)) {
                refusal.message = format!("{head}{}", Self::allowed(limits));
            }
            refusal
        })
    }

    fn write(&self) -> Value {
        self.as_ref().map_or_else(|| "auto".into(), Setting::write)
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn allowed(limits: Limits) -> String {
        format!("a list, each entry {}", T::allowed(limits))
    }

    fn read(value: &Value, limits: Limits) -> Result<Self, Refusal> {
        let entries = value.as_array().ok_or_else(|| refuse_kind(value, &Self::allowed(limits)))?;
        if entries.len() > MAX_ENTRIES {
            let message = format!("{} entries are too many: at most {MAX_ENTRIES}", entries.len());
            return Err(Refusal::new(message));
        }
        entries
            .iter()
            .map(|entry| T::read(entry, limits).map_err(|refusal| refusal.at(entry.span())))
            .collect()
    }

    fn write(&self) -> Value {
        Value::Array(Array::from_iter(self.iter().map(Setting::write)))
    }
}

impl Setting for bool {
    fn allowed(_: Limits) -> String {
        "`true` or `false`".to_owned()
    }

    fn read(value: &Value, limits: Limits) -> Result<Self, Refusal> {
        value.as_bool().ok_or_else(|| refuse_kind(value, &Self::allowed(limits)))
    }

    fn write(&self) -> Value {
        (*self).into()
    }
}

impl Setting for String {
    fn allowed(_: Limits) -> String {
        "a text that is not empty".to_owned()
    }

    fn read(value: &Value, limits: Limits) -> Result<Self, Refusal> {
        match value.as_str() {
            Some(text) if !text.trim().is_empty() => Ok(text.to_owned()),
            _ => Err(refuse_kind(value, &Self::allowed(limits))),
        }
    }

    fn write(&self) -> Value {
        self.as_str().into()
    }
}

impl Setting for PathBuf {
    fn allowed(_: Limits) -> String {
        "a path".to_owned()
    }

    fn read(value: &Value, limits: Limits) -> Result<Self, Refusal> {
        match value.as_str() {
            Some(text) if !text.is_empty() && !text.contains('\0') => Ok(text.into()),
            _ => Err(refuse_kind(value, &Self::allowed(limits))),
        }
    }

    fn write(&self) -> Value {
        self.to_string_lossy().into_owned().into()
    }
}

impl Setting for SampleFormat {
    fn allowed(_: Limits) -> String {
        "a sample format (`int16`, `int24`, `int24in32`, `int32`, `float32`, `float64`, …)"
            .to_owned()
    }

    fn read(value: &Value, limits: Limits) -> Result<Self, Refusal> {
        let Some(name) = value.as_str() else {
            return Err(refuse_kind(value, &Self::allowed(limits)));
        };
        Self::from_name(name).ok_or_else(|| {
            let names = Self::ALL_LITTLE.map(Self::name);
            refuse_kind(value, &Self::allowed(limits)).suggest(nearest(name, names))
        })
    }

    fn write(&self) -> Value {
        self.name().into()
    }
}

impl Setting for RateHz {
    fn allowed(_: Limits) -> String {
        format!("a rate in hertz from {} to {}", Self::MIN.get(), Self::MAX.get())
    }

    fn read(value: &Value, limits: Limits) -> Result<Self, Refusal> {
        value
            .as_integer()
            .and_then(|hz| u32::try_from(hz).ok())
            .and_then(Self::new)
            .ok_or_else(|| refuse_kind(value, &Self::allowed(limits)))
    }

    fn write(&self) -> Value {
        i64::from(self.get()).into()
    }
}

impl Setting for MapEntry {
    fn allowed(_: Limits) -> String {
        format!("a channel from 1 to {MAX_CHANNELS} or `\"none\"`")
    }

    fn read(value: &Value, limits: Limits) -> Result<Self, Refusal> {
        if value.as_str() == Some("none") {
            return Ok(Self::Silent);
        }
        value
            .as_integer()
            .and_then(|number| u16::try_from(number).ok())
            .filter(|number| usize::from(*number) <= MAX_CHANNELS)
            .and_then(|number| number.checked_sub(1))
            .map(Self::Device)
            .ok_or_else(|| refuse_kind(value, &Self::allowed(limits)))
    }

    fn write(&self) -> Value {
        match self {
            Self::Silent => "none".into(),
            Self::Device(channel) => (i64::from(*channel) + 1).into(),
        }
    }
}

impl Setting for SizeStep {
    fn allowed(limits: Limits) -> String {
        format!("`\"powers-of-two\"`, `\"fixed\"` or {}", u32::allowed(limits))
    }

    fn read(value: &Value, limits: Limits) -> Result<Self, Refusal> {
        match value.as_str() {
            Some("powers-of-two") => Ok(Self::PowersOfTwo),
            Some("fixed") => Ok(Self::Fixed),
            Some(word) => Err(refuse_kind(value, &Self::allowed(limits)))
                .map_err(|r| r.suggest(nearest(word, ["powers-of-two", "fixed", "auto"]))),
            None => u32::read(value, limits)
                .map(Self::Frames)
                .map_err(|_| refuse_kind(value, &Self::allowed(limits))),
        }
    }

    fn write(&self) -> Value {
        match self {
            Self::Frames(frames) => frames.write(),
            Self::PowersOfTwo => "powers-of-two".into(),
            Self::Fixed => "fixed".into(),
        }
    }
}
