//! What the device thread may use, and nothing else: time and waiting ([`System`]), lock-free exchange with
//! other threads, and views of memory that others may touch ([`Area`], [`Plane`]).
//!
//! Everything here is real-time safe unless its documentation says "control thread".

pub mod foreign;
pub mod system;

pub use foreign::{Area, AreaMut, Plane, PlaneMut};
pub use system::{Ns, Role, System, Thread, Wake, Waker, Woken};
