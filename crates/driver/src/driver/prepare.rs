//! createBuffers: questions to the host, the device opened by the keeper, the engine compiled.

use super::{Core, mode, not_initialized};
use crate::buffers::{self, Bank};
use crate::config::Config;
use crate::crew::{Crew, Ears, Reopener};
use crate::holder;
use crate::host_client::{HostClient, PATIENCE, RunState};
use crate::notifier::Requests;
use crate::offer::{Direction, Offer, refusal};
use crate::opening::{Opened, Opening, Target, Targets};
use crate::rate::Rates;
use crate::state::{Prepared, Setup, State};
use barewire_abi::constants::message;
use barewire_abi::{AsioError, AsioResult, BufferRequest, Code, Halves, HostCallbacks};
use barewire_device::{Backend, DeviceId, OpenRequest, SideRequest, Stream as _};
use barewire_engine::{
    ClientPlan, Engine, EngineEvent, Fallback, FallbackControl, Links, OutputMode, Plan,
};
use barewire_rt::{EventReader, EventWriter, System, Waker, events};
use barewire_types::{RateHz, SampleFormat};
use std::sync::Arc;

/// Events that wait to be read: 20 ms of one a cycle at the smallest blocks, many times over.
const EVENTS: usize = 1024;

impl Core {
    pub(super) fn create_buffers(
        self: &Arc<Self>,
        wanted: &[BufferRequest],
        frames: i32,
        host: Arc<dyn HostCallbacks>,
    ) -> AsioResult<Vec<Halves>> {
        match &*self.state()? {
            State::Loaded => return Err(not_initialized()),
            State::Initialized(offer) => drop(buffers::check(offer, wanted, frames)?),
            State::Prepared(_) | State::Running(_) => {
                return Err(mode("there are buffers already; call disposeBuffers first"));
            }
        }
        // Asked with no lock held: some hosts call back into the driver from here.
        let wants_time = wants_time_info(&*host);
        let mut state = self.state()?;
        let State::Initialized(offer) = &*state else {
            return Err(mode("another call has changed the driver's state meanwhile"));
        };
        let offer = offer.clone();
        let frames = buffers::check(&offer, wanted, frames)?;
        let config = self.config.lock().clone();
        let rate = self.rate().ok_or_else(|| AsioError::new(Code::NO_CLOCK, "no rate is set"))?;
        let (prepared, halves) =
            self.prepare(offer, &config, wanted, frames, rate, host, wants_time)?;
        *self.run.lock() = prepared.setup.run.clone();
        *state = State::Prepared(prepared);
        self.publish(&state);
        Ok(halves)
    }

    #[expect(clippy::too_many_arguments, reason = "what a prepared driver is made of, used once")]
    fn prepare(
        self: &Arc<Self>,
        offer: Arc<Offer>,
        config: &Config,
        wanted: &[BufferRequest],
        frames: u32,
        rate: RateHz,
        host: Arc<dyn HostCallbacks>,
        wants_time: bool,
    ) -> AsioResult<(Prepared, Vec<Halves>)> {
        let (inputs, outputs) = buffers::make(&offer, wanted, frames)?;
        let halves = buffers::pointers(wanted, &inputs, &outputs);
        let plan = plan(&offer, config, &inputs, &outputs, frames);
        let run = Arc::new(RunState::default());
        let client = HostClient {
            inputs,
            outputs,
            host: host.clone(),
            latch: self.latch.clone(),
            run: run.clone(),
            wants_time,
            waits_always: config.output_mode == OutputMode::Direct,
            frames,
            sample_bytes: offer.format.bytes(),
            rate: self.known.rate_hz.clone(),
            before: 0,
            answers_later: false,
            patience: PATIENCE,
        };
        let (engine_events, engine_reader) = events(EVENTS);
        let (stream_events, stream_reader) = events(EVENTS);
        // A device that is shared may have other rates than when it was looked at.
        let rates = Rates::clone(&*self.known.rates.lock());
        let opening = opening(&offer, rates, config, rate, frames, self.system(), wanted);
        let crew = self.crew(opening, rate, host, [engine_reader, stream_reader])?;
        let id = &offer.device.id;
        let named = |error| holder::named(error, id, config, self.number, self.system());
        let opened = crew
            .open()
            .and_then(|opened| self.join(opened, stream_events, engine_events, plan, client))
            .map_err(|error| refusal(&named(error)));
        let (engine, control, waker) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                crew.end(());
                return Err(error);
            }
        };
        control.let_go_on_stop(config.releases_on_stop);
        *crew.reopener.control.lock() = Some(control);
        let shape = engine.stream().shape();
        let wanted = wanted.to_vec();
        let setup = Setup { offer, wanted, frames, shape, crew, waker, run };
        let own = Prepared { setup, engine: Box::new(engine), was_stopped: false };
        Ok((own, halves))
    }

    fn crew(
        self: &Arc<Self>,
        opening: Opening,
        rate: RateHz,
        host: Arc<dyn HostCallbacks>,
        events: [EventReader<EngineEvent>; 2],
    ) -> AsioResult<Crew> {
        let system = self.system();
        let ears = Ears {
            events,
            journal: self.journal.clone(),
            reports_overload: self.reports_overload.clone(),
        };
        let reopener = Reopener::new(
            opening,
            rate,
            Requests::new(system),
            self.journal.clone(),
            self.known.clone(),
        );
        let config = self.options.config.clone();
        let core = Arc::downgrade(self);
        let write_down = move || {
            if let Some(core) = core.upgrade() {
                core.write_down_if_due();
            }
        };
        Crew::start(self.number, reopener, host, config, ears, write_down)
            .map_err(|error| refusal(&error))
    }

    fn join(
        &self,
        opened: Opened,
        stream_events: EventWriter<EngineEvent>,
        events: EventWriter<EngineEvent>,
        mut plan: Plan,
        client: HostClient,
    ) -> barewire_types::Result<(Engine, FallbackControl, Waker)> {
        let system = self.system().clone();
        let Opened { stream, below, notes, .. } = opened;
        *self.stream_notes.lock() = notes;
        plan.below = below;
        let (stream, control) =
            Fallback::new(stream, system.clone(), self.telemetry.clone(), stream_events);
        let waker = stream.waker();
        let links = Links { system, telemetry: self.telemetry.clone(), events };
        let engine = Engine::compile(&plan, Box::new(stream), vec![Box::new(client)], links)?;
        Ok((engine, control, waker))
    }
}

/// Time info only where it is asked for and can be taken: some hosts leave the function out (RtAudio up to 6.0.1).
fn wants_time_info(host: &dyn HostCallbacks) -> bool {
    let asked = host.supports(message::SUPPORTS_TIME_INFO);
    asked && host.message(message::SUPPORTS_TIME_INFO, 0) == 1 && host.has_time_info()
}

fn plan(offer: &Offer, config: &Config, inputs: &Bank, outputs: &Bank, frames: u32) -> Plan {
    let devices = |direction: &Direction, bank: &Bank| {
        let device =
            |&channel: &u16| direction.channels.get(usize::from(channel)).copied().flatten();
        bank.channels.iter().map(device).collect()
    };
    let client = ClientPlan {
        format: offer.format,
        inputs: devices(&offer.input, inputs),
        outputs: devices(&offer.output, outputs),
        output_mode: config.output_mode,
        gain: config.gain.unwrap_or(1.0),
    };
    Plan::one(frames, client)
}

/// A direction in which the host has no buffers is left alone: a player must not take the microphone, nor be lost with it.
fn opening(
    offer: &Offer,
    rates: Rates,
    config: &Config,
    rate: RateHz,
    frames: u32,
    system: &Arc<dyn System>,
    wanted: &[BufferRequest],
) -> Opening {
    let has = |is_input: bool| wanted.iter().any(|request| request.is_input == is_input);
    // Something has to give the time: outputs do if nothing is wanted at all, or if inputs follow another device.
    let plays = has(false) || !has(true) || offer.follower.is_some();
    let side = |direction: &Direction, forced: Option<SampleFormat>, is_used: bool| {
        let caps = direction.caps.as_ref().filter(|_| is_used)?;
        let most = direction.channels.iter().flatten().max().map_or(1, |&last| last + 1);
        let format = forced.filter(|format| caps.formats.contains(format));
        Some(SideRequest { channels: most, format })
    };
    let has_outputs = offer.output.caps.is_some();
    let capture = side(&offer.input, config.input_format, has(true) || !has_outputs);
    let playback = side(&offer.output, config.output_format, plays);
    let target = |backend: &Arc<dyn Backend>, id: &DeviceId, rates, capture, playback| Target {
        backend: backend.clone(),
        request: OpenRequest { id: id.clone(), rate, capture, playback, period_frames: frames },
        rates,
    };
    let own = if offer.follower.is_some() { None } else { capture };
    let follower = offer.follower.as_ref().filter(|_| capture.is_some()).map(|follower| {
        // Resampled anyhow, so any rate will do.
        let device = offer.input.caps.as_ref().map_or_else(Vec::new, |caps| caps.rates.clone());
        let rates = Rates { device, converts: true };
        target(&follower.backend, &follower.device.id, rates, capture, None)
    });
    let converts = rates.converts;
    let leader = target(&offer.backend, &offer.device.id, rates, own, playback);
    let others = offer.detours.iter().filter_map(|detour| {
        // What captures may be a device of its own there, with whatever rate it has.
        let apart = capture.and(detour.follower.as_ref()).filter(|_| playback.is_some());
        let (own, other) = if apart.is_some() { (None, capture) } else { (capture, None) };
        detour.has(own.is_some(), playback.is_some()).then(|| {
            let rates = Rates { device: detour.rates.clone(), converts };
            let leader = target(&detour.backend, &detour.device.id, rates, own, playback);
            let follower = apart.map(|device| {
                let device_rates = device.capture.as_ref().map(|caps| caps.rates.clone());
                let rates = Rates { device: device_rates.unwrap_or_default(), converts: true };
                target(&detour.backend, &device.id, rates, other, None)
            });
            Targets { leader, follower }
        })
    });
    let others = others.collect();
    Opening { system: system.clone(), first: Targets { leader, follower }, others }
}
