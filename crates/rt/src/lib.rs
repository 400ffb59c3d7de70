//! What the device thread may use, and nothing else: time and waiting ([`System`]), lock-free exchange with
//! other threads ([`Seqlock`], [`Mailbox`], [`events`]), views of memory that others may touch ([`Area`],
//! [`Plane`]), and the processor's floating-point state.
//!
//! Everything here is real-time safe unless its documentation says "control thread".

pub mod alarm;
mod event_log;
pub mod float_state;
mod footprint;
pub mod foreign;
mod gate;
mod guarded;
mod lent_memory;
mod lock;
mod mailbox;
mod priority;
mod real;
mod seqlock;
mod simulated;
pub mod system;

pub use event_log::{EventReader, EventWriter, events};
pub use footprint::Footprint;
pub use foreign::{Area, AreaMut, Plane, PlaneMut};
pub use gate::Gate;
pub use guarded::Guarded;
pub use lent_memory::LentMemory;
pub use lock::{Lock, LockGuard};
pub use mailbox::Mailbox;
#[cfg(unix)]
pub use priority::{Grant, grant_by, limit_real_time};
pub use real::RealSystem;
#[cfg(windows)]
pub use real::Tie;
pub use seqlock::Seqlock;
pub use simulated::SimulatedSystem;
pub use system::{Ns, Role, System, Thread, Wake, Waker, Woken};
