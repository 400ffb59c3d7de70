//! The cycle: device periods to client blocks and back. Lanes, pairing, resampling, block and period.
//!
//! Knows no ASIO, no operating system, no file. Control threads make a [`Plan`] and compile it to an
//! [`Engine`]; the device thread then calls [`Engine::step`] for each wake-up. Nothing is allocated after
//! compiling.

#![forbid(unsafe_code)]

mod client;
mod plan;

pub use client::{BlockTime, Client, Output};
pub use plan::{ClientPlan, OutputMode, Plan};
