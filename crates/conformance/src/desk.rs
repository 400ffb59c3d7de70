//! What a case works with: the driver opened as far as the case needs it, and the ways to end. A step that fails although it
//! is not what the case is about makes it `not judged`; the case about that step says the rest.

use crate::checks::is_a_code;
use crate::outcome::Status;
use crate::recorder::{Manners, Recorder};
use barewire_abi::constants::SampleType;
use barewire_abi::layout::ChannelInfo;
use barewire_abi::{BufferRequest, Code, Long, Native};
use barewire_host::Source;
use barewire_host::bare::{
    BufferTable, HalfView, HostTable, L, Missing, Place, SETS, Subject, listen,
};
use barewire_types::Error;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Duration;

/// What is chosen for all cases of a run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Cases with long waits run, and waits are as long as a sceptic wants them.
    pub long: bool,
    /// The driver keeps simulated time: what is measured against a clock says nothing.
    pub simulated: bool,
    /// Outputs are known to come back at the inputs: silence there is a failure.
    pub looped: bool,
    /// A person is there to look at panels and to change settings.
    pub interactive: bool,
    /// Where pictures go.
    pub plots: Option<std::path::PathBuf>,
    /// The registered name, if the driver was named so.
    pub registered: Option<barewire_host::registry::Entry>,
}

/// Why a case ends before its end.
#[derive(Debug)]
pub(crate) enum End {
    Failed { seen: String, expected: String },
    Skipped(String),
    NotJudged(String),
}

/// What cases return.
pub(crate) type Check<T = ()> = Result<T, End>;

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::NotJudged(error.to_string())
    }
}

impl From<End> for Status {
    fn from(end: End) -> Self {
        match end {
            End::Failed { seen, expected } => Self::Failed { seen, expected },
            End::Skipped(reason) => Self::Skipped { reason },
            End::NotJudged(because) => Self::NotJudged { because },
        }
    }
}

pub(crate) fn failed<T>(seen: impl Into<String>, expected: impl Into<String>) -> Check<T> {
    let (seen, expected) = (seen.into(), expected.into());
    crate::child::found(&format!("saw {seen}; expected {expected}"));
    Err(End::Failed { seen, expected })
}

pub(crate) fn skipped<T>(reason: impl Into<String>) -> Check<T> {
    Err(End::Skipped(reason.into()))
}

pub(crate) fn unjudged<T>(because: impl Into<String>) -> Check<T> {
    Err(End::NotJudged(because.into()))
}

/// Fails unless `holds`.
pub(crate) fn ensure(holds: bool, seen: impl FnOnce() -> String, expected: &str) -> Check {
    if holds { Ok(()) } else { failed(seen(), expected) }
}

/// Fails unless the driver answered one of `allowed`.
pub(crate) fn ensure_code(call: &str, code: Code, allowed: &[Code]) -> Check {
    if allowed.contains(&code) {
        return Ok(());
    }
    let names: Vec<String> = allowed.iter().map(Code::to_string).collect();
    failed(format!("{code} from {call}"), names.join(" or "))
}

/// Fails if the driver wrote beside what it was lent.
pub(crate) fn ensure_clean(call: &str, stain: Option<String>) -> Check {
    match stain {
        None => Ok(()),
        Some(stain) => failed(format!("{stain} by {call}"), "no byte beside it touched"),
    }
}

/// Up to the first zero; `None` without one.
pub(crate) fn terminated(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
}

/// The host's half of a test.
pub(crate) struct Desk {
    pub(crate) source: Source,
    pub(crate) options: Options,
    notes: RefCell<Vec<String>>,
    warnings: RefCell<Vec<String>>,
    set: Cell<usize>,
}

/// What `getBufferSize` told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) min: i32,
    pub(crate) max: i32,
    pub(crate) preferred: i32,
    pub(crate) granularity: i32,
}

impl Desk {
    pub(crate) fn new(source: Source, options: Options) -> Self {
        Self {
            source,
            options,
            notes: RefCell::default(),
            warnings: RefCell::default(),
            set: Cell::new(0),
        }
    }

    fn next_set(&self) -> usize {
        let set = (self.set.get() + 1) % SETS;
        self.set.set(set);
        set
    }

    /// Something to be read beside the verdict.
    pub(crate) fn note(&self, text: impl Into<String>) {
        self.notes.borrow_mut().push(text.into());
    }

    /// What a call answers that comes when there is nothing to do: OK, or InvalidMode. Hosts do not look which refusal it is.
    pub(crate) fn expect_refusal(&self, call: &str, code: Code) -> Check {
        ensure(is_a_code(code), || format!("{code} from {call}"), "OK or InvalidMode")?;
        if !matches!(code, Code::OK | Code::INVALID_MODE) {
            self.warn(format!("{code} from {call}; InvalidMode is the word for it"));
        }
        Ok(())
    }

    /// The rule is kept, but only just.
    pub(crate) fn warn(&self, text: impl Into<String>) {
        self.warnings.borrow_mut().push(text.into());
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.borrow().clone()
    }

    pub(crate) fn verdict(&self, result: Check) -> Status {
        match result {
            Err(end) => end.into(),
            Ok(()) if self.warnings.borrow().is_empty() => Status::Passed,
            Ok(()) => Status::Warned { warnings: self.warnings.borrow().clone() },
        }
    }

    /// `usual`, or `sceptical` if long waits are wanted.
    pub(crate) fn wait(&self, usual_ms: u64, sceptical_ms: u64) -> Duration {
        Duration::from_millis(if self.options.long { sceptical_ms } else { usual_ms })
    }

    /// The driver, loaded.
    pub(crate) fn subject(&self) -> Check<Subject> {
        Ok(self.source.bare()?)
    }

    /// The driver, loaded and never released: for rules that make an object and do not initialise it, which a driver may bear
    /// although it cannot release such a one.
    pub(crate) fn kept_subject(&self) -> Check<ManuallyDrop<Subject>> {
        self.subject().map(ManuallyDrop::new)
    }

    /// The driver, initialised.
    pub(crate) fn ready(&self) -> Check<Rig<'_>> {
        let subject = self.subject()?;
        self.rig(subject, 0)
    }

    /// Initialises `subject` with `handle`.
    pub(crate) fn rig(&self, subject: Subject, handle: usize) -> Check<Rig<'_>> {
        match subject.init(handle) {
            1 => Ok(Rig { desk: self, subject: Arc::new(subject) }),
            other => unjudged(format!("init answered {other}")),
        }
    }

    /// The driver with buffers for everything at its preferred size.
    pub(crate) fn stage(&self) -> Check<Stage<'_>> {
        self.stage_with(Manners::default())
    }

    /// As [`stage`](Self::stage), for a host of other manners.
    pub(crate) fn stage_with(&self, manners: Manners) -> Check<Stage<'_>> {
        let rig = self.ready()?;
        let all = rig.all()?;
        let frames = rig.sizes()?.preferred;
        rig.stage(&all, frames, manners)
    }

    /// The driver with blocks coming.
    pub(crate) fn running(&self) -> Check<Stage<'_>> {
        self.running_with(Manners::default())
    }

    /// As [`running`](Self::running), for a host of other manners.
    pub(crate) fn running_with(&self, manners: Manners) -> Check<Stage<'_>> {
        let stage = self.stage_with(manners)?;
        stage.start()?;
        Ok(stage)
    }
}

/// An initialised driver.
pub(crate) struct Rig<'a> {
    pub(crate) desk: &'a Desk,
    pub(crate) subject: Arc<Subject>,
}

pub(crate) fn input(channel: i32) -> BufferRequest {
    BufferRequest { is_input: true, channel }
}

pub(crate) fn output(channel: i32) -> BufferRequest {
    BufferRequest { is_input: false, channel }
}

impl<'a> Rig<'a> {
    fn expect(call: &str, code: Code) -> Check {
        if code == Code::OK { Ok(()) } else { unjudged(format!("{call} answered {code}")) }
    }

    pub(crate) fn channels(&self) -> Check<(i32, i32)> {
        let (inputs, outputs) = (Place::<L>::dirty()?, Place::<L>::dirty()?);
        Self::expect("getChannels", self.subject.channels(Some(&inputs), Some(&outputs)))?;
        let (inputs, outputs) = (inputs.get().to_i32(), outputs.get().to_i32());
        if !(0..=1024).contains(&inputs) || !(0..=1024).contains(&outputs) {
            return unjudged(format!("getChannels told {inputs} and {outputs}"));
        }
        Ok((inputs, outputs))
    }

    /// Every channel, inputs first.
    pub(crate) fn all(&self) -> Check<Vec<BufferRequest>> {
        let (inputs, outputs) = self.channels()?;
        Ok((0..inputs).map(input).chain((0..outputs).map(output)).collect())
    }

    pub(crate) fn sizes(&self) -> Check<Sizes> {
        let places: [Place<L>; 4] =
            [Place::dirty()?, Place::dirty()?, Place::dirty()?, Place::dirty()?];
        let [a, b, c, d] = &places;
        let code = self.subject.buffer_size([Some(a), Some(b), Some(c), Some(d)]);
        Self::expect("getBufferSize", code)?;
        let [min, max, preferred, granularity] =
            places.each_ref().map(|place| place.get().to_i32());
        Ok(Sizes { min, max, preferred, granularity })
    }

    pub(crate) fn rate(&self) -> Check<f64> {
        let place = Place::<f64>::dirty()?;
        Self::expect("getSampleRate", self.subject.sample_rate(Some(&place)))?;
        Ok(place.get())
    }

    pub(crate) fn latencies(&self) -> Check<(i32, i32)> {
        let (input, output) = (Place::<L>::dirty()?, Place::<L>::dirty()?);
        Self::expect("getLatencies", self.subject.latencies(Some(&input), Some(&output)))?;
        Ok((input.get().to_i32(), output.get().to_i32()))
    }

    /// `getChannelInfo` on a structure full of rubbish.
    pub(crate) fn ask_channel(
        &self,
        request: BufferRequest,
    ) -> Check<(Code, Place<ChannelInfo<Native>>)> {
        let place = Place::<ChannelInfo<Native>>::dirty()?;
        let mut info = place.get();
        info.channel = L::from_i32(request.channel);
        info.is_input = L::from_i32(i32::from(request.is_input));
        place.set(info);
        let code = self.subject.channel_info(Some(&place));
        Ok((code, place))
    }

    pub(crate) fn channel(&self, request: BufferRequest) -> Check<ChannelInfo<Native>> {
        let (code, place) = self.ask_channel(request)?;
        Self::expect("getChannelInfo", code)?;
        Ok(place.get())
    }

    /// Bytes of a half for `frames`. One-bit types have room for a byte a sample: Kodi writes so many.
    pub(crate) fn half_bytes(&self, request: BufferRequest, frames: i32) -> Check<usize> {
        let number = self.channel(request)?.sample_type.to_i32();
        let Some(format) = SampleType(number).format() else {
            return unjudged(format!("sample type {number} is unknown"));
        };
        Ok(usize::try_from(frames).unwrap_or(0) * format.bytes())
    }

    /// Makes buffers, and expects that to work.
    pub(crate) fn stage(
        self,
        wanted: &[BufferRequest],
        frames: i32,
        manners: Manners,
    ) -> Check<Stage<'a>> {
        let (code, stage) = self.try_stage(wanted, frames, manners)?;
        Self::expect("createBuffers", code)?;
        Ok(stage)
    }

    /// Makes buffers, whatever comes of it.
    pub(crate) fn try_stage(
        self,
        wanted: &[BufferRequest],
        frames: i32,
        manners: Manners,
    ) -> Check<(Code, Stage<'a>)> {
        let table = BufferTable::new(wanted)?;
        let missing = if manners.has_time_function { Missing::Nothing } else { Missing::TimeInfo };
        // Another set of functions each time: a driver that still calls the last host is not taken for this one's.
        let set = self.desk.next_set();
        let host = HostTable::new(set, missing)?;
        let recorder = Recorder::new(manners);
        listen(set, Some(recorder.clone()));
        let code = self.subject.create_buffers(Some(&table), table.count(), frames, Some(&host));
        let Rig { desk, subject } = self;
        Ok((
            code,
            Stage { desk, subject: Some(subject), table, host: Some(host), recorder, frames, set },
        ))
    }
}

/// A driver with buffers. What it was lent lives until after its release.
pub(crate) struct Stage<'a> {
    pub(crate) desk: &'a Desk,
    pub(crate) subject: Option<Arc<Subject>>,
    pub(crate) table: BufferTable,
    pub(crate) host: Option<HostTable>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) frames: i32,
    set: usize,
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        // Without stop and dispose, as cwASIO's player ends: it must stop by itself.
        if let Some(subject) = self.subject.take() {
            subject.end();
        }
        listen(self.set, None);
    }
}

impl<'a> Stage<'a> {
    pub(crate) fn subject(&self) -> Check<&Arc<Subject>> {
        self.subject.as_ref().ok_or_else(|| End::NotJudged("the driver is released".to_owned()))
    }

    /// Starts and waits for the first block.
    pub(crate) fn start(&self) -> Check {
        let from = self.recorder.blocks();
        Rig::expect("start", self.subject()?.start())?;
        let limit = Duration::from_secs(5);
        let came = self.recorder.wait(limit, || self.recorder.blocks() > from);
        if came { Ok(()) } else { unjudged("no block came in 5 s") }
    }

    /// Waits for more blocks.
    pub(crate) fn await_blocks(&self, more: u64) -> Check {
        let (seen, came) = self.blocks_within(more, Duration::from_secs(5));
        if came { Ok(()) } else { unjudged(format!("only {seen} of {more} blocks came in 5 s")) }
    }

    /// How many of `more` blocks come in time, and whether all did.
    pub(crate) fn blocks_within(&self, more: u64, limit: Duration) -> (u64, bool) {
        let from = self.recorder.blocks();
        let came = self.recorder.wait(limit, || self.recorder.blocks() >= from + more);
        (self.recorder.blocks() - from, came)
    }

    pub(crate) fn stop(&self) -> Check {
        Rig::expect("stop", self.subject()?.stop())
    }

    /// Gives the rig back, without buffers.
    pub(crate) fn dispose(mut self) -> Check<Rig<'a>> {
        Rig::expect("disposeBuffers", self.subject()?.dispose_buffers())?;
        let Some(subject) = self.subject.take() else { return unjudged("the driver is released") };
        Ok(Rig { desk: self.desk, subject })
    }

    /// The rig's queries, while there are buffers.
    pub(crate) fn ask<T>(&mut self, ask: impl FnOnce(&Rig<'a>) -> Check<T>) -> Check<T> {
        let Some(subject) = self.subject.take() else { return unjudged("the driver is released") };
        let rig = Rig { desk: self.desk, subject };
        let answer = ask(&rig);
        self.subject = Some(rig.subject);
        answer
    }

    /// Every half with its bytes.
    pub(crate) fn halves(&mut self) -> Check<Vec<(BufferRequest, usize, HalfView)>> {
        let mut found = Vec::new();
        for (entry, request) in self.table.wanted().to_vec().into_iter().enumerate() {
            let frames = self.frames;
            let bytes = self.ask(|rig| rig.half_bytes(request, frames))?;
            for half in 0..2 {
                let Some(view) = self.table.half(entry, half, bytes) else {
                    return unjudged(format!("entry {entry} has no half {half}"));
                };
                found.push((request, half, view));
            }
        }
        Ok(found)
    }
}
