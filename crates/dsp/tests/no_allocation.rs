//! What runs on the device thread takes and gives back no memory.

#![allow(clippy::unwrap_used, reason = "tests")]

use barewire_dsp::{
    ClockEstimator, Copier, Dither, Dop, DopDetector, Mixer, MixerShape, Resampler, ResamplerShape,
    Rest, Route, Source, silence,
};
use barewire_rt::{Area, AreaMut};
use barewire_types::{RateHz, SampleFormat};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.with(|calls| calls.set(calls.get() + 1));
        // SAFETY: as promised to us.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        CALLS.with(|calls| calls.set(calls.get() + 1));
        // SAFETY: as promised to us.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn calls_in(run: impl FnOnce()) -> u64 {
    let before = CALLS.with(Cell::get);
    run();
    CALLS.with(Cell::get) - before
}

#[test]
fn the_counter_counts() {
    assert!(calls_in(|| drop(std::hint::black_box(vec![1_u8; 100]))) >= 2);
}

#[test]
fn kernels_take_no_memory() {
    let (int32, int16) = (SampleFormat::INT32, SampleFormat::INT16);
    let routes: Vec<Route> = (0..9).map(|n| Route { from: n, to: n }).collect();
    let copier = Copier::new(int32, int16, 9, 9, &routes, Rest::Silence).unwrap();
    let (memory, mut out) = (vec![0x33; 36_000], vec![0; 36_000]);
    let mut source = Source::new(int32, 9, 9, &routes, 100).unwrap();
    let mut mixers: Vec<Mixer> = [Dither::Off, Dither::Flat, Dither::HighPass, Dither::Shaped]
        .map(|dither| MixerShape {
            to: int16,
            to_channels: 9,
            rate: RateHz::CD,
            most_frames: 1000,
            dither,
            seed: 1,
        })
        .map(|shape| Mixer::new(shape).unwrap())
        .into();
    let shape = ResamplerShape {
        from: int32,
        from_rate: RateHz::CD,
        to: int32,
        to_rate: RateHz::DAT,
        channels: 9,
        most_frames: 1000,
        dither: Dither::Flat,
        seed: 1,
    };
    let mut resampler = Resampler::new(shape).unwrap();
    let dsd = SampleFormat::from_name("dsd8msb").unwrap();
    let mut dop = Dop::new(dsd, int32, 9).unwrap();
    let mut detector = DopDetector::new(int32, 9).unwrap();
    let mut clock = ClockEstimator::new(RateHz::DAT);
    let calls = calls_in(|| {
        for n in 0..20_u32 {
            let area = Area::from_slice(&memory, 9, 4);
            copier.run(area, AreaMut::from_slice(&mut out, 9, 2));
            for mixer in &mut mixers {
                source.set_gain(f64::from(n) / 20.0);
                mixer.begin(1000);
                mixer.add(&mut source, area);
                mixer.finish(AreaMut::from_slice(&mut out, 9, 2));
            }
            resampler.set_drift_ppm(f64::from(n));
            resampler.feed(area.part(0, 500));
            resampler.produce(AreaMut::from_slice(&mut out, 9, 4));
            dop.pack(
                Area::from_slice(&memory[..18_000], 9, 1),
                AreaMut::from_slice(&mut out, 9, 4),
            );
            detector.look(area);
            silence(int16, AreaMut::from_slice(&mut out, 9, 2));
            clock.update(u64::from(n) * 64, 1_000_000_000 + u64::from(n) * 1_333_333);
        }
    });
    assert_eq!(calls, 0);
}
