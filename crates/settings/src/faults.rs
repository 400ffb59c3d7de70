//! Scripted faults of the virtual device.

use crate::nearest::nearest;
use crate::schema::{Limits, Refusal, Setting};
use crate::values::{refuse_kind, words};
use toml_edit::{InlineTable, Value};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The wake-up comes late by this many nanoseconds.
    LateWake(u64),
    /// This many frames are lost.
    Miss(u32),
    /// The device does not move for this many nanoseconds.
    Stall(u64),
    /// A wake-up without a period.
    SpuriousWake,
    /// The device is pulled out; it is back after this many nanoseconds, if given.
    Unplug(Option<u64>),
}

/// A fault and the position at which it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualFault {
    /// At the first wake-up at or after this position, counted from the start of a run.
    pub at_frames: u64,
    /// What happens.
    pub kind: FaultKind,
}

const FAULTS: [&str; 5] = ["late-wake", "miss", "stall", "spurious-wake", "unplug"];
const KEYS: [&str; 4] = ["at_frames", "fault", "for_ns", "for_frames"];

impl Setting for VirtualFault {
    fn allowed(_: Limits) -> String {
        "`{ at_frames = …, fault = …, for_ns or for_frames = … }`".to_owned()
    }

    fn read(value: &Value, limits: Limits) -> Result<Self, Refusal> {
        let Value::InlineTable(table) = value else {
            return Err(refuse_kind(value, &Self::allowed(limits)));
        };
        if let Some((wrong, _)) = table.iter().find(|(key, _)| !KEYS.contains(key)) {
            let message = format!("a fault has no `{wrong}`, only {}", words(&KEYS));
            return Err(Refusal::new(message).suggest(nearest(wrong, KEYS)));
        }
        let at_frames = number(table, "at_frames")?.ok_or_else(|| lacks("at_frames"))?;
        Ok(Self { at_frames, kind: read_kind(table)? })
    }

    fn write(&self) -> Value {
        let (fault, length) = match self.kind {
            FaultKind::LateWake(ns) => ("late-wake", Some(("for_ns", ns))),
            FaultKind::Miss(frames) => ("miss", Some(("for_frames", u64::from(frames)))),
            FaultKind::Stall(ns) => ("stall", Some(("for_ns", ns))),
            FaultKind::SpuriousWake => ("spurious-wake", None),
            FaultKind::Unplug(ns) => ("unplug", ns.map(|ns| ("for_ns", ns))),
        };
        let integer = |n: u64| Value::from(i64::try_from(n).unwrap_or(i64::MAX));
        let mut table = InlineTable::from_iter([
            ("at_frames", integer(self.at_frames)),
            ("fault", Value::from(fault)),
        ]);
        if let Some((key, length)) = length {
            table.insert(key, integer(length));
        }
        Value::InlineTable(table)
    }
}

fn read_kind(table: &InlineTable) -> Result<FaultKind, Refusal> {
    let word = table.get("fault").and_then(Value::as_str).ok_or_else(|| lacks("fault"))?;
    let for_ns = number(table, "for_ns")?;
    let for_frames = number(table, "for_frames")?;
    let needs_ns = || for_ns.ok_or_else(|| lacks("for_ns"));
    let unused = |key: &str, given: Option<u64>| match given {
        Some(_) => Err(Refusal::new(format!("the fault `{word}` has no `{key}`"))),
        None => Ok(()),
    };
    if word != "miss" {
        unused("for_frames", for_frames)?;
    }
    if matches!(word, "miss" | "spurious-wake") {
        unused("for_ns", for_ns)?;
    }
    Ok(match word {
        "late-wake" => FaultKind::LateWake(needs_ns()?),
        "stall" => FaultKind::Stall(needs_ns()?),
        "unplug" => FaultKind::Unplug(for_ns),
        "spurious-wake" => FaultKind::SpuriousWake,
        "miss" => {
            let frames = for_frames.ok_or_else(|| lacks("for_frames"))?;
            let frames = u32::try_from(frames)
                .map_err(|_| Refusal::new(format!("`for_frames` is at most {}", u32::MAX)))?;
            FaultKind::Miss(frames)
        }
        _ => {
            return Err(Refusal::new(format!("`{word}` is no fault; it is {}", words(&FAULTS)))
                .suggest(nearest(word, FAULTS)));
        }
    })
}

fn lacks(key: &str) -> Refusal {
    Refusal::new(format!("the fault lacks `{key}`"))
}

fn number(table: &InlineTable, key: &str) -> Result<Option<u64>, Refusal> {
    let Some(value) = table.get(key) else { return Ok(None) };
    match value.as_integer().and_then(|n| u64::try_from(n).ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(refuse_kind(value, "an integer that is not negative").at(value.span())),
    }
}
