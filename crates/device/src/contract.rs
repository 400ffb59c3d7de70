//! The contract that every backend keeps, as a suite that can be put to any: each promise of [`Backend`] and
//! [`Stream`](crate::Stream) is a [`Rule`] with a name. Called by the backends' tests and by the hardware lab, never by
//! the product.
//!
//! A rule opens the device anew, so that rules do not depend on each other. What cannot be found out on a device (nobody
//! hears what it plays, it cannot be unplugged) is reported as not tried, never as kept.

mod drive;
mod life;
mod listing;
mod opening;
mod periods;
mod sound;
mod waiting;

use crate::backend::{Backend, OpenRequest};
use barewire_rt::System;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A device to be tried, and what the suite may know of it. Made anew for each rule.
pub struct Bench {
    /// The clock that the backend was given.
    pub system: Arc<dyn System>,
    /// The backend.
    pub backend: Box<dyn Backend>,
    /// How the device is opened; must succeed.
    pub request: OpenRequest,
    /// Tells what the device played in its latest run, from the start of the run: interleaved samples in the format of the
    /// played side, the prefill included. Called after the stream was dropped.
    pub heard: Option<Box<dyn Fn() -> Vec<u8>>>,
    /// Whether outputs come back at the inputs of the same number, after exactly the latency that the shape states.
    pub is_looped: bool,
    /// Pulls the device out.
    pub unplug: Option<Box<dyn Fn()>>,
}

/// Makes a [`Bench`].
pub type MakeBench<'a> = dyn Fn() -> Bench + 'a;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that is broken.
    pub rule: &'static str,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// What the suite found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Rules that are broken.
    pub broken: Vec<Finding>,
    /// Rules that hold.
    pub kept: Vec<&'static str>,
    /// Rules that could not be tried, and why.
    pub not_tried: Vec<(&'static str, &'static str)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.broken {
            writeln!(f, "BROKEN    {finding}")?;
        }
        for rule in &self.kept {
            writeln!(f, "kept      {rule}")?;
        }
        for (rule, why) in &self.not_tried {
            writeln!(f, "not tried {rule}: {why}")?;
        }
        Ok(())
    }
}

/// Why a rule was not kept.
#[derive(Debug)]
enum Breach {
    /// It is broken: what was seen.
    Broken(String),
    /// It cannot be tried here: why.
    NotTried(&'static str),
}

type Verdict = Result<(), Breach>;

/// A promise and how it is tried.
pub struct Rule {
    /// Its stable name.
    pub name: &'static str,
    /// What is promised.
    pub promise: &'static str,
    check: fn(&MakeBench<'_>) -> Verdict,
}

macro_rules! rules {
    ($($name:literal $promise:literal $check:path),* $(,)?) => {
        /// All rules.
        pub const RULES: &[Rule] =
            &[$(Rule { name: $name, promise: $promise, check: $check }),*];
    };
}

rules! {
    "ids-stable" "the same device has the same id in every listing" listing::ids_stable,
    "caps-in-order" "lists of what a device can do are filled and ascending" listing::caps_in_order,
    "unknown-device-refused" "an unknown device is `NotFound`" opening::unknown_device,
    "unlisted-rate-refused" "a rate that is not listed is `UnsupportedRate`" opening::unlisted_rate,
    "unlisted-format-refused" "a format that is not listed is `Unsupported`" opening::unlisted_format,
    "too-many-channels-refused" "more channels than there are is `Unsupported`" opening::too_many_channels,
    "nothing-asked-refused" "neither inputs nor outputs is `InvalidArgument`" opening::nothing_asked,
    "errors-have-remedy" "each refusal says what to do" opening::errors_have_remedy,
    "shape-as-asked" "rate and forced formats are exact, channels enough, sides those asked for" opening::shape_as_asked,
    "shape-within-caps" "what was opened is among what is listed" opening::shape_within_caps,
    "shape-constant" "the shape does not change while the stream lives" opening::shape_constant,
    "drop-closes" "a device that was dropped can be opened again" opening::drop_closes,
    "stopped-until-started" "a stream is opened stopped" life::stopped_until_started,
    "stop-idempotent" "stop may be called at any time and any number of times" life::stop_idempotent,
    "restart-at-zero" "each start begins at position 0" life::restart_at_zero,
    "lost-for-good" "once lost, always lost" life::lost_for_good,
    "drop-after-anything" "a stream may be dropped in every state" life::drop_after_anything,
    "waker-outlives-stream" "a waker is harmless after the stream" life::waker_outlives,
    "positions-sum" "the position is the sum of all frames, missed ones included" periods::positions_sum,
    "times-ascend" "times of positions ascend and are not in the future" periods::times_ascend,
    "position-follows-clock" "positions and times run at the stated rate" periods::follows_clock,
    "commit-by-after-at" "the deadline for commits is not before the period" periods::commit_by,
    "duplex-counts-equal" "both directions have equally many frames" periods::counts_equal,
    "within-max-period" "no period exceeds `max_period_frames`" periods::within_max,
    "steady-multiples" "a steady stream brings multiples of its period" periods::steady,
    "pieces-sum-to-period" "the pieces that are lent sum up to the period" periods::pieces_sum,
    "areas-have-shape" "pieces have the channels, sample size and layout of the shape" periods::areas_have_shape,
    "areas-do-not-alias" "no sample of a piece shares memory with another" periods::no_alias,
    "xrun-counted" "a late reader is told what was missed, and positions go on with the clock" periods::xrun_counted,
    "past-deadline-polls" "a deadline in the past makes `wait` a poll" waiting::polls,
    "deadline-kept" "`wait` ends at its deadline" waiting::deadline,
    "waker-before-wait" "a waker fired before the wait ends it" waiting::woken_before,
    "waker-during-wait" "a waker fired during the wait ends it" waiting::woken_during,
    "prefill-heard" "the prefill is heard as silence, then the first frame committed" sound::prefill,
    "heard-exactly" "what was committed is heard, bit for bit and in order" sound::exactly,
    "unwritten-is-silence" "what was not written is heard as silence" sound::unwritten,
    "xrun-resumes-on-a-frame" "after an xrun frames are heard in order again" sound::after_xrun,
    "latency-as-stated" "what is played comes back after the stated latency" sound::latency,
    "unread-is-dropped" "what was not read does not shift what comes after" sound::unread,
}

/// Puts a backend through all rules. A panic is a finding.
pub fn check(make: &MakeBench<'_>) -> Report {
    check_some(make, |_| true)
}

/// Puts a backend through the rules whose name `wanted` accepts.
pub fn check_some(make: &MakeBench<'_>, wanted: impl Fn(&str) -> bool) -> Report {
    let mut report = Report::default();
    for rule in RULES.iter().filter(|rule| wanted(rule.name)) {
        let verdict = catch_unwind(AssertUnwindSafe(|| (rule.check)(make)))
            .unwrap_or_else(|panic| broken(format!("panicked: {}", words(&*panic))));
        match verdict {
            Ok(()) => report.kept.push(rule.name),
            Err(Breach::Broken(what)) => report.broken.push(Finding { rule: rule.name, what }),
            Err(Breach::NotTried(why)) => report.not_tried.push((rule.name, why)),
        }
    }
    report
}

fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}

fn broken<T>(what: impl Into<String>) -> Result<T, Breach> {
    Err(Breach::Broken(what.into()))
}

/// `Ok` if `holds`, else what was seen.
fn expect(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Breach::Broken(what())) }
}
