//! What single cards or drivers need that the rule does not cover, each with its source.

use barewire_types::RateHz;

/// Frames that lie between the mapped ring and the wire on top of what the driver reports. Nothing is known so far
/// that holds for every kernel; `barewire latency --store` measures it for the machine at hand.
pub(crate) fn transport_frames(_driver: &str, _rate: RateHz) -> u32 {
    0
}

/// Cards that are no sound hardware although they look it: the kernel's own dummies. They are listed, but are never a
/// default. `snd-aloop` and `snd-dummy`, Linux 6.x.
pub(crate) fn is_pretended(driver: &str) -> bool {
    matches!(driver, "Loopback" | "Dummy")
}
