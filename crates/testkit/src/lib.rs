//! Fake hosts, and what else tests of several crates share. Used only from `tests` folders.

mod baton;
mod host;
pub mod servers;
pub mod wire;

pub use baton::BatonSystem;
pub use host::{FakeHost, Heard, Hook, Manners};
