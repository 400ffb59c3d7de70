//! An open stream: starts, waits, lends, hands over. Runs on the device thread: no allocation, no lock but Windows' own.
//!
//! A stream that is woken by events and exclusive takes one *whole* buffer at each event. All others tell how much is
//! *queued* and are kept filled up to a fixed level. In duplex the played side leads: which captured frame belongs to which
//! played one is measured with both clocks at the start and then held, so that the way round is as long as stated,
//! whenever the two events come.

use crate::course::{Course, Spot, frames_between, offset, shifted};
use crate::hresult;
use crate::lines::{CaptureLine, PlayLine, Stamp};
use crate::service::{Answer, Flow, Hresult, Ready, Waiter};
use barewire_device::{Loss, Note, Period, Shape, Stream, Wake};
use barewire_rt::{Area, AreaMut, System, Waker};
use barewire_types::{Ns, frames_to_ns};
use std::sync::Arc;

/// No sign of life for so long is a loss: the machine slept, or the driver hangs.
pub(crate) const SILENCE_NS: Ns = 2_000_000_000;
/// How many periods a start rehearses with silence, at least, and for how long: positions of USB devices stay at 0 for
/// some milliseconds.
const REHEARSED_PERIODS: u32 = 8;
const REHEARSED_NS: Ns = 12_000_000;

/// How the hardware is served. Fixed at the opening.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// One whole buffer at each event.
    pub(crate) is_whole: bool,
    /// Woken by events, not by the clock.
    pub(crate) has_events: bool,
    /// Frames that are queued when a period was handed over.
    pub(crate) level_frames: u32,
    /// Captured frames that are held back in duplex, so that they are there whenever the played side asks.
    pub(crate) hold_frames: u32,
}

impl Manner {
    /// Periods of silence that a start rehearses.
    pub(crate) fn rehearsed(period_ns: Ns) -> u32 {
        let periods = u32::try_from(REHEARSED_NS.div_ceil(period_ns.max(1))).unwrap_or(u32::MAX);
        periods.clamp(REHEARSED_PERIODS, 64)
    }
}

/// A played period that waits for its captured frames.
#[derive(Clone, Copy, Debug)]
struct Pending {
    frames: u32,
    at_ns: Ns,
    missed_frames: u32,
    /// The captured frame after the last that belongs to it.
    capture_end: i64,
    give_up_ns: Ns,
    /// They were waited for: whoever is late himself does not give up on others.
    has_waited: bool,
}

#[derive(Clone, Debug, Default)]
struct Run {
    is_running: bool,
    lost: Option<Loss>,
    position: u64,
    at_ns: Ns,
    missed: u32,
    capture_left: u32,
    /// An event was set and not looked at yet.
    has_event: bool,
    /// The latest sign of life.
    alive_ns: Ns,
    course: Option<Course>,
    /// Captured frames less played ones, in frames handed over.
    offset: i64,
    pending: Option<Pending>,
    naps: u64,
}

pub(crate) struct WasapiStream {
    pub(crate) system: Arc<dyn System>,
    pub(crate) waiter: Box<dyn Waiter>,
    pub(crate) play: Option<PlayLine>,
    pub(crate) capture: Option<CaptureLine>,
    /// Plays silence, so that there is always something to be captured of what a device plays.
    pub(crate) companion: Option<PlayLine>,
    pub(crate) shape: Shape,
    pub(crate) manner: Manner,
    pub(crate) notes: Vec<Note>,
    run: Run,
}

impl WasapiStream {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one part of the stream, put together in one place"
    )]
    pub(crate) fn new(
        system: Arc<dyn System>,
        waiter: Box<dyn Waiter>,
        play: Option<PlayLine>,
        capture: Option<CaptureLine>,
        companion: Option<PlayLine>,
        shape: Shape,
        manner: Manner,
        notes: Vec<Note>,
    ) -> Self {
        let run = Run::default();
        Self { system, waiter, play, capture, companion, shape, manner, notes, run }
    }

    /// Starts and stops once, to learn how far ahead of the loudspeaker frames are handed over, and what the hardware plays
    /// unwritten: latency and prefill then stated are those measured. Control thread.
    pub(crate) fn rehearse(&mut self) -> Answer<()> {
        let begun = self.begin();
        self.halt();
        begun?;
        let Some(course) = self.run.course.filter(|_| self.shape.playback.is_some()) else {
            return Ok(());
        };
        // Longer ahead than twice what is queued and 100 ms of mixing and transport is a clock that cannot be believed.
        let most = self.manner.level_frames * 2 + self.shape.rate.get() / 10;
        if let Ok(lead) = u32::try_from(course.usual())
            && lead <= most
        {
            self.shape.latency.output_frames = lead;
        }
        self.shape.prefill_frames += u32::try_from(course.skipped()).unwrap_or(0);
        Ok(())
    }

    fn period_ns(&self) -> Ns {
        frames_to_ns(u64::from(self.shape.period_frames), self.shape.rate)
    }

    fn halt(&mut self) {
        for line in self.play.iter_mut().chain(&mut self.companion) {
            line.rewind();
        }
        let lines = self.play.iter().chain(&self.companion).map(|line| &line.client);
        for client in lines.chain(self.capture.iter().map(|line| &line.client)) {
            // One that is stopped or gone has nothing to stop, and nothing depends on it.
            let _ = client.stop();
            let _ = client.reset();
        }
    }

    /// Starts from nothing: capture first, the played side half a period after the first captured frames, so that both
    /// events stay well apart; then a rehearsal with silence.
    fn begin(&mut self) -> Answer<()> {
        self.halt();
        self.waiter.clear();
        self.run.pending = None;
        if let Some(line) = &mut self.companion {
            line.client.start()?;
        }
        if let Some(line) = &mut self.capture {
            line.rewind();
            line.client.start()?;
        }
        if self.play.is_some() {
            if self.capture.is_some() {
                self.await_capture()?;
                let until = self.system.now_ns() + self.period_ns() / 2;
                self.waiter.wait(None, until);
            }
            let level = self.manner.level_frames;
            if let Some(line) = &mut self.play {
                line.silence(level)?;
                line.client.start()?;
            }
            self.rehearsal()?;
        }
        self.run.alive_ns = self.system.now_ns();
        Ok(())
    }

    fn await_capture(&mut self) -> Answer<()> {
        let until = self.system.now_ns() + SILENCE_NS;
        while self.system.now_ns() < until {
            if self.pump()? > 0 {
                return Ok(());
            }
            self.nap(Flow::Capture, until);
        }
        Err(hresult::NO_EVENT)
    }

    /// Waits a little, or for an event.
    fn nap(&mut self, flow: Flow, until: Ns) -> Ready {
        /// Naps differ by parts of a frame, lest each look fall into the same part of one.
        const PART_NS: Ns = 2_900;
        if self.manner.has_events {
            return self.waiter.wait(Some(flow), until);
        }
        self.run.naps = (self.run.naps + 1) % 8;
        let nap_ns = (self.period_ns() / 8).max(200_000) + self.run.naps * PART_NS;
        let nap = self.system.now_ns() + nap_ns;
        self.waiter.wait(None, nap.min(until))
    }

    fn rehearsal(&mut self) -> Answer<()> {
        /// As many as `Manner::rehearsed` gives at most.
        const MOST: usize = 64;
        let (mut leads, mut count) = ([0_i64; MOST], 0);
        let mut pairs = [(Spot { frames: 0, at_ns: 0 }, Stamp { index: 0, at_ns: 0 }); MOST];
        let mut pair_count = 0;
        let period = self.shape.period_frames;
        for _ in 0..Manner::rehearsed(self.period_ns()) {
            self.await_play()?;
            let spot = self.spot();
            self.pump()?;
            let stamp = self.capture.as_ref().and_then(|line| line.stamp);
            let Some(line) = &mut self.play else { break };
            if let (Some(spot), true) = (spot, count < MOST) {
                leads[count] = i64::try_from(line.written).unwrap_or(i64::MAX) - spot.frames;
                count += 1;
                if let Some(stamp) = stamp {
                    pairs[pair_count] = (spot, stamp);
                    pair_count += 1;
                }
            }
            line.silence(period)?;
        }
        let half = self.manner.is_whole.then_some(period);
        self.run.course = Course::from_leads(&leads[..count], half, self.system.now_ns());
        self.run.offset = match offset(&mut pairs[..pair_count], self.shape.rate) {
            Some(offset) => offset,
            None => self.counted_offset(),
        };
        Ok(())
    }

    /// Without clocks: as if half a period of captured frames were on their way.
    fn counted_offset(&self) -> i64 {
        let (Some(play), Some(capture)) = (&self.play, &self.capture) else { return 0 };
        let number = |frames: u64| i64::try_from(frames).unwrap_or(i64::MAX);
        let lead = i64::from(self.shape.latency.output_frames);
        let played = number(play.written) - i64::from(self.shape.period_frames) - lead;
        number(capture.tail) + i64::from(self.shape.period_frames / 2) - played
    }

    /// Waits until the played side takes a period. For a start only.
    fn await_play(&mut self) -> Answer<()> {
        let until = self.system.now_ns() + SILENCE_NS;
        while self.system.now_ns() < until {
            // Hardware may take long to start: what is captured meanwhile is taken in.
            let ready = self.nap(Flow::Render, until.min(self.system.now_ns() + self.period_ns()));
            if ready == Ready::Time {
                self.pump()?;
            }
            let is_due = match &self.play {
                Some(_) if self.manner.is_whole => ready == Ready::Event,
                Some(line) => {
                    let room = self.manner.level_frames.saturating_sub(line.client.padding()?);
                    room >= self.shape.period_frames
                }
                None => true,
            };
            if is_due {
                return Ok(());
            }
        }
        Err(hresult::NO_EVENT)
    }

    /// Where the played side is; `None` if its clock does not tell.
    fn spot(&self) -> Option<Spot> {
        let reading = self.play.as_ref()?.client.clock().ok()?;
        if reading.frequency == 0 || reading.at_ns == 0 {
            return None;
        }
        let frames = u128::from(reading.position) * u128::from(self.shape.rate.get());
        let frames = i64::try_from(frames / u128::from(reading.frequency)).ok()?;
        Some(Spot { frames, at_ns: reading.at_ns })
    }

    fn pump(&mut self) -> Answer<u32> {
        let came = match &mut self.capture {
            Some(line) => line.pump()?,
            None => 0,
        };
        if came > 0 {
            self.run.alive_ns = self.system.now_ns();
        }
        Ok(came)
    }

    /// What the previous period left: unread capture is dropped, unwritten playback becomes silence.
    fn finish_period(&mut self) -> Answer<()> {
        if let Some(line) = &mut self.capture {
            line.head += u64::from(std::mem::take(&mut self.run.capture_left));
        }
        match &mut self.play {
            Some(line) => line.finish(),
            None => Ok(()),
        }
    }

    /// The period that is due, if one is.
    fn due(&mut self) -> Answer<Option<Period>> {
        if self.play.is_none() {
            return self.capture_due();
        }
        if self.run.pending.is_none() {
            self.run.pending = self.play_due()?;
        }
        let Some(pending) = self.run.pending else { return Ok(None) };
        if self.capture.is_some() {
            self.pump()?;
            let now = self.system.now_ns();
            let Some(line) = &mut self.capture else { return Ok(None) };
            let end = u64::try_from(pending.capture_end).unwrap_or(0);
            let is_gap = line.gap_end > end.saturating_sub(u64::from(pending.frames));
            if line.tail < end && (now < pending.give_up_ns || !pending.has_waited) {
                self.run.pending = Some(Pending { has_waited: true, ..pending });
                return Ok(None);
            }
            if line.tail < end || is_gap || pending.missed_frames > 0 {
                return self.begin_again(now).map(|()| None);
            }
            line.head = end.saturating_sub(u64::from(pending.frames));
        }
        self.run.pending = None;
        let Some(line) = &mut self.play else { return Ok(None) };
        line.lend(pending.frames)?;
        self.miss(pending.missed_frames);
        Ok(Some(self.period(pending.frames, pending.at_ns)))
    }

    fn play_due(&mut self) -> Answer<Option<Pending>> {
        let now = self.system.now_ns();
        let (period, rate) = (self.shape.period_frames, self.shape.rate);
        let frames = if self.manner.is_whole {
            if !std::mem::take(&mut self.run.has_event) {
                return Ok(None);
            }
            period
        } else {
            self.run.has_event = false;
            let Some(frames) = self.room(now)? else { return Ok(None) };
            frames
        };
        self.run.alive_ns = now;
        let Some(written) = self.play.as_ref().map(|line| line.written) else { return Ok(None) };
        let spot = self.spot();
        let (mut at_ns, mut missed_periods) = (now, 0);
        let mut passed = i64::try_from(written).unwrap_or(i64::MAX);
        if let (Some(course), Some(spot)) = (&mut self.run.course, spot) {
            // The boundary of the last of several periods that are due at once.
            let last = written + u64::from(frames - period);
            let late = if self.manner.is_whole {
                let judged = course.judge(written, spot, period, rate, now);
                missed_periods = judged.missed_periods;
                judged.frames
            } else {
                course.lateness(last, spot, 4 * self.manner.level_frames)
            };
            at_ns = shifted(spot.at_ns, -late, rate);
            passed = self.run.course.map_or(passed, |course| course.passed(written));
        } else if self.manner.is_whole {
            missed_periods = self.missed_by_time(now);
        }
        let hold = i64::from(self.manner.hold_frames + self.shape.latency.output_frames);
        Ok(Some(Pending {
            frames,
            at_ns: at_ns.min(now),
            missed_frames: missed_periods.saturating_mul(period),
            capture_end: self.run.offset + passed + i64::from(frames - period) - hold,
            give_up_ns: now + self.period_ns() / 2,
            has_waited: false,
        }))
    }

    /// Frames that went by: the position goes on without them.
    fn miss(&mut self, frames: u32) {
        self.run.position += u64::from(frames);
        self.run.missed = self.run.missed.saturating_add(frames);
    }

    /// Periods that were missed. Events carry no count: without a clock only the time between them tells.
    fn missed_by_time(&self, now: Ns) -> u32 {
        let since = now.saturating_sub(self.run.at_ns);
        let periods = (since + self.period_ns() / 2) / self.period_ns().max(1);
        if periods > 2 { u32::try_from(periods - 1).unwrap_or(u32::MAX) } else { 0 }
    }

    /// How many frames the played side takes now, in whole periods; tells of an xrun if nothing is queued any more.
    fn room(&mut self, now: Ns) -> Answer<Option<u32>> {
        let (period, level) = (self.shape.period_frames, self.manner.level_frames);
        let Some(line) = &mut self.play else { return Ok(None) };
        let padding = line.client.padding()?;
        if padding == 0 {
            let since = frames_between(self.run.at_ns, now, self.shape.rate);
            if since > i64::from(level + period / 2) {
                if self.capture.is_some() {
                    return self.begin_again(now).map(|()| None);
                }
                line.silence(level)?;
                self.skip_to(now);
                return Ok(None);
            }
        }
        let room = level.saturating_sub(padding);
        let frames = (room - room % period).min(self.shape.max_period_frames);
        Ok((frames >= period).then_some(frames))
    }

    /// The position goes on with the clock: what lies between was missed.
    fn skip_to(&mut self, now: Ns) {
        let since = frames_between(self.run.at_ns, now, self.shape.rate).max(1);
        self.miss(u32::try_from(since).unwrap_or(u32::MAX));
        (self.run.at_ns, self.run.alive_ns) = (now, now);
    }

    /// After an xrun of both directions: from the start, so that they belong together again.
    fn begin_again(&mut self, now: Ns) -> Answer<()> {
        self.begin()?;
        let now = self.system.now_ns().max(now);
        self.skip_to(now);
        self.run.has_event = false;
        Ok(())
    }

    fn capture_due(&mut self) -> Answer<Option<Period>> {
        self.run.has_event = false;
        if let Some(line) = &mut self.companion {
            let room = self.manner.level_frames.saturating_sub(line.client.padding()?);
            line.silence(room)?;
        }
        self.pump()?;
        let (period, now) = (u64::from(self.shape.period_frames), self.system.now_ns());
        let Some(line) = &mut self.capture else { return Ok(None) };
        if line.gap_end > line.head {
            let missed = line.gap_end - line.head;
            line.head = line.gap_end;
            self.miss(u32::try_from(missed).unwrap_or(u32::MAX));
        }
        let Some(line) = &self.capture else { return Ok(None) };
        let ready = line.tail - line.head;
        if ready < period {
            return Ok(None);
        }
        let frames = (ready - ready % period).min(u64::from(self.shape.max_period_frames));
        let end = line.head + frames;
        let signed = |frames: u64| i64::try_from(frames).unwrap_or(i64::MAX);
        let stamp = line.stamp.unwrap_or(Stamp { index: line.tail, at_ns: now });
        let at_ns = shifted(stamp.at_ns, signed(end) - signed(stamp.index), self.shape.rate);
        let frames = u32::try_from(frames).unwrap_or(self.shape.period_frames);
        Ok(Some(self.period(frames, at_ns.min(now))))
    }

    fn period(&mut self, frames: u32, at_ns: Ns) -> Period {
        self.run.position += u64::from(frames);
        self.run.at_ns = at_ns.max(self.run.at_ns + 1);
        let channels = |there: bool| if there { frames } else { 0 };
        self.run.capture_left = channels(self.shape.capture.is_some());
        let ahead = if self.manner.is_whole {
            self.shape.period_frames
        } else {
            self.manner.level_frames.saturating_sub(self.shape.period_frames)
        };
        Period {
            capture_frames: self.run.capture_left,
            playback_frames: channels(self.shape.playback.is_some()),
            position_frames: self.run.position,
            at_ns: self.run.at_ns,
            commit_by_ns: self.run.at_ns + frames_to_ns(u64::from(ahead), self.shape.rate),
            missed_frames: std::mem::take(&mut self.run.missed),
        }
    }

    /// The event that the next period comes with.
    fn awaited(&self) -> Flow {
        let waits_for_play =
            (self.play.is_some() && self.run.pending.is_none()) || self.companion.is_some();
        if waits_for_play { Flow::Render } else { Flow::Capture }
    }

    /// Waits for what comes next; `None` to look again.
    fn pause(&mut self, until: Ns) -> Option<Wake> {
        let give_up = self.run.pending.map_or(u64::MAX, |pending| pending.give_up_ns);
        let mut next = until.min(self.run.alive_ns.saturating_add(SILENCE_NS)).min(give_up);
        let flow = if self.manner.has_events {
            Some(self.awaited())
        } else {
            let now = self.system.now_ns();
            let expected = self.run.at_ns.saturating_add(self.period_ns());
            next = next.min(expected.max(now + (self.period_ns() / 8).max(200_000)));
            None
        };
        match self.waiter.wait(flow, next) {
            Ready::Woken => Some(Wake::Idle),
            Ready::Event => {
                self.run.has_event |= flow == Some(Flow::Render);
                None
            }
            Ready::Time => {
                let now = self.system.now_ns();
                let silent_ns = now.saturating_sub(self.run.alive_ns);
                if silent_ns >= SILENCE_NS {
                    self.run.lost = Some(Loss::Stalled);
                    return Some(Wake::Lost(Loss::Stalled));
                }
                if silent_ns > 4 * self.period_ns() {
                    return self.ask().err().map(|code| Wake::Lost(self.fail(code)));
                }
                None
            }
        }
    }

    /// Asks the device for a sign of life: nobody sets the events of one that is gone.
    fn ask(&self) -> Answer<()> {
        let lines = self.play.iter().map(|line| &line.client);
        for client in lines.chain(self.capture.iter().map(|line| &line.client)) {
            client.padding()?;
        }
        Ok(())
    }

    /// The loss that a failed call means.
    fn fail(&mut self, code: Hresult) -> Loss {
        let lines = self.play.iter().map(|line| &line.client);
        let mut clients = lines.chain(self.capture.iter().map(|line| &line.client));
        let told = clients.find_map(|client| client.cut_off());
        let loss = told.unwrap_or_else(|| hresult::loss(code));
        self.run.lost = Some(loss);
        loss
    }
}

impl Stream for WasapiStream {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn waker(&self) -> Waker {
        self.waiter.waker()
    }

    fn notes(&self) -> Vec<Note> {
        self.notes.clone()
    }

    fn start(&mut self) -> Result<(), Loss> {
        if let Some(loss) = self.run.lost {
            return Err(loss);
        }
        self.run = Run::default();
        match self.begin() {
            Ok(()) => {
                self.run.is_running = true;
                self.run.at_ns = self.system.now_ns();
                Ok(())
            }
            Err(code) => {
                self.halt();
                Err(self.fail(code))
            }
        }
    }

    fn stop(&mut self) {
        self.run.is_running = false;
        self.run.capture_left = 0;
        self.halt();
    }

    fn wait(&mut self, until: Ns) -> Wake {
        if let Some(loss) = self.run.lost {
            return Wake::Lost(loss);
        }
        if !self.run.is_running {
            return Wake::Stopped;
        }
        if let Err(code) = self.finish_period() {
            return Wake::Lost(self.fail(code));
        }
        let mut is_last = false;
        loop {
            match self.due() {
                Ok(Some(period)) => return Wake::Due(period),
                Err(code) => return Wake::Lost(self.fail(code)),
                Ok(None) if is_last => return Wake::Idle,
                Ok(None) => {}
            }
            if let Some(wake) = self.pause(until) {
                return wake;
            }
            is_last = self.system.now_ns() >= until && !self.run.has_event;
        }
    }

    fn capture(&mut self) -> Area<'_> {
        match &self.capture {
            Some(line) if self.run.capture_left > 0 => line.piece(self.run.capture_left),
            _ => Area::EMPTY,
        }
    }

    fn release(&mut self, frames: u32) {
        let frames = frames.min(self.run.capture_left);
        self.run.capture_left -= frames;
        if let Some(line) = &mut self.capture {
            line.head += u64::from(frames);
        }
    }

    fn playback(&mut self) -> AreaMut<'_> {
        match &mut self.play {
            Some(line) => line.rest(),
            None => AreaMut::EMPTY,
        }
    }

    fn commit(&mut self, frames: u32) {
        if let Some(line) = &mut self.play {
            // An error here is seen again, and handled, by the next wait.
            let _ = line.fill(frames);
        }
    }
}

impl Drop for WasapiStream {
    fn drop(&mut self) {
        self.halt();
    }
}
