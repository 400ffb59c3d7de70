//! Cards that lie: what they promise and what they do differ, or what they have is unusual. None of them may make the
//! backend crash, play something else than was written, or fail without saying what to do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may stop the world"
)]

mod fake;

use barewire_alsa::AlsaBackend;
use barewire_alsa::kernel::{Holder, MixerElement, errno};
use barewire_device::{
    Backend, DeviceId, Layout, Loss, NoteKind, OpenRequest, SideRequest, Stream, Wake,
};
use barewire_rt::System;
use barewire_types::{Error, ErrorKind, RateHz, Result};
use fake::World;
use fake::card::{Card, Hardware, S16, S24_3, S32};
use std::sync::Arc;

fn request(rate: u32, period_frames: u32) -> OpenRequest {
    OpenRequest {
        id: DeviceId::new("alsa", "Fake,0"),
        rate: RateHz::new(rate).unwrap(),
        capture: None,
        playback: Some(SideRequest { channels: 1, format: None }),
        period_frames,
    }
}

fn open(world: &Arc<World>, request: &OpenRequest) -> Result<Box<dyn Stream>> {
    AlsaBackend::with_kernel(world.system.clone(), world.kernel()).open(request)
}

fn only_outputs(hardware: Hardware) -> Card {
    Card { playback: Some(hardware), capture: None, ..Card::default() }
}

fn refused(card: Card, request: &OpenRequest) -> Error {
    let world = World::new(vec![card]);
    let error = open(&world, request).err().expect("the opening fails");
    let calls = world.state().calls;
    assert_eq!(calls.opened, calls.closed, "what was opened is closed again");
    error
}

/// Waits for the next period, idle wake-ups aside.
fn next(world: &World, stream: &mut dyn Stream) -> Wake {
    for _ in 0..100 {
        match stream.wait(world.system.now_ns() + 1_000_000_000) {
            Wake::Idle => {}
            other => return other,
        }
    }
    panic!("a hundred wake-ups and no period");
}

fn plays(world: &World, stream: &mut dyn Stream) {
    stream.start().unwrap();
    for _ in 0..10 {
        let Wake::Due(period) = next(world, stream) else { panic!("no period") };
        assert_eq!(period.missed_frames, 0);
    }
}

#[test]
fn a_period_that_changes_after_the_opening_is_taken_as_it_became() {
    let card = only_outputs(Hardware { lies_about_period: Some(96), ..Hardware::default() });
    let world = World::new(vec![card]);
    let mut stream = open(&world, &request(48_000, 64)).unwrap();
    assert_eq!(stream.shape().period_frames, 96);
    let notes = stream.notes();
    assert!(notes.iter().any(|note| note.kind == NoteKind::Adapted && note.text.contains("96")));
    plays(&world, &mut *stream);
}

#[test]
fn a_period_that_leaves_no_room_in_the_ring_is_refused_with_a_remedy() {
    let hardware = Hardware { lies_about_period: Some(1 << 20), ..Hardware::default() };
    let error = refused(only_outputs(hardware), &request(48_000, 64));
    assert_eq!(error.kind(), ErrorKind::Malfunction);
    assert!(error.remedy_text().is_some(), "{error}");
}

#[test]
fn a_card_that_refuses_to_map_is_an_error_with_words() {
    let hardware = Hardware { refuses_map: true, ..Hardware::default() };
    let error = refused(only_outputs(hardware), &request(48_000, 64));
    assert_eq!(error.code(), Some(errno::ENXIO));
    assert!(error.to_string().contains("mapping"), "{error}");
}

#[test]
fn a_card_whose_status_cannot_be_mapped_plays() {
    let world =
        World::new(vec![only_outputs(Hardware { has_pages: false, ..Hardware::default() })]);
    let mut stream = open(&world, &request(48_000, 64)).unwrap();
    plays(&world, &mut *stream);
}

#[test]
fn twenty_four_bits_in_three_bytes_are_opened_as_such() {
    let hardware = Hardware { formats: vec![S24_3], ..Hardware::default() };
    let world = World::new(vec![only_outputs(hardware)]);
    let mut stream = open(&world, &request(48_000, 64)).unwrap();
    let side = stream.shape().playback.unwrap();
    assert_eq!((side.format.bytes(), side.format.exact_bits()), (3, 24));
    plays(&world, &mut *stream);
}

#[test]
fn the_widest_of_several_formats_is_taken() {
    let hardware = Hardware { formats: vec![S16, S24_3, S32], msbits: 32, ..Hardware::default() };
    let world = World::new(vec![only_outputs(hardware)]);
    let stream = open(&world, &request(48_000, 64)).unwrap();
    assert_eq!(stream.shape().playback.unwrap().format.exact_bits(), 32);
}

#[test]
fn one_channel_and_thirty_two_channels_are_opened_whole() {
    for count in [1_u16, 32] {
        let hardware = Hardware { channels: vec![count.into()], ..Hardware::default() };
        let world = World::new(vec![only_outputs(hardware)]);
        let mut stream = open(&world, &request(48_000, 64)).unwrap();
        assert_eq!(stream.shape().playback.unwrap().channels, count);
        plays(&world, &mut *stream);
    }
}

#[test]
fn a_card_that_knows_only_planar_rings_is_planar() {
    let hardware = Hardware { access: vec![1], ..Hardware::default() };
    let world = World::new(vec![only_outputs(hardware)]);
    let mut stream = open(&world, &request(48_000, 64)).unwrap();
    assert_eq!(stream.shape().playback.unwrap().layout, Layout::Planar);
    plays(&world, &mut *stream);
}

#[test]
fn a_rate_that_is_not_there_names_those_that_are() {
    let error = refused(Card::default(), &request(192_000, 64));
    assert_eq!(error.kind(), ErrorKind::UnsupportedRate);
    assert!(error.remedy_text().unwrap().contains("44100, 48000, 96000"), "{error}");
}

#[test]
fn directions_with_different_periods_are_refused_together() {
    let slow = Hardware { periods_frames: vec![1024], ..Hardware::default() };
    let fast = Hardware { periods_frames: vec![64], ..Hardware::default() };
    let card = Card { playback: Some(fast), capture: Some(slow), ..Card::default() };
    let both = OpenRequest {
        capture: Some(SideRequest { channels: 1, format: None }),
        ..request(48_000, 64)
    };
    let error = refused(card, &both);
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.remedy_text().is_some());
}

#[test]
fn who_holds_the_card_is_named() {
    let holder = Holder { process: 4711, name: Some("otherplayer".into()) };
    let card = Card { holder: Some(holder), ..Card::default() };
    let error = refused(card, &request(48_000, 64));
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("otherplayer"), "{error}");
}

#[test]
fn a_card_is_listed_once_it_has_its_id() {
    let devices = |id| {
        let world = World::new(vec![Card { id, ..Card::default() }]);
        AlsaBackend::with_kernel(world.system.clone(), world.kernel()).devices().unwrap()
    };
    assert_eq!(devices("").len(), 0, "no id would find it again");
    assert_eq!(devices("Fake").len(), 1);
}

#[test]
fn a_volume_below_unity_and_a_muted_output_are_noted() {
    let element = |name: &str, is_switch, max, value| MixerElement {
        name: name.into(),
        is_switch,
        min: 0,
        max,
        unity: None,
        values: vec![value, value],
    };
    let with_unity = |unity, element| MixerElement { unity: Some(unity), ..element };
    let mixer = vec![
        element("PCM Playback Volume", false, 255, 240),
        element("Master Playback Switch", true, 1, 0),
        element("Front Playback Volume", false, 87, 87),
        with_unity(100, element("Line Playback Volume", false, 124, 100)),
        with_unity(100, element("Headphone Playback Volume", false, 124, 124)),
    ];
    let world = World::new(vec![Card { mixer, ..Card::default() }]);
    let stream = open(&world, &request(48_000, 64)).unwrap();
    let notes = stream.notes();
    let volumes: Vec<_> = notes.iter().filter(|note| note.kind == NoteKind::Volume).collect();
    assert_eq!(volumes.len(), 3, "{volumes:?}");
    let louder = volumes.iter().find(|note| note.text.contains("Headphone")).unwrap();
    assert!(louder.text.contains("set it to 100, which is 0 dB"), "{louder:?}");
    assert!(volumes.iter().any(|note| note.text.contains("PCM Playback Volume")));
    assert!(volumes.iter().any(|note| note.text.contains("Master Playback Switch")));
}

#[test]
fn a_machine_that_slept_goes_on_and_tells_what_was_missed() {
    let world = World::new(vec![only_outputs(Hardware::default())]);
    let mut stream = open(&world, &request(48_000, 64)).unwrap();
    plays(&world, &mut *stream);
    world.suspend();
    let Wake::Due(period) = next(&world, &mut *stream) else { panic!("no period") };
    assert!(period.missed_frames > 0);
    let Wake::Due(period) = next(&world, &mut *stream) else { panic!("no period") };
    assert_eq!(period.missed_frames, 0);
}

#[test]
fn a_card_pulled_out_fifty_times_is_lost_and_found_fifty_times() {
    for has_pages in [true, false] {
        let world = World::new(vec![only_outputs(Hardware { has_pages, ..Hardware::default() })]);
        for _ in 0..50 {
            let mut stream = open(&world, &request(48_000, 64)).unwrap();
            plays(&world, &mut *stream);
            world.unplug(0);
            assert_eq!(next(&world, &mut *stream), Wake::Lost(Loss::Gone));
            drop(stream);
            let error = open(&world, &request(48_000, 64)).err().unwrap();
            assert!(matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Lost), "{error}");
            world.plug(0);
        }
        let calls = world.state().calls;
        assert_eq!(calls.opened, calls.closed);
    }
}
