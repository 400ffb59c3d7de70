//! What is known of a device without opening it.

use barewire_types::{RateHz, SampleFormat};
use std::fmt;

/// Names a device for good: the same device has the same id after a restart and after it was plugged in again.
/// Written `backend:rest`, for example `virtual:loop`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(String);

impl DeviceId {
    /// The id of the device that `backend` knows as `rest`.
    pub fn new(backend: &str, rest: &str) -> Self {
        Self(format!("{backend}:{rest}"))
    }

    /// An id as it was printed. `None` if it has no backend.
    pub fn parse(text: &str) -> Option<Self> {
        let (backend, rest) = text.split_once(':')?;
        (!backend.is_empty() && !rest.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The backend that the device belongs to.
    pub fn backend(&self) -> &str {
        self.0.split_once(':').map_or("", |(backend, _)| backend)
    }

    /// What the backend calls it.
    pub fn rest(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, rest)| rest)
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The channel counts that one direction can be opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Every count that opens, ascending, never empty.
    pub counts: Vec<u16>,
    /// A name a person understands for each channel of the greatest count; may be shorter.
    pub names: Vec<String>,
}

/// The period sizes that a device can be opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    /// The smallest, in frames.
    pub min_frames: u32,
    /// The greatest, in frames.
    pub max_frames: u32,
    /// What the device does best with, in frames.
    pub preferred_frames: u32,
    /// Sizes are `min_frames` plus multiples of this; 1 if any size will do.
    pub step_frames: u32,
}

/// What one direction of a device can be opened with. Every combination that is listed is likely, none is
/// promised: the opening tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Sample formats, the best first, never empty.
    pub formats: Vec<SampleFormat>,
    /// Rates, ascending, never empty.
    pub rates: Vec<RateHz>,
    /// Channel counts and names.
    pub channels: Channels,
    /// Period sizes.
    pub periods: Periods,
}

/// A device as a person chooses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The stable id.
    pub id: DeviceId,
    /// The name for people.
    pub name: String,
    /// What it captures with, if it captures.
    pub capture: Option<Caps>,
    /// What it plays with, if it plays.
    pub playback: Option<Caps>,
    /// Whether this is the backend's default device.
    pub is_default: bool,
    /// What a person should know: held by another program, goes through the system's mixer …
    pub notes: Vec<Note>,
}

/// What kind of remark a [`Note`] is; something to branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoteKind {
    /// Another program holds the device.
    Held,
    /// The system's mixer lies in the path.
    SystemMixer,
    /// A volume or mute control is not at unity.
    Volume,
    /// Real-time priority was refused.
    Priority,
    /// The format or size is not what was asked for.
    Adapted,
    /// Something works, but not in the best way.
    Degraded,
    /// Worth knowing.
    Hint,
}

/// A remark about a device or stream, in a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What kind of remark.
    pub kind: NoteKind,
    /// The sentence: what, why, and what to do if something can be done.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::DeviceId;

    #[test]
    fn an_id_names_its_backend() {
        let id = DeviceId::parse("alsa:hw:USB,0").unwrap();
        assert_eq!((id.backend(), id.rest()), ("alsa", "hw:USB,0"));
        assert_eq!(DeviceId::parse("alsa"), None);
        assert_eq!(DeviceId::parse(":x"), None);
    }
}
