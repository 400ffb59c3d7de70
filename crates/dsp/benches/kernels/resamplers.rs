//! Resamplers: nanoseconds an output frame of stereo. Quality is measured by `cargo test -p barewire-dsp --test resampling`.

use crate::timing;
use barewire_dsp::{Dither, Resampler, ResamplerShape, Tier};
use barewire_rt::{Area, AreaMut};
use barewire_types::{RateHz, SampleFormat};

pub(crate) fn table(tier: Tier) {
    println!("Resamplers, stereo\n\n| from → to | ns/frame | target | |\n|---|---|---|---|");
    for (from, to, ppm) in [
        (44_100, 48_000, 0.0),
        (44_100, 48_000, 100.0),
        (48_000, 48_000, 100.0),
        (48_000, 44_100, 0.0),
        (96_000, 48_000, 0.0),
    ] {
        let ns = ours(tier, from, to, ppm);
        let mark = if ns <= 60.0 { "" } else { "missed" };
        println!("| {from} → {to}, {ppm} ppm | {ns:.1} | 60 | {mark} |");
    }
    #[cfg(feature = "peers")]
    crate::peers::table();
}

fn ours(tier: Tier, from: u32, to: u32, ppm: f64) -> f64 {
    let shape = ResamplerShape {
        from: SampleFormat::FLOAT32,
        from_rate: RateHz::new(from).unwrap(),
        to: SampleFormat::FLOAT32,
        to_rate: RateHz::new(to).unwrap(),
        channels: 2,
        most_frames: 512,
        dither: Dither::Off,
        seed: 0,
    };
    let mut resampler = Resampler::new(shape).unwrap().on_tier(tier).unwrap();
    resampler.set_drift_ppm(ppm);
    let input: Vec<u8> =
        (0_u16..4096).flat_map(|n| (f32::from(n % 97) / 97.0 - 0.5).to_le_bytes()).collect();
    let mut output = vec![0; 512 * 8];
    let ns = timing::best(&mut || {
        let needed = resampler.needed_frames(512);
        resampler.feed(Area::from_slice(&input, 2, 4).part(0, needed));
        resampler.produce(AreaMut::from_slice(&mut output, 2, 4));
    });
    ns / 512.0
}
