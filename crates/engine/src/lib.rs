//! The cycle: device periods to client blocks and back. Lanes, pairing, resampling, block and period.
//!
//! Knows no ASIO, no operating system, no file. Control threads make a [`Plan`] and compile it to an
//! [`Engine`]; the device thread then calls [`Engine::step`] for each wake-up. Nothing is allocated after
//! compiling. Begin reading at `engine.rs`: its `step` is the whole way of a buffer.
//!
//! There is no priming: the device begins with silence, and the first block is begun when the first period is due,
//! with position 0 and the frames captured since the start. With blocks as long as periods the way from input to
//! output is two periods and the device's own latency, and not a frame more.

#![forbid(unsafe_code)]

mod choice;
mod client;
mod conduct;
mod engine;
mod fallback;
mod fifo;
mod guests;
mod latency;
mod looped;
mod outputs;
mod paired;
mod pieces;
mod plan;
mod resampled;
mod seat;
mod telemetry;
mod timeline;

pub use client::{BlockTime, Client, Output};
pub use conduct::{Conduct, run};
pub use engine::{End, Engine, Flow, Links};
pub use fallback::{Fallback, FallbackControl};
pub use guests::Guests;
pub use latency::latency;
pub use looped::Looped;
pub use paired::{Clocks, PairMeter, Paired};
pub use plan::{ClientPlan, MAX_CLIENTS, OutputMode, Plan};
pub use resampled::Resampled;
pub use seat::{Seat, SeatControl};
pub use telemetry::{EngineEvent, EventKind, Snapshot, Telemetry};
