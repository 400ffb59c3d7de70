//! Other ways to the device that was chosen: which there are, whether one of them is better, and why. `offer` calls it.
//!
//! Only where the settings leave the way open: an id names its way, and so does a backend or a mode that is set.

use crate::config::Config;
use barewire_device::{Backend, DeviceInfo, Endpoint, Lead, Mode, endpoints};
use barewire_settings::DeviceChoice;
use barewire_types::RateHz;
use std::sync::Arc;

/// Another way to what was chosen.
#[derive(Clone)]
pub(crate) struct Detour {
    pub(crate) backend: Arc<dyn Backend>,
    /// It plays, or captures alone.
    pub(crate) device: DeviceInfo,
    /// It captures, where that is a device of its own.
    pub(crate) follower: Option<DeviceInfo>,
    /// Rates of the first.
    pub(crate) rates: Vec<RateHz>,
}

impl Detour {
    /// Whether its device has these directions.
    pub(crate) fn has(&self, captures: bool, plays: bool) -> bool {
        (!captures || self.device.capture.is_some()) && (!plays || self.device.playback.is_some())
    }
}

/// Whether the settings leave it to us how the device is reached.
fn is_open(config: &Config) -> bool {
    let wanted = if config.output == DeviceChoice::None { &config.input } else { &config.output };
    config.backend.is_none()
        && config.mode == Mode::Auto
        && !matches!(wanted, DeviceChoice::Id(_) | DeviceChoice::None)
}

fn has_sides_of(lead: &Lead, device: &DeviceInfo) -> bool {
    lead.device.playback.is_some() == device.playback.is_some()
        && lead.device.capture.is_some() == device.capture.is_some()
}

/// The best way to what was chosen, with the reason, and the others, the best first.
pub(crate) fn weigh(
    backends: &[Arc<dyn Backend>],
    config: &Config,
    backend: Arc<dyn Backend>,
    device: DeviceInfo,
    reason: String,
) -> (Arc<dyn Backend>, DeviceInfo, Vec<Detour>, String) {
    if !is_open(config) {
        return (backend, device, Vec::new(), reason);
    }
    let (all, _) = endpoints(backends);
    let is_same =
        |endpoint: &&Endpoint| endpoint.leads.iter().any(|lead| lead.device.id == device.id);
    let leads = all.iter().find(is_same).map(|endpoint| endpoint.leads.clone()).unwrap_or_default();
    // Ways are sorted: the first that does what the chosen one does is the best.
    let best = leads.iter().find(|lead| has_sides_of(lead, &device));
    let (backend, device) = match best {
        Some(lead) => (lead.backend.clone(), lead.device.clone()),
        None => (backend, device),
    };
    let mut detours = ways(&leads, &device);
    if config.output == DeviceChoice::Default {
        detours.extend(defaults(&all, &leads, &device));
    }
    let mut reason = reason;
    if let Some(best) = leads.iter().find(|lead| lead.device.id == device.id) {
        reason = format!("{}: {}", device.id, best.way.integrity);
        if leads.len() > 1 {
            let others: Vec<String> = leads
                .iter()
                .filter(|lead| lead.device.id != device.id)
                .map(|lead| format!("{}: {}", lead.device.id, lead.way.integrity))
                .collect();
            reason += &format!(", the best of {} ways; {}", leads.len(), others.join("; "));
        }
    }
    (backend, device, detours, reason)
}

fn rates_of(device: &DeviceInfo) -> Vec<RateHz> {
    let sides = device.playback.as_ref().or(device.capture.as_ref());
    sides.map(|caps| caps.rates.clone()).unwrap_or_default()
}

/// The other ways to the same endpoint. What captures is a device of its own where a backend knows one direction only.
fn ways(leads: &[Lead], chosen: &DeviceInfo) -> Vec<Detour> {
    let others = leads.iter().filter(|lead| lead.device.id != chosen.id);
    let fitting = others.filter(|lead| {
        lead.device.playback.is_some() == chosen.playback.is_some()
            && (chosen.playback.is_some() || lead.device.capture.is_some())
    });
    let detour = |lead: &Lead| {
        let captures = |other: &&Lead| {
            other.device.id.backend() == lead.device.id.backend()
                && other.device.playback.is_none()
                && other.device.capture.is_some()
        };
        let is_half = chosen.capture.is_some() && lead.device.capture.is_none();
        Detour {
            backend: lead.backend.clone(),
            device: lead.device.clone(),
            follower: leads.iter().find(captures).filter(|_| is_half).map(|l| l.device.clone()),
            rates: rates_of(&lead.device),
        }
    };
    fitting.map(detour).collect()
}

/// Where any device will do, those that other backends prefer: a server, for example, that holds the hardware. Not the
/// virtual one, which nobody hears.
fn defaults(all: &[Endpoint], known: &[Lead], chosen: &DeviceInfo) -> Vec<Detour> {
    let is_other = |lead: &&Lead| {
        let device = &lead.device;
        device.is_default
            && !["virtual", chosen.id.backend()].contains(&device.id.backend())
            && device.playback.is_some() == chosen.playback.is_some()
            && known.iter().all(|known| known.device.id != device.id)
    };
    let detour = |lead: &Lead| Detour {
        backend: lead.backend.clone(),
        rates: rates_of(&lead.device),
        device: lead.device.clone(),
        follower: None,
    };
    all.iter().flat_map(|endpoint| &endpoint.leads).filter(is_other).map(detour).collect()
}
