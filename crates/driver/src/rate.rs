//! The rate that a new instance begins with: what the last one of this process was set to.
//!
//! Some hosts set the rate, release the driver, and make a new instance without setting it again (REW, FlexASIO issue
//! 31). Only for PCM, and only within the process: another program begins afresh.

use barewire_types::RateHz;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

static REMEMBERED: Mutex<Option<HashMap<String, RateHz>>> = Mutex::new(None);

/// Remembers the rate for a device.
pub(crate) fn remember(device: &str, rate: RateHz) {
    let mut all = REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    all.get_or_insert_default().insert(device.to_owned(), rate);
}

fn recall(device: &str) -> Option<RateHz> {
    let all = REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    all.as_ref()?.get(device).copied()
}

/// The rate to begin with, of those that the device has: remembered, configured, 48 kHz, or the lowest from 44.1 kHz on.
pub(crate) fn initial(
    device: &str,
    rates: &[RateHz],
    configured: Option<RateHz>,
) -> Option<RateHz> {
    let there = |rate: &RateHz| rates.contains(rate);
    recall(device)
        .filter(there)
        .or(configured.filter(there))
        .or(Some(RateHz::DAT).filter(there))
        .or_else(|| rates.iter().copied().find(|&rate| rate >= RateHz::CD))
        .or_else(|| rates.last().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remembered_rate_counts_only_if_the_device_has_it() {
        let rates = [RateHz::CD, RateHz::DAT];
        assert_eq!(initial("a", &rates, None), Some(RateHz::DAT));
        remember("a", RateHz::CD);
        assert_eq!(initial("a", &rates, None), Some(RateHz::CD));
        assert_eq!(initial("a", &[RateHz::DAT], None), Some(RateHz::DAT));
        assert_eq!(initial("b", &[RateHz::MIN], None), Some(RateHz::MIN));
        assert_eq!(initial("b", &[], None), None);
    }
}
