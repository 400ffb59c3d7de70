//! The exercises, in the order in which they run. One is a module here and a line below: it gets a [`Lab`] of its own and
//! says in some words what it found.

mod ks;
mod mixers;
mod registration;
mod starts;

use super::lab::Lab;
use anyhow::Result;

/// Something that has to hold on Windows.
pub(crate) struct Exercise {
    /// What `cargo xtask windows NAME` calls it.
    pub(crate) name: &'static str,
    /// Runs once for programs of 64 bits, and once for 32.
    pub(crate) run: fn(&Lab) -> Result<String>,
}

/// All of them.
pub(crate) const ALL: &[Exercise] = &[
    Exercise { name: "starts", run: starts::run },
    Exercise { name: "registration", run: registration::run },
    Exercise { name: "mme", run: mixers::mme },
    Exercise { name: "dsound", run: mixers::dsound },
    Exercise { name: "ks", run: ks::run },
];
