//! DoP: bytes come back as they went, markers alternate whatever the pieces, and what is DoP is known after 32 frames.

#![allow(clippy::unwrap_used, reason = "tests")]

use barewire_dsp::{DOP_LOCK_FRAMES, Dop, DopDetector};
use barewire_rt::{Area, AreaMut};
use barewire_types::{Encoding, SampleFormat};
use proptest::prelude::*;

const MSB: SampleFormat = SampleFormat::little(Encoding::Dsd8Msb);
const LSB: SampleFormat = SampleFormat::little(Encoding::Dsd8Lsb);

proptest! {
    #[test]
    fn dsd_comes_back_from_dop(
        bytes in prop::collection::vec(any::<u8>(), 0..4000), channels in 1_u16..4, cut in 0_u32..600,
        dsd in prop::sample::select(vec![MSB, LSB]),
        pcm in prop::sample::select(vec![
            SampleFormat::INT24, SampleFormat::INT24_IN_32, SampleFormat::INT32,
            SampleFormat::little(Encoding::Int32Low24), SampleFormat::big(Encoding::Int24),
        ]),
    ) {
        let count = usize::from(channels);
        let frames = bytes.len() / (2 * count);
        let mut packer = Dop::new(dsd, pcm, channels).unwrap();
        let mut words = vec![0; frames * count * pcm.bytes()];
        let source = Area::from_slice(&bytes, count, 1);
        let mut detector = DopDetector::new(pcm, channels).unwrap();
        let first = packer.pack(
            source.part(0, 2 * cut),
            AreaMut::from_slice(&mut words, count, pcm.bytes()).part(0, cut),
        );
        let second = packer.pack(
            source.part(2 * first, u32::MAX),
            AreaMut::from_slice(&mut words, count, pcm.bytes()).part(first, u32::MAX),
        );
        prop_assert_eq!(usize::try_from(first + second).unwrap(), frames);
        let locked = detector.look(Area::from_slice(&words, count, pcm.bytes()));
        prop_assert_eq!(locked, frames >= DOP_LOCK_FRAMES as usize);
        let mut back = vec![0; bytes.len()];
        packer.unpack(
            Area::from_slice(&words, count, pcm.bytes()),
            AreaMut::from_slice(&mut back, count, 1),
        );
        prop_assert_eq!(&back[..2 * count * frames], &bytes[..2 * count * frames]);
    }

    #[test]
    fn music_is_not_taken_for_dop(samples in prop::collection::vec(any::<i32>(), 64..2000)) {
        let memory: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        let mut detector = DopDetector::new(SampleFormat::INT32, 2).unwrap();
        prop_assert!(!detector.look(Area::from_slice(&memory, 2, 4)));
    }
}

#[test]
fn a_word_holds_marker_older_and_newer_byte() {
    let mut packer = Dop::new(MSB, SampleFormat::INT24, 1).unwrap();
    let mut words = [0; 6];
    packer.pack(Area::from_slice(&[1, 2, 3, 4], 1, 1), AreaMut::from_slice(&mut words, 1, 3));
    assert_eq!(words, [2, 1, 0x05, 4, 3, 0xfa]);
    let mut packer = Dop::new(LSB, SampleFormat::INT24, 1).unwrap();
    packer.pack(Area::from_slice(&[1, 2], 1, 1), AreaMut::from_slice(&mut words, 1, 3));
    assert_eq!(words[..3], [0x40, 0x80, 0x05]);
}

#[test]
fn silence_keeps_the_markers_in_turn_and_one_wrong_marker_unlocks() {
    let mut packer = Dop::new(MSB, SampleFormat::INT32, 2).unwrap();
    let mut detector = DopDetector::new(SampleFormat::INT32, 2).unwrap();
    let mut words = [0; 8 * 33];
    packer.silence(AreaMut::from_slice(&mut words, 2, 4));
    assert!(detector.look(Area::from_slice(&words, 2, 4)));
    assert_eq!(words[..4], [0, 0x69, 0x69, 0x05]);
    packer.silence(AreaMut::from_slice(&mut words, 2, 4));
    assert_eq!(words[3], 0xfa);
    assert!(detector.look(Area::from_slice(&words, 2, 4)));
    words[7] = 0x05;
    assert!(!detector.look(Area::from_slice(&words[..8], 2, 4)), "channels differ");
}

#[test]
fn formats_that_cannot_carry_dop_are_refused() {
    for pcm in [SampleFormat::INT16, SampleFormat::FLOAT32, MSB] {
        assert!(Dop::new(MSB, pcm, 2).is_err());
        assert!(DopDetector::new(pcm, 2).is_err());
    }
    assert!(Dop::new(SampleFormat::little(Encoding::DsdNer8), SampleFormat::INT32, 2).is_err());
    assert!(Dop::new(MSB, SampleFormat::INT32, 257).is_err());
}
