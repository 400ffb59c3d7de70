//! Find, load and drive any ASIO driver, several at once: [`registry`] finds, [`Source`] loads, [`Session`] drives,
//! [`probe`] asks a driver everything that can be asked. Knows no audio files and no settings; the command and the
//! conformance suite call it.
//!
//! Drivers are strangers: what they are known to get wrong (facts of the field, named where they are met) is borne here,
//! so that a [`Player`] sees halves that alternate, positions that begin at 0 and callbacks that do not overlap.

pub mod bare;
mod events;
mod probe;
mod quirks;
mod refusal;
pub mod registry;
mod run;
mod session;
mod slots;
mod source;

pub use events::{Event, Statistics};
pub use probe::{Probe, ProbedChannel, ProbedClock, probe};
pub use run::{Block, BlockTime, Player};
pub use session::{BlockSize, ChannelShape, Direction, Manners, Request, Session, Shape};
pub use slots::SLOTS;
pub use source::{Apartment, Source};
