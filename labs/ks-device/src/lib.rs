//! A sound card that is not there, as kernel streaming sees it: a wave filter, a topology filter, pins, rings, packets, a
//! clock, and all the ways in which drivers lie. It knows no operating system: [`Surroundings`] reach the client's memory
//! and events, so that the same card is a fake in the tests of `barewire-ks` and a driver under Wine (`ks-driver`).
//!
//! Its layouts are written from Microsoft's documentation and shared with nobody, so that an error in the product's is seen.

#![forbid(unsafe_code)]

mod audio;
mod card;
mod description;
mod lab;
mod pin;
mod properties;
mod surroundings;
mod wire;

pub use card::{Card, Filter, Outcome, Request};
pub use description::Description;
pub use lab::code as lab_code;
pub use surroundings::{Share, Surroundings};

/// NT status codes that the card answers with.
pub mod status {
    #![allow(missing_docs, reason = "the names of the interface")]
    pub const SUCCESS: u32 = 0;
    pub const BUFFER_OVERFLOW: u32 = 0x8000_0005;
    pub const NOT_IMPLEMENTED: u32 = 0xC000_0002;
    pub const INVALID_HANDLE: u32 = 0xC000_0008;
    pub const INVALID_PARAMETER: u32 = 0xC000_000D;
    pub const INVALID_DEVICE_REQUEST: u32 = 0xC000_0010;
    pub const BUFFER_TOO_SMALL: u32 = 0xC000_0023;
    pub const INSUFFICIENT_RESOURCES: u32 = 0xC000_009A;
    pub const DEVICE_DOES_NOT_EXIST: u32 = 0xC000_00C0;
    pub const CANCELLED: u32 = 0xC000_0120;
    pub const INVALID_DEVICE_STATE: u32 = 0xC000_0184;
    pub const NOT_FOUND: u32 = 0xC000_0225;
    pub const NO_MATCH: u32 = 0xC000_0272;
}
