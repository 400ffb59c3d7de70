//! What single cards or drivers need that the rule does not cover, each with its source.

use barewire_types::{Ns, RateHz, frames_to_ns};

/// `snd-usb-audio`, for all of its cards.
fn is_usb(driver: &str) -> bool {
    driver == "USB-Audio"
}

/// One direction may begin to move long before the other, although both were started by one call, and the position of what
/// is played counts what is packed for the bus, not what was on it: `snd-usb-audio`, Linux 5.16 to 6.x.
pub(crate) fn starts_apart(driver: &str) -> bool {
    is_usb(driver)
}

/// A USB packet at high speed.
const MICROFRAME_NS: Ns = 125_000;

/// Rounded up, for what must not be less.
fn frames(ns: Ns, rate: RateHz) -> u32 {
    u32::try_from((ns * u64::from(rate.get())).div_ceil(1_000_000_000)).unwrap_or(u32::MAX)
}

/// Frames between the bus and the converter, each way, that no driver reports. A USB device plays a packet when it is whole
/// and the next is on its way, and sends one when it is whole: a packet each. What a device's own converter adds, `barewire
/// latency --store` measures.
pub(crate) fn transport_frames(driver: &str, rate: RateHz) -> u32 {
    if is_usb(driver) { frames(MICROFRAME_NS, rate) + 1 } else { 0 }
}

/// Frames that must be queued ahead of the hardware when a period begins to be filled, if that is more than a period.
///
/// `snd-usb-audio` packs packets into URBs, as few to a period as hold it at a millisecond each, packets counted an eighth too
/// small (`data_ep_set_params`, Linux 6.1), and takes what was written since only when an URB is done. Captured frames come
/// an URB late; then one URB must still be on the bus, and another one behind it, lest there be a gap; and a millisecond is
/// for the bus and the wake-up.
pub(crate) fn least_ahead_frames(driver: &str, period_frames: u32, rate: RateHz) -> u32 {
    const LONGEST_URB_NS: Ns = 8 * MICROFRAME_NS;
    const SPARE_NS: Ns = 1_000_000;
    if !is_usb(driver) {
        return 0;
    }
    let period_ns = frames_to_ns(u64::from(period_frames), rate);
    let urbs = (period_ns * 8 / 7).div_ceil(LONGEST_URB_NS).max(1);
    frames(3 * (period_ns / urbs).max(MICROFRAME_NS) + SPARE_NS, rate)
}

/// Cards that are no sound hardware although they look it: the kernel's own dummies. They are listed, but are never a
/// default. `snd-aloop` and `snd-dummy`, Linux 6.x.
pub(crate) fn is_pretended(driver: &str) -> bool {
    matches!(driver, "Loopback" | "Dummy")
}
