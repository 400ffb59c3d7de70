//! The exercises, in the order in which they run. One is a module here and a line below: it gets a [`Lab`] of its own and
//! says in some words what it found.

mod conform;
mod devices;
mod hosts;
mod hub;
mod ks;
mod life;
mod mixers;
mod portaudio;
mod real_path;
mod registration;
mod specimens;
mod starts;
mod wasapi;

use super::lab::{Bits, Lab};
use anyhow::Result;

/// Something that has to hold on Windows.
pub(crate) struct Exercise {
    /// What `cargo xtask windows NAME` calls it.
    pub(crate) name: &'static str,
    /// Runs once for programs of 64 bits, and once for 32.
    pub(crate) run: fn(&Lab) -> Result<String>,
    /// Whether it must not be kept waiting by a busy machine.
    pub(crate) is_timed: bool,
    /// Whether it runs what is shipped, which takes minutes to build.
    pub(crate) needs_product: bool,
    /// Whether `cargo xtask test` has it.
    pub(crate) everyday: Everyday,
}

/// In which widths `cargo xtask test` has an exercise.
#[derive(Clone, Copy)]
pub(crate) enum Everyday {
    /// In both.
    Both,
    /// In 64 bits alone: what is below the driver's door is the same code, and time is short.
    Only64,
    /// Not at all: it takes many minutes or a quiet machine.
    No,
}

impl Everyday {
    pub(crate) fn has(self, bits: Bits) -> bool {
        match self {
            Self::Both => true,
            Self::Only64 => bits == Bits::B64,
            Self::No => false,
        }
    }
}

/// All of them.
pub(crate) const ALL: &[Exercise] = &[
    Exercise {
        name: "starts",
        run: starts::run,
        is_timed: false,
        needs_product: true,
        everyday: Everyday::Both,
    },
    Exercise {
        name: "registration",
        run: registration::run,
        is_timed: false,
        needs_product: true,
        everyday: Everyday::Both,
    },
    Exercise {
        name: "conform",
        run: conform::run,
        is_timed: false,
        needs_product: true,
        everyday: Everyday::Both,
    },
    Exercise {
        name: "specimens",
        run: specimens::run,
        is_timed: false,
        needs_product: false,
        everyday: Everyday::No,
    },
    Exercise {
        name: "life",
        run: life::run,
        is_timed: false,
        needs_product: true,
        everyday: Everyday::Both,
    },
    Exercise {
        name: "wasapi",
        run: wasapi::run,
        is_timed: false,
        needs_product: false,
        everyday: Everyday::Both,
    },
    Exercise {
        name: "portaudio",
        run: portaudio::run,
        is_timed: false,
        needs_product: true,
        everyday: Everyday::Both,
    },
    Exercise {
        name: "hosts",
        run: hosts::run,
        is_timed: false,
        needs_product: true,
        everyday: Everyday::Both,
    },
    Exercise {
        name: "devices",
        run: devices::run,
        is_timed: false,
        needs_product: true,
        everyday: Everyday::Both,
    },
    Exercise {
        name: "portaudio-ks",
        run: portaudio::by_kernel_streaming,
        is_timed: true,
        needs_product: true,
        everyday: Everyday::No,
    },
    Exercise {
        name: "portaudio-dsound",
        run: portaudio::by_dsound,
        is_timed: true,
        needs_product: true,
        everyday: Everyday::Only64,
    },
    Exercise {
        name: "portaudio-mme",
        run: portaudio::by_mme,
        is_timed: true,
        needs_product: true,
        everyday: Everyday::Only64,
    },
    Exercise {
        name: "mme",
        run: mixers::mme,
        is_timed: true,
        needs_product: false,
        everyday: Everyday::Only64,
    },
    Exercise {
        name: "dsound",
        run: mixers::dsound,
        is_timed: true,
        needs_product: false,
        everyday: Everyday::Only64,
    },
    Exercise {
        name: "real-path",
        run: real_path::run,
        is_timed: true,
        needs_product: false,
        everyday: Everyday::Both,
    },
    Exercise {
        name: "hub",
        run: hub::run,
        is_timed: true,
        needs_product: true,
        everyday: Everyday::No,
    },
    Exercise {
        name: "ks",
        run: ks::run,
        is_timed: false,
        needs_product: true,
        everyday: Everyday::Only64,
    },
];
