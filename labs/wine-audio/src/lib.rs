//! A simulated WASAPI device, for tests alone. [`model`] says how endpoints behave and runs anywhere; on Windows this
//! library is besides a Wine audio driver (`wine….drv`) over it, which Wine's own `mmdevapi` loads, so that the product
//! above it is the unmodified one.

// A test double may stop the world.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "for tests alone"
)]

#[cfg(windows)]
mod client;
#[cfg(windows)]
mod exports;
pub mod model;
#[cfg(windows)]
mod pace;
pub mod scenarios;
