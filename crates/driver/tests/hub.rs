//! The driver on a hub: the leader changes the rate and the others are told; the hub goes and comes back; whoever keeps time
//! has the latency of a device of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]

use barewire_abi::constants::message;
use barewire_abi::{AsioDriver, BufferRequest};
use barewire_device::Backend;
use barewire_driver::{Config, Driver, FixedConfig, Observer, Options};
use barewire_hub::{Hub, Options as HubOptions, Server};
use barewire_hub_client::HubBackend;
use barewire_rt::{RealSystem, System};
use barewire_testkit::{FakeHost, Manners};
use barewire_virtual::{Description, VirtualBackend};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const BLOCK_FRAMES: u32 = 512;
/// A reset is asked for after ten seconds without a device.
const PATIENCE: Duration = Duration::from_secs(30);

struct RunningHub {
    hub: Arc<Hub>,
    server: Option<Server>,
}

impl Drop for RunningHub {
    fn drop(&mut self) {
        self.hub.close();
        if let Some(server) = self.server.take() {
            server.close(5_000_000_000);
        }
    }
}

fn device(system: &Arc<dyn System>) -> Arc<dyn Backend> {
    let description = Description { prefill_periods: 4, ..Description::default() };
    Arc::new(VirtualBackend::new(system.clone(), vec![description]))
}

fn hub(address: &Path, leader: Option<&str>) -> RunningHub {
    let system: Arc<dyn System> = RealSystem::new();
    let hub = Hub::new(HubOptions {
        system: system.clone(),
        backends: vec![device(&system)],
        wanted: Arc::new(|device| device.is_default),
        leader: leader.map(str::to_owned),
        taps: false,
        most_clients: 16,
    })
    .unwrap();
    let server = Server::open(hub.clone(), system, address).unwrap();
    RunningHub { hub, server: Some(server) }
}

struct Seated {
    driver: Arc<dyn AsioDriver>,
    own: Option<Arc<Driver>>,
    observer: Observer,
    host: Arc<FakeHost>,
}

fn play_on(backend: Arc<dyn Backend>, system: Arc<dyn System>) -> Seated {
    let config = Config { backend: Some(backend.name().to_owned()), ..Config::default() };
    let config = Arc::new(FixedConfig(config));
    let own = Arc::new(Driver::new(Options { system, backends: vec![backend], config }));
    let driver: Arc<dyn AsioDriver> = own.clone();
    driver.init(std::ptr::null_mut()).unwrap();
    let host = FakeHost::new(BLOCK_FRAMES, Manners::default());
    let all = [(false, 0), (false, 1), (true, 0), (true, 1)];
    let all = all.map(|(is_input, channel)| BufferRequest { is_input, channel });
    host.create_buffers(&driver, &all).unwrap();
    driver.start().unwrap();
    Seated { driver, observer: own.observer(), own: Some(own), host }
}

fn play(address: &Path) -> Seated {
    let system: Arc<dyn System> = RealSystem::new();
    play_on(Arc::new(HubBackend::new(system.clone(), address.to_owned(), None)), system)
}

impl Seated {
    fn blocks(&self) -> u64 {
        self.host.heard(|heard| heard.blocks)
    }

    fn goes_on(&self, what: &str) {
        let before = self.blocks();
        wait(what, || self.blocks() > before + 5);
    }

    fn asked(&self, selector: i32) -> bool {
        self.host.heard(|heard| heard.messages.iter().any(|(asked, _)| *asked == selector))
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        let _ = self.driver.stop();
        let _ = self.driver.dispose_buffers();
        drop(self.own.take());
    }
}

#[track_caller]
fn wait(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_hub_that_goes_leaves_its_hosts_alive_and_they_come_back_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("hub.socket");
    let first = hub(&address, None);
    let seated = play(&address);
    seated.goes_on("the host is called");
    wait("the hub tells what becomes of the samples", || {
        seated.observer.report().integrity.is_exact()
    });
    drop(first);
    seated.goes_on("without a hub the host is called all the same");
    wait("the host is asked for a reset", || seated.asked(message::RESET_REQUEST));
    seated.goes_on("the host goes on");
    let second = hub(&address, None);
    let served = || second.hub.report().clients.iter().any(|client| client.blocks > 10);
    wait("the host comes back by itself", served);
    seated.goes_on("and is called");
}

#[test]
fn who_follows_is_told_of_the_leaders_rate_and_asked_for_a_reset() {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("hub.socket");
    // Both are this process, so that both would lead; nobody of this name does but the one that comes while it is alone.
    let running = hub(&address, Some("nobody"));
    let follower = play(&address);
    follower.goes_on("the host is called");
    let who = barewire_share::message::Who { program: "nobody".to_owned(), process: 1 };
    let wish = barewire_share::message::Wish {
        rate_hz: 96_000,
        period_frames: BLOCK_FRAMES,
        captures: true,
        plays: true,
    };
    let admission = running.hub.attach(&who, &wish).unwrap();
    assert_eq!(admission.attached.rate_hz, 96_000);
    wait("the host is told", || follower.host.heard(|heard| heard.rates == [96_000.0]));
    wait("and asked for a reset", || follower.asked(message::RESET_REQUEST));
    assert_eq!(follower.driver.sample_rate().unwrap(), 96_000.0);
    follower.goes_on("the host is called meanwhile");
    // A host that does as it is asked plays on, at the new rate.
    follower.driver.stop().unwrap();
    follower.driver.dispose_buffers().unwrap();
    let all = [BufferRequest { is_input: false, channel: 0 }];
    follower.host.create_buffers(&follower.driver, &all).unwrap();
    follower.driver.start().unwrap();
    follower.goes_on("after its reset");
    let report = running.hub.report();
    assert_eq!(report.rate_hz, 96_000);
    // And whoever insists on another rate is refused with the reason.
    let wish = barewire_share::message::Wish { rate_hz: 44_100, ..wish };
    let other = barewire_share::message::Who { program: "other".to_owned(), process: 2 };
    let error = running.hub.attach(&other, &wish).err().unwrap();
    assert!(error.to_string().contains("nobody (process 1), which leads"), "{error}");
}

#[test]
fn who_keeps_time_has_the_latency_of_a_device_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("hub.socket");
    let _running = hub(&address, None);
    let shared = play(&address);
    let system: Arc<dyn System> = RealSystem::new();
    let exclusive = play_on(device(&system), system.clone());
    shared.goes_on("the host is called");
    exclusive.goes_on("the host is called");
    assert_eq!(shared.driver.latencies().unwrap(), exclusive.driver.latencies().unwrap());
    // And what is told is true: the device is a loop, and what was counted out comes back counted in.
    let (input, output) = shared.driver.latencies().unwrap();
    let delay = usize::try_from(input + output).unwrap();
    wait("it comes back", || shared.host.heard(|heard| heard.input.iter().any(|&n| n != 0)));
    let frames = shared.host.heard(|heard| heard.input.iter().position(|&n| n != 0).unwrap());
    // The first block may be a late one on a busy machine: later then by whole blocks.
    assert_eq!((frames - delay) % BLOCK_FRAMES as usize, 0, "{frames} frames, told {delay}");
    let late = shared.observer.report().lates > 0;
    assert!(late || frames == delay, "{frames} frames, told {delay}");
}
