//! The backend keeps the contract on cards of every kind, over a fake kernel that does what Linux does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may stop the world"
)]

mod fake;

use barewire_alsa::AlsaBackend;
use barewire_device::contract::{Bench, check};
use barewire_device::{DeviceId, OpenRequest, SideRequest};
use barewire_types::RateHz;
use fake::World;
use fake::card::{Card, FLOAT, Hardware, S16, S24_3, S24_LOW, S32};

fn bench(card: &Card, period_frames: u32) -> Bench {
    let world = World::new(vec![card.clone()]);
    let side = |hardware: &Option<Hardware>| {
        hardware.as_ref().map(|_| SideRequest { channels: 1, format: None })
    };
    let request = OpenRequest {
        id: DeviceId::new("alsa", &format!("{},0", card.id)),
        rate: RateHz::DAT,
        capture: side(&card.capture),
        playback: side(&card.playback),
        period_frames,
    };
    let (ears, hand) = (world.clone(), world.clone());
    let settles = settles(card);
    Bench {
        system: world.system.clone(),
        backend: Box::new(AlsaBackend::with_kernel(world.system.clone(), world.kernel())),
        request,
        heard: Some(Box::new(move || {
            if settles { from_prefill(&ears.heard(0), 208 * 6) } else { ears.heard(0) }
        })),
        is_looped: card.capture.is_some() && card.playback.is_some() && !settles,
        unplug: Some(Box::new(move || hand.unplug(0))),
    }
}

/// Both directions of such a card begin apart and are measured first, in silence; `usb.rs` has the way round to the frame.
fn settles(card: &Card) -> bool {
    card.driver == "USB-Audio" && card.capture.is_some() && card.playback.is_some()
}

/// What is heard from the prefill on: silence is longer where directions are measured first, never shorter.
fn from_prefill(heard: &[u8], prefill_bytes: usize) -> Vec<u8> {
    let silence = heard.iter().take_while(|&&byte| byte == 0).count();
    heard[silence.saturating_sub(prefill_bytes) / 6 * 6..].to_vec()
}

/// Cards as they are: what each stands for, the card, a period.
fn cards() -> Vec<(&'static str, Card, u32)> {
    let base = Hardware::default;
    let usb = Hardware {
        formats: vec![S24_3],
        rates: vec![44_100, 48_000, 192_000],
        channels: vec![2],
        periods_frames: (48..=4096).collect(),
        periods: (2, 64),
        step_frames: 6,
        fifo_frames: 12,
        has_pages: false,
        ..base()
    };
    // As the kernel's own driver shows it: see `packs_ahead`. Outputs begin before inputs.
    let usb_played = Hardware {
        packs_ahead: true,
        fifo_frames: 0,
        periods: (2, 1024),
        periods_frames: (6..=4096).collect(),
        start_lag_ns: 250_000,
        ..usb.clone()
    };
    let usb_captured = Hardware { packs_ahead: false, start_lag_ns: 900_000, ..usb_played.clone() };
    let real_usb = Card {
        driver: "USB-Audio",
        playback: Some(usb_played),
        capture: Some(usb_captured),
        ..Card::default()
    };
    let professional = Hardware {
        formats: vec![S32],
        access: vec![1],
        channels: vec![8],
        periods_frames: vec![32, 64, 128, 256, 512, 1024],
        periods: (2, 2),
        msbits: 32,
        ..base()
    };
    vec![
        ("an ordinary card", Card::default(), 64),
        ("smallest periods", Card::default(), 16),
        ("only outputs", Card { capture: None, ..Card::default() }, 64),
        ("only inputs", Card { playback: None, ..Card::default() }, 64),
        ("a USB interface", Card { can_link: false, ..Card::both(usb) }, 48),
        ("a USB interface that packs ahead", real_usb, 64),
        ("planar, two periods", Card::both(professional), 64),
        ("a fast clock", Card { offset_ppm: 900, ..Card::default() }, 128),
        ("a slow clock", Card { offset_ppm: -900, ..Card::default() }, 128),
        ("one channel", Card::both(Hardware { channels: vec![1], ..base() }), 64),
        ("32 channels", Card::both(Hardware { channels: vec![32], ..base() }), 64),
        ("24 bits in the low end", Card::both(Hardware { formats: vec![S24_LOW], ..base() }), 64),
        ("floats", Card::both(Hardware { formats: vec![FLOAT], ..base() }), 64),
        ("16 bits", Card::both(Hardware { formats: vec![S16], ..base() }), 64),
        ("positions at period ends only", Card::both(Hardware { is_batch: true, ..base() }), 64),
        ("an old kernel", Card::both(Hardware { has_time: false, ..base() }), 64),
    ]
}

#[test]
fn the_backend_keeps_the_contract_on_cards_of_every_kind() {
    let mut broken = String::new();
    for (name, card, period_frames) in cards() {
        let report = check(&|| bench(&card, period_frames));
        for finding in &report.broken {
            broken += &format!("{name}: {finding}\n");
        }
        let duplex = card.capture.is_some() && card.playback.is_some();
        let not_tried: Vec<&str> = report.not_tried.iter().map(|(rule, _)| *rule).collect();
        if settles(&card) {
            let rules = ["waker-during-wait", "latency-as-stated", "unread-is-dropped"];
            assert_eq!(not_tried, rules, "{name}");
        } else if duplex {
            assert_eq!(not_tried, ["waker-during-wait"], "{name}");
        }
    }
    assert!(broken.is_empty(), "\n{broken}");
}
