//! Which rates a host can have, which the device then runs at, and the rate that a new instance begins with.
//!
//! Some hosts set the rate, release the driver, and make a new instance without setting it again (REW, FlexASIO issue
//! 31). So a rate is remembered: only for PCM, and only within the process; another program begins afresh.

use barewire_types::RateHz;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

static REMEMBERED: Mutex<Option<HashMap<String, RateHz>>> = Mutex::new(None);

/// The rates of a device, and whether others are converted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    /// What the device runs at, ascending.
    pub(crate) device: Vec<RateHz>,
    /// Whether a host can have other rates too.
    pub(crate) converts: bool,
}

/// Rates further apart are not converted: the filter would be too long.
const MOST_RATIO: u32 = 32;

impl Rates {
    /// The rate that the device runs at for a host at `wanted`: the same if it has it. Else a whole multiple, which keeps
    /// every sample's place; else the next higher one, which keeps the whole band; else the highest.
    pub(crate) fn device_rate(&self, wanted: RateHz) -> Option<RateHz> {
        if self.device.contains(&wanted) {
            return Some(wanted);
        }
        if !self.converts {
            return None;
        }
        let near = |rate: &&RateHz| {
            let (low, high) = (wanted.get().min(rate.get()), wanted.get().max(rate.get()));
            high <= low.saturating_mul(MOST_RATIO)
        };
        let mut higher = self.device.iter().filter(|&&rate| rate > wanted).filter(near);
        let whole = higher.clone().find(|rate| rate.get() % wanted.get() == 0);
        whole.or_else(|| higher.next()).or_else(|| self.device.iter().rfind(near)).copied()
    }

    /// The rate that a host asks for, if it can have it.
    ///
    /// # Errors
    /// The sentence for the host.
    pub(crate) fn check(&self, rate_hz: f64) -> Result<RateHz, String> {
        /// What the interface has room for, the zero at the end included.
        const MOST_BYTES: usize = 124;
        let rate = RateHz::from_f64(rate_hz).filter(|&rate| self.device_rate(rate).is_some());
        rate.ok_or_else(|| {
            let list: Vec<String> = self.device.iter().map(|rate| rate.get().to_string()).collect();
            let list = list.join(", ");
            let mut text = format!("the device does not run at {rate_hz} Hz, but at {list}");
            let remedy = "; driver.rate_policy = \"convert\" resamples";
            if !self.converts && text.len() + remedy.len() < MOST_BYTES {
                text += remedy;
            }
            text
        })
    }

    /// The rate to begin with: remembered, configured, 48 kHz, or the lowest from 44.1 kHz on.
    pub(crate) fn initial(&self, device: &str, configured: Option<RateHz>) -> Option<RateHz> {
        let there = |rate: &RateHz| self.device_rate(*rate).is_some();
        recall(device)
            .filter(there)
            .or(configured.filter(there))
            .or(Some(RateHz::DAT).filter(|rate| self.device.contains(rate)))
            .or_else(|| self.device.iter().copied().find(|&rate| rate >= RateHz::CD))
            .or_else(|| self.device.last().copied())
    }
}

/// Remembers the rate for a device.
pub(crate) fn remember(device: &str, rate: RateHz) {
    let mut all = REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    all.get_or_insert_default().insert(device.to_owned(), rate);
}

fn recall(device: &str) -> Option<RateHz> {
    let all = REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    all.as_ref()?.get(device).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(device: &[u32], converts: bool) -> Rates {
        let device = device.iter().filter_map(|&rate| RateHz::new(rate)).collect();
        Rates { device, converts }
    }

    #[test]
    fn a_remembered_rate_counts_only_if_the_device_has_it() {
        let both = rates(&[44_100, 48_000], false);
        assert_eq!(both.initial("a", None), Some(RateHz::DAT));
        remember("a", RateHz::CD);
        assert_eq!(both.initial("a", None), Some(RateHz::CD));
        assert_eq!(rates(&[48_000], false).initial("a", None), Some(RateHz::DAT));
        assert_eq!(rates(&[8_000], false).initial("b", None), RateHz::new(8_000));
        assert_eq!(rates(&[], false).initial("b", None), None);
    }

    #[test]
    fn what_the_device_has_is_never_converted_and_the_rest_loses_no_band_if_it_can_be() {
        let all = rates(&[44_100, 48_000, 88_200, 96_000], true);
        let of = |rate: u32| all.device_rate(RateHz::new(rate).unwrap()).map(RateHz::get);
        assert_eq!(of(44_100), Some(44_100));
        assert_eq!(of(22_050), Some(44_100));
        assert_eq!(of(24_000), Some(48_000));
        assert_eq!(of(64_000), Some(88_200));
        assert_eq!(of(192_000), Some(96_000));
        let refuses = rates(&[44_100, 48_000], false);
        assert_eq!(refuses.device_rate(RateHz::new(96_000).unwrap()), None);
        let far = rates(&[768_000], true);
        assert_eq!(far.device_rate(RateHz::new(8_000).unwrap()), None);
    }
}
