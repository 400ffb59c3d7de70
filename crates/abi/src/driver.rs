//! A driver in safe words. [`crate::create`] makes a host's object of it.

use crate::callbacks::HostCallbacks;
use crate::constants::{Code, SampleType};
use std::borrow::Cow;
use std::ffi::c_void;
use std::sync::Arc;

/// A refusal: the code for the host, the sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsioError {
    /// What the call answers.
    pub code: Code,
    /// What `getErrorMessage` says next.
    pub text: Cow<'static, str>,
}

impl AsioError {
    /// `code` with what happened and what to do.
    pub fn new(code: Code, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into() }
    }
}

/// What methods answer.
pub type AsioResult<T> = Result<T, AsioError>;

/// Block sizes, in frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferSize {
    /// The smallest.
    pub min_frames: i32,
    /// The greatest.
    pub max_frames: i32,
    /// The best.
    pub preferred_frames: i32,
    /// Sizes between are `min_frames` plus multiples of this; -1: powers of two; 0: only one size.
    pub granularity: i32,
}

/// One clock source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockSource {
    /// What `set_clock_source` takes.
    pub index: i32,
    /// The first channel of a digital input.
    pub channel: Option<i32>,
    /// Its group.
    pub group: Option<i32>,
    /// Whether it is in force.
    pub is_current: bool,
    /// Its name; 31 bytes of it are passed on.
    pub name: String,
}

/// What is known of one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelInfo {
    /// Whether it has buffers now.
    pub is_active: bool,
    /// Its group.
    pub group: i32,
    /// How its samples lie in memory.
    pub sample_type: SampleType,
    /// Its name; 31 bytes of it are passed on.
    pub name: String,
}

/// One channel for which buffers are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferRequest {
    /// Input or output.
    pub is_input: bool,
    /// Which one; may be nonsense.
    pub channel: i32,
}

/// Both halves of one channel.
pub type Halves = [*mut u8; 2];

/// Position and time of the current block's first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamplePosition {
    /// Frames since the start.
    pub position_frames: u64,
    /// Nanoseconds of the system's clock.
    pub time_ns: u64,
}

/// Direct monitoring, as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputMonitor {
    /// Which input; `None` for all.
    pub input: Option<i32>,
    /// Which output.
    pub output: i32,
    /// 0 to 0x7FFFFFFF: silence to +12 dB.
    pub gain: i32,
    /// On or off.
    pub is_on: bool,
    /// 0 to 0x7FFFFFFF: left to right.
    pub pan: i32,
}

/// Hardware gain or meter, as asked for or told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelControls {
    /// Which channel.
    pub channel: i32,
    /// Input or output.
    pub is_input: bool,
    /// 0 to 0x7FFFFFFF.
    pub gain: i32,
    /// 0 to 0x7FFFFFFF.
    pub meter: i32,
}

/// What flows through the buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoFormat {
    /// Integers or floats.
    Pcm,
    /// Single bits.
    Dsd,
    /// A number that names nothing.
    Unknown(i32),
}

impl IoFormat {
    /// The format of that number.
    pub const fn from_number(number: i32) -> Self {
        match number {
            0 => Self::Pcm,
            1 => Self::Dsd,
            other => Self::Unknown(other),
        }
    }

    /// The interface's number.
    pub const fn number(self) -> i32 {
        match self {
            Self::Pcm => 0,
            Self::Dsd => 1,
            Self::Unknown(number) => number,
        }
    }
}

/// Internal buffering that the latencies contain, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InternalBuffers {
    /// Of the inputs.
    pub input_frames: i32,
    /// Of the outputs.
    pub output_frames: i32,
}

/// A checked call of `future`. `Ok` answers [`Code::SUCCESS`].
#[derive(Debug)]
pub enum FutureCall<'a> {
    /// Time code is wanted.
    EnableTimeCodeRead,
    /// Time code is not wanted any more.
    DisableTimeCodeRead,
    /// Direct monitoring.
    SetInputMonitor(InputMonitor),
    /// Tape transport: the command's number.
    Transport(i32),
    /// Hardware input gain.
    SetInputGain(ChannelControls),
    /// Hardware input meter, to be told.
    GetInputMeter(&'a mut ChannelControls),
    /// Hardware output gain.
    SetOutputGain(ChannelControls),
    /// Hardware output meter, to be told.
    GetOutputMeter(&'a mut ChannelControls),
    /// One of the questions from `CAN_INPUT_MONITOR` to `CAN_OUTPUT_METER` of [`crate::constants::future`].
    Can(i32),
    /// Switch between PCM and DSD.
    SetIoFormat(IoFormat),
    /// PCM or DSD now? To be told.
    GetIoFormat(&'a mut IoFormat),
    /// Whether PCM or DSD can be done.
    CanDoIoFormat(IoFormat),
    /// Whether xruns are reported.
    CanReportOverload,
    /// Internal buffering, to be told.
    GetInternalBuffers(&'a mut InternalBuffers),
    /// cwASIO: which registered instance this is to be; `None` or empty asks whether there are instances.
    SetInstanceName(Option<String>),
    /// A selector that nobody defined.
    Unknown(i32),
}

/// A driver. Every method may be called from any thread, in any order, also from within a callback; the implementation
/// refuses what its state does not allow. Nothing here panics outwards: the guard turns a panic into
/// [`Code::HW_MALFUNCTION`].
pub trait AsioDriver: Send + Sync + 'static {
    /// Makes the driver ready. `system_handle` is a window, a module or garbage: never to be believed.
    ///
    /// # Errors
    /// Makes `init` answer false.
    fn init(&self, system_handle: *mut c_void) -> AsioResult<()>;

    /// The name; 31 bytes of it are passed on.
    fn driver_name(&self) -> String;

    /// The version.
    fn driver_version(&self) -> i32;

    /// Starts. Does not wait for the host's callback.
    ///
    /// # Errors
    /// `INVALID_MODE` without buffers, `HW_MALFUNCTION` if the device does not start.
    fn start(&self) -> AsioResult<()>;

    /// Stops: no callback after it returns.
    ///
    /// # Errors
    /// As the state demands.
    fn stop(&self) -> AsioResult<()>;

    /// Numbers of inputs and outputs.
    ///
    /// # Errors
    /// `NOT_PRESENT` if there are none.
    fn channels(&self) -> AsioResult<(i32, i32)>;

    /// Latencies of input and output in frames.
    ///
    /// # Errors
    /// `NOT_PRESENT` before `init`.
    fn latencies(&self) -> AsioResult<(i32, i32)>;

    /// Block sizes.
    ///
    /// # Errors
    /// `NOT_PRESENT` before `init`.
    fn buffer_size(&self) -> AsioResult<BufferSize>;

    /// Whether this rate can be set; may be any number and none.
    ///
    /// # Errors
    /// `NO_CLOCK` if it cannot.
    fn can_sample_rate(&self, rate_hz: f64) -> AsioResult<()>;

    /// The rate in force.
    ///
    /// # Errors
    /// `NO_CLOCK` if it is not known.
    fn sample_rate(&self) -> AsioResult<f64>;

    /// Sets the rate; 0 asks for external synchronisation.
    ///
    /// # Errors
    /// `NO_CLOCK` if it cannot be set.
    fn set_sample_rate(&self, rate_hz: f64) -> AsioResult<()>;

    /// The clock sources, never empty once initialised.
    ///
    /// # Errors
    /// `NOT_PRESENT` before `init`.
    fn clock_sources(&self) -> AsioResult<Vec<ClockSource>>;

    /// Chooses a clock source.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` if there is no such source.
    fn set_clock_source(&self, index: i32) -> AsioResult<()>;

    /// Position and time of the current block.
    ///
    /// # Errors
    /// `SP_NOT_ADVANCING` when stopped. The text is not kept, so that this never allocates.
    fn sample_position(&self) -> AsioResult<SamplePosition>;

    /// What is known of a channel, whose number may be nonsense.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` if there is no such channel.
    fn channel_info(&self, channel: i32, is_input: bool) -> AsioResult<ChannelInfo>;

    /// Makes buffers: the halves of each request, in the same order.
    ///
    /// # Errors
    /// `INVALID_PARAMETER`, `INVALID_MODE`, `NO_MEMORY`, `HW_MALFUNCTION`; then nothing was made.
    fn create_buffers(
        &self,
        wanted: &[BufferRequest],
        frames: i32,
        host: Arc<dyn HostCallbacks>,
    ) -> AsioResult<Vec<Halves>>;

    /// Takes the buffers away: no callback, no touch of them after it returns.
    ///
    /// # Errors
    /// `INVALID_MODE` if there are none.
    fn dispose_buffers(&self) -> AsioResult<()>;

    /// Shows the control panel.
    ///
    /// # Errors
    /// `NOT_PRESENT` if there is none.
    fn control_panel(&self) -> AsioResult<()>;

    /// Everything else.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` or `NOT_PRESENT` for what is not offered.
    fn future(&self, call: FutureCall<'_>) -> AsioResult<()>;

    /// The outputs of the current half are complete. Never blocks, locks or allocates.
    ///
    /// # Errors
    /// `NOT_PRESENT` if the driver does not profit.
    fn output_ready(&self) -> AsioResult<()>;

    /// The host has let go of the object; no method will be called any more. Runs on the thread of the last `Release`,
    /// which may be a callback's: whatever cannot be freed there has to be handed to another thread.
    fn released(self: Box<Self>);
}
