//! One connection to the server: its ports, and what it says of the hardware. Control threads only.

use crate::Wiring;
use crate::library::{self, Jack, LatencyRange, Libraries, RawClient, RawPort};
use barewire_types::{Error, ErrorKind, RateHz, Result};
use std::ffi::{CStr, CString, c_char, c_ulong};
use std::ptr;

/// Channels of a loop that has no hardware.
const LOOP_CHANNELS: u16 = 2;

/// A connection; closed when dropped.
pub(crate) struct Client {
    pub(crate) jack: &'static Jack,
    pub(crate) raw: RawClient,
}

// SAFETY: libjack's clients may be used from every thread.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

impl Client {
    /// Connects with the first library that reaches a server.
    ///
    /// # Errors
    /// `NotFound` if there is no libjack, or no server runs.
    pub(crate) fn connect(libraries: Libraries) -> Result<Self> {
        let libraries = libraries();
        for jack in libraries {
            let mut status = 0;
            let (name, options) = (c"Barewire", library::NO_START_SERVER);
            // SAFETY: a name that ends with a zero, a place for the status, no option that takes an argument.
            let raw = unsafe { (jack.client_open)(name.as_ptr(), options, &raw mut status) };
            if !raw.is_null() {
                return Ok(Self { jack, raw });
            }
        }
        let (message, remedy) = if libraries.is_empty() {
            ("libjack is not installed", "install JACK2 or PipeWire's JACK (pipewire-jack)")
        } else {
            ("no JACK server runs for this user", "start jackd or PipeWire")
        };
        Err(Error::new(ErrorKind::NotFound, message).remedy(remedy))
    }

    /// The server's rate.
    pub(crate) fn rate(&self) -> Option<RateHz> {
        // SAFETY: the client is open.
        RateHz::new(unsafe { (self.jack.sample_rate)(self.raw) })
    }

    /// Frames of a cycle.
    pub(crate) fn period_frames(&self) -> u32 {
        // SAFETY: the client is open.
        unsafe { (self.jack.buffer_size)(self.raw) }
    }

    /// The names of the ports that ours of one direction are to be connected with, in their order.
    pub(crate) fn others(&self, direction: c_ulong, wiring: &Wiring) -> Vec<CString> {
        let named = |names: &[String]| {
            names.iter().filter_map(|name| CString::new(name.as_str()).ok()).collect()
        };
        match wiring {
            Wiring::Physical => self.physical(direction),
            Wiring::Named { captures, plays } => {
                named(if direction == library::IS_OUTPUT { captures } else { plays })
            }
            Wiring::Loop => {
                (1..=LOOP_CHANNELS).filter_map(|n| CString::new(format!("loop {n}")).ok()).collect()
            }
        }
    }

    /// The names of the hardware's ports of one direction, as the server sees it.
    fn physical(&self, direction: c_ulong) -> Vec<CString> {
        let flags = direction | library::IS_PHYSICAL;
        // SAFETY: the client is open; the strings end with zeros or are null, which means all.
        let list =
            unsafe { (self.jack.ports)(self.raw, ptr::null(), library::AUDIO.as_ptr(), flags) };
        let mut names = Vec::new();
        if list.is_null() {
            return names;
        }
        for n in 0.. {
            // SAFETY: the list ends with a null.
            let name = unsafe { *list.add(n) };
            if name.is_null() {
                break;
            }
            // SAFETY: each entry is a string that ends with a zero.
            names.push(unsafe { CStr::from_ptr(name) }.to_owned());
        }
        // SAFETY: the list is libjack's and is freed once.
        unsafe { (self.jack.free)(list.cast()) };
        names
    }

    /// Makes a port of ours.
    ///
    /// # Errors
    /// `Malfunction` if the server refuses.
    pub(crate) fn port(&self, name: &str, direction: c_ulong) -> Result<RawPort> {
        let text = CString::new(name).unwrap_or_default();
        let audio = library::AUDIO.as_ptr();
        // SAFETY: the client is open; both strings end with zeros.
        let port =
            unsafe { (self.jack.port_register)(self.raw, text.as_ptr(), audio, direction, 0) };
        if port.is_null() {
            let message = format!("the JACK server refuses the port {name}");
            return Err(Error::new(ErrorKind::Malfunction, message)
                .remedy("end other JACK clients, or start the server with more ports"));
        }
        Ok(port)
    }

    /// The whole name of a port.
    pub(crate) fn name_of(&self, port: RawPort) -> *const c_char {
        // SAFETY: the port is one of this client's.
        unsafe { (self.jack.port_name)(port) }
    }

    /// Connects two ports; false if the server refuses.
    pub(crate) fn wire(&self, from: *const c_char, to: *const c_char) -> bool {
        // SAFETY: the client is active; both strings end with zeros.
        !from.is_null() && !to.is_null() && unsafe { (self.jack.connect)(self.raw, from, to) } == 0
    }

    /// The greatest latency of a port of the hardware.
    pub(crate) fn latency(&self, port: &CStr, mode: u32) -> u32 {
        // SAFETY: the client is open; the name ends with a zero.
        let port = unsafe { (self.jack.port_by_name)(self.raw, port.as_ptr()) };
        let mut range = LatencyRange::default();
        if !port.is_null() {
            // SAFETY: the port was just found; the place is ours.
            unsafe { (self.jack.port_latency)(port, mode, &raw mut range) };
        }
        range.max
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: opened once, closed once; libjack waits for its callbacks.
        unsafe { (self.jack.client_close)(self.raw) };
    }
}
