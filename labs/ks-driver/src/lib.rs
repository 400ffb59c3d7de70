//! The simulated card inside Wine's driver process, and `KsCreatePin` for its clients; Windows only, tests only.
//!
//! `driver.c` receives the system's requests and calls the `bwks_*` functions here; the card itself is `ks-device`. A copy
//! of this library under the name `ksuser.dll` stands in for Wine's, whose `KsCreatePin` is a stub.

#![cfg(windows)]

pub mod card;
pub mod client;
mod world;
