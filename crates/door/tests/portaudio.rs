//! A host that nobody here wrote: PortAudio with its ASIO side (the library in PyPI's `sounddevice` wheel) finds the registered
//! driver, opens it at every rate and many buffer sizes and plays through it: over the simulated devices of `labs/wine-audio`,
//! over the simulated card of `labs/ks-driver`, and through Wine's own mixers. What arrived is compared.
//! `cargo xtask windows portaudio` sets all of it up and runs this.

#![cfg(windows)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a test may stop the world"
)]

use barewire_ks::kernel::{Kernel, Object, RealKernel};
use barewire_ks::uapi::category;
use barewire_ks_device::{Description, lab_code};
use barewire_rt::RealSystem;
use barewire_testkit::wire::{self, Outcome};
use barewire_types::SampleFormat;
use std::ffi::{CStr, CString, c_char, c_void};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use windows_sys::Win32::System::LibraryLoader::{GetProcAddress, LoadLibraryA};

/// The file of PortAudio.
const LIBRARY: &str = "BAREWIRE_PORTAUDIO";
/// Where the simulated devices write what they play.
const RECORDS: &str = "BAREWIRE_SIMULATED_FOLDER";
/// Where the sound server writes what it plays.
const SINK: &str = "BAREWIRE_SINK";
/// The format in which it gets it from the mixer, by its name in settings.
const FORMAT: &str = "BAREWIRE_FORMAT";
/// The library that makes pins of the simulated card.
const PIN_MAKER: &str = "BAREWIRE_PIN_MAKER";
/// How the simulated card moves its memory: `event`, `polled` or `packets`.
const TRANSPORT: &str = "BAREWIRE_TRANSPORT";
/// `paASIO`.
const API: i32 = 3;
/// `paInt32`.
const INT32: u32 = 2;
/// `paClipOff | paDitherOff`.
const UNTOUCHED: u32 = 3;
/// A quiet machine needs a second.
const PATIENCE: Duration = Duration::from_secs(120);
const CHANNELS: usize = 2;

#[repr(C)]
struct Device {
    version: i32,
    name: *const c_char,
    api: i32,
    inputs: i32,
    outputs: i32,
    latencies: [f64; 4],
    rate: f64,
}

#[repr(C)]
struct Api {
    version: i32,
    kind: i32,
}

#[repr(C)]
struct Side {
    device: i32,
    channels: i32,
    format: u32,
    latency: f64,
    more: *mut c_void,
}

#[repr(C)]
struct Info {
    version: i32,
    input_latency: f64,
    output_latency: f64,
    rate: f64,
}

type Callback =
    unsafe extern "C" fn(*const i32, *mut i32, u32, *const c_void, u32, *mut c_void) -> i32;
type Stream = *mut c_void;

/// PortAudio, loaded and initialised.
struct PortAudio(*mut c_void);

impl PortAudio {
    fn new() -> Option<Self> {
        let path = CString::new(std::env::var(LIBRARY).ok()?).unwrap();
        // SAFETY: the path ends with a zero.
        let module = unsafe { LoadLibraryA(path.as_ptr().cast()) };
        assert!(!module.is_null(), "{path:?} cannot be loaded");
        let own = Self(module.cast());
        let initialize: unsafe extern "C" fn() -> i32 = own.function("Pa_Initialize");
        // SAFETY: as PortAudio documents it.
        own.well("Pa_Initialize", unsafe { initialize() });
        Some(own)
    }

    fn function<T: Copy>(&self, name: &str) -> T {
        let text = CString::new(name).unwrap();
        // SAFETY: a loaded module, and a name that ends with a zero.
        let found = unsafe { GetProcAddress(self.0.cast(), text.as_ptr().cast()) };
        let found = found.unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(size_of::<T>(), size_of_val(&found));
        // SAFETY: both are pointers to functions; that its type is the named function's the caller says.
        unsafe { std::mem::transmute_copy(&found) }
    }

    fn well(&self, what: &str, code: i32) {
        let words: unsafe extern "C" fn(i32) -> *const c_char = self.function("Pa_GetErrorText");
        // SAFETY: PortAudio gives text of its own.
        let words = unsafe { CStr::from_ptr(words(code)) };
        assert!(code >= 0, "{what}: {code}, {words:?}");
    }

    /// The driver of that name.
    fn find(&self, name: &str) -> (i32, &Device) {
        let count: unsafe extern "C" fn() -> i32 = self.function("Pa_GetDeviceCount");
        let device: unsafe extern "C" fn(i32) -> *const Device = self.function("Pa_GetDeviceInfo");
        let api: unsafe extern "C" fn(i32) -> *const Api = self.function("Pa_GetHostApiInfo");
        let mut seen = Vec::new();
        // SAFETY: as PortAudio documents it; what it points to lives until it is terminated.
        unsafe {
            for n in 0..count() {
                let found = &*device(n);
                let its = CStr::from_ptr(found.name).to_string_lossy();
                if (*api(found.api)).kind == API && its == name {
                    return (n, found);
                }
                seen.push(format!("{its} ({})", (*api(found.api)).kind));
            }
        }
        panic!("{name} is not among {seen:?}");
    }

    fn call(&self, name: &str, stream: Stream) {
        let function: unsafe extern "C" fn(Stream) -> i32 = self.function(name);
        // SAFETY: an open stream.
        self.well(name, unsafe { function(stream) });
    }
}

impl Drop for PortAudio {
    fn drop(&mut self) {
        let terminate: unsafe extern "C" fn() -> i32 = self.function("Pa_Terminate");
        // SAFETY: initialised once.
        unsafe { terminate() };
    }
}

/// A sample of all bits, never 0.
fn sample(frame: u64, channel: usize) -> i32 {
    let mut z = (frame * 2 + channel as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((z ^ z >> 27) >> 16) as i32 | 1
}

/// A sample of each channel.
type Sound = fn(u64, usize) -> i32;

/// What the callback plays and hears.
struct Play {
    sound: Sound,
    frames: u64,
    /// Silence behind it, so that what is on its way is played out.
    tail_frames: u64,
    sent: u64,
    heard: Vec<i32>,
    flags: u32,
    asked: Instant,
    longest: Duration,
    is_over: std::sync::atomic::AtomicBool,
}

unsafe extern "C" fn on_block(
    input: *const i32,
    output: *mut i32,
    frames: u32,
    _time: *const c_void,
    flags: u32,
    play: *mut c_void,
) -> i32 {
    // SAFETY: what was given to `Pa_OpenStream`; nobody else touches it while the stream runs.
    let play = unsafe { &mut *play.cast::<Play>() };
    play.flags |= flags;
    if play.sent > 0 {
        play.longest = play.longest.max(play.asked.elapsed());
    }
    play.asked = Instant::now();
    let samples = frames as usize * CHANNELS;
    if !input.is_null() {
        // SAFETY: PortAudio's block, two channels side by side.
        play.heard.extend_from_slice(unsafe { std::slice::from_raw_parts(input, samples) });
    }
    for n in 0..samples {
        let frame = play.sent + (n / CHANNELS) as u64;
        let value = if frame < play.frames { (play.sound)(frame, n % CHANNELS) } else { 0 };
        // SAFETY: PortAudio's block, two channels side by side.
        unsafe { output.add(n).write(value) };
    }
    play.sent += u64::from(frames);
    if play.sent > play.frames + play.tail_frames {
        play.is_over.store(true, std::sync::atomic::Ordering::Release);
    }
    0
}

/// What came of a run.
struct Ran {
    heard: Vec<i32>,
    latency_frames: f64,
    flags: u32,
    /// The longest time between two blocks.
    longest: Duration,
}

/// Two seconds at the highest rate, which is more than all buffers hold, for devices that keep no time.
const TAIL_FRAMES: u64 = 2 * 192_000;
/// For those that do.
const SHORT_TAIL_FRAMES: u64 = 24_000;

/// Plays `frames` frames through the driver, and captures too if it is told to.
fn run(audio: &PortAudio, captures: bool, rate: u32, block: u32, frames: u64) -> Ran {
    play(audio, captures, rate, block, (sample, frames, TAIL_FRAMES))
}

/// The same with another sound, so many frames of it, and so many of silence behind it.
fn play(
    audio: &PortAudio,
    captures: bool,
    rate: u32,
    block: u32,
    (sound, frames, tail_frames): (Sound, u64, u64),
) -> Ran {
    let (device, its) = audio.find("Barewire");
    let side = |latency| Side {
        device,
        channels: CHANNELS as i32,
        format: INT32,
        latency,
        more: std::ptr::null_mut(),
    };
    let (input, output) = (side(its.latencies[0]), side(its.latencies[1]));
    let open: unsafe extern "C" fn(
        *mut Stream,
        *const Side,
        *const Side,
        f64,
        u32,
        u32,
        Callback,
        *mut c_void,
    ) -> i32 = audio.function("Pa_OpenStream");
    let mut play = Box::new(Play {
        sound,
        frames,
        tail_frames,
        sent: 0,
        heard: Vec::with_capacity((frames as usize + 400_000) * CHANNELS),
        flags: 0,
        asked: Instant::now(),
        longest: Duration::ZERO,
        is_over: false.into(),
    });
    let mut stream = std::ptr::null_mut();
    let inputs = if captures { &raw const input } else { std::ptr::null() };
    let place: *mut Play = &raw mut *play;
    // SAFETY: all structures live over the call, what is played lives until the stream is closed.
    let code = unsafe {
        open(
            &raw mut stream,
            inputs,
            &raw const output,
            rate.into(),
            block,
            UNTOUCHED,
            on_block,
            place.cast(),
        )
    };
    audio.well(&format!("Pa_OpenStream at {rate} Hz in blocks of {block}"), code);
    let info: unsafe extern "C" fn(Stream) -> *const Info = audio.function("Pa_GetStreamInfo");
    // SAFETY: an open stream.
    let info = unsafe { &*info(stream) };
    assert!((info.rate - f64::from(rate)).abs() < 0.5, "{} instead of {rate} Hz", info.rate);
    let latency_frames = (info.input_latency + info.output_latency) * f64::from(rate);
    audio.call("Pa_StartStream", stream);
    let end = Instant::now() + PATIENCE;
    // SAFETY: an atomic within what lives still.
    while !unsafe { &(*place).is_over }.load(std::sync::atomic::Ordering::Acquire) {
        assert!(Instant::now() < end, "{rate} Hz, {block}: it stands still");
        std::thread::sleep(Duration::from_millis(1));
    }
    audio.call("Pa_AbortStream", stream);
    audio.call("Pa_CloseStream", stream);
    Ran { heard: play.heard, latency_frames, flags: play.flags, longest: play.longest }
}

/// What the device wrote down of its latest run: its rate, and the samples from the first that is not silence.
fn recorded() -> (u32, Vec<i32>) {
    let folder = PathBuf::from(std::env::var(RECORDS).unwrap());
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let file = files.max().expect("a record");
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    let rate = name.split('.').nth(2).unwrap().parse().unwrap();
    let words = std::fs::read(&file).unwrap();
    let words = words.chunks_exact(4).map(|word| i32::from_le_bytes(word.try_into().unwrap()));
    (rate, words.skip_while(|&word| word == 0).collect())
}

/// Compares from the first sample that is not silence.
fn exact(what: &str, found: &[i32], frames: u64) {
    for n in 0..frames as usize * CHANNELS {
        let expected = sample((n / CHANNELS) as u64, n % CHANNELS);
        assert_eq!(found.get(n), Some(&expected), "{what}: sample {n} of {frames} frames");
    }
    println!("{what}: {frames} frames bit for bit");
}

#[test]
#[ignore = "needs the library and the simulated devices of `cargo xtask windows`"]
fn what_a_stranger_plays_arrives_bit_for_bit_at_every_rate() {
    let audio = PortAudio::new().expect("BAREWIRE_PORTAUDIO");
    let (_, device) = audio.find("Barewire");
    assert!(device.outputs >= 2 && device.inputs >= 2, "{} in", device.inputs);
    for rate in [44_100, 48_000, 96_000, 192_000, 44_100] {
        for block in [0, 64, 256, 480, 1024] {
            let what = format!("{rate} Hz, blocks of {block}");
            let ran = run(&audio, false, rate, block, u64::from(rate));
            let (its, found) = recorded();
            assert_eq!(its, rate, "{what}: the device's rate");
            exact(&what, &found, u64::from(rate));
            assert_eq!(ran.flags, 0, "{what}: PortAudio saw a gap");
        }
    }
}

#[test]
#[ignore = "needs the library and the simulated devices of `cargo xtask windows`"]
fn a_minute_through_a_stranger_arrives_bit_for_bit_and_comes_back() {
    let audio = PortAudio::new().expect("BAREWIRE_PORTAUDIO");
    for block in [256, 1024] {
        let frames = 60 * 48_000;
        let ran = run(&audio, true, 48_000, block, frames);
        let (_, found) = recorded();
        exact(&format!("both directions, blocks of {block}"), &found, frames);
        let silence = ran.heard.iter().position(|&word| word != 0).expect("something comes back");
        exact(&format!("back, blocks of {block}"), &ran.heard[silence..], frames);
        println!(
            "round trip {} frames, PortAudio states {:.1}",
            silence / CHANNELS,
            ran.latency_frames
        );
    }
}

/// A line to the simulated card, which keeps real time from now on, but for waiting until it has something to play.
struct Card(Box<dyn Object>);

impl Card {
    fn new(transport: &str) -> Self {
        let kernel = RealKernel::new(RealSystem::new());
        let found = kernel.filters(&category::REALTIME).unwrap().into_iter().next();
        let path = found.expect("the simulated card is installed").path;
        let mut own = Self(kernel.open_filter(&path).unwrap());
        let by_packets = transport == "packets";
        let description = Description {
            waits_for_data: true,
            looped: !by_packets,
            streaming: by_packets,
            ..Description::default()
        };
        own.command(&format!("describe\n{}", description.to_text()), &mut []);
        own.command("step 0", &mut []);
        own
    }

    fn command(&mut self, text: &str, answer: &mut [u8]) -> usize {
        self.0.control(lab_code::COMMAND, text.as_bytes(), answer).unwrap()
    }

    /// What it has played since this was last asked, from the first sample that is not silence.
    fn played(&mut self) -> Vec<i32> {
        let mut all = Vec::new();
        loop {
            let mut bytes = vec![0; 1 << 18];
            let length = self.command("take", &mut bytes);
            if length == 0 {
                break;
            }
            all.extend_from_slice(&bytes[..length]);
        }
        let words = all.chunks_exact(4).map(|word| i32::from_le_bytes(word.try_into().unwrap()));
        words.skip_while(|&word| word == 0).collect()
    }
}

/// A sample of 24 bits, never 0: what the card has room for.
fn sample_24(frame: u64, channel: usize) -> i32 {
    sample(frame, channel) & !0xFF | 0x100
}

/// The first sample that is not as it was sent.
fn differs_24(found: &[i32], frames: u64) -> Option<usize> {
    let expected = |n: usize| sample_24((n / CHANNELS) as u64, n % CHANNELS);
    (0..frames as usize * CHANNELS).find(|&n| found.get(n) != Some(&expected(n)))
}

/// Plays on the card and hears it again. The card waits, but it does not say so: from the time that has passed the driver tells
/// how often the card went round its ring, so that it has missed frames when it was kept from running for so long. Then it is
/// tried again. It was if a block came later than half a block too late; the card's own ring holds two.
fn round_trip(card: &mut Card, audio: &PortAudio, what: &str, rate: u32, block: u32) {
    /// What PortAudio takes where the driver prefers it.
    const PREFERRED: u32 = 256;
    const MOST_ATTEMPTS: u32 = 12;
    let frames = u64::from(rate);
    let most = Duration::from_secs(1) * block.max(PREFERRED) * 3 / 2 / rate;
    for _ in 0..MOST_ATTEMPTS {
        let ran = play(audio, true, rate, block, (sample_24, frames, SHORT_TAIL_FRAMES));
        let silence = ran.heard.iter().position(|&word| word != 0).expect("it comes back");
        let differs =
            [differs_24(&card.played(), frames), differs_24(&ran.heard[silence..], frames)];
        if differs == [None, None] {
            assert_eq!(ran.flags, 0, "{what}: PortAudio saw a gap");
            println!("{what}: {frames} frames bit for bit, and back");
            let told = ran.latency_frames;
            println!("round trip {} frames, PortAudio states {told:.1}", silence / CHANNELS);
            return;
        }
        assert!(ran.longest > most, "{what}: {differs:?} differ, {:?} at most", ran.longest);
        println!(
            "{what}: {differs:?} differ, and the machine kept it waiting for {:?}",
            ran.longest
        );
    }
    panic!("{what}: not once in {MOST_ATTEMPTS} attempts");
}

#[test]
#[ignore = "needs the library and the simulated card of `cargo xtask windows`"]
fn a_stranger_plays_and_captures_on_a_card_by_kernel_streaming() {
    let transport = std::env::var(TRANSPORT).unwrap();
    let mut card = Card::new(&transport);
    let audio = PortAudio::new().expect("BAREWIRE_PORTAUDIO");
    // PortAudio looks for kernel streaming itself, by a call that Wine 8 has not and ends the process at, unless there is no
    // library that makes pins. The driver looks for it when it opens one.
    let own = std::env::current_exe().unwrap();
    std::fs::copy(std::env::var(PIN_MAKER).unwrap(), own.with_file_name("ksuser.dll")).unwrap();
    for rate in [44_100, 48_000, 96_000] {
        for block in [0, 64, 1024] {
            let what = format!("{transport}, {rate} Hz, blocks of {block}");
            round_trip(&mut card, &audio, &what, rate, block);
        }
    }
}

#[test]
#[ignore = "needs the library and the sound server of `cargo xtask windows`"]
fn what_a_stranger_plays_arrives_through_the_mixer() {
    const RATE: u32 = 48_000;
    const FRAMES: u64 = 2 * RATE as u64;
    /// What both backends keep queued beyond a block, less a period of the mixer.
    const QUEUED: Duration = Duration::from_millis(20);
    let sink = PathBuf::from(std::env::var(SINK).unwrap());
    let name = std::env::var(FORMAT).unwrap();
    let formats = [SampleFormat::INT24, SampleFormat::INT32];
    let format = formats.into_iter().find(|format| format.name() == name).unwrap();
    let audio = PortAudio::new().expect("BAREWIRE_PORTAUDIO");
    let tune: Sound = |frame, channel| wire::tune(frame)[channel].cast_signed();
    for block in [0, 4096] {
        wire::insist(&format!("blocks of {block}"), || {
            let begin = wire::end_of(&sink);
            let ran = play(&audio, false, RATE, block, (tune, FRAMES, RATE.into()));
            let outcome = wire::arrived(&sink, begin, format, FRAMES);
            if let Outcome::Exact { .. } = outcome {
                println!("blocks of {block}: {FRAMES} frames bit for bit");
            }
            // A driver that was kept from running tells it, but not by way of PortAudio: the time between two blocks does.
            let most = Duration::from_secs(1) * block / RATE + QUEUED;
            match outcome {
                Outcome::Gap(_) if ran.longest > most => (Outcome::Missed(1), false),
                outcome => (outcome, ran.flags == 0),
            }
        });
    }
}
