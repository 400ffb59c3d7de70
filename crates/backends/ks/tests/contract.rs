//! The backend keeps the contract on cards of every kind, over a simulated card that does what drivers do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

mod lab;

use barewire_device::contract::check;
use barewire_ks::{Options, Transport};
use barewire_ks_device::Description;
use lab::bench;

/// What a card stands for, the card, what is set, a period.
type Case = (&'static str, Description, Options, u32);

fn set(transport: Transport) -> Options {
    Options { transport, ..Options::default() }
}

/// Cards that keep their word.
fn honest_cards() -> Vec<Case> {
    let base = Description::default;
    let (auto, polled) = (Options::default(), set(Transport::Polled));
    let packed = || Description { formats: vec![24, 24, 0], ..base() };
    let delayed = Description { fifo_bytes: 256, chipset_hns: 1000, codec_hns: 5000, ..base() };
    vec![
        ("WaveRT with events", base(), auto, 64),
        ("smallest periods", base(), auto, 32),
        ("only outputs", Description { captures: false, ..base() }, auto, 64),
        ("only inputs", Description { plays: false, ..base() }, auto, 64),
        ("WaveRT by the clock", base(), polled, 64),
        ("no events", Description { has_events: false, ..base() }, auto, 64),
        ("6-byte frames", packed(), auto, 64),
        ("6-byte frames by the clock", packed(), polled, 100),
        ("in pages", Description { ring_rounding_bytes: 4096, ..packed() }, auto, 64),
        ("no register", Description { has_register: false, ..base() }, auto, 64),
        ("a wide register", Description { register_bits: 64, ..base() }, auto, 64),
        ("a FIFO and delays", delayed, auto, 64),
        ("a fast clock", Description { offset_ppm: 900, ..base() }, auto, 128),
        ("a slow clock", Description { offset_ppm: -900, ..base() }, auto, 128),
        ("32 channels", Description { channels: vec![32], ..base() }, auto, 64),
        ("floats", Description { formats: vec![32, 32, 1], ..base() }, auto, 64),
        ("16 bits", Description { formats: vec![16, 16, 0], ..base() }, auto, 64),
        ("a multiplexer", Description { jacks: 2, mux: 2, ..base() }, auto, 64),
    ]
}

/// Cards that do not.
fn lying_cards() -> Vec<Case> {
    let base = Description::default;
    let (auto, polled) = (Options::default(), set(Transport::Polled));
    let counting =
        Description { has_register: false, has_position: false, has_packet_count: true, ..base() };
    let silent = Description { answers_proposals: false, formats: vec![16, 16, 0], ..base() };
    vec![
        ("packet counts only", counting, auto, 64),
        ("positions in steps", Description { step_frames: 16, ..base() }, polled, 64),
        ("late events", Description { event_late_frames: 24, ..base() }, auto, 64),
        ("early events", Description { event_late_frames: -24, ..base() }, auto, 64),
        ("spurious events", Description { spurious_frames: 17, ..base() }, auto, 64),
        ("events that never come", Description { sends_events: false, ..base() }, auto, 64),
        ("no proposals", silent, auto, 64),
    ]
}

/// Cards that take packets.
fn packet_cards() -> Vec<Case> {
    let auto = Options::default();
    let base = || Description { looped: false, streaming: true, ..Description::default() };
    let halves = Description { half_reads: true, plays: false, ..base() };
    vec![
        ("packets", base(), auto, 64),
        ("packets of its own size", Description { packet_frames: 480, ..base() }, auto, 64),
        ("four packets", base(), Options { kernel_buffers: 4, ..auto }, 64),
        ("half-filled packets", halves, auto, 64),
        ("packets, a slow clock", Description { offset_ppm: -900, ..base() }, auto, 128),
        ("packets, 6-byte frames", Description { formats: vec![24, 24, 0], ..base() }, auto, 50),
    ]
}

/// Under Wine every question goes through two other processes; above the kernel interface the code is the same, so that a
/// few cards of each kind do; where there is little time (`BAREWIRE_CARDS=some`), one of each.
const SOME_UNDER_WINE: [&str; 3] = ["WaveRT with events", "late events", "packets"];
const UNDER_WINE: [&str; 8] = [
    "WaveRT with events",
    "WaveRT by the clock",
    "in pages",
    "no register",
    "a multiplexer",
    "late events",
    "packets",
    "packets of its own size",
];

fn keeps_the_contract(cards: Vec<Case>) {
    let mut broken = String::new();
    let is_short = std::env::var("BAREWIRE_CARDS").is_ok_and(|cards| cards == "some");
    let tried: &[&str] = if is_short { &SOME_UNDER_WINE } else { &UNDER_WINE };
    for (name, card, options, period_frames) in cards {
        if cfg!(windows) && !tried.contains(&name) {
            continue;
        }
        let report = check(&|| bench(&card, options, period_frames));
        for finding in &report.broken {
            broken += &format!("{name}: {finding}\n");
        }
        if card.captures && card.plays {
            let not_tried: Vec<&str> = report.not_tried.iter().map(|(rule, _)| *rule).collect();
            assert_eq!(not_tried, ["waker-during-wait"], "{name}\n{report}");
        }
    }
    assert!(broken.is_empty(), "\n{broken}");
}

#[test]
fn the_contract_is_kept_on_cards_that_keep_their_word() {
    keeps_the_contract(honest_cards());
}

#[test]
fn the_contract_is_kept_on_cards_that_do_not() {
    keeps_the_contract(lying_cards());
}

#[test]
fn the_contract_is_kept_with_packets() {
    keeps_the_contract(packet_cards());
}
