//! One device, several ways: the best that opens is taken, and it is said why.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a test may stop the world"
)]

mod rig;

use barewire_abi::{AsioDriver, Code};
use barewire_device::{Backend, DeviceId, DeviceInfo, Note, NoteKind, OpenRequest, Stream, Way};
use barewire_driver::{Config, DeviceChoice, Driver, FixedConfig, Options, Report};
use barewire_rt::SimulatedSystem;
use barewire_testkit::{FakeHost, Manners};
use barewire_types::Result;
use barewire_virtual::{Description, Remote, VirtualBackend};
use rig::{HANG, both, code, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A way to the one endpoint of these tests: a virtual device under another name.
struct Named {
    name: &'static str,
    inner: VirtualBackend,
    is_mixed: bool,
    endpoint: &'static str,
}

impl Named {
    fn outside(&self, mut device: DeviceInfo) -> DeviceInfo {
        device.id = DeviceId::new(self.name, device.id.rest());
        device.is_default = true;
        if self.is_mixed {
            let text = "mixed".to_owned();
            device.notes.push(Note { kind: NoteKind::SystemMixer, text });
        }
        device
    }
}

impl Backend for Named {
    fn name(&self) -> &'static str {
        self.name
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        Ok(self.inner.devices()?.into_iter().map(|device| self.outside(device)).collect())
    }

    fn open(&self, request: &OpenRequest) -> Result<Box<dyn Stream>> {
        let id = DeviceId::new("virtual", request.id.rest());
        self.inner.open(&OpenRequest { id, ..request.clone() })
    }

    fn way(&self, device: &DeviceInfo) -> Way {
        Way { endpoints: vec![self.endpoint.to_owned()], ..Way::of(device) }
    }
}

struct World {
    system: Arc<SimulatedSystem>,
    backends: Vec<Arc<dyn Backend>>,
    names: Vec<String>,
    driver: Arc<dyn AsioDriver>,
    own: Arc<Driver>,
    remotes: Vec<Arc<Remote>>,
}

/// A backend yet to be made, and its devices.
struct Listed {
    name: &'static str,
    is_mixed: bool,
    endpoint: &'static str,
    devices: Vec<Description>,
}

impl Named {
    fn listed(name: &'static str, devices: Vec<Description>) -> Listed {
        Listed { name, is_mixed: false, endpoint: "e", devices }
    }
}

/// Ways with their name, whether a mixer lies in them, and to which endpoint they lead.
fn world(ways: &[(&'static str, bool, &'static str, Description)], config: Config) -> World {
    let listed = ways.iter().map(|(name, is_mixed, endpoint, device)| Listed {
        name,
        is_mixed: *is_mixed,
        endpoint,
        devices: vec![device.clone()],
    });
    world_of(listed.collect()).configured(config)
}

fn world_of(ways: Vec<Listed>) -> World {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let system = SimulatedSystem::new(1_000_000);
    let mut backends: Vec<Arc<dyn Backend>> = Vec::new();
    let (mut remotes, mut names) = (Vec::new(), Vec::new());
    for Listed { name, is_mixed, endpoint, mut devices } in ways {
        let first = names.len();
        for device in &mut devices {
            // Each test has devices of its own: rates are remembered by device.
            device.name = format!("way{}", NEXT.fetch_add(1, Ordering::Relaxed));
            names.push(device.name.clone());
        }
        let inner = VirtualBackend::new(system.clone(), devices);
        remotes.extend(names[first..].iter().map(|name| inner.remote(name).unwrap()));
        backends.push(Arc::new(Named { name, inner, is_mixed, endpoint }));
    }
    let own = driver(&system, &backends, Config::default());
    World { system, backends, names, driver: own.clone(), own, remotes }
}

fn driver(
    system: &Arc<SimulatedSystem>,
    backends: &[Arc<dyn Backend>],
    config: Config,
) -> Arc<Driver> {
    let config = Arc::new(FixedConfig(config));
    let (system, backends) = (system.clone(), backends.to_vec());
    Arc::new(Driver::new(Options { system, backends, config }))
}

impl World {
    fn configured(self, config: Config) -> Self {
        let own = driver(&self.system, &self.backends, config);
        Self { driver: own.clone(), own, ..self }
    }

    /// Plays some blocks; whether each way was opened, and what the driver says.
    fn play(&self) -> (Vec<bool>, Report) {
        let (manners, reached) = until(20, Manners::default());
        self.driver.init(std::ptr::null_mut()).unwrap();
        let host = FakeHost::new(64, manners);
        host.create_buffers(&self.driver, &both()).unwrap();
        self.driver.start().unwrap();
        reached.recv_timeout(HANG).expect("the host is not called");
        let report = self.own.observer().report();
        self.driver.stop().unwrap();
        host.heard(|heard| assert!(heard.faults.is_empty(), "{:?}", heard.faults));
        (self.remotes.iter().map(|remote| remote.openings() > 0).collect(), report)
    }
}

fn plain() -> Description {
    Description { inputs: 2, outputs: 2, ..Description::default() }
}

fn busy() -> Description {
    Description { refuse_openings: u32::MAX, ..plain() }
}

#[test]
fn the_best_way_is_taken_whatever_stands_first_and_it_is_said_why() {
    let ways = [("mixed", true, "e", plain()), ("exact", false, "e", plain())];
    let (opened, report) = world(&ways, Config::default()).play();
    assert_eq!(opened, [false, true]);
    let reason = report.reason_for_device.unwrap();
    for words in ["exact (32 bits)", "best of 2 ways", "shared by the system"] {
        assert!(reason.contains(words), "{reason}");
    }
}

#[test]
fn a_way_that_does_not_open_is_passed_by_with_the_reason() {
    let ways = [
        ("exact", false, "e", busy()),
        ("mixed", true, "e", plain()),
        ("another", false, "elsewhere", busy()),
    ];
    let (opened, report) = world(&ways, Config::default()).play();
    assert_eq!(opened, [false, true, false]);
    let told = report.notes.iter().find(|note| note.contains("better way")).expect("a note");
    assert!(told.starts_with("mixed:") && told.contains("held by another program"), "{told}");
}

#[test]
fn where_any_device_will_do_another_backends_default_is_tried_last() {
    let ways = [("exact", false, "e", busy()), ("server", false, "elsewhere", plain())];
    let (opened, _) = world(&ways, Config::default()).play();
    assert_eq!(opened, [false, true]);
}

#[test]
fn what_only_plays_is_joined_with_what_captures_from_the_same_endpoint() {
    let plays = Description { inputs: 0, outputs: 2, ..Description::default() };
    let captures = Description { inputs: 2, outputs: 0, ..Description::default() };
    let other = Named::listed("halves", vec![plays, captures]);
    let (opened, report) = world_of(vec![Named::listed("both", vec![busy()]), other]).play();
    assert_eq!(opened, [false, true, true]);
    assert!(report.notes.iter().any(|note| note.contains("clock of its own")));
}

#[test]
fn a_way_that_was_named_is_the_only_one() {
    let ways = [("exact", false, "e", busy()), ("mixed", true, "e", plain())];
    let open = |config: fn(&str) -> Config| {
        let world = world(&ways, Config::default());
        let id = format!("exact:{}", world.names[0]);
        let world = world.configured(config(&id));
        world.driver.init(std::ptr::null_mut()).unwrap();
        let host = FakeHost::new(64, Manners::default());
        let code = code(host.create_buffers(&world.driver, &both()));
        (code, world.remotes[1].openings())
    };
    let by_id = open(|id| Config { output: DeviceChoice::Id(id.to_owned()), ..Config::default() });
    let by_backend = open(|_| Config { backend: Some("exact".to_owned()), ..Config::default() });
    assert_eq!(by_id, (Code::HW_MALFUNCTION, 0));
    assert_eq!(by_backend, (Code::HW_MALFUNCTION, 0));
}

#[test]
fn if_no_way_opens_the_best_ones_reason_is_told() {
    let ways = [("exact", false, "e", busy()), ("mixed", true, "e", busy())];
    let world = world(&ways, Config::default());
    world.driver.init(std::ptr::null_mut()).unwrap();
    let host = FakeHost::new(64, Manners::default());
    let error = host.create_buffers(&world.driver, &both()).unwrap_err();
    assert_eq!(error.code, Code::HW_MALFUNCTION);
    assert!(error.text.contains("held by another program"), "{}", error.text);
}
