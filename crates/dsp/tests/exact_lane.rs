//! The exact lane: no integer that fits is altered, what does not fit is told, floats are rounded and clamped.

#![allow(clippy::unwrap_used, reason = "tests")]

use barewire_dsp::{Copier, Cut, Rest, Route, silence};
use barewire_rt::{Area, AreaMut};
use barewire_types::{Encoding, ErrorKind, SampleFormat};

fn formats() -> impl Iterator<Item = SampleFormat> {
    SampleFormat::ALL_LITTLE.into_iter().flat_map(|f| [f, SampleFormat::big(f.encoding)])
}

fn integers() -> impl Iterator<Item = SampleFormat> {
    formats().filter(|f| f.is_integer())
}

fn copy(from: SampleFormat, to: SampleFormat, memory: &[u8]) -> (Vec<u8>, Cut) {
    let routes = [Route { from: 0, to: 0 }];
    let copier = Copier::new(from, to, 1, 1, &routes, Rest::Leave).unwrap();
    let mut out = vec![0xaa; memory.len() / from.bytes() * to.bytes()];
    let cut = copier.run(
        Area::from_slice(memory, 1, from.bytes()),
        AreaMut::from_slice(&mut out, 1, to.bytes()),
    );
    (out, cut)
}

fn left_justified(bits: u32) -> Vec<u8> {
    let mut memory = Vec::new();
    for n in 0..1_u64 << bits.min(17) {
        let spread = if bits <= 17 { n } else { n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 };
        let value = u32::try_from(spread & 0xffff_ffff).unwrap();
        memory.extend((value << (32 - bits)).to_le_bytes());
    }
    memory
}

#[test]
fn an_integer_comes_back_from_every_format_that_is_wide_enough() {
    for to in integers() {
        let memory = left_justified(u32::from(to.exact_bits()));
        let (there, cut) = copy(SampleFormat::INT32, to, &memory);
        assert_eq!(cut.bits, 0, "{to}");
        let (back, cut) = copy(to, SampleFormat::INT32, &there);
        assert_eq!(cut.bits, 0, "{to}");
        assert_eq!(back, memory, "{to}");
    }
}

#[test]
fn bits_that_a_format_cannot_hold_are_told() {
    for to in integers() {
        for bit in 0..32 {
            let sample = (1_u32 << bit).to_le_bytes();
            let (_, cut) = copy(SampleFormat::INT32, to, &sample);
            let held = bit >= 32 - u32::from(to.exact_bits());
            assert_eq!(cut.bits, if held { 0 } else { 1 << bit }, "{to} bit {bit}");
        }
    }
}

#[test]
fn containers_look_as_their_names_say() {
    let sample = 0x8765_4300_u32.to_le_bytes();
    for (encoding, little) in [
        (Encoding::Int16, &[0x65, 0x87][..]),
        (Encoding::Int24, &[0x43, 0x65, 0x87]),
        (Encoding::Int24In32, &[0, 0x43, 0x65, 0x87]),
        (Encoding::Int32Low16, &[0x65, 0x87, 0xff, 0xff]),
        (Encoding::Int32Low18, &[0x95, 0x1d, 0xfe, 0xff]),
        (Encoding::Int32Low20, &[0x54, 0x76, 0xf8, 0xff]),
        (Encoding::Int32Low24, &[0x43, 0x65, 0x87, 0xff]),
    ] {
        assert_eq!(copy(SampleFormat::INT32, SampleFormat::little(encoding), &sample).0, little);
        let mut big = little.to_vec();
        big.reverse();
        assert_eq!(copy(SampleFormat::INT32, SampleFormat::big(encoding), &sample).0, big);
    }
}

#[test]
fn floats_are_scaled_by_powers_of_two_rounded_to_even_and_clamped() {
    let half = 1.0 / 65536.0;
    let cases = [
        (0.0, 0_i16),
        (-0.0, 0),
        (1.0, 32767),
        (-1.0, -32768),
        (0.5, 16384),
        (7.0, 32767),
        (-7.0, -32768),
        (half, 0),
        (3.0 * half, 2),
        (-half, 0),
        (-3.0 * half, -2),
        (5.0 * half, 2),
        (f64::NAN, 0),
        (f64::INFINITY, 0),
        (f64::NEG_INFINITY, 0),
        (1e308, 32767),
        (5e-324, 0),
    ];
    for (sample, wanted) in cases {
        for from in [SampleFormat::FLOAT64, SampleFormat::big(Encoding::Float64)] {
            let mut bytes = f64::to_le_bytes(sample);
            if from != SampleFormat::FLOAT64 {
                bytes.reverse();
            }
            let (out, cut) = copy(from, SampleFormat::INT16, &bytes);
            assert_eq!(out, wanted.to_le_bytes(), "{sample}");
            assert_eq!(cut.bad, u32::from(!sample.is_finite()), "{sample}");
        }
    }
}

#[test]
fn a_float32_carries_24_bits_and_tells_what_it_does_not_carry() {
    let memory = left_justified(24);
    let (floats, cut) = copy(SampleFormat::INT32, SampleFormat::FLOAT32, &memory);
    assert_eq!(cut.bits, 0);
    assert_eq!(copy(SampleFormat::FLOAT32, SampleFormat::INT32, &floats).0, memory);
    let odd = 0x4000_0001_u32.to_le_bytes();
    assert_ne!(copy(SampleFormat::INT32, SampleFormat::FLOAT32, &odd).1.bits, 0);
    let (double, cut) = copy(SampleFormat::INT32, SampleFormat::FLOAT64, &odd);
    assert_eq!(
        (cut.bits, double),
        (0, (f64::from(0x4000_0001) / 2_147_483_648.0).to_le_bytes().to_vec())
    );
}

#[test]
fn routes_lead_channels_and_the_rest_is_silenced_or_left() {
    let memory: Vec<u8> = (0..24).collect();
    for (rest, other) in [(Rest::Silence, 0), (Rest::Leave, 0xaa)] {
        let routes = [Route { from: 2, to: 0 }, Route { from: 0, to: 3 }];
        let copier =
            Copier::new(SampleFormat::INT16, SampleFormat::INT16, 3, 4, &routes, rest).unwrap();
        let mut out = [0xaa; 24];
        let cut = copier
            .run(Area::from_slice(&memory, 3, 2), AreaMut::from_slice(&mut out, 4, 2).part(1, 2));
        assert_eq!(cut, Cut { bits: 0, bad: 0, frames: 2 });
        let o = other;
        assert_eq!(&out[..8], [0xaa; 8]);
        assert_eq!(&out[8..], [4, 5, o, o, o, o, 0, 1, 10, 11, o, o, o, o, 6, 7]);
    }
}

#[test]
fn one_bit_samples_are_never_computed() {
    let bytes: Vec<u8> = (0..=255).collect();
    let (lsb, msb) =
        (SampleFormat::little(Encoding::Dsd8Lsb), SampleFormat::little(Encoding::Dsd8Msb));
    assert_eq!(copy(lsb, lsb, &bytes).0, bytes);
    let turned: Vec<u8> = bytes.iter().map(|b| b.reverse_bits()).collect();
    assert_eq!(copy(msb, lsb, &bytes).0, turned);
    for from in formats() {
        for to in formats() {
            let made = Copier::new(from, to, 1, 1, &[], Rest::Silence);
            let ner = Encoding::DsdNer8;
            let fits =
                from.is_dsd() == to.is_dsd() && (from.encoding == ner) == (to.encoding == ner);
            assert_eq!(made.is_ok(), fits, "{from} {to}");
        }
    }
}

#[test]
fn silence_is_silence_in_every_format() {
    for format in formats() {
        let mut memory = vec![0xaa; format.bytes() * 16];
        silence(format, AreaMut::from_slice(&mut memory, 2, format.bytes()));
        if format.encoding == Encoding::DsdNer8 {
            let left: Vec<u8> = memory.iter().step_by(2).copied().collect();
            assert_eq!(left, [0, 1, 1, 0, 1, 0, 0, 1]);
        } else {
            assert!(memory.iter().all(|&b| b == format.silence_byte()), "{format}");
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error_or_moves_nothing() {
    let int = SampleFormat::INT16;
    let refused = [
        Copier::new(int, int, 257, 2, &[], Rest::Leave),
        Copier::new(int, int, 2, 257, &[], Rest::Leave),
        Copier::new(int, int, 2, 2, &[Route { from: 2, to: 0 }], Rest::Leave),
        Copier::new(int, int, 2, 2, &[Route { from: 0, to: 2 }], Rest::Leave),
        Copier::new(
            int,
            int,
            2,
            2,
            &[Route { from: 0, to: 1 }, Route { from: 1, to: 1 }],
            Rest::Leave,
        ),
    ];
    for made in refused {
        assert_eq!(made.unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    let copier = Copier::new(int, int, 2, 2, &[Route { from: 0, to: 0 }], Rest::Silence).unwrap();
    let memory = [1_u8; 64];
    for (channels, bytes) in [(1, 2), (2, 1), (2, 4), (3, 2), (1, 1)] {
        let mut out = [7_u8; 64];
        let cut = copier
            .run(Area::from_slice(&memory, channels, bytes), AreaMut::from_slice(&mut out, 2, 2));
        assert_eq!((cut, out), (Cut::default(), [7; 64]));
        let cut = copier
            .run(Area::from_slice(&memory, 2, 2), AreaMut::from_slice(&mut out, channels, bytes));
        assert_eq!((cut, out), (Cut::default(), [7; 64]));
    }
}
