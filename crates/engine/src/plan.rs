//! What an engine is to do, in words that a control thread can check.

use barewire_types::SampleFormat;

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
}

/// What an engine is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Frames of a client's block.
    pub block_frames: u32,
    /// The client.
    pub client: ClientPlan,
    /// Whether the operating system's mixer lies between the stream and the device.
    pub is_shared: bool,
}
