//! What the hub and its clients share: the layout of the memory between them ([`layout`]), who may write which word of it
//! when ([`page`], [`mod@slot`], [`gate`]), the messages beside it ([`message`]), how both travel ([`memory`], [`socket`]),
//! and what wakes the other end ([`wakes`]).
//!
//! Neither side trusts the other. The hub reads two words of a client's segment, and samples; a client reads what it checks
//! against what it was told when it was let in. Nothing here is a pointer or depends on the width of a machine, so a 32-bit
//! host talks to a 64-bit hub. The lock-free parts take their atomics from one module, which is loom's under
//! `--cfg loom`: `RUSTFLAGS="--cfg loom" cargo test -p barewire-share --test loom --release`.

mod atomic;
pub mod gate;
pub mod layout;
#[cfg(not(loom))]
pub mod memory;
pub mod message;
pub mod page;
#[cfg(all(windows, not(loom)))]
mod security;
pub mod slot;
#[cfg(not(loom))]
pub mod socket;
mod told;
#[cfg(not(loom))]
pub mod wakes;

#[cfg(not(loom))]
pub use gate::Gate;
#[cfg(not(loom))]
pub use memory::Block;
pub use page::Cycle;
#[cfg(not(loom))]
pub use page::{Page, PageReader, PageWriter};
#[cfg(not(loom))]
pub use slot::{ClientEnd, HubControl, HubEnd, slot};
pub use slot::{Closed, Served, Told};
pub use told::{pack_told, unpack_told};

/// The version of layout and messages together. A client of another version is refused with a sentence.
pub const PROTOCOL: u32 = 1;

/// The most clients that a hub serves: twice what is measured, as many as an engine has seats for.
pub const MOST_CLIENTS: usize = 32;
