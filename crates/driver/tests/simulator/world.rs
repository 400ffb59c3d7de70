//! One simulated world: made, run through its scenario, taken apart, judged.

use crate::host::SimHost;
use crate::plant::{Bug, Plant, PlantedBackend};
use crate::scenario::{Draw, Manner, Scenario, Trouble};
use crate::signal::{DeviceEar, source};
use barewire_abi::AsioDriver;
use barewire_device::Backend;
use barewire_driver::{BlockSizes, Config, ConfigSource, Driver, Observer, Options};
use barewire_rt::{Role, System, Thread};
use barewire_testkit::BatonSystem;
use barewire_virtual::{Description, Remote, Sink, Source, VirtualBackend};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

pub struct Outcome {
    pub faults: Vec<String>,
    pub hash: u64,
    pub cycles: u64,
    pub frames: u64,
    pub switches: u64,
}

struct Settings {
    config: Config,
    changed: AtomicBool,
}

impl ConfigSource for Settings {
    fn load(&self) -> (Config, Vec<String>) {
        (self.config.clone(), Vec::new())
    }
    fn has_changed(&self) -> bool {
        self.changed.load(Ordering::Acquire)
    }
    fn place(&self) -> String {
        "the simulator".to_owned()
    }
}

struct World {
    scenario: Scenario,
    system: Arc<BatonSystem>,
    driver: Arc<dyn AsioDriver>,
    own: Arc<Driver>,
    observer: Observer,
    settings: Arc<Settings>,
    remote: Arc<Remote>,
    host: Arc<SimHost>,
    ear: Arc<DeviceEar>,
    faults: Vec<String>,
    xruns: u64,
    starts: u64,
}

fn make(scenario: &Scenario, bug: Bug) -> World {
    let system = BatonSystem::new(scenario.seed);
    let (format, channels) = (scenario.format, usize::from(scenario.channels));
    let ear = Arc::new(DeviceEar::default());
    let its = ear.clone();
    // Rates are remembered by device: each world has its own.
    static WORLDS: AtomicU32 = AtomicU32::new(0);
    let name = format!("sim{}", WORLDS.fetch_add(1, Ordering::Relaxed));
    let device = Description {
        name: name.clone(),
        formats: vec![format],
        layout: scenario.layout,
        inputs: scenario.channels,
        outputs: scenario.channels,
        fixed_period_frames: scenario.period,
        offset_ppm: scenario.offset_ppm,
        sink: Sink::Call(Arc::new(move || its.listen(format, channels))),
        source: Source::Call(Arc::new(move || source(format, channels))),
        script: scenario.script.clone(),
        ..Description::default()
    };
    let backend = VirtualBackend::new(system.clone(), vec![device]);
    let remote = backend.remote(&name).unwrap();
    remote.refuse(scenario.refusals);
    let plant = Plant::new(bug);
    let backend = PlantedBackend { inner: Arc::new(backend), plant: plant.clone() };
    let backends: Vec<Arc<dyn Backend>> = vec![Arc::new(backend)];
    let block =
        BlockSizes { min_frames: 32, max_frames: 4096, preferred_frames: 256, granularity: 1 };
    let (container, rate) = (Some(barewire_types::SampleFormat::INT32), Some(scenario.rate));
    let config = Config { block, rate, container, ..Config::default() };
    let settings = Arc::new(Settings { config, changed: AtomicBool::new(false) });
    let options = Options { system: system.clone(), backends, config: settings.clone() };
    let own = Arc::new(Driver::new(options));
    let host = SimHost::new(scenario, system.clone(), plant);
    World {
        scenario: scenario.clone(),
        driver: own.clone(),
        observer: own.observer(),
        own,
        settings,
        remote,
        host,
        ear,
        system,
        faults: Vec::new(),
        xruns: 0,
        starts: 0,
    }
}

/// One seed from beginning to end.
pub fn run(scenario: &Scenario, bug: Bug) -> Outcome {
    let mut world = make(scenario, bug);
    world.play();
    world.judge();
    let period = u64::from(scenario.period.unwrap_or(scenario.frames));
    let frames = world.ear.frames.load(Ordering::Relaxed);
    let hash =
        world.system.hash() ^ frames.rotate_left(17) ^ world.host.blocks.load(Ordering::Relaxed);
    let switches = world.system.switches();
    let mut faults = std::mem::take(&mut world.faults);
    faults.extend(world.end());
    Outcome { faults, hash, cycles: frames / period, frames, switches }
}

impl World {
    fn pass(&self, ns: u64) {
        let until = self.system.now_ns() + ns;
        self.system.sleep(&AtomicU32::new(0), 0, until);
    }

    fn prepare(&mut self) -> bool {
        // A refused device is refused at most three times, and one that was pulled out comes back.
        for _ in 0..20 {
            if self.host.create_buffers(&self.driver).is_ok() {
                return true;
            }
            self.pass(100_000_000);
        }
        self.faults.push("the device never opens".to_owned());
        false
    }

    fn start(&mut self) -> bool {
        self.host.begin();
        self.starts += 1;
        let result = self.driver.start();
        self.host.started.store(1, Ordering::Release);
        self.system.wake(&self.host.started);
        if let Err(error) = result {
            self.host.silent.store(true, Ordering::Release);
            let unplugged = self.scenario.has(Trouble::Unplug);
            if !unplugged {
                self.faults.push(format!("start is refused: {}", error.text));
            }
            return false;
        }
        true
    }

    fn stop(&mut self) {
        let begin = self.system.now_ns();
        if self.driver.stop().is_err() {
            self.faults.push("stop is refused".to_owned());
        }
        self.host.silent.store(true, Ordering::Release);
        if self.system.now_ns() - begin > 2_500_000_000 {
            self.faults.push("stop took longer than its deadline".to_owned());
        }
        self.xruns += self.observer.report().xruns;
    }

    fn helper(&self, body: impl FnOnce() + Send + 'static) -> Thread {
        self.system.spawn("helper", Role::Helper, Box::new(body)).unwrap()
    }

    /// Answers outputReady from a thread of its own.
    fn answerer(&self, quit: &Arc<AtomicU32>) -> Thread {
        let (system, driver) = (self.system.clone(), self.driver.clone());
        let (calls, quit) = (self.host.ready_calls.clone(), quit.clone());
        self.helper(move || {
            let mut seen = 0;
            while quit.load(Ordering::Acquire) == 0 {
                system.await_word(&calls, seen, system.now_ns() + 50_000_000);
                let now = calls.load(Ordering::Acquire);
                if now != seen {
                    seen = now;
                    let _ = driver.output_ready();
                }
            }
        })
    }

    fn storm(&self, quit: &Arc<AtomicU32>) -> Thread {
        let (system, driver, quit) = (self.system.clone(), self.driver.clone(), quit.clone());
        let mut draw = Draw::new(self.scenario.seed ^ 0xABCD);
        self.helper(move || {
            while quit.load(Ordering::Acquire) == 0 {
                match draw.below(8) {
                    0 => drop(driver.init(std::ptr::null_mut())),
                    1 => drop(driver.latencies()),
                    2 => drop(driver.channel_info(0, true)),
                    3 => drop(driver.clock_sources()),
                    4 => drop(driver.buffer_size()),
                    5 => drop(driver.set_sample_rate(if draw.below(2) == 0 {
                        44_100.0
                    } else {
                        96_000.0
                    })),
                    6 => drop(driver.start()),
                    _ => drop(driver.output_ready()),
                }
                let until = system.now_ns() + draw.between(1_000_000, 80_000_000);
                system.sleep(&AtomicU32::new(0), 0, until);
            }
        })
    }

    fn play(&mut self) {
        if self.driver.init(std::ptr::null_mut()).is_err() || !self.prepare() || !self.start() {
            return;
        }
        let quit = Arc::new(AtomicU32::new(0));
        let helper = match self.scenario.manner {
            Manner::ReadyElsewhere => Some(self.answerer(&quit)),
            Manner::ControlStorm => Some(self.storm(&quit)),
            _ => None,
        };
        self.watch();
        quit.store(1, Ordering::Release);
        self.system.wake(&quit);
        if let Some(helper) = helper
            && !helper.join(self.system.now_ns() + 10_000_000_000)
        {
            self.faults.push("a thread of the host hangs in the driver".to_owned());
        }
        self.stop();
        let after = self.host.blocks.load(Ordering::Relaxed);
        self.pass(50_000_000);
        if self.host.blocks.load(Ordering::Relaxed) != after {
            self.faults.push("callbacks go on after stop".to_owned());
        }
    }

    /// Lets the host play to its goal, and does on the way what the scenario wants of the control thread.
    fn watch(&mut self) {
        let goal = self.scenario.goal_frames / u64::from(self.scenario.frames) + 4;
        let ends_itself = matches!(
            self.scenario.manner,
            Manner::StopsInside | Manner::DisposesInside | Manner::TearsDownInMessage
        );
        let mut draw = Draw::new(self.scenario.seed ^ 0x1234);
        let (mut last, mut idle, mut rounds) = (0, 0, 0);
        while self.host.blocks.load(Ordering::Relaxed) < goal {
            self.pass(20_000_000);
            rounds += 1;
            let now = self.host.blocks.load(Ordering::Relaxed);
            idle = if now == last { idle + 1 } else { 0 };
            last = now;
            if self.host.silent.load(Ordering::Acquire) && ends_itself {
                return;
            }
            // The longest fault keeps a device away for 400 ms, which the timer bridges anyway.
            if idle > 100 {
                self.faults.push("callbacks have ceased".to_owned());
                return;
            }
            match self.scenario.manner {
                Manner::TearsDownInMessage if rounds == 4 => {
                    self.settings.changed.store(true, Ordering::Release)
                }
                Manner::ChangesRate if rounds % 6 == 3 => {
                    let rate = [44_100.0, 48_000.0, 88_200.0, 96_000.0][draw.below(4) as usize];
                    if self.driver.set_sample_rate(rate).is_err()
                        || self.driver.sample_rate().ok() != Some(rate)
                    {
                        self.faults.push(format!("{rate} Hz cannot be set"));
                    }
                }
                Manner::Restarts if rounds % 5 == 4 => {
                    self.stop();
                    if draw.below(2) == 0
                        && (self.driver.dispose_buffers().is_err() || !self.prepare())
                    {
                        self.faults.push("buffers cannot be made again".to_owned());
                        return;
                    }
                    while !self.start() {
                        self.pass(100_000_000);
                        let _ = self.driver.dispose_buffers();
                        if !self.prepare() {
                            return;
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn judge(&mut self) {
        let (faults, breaks, old, silent) = self.host.verdict();
        self.faults.extend(faults);
        let report = self.observer.report();
        let openings = u64::from(self.remote.openings());
        let lost =
            report.records.iter().filter(|record| record.text.contains("silence goes on")).count()
                as u64;
        let back = report.records.iter().filter(|record| record.text.contains("taken over")).count()
            as u64;
        let allowed = self.xruns + self.starts + openings + lost + back;
        let disturbed = self.scenario.is_disturbed();
        let swaps = self.scenario.manner == Manner::ChangesRate
            || self.scenario.manner == Manner::ControlStorm;
        let mut check = |wrong: bool, what: String| {
            if wrong {
                self.faults.push(what);
            }
        };
        check(
            !disturbed && (breaks > 0 || silent > 0),
            format!("input: {breaks} breaks, {silent} silent frames"),
        );
        check(breaks > allowed, format!("input: {breaks} breaks where {allowed} are explained"));
        // A device that was opened again counts from the beginning: that alone looks like old data.
        check(old > openings + back, format!("input: {old} frames came twice"));
        let device = self.ear.follower.lock().unwrap();
        // Each time the timer takes over, what the host plays meanwhile has no place to go.
        check(
            device.breaks > lost,
            format!("output: {} frames out of order, {lost} losses", device.breaks),
        );
        check(device.old > 0, format!("output: {} frames were played twice", device.old));
        let swapped = self.ear.swapped.load(Ordering::Relaxed);
        check(
            swapped > 0,
            format!("output: {swapped} frames with channels that do not belong together"),
        );
        let may_lose = disturbed || swaps;
        check(
            !may_lose && device.skipped > 0,
            format!("output: {} frames were lost", device.skipped),
        );
        check(
            !may_lose && device.silent > device_tail(&self.scenario),
            format!("output: {} silent frames", device.silent),
        );
        check(
            device.heard == 0 && self.host.blocks.load(Ordering::Relaxed) > 12 && !disturbed,
            "output: nothing arrives".to_owned(),
        );
        let resets = self.host.resets.load(Ordering::Relaxed);
        check(resets > 1 + openings as u32, format!("{resets} requests for a reset"));
    }

    /// Lets go of everything; every thread has to end.
    fn end(self) -> Option<String> {
        let Self { driver, own, host, system, .. } = self;
        drop(driver);
        drop(host);
        if let Some(own) = Arc::into_inner(own) {
            AsioDriver::released(Box::new(own));
        }
        let ended = system.finish(60_000_000_000);
        (!ended).then(|| "threads of the driver are left behind".to_owned())
    }
}

/// Silence behind the last frame: what was not played yet when the host stopped.
fn device_tail(scenario: &Scenario) -> u64 {
    let period = u64::from(scenario.period.unwrap_or(scenario.frames));
    8 * period + 4 * u64::from(scenario.frames)
}
