//! An open pin: its state, its memory, what it has played.

use crate::surroundings::{Share, Surroundings};
use crate::wire::Format;
use std::collections::VecDeque;

pub(crate) const STOP: u32 = 0;
pub(crate) const PAUSE: u32 = 2;
pub(crate) const RUN: u32 = 3;

/// A ring that is mapped into a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring {
    pub(crate) share: Share,
    pub(crate) bytes: usize,
    /// Halves about which the driver signals; 0 for none.
    pub(crate) notifications: u32,
}

/// A request for a packet.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) request: u64,
    /// The header, as the client wrote it.
    pub(crate) header: Vec<u8>,
    /// Where its flags are.
    pub(crate) flags_at: usize,
    /// Where the samples are.
    pub(crate) address: u64,
    pub(crate) bytes: usize,
    /// Bytes that were played or captured.
    pub(crate) done: usize,
}

/// An open pin.
#[derive(Debug)]
pub(crate) struct Pin {
    pub(crate) plays: bool,
    pub(crate) client: u64,
    pub(crate) format: Format,
    pub(crate) looped: bool,
    pub(crate) state: u32,
    pub(crate) ring: Option<Ring>,
    pub(crate) register: Option<(Share, u64)>,
    /// The client's handle and ours.
    pub(crate) events: Vec<(u64, u64)>,
    /// The card's frame at which this run began.
    pub(crate) began: u64,
    /// Frames moved since STOP.
    pub(crate) moved: u64,
    pub(crate) queue: VecDeque<Packet>,
    /// Requests to read since STOP.
    pub(crate) reads: u32,
    /// What was played since STOP, but for what was taken.
    pub(crate) heard: Vec<u8>,
    /// Frames that were dropped from the front of `heard`.
    pub(crate) heard_from: u64,
    /// Frames that were told to the test already.
    pub(crate) taken: u64,
    /// Boundaries about which was signalled.
    pub(crate) signalled: u64,
    pub(crate) spurious: u64,
}

impl Pin {
    pub(crate) fn new(plays: bool, client: u64, format: Format, looped: bool) -> Self {
        Self {
            plays,
            client,
            format,
            looped,
            state: STOP,
            ring: None,
            register: None,
            events: Vec::new(),
            began: 0,
            moved: 0,
            queue: VecDeque::new(),
            reads: 0,
            heard: Vec::new(),
            heard_from: 0,
            taken: 0,
            signalled: 0,
            spurious: 0,
        }
    }

    pub(crate) fn frame_bytes(&self) -> usize {
        self.format.frame_bytes()
    }

    /// The frame up to which something was played.
    pub(crate) fn heard_to(&self) -> u64 {
        self.heard_from + (self.heard.len() / self.frame_bytes()) as u64
    }

    /// Back at the beginning.
    pub(crate) fn rewind(&mut self) {
        self.moved = 0;
        self.reads = 0;
        self.signalled = 0;
        self.spurious = 0;
        self.heard.clear();
        self.heard_from = 0;
        self.taken = 0;
    }

    /// What was played and not yet told, at most `most` bytes.
    pub(crate) fn take(&mut self, most: usize) -> &[u8] {
        /// Frames that may still come back at an input.
        const KEPT_FRAMES: u64 = 1 << 16;
        let bytes = self.frame_bytes();
        let droppable = self.taken.saturating_sub(self.heard_from + KEPT_FRAMES);
        if droppable > 16 * KEPT_FRAMES {
            let length = usize::try_from(droppable).unwrap_or(0) * bytes;
            self.heard.drain(..length);
            self.heard_from += droppable;
        }
        let begin = usize::try_from(self.taken - self.heard_from).unwrap_or(0) * bytes;
        let length = (self.heard.len() - begin).min(most / bytes * bytes);
        self.taken += (length / bytes) as u64;
        &self.heard[begin..begin + length]
    }

    /// Half a ring in bytes.
    pub(crate) fn half_bytes(&self) -> u64 {
        self.ring.map_or(0, |ring| ring.bytes as u64 / u64::from(ring.notifications.max(1)))
    }

    /// Gives all packets back.
    pub(crate) fn flush(&mut self, status: u32, world: &mut dyn Surroundings) {
        while let Some(packet) = self.queue.pop_front() {
            world.complete(packet.request, status, &packet.header);
        }
    }

    /// Lets go of what it has of the client's.
    pub(crate) fn close(&mut self, world: &mut dyn Surroundings) {
        for (_, event) in self.events.drain(..) {
            world.release_event(event);
        }
        if let Some(ring) = self.ring.take() {
            world.unmap(self.client, ring.share);
        }
        if let Some((share, _)) = self.register.take() {
            world.unmap(self.client, share);
        }
    }
}
