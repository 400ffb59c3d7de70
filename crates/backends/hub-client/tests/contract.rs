//! The backend on a real hub, over its socket and in memory that is mapped twice, with the virtual device below: the
//! contract, and that one client's samples arrive bit for bit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]

use barewire_device::contract::{Bench, check_some};
use barewire_device::{Backend, DeviceId, OpenRequest, SideRequest};
use barewire_hub::{Hub, Options, Server};
use barewire_hub_client::HubBackend;
use barewire_rt::{RealSystem, System};
use barewire_types::{ErrorKind, RateHz};
use barewire_virtual::{Description, Source, VirtualBackend};
use std::path::Path;
use std::sync::Arc;

const PERIOD_FRAMES: u32 = 512;

/// A hub and its client, together: dropped together.
struct Pair {
    client: HubBackend,
    hub: Arc<Hub>,
    server: Option<Server>,
    _folder: tempfile::TempDir,
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.hub.close();
        if let Some(server) = self.server.take() {
            server.close(5_000_000_000);
        }
    }
}

impl Backend for Pair {
    fn name(&self) -> &'static str {
        self.client.name()
    }

    fn devices(&self) -> barewire_types::Result<Vec<barewire_device::DeviceInfo>> {
        self.client.devices()
    }

    fn open(
        &self,
        request: &OpenRequest,
    ) -> barewire_types::Result<Box<dyn barewire_device::Stream>> {
        self.client.open(request)
    }
}

fn options(system: &Arc<dyn System>, description: Description) -> Options {
    let device = VirtualBackend::new(system.clone(), vec![description]);
    Options {
        system: system.clone(),
        backends: vec![Arc::new(device)],
        wanted: Arc::new(|device| device.is_default),
        leader: None,
        taps: false,
        most_clients: 16,
    }
}

fn hub_at(
    system: &Arc<dyn System>,
    address: &Path,
    description: Description,
) -> (Arc<Hub>, Server) {
    let hub = Hub::new(options(system, description)).unwrap();
    let server = Server::open(hub.clone(), system.clone(), address).unwrap();
    (hub, server)
}

fn description() -> Description {
    let source = Source::Loop { delay_frames: 0 };
    Description { prefill_periods: 3, source, ..Description::default() }
}

fn pair(system: &Arc<dyn System>) -> Pair {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("hub.socket");
    let (hub, server) = hub_at(system, &address, description());
    let client = HubBackend::new(system.clone(), address, None);
    Pair { client, hub, server: Some(server), _folder: folder }
}

fn request() -> OpenRequest {
    let side = Some(SideRequest { channels: 2, format: None });
    OpenRequest {
        id: DeviceId::new("hub", "virtual:loop"),
        rate: RateHz::DAT,
        capture: side,
        playback: side,
        period_frames: PERIOD_FRAMES,
    }
}

#[test]
fn the_contract_is_kept() {
    let make = || {
        let system: Arc<dyn System> = RealSystem::new();
        Bench {
            backend: Box::new(pair(&system)),
            system,
            request: request(),
            heard: None,
            is_looped: true,
            unplug: None,
        }
    };
    // What a machine's load can upset is left to the simulator, where time waits for nobody.
    let timing = ["latency-as-stated", "xrun-resumes-on-a-frame", "position-follows-clock"];
    // A block that comes too late is silence, and a busy machine has some; what was shifted would be so each time.
    let sound = "unread-is-dropped";
    let report = check_some(&make, |name| !timing.contains(&name) && name != sound);
    assert!(report.broken.is_empty(), "{report}");
    let mut reports = (0..5).map(|_| check_some(&make, |name| name == sound));
    assert!(reports.any(|report| report.kept.contains(&sound)), "{sound}: not in five attempts");
}

#[test]
fn a_second_hub_at_the_same_place_is_refused() {
    let system: Arc<dyn System> = RealSystem::new();
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("hub.socket");
    let (_hub, _server) = hub_at(&system, &address, description());
    let again = Hub::new(options(&system, description())).unwrap();
    let error = Server::open(again, system, &address).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Busy);
}
