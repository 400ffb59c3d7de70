//! `cargo run --release -p barewire-dsp --example long-identity [values]`: sends 10^9 random 32-bit values (or as many as are
//! asked for) through each integer path that must not alter them, on each tier, and compares them all.

#![allow(clippy::unwrap_used, reason = "a program that may stop with a reason")]

use barewire_dsp::{Copier, Dither, Mixer, MixerShape, Rest, Route, Source, Tier};
use barewire_rt::{Area, AreaMut};
use barewire_types::{Encoding, RateHz, SampleFormat};

const FRAMES: usize = 1 << 15;
const INT32: SampleFormat = SampleFormat::INT32;

fn main() {
    let values = std::env::args().nth(1).map_or(1_000_000_000, |word| word.parse().unwrap());
    let tiers = [Tier::Plain, Tier::Sse41, Tier::Avx2].into_iter().filter(|tier| tier.is_there());
    for tier in tiers {
        for channels in [2_u16, 8] {
            for wire in [INT32, SampleFormat::big(Encoding::Int32), SampleFormat::FLOAT64] {
                let start = std::time::Instant::now();
                copied(values, tier, channels, wire);
                let seconds = start.elapsed().as_secs_f64();
                println!(
                    "{tier:?}: {values} values through {wire}, {channels} channels: unaltered ({seconds:.1} s)"
                );
            }
            mixed(values, tier, channels);
            println!(
                "{tier:?}: {values} values through the sum lane, {channels} channels: unaltered"
            );
        }
    }
}

struct Random(u64);

impl Random {
    fn fill(&mut self, memory: &mut [u8]) {
        for sample in memory.chunks_exact_mut(4) {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            sample.copy_from_slice(&self.0.to_le_bytes()[4..]);
        }
    }
}

fn routes(channels: u16) -> Vec<Route> {
    (0..channels).map(|n| Route { from: n, to: n }).collect()
}

fn planes(memory: &mut [u8], plane_bytes: usize) -> Vec<*const u8> {
    memory.chunks_exact_mut(plane_bytes).map(|plane| plane.as_mut_ptr().cast_const()).collect()
}

fn copied(values: usize, tier: Tier, channels: u16, wire: SampleFormat) {
    let (count, frames) = (usize::from(channels), u32::try_from(FRAMES).unwrap());
    let copier = |from, to| {
        let made = Copier::new(from, to, channels, channels, &routes(channels), Rest::Leave);
        made.unwrap().on_tier(tier).unwrap()
    };
    let (there, back) = (copier(INT32, wire), copier(wire, INT32));
    let mut host = vec![0; FRAMES * count * 4];
    let mut device = vec![0; FRAMES * count * wire.bytes()];
    let mut returned = vec![0; FRAMES * count * 4];
    let mut random = Random(values as u64);
    for _ in 0..values.div_ceil(FRAMES * count) {
        random.fill(&mut host);
        let from = planes(&mut host, FRAMES * 4);
        // SAFETY: the planes lie in `host`, which lives on.
        let from = unsafe { Area::planar(&from, 4, frames) };
        let cut = there.run(from, AreaMut::from_slice(&mut device, count, wire.bytes()));
        assert_eq!((cut.bits, cut.bad), (0, 0));
        let to = planes(&mut returned, FRAMES * 4);
        // SAFETY: the planes lie in `returned`, which lives on.
        let to = unsafe { AreaMut::planar(&to, 4, frames) };
        back.run(Area::from_slice(&device, count, wire.bytes()), to);
        assert!(host == returned, "altered");
    }
}

fn mixed(values: usize, tier: Tier, channels: u16) {
    let count = usize::from(channels);
    let shape = MixerShape {
        to: INT32,
        to_channels: channels,
        rate: RateHz::DAT,
        most_frames: u32::try_from(FRAMES).unwrap(),
        dither: Dither::Flat,
        seed: 1,
    };
    let mut mixer = Mixer::new(shape).unwrap().on_tier(tier).unwrap();
    let source = Source::new(INT32, channels, channels, &routes(channels), 0).unwrap();
    let mut source = source.on_tier(tier).unwrap();
    let (mut host, mut device) = (vec![0; FRAMES * count * 4], vec![0; FRAMES * count * 4]);
    let mut random = Random(values as u64);
    for _ in 0..values.div_ceil(FRAMES * count) {
        random.fill(&mut host);
        mixer.begin(shape.most_frames);
        mixer.add(&mut source, Area::from_slice(&host, count, 4));
        mixer.finish(AreaMut::from_slice(&mut device, count, 4));
        assert!(host == device, "altered");
    }
}
