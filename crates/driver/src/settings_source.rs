//! The settings file as a driver's configuration.

use crate::config::{BlockSizes, Config, ConfigSource};
use crate::diary::DiaryPlace;
use barewire_device::Mode;
use barewire_engine::OutputMode;
use barewire_settings::{
    BackendChoice, DeviceMode, Loaded, MapEntry, OutputReady, RatePolicy, ReleaseOn, Settings,
    Side, SizeStep, Sources, Store,
};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Settings from the file, the environment and the command line.
#[derive(Debug)]
pub struct SettingsSource {
    store: Mutex<Store>,
}

impl SettingsSource {
    /// Settings that come from these texts.
    pub fn new(sources: Sources) -> Arc<Self> {
        Arc::new(Self { store: Mutex::new(Store::new(sources)) })
    }

    /// The directory of what is remembered: status files, the log.
    pub fn state_directory(&self) -> Option<PathBuf> {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.sources().state_directory.clone()
    }

    /// What is in force, where each value comes from, and what is wrong.
    pub fn loaded(&self) -> Loaded {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).load()
    }
}

impl ConfigSource for SettingsSource {
    fn load(&self) -> (Config, Vec<String>) {
        let loaded = self.loaded();
        let state = self.state_directory();
        let mut problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
        problems.extend(loaded.fallback().map(str::to_owned));
        let log = &loaded.settings.log;
        let diary = state.map(|directory| DiaryPlace {
            directory,
            least: log.level,
            max_bytes: log.max_bytes,
        });
        (Config { diary, ..config(&loaded.settings) }, problems)
    }

    fn has_changed(&self) -> bool {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).changed()
    }

    fn choose_instance(&self, name: &str) -> bool {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let profiles = store.load().profiles;
        // An entry is named after its profile, with our name before it or without.
        let bare = name.strip_prefix(crate::NAME).map(str::trim);
        let profile = profiles.into_iter().find(|own| own == name || Some(own.as_str()) == bare);
        let is_there = profile.is_some();
        if is_there {
            store.choose_profile(profile);
        }
        is_there
    }

    fn place(&self) -> String {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let file = store.sources().file.as_ref();
        file.map_or_else(|| "no file".to_owned(), |file| file.display().to_string())
    }
}

fn map(side: &Side) -> Option<Vec<Option<u16>>> {
    let map = side.channel_map.as_ref()?;
    Some(map.iter().map(|entry: &MapEntry| entry.channel()).collect())
}

/// Settings as the driver takes them.
fn config(settings: &Settings) -> Config {
    let Settings { driver, input, output, blocks, .. } = settings;
    let default = BlockSizes::default();
    let granularity = match blocks.granularity {
        None => default.granularity,
        Some(SizeStep::PowersOfTwo) => -1,
        Some(SizeStep::Fixed) => 0,
        Some(SizeStep::Frames(frames)) => i32::try_from(frames).unwrap_or(1),
    };
    let preferred = blocks.preferred_frames.unwrap_or(default.preferred_frames);
    let is_fixed = blocks.granularity == Some(SizeStep::Fixed);
    let end =
        |own: Option<u32>, default: u32| if is_fixed { preferred } else { own.unwrap_or(default) };
    Config {
        backend: (driver.backend != BackendChoice::Auto).then(|| driver.backend.word().to_owned()),
        mode: match driver.mode {
            DeviceMode::Auto => Mode::Auto,
            DeviceMode::Exclusive => Mode::Exclusive,
            DeviceMode::ExclusivePolled => Mode::ExclusivePolled,
            DeviceMode::Shared => Mode::Shared,
        },
        input: input.device.clone(),
        output: output.device.clone(),
        input_channels: map(input),
        output_channels: map(output),
        pad_outputs: (output.pad_to_channels > 0).then_some(output.pad_to_channels),
        pad_inputs: input.pad_to_channels,
        block: BlockSizes {
            min_frames: end(blocks.min_frames, default.min_frames.min(preferred)),
            max_frames: end(blocks.max_frames, default.max_frames.max(preferred)),
            preferred_frames: preferred,
            granularity,
        },
        container: driver.sample_type,
        input_format: input.format,
        output_format: output.format,
        most_inputs: input.channels,
        most_outputs: output.channels,
        converts: driver.rate_policy == RatePolicy::Convert,
        gain: (settings.mix.gain.to_bits() != 1_f64.to_bits()).then_some(settings.mix.gain),
        releases_on_stop: driver.release_on == ReleaseOn::Stop,
        rate: None,
        output_mode: match driver.output_ready {
            OutputReady::Auto => OutputMode::Auto,
            OutputReady::Direct => OutputMode::Direct,
            OutputReady::Queued => OutputMode::Queued,
        },
        input_offset_frames: input.latency_offset_frames,
        output_offset_frames: output.latency_offset_frames,
        diary: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(lines: &str) -> (Config, Vec<String>) {
        let sources = Sources { environment: lines.to_owned(), ..Sources::default() };
        SettingsSource::new(sources).load()
    }

    #[test]
    fn settings_reach_the_driver_and_what_is_wrong_is_said() {
        let (config, problems) = with("");
        assert_eq!((config.block, problems.len()), (BlockSizes::default(), 0));
        let (config, problems) = with(
            "driver.backend = \"virtual\"\nblocks.preferred_frames = 64\noutput.channel_map = [2, \"none\"]",
        );
        assert_eq!(config.backend.as_deref(), Some("virtual"));
        assert_eq!(config.output_channels, Some(vec![Some(1), None]));
        assert_eq!((config.block.preferred_frames, problems.len()), (64, 0));
        let (config, problems) = with(
            "driver.rate_policy = \"convert\"\noutput.gain = 0.5\ndriver.release_on = \"stop\"",
        );
        assert_eq!(
            (config.converts, config.gain, config.releases_on_stop),
            (true, Some(0.5), true)
        );
        assert_eq!(problems.len(), 0, "{problems:?}");
        let (config, problems) = with("driver.mode = \"shared\"");
        assert_eq!((config.mode, problems.len()), (Mode::Shared, 0), "{problems:?}");
        let (_, problems) = with("driver.bakend = \"virtual\"");
        assert!(problems[0].contains("backend"), "the nearest right key: {problems:?}");
    }
}
