//! The interface without a host's courtesies: every method with whatever arguments a test wants, nothing borne, nothing
//! interpreted. What is lent to the driver lies between guard pages. The conformance suite alone calls it.
//!
//! [`Subject`] is the driver's object, [`Place`] memory for one value, [`BufferTable`] and [`HostTable`] what
//! `createBuffers` takes, [`Listener`] whoever is called back. `places` has the memory, `callbacks` the functions that a
//! driver calls, `balance` how methods are called where they have to keep the stack.

mod balance;
mod callbacks;
mod places;

pub use balance::imbalances;
pub use callbacks::{HostTable, Listener, Missing, Returned, SETS, Seen, TimeSeen, listen};
pub use places::{BufferTable, DIRTY, HalfView, Place, Plain};

use crate::source::{Loaded, Source};
use barewire_abi::layout::{ChannelInfo, ClockSource};
use barewire_abi::{Code, Dialect, Guid, Long, Native, Vtable};
use barewire_types::Result;
use libloading::Library;
use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The interface's `long` on this system.
pub type L = <Native as Dialect>::Long;
/// The interface's 64-bit values on this system.
pub type S = <Native as Dialect>::Samples;

/// Told of every call before it is made, so that a watchdog knows where a driver crashed or hung.
static TRACE: OnceLock<fn(&'static str)> = OnceLock::new();

/// Has `trace` told of every call before it is made. Only the first one counts.
pub fn trace(trace: fn(&'static str)) {
    // A second one changes nothing, as is said above.
    let _ = TRACE.set(trace);
}

fn tell(call: &'static str) {
    if let Some(trace) = TRACE.get() {
        trace(call);
    }
}

/// A loaded driver's object, not initialised. It is released once if nobody has done so; the code stays loaded until
/// [`unload`](Self::unload), or for good.
#[derive(Debug)]
pub struct Subject {
    object: *mut c_void,
    library: Option<Library>,
    released: AtomicBool,
}

// SAFETY: objects of the interface are called from any thread; that is what is tested.
unsafe impl Send for Subject {}
// SAFETY: as above.
unsafe impl Sync for Subject {}

macro_rules! call {
    ($self:ident . $slot:ident ( $($argument:expr),* )) => {{
        tell(stringify!($slot));
        // SAFETY: the object has not been released, and begins with the pointer to its table.
        let vtable = unsafe { &**$self.object.cast::<*const Vtable<Native>>() };
        // SAFETY: a slot of the interface; what the pointers point to lives over the call, and nonsense is the test.
        unsafe { balance::invoke!(vtable.$slot, $self.object $(, $argument)*) }
    }};
}

fn pointer<T: Plain>(place: Option<&Place<T>>) -> *mut T {
    place.map_or(ptr::null_mut(), Place::as_ptr)
}

impl Source {
    /// Loads the driver and does nothing more: `init` is the caller's.
    ///
    /// # Errors
    /// If it cannot be loaded, or its factory gives nothing.
    pub fn bare(&self) -> Result<Subject> {
        tell("loading");
        let Loaded { driver, library } = self.unready()?;
        Ok(Subject { object: driver.into_raw(), library, released: AtomicBool::new(false) })
    }
}

impl Subject {
    /// The answer, and the address of the object that came with it.
    pub fn query_interface(&self, id: Guid) -> (i32, usize) {
        // Not null, to see whether a refusal makes it so.
        let mut other = ptr::dangling_mut::<c_void>();
        let answer = call!(self.query_interface(&raw const id, &raw mut other));
        (answer.to_i32(), other.addr())
    }

    /// The object's own address.
    pub fn address(&self) -> usize {
        self.object.addr()
    }

    /// One reference more; what it answers.
    pub fn add_ref(&self) -> i32 {
        call!(self.add_ref()).to_i32()
    }

    /// One reference less; what it answers. For the last one there is [`end`](Self::end).
    pub fn release(&self) -> i32 {
        call!(self.release()).to_i32()
    }

    /// Gives up the last reference, as a host does at its end; what it answers. No call may follow.
    pub fn end(&self) -> i32 {
        // Before the call: whoever shares this value must not release a second time, however long the first takes.
        self.released.store(true, Ordering::Release);
        self.release()
    }

    /// Gives up the last reference and unloads the code at once.
    pub fn unload(mut self) -> i32 {
        let library = self.library.take();
        let count = self.end();
        tell("unloading");
        drop(library);
        count
    }

    /// The raw answer.
    pub fn init(&self, handle: usize) -> i32 {
        call!(self.init(ptr::without_provenance_mut::<c_void>(handle))).to_i32()
    }

    /// Writes 32 bytes.
    pub fn driver_name(&self, name: Option<&Place<[u8; 32]>>) {
        call!(self.get_driver_name(pointer(name).cast::<u8>()));
    }

    /// The version.
    pub fn driver_version(&self) -> i32 {
        call!(self.get_driver_version()).to_i32()
    }

    /// Writes 124 bytes.
    pub fn error_message(&self, text: Option<&Place<[u8; 124]>>) {
        call!(self.get_error_message(pointer(text).cast::<u8>()));
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
    pub fn channels(&self, inputs: Option<&Place<L>>, outputs: Option<&Place<L>>) -> Code {
        Code(call!(self.get_channels(pointer(inputs), pointer(outputs))).to_i32())
    }

    /// Latencies.
    pub fn latencies(&self, input: Option<&Place<L>>, output: Option<&Place<L>>) -> Code {
        Code(call!(self.get_latencies(pointer(input), pointer(output))).to_i32())
    }

    /// Least, greatest, preferred size and granularity.
    pub fn buffer_size(&self, places: [Option<&Place<L>>; 4]) -> Code {
        let [min, max, preferred, granularity] = places.map(pointer);
        Code(call!(self.get_buffer_size(min, max, preferred, granularity)).to_i32())
    }

    /// Whether a rate can be set.
    pub fn can_sample_rate(&self, rate_hz: f64) -> Code {
        Code(call!(self.can_sample_rate(rate_hz)).to_i32())
    }

    /// The rate in force.
    pub fn sample_rate(&self, rate_hz: Option<&Place<f64>>) -> Code {
        Code(call!(self.get_sample_rate(pointer(rate_hz))).to_i32())
    }

    /// Sets the rate.
    pub fn set_sample_rate(&self, rate_hz: f64) -> Code {
        Code(call!(self.set_sample_rate(rate_hz)).to_i32())
    }

    /// Clock sources, as many as `count` allows; `sources` has room for 32.
    pub fn clock_sources(
        &self,
        sources: Option<&Place<[ClockSource<Native>; 32]>>,
        count: Option<&Place<L>>,
    ) -> Code {
        let sources = pointer(sources).cast::<ClockSource<Native>>();
        Code(call!(self.get_clock_sources(sources, pointer(count))).to_i32())
    }

    /// As [`clock_sources`](Self::clock_sources), with room for one.
    pub fn clock_source(
        &self,
        source: Option<&Place<ClockSource<Native>>>,
        count: Option<&Place<L>>,
    ) -> Code {
        Code(call!(self.get_clock_sources(pointer(source), pointer(count))).to_i32())
    }

    /// Chooses a clock source.
    pub fn set_clock_source(&self, index: i32) -> Code {
        Code(call!(self.set_clock_source(L::from_i32(index))).to_i32())
    }

    /// Position and time of the current block.
    pub fn sample_position(&self, position: Option<&Place<S>>, time: Option<&Place<S>>) -> Code {
        Code(call!(self.get_sample_position(pointer(position), pointer(time))).to_i32())
    }

    /// What is known of the channel that is named there.
    pub fn channel_info(&self, info: Option<&Place<ChannelInfo<Native>>>) -> Code {
        Code(call!(self.get_channel_info(pointer(info))).to_i32())
    }

    /// Makes buffers for `count` entries, whatever the table has.
    pub fn create_buffers(
        &self,
        table: Option<&BufferTable>,
        count: i32,
        frames: i32,
        host: Option<&HostTable>,
    ) -> Code {
        let infos = table.map_or(ptr::null_mut(), BufferTable::as_ptr);
        let (count, frames) = (L::from_i32(count), L::from_i32(frames));
        let host = host.map_or(ptr::null(), HostTable::as_ptr);
        Code(call!(self.create_buffers(infos, count, frames, host)).to_i32())
    }

    /// Takes the buffers away.
    pub fn dispose_buffers(&self) -> Code {
        Code(call!(self.dispose_buffers()).to_i32())
    }

    /// Shows the control panel.
    pub fn control_panel(&self) -> Code {
        Code(call!(self.control_panel()).to_i32())
    }

    /// Everything else, with nothing or with memory that any selector's structure fits into.
    pub fn future(&self, selector: i32, argument: Option<&Place<[u8; 512]>>) -> Code {
        let argument = pointer(argument).cast::<c_void>();
        Code(call!(self.future(L::from_i32(selector), argument)).to_i32())
    }

    /// As [`future`](Self::future), with memory of one type, no byte more.
    pub fn future_with<T: Plain>(&self, selector: i32, argument: &Place<T>) -> Code {
        let argument = argument.as_ptr().cast::<c_void>();
        Code(call!(self.future(L::from_i32(selector), argument)).to_i32())
    }

    /// The outputs are complete.
    pub fn output_ready(&self) -> Code {
        Code(call!(self.output_ready()).to_i32())
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if !*self.released.get_mut() {
            self.release();
        }
        // The code stays: a driver that left a thread behind must not take the case's verdict with it.
        std::mem::forget(self.library.take());
    }
}
