//! The driver tester: a [`Case`] per rule of the interface, each run in a process of its own with a watchdog, for any driver.
//!
//! [`cases`](crate::case) is the table of rules, `checks` what each does; [`run`] starts and judges the children, and
//! [`child`] is what runs in one of them. Whoever calls (the command) decides how a child is started. No memory is touched
//! here: that is `barewire_host::bare`'s.

#![forbid(unsafe_code)]

pub mod case;
mod cases;
mod checks;
mod child;
mod desk;
mod loops;
pub mod outcome;
pub mod page;
mod plot;
mod recorder;
pub mod report;
mod runner;

pub use case::{Case, Group, Level};
pub use child::child;
pub use desk::Options;
pub use outcome::{Outcome, Status};
pub use runner::{Plan, run};
