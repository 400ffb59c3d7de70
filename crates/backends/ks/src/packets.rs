//! Streaming by packets: memory that goes to the driver and comes back, in order (WaveCyclic, WavePci).
//!
//! The one rule that must never break: memory of a request that is on its way is not touched, and not freed, until the
//! driver has given it back. What does not come back in time is leaked.

use crate::kernel::{Code, Kernel, Object, Pages, RawHandle, Ticket, code};
use crate::uapi::{Direction, Reply, control, header};
use barewire_rt::System;
use barewire_types::Ns;
use std::mem::ManuallyDrop;
use std::sync::atomic::AtomicU32;

/// Samples begin on a page of their own.
const DATA_OFFSET: usize = 4096;
/// How long a driver has to give memory back once it was asked to.
const RETURN_NS: Ns = 1_000_000_000;
/// How often it is looked whether it has.
const LOOK_NS: Ns = 1_000_000;

/// One packet: header, samples, request.
struct Packet {
    pages: ManuallyDrop<Box<dyn Pages>>,
    ticket: ManuallyDrop<Box<dyn Ticket>>,
    is_pending: bool,
}

impl Packet {
    fn header(&self) -> *mut u8 {
        self.pages.base()
    }

    fn data(&self) -> *mut u8 {
        self.pages.base().wrapping_add(DATA_OFFSET)
    }

    fn poll(&mut self) -> Option<Result<(), Code>> {
        if !self.is_pending {
            return None;
        }
        let outcome = self.ticket.poll()?;
        self.is_pending = false;
        Some(outcome)
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        if self.is_pending {
            // The driver still has it: it must outlive us.
            return;
        }
        // SAFETY: neither is used again; no request is pending.
        unsafe {
            ManuallyDrop::drop(&mut self.ticket);
            ManuallyDrop::drop(&mut self.pages);
        }
    }
}

/// All packets of one pin.
pub(crate) struct Packets {
    list: Vec<Packet>,
    /// The one that comes back next.
    oldest: usize,
    pub(crate) packet_bytes: u32,
    direction: Direction,
    is_abandoned: bool,
}

impl Packets {
    /// `count` packets of `packet_bytes` each.
    pub(crate) fn new(
        kernel: &dyn Kernel,
        pin: &dyn Object,
        direction: Direction,
        count: u32,
        packet_bytes: u32,
    ) -> Result<Self, Code> {
        let packet = |_| -> Result<Packet, Code> {
            Ok(Packet {
                pages: ManuallyDrop::new(kernel.pages(DATA_OFFSET + packet_bytes as usize)?),
                ticket: ManuallyDrop::new(pin.ticket()?),
                is_pending: false,
            })
        };
        let list = (0..count).map(packet).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { list, oldest: 0, packet_bytes, direction, is_abandoned: false })
    }

    /// Hands all packets over: silence, or empty. In the state PAUSE, before RUN.
    pub(crate) fn prime(&mut self) -> Result<(), Code> {
        if self.is_abandoned {
            return Err(code::SEM_TIMEOUT);
        }
        self.oldest = 0;
        for n in 0..self.list.len() {
            // SAFETY: no request is pending (`take_back`), the memory is ours.
            unsafe { self.list[n].data().write_bytes(0, self.packet_bytes as usize) };
            self.submit(n)?;
        }
        Ok(())
    }

    fn submit(&mut self, n: usize) -> Result<(), Code> {
        let Some(packet) = self.list.get_mut(n) else { return Ok(()) };
        let (code, used) = match self.direction {
            Direction::Play => (control::WRITE_STREAM, self.packet_bytes),
            Direction::Capture => (control::READ_STREAM, 0),
        };
        // Anew each time: flags that the driver left set would end the next request at once.
        let bytes = header::new(packet.data().expose_provenance(), self.packet_bytes, used);
        // SAFETY: no request of this packet is pending, so header and samples are ours; both stay until `poll` tells the
        // outcome, because a pending packet is never freed.
        unsafe {
            let header = packet.header();
            header.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            packet.ticket.submit(code, header, bytes.len())?;
        }
        packet.is_pending = true;
        Ok(())
    }

    /// What is signalled when the oldest packet comes back.
    pub(crate) fn event(&self) -> Option<RawHandle> {
        let packet = self.list.get(self.oldest)?;
        packet.is_pending.then(|| packet.ticket.event())
    }

    /// The oldest packet, if it has come back: how many bytes are used. `None` while the driver has it.
    pub(crate) fn come_back(&mut self) -> Option<Result<u32, Code>> {
        let count = self.list.len();
        let packet = self.list.get_mut(self.oldest)?;
        let outcome = packet.poll()?;
        self.oldest = (self.oldest + 1) % count;
        Some(outcome.map(|()| {
            // Copied out, since it is the driver's word.
            let mut bytes = [0; header::BYTES];
            // SAFETY: the header lies in pages of ours, and the driver has given it back.
            unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(packet.header(), header::BYTES) };
            Reply(&bytes).word(header::DATA_USED).unwrap_or(0).min(self.packet_bytes)
        }))
    }

    /// How many packets the driver has.
    pub(crate) fn pending(&self) -> usize {
        self.list.iter().filter(|packet| packet.is_pending).count()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.list.len()
    }

    /// The samples of the packet that came back `back` packets ago; null if the driver has it.
    pub(crate) fn returned(&self, back: usize) -> *mut u8 {
        let count = self.list.len();
        let packet = self.list.get((self.oldest + count - back % count.max(1)) % count.max(1));
        packet.filter(|packet| !packet.is_pending).map_or(std::ptr::null_mut(), Packet::data)
    }

    /// The samples of packet `n` of the run, modulo their number; null if the driver has it.
    pub(crate) fn free(&self, n: u64) -> *mut u8 {
        let packet = self.list.get(self.index(n));
        packet.filter(|packet| !packet.is_pending).map_or(std::ptr::null_mut(), Packet::data)
    }

    fn index(&self, n: u64) -> usize {
        usize::try_from(n % self.list.len().max(1) as u64).unwrap_or(0)
    }

    /// Hands packet `n` of the run over, modulo their number.
    pub(crate) fn hand_over(&mut self, n: u64) -> Result<(), Code> {
        self.submit(self.index(n))
    }

    /// Hands the packet over again that came back last.
    pub(crate) fn hand_back(&mut self) -> Result<(), Code> {
        let count = self.list.len();
        self.submit((self.oldest + count - 1) % count.max(1))
    }

    /// Gets all packets back once the pin was stopped: waits, cancels, waits, and at last gives them up for good.
    pub(crate) fn take_back(&mut self, system: &dyn System) {
        for is_last in [false, true] {
            let until = system.now_ns() + RETURN_NS;
            while self.poll_all() > 0 && system.now_ns() < until {
                let next = system.now_ns() + LOOK_NS;
                system.sleep(&AtomicU32::new(0), 0, next);
            }
            if self.pending() == 0 {
                return;
            }
            if !is_last {
                let pending = self.list.iter_mut().filter(|packet| packet.is_pending);
                pending.for_each(|packet| packet.ticket.cancel());
            }
        }
        self.is_abandoned = true;
    }

    fn poll_all(&mut self) -> usize {
        for packet in &mut self.list {
            packet.poll();
        }
        self.pending()
    }
}

/// Resets a pin, so that its driver gives everything back.
pub(crate) fn reset(pin: &mut dyn Object) {
    const BEGIN: u32 = 0;
    const END: u32 = 1;
    for word in [BEGIN, END] {
        // A driver that does not know it gives back at STOP.
        let _ = pin.control(control::RESET_STATE, &word.to_ne_bytes(), &mut []);
    }
}
