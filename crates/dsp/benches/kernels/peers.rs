//! Other resamplers on the same tones in the same run: rubato, and libsamplerate, libsoxr and libspeexdsp where the system has
//! them (loaded when this runs). zita-resampler is C++ without a C interface and PortAudio exports none of its converters, so
//! that neither can be loaded like this.

use barewire_dsp::{Dither, Resampler, ResamplerShape};
use barewire_rt::{Area, AreaMut};
use barewire_types::{RateHz, SampleFormat};
use libloading::Library;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Async, FixedAsync, Resampler as _, SincInterpolationParameters, WindowFunction};
use std::f64::consts::TAU;
use std::ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void};
use std::time::Instant;

const FRAMES: usize = 44_100;
const CHUNK: usize = 512;
const FROM_HZ: f64 = 44_100.0;
const TO_HZ: f64 = 48_000.0;

/// Takes one second of stereo and gives the nanoseconds spent and what came out.
type Peer = Box<dyn Fn(&[f64]) -> (f64, Vec<f64>)>;

pub(crate) fn table() {
    println!("\nResamplers beside others, 44100 → 48000 Hz, stereo, −1 dBFS\n");
    println!(
        "| resampler | ns/output frame | THD+N 997 Hz | 10 kHz | 18 kHz | 20 kHz | level at 20 kHz |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut peers: Vec<(&str, Peer)> = vec![
        ("barewire, float64", Box::new(ours)),
        ("rubato 5 sinc 256 cubic, float64", Box::new(|x: &[f64]| sinc(x, 256))),
        ("rubato 5 sinc 128 cubic, float64", Box::new(|x: &[f64]| sinc(x, 128))),
        ("rubato 5 sinc 64 cubic, float64", Box::new(|x: &[f64]| sinc(x, 64))),
    ];
    peers.extend(samplerate(0).map(|peer| ("libsamplerate best, float32", peer)));
    peers.extend(samplerate(1).map(|peer| ("libsamplerate medium, float32", peer)));
    peers.extend(soxr(6, 0).map(|peer| ("libsoxr very high, fixed rate, float64", peer)));
    peers.extend(soxr(4, 32).map(|peer| ("libsoxr high, variable rate", peer)));
    peers.extend(speex().map(|peer| ("libspeexdsp quality 10, float32", peer)));
    for (name, peer) in peers {
        row(name, &peer);
    }
}

fn row(name: &str, peer: &Peer) {
    let mut best_ns = f64::INFINITY;
    let mut words = String::new();
    let mut level = 0.0;
    for hz in [997.0, 10_000.0, 18_000.0, 20_000.0] {
        let input: Vec<f64> = (0_u32..44_100)
            .flat_map(|n| [0.891_250_938 * (TAU * (hz / FROM_HZ * f64::from(n)).fract()).sin(); 2])
            .collect();
        let mut output = Vec::new();
        for _ in 0..3 {
            let (ns, out) = peer(&input);
            best_ns = best_ns.min(ns / (out.len() as f64 / 2.0));
            output = out;
        }
        let left: Vec<f64> = output.chunks_exact(2).map(|frame| frame[0]).collect();
        let middle = &left[8_000.min(left.len())..40_000.min(left.len())];
        let (found, thd) = fit(middle, hz / TO_HZ);
        words += &format!(" {thd:.1} dB |");
        level = found + 1.0;
    }
    println!("| {name} | {best_ns:.1} |{words} {level:+.3} dB |");
}

/// Level in dB of the sine that fits best, and the residual against it.
fn fit(samples: &[f64], cycles_per_frame: f64) -> (f64, f64) {
    let (mut ss, mut sc, mut cc, mut xs, mut xc) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let basis = |n: usize| (TAU * (cycles_per_frame * n as f64).fract()).sin_cos();
    for (n, x) in samples.iter().enumerate() {
        let (s, c) = basis(n);
        ss += s * s;
        sc += s * c;
        cc += c * c;
        xs += x * s;
        xc += x * c;
    }
    let det = ss * cc - sc * sc;
    let (a, b) = ((xs * cc - xc * sc) / det, (xc * ss - xs * sc) / det);
    let off = |(n, x): (usize, &f64)| {
        let (s, c) = basis(n);
        (x - a * s - b * c).powi(2)
    };
    let residual: f64 = samples.iter().enumerate().map(off).sum();
    let power = (a * a + b * b) / 2.0;
    (10.0 * (2.0 * power).log10(), 10.0 * (residual / samples.len() as f64 / power).log10())
}

fn ours(input: &[f64]) -> (f64, Vec<f64>) {
    let shape = ResamplerShape {
        from: SampleFormat::FLOAT64,
        from_rate: RateHz::CD,
        to: SampleFormat::FLOAT64,
        to_rate: RateHz::DAT,
        channels: 2,
        most_frames: 2 * 512,
        dither: Dither::Off,
        seed: 0,
    };
    let mut resampler = Resampler::new(shape).unwrap();
    let bytes: Vec<u8> = input.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut output = vec![0; 49_000 * 16];
    let mut done = 0;
    let start = Instant::now();
    for piece in bytes.chunks(CHUNK * 16) {
        resampler.feed(Area::from_slice(piece, 2, 8));
        done += resampler.produce(AreaMut::from_slice(&mut output, 2, 8).part(done, u32::MAX));
    }
    let ns = start.elapsed().as_secs_f64() * 1e9;
    output.truncate(done as usize * 16);
    (ns, output.chunks_exact(8).map(|s| f64::from_le_bytes(s.try_into().unwrap())).collect())
}

fn sinc(input: &[f64], length: usize) -> (f64, Vec<f64>) {
    let parameters = SincInterpolationParameters::new(length, WindowFunction::BlackmanHarris2);
    let parameters = parameters.oversampling_factor(256);
    let made =
        Async::<f64>::new_sinc(TO_HZ / FROM_HZ, 1.1, &parameters, CHUNK, 2, FixedAsync::Input);
    let mut resampler = made.unwrap();
    let mut output = Vec::with_capacity(100_000);
    let mut piece_out = vec![0.0; 2 * 2 * CHUNK];
    let mut ns = 0.0;
    for piece in input.chunks_exact(CHUNK * 2) {
        let from = InterleavedSlice::new(piece, 2, CHUNK).unwrap();
        let mut to = InterleavedSlice::new_mut(&mut piece_out, 2, 2 * CHUNK).unwrap();
        let start = Instant::now();
        let (_, frames) = resampler.process_into_buffer(&from, &mut to, None).unwrap();
        ns += start.elapsed().as_secs_f64() * 1e9;
        output.extend_from_slice(&piece_out[..2 * frames]);
    }
    (ns, output)
}

/// A library of the system, kept loaded.
fn library(name: &str) -> Option<&'static Library> {
    // SAFETY: well-known libraries whose loading runs no code that does harm.
    unsafe { Library::new(name) }.ok().map(|library| &*Box::leak(Box::new(library)))
}

#[expect(clippy::cast_possible_truncation, reason = "as these libraries take them")]
fn as_f32(input: &[f64]) -> Vec<f32> {
    input.iter().map(|&x| x as f32).collect()
}

/// `SRC_DATA` of samplerate.h.
#[repr(C)]
struct SrcData {
    data_in: *const f32,
    data_out: *mut f32,
    input_frames: c_long,
    output_frames: c_long,
    input_frames_used: c_long,
    output_frames_gen: c_long,
    end_of_input: c_int,
    src_ratio: f64,
}

fn samplerate(converter: c_int) -> Option<Peer> {
    type New = unsafe extern "C" fn(c_int, c_int, *mut c_int) -> *mut c_void;
    type Process = unsafe extern "C" fn(*mut c_void, *mut SrcData) -> c_int;
    let library = library("libsamplerate.so.0")?;
    // SAFETY: the types are those of samplerate.h.
    let new = unsafe { library.get::<New>(b"src_new") }.ok()?;
    // SAFETY: as above.
    let process = unsafe { library.get::<Process>(b"src_process") }.ok()?;
    Some(Box::new(move |input| {
        let input = as_f32(input);
        let (mut output, mut ns) = (Vec::new(), 0.0);
        let mut piece_out = [0.0_f32; 4 * CHUNK];
        let mut error = 0;
        // SAFETY: the bench's few states are never freed.
        let state = unsafe { new(converter, 2, &raw mut error) };
        for piece in input.chunks(CHUNK * 2) {
            let mut data = SrcData {
                data_in: piece.as_ptr(),
                data_out: piece_out.as_mut_ptr(),
                input_frames: c_long::try_from(piece.len() / 2).unwrap(),
                output_frames: c_long::try_from(2 * CHUNK).unwrap(),
                input_frames_used: 0,
                output_frames_gen: 0,
                end_of_input: 0,
                src_ratio: TO_HZ / FROM_HZ,
            };
            let start = Instant::now();
            // SAFETY: the buffers have the frames that are told.
            assert_eq!(unsafe { process(state, &raw mut data) }, 0);
            ns += start.elapsed().as_secs_f64() * 1e9;
            let got = usize::try_from(data.output_frames_gen).unwrap();
            output.extend(piece_out[..2 * got].iter().map(|&x| f64::from(x)));
        }
        (ns, output)
    }))
}

/// `soxr_io_spec_t` of soxr.h.
#[repr(C)]
struct SoxrIo {
    from: c_int,
    to: c_int,
    scale: f64,
    extra: *mut c_void,
    flags: c_ulong,
}

/// `soxr_quality_spec_t` of soxr.h.
#[repr(C)]
struct SoxrQuality {
    precision: f64,
    phase_response: f64,
    passband_end: f64,
    stopband_begin: f64,
    extra: *mut c_void,
    flags: c_ulong,
}

fn soxr(recipe: c_ulong, flags: c_ulong) -> Option<Peer> {
    type Io = unsafe extern "C" fn(c_int, c_int) -> SoxrIo;
    type Quality = unsafe extern "C" fn(c_ulong, c_ulong) -> SoxrQuality;
    type Create = unsafe extern "C" fn(
        f64,
        f64,
        c_uint,
        *mut *const c_char,
        *const SoxrIo,
        *const SoxrQuality,
        *const c_void,
    ) -> *mut c_void;
    type Process = unsafe extern "C" fn(
        *mut c_void,
        *const c_void,
        usize,
        *mut usize,
        *mut c_void,
        usize,
        *mut usize,
    ) -> *const c_char;
    let library = library("libsoxr.so.0")?;
    // SAFETY: the types are those of soxr.h.
    let io = unsafe { library.get::<Io>(b"soxr_io_spec") }.ok()?;
    // SAFETY: as above.
    let quality = unsafe { library.get::<Quality>(b"soxr_quality_spec") }.ok()?;
    // SAFETY: as above.
    let create = unsafe { library.get::<Create>(b"soxr_create") }.ok()?;
    // SAFETY: as above.
    let process = unsafe { library.get::<Process>(b"soxr_process") }.ok()?;
    // SOXR_FLOAT64_I is 1.
    Some(Box::new(move |input| {
        let (mut output, mut ns) = (Vec::new(), 0.0);
        let mut piece_out = vec![0.0_f64; 8 * CHUNK];
        let mut error = std::ptr::null();
        // SAFETY: plain data.
        let (io, quality) = unsafe { (io(1, 1), quality(recipe, flags)) };
        // A variable rate is given as input over output, relative to the most.
        // SAFETY: the specifications live over the call.
        let state = unsafe {
            create(
                FROM_HZ,
                TO_HZ,
                2,
                &raw mut error,
                &raw const io,
                &raw const quality,
                std::ptr::null(),
            )
        };
        if state.is_null() {
            return (f64::NAN, vec![0.0; 2 * FRAMES]);
        }
        for piece in input.chunks(CHUNK * 2) {
            let (mut used, mut got) = (0, 0);
            let (frames, room) = (piece.len() / 2, 4 * CHUNK);
            let to = piece_out.as_mut_ptr().cast();
            let start = Instant::now();
            // SAFETY: the buffers have the frames that are told.
            unsafe {
                process(state, piece.as_ptr().cast(), frames, &raw mut used, to, room, &raw mut got)
            };
            ns += start.elapsed().as_secs_f64() * 1e9;
            output.extend_from_slice(&piece_out[..2 * got]);
        }
        (ns, output)
    }))
}

fn speex() -> Option<Peer> {
    type Init = unsafe extern "C" fn(u32, u32, u32, c_int, *mut c_int) -> *mut c_void;
    type Process =
        unsafe extern "C" fn(*mut c_void, *const f32, *mut u32, *mut f32, *mut u32) -> c_int;
    let library = library("libspeexdsp.so.1")?;
    // SAFETY: the types are those of speex_resampler.h.
    let init = unsafe { library.get::<Init>(b"speex_resampler_init") }.ok()?;
    // SAFETY: as above.
    let process =
        unsafe { library.get::<Process>(b"speex_resampler_process_interleaved_float") }.ok()?;
    Some(Box::new(move |input| {
        let input: Vec<f32> = as_f32(input);
        let (mut output, mut ns, mut error) = (Vec::new(), 0.0, 0);
        let mut piece_out = [0.0_f32; 4 * CHUNK];
        // SAFETY: the bench's few states are never freed.
        let state = unsafe { init(2, 44_100, 48_000, 10, &raw mut error) };
        for piece in input.chunks(CHUNK * 2) {
            let mut used = u32::try_from(piece.len() / 2).unwrap();
            let mut got = u32::try_from(2 * CHUNK).unwrap();
            let (from, to) = (piece.as_ptr(), piece_out.as_mut_ptr());
            let start = Instant::now();
            // SAFETY: the buffers have the frames that are told.
            unsafe { process(state, from, &raw mut used, to, &raw mut got) };
            ns += start.elapsed().as_secs_f64() * 1e9;
            output.extend(piece_out[..2 * got as usize].iter().map(|&x| f64::from(x)));
        }
        (ns, output)
    }))
}
