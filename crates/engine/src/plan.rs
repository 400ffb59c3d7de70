//! What an engine is to do, in words that a control thread can check.

use barewire_dsp::Dither;
use barewire_types::{Integrity, Reason, SampleFormat};

/// The most clients that one engine serves: more than anyone runs at once, and few enough to look at each in every
/// block.
pub const MAX_CLIENTS: usize = 32;

/// How output gets from a client's half to the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OutputMode {
    /// As the client shows by its behaviour.
    #[default]
    Auto,
    /// Always the half that was begun.
    Direct,
    /// Always the half before.
    Queued,
}

/// One client's part of a [`Plan`].
#[derive(Clone, Debug, PartialEq)]
pub struct ClientPlan {
    /// The sample format of the client's halves, both directions.
    pub format: SampleFormat,
    /// For each input of the client the device's capture channel; `None` gives silence.
    pub inputs: Vec<Option<u16>>,
    /// For each output of the client the device's playback channel; `None` goes nowhere.
    pub outputs: Vec<Option<u16>>,
    /// How output gets from the client's half to the device.
    pub output_mode: OutputMode,
    /// The factor of all outputs at the beginning; 1 is no arithmetic.
    pub gain: f64,
}

/// What an engine is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Frames of a client's block.
    pub block_frames: u32,
    /// The clients that are there from the start.
    pub clients: Vec<ClientPlan>,
    /// What the stream itself does to samples if it is not exact (the rate converted, the system's mixer), and why. The
    /// engine cannot see it, but publishes it instead of what its own lane would be.
    pub below: Option<(Integrity, Reason)>,
    /// How samples that were computed are rounded. What was not computed is never dithered.
    pub dither: Dither,
    /// Fixes the dither: the same seed gives the same samples.
    pub seed: u64,
}

impl Plan {
    /// One client with blocks of `block_frames`, on an exact stream.
    pub fn one(block_frames: u32, client: ClientPlan) -> Self {
        let clients = vec![client];
        Self { block_frames, clients, below: None, dither: Dither::default(), seed: 0 }
    }
}
