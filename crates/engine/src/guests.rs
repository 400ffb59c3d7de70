//! Clients that come and go while an engine runs. They are seated by a control thread, and change places with the device
//! thread through mailboxes; neither ever waits for the other.

use crate::client::Client;
use crate::plan::ClientPlan;
use crate::seat::Seat;
use barewire_device::Shape;
use barewire_rt::Mailbox;
use barewire_types::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

/// The door between control threads and the device thread.
#[derive(Default)]
pub(crate) struct Door {
    pub(crate) joining: Mailbox<Seat>,
    pub(crate) left: Mailbox<Seat>,
    next_number: AtomicU16,
}

impl Door {
    pub(crate) fn number(&self) -> u16 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }
}

/// Through which clients join an engine and are taken back. For control threads.
#[derive(Clone)]
pub struct Guests {
    pub(crate) door: Arc<Door>,
    pub(crate) shape: Shape,
    pub(crate) block_frames: u32,
}

impl Guests {
    /// A seat for `client`. Its [`Seat::control`] should be kept.
    ///
    /// # Errors
    /// `InvalidArgument` if the plan names channels that the stream does not have; `Unsupported` if the formats have
    /// nothing to do with one another.
    pub fn seat(&self, plan: &ClientPlan, client: Box<dyn Client>) -> Result<Box<Seat>> {
        Seat::new(self.door.number(), plan, client, &self.shape, self.block_frames).map(Box::new)
    }

    /// Lets a client join at the beginning of a block; its first block names half 0.
    ///
    /// # Errors
    /// Gives it back if another one waits to join: try again after a block.
    pub fn join(&self, seat: Box<Seat>) -> std::result::Result<(), Box<Seat>> {
        self.door.joining.offer(seat)
    }

    /// Takes back a client that waits to join; it waits as long as all seats are taken.
    pub fn take_back(&self) -> Option<Box<Seat>> {
        self.door.joining.take()
    }

    /// A client that has left, to be freed.
    pub fn take_left(&self) -> Option<Box<Seat>> {
        self.door.left.take()
    }
}
