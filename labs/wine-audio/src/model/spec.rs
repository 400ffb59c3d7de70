//! What an endpoint is, and in which way it is odd.

use super::wave::Wave;
use super::{Fault, Hresult};

/// The periods of the mixer, in frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Without being asked.
    pub default: u32,
    /// Multiples of this.
    pub step: u32,
    /// The shortest.
    pub min: u32,
    /// The longest.
    pub max: u32,
}

/// An endpoint.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// It plays.
    pub is_render: bool,
    /// What it shares with other endpoints: then it hears what they play, and runs by the same clock.
    pub hardware: Option<String>,
    /// Formats that are taken exclusively: float, container, valid bits.
    pub formats: Vec<(bool, u16, u16)>,
    /// Formats that are said to be taken, and then are not.
    pub boasted: Vec<(bool, u16, u16)>,
    /// Formats that are taken, but said not to be.
    pub denied: Vec<(bool, u16, u16)>,
    /// Rates that are taken exclusively.
    pub rates: Vec<u32>,
    /// Channel counts that are taken exclusively.
    pub channels: Vec<u16>,
    /// Channel masks that are taken; empty for all.
    pub masks: Vec<u32>,
    /// Whether the short form is taken.
    pub takes_short: bool,
    /// The mixer's format.
    pub mix: Wave,
    /// What an exclusive opening is refused with; 0 if not.
    pub exclusive: Hresult,
    /// What a shared opening is refused with; 0 if not.
    pub shared: Hresult,
    /// In units of 100 ns.
    pub min_period_hns: i64,
    /// In units of 100 ns.
    pub usual_period_hns: i64,
    /// What buffers of exclusive streams with events are aligned to.
    pub align_bytes: u32,
    /// Buffers of exclusive streams without events are so many times longer than asked for.
    pub swells: u32,
    /// Shorter periods of the mixer, where they are declared.
    pub engine: Option<Engine>,
    /// Raw streams are offered.
    pub has_raw: bool,
    /// Events come so much too early or too late at most.
    pub jitter_ns: u64,
    /// Chooses by how much.
    pub seed: u64,
    /// No event ever comes.
    pub is_mute: bool,
    /// The first event comes after a period, not at once: half of the buffer is played unwritten.
    pub begins_late: bool,
    /// The clock is so much too fast.
    pub ppm: i64,
    /// Frames between memory and converter.
    pub fifo: u32,
    /// Units of the position in a frame: bytes in some drivers, frames in others.
    pub position_units: u64,
    /// What goes wrong once so many frames were moved.
    pub fault: Option<(u64, Fault)>,
    /// After so many attempts to have it back it is there again; a stalled one once its stream was closed.
    pub returns_after: Option<u32>,
}

impl Default for Spec {
    /// An ordinary output of a desktop.
    fn default() -> Self {
        Self {
            name: "Speakers".to_owned(),
            is_render: true,
            hardware: None,
            formats: vec![(false, 32, 24), (false, 16, 16)],
            boasted: Vec::new(),
            denied: Vec::new(),
            rates: vec![44_100, 48_000, 96_000, 192_000],
            channels: vec![2],
            masks: vec![0x3],
            takes_short: false,
            mix: Wave::floats(48_000, 2, 0x3),
            exclusive: 0,
            shared: 0,
            min_period_hns: 30_000,
            usual_period_hns: 100_000,
            align_bytes: 128,
            swells: 1,
            engine: None,
            has_raw: false,
            jitter_ns: 0,
            seed: 1,
            is_mute: false,
            begins_late: false,
            ppm: 0,
            fifo: 0,
            position_units: 1,
            fault: None,
            returns_after: None,
        }
    }
}

impl Spec {
    /// The input that belongs to this output.
    pub fn input(&self) -> Self {
        Self { name: format!("{} input", self.name), is_render: false, ..self.clone() }
    }

    fn is(kinds: &[(bool, u16, u16)], wave: &Wave) -> bool {
        kinds.contains(&(wave.is_float, wave.container, wave.valid))
    }

    fn fits(&self, wave: &Wave) -> bool {
        let has_mask = self.masks.is_empty() || self.masks.contains(&wave.mask);
        let is_described = if wave.is_extensible { has_mask } else { self.takes_short };
        self.rates.contains(&wave.rate) && self.channels.contains(&wave.channels) && is_described
    }

    /// Whether the format opens.
    pub fn takes(&self, wave: &Wave) -> bool {
        self.fits(wave) && Self::is(&self.formats, wave)
    }

    /// Whether the format is said to open, and does not.
    pub fn boasts(&self, wave: &Wave) -> bool {
        self.fits(wave) && Self::is(&self.boasted, wave)
    }

    /// Whether the format is said not to open.
    pub fn denies(&self, wave: &Wave) -> bool {
        Self::is(&self.denied, wave)
    }

    /// The mixer takes all usual samples at its own rate and channel count.
    pub fn takes_shared(&self, wave: &Wave) -> bool {
        let kind = (wave.is_float, wave.container, wave.valid);
        let kinds =
            [(true, 32, 32), (false, 32, 32), (false, 32, 24), (false, 24, 24), (false, 16, 16)];
        kinds.contains(&kind) && (wave.rate, wave.channels) == (self.mix.rate, self.mix.channels)
    }
}
