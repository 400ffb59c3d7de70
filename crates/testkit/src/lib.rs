//! Fake hosts, and what else tests of several crates share. Used only from `tests` folders.

mod host;

pub use host::{FakeHost, Heard, Hook, Manners};
