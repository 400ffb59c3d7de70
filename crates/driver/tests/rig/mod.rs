//! A driver on virtual devices in simulated time, for the tests of this folder.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a test may stop the world"
)]

use barewire_abi::{AsioDriver, AsioResult, BufferRequest, Code};
use barewire_device::Backend;
use barewire_driver::{ConfigSource, Driver, FixedConfig, Observer, Options};
use barewire_rt::SimulatedSystem;
use barewire_testkit::{FakeHost, Manners};
use barewire_virtual::{Description, Recordings, Remote, Sink, VirtualBackend};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Beyond this a test hangs; nothing that is right takes a tenth of it.
pub(crate) const HANG: Duration = Duration::from_secs(30);

pub(crate) struct Rig {
    pub(crate) driver: Arc<dyn AsioDriver>,
    pub(crate) own: Arc<Driver>,
    pub(crate) observer: Observer,
    pub(crate) remote: Arc<Remote>,
    pub(crate) recordings: Arc<Recordings>,
    pub(crate) system: Arc<SimulatedSystem>,
}

/// Each test has a device of its own: rates are remembered by device.
pub(crate) fn rig_with(device: Description, config: Arc<dyn ConfigSource>) -> Rig {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("loop{}", NEXT.fetch_add(1, Ordering::Relaxed));
    rig_named(Description { name, ..device }, config)
}

pub(crate) fn rig_named(device: Description, config: Arc<dyn ConfigSource>) -> Rig {
    rig_of(vec![device], config)
}

/// Several devices, the first of which is the default.
pub(crate) fn rig_of(mut devices: Vec<Description>, config: Arc<dyn ConfigSource>) -> Rig {
    let recordings = Arc::new(Recordings::default());
    devices[0].sink = Sink::Memory(recordings.clone(), 1 << 21);
    let name = devices[0].name.clone();
    let system = SimulatedSystem::new(1_000_000);
    let backend = VirtualBackend::new(system.clone(), devices);
    let remote = backend.remote(&name).unwrap();
    let backends: Vec<Arc<dyn Backend>> = vec![Arc::new(backend)];
    let own = Arc::new(Driver::new(Options { system: system.clone(), backends, config }));
    Rig { driver: own.clone(), observer: own.observer(), own, remote, recordings, system }
}

pub(crate) fn rig() -> Rig {
    rig_with(Description::default(), Arc::new(FixedConfig::default()))
}

pub(crate) fn both() -> Vec<BufferRequest> {
    let all = [(false, 0), (false, 1), (true, 0), (true, 1)];
    all.map(|(is_input, channel)| BufferRequest { is_input, channel }).to_vec()
}

/// A host whose callback tells when the block of this number has come.
pub(crate) fn until(block: u64, manners: Manners) -> (Manners, Receiver<()>) {
    let (sender, receiver) = channel();
    let mut inner = manners.in_callback;
    let hook = move |number| {
        if let Some(inner) = &mut inner {
            inner(number);
        }
        if number == block {
            let _ = sender.send(());
        }
    };
    (Manners { in_callback: Some(Box::new(hook)), ..manners }, receiver)
}

impl Rig {
    pub(crate) fn ready(&self, frames: u32, manners: Manners) -> Arc<FakeHost> {
        self.driver.init(std::ptr::null_mut()).unwrap();
        let host = FakeHost::new(frames, manners);
        host.create_buffers(&self.driver, &both()).unwrap();
        host
    }

    /// Runs until the host has had this block, and stops.
    pub(crate) fn play(&self, frames: u32, blocks: u64, manners: Manners) -> Arc<FakeHost> {
        let (manners, reached) = until(blocks, manners);
        let host = self.ready(frames, manners);
        self.driver.start().unwrap();
        reached.recv_timeout(HANG).expect("the host is not called");
        self.driver.stop().unwrap();
        host
    }

    pub(crate) fn release(self) -> Arc<Recordings> {
        let Self { driver, own, recordings, .. } = self;
        drop(driver);
        let driver = Arc::into_inner(own).expect("nobody else holds the driver");
        AsioDriver::released(Box::new(driver));
        recordings
    }
}

pub(crate) fn code<T>(result: AsioResult<T>) -> Code {
    result.map_or_else(|error| error.code, |_| Code::OK)
}

pub(crate) fn faultless(host: &FakeHost) {
    host.heard(|heard| {
        assert!(heard.faults.is_empty(), "{:?}", heard.faults);
        assert!(
            heard.halves.iter().enumerate().all(|(n, &half)| half == n % 2),
            "halves alternate from 0"
        );
        assert!(heard.threads.iter().all(|thread| *thread != std::thread::current().id()));
        let frames = heard.input.len() as u64 / heard.blocks.max(1);
        for (n, time) in heard.times.iter().enumerate() {
            assert_eq!(time.position_frames, n as u64 * frames);
            assert!(n == 0 || time.time_ns > heard.times[n - 1].time_ns);
        }
    });
}

/// The host's frames come back after exactly the latency that the driver tells, every one of them.
pub(crate) fn comes_back(host: &FakeHost, latencies: (i32, i32)) {
    let delay = (latencies.0 + latencies.1) as usize;
    host.heard(|heard| {
        assert!(heard.input.len() > delay + 100);
        for (n, &sample) in heard.input.iter().enumerate() {
            let expected = if n < delay { 0 } else { (n - delay + 1) as i32 };
            assert_eq!(sample, expected, "frame {n} of {}, delay {delay}", heard.input.len());
        }
    });
}
