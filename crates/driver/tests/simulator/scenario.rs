//! What a seed stands for: a device with its faults and a host with its manners.

use barewire_device::Layout;
use barewire_types::{RateHz, SampleFormat};
use barewire_virtual::{Fault, FaultKind, Script};

pub struct Draw(u64);

impl Draw {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xD134_2543_DE82_EF95) ^ 0x5851_F42D_4C95_7F2D)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31) % limit.max(1)
    }

    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// How the host behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    Good,
    Slow,
    WaitsForStart,
    NeverReady,
    ReadyElsewhere,
    ReadyTwice,
    ReadyEverySecond,
    StopsInside,
    DisposesInside,
    TearsDownInMessage,
    NullTimeInfo,
    AnswersNothing,
    ControlStorm,
    ChangesRate,
    Restarts,
}

impl Manner {
    pub const ALL: [Self; 15] = [
        Self::Good,
        Self::Slow,
        Self::WaitsForStart,
        Self::NeverReady,
        Self::ReadyElsewhere,
        Self::ReadyTwice,
        Self::ReadyEverySecond,
        Self::StopsInside,
        Self::DisposesInside,
        Self::TearsDownInMessage,
        Self::NullTimeInfo,
        Self::AnswersNothing,
        Self::ControlStorm,
        Self::ChangesRate,
        Self::Restarts,
    ];
}

/// What the device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    Jitter,
    ClockOffset,
    LateWake,
    Missed,
    Stall,
    SpuriousWake,
    Unplug,
    Refusal,
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub rate: RateHz,
    pub frames: u32,
    pub period: Option<u32>,
    pub format: SampleFormat,
    pub layout: Layout,
    pub channels: u16,
    pub offset_ppm: f64,
    pub script: Script,
    pub refusals: u32,
    pub manner: Manner,
    pub troubles: Vec<Trouble>,
    /// Frames to be played.
    pub goal_frames: u64,
}

/// Device cycles that a seed is to run, about.
const CYCLES: u64 = 4200;

impl Scenario {
    pub fn new(seed: u64) -> Self {
        let mut draw = Draw::new(seed);
        let rates = [44_100, 48_000, 96_000, 192_000];
        let rate = RateHz::new(rates[draw.below(4) as usize]).unwrap();
        // Evenly from 32 to 4096.
        let frames = draw.between(32, 4096) as u32;
        let period = (!draw.once_in(6)).then(|| draw.between(16, 256) as u32);
        let formats = [SampleFormat::INT32, SampleFormat::INT24, SampleFormat::INT24_IN_32];
        let moved = u64::from(period.unwrap_or(frames));
        let goal_frames = CYCLES * moved.min(200);
        let manner = Manner::ALL[draw.below(15) as usize];
        let mut scenario = Self {
            seed,
            rate,
            frames,
            period,
            format: formats[draw.below(3) as usize],
            layout: if draw.once_in(2) { Layout::Planar } else { Layout::Interleaved },
            channels: draw.between(1, 3) as u16,
            offset_ppm: 0.0,
            script: Script { seed, ..Script::default() },
            refusals: 0,
            manner,
            troubles: Vec::new(),
            goal_frames,
        };
        scenario.add_troubles(&mut draw, moved);
        scenario
    }

    fn add_troubles(&mut self, draw: &mut Draw, period: u64) {
        let period_ns = period * 1_000_000_000 / u64::from(self.rate.get());
        if draw.once_in(3) {
            self.troubles.push(Trouble::Jitter);
            self.script.jitter_ns = draw.between(1, period_ns * 3 / 4);
        }
        if draw.once_in(3) {
            self.troubles.push(Trouble::ClockOffset);
            self.offset_ppm = draw.below(1001) as f64 - 500.0;
        }
        if draw.once_in(6) {
            self.troubles.push(Trouble::Refusal);
            self.refusals = draw.between(1, 3) as u32;
        }
        let kinds: [(Trouble, u64); 5] = [
            (Trouble::LateWake, 4),
            (Trouble::Missed, 4),
            (Trouble::Stall, 6),
            (Trouble::SpuriousWake, 4),
            (Trouble::Unplug, 6),
        ];
        for (trouble, rarity) in kinds {
            if !draw.once_in(rarity) {
                continue;
            }
            self.troubles.push(trouble);
            for _ in 0..draw.between(1, 4) {
                let at_frames = draw.below(self.goal_frames.max(2));
                let kind = match trouble {
                    Trouble::LateWake => FaultKind::LateWake(draw.between(1, period_ns * 5)),
                    Trouble::Missed => FaultKind::Miss(draw.between(1, period * 4) as u32),
                    Trouble::Stall => FaultKind::Stall(draw.between(1, period_ns * 20)),
                    Trouble::Unplug => FaultKind::Unplug(Some(draw.between(1, 400_000_000))),
                    _ => FaultKind::SpuriousWake,
                };
                self.script.faults.push(Fault { at_frames, kind });
            }
        }
        self.script.faults.sort_by_key(|fault| fault.at_frames);
    }

    pub fn has(&self, trouble: Trouble) -> bool {
        self.troubles.contains(&trouble)
    }

    /// Whether the way of the samples may be interrupted: then silence may come in, and frames may be lost, but never
    /// repeated or mixed up.
    pub fn is_disturbed(&self) -> bool {
        let troubles = [Trouble::LateWake, Trouble::Missed, Trouble::Stall, Trouble::Unplug];
        let manners = [
            Manner::Slow,
            Manner::ReadyElsewhere,
            Manner::ReadyEverySecond,
            Manner::TearsDownInMessage,
            Manner::ControlStorm,
            Manner::ChangesRate,
            Manner::Restarts,
        ];
        troubles.into_iter().any(|trouble| self.has(trouble)) || manners.contains(&self.manner)
    }
}
