//! The sum and mixed lanes: sums are exact, lanes change without a trace, only what was computed is dithered.

#![allow(clippy::unwrap_used, reason = "tests")]

use barewire_dsp::{Copier, Dither, Mixer, MixerShape, Outcome, Rest, Route, Source};
use barewire_rt::{Area, AreaMut};
use barewire_types::{Encoding, Lane, RateHz, SampleFormat};
use proptest::prelude::*;

const INT32: SampleFormat = SampleFormat::INT32;

fn shape(to: SampleFormat, dither: Dither) -> MixerShape {
    MixerShape { to, to_channels: 2, rate: RateHz::CD, most_frames: 4096, dither, seed: 1 }
}

fn stereo() -> [Route; 2] {
    [Route { from: 0, to: 0 }, Route { from: 1, to: 1 }]
}

fn source(from: SampleFormat) -> Source {
    Source::new(from, 2, 2, &stereo(), 64).unwrap()
}

fn bytes(samples: &[i32]) -> Vec<u8> {
    samples.iter().flat_map(|s| s.to_le_bytes()).collect()
}

fn ints(memory: &[u8]) -> Vec<i32> {
    memory.chunks(4).map(|s| i32::from_le_bytes(s.try_into().unwrap())).collect()
}

/// Mixes one piece of stereo int32 clients.
fn mix(
    mixer: &mut Mixer,
    clients: &mut [(Source, Vec<i32>)],
    to: SampleFormat,
) -> (Vec<u8>, Outcome) {
    let frames = clients.iter().map(|c| c.1.len() / 2).max().unwrap_or(0);
    let mut out = vec![0xaa; frames * 2 * to.bytes()];
    mixer.begin(u32::try_from(frames).unwrap());
    for (source, samples) in clients {
        let memory = bytes(samples);
        mixer.add(source, Area::from_slice(&memory, 2, 4));
    }
    let outcome = mixer.finish(AreaMut::from_slice(&mut out, 2, to.bytes()));
    (out, outcome)
}

proptest! {
    #[test]
    fn sums_are_those_of_64_bit_integers_saturated(
        clients in prop::collection::vec(prop::collection::vec(any::<i32>(), 2..700), 1..9)
    ) {
        let mut mixer = Mixer::new(shape(INT32, Dither::Flat)).unwrap();
        let whole = |c: &Vec<i32>| c.len() / 2 * 2;
        let longest = clients.iter().map(whole).max().unwrap();
        let mut wanted = vec![0_i64; longest];
        let mut clipped = 0;
        for client in &clients {
            wanted.iter_mut().zip(&client[..whole(client)]).for_each(|(sum, &s)| *sum += i64::from(s));
        }
        let wanted: Vec<i32> = wanted.iter().map(|&sum| {
            let held = sum.clamp(i32::MIN.into(), i32::MAX.into());
            clipped += u32::from(held != sum);
            i32::try_from(held).unwrap()
        }).collect();
        let mut sources: Vec<_> =
            clients.iter().map(|c| (source(INT32), c[..whole(c)].to_vec())).collect();
        let (out, outcome) = mix(&mut mixer, &mut sources, INT32);
        prop_assert_eq!(ints(&out), wanted);
        prop_assert_eq!(outcome.lane, if clients.len() == 1 { Lane::Exact } else { Lane::Sum });
        prop_assert_eq!((outcome.clipped, outcome.dithered), (clipped, false));
    }

    #[test]
    fn one_two_one_clients_is_exact_on_both_sides_of_each_change(
        first in prop::collection::vec(-1_000_000_000..1_000_000_000_i32, 600),
        second in prop::collection::vec(-1_000_000_000..1_000_000_000_i32, 200),
        to in prop::sample::select(vec![INT32, SampleFormat::INT24, SampleFormat::INT16]),
    ) {
        // The engine copies one client and mixes two; the whole must be what an integer sum gives.
        let copier = Copier::new(INT32, to, 2, 2, &stereo(), Rest::Silence).unwrap();
        let mut mixer = Mixer::new(shape(to, Dither::Flat)).unwrap();
        let mut played = Vec::new();
        for part in [0..200, 200..400, 400..600] {
            if part.start == 200 {
                let mut clients =
                    [(source(INT32), first[part].to_vec()), (source(INT32), second.clone())];
                played.extend(mix(&mut mixer, &mut clients, to).0);
            } else {
                let memory = bytes(&first[part]);
                let mut out = vec![0; 200 * to.bytes()];
                copier.run(Area::from_slice(&memory, 2, 4), AreaMut::from_slice(&mut out, 2, to.bytes()));
                played.extend(out);
            }
        }
        let wanted: Vec<u8> = (0..600).flat_map(|n| {
            let other = if (200..400).contains(&n) { second[n - 200] } else { 0 };
            (first[n] + other).to_le_bytes()[4 - to.bytes()..].to_vec()
        }).collect();
        prop_assert_eq!(played, wanted);
    }

    #[test]
    fn a_piece_of_any_shape_neither_panics_nor_leaves_its_memory(
        channels in 0_usize..5, sample_bytes in 1_usize..9, length in 0_usize..200,
        begun in 0_u32..10_000, to in prop::sample::select(SampleFormat::ALL_LITTLE.to_vec()),
        dither in prop::sample::select(vec![Dither::Off, Dither::Flat, Dither::HighPass, Dither::Shaped]),
    ) {
        let Ok(mut mixer) = Mixer::new(shape(to, dither)) else {
            prop_assert!(to.is_dsd());
            return Ok(());
        };
        let memory = vec![0x55; length];
        let mut out = vec![0; length];
        let mut source = source(SampleFormat::FLOAT32);
        mixer.begin(begun);
        let added = mixer.add(&mut source, Area::from_slice(&memory, channels, sample_bytes));
        prop_assert!(added == 0 || (channels, sample_bytes) == (2, 4));
        let outcome = mixer.finish(AreaMut::from_slice(&mut out, channels, sample_bytes));
        prop_assert!(outcome.cut.frames == 0 || (channels, sample_bytes) == (2, to.bytes()));
    }
}

#[test]
fn channels_that_nobody_reaches_are_silent_and_routes_that_meet_are_added() {
    let mut mixer =
        Mixer::new(MixerShape { to_channels: 3, ..shape(INT32, Dither::Flat) }).unwrap();
    let routes = [Route { from: 0, to: 1 }, Route { from: 1, to: 1 }];
    let mut source = Source::new(INT32, 2, 3, &routes, 0).unwrap();
    let memory = bytes(&[1, 20, 300, 4000]);
    let mut out = [0xaa; 24];
    mixer.begin(2);
    assert_eq!(mixer.add(&mut source, Area::from_slice(&memory, 2, 4)), 2);
    mixer.finish(AreaMut::from_slice(&mut out, 3, 4));
    assert_eq!(ints(&out), [0, 21, 0, 0, 4300, 0]);
}

#[test]
fn what_a_client_does_not_give_is_silence_and_never_what_was_there() {
    let mut mixer = Mixer::new(shape(INT32, Dither::Flat)).unwrap();
    let mut clients = [(source(INT32), vec![7; 2000])];
    mix(&mut mixer, &mut clients, INT32);
    let memory = bytes(&[5; 20]);
    let mut out = vec![0xaa; 8000];
    mixer.begin(1000);
    assert_eq!(mixer.add(&mut clients[0].0, Area::from_slice(&memory, 2, 4)), 10);
    mixer.finish(AreaMut::from_slice(&mut out, 2, 4));
    let out = ints(&out);
    assert_eq!((&out[..20], &out[20..]), (&[5; 20][..], &[0; 1980][..]));
}

#[test]
fn a_gain_that_has_come_back_to_1_leaves_no_trace() {
    let mut mixer = Mixer::new(shape(SampleFormat::INT16, Dither::Flat)).unwrap();
    let mut clients = [(source(INT32), vec![0x1234_0000; 256])];
    clients[0].0.set_gain(0.5);
    assert_eq!(mix(&mut mixer, &mut clients, SampleFormat::INT16).1.lane, Lane::Mixed);
    clients[0].0.set_gain(1.0);
    let (_, outcome) = mix(&mut mixer, &mut clients, SampleFormat::INT16);
    assert_eq!((outcome.lane, outcome.dithered), (Lane::Mixed, true));
    assert!(clients[0].0.is_untouched());
    let (out, outcome) = mix(&mut mixer, &mut clients, SampleFormat::INT16);
    assert_eq!((outcome.lane, outcome.dithered), (Lane::Exact, false));
    assert!(out.chunks(2).all(|s| s == [0x34, 0x12]));
}

#[test]
fn what_the_target_holds_exactly_is_not_dithered() {
    // (client's format, gain, device's format, whether dither is called for)
    let low16 = SampleFormat::little(Encoding::Int32Low16);
    for (from, gain, to, wanted) in [
        (low16, 0.5, SampleFormat::INT24, false),
        (low16, 0.5, SampleFormat::INT16, true),
        (low16, 2.0, SampleFormat::INT16, false),
        (low16, 0.3, SampleFormat::INT24, true),
        (low16, 0.3, SampleFormat::FLOAT32, false),
        (low16, 0.0, SampleFormat::INT16, false),
        (SampleFormat::FLOAT32, 1.0, SampleFormat::INT24, true),
        (INT32, 1.0, SampleFormat::INT16, false),
    ] {
        let mut source = Source::new(from, 2, 2, &stereo(), 0).unwrap();
        source.set_gain(gain);
        let mut mixer = Mixer::new(shape(to, Dither::Flat)).unwrap();
        let outcome = mix(&mut mixer, &mut [(source, vec![100; 200])], to).1;
        assert_eq!(outcome.dithered, wanted, "{from} × {gain} into {to}");
    }
}

#[test]
fn dither_off_rounds_half_to_even_and_changes_nothing_else() {
    let mut source = Source::new(INT32, 2, 2, &stereo(), 0).unwrap();
    source.set_gain(0.5);
    let mut mixer = Mixer::new(shape(SampleFormat::INT16, Dither::Off)).unwrap();
    let samples = [1, 2, 3, 5, -1, -3].map(|s: i32| s << 16).to_vec();
    let (out, outcome) = mix(&mut mixer, &mut [(source, samples)], SampleFormat::INT16);
    assert!(!outcome.dithered);
    let out: Vec<i16> = out.chunks(2).map(|s| i16::from_le_bytes(s.try_into().unwrap())).collect();
    assert_eq!(out, [0, 1, 2, 2, 0, -2]);
}

#[test]
fn digital_silence_stays_digital_silence() {
    for dither in [Dither::Flat, Dither::HighPass, Dither::Shaped] {
        let to = SampleFormat::INT16;
        let mut mixer = Mixer::new(shape(to, dither)).unwrap();
        let mut source = source(SampleFormat::FLOAT32);
        source.set_gain(0.7);
        let mut clients = [(source, vec![0; 2000])];
        for _ in 0..3 {
            let (out, _) = mix(&mut mixer, &mut clients, to);
            assert!(out.iter().all(|&b| b == 0), "{dither:?}");
        }
        clients[0].1[7] = 0x3f00_0000;
        assert!(mix(&mut mixer, &mut clients, to).0.iter().filter(|&&b| b != 0).count() > 100);
        clients[0].1[7] = 0;
        let last = (0..8).map(|_| mix(&mut mixer, &mut clients, to).0).last().unwrap();
        assert!(last.iter().all(|&b| b == 0), "{dither:?}");
    }
}

#[test]
fn dsd_is_never_mixed() {
    for dsd in [Encoding::Dsd8Lsb, Encoding::Dsd8Msb, Encoding::DsdNer8].map(SampleFormat::little) {
        assert!(Mixer::new(shape(dsd, Dither::Flat)).is_err());
        assert!(Source::new(dsd, 2, 2, &stereo(), 0).is_err());
    }
}
