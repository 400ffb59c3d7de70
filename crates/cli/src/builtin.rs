//! The driver of this very process, and any other that is asked for: both are driven through the ASIO interface.

use crate::Global;
use anyhow::{Context, Result};
use barewire_driver::{Config, DeviceChoice, Driver, FixedConfig, NAME, Observer, Options};
use barewire_host::{Source, registry};
use barewire_rt::{RealSystem, SimulatedSystem, System};
use barewire_virtual::{Description, Sink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A driver to be opened, and a look at it if it is ours.
pub(crate) struct Chosen {
    pub(crate) source: Source,
    observer: Arc<Mutex<Option<Observer>>>,
    /// Time of the driver is simulated: whoever feeds it must not fall behind.
    pub(crate) is_simulated: bool,
    /// Where the virtual device writes what it is played.
    pub(crate) capture: PathBuf,
}

impl Chosen {
    /// The driver that was opened last, if it is ours.
    pub(crate) fn observer(&self) -> Option<Observer> {
        self.observer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What time the built-in driver keeps.
pub(crate) fn system(global: &Global) -> Arc<dyn System> {
    if global.simulated { SimulatedSystem::new(0) } else { RealSystem::new() }
}

/// The virtual device that stands in for hardware.
pub(crate) fn virtual_device(global: &Global) -> Description {
    Description { sink: Sink::Wav(capture_folder(global)), ..Description::default() }
}

fn capture_folder(global: &Global) -> PathBuf {
    let default = || std::env::temp_dir().join("barewire");
    global.capture.clone().unwrap_or_else(default)
}

/// The driver that the options name.
pub(crate) fn choose(global: &Global) -> Result<Chosen> {
    let observer = Arc::new(Mutex::new(None));
    let (capture, is_simulated) = (capture_folder(global), global.simulated);
    let source = match &global.driver {
        Some(name) => named(global, name)?,
        None => built_in(global, observer.clone()),
    };
    Ok(Chosen { source, observer, is_simulated, capture })
}

fn built_in(global: &Global, observer: Arc<Mutex<Option<Observer>>>) -> Source {
    let choice = match &global.device {
        None => DeviceChoice::Default,
        Some(text) if text.contains(':') => DeviceChoice::Id(text.clone()),
        Some(text) => DeviceChoice::Pattern(text.clone()),
    };
    let mut config = Config { input: choice.clone(), output: choice, ..Config::default() };
    if let Some(frames) = global.block {
        config.block.min_frames = config.block.min_frames.min(frames);
        config.block.max_frames = config.block.max_frames.max(frames);
        config.block.preferred_frames = frames;
    }
    let global = global.clone();
    Source::in_process(NAME, move || {
        let system = system(&global);
        let backends = barewire_registry::backends(&system, vec![virtual_device(&global)]);
        let driver = Driver::new(Options {
            system,
            backends,
            config: Arc::new(FixedConfig(config.clone())),
        });
        *observer.lock().unwrap_or_else(PoisonError::into_inner) = Some(driver.observer());
        driver
    })
}

/// A path, or the name of a registered driver.
pub(crate) fn named(global: &Global, name: &str) -> Result<Source> {
    let path = Path::new(name);
    if path.extension().is_some_and(|extension| extension == "so") || path.is_file() {
        return Ok(Source::file(path));
    }
    let entry = registry::entry(&root(global), name)
        .with_context(|| format!("there is no driver {name}; see `barewire drivers`"))?;
    Ok(Source::entry(&entry))
}

/// Where drivers are registered.
pub(crate) fn root(global: &Global) -> PathBuf {
    global.root.clone().unwrap_or_else(registry::default_root)
}
