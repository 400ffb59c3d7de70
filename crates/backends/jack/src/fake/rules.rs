//! The contract of backends on the server in simulated time: every rule can be tried here, whatever the machine is busy with.

use super::{Server, backend};
use crate::{DEVICE, NAME};
use barewire_device::contract::{Bench, RULES, check};
use barewire_device::{DeviceId, OpenRequest, SideRequest};
use barewire_rt::System;
use barewire_testkit::BatonSystem;
use barewire_types::RateHz;
use std::sync::Arc;

pub(super) const PERIOD_FRAMES: u32 = 64;
const SECOND_NS: u64 = 1_000_000_000;

pub(super) fn request() -> OpenRequest {
    let side = Some(SideRequest { channels: 2, format: None });
    OpenRequest {
        id: DeviceId::new(NAME, DEVICE),
        rate: RateHz::DAT,
        capture: side,
        playback: side,
        period_frames: PERIOD_FRAMES,
    }
}

/// Ends a server's thread with the bench that it was made for.
pub(super) struct Ending {
    pub(super) baton: Arc<BatonSystem>,
    pub(super) server: Arc<Server>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.server.kill();
        if !std::thread::panicking() {
            self.baton.finish(SECOND_NS);
        }
    }
}

#[test]
fn the_whole_contract_is_kept_in_simulated_time() {
    for seed in 0..4 {
        println!("seed {seed}");
        let make = || {
            let baton = BatonSystem::new(seed);
            let system: Arc<dyn System> = baton.clone();
            let server = Server::start(&system, PERIOD_FRAMES, true);
            let (ears, victim) = (server.clone(), server.clone());
            let ending = Ending { baton, server };
            let heard = move || {
                let _until_now = &ending;
                ears.heard().iter().flat_map(|sample| sample.to_le_bytes()).collect()
            };
            Bench {
                backend: Box::new(backend(&system)),
                system,
                request: request(),
                heard: Some(Box::new(heard)),
                is_looped: true,
                unplug: Some(Box::new(move || victim.kill())),
            }
        };
        let report = check(&make);
        println!("{report}");
        assert!(report.broken.is_empty());
        let not_tried: Vec<&str> = report.not_tried.iter().map(|(rule, _)| *rule).collect();
        // The real server's test tries this one.
        assert_eq!(not_tried, ["waker-during-wait"]);
        assert_eq!(report.kept.len(), RULES.len() - 1);
    }
}
