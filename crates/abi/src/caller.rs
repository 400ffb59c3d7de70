//! A host's handle on a driver's object. The driver is a stranger: whatever it writes is bounded and checked.

use crate::constants::{Code, SampleType, future};
use crate::dialect::{Dialect, Long, Samples};
use crate::driver::{BufferRequest, BufferSize, InternalBuffers, IoFormat, SamplePosition};
use crate::guid::Guid;
use crate::layout::{self, BufferInfo, Callbacks, ChannelInfo, ClockSource};
use crate::text::{read_text, write_text};
use crate::vtable::Vtable;
use std::ffi::c_void;
use std::ptr::{self, NonNull};

/// More room than the interface asks for: some drivers write past 32 and 124 bytes (an M-Audio driver, as PortAudio
/// notes, which gives 4096).
const TEXT_ROOM: usize = 4096;

/// How many clock sources are asked for at once.
const CLOCK_SOURCES: usize = 32;

/// A structure with room behind it for drivers that write past its end.
#[repr(C)]
struct Roomy<T> {
    value: T,
    _room: [u8; TEXT_ROOM],
}

/// Owns one reference to a driver's object. Every method is the interface's method of that name and answers the
/// driver's own code; nothing is interpreted.
#[derive(Debug)]
pub struct DriverRef<D: Dialect> {
    object: NonNull<*const Vtable<D>>,
}

// SAFETY: objects of the interface are called from any thread; those that are bound to one are the host's to respect.
unsafe impl<D: Dialect> Send for DriverRef<D> {}
// SAFETY: as above.
unsafe impl<D: Dialect> Sync for DriverRef<D> {}

/// What `createBuffers` answered. It is the host's duty to keep it until the driver was released: some drivers keep
/// pointers to it.
#[derive(Debug)]
pub struct CreatedBuffers<D: Dialect> {
    infos: Box<[BufferInfo<D>]>,
    _callbacks: Box<Callbacks<D>>,
}

// SAFETY: pointers of the driver's, which only the host's callback follows.
unsafe impl<D: Dialect> Send for CreatedBuffers<D> {}

impl<D: Dialect> CreatedBuffers<D> {
    /// Both halves of entry `n`, null where the driver gave none.
    pub fn halves(&self, n: usize) -> [*mut u8; 2] {
        self.infos.get(n).map_or([ptr::null_mut(); 2], |info| info.buffers.map(<*mut c_void>::cast))
    }
}

macro_rules! call {
    ($self:ident . $slot:ident ( $($argument:expr),* )) => {{
        // SAFETY: the object is alive while this reference is, and its table is the interface's.
        let vtable = unsafe { &**$self.object.as_ptr() };
        // SAFETY: a slot of the interface with arguments of the interface's types; what the pointers point to lives
        // over the call.
        unsafe { (vtable.$slot)($self.object.as_ptr().cast() $(, $argument)*) }
    }};
}

impl<D: Dialect> DriverRef<D> {
    /// Takes over one reference to the object at `object`; `None` if it is null or has no table of functions.
    ///
    /// # Safety
    /// `object` must be an object of the interface in this dialect, with a reference that becomes this value's.
    pub unsafe fn from_raw(object: *mut c_void) -> Option<Self> {
        let object = NonNull::new(object.cast::<*const Vtable<D>>())?;
        // SAFETY: an object of the interface begins with the pointer to its table.
        let vtable = unsafe { object.as_ptr().read_unaligned() };
        (!vtable.is_null()).then(|| Self { object })
    }

    /// The object, still owned by this value.
    pub fn as_raw(&self) -> *mut c_void {
        self.object.as_ptr().cast()
    }

    /// The object, with the reference, which is the caller's from now on.
    pub fn into_raw(self) -> *mut c_void {
        std::mem::ManuallyDrop::new(self).as_raw()
    }

    /// The object under another of its interfaces; `None` if it has none by that id.
    pub fn query_interface(&self, id: Guid) -> Option<Self> {
        let mut other = ptr::null_mut();
        let result = call!(self.query_interface(&raw const id, &raw mut other));
        if result != D::Long::default() {
            return None;
        }
        // SAFETY: an object that was answered with success is of the interface, and its reference is ours.
        unsafe { Self::from_raw(other) }
    }

    /// One reference more; the count afterwards.
    pub fn add_ref(&self) -> i32 {
        call!(self.add_ref()).to_i32()
    }

    /// Gives up a reference that `add_ref` took; the count afterwards.
    pub fn release_one(&self) -> i32 {
        call!(self.release()).to_i32()
    }

    /// The answer as it came: 1 is yes, 0 no. A driver must not follow `system_handle` unless the system says that it
    /// is a window.
    #[expect(
        clippy::not_unsafe_ptr_arg_deref,
        reason = "an opaque handle, passed on and never followed here"
    )]
    pub fn init(&self, system_handle: *mut c_void) -> i32 {
        call!(self.init(system_handle)).to_i32()
    }

    /// The name as far as it is terminated or reaches.
    pub fn driver_name(&self) -> String {
        let mut text = [0; TEXT_ROOM];
        call!(self.get_driver_name(text.as_mut_ptr()));
        read_text(&text)
    }

    /// The version.
    pub fn driver_version(&self) -> i32 {
        call!(self.get_driver_version()).to_i32()
    }

    /// What the driver says of its latest error.
    pub fn error_message(&self) -> String {
        let mut text = [0; TEXT_ROOM];
        call!(self.get_error_message(text.as_mut_ptr()));
        read_text(&text)
    }

    /// Starts.
    pub fn start(&self) -> Code {
        Code(call!(self.start()).to_i32())
    }

    /// Stops.
    pub fn stop(&self) -> Code {
        Code(call!(self.stop()).to_i32())
    }

    /// Inputs and outputs.
    pub fn channels(&self) -> (Code, i32, i32) {
        let (mut inputs, mut outputs) = (D::Long::default(), D::Long::default());
        let code = call!(self.get_channels(&raw mut inputs, &raw mut outputs));
        (Code(code.to_i32()), inputs.to_i32(), outputs.to_i32())
    }

    /// Latencies of input and output, in frames.
    pub fn latencies(&self) -> (Code, i32, i32) {
        let (mut input, mut output) = (D::Long::default(), D::Long::default());
        let code = call!(self.get_latencies(&raw mut input, &raw mut output));
        (Code(code.to_i32()), input.to_i32(), output.to_i32())
    }

    /// Block sizes.
    pub fn buffer_size(&self) -> (Code, BufferSize) {
        let mut sizes = [D::Long::default(); 4];
        let [min, max, preferred, granularity] = &mut sizes;
        let code = call!(self.get_buffer_size(min, max, preferred, granularity)).to_i32();
        let [min_frames, max_frames, preferred_frames, granularity] = sizes.map(D::Long::to_i32);
        (Code(code), BufferSize { min_frames, max_frames, preferred_frames, granularity })
    }

    /// Whether a rate can be set.
    pub fn can_sample_rate(&self, rate_hz: f64) -> Code {
        Code(call!(self.can_sample_rate(rate_hz)).to_i32())
    }

    /// The rate in force.
    pub fn sample_rate(&self) -> (Code, f64) {
        let mut rate_hz = 0.0;
        let code = call!(self.get_sample_rate(&raw mut rate_hz));
        (Code(code.to_i32()), rate_hz)
    }

    /// Sets the rate.
    pub fn set_sample_rate(&self, rate_hz: f64) -> Code {
        Code(call!(self.set_sample_rate(rate_hz)).to_i32())
    }

    /// The clock sources, as far as there is room for 32 of them, and how many the driver says there are.
    pub fn clock_sources(&self) -> (Code, Vec<crate::driver::ClockSource>, i32) {
        let zero = D::Long::default();
        let empty = ClockSource {
            index: zero,
            channel: zero,
            group: zero,
            is_current: zero,
            name: [0; 32],
        };
        // Twice the room that the driver is told of: some ignore it (the SDK's own sample).
        let mut sources = [empty; 2 * CLOCK_SOURCES];
        let mut count = D::Long::from_i32(32);
        let code = call!(self.get_clock_sources(sources.as_mut_ptr(), &raw mut count)).to_i32();
        let told = count.to_i32();
        let filled = usize::try_from(told).unwrap_or(0).min(CLOCK_SOURCES);
        let number = |value: D::Long| Some(value.to_i32()).filter(|&value| value >= 0);
        let source = |raw: &ClockSource<D>| crate::driver::ClockSource {
            index: raw.index.to_i32(),
            channel: number(raw.channel),
            group: number(raw.group),
            is_current: raw.is_current.to_i32() != 0,
            name: read_text(&raw.name),
        };
        (Code(code), sources[..filled].iter().map(source).collect(), told)
    }

    /// Chooses a clock source.
    pub fn set_clock_source(&self, index: i32) -> Code {
        Code(call!(self.set_clock_source(D::Long::from_i32(index))).to_i32())
    }

    /// Position and time of the current block.
    pub fn sample_position(&self) -> (Code, SamplePosition) {
        let (mut position, mut time) = (D::Samples::default(), D::Samples::default());
        let code = call!(self.get_sample_position(&raw mut position, &raw mut time)).to_i32();
        let position_frames = position.to_u64();
        (Code(code), SamplePosition { position_frames, time_ns: time.to_u64() })
    }

    /// What is known of a channel.
    pub fn channel_info(&self, channel: i32, is_input: bool) -> (Code, crate::driver::ChannelInfo) {
        let zero = D::Long::default();
        let mut raw = ChannelInfo::<D> {
            channel: D::Long::from_i32(channel),
            is_input: D::Long::from_i32(i32::from(is_input)),
            is_active: zero,
            group: zero,
            sample_type: zero,
            name: [0; 32],
        };
        let code = call!(self.get_channel_info(&raw mut raw)).to_i32();
        let info = crate::driver::ChannelInfo {
            is_active: raw.is_active.to_i32() != 0,
            group: raw.group.to_i32(),
            sample_type: SampleType(raw.sample_type.to_i32()),
            name: read_text(&raw.name),
        };
        (Code(code), info)
    }

    /// Asks for buffers. `callbacks` is kept with the answer.
    pub fn create_buffers(
        &self,
        wanted: &[BufferRequest],
        frames: i32,
        callbacks: Callbacks<D>,
    ) -> (Code, CreatedBuffers<D>) {
        let mut infos: Box<[BufferInfo<D>]> = wanted
            .iter()
            .map(|request| BufferInfo {
                is_input: D::Long::from_i32(i32::from(request.is_input)),
                channel: D::Long::from_i32(request.channel),
                buffers: [ptr::null_mut(); 2],
            })
            .collect();
        let callbacks = Box::new(callbacks);
        let count = D::Long::from_i32(i32::try_from(infos.len()).unwrap_or(i32::MAX));
        let (infos_ptr, frames) = (infos.as_mut_ptr(), D::Long::from_i32(frames));
        let code = call!(self.create_buffers(infos_ptr, count, frames, &raw const *callbacks));
        (Code(code.to_i32()), CreatedBuffers { infos, _callbacks: callbacks })
    }

    /// Gives the buffers back.
    pub fn dispose_buffers(&self) -> Code {
        Code(call!(self.dispose_buffers()).to_i32())
    }

    /// Shows the control panel.
    pub fn control_panel(&self) -> Code {
        Code(call!(self.control_panel()).to_i32())
    }

    /// Everything else.
    ///
    /// # Safety
    /// `argument` must be null or point to what `selector` takes, in this dialect.
    pub unsafe fn future(&self, selector: i32, argument: *mut c_void) -> Code {
        Code(call!(self.future(D::Long::from_i32(selector), argument)).to_i32())
    }

    /// The selectors of `future` that take no argument: questions, and those of time code.
    pub fn ask(&self, selector: i32) -> Code {
        Code(call!(self.future(D::Long::from_i32(selector), ptr::null_mut())).to_i32())
    }

    /// The selectors of `future` that take PCM or DSD; the answer is what the driver left in the structure.
    pub fn io_format(&self, selector: i32, asked: IoFormat) -> (Code, IoFormat) {
        let format = D::Long::from_i32(asked.number());
        let value = layout::IoFormat::<D> { format };
        let mut room = Roomy { value, _room: [0; TEXT_ROOM] };
        let code = call!(self.future(D::Long::from_i32(selector), (&raw mut room).cast()));
        (Code(code.to_i32()), IoFormat::from_number(room.value.format.to_i32()))
    }

    /// How much of the latencies is internal buffering.
    pub fn internal_buffers(&self) -> (Code, InternalBuffers) {
        let zero = D::Long::default();
        let value = layout::InternalBufferInfo::<D> { input: zero, output: zero };
        let mut room = Roomy { value, _room: [0; TEXT_ROOM] };
        let selector = D::Long::from_i32(future::GET_INTERNAL_BUFFER_SAMPLES);
        let code = call!(self.future(selector, (&raw mut room).cast()));
        let input_frames = room.value.input.to_i32();
        let output_frames = room.value.output.to_i32();
        (Code(code.to_i32()), InternalBuffers { input_frames, output_frames })
    }

    /// cwASIO: tells the driver which registered instance it is to be.
    pub fn set_instance_name(&self, name: &str) -> Code {
        let mut room = [0_u8; TEXT_ROOM];
        write_text(&mut room, name);
        let selector = D::Long::from_i32(future::SET_INSTANCE_NAME);
        Code(call!(self.future(selector, room.as_mut_ptr().cast())).to_i32())
    }

    /// Tells that the outputs of the current half are complete.
    pub fn output_ready(&self) -> Code {
        Code(call!(self.output_ready()).to_i32())
    }
}

impl<D: Dialect> Drop for DriverRef<D> {
    fn drop(&mut self) {
        call!(self.release());
    }
}
