//! Every tier of vector instructions gives what the plain rows give, bit for bit, on any lengths, offsets and alignments; and
//! no integer path alters a value that fits: all 2^16, all 2^24, both ends of the 32-bit range and 10^8 random values.

#![allow(clippy::unwrap_used, reason = "tests")]

use barewire_dsp::{
    Copier, Dither, Mixer, MixerShape, Resampler, ResamplerShape, Rest, Route, Source, Tier,
};
use barewire_rt::{Area, AreaMut};
use barewire_types::{RateHz, SampleFormat};
use proptest::prelude::*;

fn formats() -> Vec<SampleFormat> {
    let all = SampleFormat::ALL_LITTLE.into_iter().flat_map(|f| [f, SampleFormat::big(f.encoding)]);
    all.filter(|f| !f.is_dsd()).collect()
}

fn tiers() -> Vec<Tier> {
    [Tier::Sse41, Tier::Avx2].into_iter().filter(|tier| tier.is_there()).collect()
}

/// One side of a copy: interleaved from an odd place on, or planes of odd distances.
struct Side {
    memory: Vec<u8>,
    planes: Option<Vec<usize>>,
    offset: usize,
    channels: usize,
    bytes: usize,
    frames: usize,
}

impl Side {
    fn new(
        planar: bool,
        offset: usize,
        channels: usize,
        bytes: usize,
        frames: usize,
        fill: u8,
    ) -> Self {
        let plane_bytes = frames * bytes + 3;
        Self {
            memory: vec![fill; offset + channels * plane_bytes + 64],
            planes: planar.then(|| (0..channels).map(|c| offset + c * plane_bytes).collect()),
            offset,
            channels,
            bytes,
            frames,
        }
    }

    fn pointers(&mut self) -> Option<Vec<*const u8>> {
        let base = self.memory.as_mut_ptr();
        let planes = self.planes.as_ref()?;
        Some(planes.iter().map(|&at| base.wrapping_add(at).cast_const()).collect())
    }

    fn run(&mut self, to: &mut Self, copier: &Copier) -> barewire_dsp::Cut {
        let (from_planes, to_planes) = (self.pointers(), to.pointers());
        let frames = |side: &Self| u32::try_from(side.frames).unwrap();
        let (from_frames, to_frames) = (frames(self), frames(to));
        let source = match &from_planes {
            // SAFETY: the planes lie within `memory`, which lives on.
            Some(planes) => unsafe { Area::planar(planes, self.bytes, from_frames) },
            None => Area::from_slice(&self.memory[self.offset..], self.channels, self.bytes),
        };
        let length = to.frames * to.channels * to.bytes;
        let target = match &to_planes {
            // SAFETY: as above.
            Some(planes) => unsafe { AreaMut::planar(planes, to.bytes, to_frames) },
            None => {
                let memory = &mut to.memory[to.offset..to.offset + length];
                AreaMut::from_slice(memory, to.channels, to.bytes)
            }
        };
        copier.run(source.part(0, from_frames), target)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn copies_are_those_of_the_plain_rows_and_touch_nothing_else(
        from in prop::sample::select(formats()), to in prop::sample::select(formats()),
        planar in any::<(bool, bool)>(), offsets in (0_usize..33, 0_usize..33), frames in 0_usize..90,
        channels in (prop::sample::select(vec![1_u16, 2, 3, 8, 9, 17]), prop::sample::select(vec![1_u16, 2, 3, 8, 9, 17])),
        seed in any::<u64>(), mixed in any::<bool>(),
    ) {
        let common = channels.0.min(channels.1);
        let mut routes: Vec<Route> = (0..common).map(|n| Route { from: n, to: n }).collect();
        if mixed && common > 1 {
            routes.swap(0, 1);
            (routes[0].from, routes[1].from) = (routes[1].from, routes[0].from);
            routes.truncate(usize::from(common) - usize::try_from(seed % 2).unwrap());
        }
        let rest = if seed % 3 == 0 { Rest::Silence } else { Rest::Leave };
        let plain = Copier::new(from, to, channels.0, channels.1, &routes, rest).unwrap();
        let plain = plain.on_tier(Tier::Plain).unwrap();
        let mut source = Side::new(planar.0, offsets.0, channels.0.into(), from.bytes(), frames, 0);
        let mut state = seed | 1;
        for byte in &mut source.memory {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state.to_le_bytes()[3];
        }
        let target = || Side::new(planar.1, offsets.1, channels.1.into(), to.bytes(), frames, 0xa5);
        let mut wanted = target();
        let wanted_cut = source.run(&mut wanted, &plain);
        for tier in tiers() {
            let mut got = target();
            let cut = source.run(&mut got, &plain.clone().on_tier(tier).unwrap());
            prop_assert_eq!(cut, wanted_cut, "{:?}", tier);
            prop_assert_eq!(&got.memory, &wanted.memory, "{:?}", tier);
        }
    }

    #[test]
    fn mixes_are_those_of_the_plain_rows(
        from in prop::sample::select(formats()), to in prop::sample::select(formats()),
        bytes in prop::collection::vec(any::<u8>(), 0..6000), gain in prop::sample::select(vec![1.0, 0.5, 0.3]),
        dither in prop::sample::select(vec![Dither::Off, Dither::Flat, Dither::HighPass, Dither::Shaped]),
        channels in 1_u16..7, ramp in 0_u32..300,
    ) {
        let routes: Vec<Route> = (0..channels).map(|n| Route { from: n, to: n }).collect();
        let shape = MixerShape {
            to, to_channels: channels, rate: RateHz::DAT, most_frames: 1000, dither, seed: 5,
        };
        let count = usize::from(channels);
        let run = |tier: Tier| {
            let mut mixer = Mixer::new(shape).unwrap().on_tier(tier).unwrap();
            let source = Source::new(from, channels, channels, &routes, ramp).unwrap();
            let mut source = source.on_tier(tier).unwrap();
            let mut out = vec![0; 1000 * count * to.bytes()];
            let mut outcomes = Vec::new();
            for _ in 0..2 {
                source.set_gain(gain);
                mixer.begin(1000);
                mixer.add(&mut source, Area::from_slice(&bytes, count, from.bytes()));
                outcomes.push(mixer.finish(AreaMut::from_slice(&mut out, count, to.bytes())));
            }
            (out, outcomes)
        };
        let wanted = run(Tier::Plain);
        for tier in tiers() {
            prop_assert!(run(tier) == wanted, "{:?}", tier);
        }
    }
}

#[test]
fn resampled_frames_are_those_of_the_plain_rows() {
    for channels in [1_u16, 2, 5] {
        let run = |tier: Tier| {
            let shape = ResamplerShape {
                from: SampleFormat::INT24,
                from_rate: RateHz::CD,
                to: SampleFormat::INT32,
                to_rate: RateHz::DAT,
                channels,
                most_frames: 500,
                dither: Dither::Flat,
                seed: 3,
            };
            let mut resampler = Resampler::new(shape).unwrap().on_tier(tier).unwrap();
            resampler.set_drift_ppm(77.0);
            let memory: Vec<u8> = (0..1500 * usize::from(channels))
                .map(|n| u8::try_from(n * n / 8 % 256).unwrap())
                .collect();
            let count = usize::from(channels);
            let mut out = vec![0; 2000 * count];
            resampler.feed(Area::from_slice(&memory, count, 3));
            assert_eq!(resampler.produce(AreaMut::from_slice(&mut out, count, 4)), 500);
            out
        };
        for tier in tiers() {
            assert!(run(tier) == run(Tier::Plain), "{tier:?}, {channels} channels");
        }
    }
}

/// Sends left-justified samples as planar int32 into interleaved `device` and back; all that it holds must come back.
fn there_and_back(samples: &[u32], device: SampleFormat, channels: u16, tier: Tier) {
    let routes: Vec<Route> = (0..channels).map(|n| Route { from: n, to: n }).collect();
    let (count, int32) = (usize::from(channels), SampleFormat::INT32);
    let frames = samples.len() / count;
    let copier = |from, to| {
        let made = Copier::new(from, to, channels, channels, &routes, Rest::Silence);
        made.unwrap().on_tier(tier).unwrap()
    };
    let mut host = Side::new(true, 0, count, 4, frames, 0);
    for (n, sample) in samples.iter().take(frames * count).enumerate() {
        let at = host.planes.as_ref().unwrap()[n % count] + n / count * 4;
        host.memory[at..at + 4].copy_from_slice(&sample.to_le_bytes());
    }
    let mut wire = Side::new(false, 0, count, device.bytes(), frames, 0);
    let cut = host.run(&mut wire, &copier(int32, device));
    assert_eq!(cut.bits, 0);
    let mut back = Side::new(true, 0, count, 4, frames, 0);
    wire.run(&mut back, &copier(device, int32));
    assert!(host.memory == back.memory, "{device} {channels} {tier:?}");
}

fn all_tiers() -> Vec<Tier> {
    let mut all = tiers();
    all.push(Tier::Plain);
    all
}

#[test]
fn all_values_of_16_and_24_bits_pass_unchanged() {
    for format in formats().into_iter().filter(|f| f.is_integer()) {
        let bits = u32::from(format.exact_bits()).min(24);
        let samples: Vec<u32> = (0..1_u32 << bits).map(|n| n << (32 - bits)).collect();
        for tier in all_tiers() {
            for channels in [2, 8] {
                there_and_back(&samples, format, channels, tier);
            }
        }
    }
}

#[test]
fn both_ends_and_10_8_random_values_of_32_bits_pass_unchanged() {
    let seed: u64 = 0x5eed;
    let ends = (0..1 << 20).flat_map(|n: u32| [n, u32::MAX - n, (1 << 31) + n, (1 << 31) - 1 - n]);
    let ends: Vec<u32> = ends.collect();
    let mut state = seed;
    let mut samples = vec![0_u32; 1 << 20];
    for round in 0..96 {
        for sample in &mut samples {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *sample = u32::try_from(state >> 32).unwrap();
        }
        let tier = all_tiers()[round % all_tiers().len()];
        for format in [SampleFormat::INT32, SampleFormat::big(SampleFormat::INT32.encoding)] {
            there_and_back(&samples, format, [2, 8][round / 2 % 2], tier);
        }
    }
    for tier in all_tiers() {
        there_and_back(&ends, SampleFormat::INT32, 2, tier);
        there_and_back(&ends, SampleFormat::INT32, 8, tier);
    }
}
