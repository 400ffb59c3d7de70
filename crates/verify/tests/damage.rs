//! Every damage is named rightly, and nothing is accused that is sound.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may stop the world"
)]

use barewire_verify::{Damage, DamageKind, Pattern, analyse};

const FRAMES: usize = 4096;

struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

fn signal(pattern: Pattern, channels: usize, bits: u8, delay: usize, tail: usize) -> Vec<i32> {
    let mut samples = vec![0; delay * channels];
    for frame in 0..FRAMES as u64 {
        samples.extend((0..channels).map(|channel| pattern.sample(frame, channel, bits)));
    }
    samples.extend(vec![0; tail * channels]);
    samples
}

#[test]
fn an_undamaged_run_is_never_accused() {
    let mut draw = Draw(1);
    for _ in 0..500 {
        let pattern = Pattern::ALL[draw.below(5)];
        let channels = 1 + draw.below(8);
        let bits = [16, 20, 24, 32][draw.below(4)];
        let delay = draw.below(900);
        let samples = signal(pattern, channels, bits, delay, draw.below(50));
        let analysis = analyse(pattern, channels, bits, FRAMES, &samples, 1000);
        assert!(analysis.is_exact(), "{pattern} {channels} {bits} {delay}: {analysis:?}");
        assert_eq!(analysis.compared_frames, FRAMES);
        if !matches!(pattern, Pattern::WalkingOnes | Pattern::WalkingZeros) {
            assert_eq!(analysis.delay_frames, Some(delay));
        }
    }
}

fn drawn(draw: &mut Draw, channels: usize, bits: u8) -> Damage {
    let frames = 1 + draw.below(300);
    let narrower = |draw: &mut Draw| bits - 1 - draw.below(usize::from(bits) - 9) as u8;
    // Damage of single frames has a place; alteration is tested from the beginning and from the middle.
    let at_frame = 100 + draw.below(FRAMES - 1000);
    let kind = match draw.below(10) {
        0 => DamageKind::Dropped { frames },
        1 => DamageKind::Repeated { frames },
        2 if channels > 1 => {
            let second = 1 + draw.below(channels - 1);
            DamageKind::Swapped { first: draw.below(second), second }
        }
        3 => DamageKind::Scaled { gain: [0.5, 0.999, 32767.0 / 32768.0, 1.5, 0.1][draw.below(5)] },
        4 => DamageKind::Inverted,
        5 => DamageKind::Truncated { bits: narrower(draw) },
        6 => DamageKind::Dithered { bits: narrower(draw).min(22) },
        7 if bits > 24 => DamageKind::FloatRounded,
        8 => DamageKind::StuckBit {
            bit: 32 - 2 - draw.below(usize::from(bits) - 3) as u8,
            set: draw.below(2) == 0,
        },
        _ => DamageKind::Silenced { frames },
    };
    let lasts = !matches!(
        kind,
        DamageKind::Dropped { .. } | DamageKind::Repeated { .. } | DamageKind::Silenced { .. }
    );
    Damage { kind, at_frame: if lasts && draw.below(2) == 0 { 0 } else { at_frame } }
}

fn same(found: DamageKind, done: DamageKind) -> bool {
    match (found, done) {
        (DamageKind::Scaled { gain: a }, DamageKind::Scaled { gain: b }) => (a - b).abs() < 1e-6,
        _ => found == done,
    }
}

#[test]
fn of_two_thousand_damages_every_one_is_named_rightly() {
    for seed in 0..2000_u64 {
        let mut draw = Draw(seed * 7919 + 3);
        let pattern = [Pattern::Random, Pattern::Counter][draw.below(2)];
        let channels = 1 + draw.below(8);
        let bits = [16, 24, 32][draw.below(3)];
        let delay = draw.below(700);
        let damage = drawn(&mut draw, channels, bits);
        let mut samples = signal(pattern, channels, bits, 0, 400);
        damage.apply(&mut samples, channels);
        let mut received = vec![0; delay * channels];
        received.extend(samples);
        let analysis = analyse(pattern, channels, bits, FRAMES, &received, 1000);
        let context = format!(
            "seed {seed}: {pattern}, {channels} channels, {bits} bits, delay {delay}, {damage:?}"
        );
        assert_eq!(analysis.delay_frames, Some(delay), "{context}");
        assert_eq!(analysis.findings.len(), 1, "{context}: {:?}", analysis.findings);
        let found = analysis.findings[0];
        assert!(same(found.kind, damage.kind), "{context}: {found:?}");
        // Altered samples may begin a little later than the damage: where the first sample differs.
        let slack = match damage.kind {
            DamageKind::Dropped { .. }
            | DamageKind::Repeated { .. }
            | DamageKind::Silenced { .. } => 0,
            _ => 64,
        };
        assert!(
            (damage.at_frame..=damage.at_frame + slack).contains(&found.at_frame),
            "{context}: {found:?}"
        );
    }
}

/// The kinds that are found, each with its place.
fn findings(pattern: Pattern, samples: &[i32]) -> (Option<usize>, Vec<(DamageKind, usize)>) {
    let analysis = analyse(pattern, 2, 24, FRAMES, samples, 1000);
    let found = analysis.findings.iter().map(|finding| (finding.kind, finding.at_frame));
    (analysis.delay_frames, found.collect())
}

#[test]
fn a_beginning_that_is_silent_is_named() {
    for pattern in [Pattern::Random, Pattern::Counter, Pattern::LevelSteps] {
        for frames in [1, 64, 256, 300] {
            let mut samples = signal(pattern, 2, 24, 500, 100);
            samples[1000..1000 + 2 * frames].fill(0);
            let (delay, found) = findings(pattern, &samples);
            let [(DamageKind::Silenced { frames: told }, 0)] = found[..] else {
                panic!("{pattern}, {frames}: {found:?}");
            };
            // Zeros of the pattern's own are no damage.
            assert!(told <= frames && told + 2 >= frames, "{pattern}: {told} of {frames}");
            assert_eq!(delay, Some(500), "{pattern}, {frames}");
        }
    }
}

#[test]
fn a_beginning_that_is_cut_off_is_named() {
    let samples = signal(Pattern::Random, 2, 24, 0, 100);
    let (_, found) = findings(Pattern::Random, &samples[2 * 256..]);
    assert_eq!(found, [(DamageKind::Dropped { frames: 256 }, 0)]);
}

#[test]
fn an_end_that_is_silent_is_called_silent() {
    for pattern in [Pattern::Random, Pattern::WalkingOnes] {
        let mut samples = signal(pattern, 2, 24, 500, 100);
        let end = 1000 + 2 * (FRAMES - 264);
        samples[end..].fill(0);
        let (_, found) = findings(pattern, &samples);
        assert_eq!(found, [(DamageKind::Silenced { frames: 264 }, FRAMES - 264)], "{pattern}");
    }
}
