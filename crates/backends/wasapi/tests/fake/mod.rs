//! A Windows of its own in simulated time: the model of `barewire-wine-audio` behind the backend's traits.

#![allow(dead_code, reason = "each test uses a part of it")]

use barewire_device::{DeviceId, Loss};
use barewire_rt::{Gate, SimulatedSystem, System, Waker, Woken};
use barewire_types::Ns;
use barewire_wasapi::WasapiBackend;
use barewire_wasapi::service::{
    Answer, Client, Endpoint, EnginePeriods, Flow, NoticeListener, Packet, Reading, Ready, Service,
    Setup, Volume, Waiter,
};
use barewire_wasapi::wave::WaveFormat;
use barewire_wine_audio::model::spec::Spec;
use barewire_wine_audio::model::wave::Wave;
use barewire_wine_audio::model::{self, Fault, World};
use std::sync::{Arc, Mutex, MutexGuard};

/// A machine with endpoints.
pub(crate) struct Machine {
    pub(crate) system: Arc<SimulatedSystem>,
    world: Mutex<World>,
    pub(crate) volume: Mutex<Option<Volume>>,
    pub(crate) listener: Mutex<Option<NoticeListener>>,
    events: Mutex<Vec<bool>>,
}

const SECOND: Ns = 1_000_000_000;

fn wave(format: &WaveFormat) -> Wave {
    Wave::read(&format.to_bytes()[..format.byte_count()]).expect("a format that makes sense")
}

impl Machine {
    pub(crate) fn new(specs: Vec<Spec>) -> Arc<Self> {
        Arc::new(Self {
            system: SimulatedSystem::new(100 * SECOND),
            world: Mutex::new(World::new(specs)),
            volume: Mutex::default(),
            listener: Mutex::default(),
            events: Mutex::default(),
        })
    }

    /// An output and the input that belongs to it.
    pub(crate) fn both(spec: Spec) -> Arc<Self> {
        let spec = Spec { hardware: Some("USB".into()), ..spec };
        let input = spec.input();
        Self::new(vec![spec, input])
    }

    pub(crate) fn backend(self: &Arc<Self>) -> WasapiBackend {
        WasapiBackend::with_service(self.system.clone(), Arc::new(FakeService(self.clone())))
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn now(&self) -> Ns {
        self.system.now_ns()
    }

    pub(crate) fn heard(&self, endpoint: usize) -> Vec<u8> {
        let now = self.now();
        let mut world = self.world();
        world.advance(now);
        world.heard(endpoint)
    }

    pub(crate) fn fail(&self, fault: Fault) {
        self.world().faults.iter_mut().for_each(|slot| *slot = Some(fault));
    }

    pub(crate) fn id(&self, endpoint: usize) -> DeviceId {
        DeviceId::new("wasapi", &name(endpoint))
    }

    /// Passes on which events were set.
    fn collect(&self, world: &mut World) {
        let mut events = self.events.lock().unwrap();
        for event in world.set.drain(..) {
            events[event] = true;
        }
    }
}

fn name(endpoint: usize) -> String {
    format!("{{0.0.{endpoint}}}")
}

struct FakeService(Arc<Machine>);

impl FakeService {
    fn endpoint(&self, id: &str) -> Option<usize> {
        (0..self.0.world().specs.len()).find(|&endpoint| name(endpoint) == id)
    }
}

impl Service for FakeService {
    fn endpoints(&self) -> Answer<Vec<Endpoint>> {
        let world = self.0.world();
        let there = world
            .specs
            .iter()
            .enumerate()
            .filter(|(n, _)| world.faults[*n] != Some(Fault::Unplugged));
        Ok(there
            .map(|(n, spec)| Endpoint {
                id: name(n),
                name: spec.name.clone(),
                flow: if spec.is_render { Flow::Render } else { Flow::Capture },
                hardware: spec.hardware.clone(),
                format: None,
            })
            .collect())
    }

    fn default_endpoint(&self, flow: Flow) -> Option<String> {
        let world = self.0.world();
        world.specs.iter().position(|spec| spec.is_render == (flow == Flow::Render)).map(name)
    }

    fn activate(&self, id: &str) -> Answer<Box<dyn Client>> {
        let endpoint = self.endpoint(id).ok_or(model::E_NOTFOUND)?;
        let client = self.0.world().activate(endpoint)?;
        Ok(Box::new(FakeClient { machine: self.0.clone(), client }))
    }

    fn volume(&self, _: &str) -> Option<Volume> {
        *self.0.volume.lock().unwrap()
    }

    fn waiter(&self) -> Answer<Box<dyn Waiter>> {
        let mut events = self.0.events.lock().unwrap();
        let first = events.len();
        events.extend([false; 2]);
        let gate = Gate::new(self.0.system.clone());
        Ok(Box::new(FakeWaiter { machine: self.0.clone(), gate, first }))
    }

    fn watch(&self, listener: NoticeListener) {
        *self.0.listener.lock().unwrap() = Some(listener);
    }

    fn is_wine(&self) -> bool {
        false
    }
}

struct FakeWaiter {
    machine: Arc<Machine>,
    gate: Arc<Gate>,
    first: usize,
}

impl Waiter for FakeWaiter {
    fn waker(&self) -> Waker {
        self.gate.clone()
    }

    fn event(&self, flow: Flow) -> usize {
        self.first + usize::from(flow == Flow::Capture)
    }

    fn wait(&mut self, flow: Option<Flow>, until: Ns) -> Ready {
        let machine = self.machine.clone();
        loop {
            if self.gate.take_pending() {
                return Ready::Woken;
            }
            let now = machine.now();
            let mut world = machine.world();
            world.advance(now);
            machine.collect(&mut world);
            let next = world.next_ns().unwrap_or(u64::MAX);
            drop(world);
            if let Some(flow) = flow
                && std::mem::take(&mut machine.events.lock().unwrap()[self.event(flow)])
            {
                return Ready::Event;
            }
            if now >= until {
                return Ready::Time;
            }
            if self.gate.sleep(next.min(until)) == Woken::Word {
                return Ready::Woken;
            }
        }
    }

    fn clear(&mut self) {
        self.machine.events.lock().unwrap()[self.first..self.first + 2].fill(false);
    }
}

struct FakeClient {
    machine: Arc<Machine>,
    client: usize,
}

impl FakeClient {
    fn with<T>(&self, body: impl FnOnce(&mut World, Ns) -> T) -> T {
        let now = self.machine.now();
        let mut world = self.machine.world();
        let result = body(&mut world, now);
        self.machine.collect(&mut world);
        result
    }

    fn spec(&self) -> Spec {
        self.with(|world, _| world.spec(self.client).clone())
    }
}

impl Client for FakeClient {
    fn mix_format(&self) -> Answer<WaveFormat> {
        Ok(WaveFormat::from_bytes(&self.spec().mix.write()).expect("a usual format"))
    }

    fn supports(&self, is_exclusive: bool, format: &WaveFormat) -> bool {
        self.with(|world, _| world.supports(self.client, is_exclusive, &wave(format))) == 0
    }

    fn device_period(&self) -> Answer<(i64, i64)> {
        let spec = self.spec();
        Ok((spec.usual_period_hns, spec.min_period_hns))
    }

    fn be_raw(&self) -> Answer<()> {
        self.with(|world, _| world.be_raw(self.client))
    }

    fn engine_periods(&self, format: &WaveFormat) -> Answer<EnginePeriods> {
        let engine = self.with(|world, _| world.engine(self.client, &wave(format)))?;
        Ok(EnginePeriods {
            default_frames: engine.default,
            step_frames: engine.step,
            min_frames: engine.min,
            max_frames: engine.max,
        })
    }

    fn initialize(&mut self, setup: &Setup) -> Answer<()> {
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let setup = model::Setup {
            is_exclusive: setup.is_exclusive,
            flags: flag(setup.has_event, model::FLAG_EVENT)
                | flag(setup.is_loopback, model::FLAG_LOOPBACK),
            duration_hns: setup.duration_hns,
            period_hns: setup.period_hns,
            wave: wave(&setup.format),
        };
        self.with(|world, _| world.initialize(self.client, &setup))
    }

    fn initialize_shared(&mut self, period_frames: u32, format: &WaveFormat) -> Answer<()> {
        let wave = wave(format);
        self.with(|w, _| w.initialize_shared(self.client, model::FLAG_EVENT, period_frames, wave))
    }

    fn buffer_frames(&self) -> Answer<u32> {
        self.with(|world, _| world.buffer(self.client))
    }

    fn set_event(&self, event: usize) -> Answer<()> {
        self.with(|world, _| world.set_event(self.client, event))
    }

    fn prepare(&mut self, flow: Flow) -> Answer<()> {
        let is_render = self.with(|world, _| world.is_render(self.client))?;
        if is_render == (flow == Flow::Render) { Ok(()) } else { Err(model::WRONG_ENDPOINT_TYPE) }
    }

    fn start(&self) -> Answer<()> {
        self.with(|world, now| world.start(self.client, now))
    }

    fn stop(&self) -> Answer<()> {
        self.with(|world, now| world.stop(self.client, now))
    }

    fn reset(&self) -> Answer<()> {
        self.with(|world, _| world.reset(self.client))
    }

    fn padding(&self) -> Answer<u32> {
        self.with(|world, now| world.padding(self.client, now))
    }

    fn lend(&self, frames: u32) -> Answer<*mut u8> {
        self.with(|world, now| world.lend(self.client, frames, now))
    }

    fn give(&self, frames: u32, is_silent: bool) -> Answer<()> {
        self.with(|world, now| world.give(self.client, frames, is_silent, now))
    }

    fn packet(&self) -> Answer<Option<Packet>> {
        let packet = self.with(|world, now| world.packet(self.client, now))?;
        Ok(packet.map(|packet| Packet {
            data: packet.data,
            frames: packet.frames,
            is_silent: false,
            is_gap: packet.is_gap,
            position: packet.position,
            at_ns: packet.at_ns,
        }))
    }

    fn take(&self, frames: u32) -> Answer<()> {
        self.with(|world, _| world.take(self.client, frames))
    }

    fn clock(&self) -> Answer<Reading> {
        self.with(|world, now| {
            let units = world.spec(self.client).position_units;
            let position = world.position(self.client, now)? * units;
            Ok(Reading { position, frequency: world.frequency(self.client)?, at_ns: now })
        })
    }

    fn cut_off(&self) -> Option<Loss> {
        let fault = self.with(|world, _| world.fault(self.client))?;
        match fault {
            Fault::Unplugged => Some(Loss::Gone),
            Fault::FormatChanged => Some(Loss::Changed),
            Fault::Taken => Some(Loss::Taken),
            Fault::Stalled => None,
        }
    }
}

impl Drop for FakeClient {
    fn drop(&mut self) {
        self.with(|world, _| world.release(self.client));
    }
}
