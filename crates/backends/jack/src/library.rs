//! libjack: the functions that are used, found in the shared object at run time. Names and types as the documentation of
//! JACK's C interface (version 1) gives them, which JACK2 and PipeWire both keep.

use libloading::Library;
use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};
use std::path::PathBuf;
use std::sync::OnceLock;

/// A connection, as libjack sees it.
pub(crate) type RawClient = *mut c_void;
/// A port, as libjack sees it.
pub(crate) type RawPort = *mut c_void;
/// Runs a cycle of so many frames.
pub(crate) type OnFrames = unsafe extern "C" fn(u32, *mut c_void) -> c_int;
/// Told that something happened.
pub(crate) type OnEvent = unsafe extern "C" fn(*mut c_void) -> c_int;
/// Told that the server is gone.
pub(crate) type OnEnd = unsafe extern "C" fn(*mut c_void);
/// Told what libjack would print.
pub(crate) type OnWords = unsafe extern "C" fn(*const c_char);

/// `JackNoStartServer`.
pub(crate) const NO_START_SERVER: c_uint = 1;
/// `JackPortIsInput`.
pub(crate) const IS_INPUT: c_ulong = 1;
/// `JackPortIsOutput`.
pub(crate) const IS_OUTPUT: c_ulong = 2;
/// `JackPortIsPhysical`.
pub(crate) const IS_PHYSICAL: c_ulong = 4;
/// `JackCaptureLatency`.
pub(crate) const CAPTURE_LATENCY: c_uint = 0;
/// `JackPlaybackLatency`.
pub(crate) const PLAYBACK_LATENCY: c_uint = 1;
/// `JACK_DEFAULT_AUDIO_TYPE`.
pub(crate) const AUDIO: &std::ffi::CStr = c"32 bit float mono audio";

/// `jack_latency_range_t`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LatencyRange {
    pub(crate) min: u32,
    pub(crate) max: u32,
}

macro_rules! functions {
    ($($name:ident = $symbol:literal : $type:ty),* $(,)?) => {
        /// The functions of one libjack.
        pub(crate) struct Jack {
            $(pub(crate) $name: $type,)*
            /// Never unloaded: its threads may run its code after the last connection is closed.
            pub(crate) _library: Option<std::mem::ManuallyDrop<Library>>,
        }

        impl Jack {
            fn find(library: Library) -> Option<Self> {
                $(
                    // SAFETY: the symbol's type is the one that JACK's documentation gives.
                    let $name = *unsafe { library.get::<$type>($symbol) }.ok()?;
                )*
                Some(Self { $($name,)* _library: Some(std::mem::ManuallyDrop::new(library)) })
            }
        }
    };
}

functions! {
    client_open = b"jack_client_open\0": unsafe extern "C" fn(*const c_char, c_uint, *mut c_uint, ...) -> RawClient,
    client_close = b"jack_client_close\0": unsafe extern "C" fn(RawClient) -> c_int,
    activate = b"jack_activate\0": unsafe extern "C" fn(RawClient) -> c_int,
    sample_rate = b"jack_get_sample_rate\0": unsafe extern "C" fn(RawClient) -> u32,
    buffer_size = b"jack_get_buffer_size\0": unsafe extern "C" fn(RawClient) -> u32,
    ports = b"jack_get_ports\0": unsafe extern "C" fn(RawClient, *const c_char, *const c_char, c_ulong) -> *mut *const c_char,
    free = b"jack_free\0": unsafe extern "C" fn(*mut c_void),
    port_register = b"jack_port_register\0": unsafe extern "C" fn(RawClient, *const c_char, *const c_char, c_ulong, c_ulong) -> RawPort,
    port_name = b"jack_port_name\0": unsafe extern "C" fn(RawPort) -> *const c_char,
    port_buffer = b"jack_port_get_buffer\0": unsafe extern "C" fn(RawPort, u32) -> *mut c_void,
    port_latency = b"jack_port_get_latency_range\0": unsafe extern "C" fn(RawPort, c_uint, *mut LatencyRange),
    port_by_name = b"jack_port_by_name\0": unsafe extern "C" fn(RawClient, *const c_char) -> RawPort,
    connect = b"jack_connect\0": unsafe extern "C" fn(RawClient, *const c_char, *const c_char) -> c_int,
    on_process = b"jack_set_process_callback\0": unsafe extern "C" fn(RawClient, OnFrames, *mut c_void) -> c_int,
    on_shutdown = b"jack_on_shutdown\0": unsafe extern "C" fn(RawClient, OnEnd, *mut c_void),
    on_buffer_size = b"jack_set_buffer_size_callback\0": unsafe extern "C" fn(RawClient, OnFrames, *mut c_void) -> c_int,
    on_sample_rate = b"jack_set_sample_rate_callback\0": unsafe extern "C" fn(RawClient, OnFrames, *mut c_void) -> c_int,
    on_xrun = b"jack_set_xrun_callback\0": unsafe extern "C" fn(RawClient, OnEvent, *mut c_void) -> c_int,
    on_error = b"jack_set_error_function\0": unsafe extern "C" fn(OnWords),
    on_info = b"jack_set_info_function\0": unsafe extern "C" fn(OnWords),
    time = b"jack_get_time\0": unsafe extern "C" fn() -> u64,
    cycle_times = b"jack_get_cycle_times\0": unsafe extern "C" fn(RawClient, *mut u32, *mut u64, *mut u64, *mut f32) -> c_int,
}

unsafe extern "C" fn swallow(_: *const c_char) {}

/// Where libjack may lie: the one that the loader finds, then PipeWire's, which distributions keep out of the loader's
/// way unless `pw-jack` is used.
fn places() -> Vec<PathBuf> {
    let mut places = vec![PathBuf::from("libjack.so.0")];
    let triple = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    for folder in [triple.as_str(), "/usr/lib64", "/usr/lib"] {
        places.push(PathBuf::from(folder).join("pipewire-0.3/jack/libjack.so.0"));
    }
    places
}

/// Where libraries come from: this machine, or a test.
pub(crate) type Libraries = fn() -> &'static [Jack];

/// All libraries that there are, the loader's own choice first.
pub(crate) fn libraries() -> &'static [Jack] {
    static ALL: OnceLock<Vec<Jack>> = OnceLock::new();
    ALL.get_or_init(|| places().iter().filter_map(load).collect())
}

fn load(place: &PathBuf) -> Option<Jack> {
    // SAFETY: initialising libjack has no conditions; it is never unloaded.
    let library = unsafe { Library::new(place) }.ok()?;
    let jack = Jack::find(library)?;
    // What went wrong is said by us, in our words; libjack would print on the host's terminal.
    // SAFETY: the function may be called at any time, on any thread.
    unsafe { (jack.on_error)(swallow) };
    // SAFETY: as above.
    unsafe { (jack.on_info)(swallow) };
    Some(jack)
}
