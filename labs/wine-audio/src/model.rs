//! How WASAPI endpoints and their hardware behave, as far as a client can tell, in a time that is given with each call:
//! the double of the backend's tests on any system, and of the Wine audio driver in this crate. It knows nothing of the
//! product; its rules come from Microsoft's documentation and from what is known of devices.
//!
//! `spec` describes endpoints, `wave` reads formats, `stream` moves frames; the world puts them together.

pub mod spec;
pub mod stream;
pub mod wave;

use spec::{Engine, Spec};
use stream::{Kind, Packet, Stream};
use wave::Wave;

/// Nanoseconds of one clock.
pub type Ns = u64;

/// What Windows answers; negative is a failure.
pub type Hresult = i32;

macro_rules! codes {
    ($($name:ident $value:literal),* $(,)?) => {
        $(#[allow(missing_docs, reason = "Windows' own names")]
        pub const $name: Hresult = ($value as u32).cast_signed();)*
    };
}

codes! {
    E_NOTIMPL 0x8000_4001, E_INVALIDARG 0x8007_0057, E_ACCESSDENIED 0x8007_0005, E_OUTOFMEMORY 0x8007_000E,
    E_NOTFOUND 0x8007_0490, NOT_INITIALIZED 0x8889_0001, ALREADY_INITIALIZED 0x8889_0002, WRONG_ENDPOINT_TYPE 0x8889_0003,
    DEVICE_INVALIDATED 0x8889_0004, NOT_STOPPED 0x8889_0005, BUFFER_TOO_LARGE 0x8889_0006, OUT_OF_ORDER 0x8889_0007,
    UNSUPPORTED_FORMAT 0x8889_0008, INVALID_SIZE 0x8889_0009, DEVICE_IN_USE 0x8889_000A,
    BUFFER_OPERATION_PENDING 0x8889_000B, EXCLUSIVE_MODE_NOT_ALLOWED 0x8889_000E, EVENTHANDLE_NOT_EXPECTED 0x8889_0011,
    BUFDURATION_PERIOD_NOT_EQUAL 0x8889_0013, EVENTHANDLE_NOT_SET 0x8889_0014, BUFFER_SIZE_ERROR 0x8889_0016,
    BUFFER_SIZE_NOT_ALIGNED 0x8889_0019, INVALID_DEVICE_PERIOD 0x8889_0020, INVALID_STREAM_FLAG 0x8889_0021,
    RAW_MODE_UNSUPPORTED 0x8889_0027,
}

/// `Result` with an [`Hresult`].
pub type Answer<T> = Result<T, Hresult>;

/// `AUDCLNT_STREAMFLAGS_*`.
pub const FLAG_LOOPBACK: u32 = 0x0002_0000;
/// As above.
pub const FLAG_EVENT: u32 = 0x0004_0000;
/// As above.
pub const FLAG_NOPERSIST: u32 = 0x0008_0000;

/// What a device does wrong, once it has moved so many frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is gone.
    Unplugged,
    /// Its format was changed.
    FormatChanged,
    /// Another program took it.
    Taken,
    /// It moves no more and says nothing.
    Stalled,
}

/// One object as `Activate` gives it.
#[derive(Clone, Copy, Debug, Default)]
struct Client {
    endpoint: usize,
    is_used: bool,
    is_raw: bool,
    /// What `GetBufferSize` answers after a failure for want of alignment.
    aligned: Option<u32>,
    stream: Option<usize>,
}

/// What was asked of `Initialize`.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// `AUDCLNT_SHAREMODE_EXCLUSIVE`.
    pub is_exclusive: bool,
    /// `AUDCLNT_STREAMFLAGS_*`.
    pub flags: u32,
    /// In units of 100 ns.
    pub duration_hns: i64,
    /// In units of 100 ns.
    pub period_hns: i64,
    /// The samples.
    pub wave: Wave,
}

/// All endpoints, and what was opened of them.
#[derive(Default)]
pub struct World {
    /// The endpoints there are.
    pub specs: Vec<Spec>,
    /// What each of them does wrong from now on.
    pub faults: Vec<Option<Fault>>,
    clients: Vec<Client>,
    /// What was opened; `None` where it was closed again.
    pub streams: Vec<Option<Stream>>,
    /// Events that are to be set, to be taken by whoever can.
    pub set: Vec<usize>,
    /// What each endpoint played last, of streams that were closed.
    played: Vec<(usize, Ns, Vec<u8>)>,
    /// Where what endpoints play is written to, besides.
    pub sink: Option<stream::MakeSink>,
}

impl World {
    /// A machine with these endpoints.
    pub fn new(specs: Vec<Spec>) -> Self {
        let faults = vec![None; specs.len()];
        Self { specs, faults, ..Self::default() }
    }

    fn client(&self, client: usize) -> Client {
        self.clients.get(client).copied().unwrap_or_default()
    }

    fn stream(&mut self, client: usize) -> Answer<&mut Stream> {
        let client = self.client(client);
        if let Some(fault) = self.faults[client.endpoint]
            && fault != Fault::Stalled
        {
            return Err(DEVICE_INVALIDATED);
        }
        let stream = client.stream.ok_or(NOT_INITIALIZED)?;
        self.streams[stream].as_mut().ok_or(NOT_INITIALIZED)
    }

    /// The endpoint of a client.
    pub fn spec(&self, client: usize) -> &Spec {
        &self.specs[self.client(client).endpoint]
    }

    /// Whether a client's stream plays.
    ///
    /// # Errors
    /// `NOT_INITIALIZED`.
    pub fn is_render(&mut self, client: usize) -> Answer<bool> {
        Ok(self.stream(client)?.is_render())
    }

    /// `IAudioClock::GetFrequency`.
    ///
    /// # Errors
    /// The usual ones.
    pub fn frequency(&mut self, client: usize) -> Answer<u64> {
        Ok(self.stream(client)?.frequency())
    }

    /// `IMMDevice::Activate`.
    ///
    /// # Errors
    /// `E_NOTFOUND` once the endpoint is gone.
    pub fn activate(&mut self, endpoint: usize) -> Answer<usize> {
        if self.faults[endpoint] == Some(Fault::Unplugged) && self.stays_away(endpoint) {
            return Err(E_NOTFOUND);
        }
        self.clients.push(Client { endpoint, ..Client::default() });
        Ok(self.clients.len() - 1)
    }

    /// Whether a device that was lost is not back yet; each attempt brings it nearer.
    fn stays_away(&mut self, endpoint: usize) -> bool {
        match &mut self.specs[endpoint].returns_after {
            None => true,
            Some(0) => {
                self.faults[endpoint] = None;
                false
            }
            Some(attempts) => {
                *attempts -= 1;
                true
            }
        }
    }

    /// The last `Release`.
    pub fn release(&mut self, client: usize) {
        let Some(at) = self.clients[client].stream.take() else { return };
        let endpoint = self.client(client).endpoint;
        if self.faults[endpoint] == Some(Fault::Stalled) {
            let returns = self.specs[endpoint].returns_after.is_some();
            self.faults[endpoint] = self.faults[endpoint].filter(|_| !returns);
        }
        if let Some(stream) = self.streams[at].take().filter(Stream::is_render) {
            self.played.retain(|(endpoint, ..)| *endpoint != stream.endpoint);
            self.played.push((stream.endpoint, stream.started_ns, stream.heard));
        }
    }

    /// Nobody's client is left open.
    pub fn is_closed(&self) -> bool {
        self.streams.iter().all(Option::is_none)
    }

    /// `IsFormatSupported` with no closest match wanted.
    pub fn supports(&self, client: usize, is_exclusive: bool, wave: &Wave) -> Hresult {
        let spec = &self.specs[self.client(client).endpoint];
        let is_taken = if is_exclusive {
            if spec.exclusive == EXCLUSIVE_MODE_NOT_ALLOWED {
                return EXCLUSIVE_MODE_NOT_ALLOWED;
            }
            (spec.takes(wave) || spec.boasts(wave)) && !spec.denies(wave)
        } else {
            spec.takes_shared(wave)
        };
        if is_taken { 0 } else { UNSUPPORTED_FORMAT }
    }

    /// `GetSharedModeEnginePeriod`.
    ///
    /// # Errors
    /// `E_NOTIMPL` where the endpoint knows none, `UNSUPPORTED_FORMAT` at another rate than the mixer's.
    pub fn engine(&self, client: usize, wave: &Wave) -> Answer<Engine> {
        let spec = &self.specs[self.client(client).endpoint];
        if !spec.takes_shared(wave) {
            return Err(UNSUPPORTED_FORMAT);
        }
        spec.engine.ok_or(E_NOTIMPL)
    }

    /// `SetClientProperties` with the raw option.
    ///
    /// # Errors
    /// `RAW_MODE_UNSUPPORTED`.
    pub fn be_raw(&mut self, client: usize) -> Answer<()> {
        if !self.specs[self.client(client).endpoint].has_raw {
            return Err(RAW_MODE_UNSUPPORTED);
        }
        self.clients[client].is_raw = true;
        Ok(())
    }

    /// `Initialize`.
    ///
    /// # Errors
    /// As Microsoft documents them.
    pub fn initialize(&mut self, client: usize, setup: &Setup) -> Answer<()> {
        let it = self.client(client);
        if it.is_used {
            return Err(ALREADY_INITIALIZED);
        }
        self.clients[client].is_used = true;
        let fault = self.faults[it.endpoint].filter(|&fault| fault != Fault::Stalled);
        if let Some(fault) = fault
            && self.stays_away(it.endpoint)
        {
            let is_taken = fault == Fault::Taken;
            return Err(if is_taken { DEVICE_IN_USE } else { DEVICE_INVALIDATED });
        }
        if setup.flags & !(FLAG_LOOPBACK | FLAG_EVENT | FLAG_NOPERSIST) != 0 {
            return Err(INVALID_STREAM_FLAG);
        }
        let spec = self.specs[it.endpoint].clone();
        let has_event = setup.flags & FLAG_EVENT != 0;
        let is_loopback = setup.flags & FLAG_LOOPBACK != 0;
        let kind = if setup.is_exclusive {
            if is_loopback {
                return Err(INVALID_STREAM_FLAG);
            }
            self.exclusive(client, &spec, setup, has_event)?
        } else {
            self.shared(it.endpoint, &spec, setup, has_event, is_loopback)?
        };
        self.open(
            client,
            Stream::new(it.endpoint, &spec, kind, setup.wave, has_event, is_loopback),
        );
        Ok(())
    }

    fn exclusive(
        &mut self,
        client: usize,
        spec: &Spec,
        setup: &Setup,
        has_event: bool,
    ) -> Answer<Kind> {
        let Setup { duration_hns, period_hns, wave, .. } = *setup;
        if spec.exclusive != 0 {
            return Err(spec.exclusive);
        }
        if self.holders(self.client(client).endpoint).next().is_some() {
            return Err(DEVICE_IN_USE);
        }
        if has_event && (duration_hns != period_hns || period_hns == 0) {
            return Err(BUFDURATION_PERIOD_NOT_EQUAL);
        }
        if !spec.takes(&wave) || (spec.boasts(&wave) && !spec.takes(&wave)) {
            return Err(UNSUPPORTED_FORMAT);
        }
        let most_hns = if has_event { 5_000_000 } else { 20_000_000 };
        if duration_hns > most_hns {
            return Err(BUFFER_SIZE_ERROR);
        }
        if period_hns < spec.min_period_hns {
            return Err(INVALID_DEVICE_PERIOD);
        }
        let frames = wave.frames_of(duration_hns);
        if !has_event {
            // WaveRT rounds buffers that are looked at by the clock to whole pages.
            let step = wave::step(wave.frame_bytes(), 4096);
            let buffer = frames.max(1).next_multiple_of(step) * spec.swells;
            return Ok(Kind::Polled { buffer });
        }
        let step = wave::step(wave.frame_bytes(), spec.align_bytes);
        if !frames.is_multiple_of(step) {
            self.clients[client].aligned = Some(frames.next_multiple_of(step));
            return Err(BUFFER_SIZE_NOT_ALIGNED);
        }
        Ok(Kind::Whole { period: frames })
    }

    fn shared(
        &self,
        endpoint: usize,
        spec: &Spec,
        setup: &Setup,
        has_event: bool,
        is_loopback: bool,
    ) -> Answer<Kind> {
        self.may_be_shared(endpoint, spec)?;
        if !spec.takes_shared(&setup.wave) {
            return Err(UNSUPPORTED_FORMAT);
        }
        if setup.period_hns != 0 || (has_event && is_loopback) {
            return Err(E_INVALIDARG);
        }
        if is_loopback && !spec.is_render {
            return Err(WRONG_ENDPOINT_TYPE);
        }
        let period = setup.wave.frames_of(spec.usual_period_hns);
        let asked = setup.wave.frames_of(setup.duration_hns);
        Ok(Kind::Mixed { period, buffer: asked.max(2 * period + period / 5) })
    }

    /// Whether a stream of this process has the endpoint of a client.
    pub fn is_held(&self, client: usize) -> bool {
        self.holders(self.client(client).endpoint).next().is_some()
    }

    /// Nobody shares what somebody has for himself alone.
    fn may_be_shared(&self, endpoint: usize, spec: &Spec) -> Answer<()> {
        let is_taken = self.holders(endpoint).any(|stream| stream.is_exclusive());
        match spec.shared {
            0 if is_taken => Err(DEVICE_IN_USE),
            0 => Ok(()),
            code => Err(code),
        }
    }

    /// `InitializeSharedAudioStream`.
    ///
    /// # Errors
    /// As Microsoft documents them.
    pub fn initialize_shared(
        &mut self,
        client: usize,
        flags: u32,
        period: u32,
        wave: Wave,
    ) -> Answer<()> {
        let it = self.client(client);
        if std::mem::replace(&mut self.clients[client].is_used, true) {
            return Err(ALREADY_INITIALIZED);
        }
        if flags != FLAG_EVENT {
            return Err(INVALID_STREAM_FLAG);
        }
        let spec = self.specs[it.endpoint].clone();
        self.may_be_shared(it.endpoint, &spec)?;
        let engine = self.engine(client, &wave)?;
        let fits =
            period.is_multiple_of(engine.step) && (engine.min..=engine.max).contains(&period);
        if !fits {
            return Err(INVALID_DEVICE_PERIOD);
        }
        let kind = Kind::Mixed { period, buffer: 2 * period };
        self.open(client, Stream::new(it.endpoint, &spec, kind, wave, true, false));
        Ok(())
    }

    fn open(&mut self, client: usize, stream: Stream) {
        self.clients[client].stream = Some(self.streams.len());
        self.streams.push(Some(stream));
    }

    fn holders(&self, endpoint: usize) -> impl Iterator<Item = &Stream> {
        self.streams.iter().flatten().filter(move |stream| stream.endpoint == endpoint)
    }

    /// `GetBufferSize`.
    ///
    /// # Errors
    /// `NOT_INITIALIZED`, `DEVICE_INVALIDATED`.
    pub fn buffer(&mut self, client: usize) -> Answer<u32> {
        match self.client(client).aligned {
            Some(frames) => Ok(frames),
            None => Ok(self.stream(client)?.buffer()),
        }
    }

    /// `SetEventHandle`.
    ///
    /// # Errors
    /// `EVENTHANDLE_NOT_EXPECTED` and the usual ones.
    pub fn set_event(&mut self, client: usize, event: usize) -> Answer<()> {
        let stream = self.stream(client)?;
        if !stream.has_event {
            return Err(EVENTHANDLE_NOT_EXPECTED);
        }
        stream.event = Some(event);
        Ok(())
    }

    /// `Start`.
    ///
    /// # Errors
    /// `NOT_STOPPED`, `EVENTHANDLE_NOT_SET` and the usual ones.
    pub fn start(&mut self, client: usize, now: Ns) -> Answer<()> {
        self.advance(now);
        let stream = self.stream(client)?;
        if stream.is_running {
            return Err(NOT_STOPPED);
        }
        if stream.has_event && stream.event.is_none() {
            return Err(EVENTHANDLE_NOT_SET);
        }
        stream.start(now);
        if stream.is_render() {
            let (endpoint, wave) = (stream.endpoint, stream.wave);
            let sink = self.sink.as_mut().and_then(|make| make(&self.specs[endpoint], &wave));
            self.stream(client)?.sink = sink;
        }
        self.advance(now);
        Ok(())
    }

    /// `Stop`.
    ///
    /// # Errors
    /// The usual ones.
    pub fn stop(&mut self, client: usize, now: Ns) -> Answer<()> {
        self.advance(now);
        self.stream(client)?.is_running = false;
        Ok(())
    }

    /// `Reset`.
    ///
    /// # Errors
    /// `NOT_STOPPED`, `BUFFER_OPERATION_PENDING` and the usual ones.
    pub fn reset(&mut self, client: usize) -> Answer<()> {
        self.stream(client)?.reset()
    }

    /// `GetCurrentPadding`.
    ///
    /// # Errors
    /// The usual ones.
    pub fn padding(&mut self, client: usize, now: Ns) -> Answer<u32> {
        self.advance(now);
        Ok(self.stream(client)?.padding())
    }

    /// `IAudioRenderClient::GetBuffer`.
    ///
    /// # Errors
    /// As Microsoft documents them.
    pub fn lend(&mut self, client: usize, frames: u32, now: Ns) -> Answer<*mut u8> {
        self.advance(now);
        self.stream(client)?.lend(frames)
    }

    /// `IAudioRenderClient::ReleaseBuffer`.
    ///
    /// # Errors
    /// As Microsoft documents them.
    pub fn give(&mut self, client: usize, frames: u32, is_silent: bool, now: Ns) -> Answer<()> {
        self.advance(now);
        self.stream(client)?.give(frames, is_silent)
    }

    /// `IAudioCaptureClient::GetBuffer`.
    ///
    /// # Errors
    /// As Microsoft documents them.
    pub fn packet(&mut self, client: usize, now: Ns) -> Answer<Option<Packet>> {
        self.advance(now);
        self.stream(client)?.packet()
    }

    /// `IAudioCaptureClient::ReleaseBuffer`.
    ///
    /// # Errors
    /// As Microsoft documents them.
    pub fn take(&mut self, client: usize, frames: u32) -> Answer<()> {
        self.stream(client)?.take(frames)
    }

    /// `IAudioClock::GetPosition`, in frames.
    ///
    /// # Errors
    /// The usual ones.
    pub fn position(&mut self, client: usize, now: Ns) -> Answer<u64> {
        self.advance(now);
        Ok(self.stream(client)?.position(now))
    }

    /// Whether a packet waits for the client.
    pub fn has_packet(&mut self, client: usize) -> bool {
        self.stream(client).map_or(true, |stream| stream.padding() > 0)
    }

    /// Frames that the client has queued, if it plays.
    pub fn queued(&mut self, client: usize) -> Option<u32> {
        let stream = self.stream(client).ok()?;
        (stream.is_render() && stream.is_running).then(|| stream.padding())
    }

    /// Why the client was cut off.
    pub fn fault(&self, client: usize) -> Option<Fault> {
        self.faults[self.client(client).endpoint]
    }

    /// What the endpoint played in its latest run.
    pub fn heard(&self, endpoint: usize) -> Vec<u8> {
        let open = self.holders(endpoint).filter(|stream| stream.is_render());
        let open = open.map(|stream| (stream.started_ns, &stream.heard));
        let closed = self.played.iter().filter(|(its, ..)| *its == endpoint);
        let all = open.chain(closed.map(|(_, started, heard)| (*started, heard)));
        all.max_by_key(|(started, _)| *started).map_or_else(Vec::new, |(_, heard)| heard.clone())
    }

    /// The next moment at which something happens that nobody has to be waited for: no half, no queue and no packet is lost
    /// by going there. `None` while a client has to do something first.
    pub fn next_safe_ns(&self) -> Option<Ns> {
        let next = self.next_ns()?;
        self.is_safe_at(next).then_some(next)
    }

    /// Whether no stream waits for frames that its latest event asked for.
    pub fn is_answered(&self) -> bool {
        self.streams.iter().flatten().all(Stream::is_answered)
    }

    /// Whether a stream that plays is about to ask for frames: a client of both directions waits for that, and not for what
    /// is captured meanwhile.
    pub fn is_about_to_ask(&self) -> bool {
        let asks = |stream: &Stream| {
            stream.is_render()
                && stream.next_ns().is_some()
                && self.faults[stream.endpoint].is_none()
        };
        self.is_answered() && self.streams.iter().flatten().any(asks)
    }

    /// Whether nothing is lost by going there.
    pub fn is_safe_at(&self, then: Ns) -> bool {
        let is_safe =
            |stream: &Stream| self.faults[stream.endpoint].is_some() || stream.is_safe_at(then);
        self.streams.iter().flatten().all(is_safe)
    }

    /// Lets everything happen up to `now`.
    pub fn advance(&mut self, now: Ns) {
        for at in 0..self.streams.len() {
            let Some(stream) = &mut self.streams[at] else { continue };
            let endpoint = stream.endpoint;
            if self.faults[endpoint].is_some() {
                continue;
            }
            if stream.is_render() {
                stream.play(now);
            }
            if let Some((frames, fault)) = self.specs[endpoint].fault
                && stream.is_running
                && stream.moved() >= frames
            {
                self.specs[endpoint].fault = None;
                self.faults[endpoint] = Some(fault);
            }
        }
        for at in 0..self.streams.len() {
            let Some(mut stream) = self.streams[at].take() else { continue };
            if self.faults[stream.endpoint].is_none() {
                if !stream.is_render() {
                    stream.record(now, self.source(&stream));
                }
                let event = stream.event;
                self.set.extend(stream.fire(now).then_some(event).flatten());
            }
            self.streams[at] = Some(stream);
        }
    }

    /// What a captured endpoint hears: a loop-back the sound of its endpoint, others that of the same hardware.
    fn source(&self, capture: &Stream) -> Option<&Stream> {
        let own = &self.specs[capture.endpoint];
        let hears = |stream: &&Stream| {
            let spec = &self.specs[stream.endpoint];
            let is_its = if capture.is_loopback {
                stream.endpoint == capture.endpoint
            } else {
                own.hardware.is_some() && spec.hardware == own.hardware
            };
            is_its && stream.is_render() && stream.is_running
        };
        let all = || self.streams.iter().flatten().filter(hears);
        // Of several streams of a mixer the one that sounds.
        let sounding = |stream: &&Stream| stream.heard.iter().any(|&byte| byte != 0);
        if all().count() > 1 { all().find(sounding).or(all().next()) } else { all().next() }
    }

    /// When the next event is to be set.
    pub fn next_ns(&self) -> Option<Ns> {
        let alive = |stream: &&Stream| self.faults[stream.endpoint].is_none();
        self.streams.iter().flatten().filter(alive).filter_map(Stream::next_ns).min()
    }
}
