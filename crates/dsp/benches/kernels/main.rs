//! `cargo bench -p barewire-dsp`: one table of kernels beside memcpy of the same bytes in the same run, and one of
//! resamplers. Ratios are what counts: machines differ and are busy; each figure is the best of many short runs, taken by
//! turns with the memcpy that it is compared with. `-- plain` and `-- sse41` keep to a tier.

#![allow(clippy::unwrap_used, reason = "a bench may stop with a reason")]

#[cfg(feature = "peers")]
mod peers;
mod resamplers;
mod timing;

use barewire_dsp::{Copier, Dither, Mixer, MixerShape, Rest, Route, Source, Tier};
use barewire_rt::{Area, AreaMut};
use barewire_types::{RateHz, SampleFormat};
use timing::{by_turns, copy_ns};

const INT16: SampleFormat = SampleFormat::INT16;
const INT24: SampleFormat = SampleFormat::INT24;
const INT24_IN_32: SampleFormat = SampleFormat::INT24_IN_32;
const INT32: SampleFormat = SampleFormat::INT32;
const FLOAT32: SampleFormat = SampleFormat::FLOAT32;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let tier = match words.iter().map(String::as_str).find(|w| ["plain", "sse41"].contains(w)) {
        Some("plain") => Tier::Plain,
        Some(_) => Tier::Sse41,
        None => Tier::best(),
    };
    println!("Kernels on {tier:?}, in cache, copies of {COPY_BYTES} bytes on the wider side\n");
    let copy = timing::best(&mut copy_ns(COPY_BYTES));
    println!("memcpy of {COPY_BYTES} bytes: {:.1} GB/s\n", timing::giga(COPY_BYTES, copy));
    println!("| kernel | channels | Gsamples/s | of memcpy | target | |");
    println!("|---|---|---|---|---|---|");
    for channels in [2, 8] {
        conversions(tier, channels);
    }
    mixing(tier);
    println!();
    resamplers::table(tier);
}

fn routes(channels: u16) -> Vec<Route> {
    (0..channels).map(|n| Route { from: n, to: n }).collect()
}

/// Bytes of the wider side of a copy: source and destination fit the smallest L1 cache in use together.
const COPY_BYTES: usize = 8192;

/// A row of the table; what is missed says so.
fn row(name: &str, channels: u16, rate: f64, share: Option<f64>, target: Option<(f64, bool)>) {
    let (target, mark) = match target {
        Some((least, true)) => {
            (format!("{:.0} %", least * 100.0), share.is_some_and(|s| s >= least))
        }
        Some((least, false)) => (format!("{least} Gsamples/s"), rate >= least),
        None => (String::new(), true),
    };
    let mark = if mark { "" } else { "missed" };
    let share = share.map(|share| format!("{:.0} %", share * 100.0)).unwrap_or_default();
    println!("| {name} | {channels} | {rate:.2} | {share} | {target} | {mark} |");
}

fn conversions(tier: Tier, channels: u16) {
    // Format of the device (interleaved), format of the host (planar), least share of memcpy.
    let pairs = [
        (INT16, INT16, Some((0.6, true))),
        (INT16, INT32, Some((0.6, true))),
        (INT32, INT32, Some((0.5, true))),
        (INT24_IN_32, INT32, Some((0.5, true))),
        (INT24, INT32, Some((0.5, true))),
        (INT24, INT24, Some((0.5, true))),
        (INT16, FLOAT32, None),
        (INT32, FLOAT32, None),
        (FLOAT32, FLOAT32, None),
    ];
    for (device, host, target) in pairs {
        for to_device in [true, false] {
            let (share, rate) = conversion(tier, device, host, channels, to_device);
            let name = if to_device {
                format!("planar {host} → interleaved {device}")
            } else {
                format!("interleaved {device} → planar {host}")
            };
            row(&name, channels, rate, Some(share), target);
        }
    }
}

fn conversion(
    tier: Tier,
    device: SampleFormat,
    host: SampleFormat,
    channels: u16,
    to_device: bool,
) -> (f64, f64) {
    let count = usize::from(channels);
    let frames = COPY_BYTES / (count * device.bytes().max(host.bytes())) / 16 * 16;
    let frames_u32 = u32::try_from(frames).unwrap();
    let (from, to) = if to_device { (host, device) } else { (device, host) };
    let copier = Copier::new(from, to, channels, channels, &routes(channels), Rest::Silence);
    let copier = copier.unwrap().on_tier(tier).unwrap();
    let bytes = frames * count * device.bytes();
    let mut memory = vec![0_u8; bytes + 4096];
    let aligned = memory.as_ptr().align_offset(4096);
    let interleaved = &mut memory[aligned..aligned + bytes];
    let mut arena = timing::Planes::new(count, frames * host.bytes());
    let planes = arena.pointers();
    let most_bytes = frames * count * device.bytes().max(host.bytes());
    let (copy, run) = by_turns(copy_ns(most_bytes), || {
        if to_device {
            // SAFETY: the planes are vectors of that many samples, which live on.
            let from = unsafe { Area::planar(&planes, host.bytes(), frames_u32) };
            copier.run(from, AreaMut::from_slice(interleaved, count, device.bytes()));
        } else {
            // SAFETY: as above; nothing else looks at them.
            let to = unsafe { AreaMut::planar(&planes, host.bytes(), frames_u32) };
            copier.run(Area::from_slice(interleaved, count, device.bytes()), to);
        }
    });
    let rate = timing::giga(frames * count, run);
    (copy / run, rate)
}

fn mixing(tier: Tier) {
    let sum = mix(tier, 8, INT32, INT32, Dither::Off, 1.0);
    row(
        "sum of 8 clients, int32 → int32, source samples",
        2,
        sum.1,
        Some(sum.0),
        Some((10.0, false)),
    );
    let gain = mix(tier, 8, FLOAT32, INT32, Dither::Off, 0.7);
    row("mix of 8 clients, float32 × gain → int32, source samples", 2, gain.1, Some(gain.0), None);
    for (name, dither, least) in [
        ("no", Dither::Off, None),
        ("flat TPDF", Dither::Flat, Some((3.0, false))),
        ("high-pass TPDF", Dither::HighPass, None),
        ("shaped", Dither::Shaped, Some((0.3, false))),
    ] {
        let (share, rate) = mix(tier, 1, FLOAT32, INT16, dither, 0.7);
        row(&format!("float32 × gain → int16, {name} dither"), 2, rate, Some(share), least);
        for channels in [2, 8] {
            let samples = usize::from(channels) * barewire_dsp::bench::ROUNDING_FRAMES;
            let rate = barewire_dsp::bench::rounding(tier, channels, dither, &mut |run| {
                timing::giga(samples, timing::best(run))
            });
            row(
                &format!("the rounding alone, {name} dither, bus → int16"),
                channels,
                rate,
                None,
                least,
            );
        }
    }
}

/// `clients` planar clients into one interleaved device; source samples a second, and beside memcpy of what is read.
fn mix(
    tier: Tier,
    clients: usize,
    from: SampleFormat,
    to: SampleFormat,
    dither: Dither,
    gain: f64,
) -> (f64, f64) {
    let frames = 256;
    let shape =
        MixerShape { to, to_channels: 2, rate: RateHz::CD, most_frames: 256, dither, seed: 1 };
    let mut mixer = Mixer::new(shape).unwrap().on_tier(tier).unwrap();
    let mut source = Source::new(from, 2, 2, &routes(2), 0).unwrap().on_tier(tier).unwrap();
    source.set_gain(gain);
    let mut sources = vec![source; clients];
    let mut arena = timing::Planes::new(2 * clients, frames * from.bytes());
    let planes = arena.pointers();
    let mut out = vec![0; frames * 2 * to.bytes()];
    let (copy, run) = by_turns(copy_ns(clients * frames * 2 * from.bytes()), || {
        mixer.begin(256);
        for (source, planes) in sources.iter_mut().zip(planes.chunks(2)) {
            // SAFETY: the planes are vectors of that many samples, which live on.
            let area = unsafe { Area::planar(planes, from.bytes(), 256) };
            mixer.add(source, area);
        }
        mixer.finish(AreaMut::from_slice(&mut out, 2, to.bytes()));
    });
    (copy / run, timing::giga(clients * frames * 2, run))
}
