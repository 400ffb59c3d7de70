//! The hub: one process that holds a device and serves it to several clients, each in memory of its own.
//!
//! The engine does the work: a client is a `Peer`, whose half lies in shared memory. `star.rs` is the cycle as all
//! peers share it: all are woken at once, and nobody is waited for beyond the deadline. `peer.rs` is what becomes of one that
//! is late. `hub.rs` lets clients in and out and says who leads, `server.rs` is their door. Begin reading at `star.rs`.

#![forbid(unsafe_code)]

mod hub;
mod measured;
mod meter;
mod peer;
mod running;
mod server;
mod star;
mod tapped;

pub use hub::{Admission, Hub, Options};
pub use server::Server;
