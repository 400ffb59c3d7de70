//! What the driver is told to do: checked words, wherever they come from.

use crate::diary::DiaryPlace;
use barewire_device::Mode;
use barewire_engine::OutputMode;
use barewire_settings::DeviceChoice;
use barewire_types::{RateHz, SampleFormat};

/// The block sizes that are offered, in frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSizes {
    /// The smallest. Below 32 some hosts crash (Max, FlexASIO issue 88).
    pub min_frames: u32,
    /// The greatest. Above 2048 some hosts have trouble (Pro Tools, FlexASIO issue 90).
    pub max_frames: u32,
    /// The best.
    pub preferred_frames: u32,
    /// -1: powers of two (Pro Tools refuses others, FlexASIO issue 50); else the step.
    pub granularity: i32,
}

impl Default for BlockSizes {
    fn default() -> Self {
        Self { min_frames: 32, max_frames: 2048, preferred_frames: 256, granularity: -1 }
    }
}

/// What the driver is told to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Only this backend.
    pub backend: Option<String>,
    /// How devices are held.
    pub mode: Mode,
    /// The captured device.
    pub input: DeviceChoice,
    /// The played device.
    pub output: DeviceChoice,
    /// The device's channels that are offered as inputs, in this order (`None`: a silent one); all if not given.
    pub input_channels: Option<Vec<Option<u16>>>,
    /// The device's channels that are offered as outputs, in this order (`None`: a silent one); all if not given.
    pub output_channels: Option<Vec<Option<u16>>>,
    /// At least so many outputs are offered; those beyond the device's are silent. Some hosts refuse fewer than two.
    pub pad_outputs: Option<u16>,
    /// Likewise for inputs.
    pub pad_inputs: u16,
    /// Block sizes.
    pub block: BlockSizes,
    /// The sample type that hosts get, if forced.
    pub container: Option<SampleFormat>,
    /// The format that is captured, if forced.
    pub input_format: Option<SampleFormat>,
    /// The format that is played, if forced.
    pub output_format: Option<SampleFormat>,
    /// At most so many of the device's inputs are offered.
    pub most_inputs: Option<u16>,
    /// At most so many of the device's outputs are offered.
    pub most_outputs: Option<u16>,
    /// Whether a host can have rates that the device has not, resampled.
    pub converts: bool,
    /// A factor for all outputs; `None` is 1, which is no arithmetic.
    pub gain: Option<f64>,
    /// Whether the device is let go when the host stops, not only when it disposes of its buffers.
    pub releases_on_stop: bool,
    /// The rate at the beginning, if the device has it.
    pub rate: Option<RateHz>,
    /// How outputs get to the device.
    pub output_mode: OutputMode,
    /// Added to the latency of inputs.
    pub input_offset_frames: i32,
    /// Added to the latency of outputs.
    pub output_offset_frames: i32,
    /// Where status and log are written; nowhere if not given.
    pub diary: Option<DiaryPlace>,
}

/// Where a [`Config`] comes from. Control threads and the keeper.
pub trait ConfigSource: Send + Sync {
    /// What is in force, and what is wrong with it in sentences. A broken source gives the last good settings.
    fn load(&self) -> (Config, Vec<String>);

    /// Whether [`load`](Self::load) would give something else than the last time.
    fn has_changed(&self) -> bool {
        false
    }

    /// Goes by the named entry from now on; false if there is none of that name.
    fn choose_instance(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// Where a person changes it.
    fn place(&self) -> String;
}

/// A configuration that never changes.
#[derive(Clone, Debug, Default)]
pub struct FixedConfig(pub Config);

impl ConfigSource for FixedConfig {
    fn load(&self) -> (Config, Vec<String>) {
        (self.0.clone(), Vec::new())
    }

    fn place(&self) -> String {
        "built in".to_owned()
    }
}
