//! What can be set, as ASIO4ALL's users know it: transport, buffer offset, kernel buffers.

use crate::uapi::Interface;
use crate::way::Method;

/// Which way memory travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// The best that the pin has: a ring with events, a ring by the clock, packets.
    #[default]
    Auto,
    /// WaveRT, woken by the driver's events.
    Event,
    /// WaveRT, looked at by the clock.
    Polled,
    /// Packets.
    Packets,
}

/// What is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Which way memory travels.
    pub transport: Transport,
    /// With [`Transport::Polled`]: how far we keep away from the hardware beyond a period. `None`: a millisecond, or what
    /// the hardware holds of its own.
    pub buffer_offset_us: Option<u32>,
    /// With [`Transport::Packets`]: how many packets there are, 2 to 8.
    pub kernel_buffers: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { transport: Transport::Auto, buffer_offset_us: None, kernel_buffers: 2 }
    }
}

impl Options {
    /// What to try on a pin with these interfaces, in order.
    pub(crate) fn methods(&self, interfaces: &[Interface]) -> Vec<Method> {
        let methods: &[Method] = match self.transport {
            Transport::Auto => &[Method::Event, Method::Polled, Method::Packets],
            Transport::Event => &[Method::Event],
            Transport::Polled => &[Method::Polled],
            Transport::Packets => &[Method::Packets],
        };
        methods.iter().copied().filter(|method| interfaces.contains(&method.interface())).collect()
    }
}
