//! The door: the interface's methods mapped onto states. Every method may come from any thread in any state; the
//! legality of each is the table in `docs/states.md`, which a test walks through.

mod prepare;
mod report;

pub use report::Observer;

use crate::NAME;
use crate::config::{Config, ConfigSource};
use crate::crew::{JOIN_NS, Known};
use crate::diary::Diary;
use crate::events::Journal;
use crate::holder;
use crate::host_client::{Inside, OutputLatch, RunState};
use crate::keeper::KeeperHand;
use crate::offer::{Offer, refusal};
use crate::rate;
use crate::state::{Parcel, Prepared, Running, State};
use crate::threads::{self, own_role};
use barewire_abi::constants::future;
use barewire_abi::{
    AsioDriver, AsioError, AsioResult, BufferRequest, BufferSize, ChannelInfo, ClockSource, Code,
    FutureCall, Halves, HostCallbacks, InternalBuffers, IoFormat, SamplePosition,
};
use barewire_device::Backend;
use barewire_engine::{Conduct, OutputMode, Telemetry, latency};
use barewire_rt::{Lock, LockGuard, Role, Seqlock, System};
use barewire_settings::LogLevel;
use barewire_types::{Ns, RateHz};
use std::borrow::Cow;
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a driver is made of.
#[derive(Clone)]
pub struct Options {
    /// Time, waiting and threads.
    pub system: Arc<dyn System>,
    /// The ways to devices, the best first.
    pub backends: Vec<Arc<dyn Backend>>,
    /// What it is told to do.
    pub config: Arc<dyn ConfigSource>,
}

/// How long a call that comes on a thread of ours waits for one that is under way: it may be waiting for this very
/// thread.
const OWN_THREAD_NS: Ns = 50_000_000;
/// How long a device may take to start.
const START_NS: Ns = 5_000_000_000;

/// The driver. Cheap to make: nothing is opened, no thread is started before buffers are made.
pub struct Driver {
    core: Arc<Core>,
}

struct Core {
    number: usize,
    options: Options,
    state: Lock<State>,
    config: Lock<Config>,
    problems: Lock<Vec<String>>,
    /// What is to be said of the stream that was opened.
    stream_notes: Lock<Vec<String>>,
    /// What was said of the system's refusals.
    remarks_told: Lock<Vec<String>>,
    /// The name that the host has chosen among the entries.
    instance: Lock<String>,
    /// The last call that was refused, and why.
    last_error: Lock<Option<String>>,
    diary: Lock<Option<Diary>>,
    journal: Arc<Lock<Journal>>,
    telemetry: Arc<Telemetry>,
    latch: Arc<OutputLatch>,
    run: Lock<Arc<RunState>>,
    known: Arc<Known>,
    /// Words for queries from within callbacks: see [`Answers`].
    answers: Seqlock<ANSWERS>,
    reports_overload: Arc<AtomicBool>,
    is_running: AtomicBool,
    /// Outputs are played at once whatever the host tells.
    is_always_direct: AtomicBool,
    /// Outputs are played a block later whatever the host tells: it need not tell.
    ignores_output_ready: AtomicBool,
    /// disposeBuffers came on a thread of ours, which cannot wait for itself.
    dispose_later: AtomicBool,
}

const ANSWERS: usize = 6;

/// What queries answer without the state's lock.
#[derive(Clone, Copy, Debug, Default)]
struct Answers {
    is_initialized: bool,
    input_frames: i32,
    output_direct_frames: i32,
    output_queued_frames: i32,
    inputs: i32,
    outputs: i32,
}

fn mode(text: impl Into<Cow<'static, str>>) -> AsioError {
    AsioError::new(Code::INVALID_MODE, text)
}

fn not_initialized() -> AsioError {
    AsioError::new(Code::NOT_PRESENT, "the driver is not initialised; call init first")
}

impl Driver {
    /// A driver in its first state.
    pub fn new(options: Options) -> Self {
        let system = options.system.clone();
        let core = Core {
            number: threads::next_driver(),
            state: Lock::new(system.clone(), State::Loaded),
            config: Lock::new(system.clone(), Config::default()),
            problems: Lock::new(system.clone(), Vec::new()),
            stream_notes: Lock::new(system.clone(), Vec::new()),
            remarks_told: Lock::new(system.clone(), Vec::new()),
            instance: Lock::new(system.clone(), NAME.to_owned()),
            last_error: Lock::new(system.clone(), None),
            diary: Lock::new(system.clone(), None),
            journal: Arc::new(Lock::new(system.clone(), Journal::default())),
            telemetry: Arc::default(),
            latch: OutputLatch::new(system.clone()),
            run: Lock::new(system.clone(), Arc::default()),
            known: Known::new(&system),
            answers: Seqlock::new(),
            reports_overload: Arc::default(),
            is_running: AtomicBool::new(false),
            is_always_direct: AtomicBool::new(false),
            ignores_output_ready: AtomicBool::new(false),
            dispose_later: AtomicBool::new(false),
            options,
        };
        Self { core: Arc::new(core) }
    }

    /// As [`new`](Self::new), as the registered entry `name`, which a host has chosen by its class. If there is no such
    /// entry `init` says so.
    pub fn of_entry(options: Options, name: &str) -> Self {
        let own = Self::new(options);
        name.clone_into(&mut own.core.instance.lock());
        own
    }
}

impl Core {
    fn system(&self) -> &Arc<dyn System> {
        &self.options.system
    }

    fn own_role(&self) -> Option<Role> {
        own_role(self.number)
    }

    /// The state, settled: what a callback has left to be done is done now.
    fn state(&self) -> AsioResult<LockGuard<'_, State>> {
        if self.own_role().is_none() {
            let mut state = self.state.lock();
            self.settle(&mut state);
            return Ok(state);
        }
        let until = self.system().now_ns().saturating_add(OWN_THREAD_NS);
        self.state
            .lock_until(until)
            .ok_or_else(|| mode("another call is under way; try again later"))
    }

    /// A stop or disposal that was asked for within a callback could not wait for itself there.
    fn settle(&self, state: &mut State) {
        let stopped = self.run.lock().stop.load(Ordering::Acquire);
        if stopped && matches!(state, State::Running(_)) {
            self.stop_running(state);
        }
        if self.dispose_later.swap(false, Ordering::AcqRel) {
            self.dispose(state);
        }
    }

    fn publish(&self, state: &State) {
        let config = self.config.lock().clone();
        let mut answers = Answers::default();
        if let Some(offer) = state.offer() {
            let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
            answers.is_initialized = true;
            answers.inputs = number(offer.input.channels.len());
            answers.outputs = number(offer.output.channels.len());
            let frames = state.setup().map_or(offer.block.preferred_frames, |setup| setup.frames);
            let told = |is_direct| match state.setup() {
                Some(setup) => latency(&setup.shape, setup.frames, is_direct),
                // Before a device is open: what one with periods as long as blocks has.
                None => barewire_types::Latency {
                    input_frames: frames,
                    output_frames: if is_direct { frames } else { frames.saturating_mul(2) },
                },
            };
            let with = |frames: u32, offset: i32| {
                i32::try_from(frames).unwrap_or(i32::MAX).saturating_add(offset).max(0)
            };
            answers.input_frames = with(told(true).input_frames, config.input_offset_frames);
            let offset = config.output_offset_frames;
            answers.output_direct_frames = with(told(true).output_frames, offset);
            answers.output_queued_frames = with(told(false).output_frames, offset);
        }
        self.answers.write(answers.words());
    }

    fn answers(&self) -> Answers {
        Answers::from_words(self.answers.read())
    }

    fn initialized(&self) -> AsioResult<Answers> {
        let answers = self.answers();
        if answers.is_initialized { Ok(answers) } else { Err(not_initialized()) }
    }

    /// Whether outputs go directly, as far as it has shown; before that, whether they always do, or the host has ever called
    /// outputReady.
    fn is_direct(&self) -> bool {
        let shown =
            self.is_running.load(Ordering::Acquire).then(|| self.telemetry.snapshot().is_direct);
        let is_always = self.is_always_direct.load(Ordering::Relaxed);
        shown.flatten().unwrap_or_else(|| is_always || self.latch.is_used())
    }

    fn rate(&self) -> Option<RateHz> {
        RateHz::new(self.known.rate_hz.load(Ordering::Acquire))
    }

    fn check_rate(&self, rate_hz: f64) -> AsioResult<RateHz> {
        self.initialized()?;
        let rates = self.known.rates.lock().clone();
        rates.check(rate_hz).map_err(|text| AsioError::new(Code::NO_CLOCK, text))
    }

    fn init(&self) -> AsioResult<()> {
        let mut state = self.state()?;
        if !matches!(*state, State::Loaded) {
            return Ok(());
        }
        let entry = self.instance.lock().clone();
        self.choose_profile(&entry)?;
        let (config, mut problems) = self.options.config.load();
        problems.extend(self.open_diary(&config));
        *self.problems.lock() = problems;
        let offer = Offer::new(&self.options.backends, &config)?;
        let rate = offer.rates.initial(offer.device.id.as_str(), config.rate);
        self.known.rate_hz.store(rate.map_or(0, RateHz::get), Ordering::Release);
        *self.known.rates.lock() = Arc::new(offer.rates.clone());
        let is = |mode: OutputMode| config.output_mode == mode;
        self.is_always_direct.store(is(OutputMode::Direct), Ordering::Relaxed);
        self.ignores_output_ready.store(is(OutputMode::Queued), Ordering::Relaxed);
        *self.config.lock() = config;
        let version = env!("CARGO_PKG_VERSION");
        let text = format!("{NAME} {version} serves {}: {}", offer.device.name, offer.reason);
        self.say(LogLevel::Info, text);
        *state = State::Initialized(Arc::new(offer));
        self.publish(&state);
        Ok(())
    }

    fn start(self: &Arc<Self>) -> AsioResult<()> {
        let mut state = self.state()?;
        let prepared = match std::mem::replace(&mut *state, State::Loaded) {
            State::Prepared(prepared) => prepared,
            other => {
                let result = match &other {
                    State::Running(running) if running.setup.run.stop.load(Ordering::Acquire) => {
                        let text = "the host's callback of the last run has not returned yet";
                        Err(AsioError::new(Code::HW_MALFUNCTION, text))
                    }
                    State::Running(_) => Ok(()),
                    _ => Err(mode("there are no buffers; call createBuffers first")),
                };
                *state = other;
                return result;
            }
        };
        if let Err(error) = self.take_device_again(&prepared) {
            *state = State::Prepared(prepared);
            return Err(error);
        }
        let (next, result) = self.launch(prepared);
        *state = next;
        result
    }

    /// The device that the last stop let go.
    fn take_device_again(&self, prepared: &Prepared) -> AsioResult<()> {
        if !self.config.lock().releases_on_stop || !prepared.was_stopped {
            return Ok(());
        }
        let (setup, config) = (&prepared.setup, self.config.lock().clone());
        let id = &setup.offer.device.id;
        let named = |error| holder::named(error, id, &config, self.number, self.system());
        setup.crew.open_again().map_err(|error| refusal(&named(error)))
    }

    /// Gives the engine to a device thread, and waits until the device runs: not for the host's first callback, which
    /// may wait for `start` to return.
    fn launch(self: &Arc<Self>, prepared: Prepared) -> (State, AsioResult<()>) {
        let Prepared { setup, engine, was_stopped } = prepared;
        setup.run.stop.store(false, Ordering::Release);
        self.telemetry.clear();
        setup.crew.requests().disarm();
        let parcel = Parcel::new(self.system(), engine);
        let (its_run, its_parcel) = (setup.run.clone(), parcel.clone());
        let requests = setup.crew.requests_shared();
        let core = self.clone();
        let conduct: Arc<dyn Conduct> = Arc::new(Inside { driver: self.number, run: its_run });
        let body = move || {
            let Some(engine) = its_parcel.engine.lock().take() else { return };
            let (engine, _) = barewire_engine::run(engine, &conduct, |result| {
                core.is_running.store(result.is_ok(), Ordering::Release);
                its_parcel.tell_started(result);
                requests.arm();
            });
            *its_parcel.engine.lock() = Some(engine);
        };
        let thread =
            threads::start(self.system(), self.number, "barewire-device", Role::Device, body);
        let thread = match thread {
            Ok(thread) => thread,
            Err(error) => {
                let error = AsioError::new(Code::NO_MEMORY, error.to_string());
                let state = match parcel.engine.lock().take() {
                    Some(engine) => State::Prepared(Prepared { setup, engine, was_stopped }),
                    None => State::Initialized(setup.offer),
                };
                return (state, Err(error));
            }
        };
        let has_started = parcel.has_started(self.system().join_deadline_ns(START_NS));
        let mut state = State::Running(Running { setup, thread, parcel });
        if has_started {
            self.say(LogLevel::Info, self.summary(&state));
            return (state, Ok(()));
        }
        self.stop_running(&mut state);
        let text = "the device did not start; unplug it and plug it in again, or choose another";
        (state, Err(AsioError::new(Code::HW_MALFUNCTION, text)))
    }

    /// Ends the run. If the host's callback does not return in time the run is left behind: no callback begins any more,
    /// and nothing of it is freed before its thread has left.
    fn stop_running(&self, state: &mut State) {
        let State::Running(running) = std::mem::replace(state, State::Loaded) else { return };
        running.setup.run.stop.store(true, Ordering::Release);
        running.setup.waker.wake();
        self.latch.release();
        let ended = !running.thread.is_current()
            && running.thread.join(self.system().join_deadline_ns(JOIN_NS));
        // Only now: positions are asked for to the very last callback.
        self.is_running.store(false, Ordering::Release);
        let engine = if ended { running.parcel.engine.lock().take() } else { None };
        self.tell_remarks();
        self.say(LogLevel::Info, self.account());
        *state = match engine {
            Some(engine) => {
                if self.config.lock().releases_on_stop {
                    running.setup.crew.close_what_was_put_away();
                }
                State::Prepared(Prepared { setup: running.setup, engine, was_stopped: true })
            }
            None => State::Running(running),
        };
    }

    fn stop(&self) -> AsioResult<()> {
        // On a thread of ours the flag is all: whoever comes next finds the run ended.
        if self.own_role() == Some(Role::Device) {
            self.is_running.store(false, Ordering::Release);
            self.run.lock().stop.store(true, Ordering::Release);
            return Ok(());
        }
        let mut state = self.state()?;
        if matches!(*state, State::Running(_)) {
            self.stop_running(&mut state);
        }
        Ok(())
    }

    fn dispose(&self, state: &mut State) {
        self.stop_running_if(state);
        self.run.lock().stop.store(true, Ordering::Release);
        *state = match std::mem::replace(state, State::Loaded) {
            State::Prepared(own) => {
                let offer = own.setup.offer;
                own.setup.crew.end(own.engine);
                State::Initialized(offer)
            }
            State::Running(own) => {
                let (thread, parcel, system) = (own.thread, own.parcel, self.system().clone());
                own.setup.crew.leave_to_keeper(move || {
                    // However long it takes: what the host's callback still uses stays until it has returned.
                    while !thread.join(system.join_deadline_ns(JOIN_NS)) {}
                    drop(parcel);
                });
                State::Initialized(own.setup.offer)
            }
            other => other,
        };
        self.publish(state);
    }

    fn stop_running_if(&self, state: &mut State) {
        if matches!(state, State::Running(_)) {
            self.stop_running(state);
        }
    }

    fn dispose_buffers(&self) -> AsioResult<()> {
        if self.own_role() == Some(Role::Device) {
            self.is_running.store(false, Ordering::Release);
            self.run.lock().stop.store(true, Ordering::Release);
            self.dispose_later.store(true, Ordering::Release);
            return Ok(());
        }
        let mut state = self.state()?;
        match *state {
            State::Loaded | State::Initialized(_) => {
                Err(mode("there are no buffers to dispose of"))
            }
            State::Prepared(_) | State::Running(_) => {
                self.dispose(&mut state);
                Ok(())
            }
        }
    }

    fn set_rate(&self, rate_hz: f64) -> AsioResult<()> {
        self.initialized()?;
        if rate_hz == 0.0 {
            let text = "there is no external clock to follow; set a rate";
            return Err(AsioError::new(Code::NO_CLOCK, text));
        }
        let rate = self.check_rate(rate_hz)?;
        if self.rate() == Some(rate) {
            return Ok(());
        }
        let state = self.state()?;
        let Some(offer) = state.offer() else { return Err(not_initialized()) };
        rate::remember(offer.device.id.as_str(), rate);
        self.known.rate_hz.store(rate.get(), Ordering::Release);
        if let Some(crew) = state.crew() {
            crew.change_rate(rate);
        }
        Ok(())
    }

    fn keeper(&self) -> Option<KeeperHand> {
        let until = self.system().now_ns().saturating_add(OWN_THREAD_NS);
        self.state.lock_until(until)?.crew().map(crate::crew::Crew::hand)
    }

    fn release(self: Arc<Self>) {
        self.is_running.store(false, Ordering::Release);
        self.run.lock().stop.store(true, Ordering::Release);
        if self.own_role().is_some() {
            // A thread of ours cannot end itself from within: the keeper does it.
            if let Some(keeper) = self.keeper() {
                keeper.give(move || {
                    self.dispose(&mut self.state.lock());
                    *self.diary.lock() = None;
                });
            }
            return;
        }
        self.dispose(&mut self.state.lock());
        self.write_down();
        *self.diary.lock() = None;
    }

    fn channel_info(&self, channel: i32, is_input: bool) -> AsioResult<ChannelInfo> {
        self.initialized()?;
        let state = self.state()?;
        let Some(offer) = state.offer() else { return Err(not_initialized()) };
        let direction = offer.direction(is_input);
        let name = usize::try_from(channel).ok().and_then(|channel| direction.names.get(channel));
        let Some(name) = name else {
            let word = if is_input { "input" } else { "output" };
            let text = format!("there is no {word} {channel}");
            return Err(AsioError::new(Code::INVALID_PARAMETER, text));
        };
        let wanted = state.setup().map_or(&[][..], |setup| &setup.wanted);
        let is_active = wanted.contains(&BufferRequest { is_input, channel });
        Ok(ChannelInfo {
            is_active,
            group: 0,
            sample_type: offer.sample_type(),
            name: name.clone(),
        })
    }

    /// Before `init` a host may say which of the registered entries it means.
    fn choose_instance(&self, name: &str) -> AsioResult<()> {
        let state = self.state()?;
        if !matches!(*state, State::Loaded) && *self.instance.lock() != name {
            return Err(mode("the entry is to be chosen before init"));
        }
        self.choose_profile(name)?;
        name.clone_into(&mut self.instance.lock());
        Ok(())
    }

    /// The profile that the entry `name` stands for; the default one needs none.
    fn choose_profile(&self, name: &str) -> AsioResult<()> {
        if name == NAME || self.options.config.choose_instance(name) {
            return Ok(());
        }
        let text =
            format!("there is no entry \"{name}\"; add a profile of that name to the settings");
        Err(AsioError::new(Code::NOT_PRESENT, text))
    }

    fn future(&self, call: FutureCall<'_>) -> AsioResult<()> {
        match call {
            FutureCall::Can(future::CAN_TIME_INFO) => Ok(()),
            FutureCall::CanReportOverload => {
                self.reports_overload.store(true, Ordering::Relaxed);
                Ok(())
            }
            FutureCall::GetIoFormat(format) => {
                *format = IoFormat::Pcm;
                Ok(())
            }
            FutureCall::CanDoIoFormat(IoFormat::Pcm) => Ok(()),
            FutureCall::SetIoFormat(IoFormat::Pcm) => {
                if self.state()?.setup().is_some() {
                    return Err(mode("the format cannot be set while there are buffers"));
                }
                Ok(())
            }
            FutureCall::GetInternalBuffers(buffers) => self.internal_buffers(buffers),
            FutureCall::SetInstanceName(None) => Ok(()),
            FutureCall::SetInstanceName(Some(name)) => self.choose_instance(&name),
            FutureCall::Unknown(_) => Err(AsioError::new(Code::INVALID_PARAMETER, "")),
            _ => Err(AsioError::new(Code::NOT_PRESENT, "")),
        }
    }

    /// What the latencies contain beyond a block in each direction; nothing as long as there are no buffers.
    fn internal_buffers(&self, buffers: &mut InternalBuffers) -> AsioResult<()> {
        let (answers, state) = (self.initialized()?, self.state()?);
        let Some(setup) = state.setup() else { return Ok(()) };
        let frames = i32::try_from(setup.frames).unwrap_or(i32::MAX);
        buffers.input_frames = (answers.input_frames - frames).max(0);
        buffers.output_frames = (answers.output_direct_frames - frames).max(0);
        Ok(())
    }
}

impl Answers {
    fn words(self) -> [u64; ANSWERS] {
        let word = |value: i32| u64::from(value.cast_unsigned());
        [
            u64::from(self.is_initialized),
            word(self.input_frames),
            word(self.output_direct_frames),
            word(self.output_queued_frames),
            word(self.inputs),
            word(self.outputs),
        ]
    }

    fn from_words(words: [u64; ANSWERS]) -> Self {
        let value = |n: usize| i32::try_from(words[n]).unwrap_or(0);
        Self {
            is_initialized: words[0] == 1,
            input_frames: value(1),
            output_direct_frames: value(2),
            output_queued_frames: value(3),
            inputs: value(4),
            outputs: value(5),
        }
    }
}

impl AsioDriver for Driver {
    fn init(&self, _system_handle: *mut c_void) -> AsioResult<()> {
        self.core.told("init", self.core.init())
    }

    fn driver_name(&self) -> String {
        self.core.instance.lock().clone()
    }

    fn driver_version(&self) -> i32 {
        /// Major and minor version of the package.
        const VERSION: i32 = 1;
        VERSION
    }

    fn start(&self) -> AsioResult<()> {
        self.core.told("start", self.core.start())
    }

    fn stop(&self) -> AsioResult<()> {
        self.core.told("stop", self.core.stop())
    }

    fn channels(&self) -> AsioResult<(i32, i32)> {
        let answers = self.core.initialized()?;
        Ok((answers.inputs, answers.outputs))
    }

    fn latencies(&self) -> AsioResult<(i32, i32)> {
        let answers = self.core.initialized()?;
        let is_direct = self.core.is_direct();
        let output =
            if is_direct { answers.output_direct_frames } else { answers.output_queued_frames };
        let added = self.core.known.added_latency();
        let with = |frames: i32, added: u32| {
            frames.saturating_add(i32::try_from(added).unwrap_or(i32::MAX))
        };
        Ok((with(answers.input_frames, added.input_frames), with(output, added.output_frames)))
    }

    fn buffer_size(&self) -> AsioResult<BufferSize> {
        let state = self.core.state()?;
        state.offer().map(|offer| offer.buffer_size()).ok_or_else(not_initialized)
    }

    fn can_sample_rate(&self, rate_hz: f64) -> AsioResult<()> {
        self.core.check_rate(rate_hz).map(|_| ())
    }

    fn sample_rate(&self) -> AsioResult<f64> {
        self.core.initialized()?;
        let unknown = || AsioError::new(Code::NO_CLOCK, "the rate is not known");
        self.core.rate().map(RateHz::as_f64).ok_or_else(unknown)
    }

    fn set_sample_rate(&self, rate_hz: f64) -> AsioResult<()> {
        self.core.told("setSampleRate", self.core.set_rate(rate_hz))
    }

    fn clock_sources(&self) -> AsioResult<Vec<ClockSource>> {
        self.core.initialized()?;
        let name = "Internal".to_owned();
        Ok(vec![ClockSource { index: 0, channel: None, group: None, is_current: true, name }])
    }

    fn set_clock_source(&self, index: i32) -> AsioResult<()> {
        self.core.initialized()?;
        if index == 0 {
            return Ok(());
        }
        Err(AsioError::new(Code::INVALID_PARAMETER, format!("there is no clock source {index}")))
    }

    fn sample_position(&self) -> AsioResult<SamplePosition> {
        if !self.core.answers().is_initialized {
            return Err(AsioError::new(Code::NOT_PRESENT, ""));
        }
        let snapshot = self.core.telemetry.snapshot();
        if !self.core.is_running.load(Ordering::Acquire) || snapshot.blocks == 0 {
            return Err(AsioError::new(Code::SP_NOT_ADVANCING, ""));
        }
        let time_ns = self.core.system().host_time_ns(snapshot.at_ns);
        Ok(SamplePosition { position_frames: snapshot.position_frames, time_ns })
    }

    fn channel_info(&self, channel: i32, is_input: bool) -> AsioResult<ChannelInfo> {
        self.core.channel_info(channel, is_input)
    }

    fn create_buffers(
        &self,
        wanted: &[BufferRequest],
        frames: i32,
        host: Arc<dyn HostCallbacks>,
    ) -> AsioResult<Vec<Halves>> {
        self.core.told("createBuffers", self.core.create_buffers(wanted, frames, host))
    }

    fn dispose_buffers(&self) -> AsioResult<()> {
        self.core.told("disposeBuffers", self.core.dispose_buffers())
    }

    fn control_panel(&self) -> AsioResult<()> {
        let text = format!(
            "there is no panel yet; the settings are in {}",
            self.core.options.config.place()
        );
        Err(AsioError::new(Code::NOT_PRESENT, text))
    }

    fn future(&self, call: FutureCall<'_>) -> AsioResult<()> {
        self.core.future(call)
    }

    fn output_ready(&self) -> AsioResult<()> {
        if self.core.ignores_output_ready.load(Ordering::Relaxed) {
            return Err(AsioError::new(Code::NOT_PRESENT, ""));
        }
        self.core.latch.set();
        Ok(())
    }

    fn released(self: Box<Self>) {
        self.core.release();
    }
}
