//! What proves that a path is bit-perfect: patterns to send round, and the naming of what happened to them.
//!
//! Samples are left-justified in 32 bits, interleaved. No operating system, no device: whoever has a path sends
//! [`Pattern`]s and gives what came back to [`analyse`].

#![forbid(unsafe_code)]

mod analysis;
mod damage;
mod pattern;

pub use analysis::{Analysis, Finding, analyse};
pub use damage::{Damage, DamageKind};
pub use pattern::Pattern;
