//! One physical endpoint, several ways to it: which devices of which backends are the same, what each way gives, and which
//! is best. Nothing is opened for it. Called by whoever lists or chooses devices.

use crate::backend::Backend;
use crate::info::{Caps, DeviceInfo, NoteKind};
use barewire_types::{Integrity, Latency, RateHz};
use std::sync::Arc;

/// What a way to a device gives, as far as it can be known without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// What the system itself calls the endpoints behind the device, one or one a direction: devices that have one in
    /// common are the same hardware. A backend that shares its hardware with no other calls it by the device's own id.
    pub endpoints: Vec<String>,
    /// What arrives at best.
    pub integrity: Integrity,
    /// The rate that the figures are for.
    pub rate: RateHz,
    /// The smallest period, in frames.
    pub period_frames: u32,
    /// The least latency of each direction, a period included; 0 where there is no such direction.
    pub latency: Latency,
    /// Whether it reaches below what the system's own programs use, so that they stand before a device that is simply taken.
    pub goes_below_the_system: bool,
}

impl Way {
    /// What is known of a device by its own description: one period on the way in, two on the way out.
    pub fn of(device: &DeviceInfo) -> Self {
        let sides = || device.playback.iter().chain(&device.capture);
        let rates = || sides().flat_map(|caps| &caps.rates).copied();
        let rate = rates()
            .find(|&rate| rate == RateHz::DAT)
            .or_else(|| rates().min())
            .unwrap_or(RateHz::DAT);
        let period_frames = sides().map(|caps| caps.periods.min_frames).max().unwrap_or(0);
        let is_mixed = device.notes.iter().any(|note| note.kind == NoteKind::SystemMixer);
        let bits = |caps: &Caps| caps.formats.iter().map(|format| format.exact_bits()).max();
        let integrity = match sides().filter_map(bits).min() {
            Some(bits) if !is_mixed => Integrity::Exact { bits },
            _ => Integrity::Shared,
        };
        let frames =
            |side: &Option<Caps>, periods| side.as_ref().map_or(0, |_| period_frames * periods);
        let latency = Latency {
            input_frames: frames(&device.capture, 1),
            output_frames: frames(&device.playback, 2),
        };
        Self {
            endpoints: vec![device.id.to_string()],
            integrity,
            rate,
            period_frames,
            latency,
            goes_below_the_system: false,
        }
    }

    /// Whether both lead to the same hardware.
    pub fn meets(&self, other: &Self) -> bool {
        self.endpoints.iter().any(|endpoint| other.endpoints.contains(endpoint))
    }

    /// Less is better: what is exact first, and of those what carries more bits; then what gets on with the system; then what
    /// is sooner heard.
    pub fn rank(&self) -> (u8, bool, u64) {
        let lost = match self.integrity {
            Integrity::Exact { bits } => 64_u8.saturating_sub(bits),
            _ => 64,
        };
        let frames = self.latency.input_frames + self.latency.output_frames;
        let us = u64::from(frames) * 1_000_000 / u64::from(self.rate.get());
        (lost, self.goes_below_the_system, us)
    }
}

/// A device, how to it, and what that gives.
#[derive(Clone)]
pub struct Lead {
    /// Who opens it.
    pub backend: Arc<dyn Backend>,
    /// The device as this backend knows it.
    pub device: DeviceInfo,
    /// What the way gives.
    pub way: Way,
}

/// A physical endpoint, or several of one piece of hardware, with all ways to it, the best first.
#[derive(Clone)]
pub struct Endpoint {
    /// Never empty.
    pub leads: Vec<Lead>,
}

/// Every endpoint that the backends can reach, in the order in which they are found, and the backends that could not
/// list their devices, with the reason. Control thread.
pub fn endpoints(
    backends: &[Arc<dyn Backend>],
) -> (Vec<Endpoint>, Vec<(&'static str, barewire_types::Error)>) {
    let mut all: Vec<Endpoint> = Vec::new();
    let mut failed = Vec::new();
    for backend in backends {
        let devices = match backend.devices() {
            Ok(devices) => devices,
            Err(error) => {
                failed.push((backend.name(), error));
                continue;
            }
        };
        for device in devices {
            let way = backend.way(&device);
            let lead = Lead { backend: backend.clone(), device, way };
            let same = |endpoint: &&mut Endpoint| {
                endpoint.leads.iter().any(|other| other.way.meets(&lead.way))
            };
            match all.iter_mut().find(same) {
                Some(endpoint) => endpoint.leads.push(lead),
                None => all.push(Endpoint { leads: vec![lead] }),
            }
        }
    }
    for endpoint in &mut all {
        // Stable: of equals the one whose backend stands first.
        endpoint.leads.sort_by_key(|lead| lead.way.rank());
    }
    (all, failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Channels, DeviceId, Note, OpenRequest, Periods, Stream};
    use barewire_types::{Error, ErrorKind, Result, SampleFormat};

    struct Listed(&'static str, Vec<(&'static str, bool, u32)>);

    impl Backend for Listed {
        fn name(&self) -> &'static str {
            self.0
        }

        fn devices(&self) -> Result<Vec<DeviceInfo>> {
            let device = |&(rest, is_mixed, min_frames): &(&str, bool, u32)| DeviceInfo {
                id: DeviceId::new(self.0, rest),
                name: rest.to_owned(),
                capture: None,
                playback: Some(Caps {
                    formats: vec![SampleFormat::INT24],
                    rates: vec![RateHz::DAT],
                    channels: Channels { counts: vec![2], names: vec![] },
                    periods: Periods {
                        min_frames,
                        max_frames: 999,
                        preferred_frames: min_frames,
                        step_frames: 1,
                    },
                }),
                is_default: false,
                notes: is_mixed
                    .then(|| Note { kind: NoteKind::SystemMixer, text: String::new() })
                    .into_iter()
                    .collect(),
            };
            if self.1.is_empty() {
                return Err(Error::new(ErrorKind::Malfunction, "no list"));
            }
            Ok(self.1.iter().map(device).collect())
        }

        fn open(&self, _: &OpenRequest) -> Result<Box<dyn Stream>> {
            Err(Error::new(ErrorKind::NotFound, "nothing"))
        }

        fn way(&self, device: &DeviceInfo) -> Way {
            let endpoints = device.id.rest().split('+').map(str::to_owned).collect();
            Way { endpoints, ..Way::of(device) }
        }
    }

    fn ids(endpoint: &Endpoint) -> Vec<&str> {
        endpoint.leads.iter().map(|lead| lead.device.id.as_str()).collect()
    }

    #[test]
    fn one_endpoint_stands_once_with_its_ways_the_best_first() {
        let backends: Vec<Arc<dyn Backend>> = vec![
            Arc::new(Listed("mixed", vec![("a", true, 480), ("c", true, 480)])),
            Arc::new(Listed("slow", vec![("a", false, 480)])),
            Arc::new(Listed("fast", vec![("a+b", false, 48)])),
            Arc::new(Listed("other", vec![("b", true, 100)])),
            Arc::new(Listed("broken", vec![])),
        ];
        let (all, failed) = endpoints(&backends);
        let listed: Vec<_> = all.iter().map(ids).collect();
        let first = vec!["fast:a+b", "slow:a", "other:b", "mixed:a"];
        assert_eq!(listed, [first, vec!["mixed:c"]]);
        assert_eq!(failed[0].0, "broken");
    }

    #[test]
    fn what_is_exact_ranks_before_what_is_soon_heard() {
        let backend = Listed("x", vec![("a", true, 1), ("b", false, 999)]);
        let ways: Vec<Way> =
            backend.devices().unwrap().iter().map(|device| backend.way(device)).collect();
        assert_eq!(ways[0].integrity, Integrity::Shared);
        assert_eq!(ways[1].integrity, Integrity::Exact { bits: 24 });
        assert!(ways[1].rank() < ways[0].rank());
        assert_eq!((ways[0].latency.input_frames, ways[0].latency.output_frames), (0, 2));
    }

    #[test]
    fn what_gets_on_with_the_system_ranks_before_what_is_sooner_heard() {
        let backend =
            Listed("x", vec![("slow", false, 999), ("soon", false, 1), ("mixed", true, 1)]);
        let devices = backend.devices().unwrap();
        let [slow, soon, mixed] = [0, 1, 2].map(|n| backend.way(&devices[n]));
        assert!(soon.rank() < slow.rank());
        let below = Way { goes_below_the_system: true, ..soon };
        assert!(slow.rank() < below.rank() && below.rank() < mixed.rank());
    }
}
