//! The bus: when the packets of an URB are on the wire. The host controller of a real machine fetches one packet of an
//! endpoint each microframe of 125 µs, one URB behind the other; an URB is done with its last packet.

use crate::converter::{Converter, Ns, Trouble};
use crate::descriptors::{
    DATA_IN, DATA_OUT, FEEDBACK, FEEDBACK_MICROFRAMES, MICROFRAMES_A_SECOND, Setting,
};
use crate::record::{Recorder, say};
use crate::usbip::Urb;
use anyhow::Result;
use std::collections::VecDeque;

const MICROFRAME_NS: Ns = 1_000_000_000 / MICROFRAMES_A_SECOND as Ns;

/// An URB that waits for its packets' time.
struct Waiting {
    urb: Urb,
    /// When its first packet has been on the wire.
    first_ns: Ns,
    /// Packets that have been on the wire.
    done: usize,
}

/// One isochronous endpoint.
struct Endpoint {
    spacing_ns: Ns,
    queue: VecDeque<Waiting>,
    /// When the packet behind the last one that is queued will have been on the wire.
    next_ns: Ns,
}

impl Endpoint {
    fn new(microframes: u64) -> Self {
        Self { spacing_ns: microframes * MICROFRAME_NS, queue: VecDeque::new(), next_ns: 0 }
    }

    fn submit(&mut self, urb: Urb, now: Ns) {
        // Too late for the microframe that follows the last packet: the next one that can still be scheduled.
        let soonest = (now / MICROFRAME_NS + 2) * MICROFRAME_NS;
        let first_ns = self.next_ns.max(soonest);
        self.next_ns = first_ns + self.spacing_ns * urb.packets.len() as Ns;
        self.queue.push_back(Waiting { urb, first_ns, done: 0 });
    }

    /// When the first URB of the queue is done.
    fn due(&self) -> Option<Ns> {
        let waiting = self.queue.front()?;
        let rest = waiting.urb.packets.len().saturating_sub(1);
        Some(waiting.first_ns + self.spacing_ns * rest as Ns)
    }

    fn take_back(&mut self, number: u32) -> bool {
        let before = self.queue.len();
        self.queue.retain(|waiting| waiting.urb.number != number);
        self.queue.len() < before
    }
}

/// All isochronous endpoints.
pub(crate) struct Endpoints {
    played: Endpoint,
    feedback: Endpoint,
    captured: Endpoint,
    /// The settings now in use.
    pub(crate) playing: Option<Setting>,
    pub(crate) capturing: Option<Setting>,
    pub(crate) recorder: Recorder,
    /// The host has begun to take back what it sent.
    is_stopping: bool,
}

/// An URB that is done, and what goes back with it.
pub(crate) type Done = (Urb, Vec<u8>);

impl Endpoints {
    pub(crate) fn new(recorder: Recorder) -> Self {
        Self {
            played: Endpoint::new(1),
            feedback: Endpoint::new(FEEDBACK_MICROFRAMES),
            captured: Endpoint::new(1),
            playing: None,
            capturing: None,
            recorder,
            is_stopping: false,
        }
    }

    fn by_urb(&mut self, endpoint: u32, is_in: bool) -> Option<&mut Endpoint> {
        match (endpoint, is_in) {
            (DATA_OUT, false) => Some(&mut self.played),
            (FEEDBACK, true) => Some(&mut self.feedback),
            (DATA_IN, true) => Some(&mut self.captured),
            _ => None,
        }
    }

    /// Takes an URB; false if there is no such endpoint.
    pub(crate) fn submit(&mut self, urb: Urb, now: Ns) -> bool {
        if urb.endpoint == DATA_OUT && !urb.is_in {
            self.is_stopping = false;
        }
        match self.by_urb(urb.endpoint, urb.is_in) {
            Some(endpoint) => endpoint.submit(urb, now),
            None => return false,
        }
        true
    }

    /// Gives up an URB that the host takes back; true if it was here. Taking back is how a host stops.
    pub(crate) fn take_back(&mut self, number: u32, converter: &mut Converter) -> bool {
        if self.played.take_back(number) {
            self.recorder.end();
            converter.stop_playing();
            self.is_stopping = true;
            return true;
        }
        if self.captured.take_back(number) {
            converter.stop_capturing();
            return true;
        }
        self.feedback.take_back(number)
    }

    /// When something is due next.
    pub(crate) fn due(&self) -> Option<Ns> {
        [&self.played, &self.feedback, &self.captured].into_iter().filter_map(Endpoint::due).min()
    }

    /// The next URB that is done by `now`.
    pub(crate) fn next_done(&mut self, now: Ns, converter: &mut Converter) -> Result<Option<Done>> {
        let Some(due) = self.due().filter(|&due| due <= now) else { return Ok(None) };
        self.play_up_to(due, converter)?;
        if self.played.due() == Some(due) {
            return Ok(self.played.queue.pop_front().map(|waiting| {
                let mut urb = waiting.urb;
                urb.packets.iter_mut().for_each(|packet| packet.actual = packet.length);
                (urb, Vec::new())
            }));
        }
        if self.feedback.due() == Some(due) {
            return Ok(self.feedback.queue.pop_front().map(|waiting| {
                let (mut urb, mut data) = (waiting.urb, Vec::new());
                for packet in &mut urb.packets {
                    data.extend_from_slice(&converter.feedback(due).to_le_bytes());
                    packet.actual = 4;
                }
                (urb, data)
            }));
        }
        let waiting = self.captured.queue.pop_front();
        Ok(waiting.map(|waiting| self.fill(waiting, converter)))
    }

    /// Captured packets, each with what its own time has.
    fn fill(&self, waiting: Waiting, converter: &mut Converter) -> Done {
        let (mut urb, mut data) = (waiting.urb, Vec::new());
        let Some(setting) = self.capturing else { return (urb, data) };
        let spacing_ns = self.captured.spacing_ns;
        for (n, packet) in (0..).zip(&mut urb.packets) {
            let (begin, at) = (data.len(), waiting.first_ns + spacing_ns * n);
            let trouble = converter.capture(setting, packet.length as usize, at, &mut data);
            if let Some(Trouble::Unfetched(frames)) = trouble {
                say(format_args!("unfetched {frames} frames"));
            }
            packet.actual = u32::try_from(data.len() - begin).unwrap_or(0);
        }
        (urb, data)
    }

    /// Lets all packets arrive that have been on the wire by `now`, also those of URBs that are not done yet.
    fn play_up_to(&mut self, now: Ns, converter: &mut Converter) -> Result<()> {
        let Some(setting) = self.playing.filter(|_| !self.is_stopping) else { return Ok(()) };
        let spacing_ns = self.played.spacing_ns;
        for waiting in &mut self.played.queue {
            let before = waiting.done;
            let mut arrived = Vec::new();
            while let Some(packet) = waiting.urb.packets.get(waiting.done) {
                let at = waiting.first_ns + spacing_ns * waiting.done as Ns;
                if at > now {
                    break;
                }
                let begin = packet.offset as usize;
                let bytes = waiting.urb.data.get(begin..begin + packet.length as usize);
                let bytes = bytes.unwrap_or_default();
                match converter.play(setting, bytes, at) {
                    Some(Trouble::Gap(frames)) => {
                        let at = self.recorder.frames();
                        say(format_args!("gap of {frames} frames after {at}"));
                    }
                    Some(Trouble::Flood(frames)) => say(format_args!("flood of {frames} frames")),
                    _ => {}
                }
                arrived.extend_from_slice(bytes);
                waiting.done += 1;
            }
            if waiting.done == before {
                break;
            }
            self.recorder.arrived(setting, converter.rate_hz(), &arrived)?;
        }
        Ok(())
    }
}
