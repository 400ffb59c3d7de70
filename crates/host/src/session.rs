//! One open driver, from `init` to the last release: what a host's control thread does. What happens in callbacks is in
//! `run`; nothing here is called from them.

mod buffers;

use crate::events::{Event, Statistics};
use crate::refusal::{misbehaved, refusal};
use crate::run::Player;
use crate::source::{Loaded, Source};
use barewire_abi::{BufferSize, ChannelInfo, ClockSource, Code, DriverRef, Native, SamplePosition};
use barewire_types::{Error, ErrorKind, Latency, Result, SampleFormat};
use buffers::{Keepsakes, Prepared};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Between a release and the next load: several drivers need it (facts of JUCE, cpal and CamillaDSP).
const PAUSE: Duration = Duration::from_millis(150);

/// An input or an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the device to us.
    Input,
    /// From us to the device.
    Output,
}

/// Which block size is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockSize {
    /// The driver's preferred one.
    #[default]
    Preferred,
    /// This one if the driver takes it, else its preferred one.
    Near(u32),
    /// This one, or none.
    Exactly(u32),
}

/// How this host behaves where hosts differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    /// Whether `bufferSwitchTimeInfo` is wanted.
    pub time_info: bool,
    /// Whether `outputReady` is called after each block if the driver profits.
    pub output_ready: bool,
    /// How long after a start requests are taken for habit: some drivers ask for a reset at every start (ASIO4ALL,
    /// Focusrite).
    pub settling: Duration,
    /// How long `start` waits for the first block. JUCE waits as long.
    pub first_block: Duration,
    /// How long a callback may take to come back after `stop` or `disposeBuffers`. After the latter its run is abandoned:
    /// nothing of it is freed, the driver stays loaded, and one slot is lost.
    pub come_back: Duration,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            time_info: true,
            output_ready: true,
            settling: Duration::from_millis(500),
            first_block: Duration::from_secs(3),
            come_back: Duration::from_secs(2),
        }
    }
}

/// What buffers are wanted for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Inputs, in the order in which the player is to see them.
    pub inputs: Vec<u32>,
    /// Outputs, in the order in which the player is to see them.
    pub outputs: Vec<u32>,
    /// The block size.
    pub size: BlockSize,
}

/// What buffers were made for.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Frames of a block.
    pub frames: u32,
    /// Hertz, as the driver says; 0 if it does not know before it runs (Realtek).
    pub rate_hz: f64,
    /// The format of all inputs; `None` without inputs.
    pub input_format: Option<SampleFormat>,
    /// The format of all outputs; `None` without outputs.
    pub output_format: Option<SampleFormat>,
    /// The inputs, in the order of the request.
    pub inputs: Vec<ChannelShape>,
    /// The outputs, in the order of the request.
    pub outputs: Vec<ChannelShape>,
    /// What the driver reports with these buffers, after `outputReady` was asked for if it is to be called.
    pub latency: Option<Latency>,
    /// Whether `outputReady` will be called after each block.
    pub output_ready: bool,
}

/// One channel that has buffers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelShape {
    /// The driver's number for it.
    pub channel: u32,
    /// Its name.
    pub name: String,
}

/// One open driver. Dropping it stops, disposes and releases.
#[derive(Debug)]
pub struct Session {
    source: Source,
    name: String,
    manners: Manners,
    // Dropped in this order: the run holds the driver, and the driver may look at the keepsakes until it is released.
    prepared: Option<Prepared>,
    loaded: Option<Arc<Loaded>>,
    keepsakes: Keepsakes,
    /// The rate that we set ourselves.
    set_rate_hz: f64,
    running: bool,
}

impl Session {
    /// Loads and initialises a driver.
    ///
    /// # Errors
    /// One sentence: what is no driver, what the driver says it lacks, or how it misbehaves.
    pub fn open(source: &Source) -> Result<Self> {
        Self::open_with(source, Manners::default())
    }

    /// As [`open`](Self::open), as another kind of host.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_with(source: &Source, manners: Manners) -> Result<Self> {
        let loaded = source.load()?;
        let told = crate::refusal::one_line(&loaded.driver.driver_name());
        let name = if told.is_empty() { source.name().to_owned() } else { told };
        Ok(Self {
            source: source.clone(),
            name,
            manners,
            prepared: None,
            loaded: Some(Arc::new(loaded)),
            keepsakes: Keepsakes::default(),
            set_rate_hz: 0.0,
            running: false,
        })
    }

    /// What the driver calls itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The driver's own interface, for what this type does not do.
    ///
    /// # Errors
    /// `Lost` if a reset failed.
    pub fn driver(&self) -> Result<&DriverRef<Native>> {
        Ok(&self.loaded()?.driver)
    }

    /// Numbers of inputs and outputs.
    ///
    /// # Errors
    /// As the driver refuses.
    pub fn channels(&self) -> Result<(u32, u32)> {
        let (code, inputs, outputs) = self.driver()?.channels();
        self.checked("getChannels", code)?;
        // More than the interface could ever pass on: a slip, not an offer.
        let count = |told: i32| u32::try_from(told).ok().filter(|&count| count <= 4096);
        match (count(inputs), count(outputs)) {
            (Some(inputs), Some(outputs)) => Ok((inputs, outputs)),
            _ => Err(misbehaved(
                &self.name,
                format_args!("it has {inputs} inputs and {outputs} outputs"),
            )),
        }
    }

    /// What the driver says of a channel.
    ///
    /// # Errors
    /// As the driver refuses.
    pub fn channel(&self, direction: Direction, channel: u32) -> Result<ChannelInfo> {
        let number = i32::try_from(channel).unwrap_or(i32::MAX);
        let (code, info) = self.driver()?.channel_info(number, direction == Direction::Input);
        self.checked("getChannelInfo", code)?;
        Ok(info)
    }

    /// Block sizes, as the driver tells them, sensible or not.
    ///
    /// # Errors
    /// As the driver refuses.
    pub fn buffer_size(&self) -> Result<BufferSize> {
        let (code, size) = self.driver()?.buffer_size();
        self.checked("getBufferSize", code)?;
        Ok(size)
    }

    /// What the driver reports now; some know nothing before buffers are made (UR22, Focusrite 2i4).
    ///
    /// # Errors
    /// As the driver refuses.
    pub fn latency(&self) -> Result<Latency> {
        let (code, input, output) = self.driver()?.latencies();
        self.checked("getLatencies", code)?;
        let frames = |told: i32| u32::try_from(told).unwrap_or(0);
        Ok(Latency { input_frames: frames(input), output_frames: frames(output) })
    }

    /// The clock sources.
    ///
    /// # Errors
    /// As the driver refuses.
    pub fn clock_sources(&self) -> Result<Vec<ClockSource>> {
        let (code, sources, _) = self.driver()?.clock_sources();
        self.checked("getClockSources", code)?;
        Ok(sources)
    }

    /// Chooses a clock source by its index.
    ///
    /// # Errors
    /// As the driver refuses.
    pub fn set_clock_source(&self, index: i32) -> Result<()> {
        self.checked("setClockSource", self.driver()?.set_clock_source(index))
    }

    /// Whether the driver says that it can run at this rate.
    pub fn can_sample_rate(&self, rate_hz: f64) -> bool {
        // Only these two are a "no" in practice (PortAudio); anything else is tried by setting the rate.
        self.driver().is_ok_and(|driver| {
            !matches!(driver.can_sample_rate(rate_hz), Code::NO_CLOCK | Code::NOT_PRESENT)
        })
    }

    /// The rate in force.
    ///
    /// # Errors
    /// As the driver refuses.
    pub fn sample_rate(&self) -> Result<f64> {
        let (code, rate_hz) = self.driver()?.sample_rate();
        self.checked("getSampleRate", code)?;
        Ok(rate_hz)
    }

    /// Sets the rate and sees that it was taken. Drivers that take it only when loaded anew (Steinberg, Yamaha) are,
    /// if no buffers are there.
    ///
    /// # Errors
    /// As the driver refuses; `UnsupportedRate` if it says yes and stays where it is.
    pub fn set_sample_rate(&mut self, rate_hz: f64) -> Result<()> {
        for attempt in 0..2 {
            self.checked("setSampleRate", self.driver()?.set_sample_rate(rate_hz))?;
            self.set_rate_hz = rate_hz;
            let (code, told_hz) = self.driver()?.sample_rate();
            // 0 and a refusal are "not known yet", not another rate.
            if code != Code::OK || told_hz == 0.0 || (told_hz - rate_hz).abs() < 1.0 {
                return Ok(());
            }
            if attempt == 1 || self.prepared.is_some() {
                let text =
                    format!("{} says it took {rate_hz} Hz, and stays at {told_hz}", self.name);
                return Err(Error::new(ErrorKind::UnsupportedRate, text)
                    .remedy("set the rate in the device's own panel"));
            }
            self.reset()?;
        }
        Ok(())
    }

    /// Position and time of the block that plays now.
    ///
    /// # Errors
    /// As the driver refuses.
    pub fn position(&self) -> Result<SamplePosition> {
        let (code, position) = self.driver()?.sample_position();
        self.checked("getSamplePosition", code)?;
        Ok(position)
    }

    /// Shows the driver's own panel.
    ///
    /// # Errors
    /// As the driver refuses.
    pub fn control_panel(&self) -> Result<()> {
        self.checked("controlPanel", self.driver()?.control_panel())
    }

    /// Makes buffers.
    ///
    /// # Errors
    /// `WrongState` if there are some; as the driver refuses; `Malfunction` if it answers nonsense.
    pub fn prepare(&mut self, request: &Request) -> Result<&Shape> {
        if self.prepared.is_some() {
            let text = format!("{}: buffers are there already", self.name);
            return Err(Error::new(ErrorKind::WrongState, text));
        }
        let prepared = Prepared::make(self, request)?;
        Ok(&self.prepared.insert(prepared).shape)
    }

    /// What buffers are there for, if any.
    pub fn shape(&self) -> Option<&Shape> {
        self.prepared.as_ref().map(|prepared| &prepared.shape)
    }

    /// Starts `player` and waits for its first block.
    ///
    /// # Errors
    /// `WrongState` without buffers or while running, as the driver refuses, `Timeout` if no block comes.
    pub fn start(&mut self, player: Box<dyn Player>) -> Result<()> {
        let Some(prepared) = self.prepared.as_ref().filter(|_| !self.running) else {
            let text = format!("{}: a start needs buffers, and ends before the next", self.name);
            return Err(Error::new(ErrorKind::WrongState, text));
        };
        let run = &prepared.slot.run;
        if !run.put(Some(player)) {
            return Err(misbehaved(&self.name, "a callback of its last run has not come back"));
        }
        run.notices.unsettle();
        let blocks = run.notices.statistics().blocks;
        run.wanted.store(true, Ordering::SeqCst);
        let code = self.driver()?.start();
        run.notices.settle(self.manners.settling);
        if code != Code::OK {
            let error = refusal(self.driver()?, &self.name, "start", code);
            self.end_run()?;
            return Err(error);
        }
        self.running = true;
        let until = Instant::now() + self.manners.first_block;
        while run.notices.blocks.load(Ordering::Acquire) == blocks {
            if Instant::now() >= until {
                let text = format!(
                    "{} started, but asked for no block within {:?}",
                    self.name, self.manners.first_block
                );
                // What the stop says is less to the point.
                let _ = self.stop();
                return Err(Error::new(ErrorKind::Timeout, text)
                    .remedy("see whether the device is in use, or its clock is missing"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Stops. The player is dropped here, once no callback is in it.
    ///
    /// # Errors
    /// As the driver refuses; `Timeout` if a callback does not come back.
    pub fn stop(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.running) {
            return Ok(());
        }
        let code = self.driver()?.stop();
        self.end_run()?;
        self.checked("stop", code)
    }

    /// Takes the buffers away, after a stop if need be.
    ///
    /// # Errors
    /// As the driver refuses; `Timeout` if a callback does not come back.
    pub fn unprepare(&mut self) -> Result<()> {
        let stopped = self.stop();
        let Some(prepared) = self.prepared.take() else { return stopped };
        let code = self.driver()?.dispose_buffers();
        let (drained, made) = prepared.end(self.manners.come_back);
        self.keepsakes.keep(made);
        stopped?;
        if !drained {
            return Err(self.never_back());
        }
        self.checked("disposeBuffers", code)
    }

    /// Sets the driver up anew, as it asked for: everything is taken down, and it is loaded and initialised again. Rate,
    /// channels, sizes and formats have to be looked at afresh.
    ///
    /// # Errors
    /// As `open`; the session then has no driver any more, and may be reset again.
    pub fn reset(&mut self) -> Result<()> {
        // The driver asked for this, and is gone afterwards: what it says of its own end changes nothing.
        let _ = self.unprepare();
        self.loaded = None;
        self.keepsakes = Keepsakes::default();
        std::thread::sleep(PAUSE);
        self.loaded = Some(Arc::new(self.source.load()?));
        Ok(())
    }

    /// What the driver asked for since this was last called.
    pub fn poll(&self) -> Vec<Event> {
        let Some(prepared) = &self.prepared else { return Vec::new() };
        prepared.slot.run.notices.take(self.set_rate_hz)
    }

    /// What was counted since buffers were made; zeros without.
    pub fn statistics(&self) -> Statistics {
        let notices = self.prepared.as_ref().map(|prepared| &prepared.slot.run.notices);
        notices.map_or_else(Statistics::default, |notices| notices.statistics())
    }

    fn loaded(&self) -> Result<&Arc<Loaded>> {
        self.loaded.as_ref().ok_or_else(|| {
            let text = format!("{} could not be set up again", self.name);
            Error::new(ErrorKind::Lost, text).remedy("choose the driver again")
        })
    }

    fn checked(&self, call: &str, code: Code) -> Result<()> {
        match code {
            // Some drivers answer everything with `future`'s word for yes.
            Code::OK | Code::SUCCESS => Ok(()),
            code => Err(refusal(self.driver()?, &self.name, call, code)),
        }
    }

    /// After `stop`: no block is wanted any more; the player is taken out once nobody is in it.
    fn end_run(&self) -> Result<()> {
        let Some(prepared) = &self.prepared else { return Ok(()) };
        let run = &prepared.slot.run;
        run.wanted.store(false, Ordering::SeqCst);
        if prepared.slot.wait_outside(self.manners.come_back) && run.put(None) {
            Ok(())
        } else {
            Err(self.never_back())
        }
    }

    fn never_back(&self) -> Error {
        let limit = self.manners.come_back;
        let text = format!("{} is still in a callback {limit:?} after its end", self.name);
        Error::new(ErrorKind::Timeout, text).remedy("end this program before using it again")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Whoever wants to know calls `unprepare`.
        let _ = self.unprepare();
    }
}
