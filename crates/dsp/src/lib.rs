//! Sample kernels: convert, interleave, sum, mix, dither, resample, clock estimation; pure functions on views.
//!
//! What is built before the device thread runs is checked in a constructor (`Copier::new` …); what runs on the device
//! thread (`run`, `add`, `finish` …) neither allocates nor panics. Samples pass as *left-justified* 32-bit integers or as
//! `f64` with full scale ±1. Memory of devices and hosts is touched only in `rows`, through `barewire_rt` views.
//! No ASIO, no operating system, no file.

#![deny(unsafe_code)]

#[doc(hidden)]
pub mod bench;
mod bus;
mod clock;
mod copier;
mod dither;
mod dsd;
mod filter;
mod gain;
mod groups;
mod mixer;
mod noise;
mod resampler;
mod rows;
mod shape;
mod silence;
mod source;
mod writer;

pub use clock::{ClockEstimator, FillServo, drift_ppm};
pub use copier::{Copier, Cut, Rest, Route};
pub use dither::Dither;
pub use dsd::{DOP_LOCK_FRAMES, Dop, DopDetector};
pub use mixer::{Mixer, MixerShape, Outcome};
pub use resampler::{MOST_DRIFT_PPM, Resampler, ResamplerShape};
pub use rows::Tier;
pub use silence::silence;
pub use source::Source;
