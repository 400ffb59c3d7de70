//! The driver of this very process, and any other that is asked for: both are driven through the ASIO interface.

use crate::{Global, drivers};
use anyhow::{Context, Result, bail};
use barewire_driver::{Driver, NAME, Observer, Options, SettingsSource};
use barewire_host::{Source, registry};
use barewire_rt::{RealSystem, SimulatedSystem, System};
use barewire_settings::{BackendChoice, Clock, DeviceChoice, HubSettings, Settings, Sources};
use barewire_virtual::Description;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A driver to be opened, and a look at it if it is ours.
pub(crate) struct Chosen {
    pub(crate) source: Source,
    observer: Arc<Mutex<Option<Observer>>>,
    /// Time of the driver is simulated: whoever feeds it must not fall behind.
    pub(crate) is_simulated: bool,
    /// Nobody has said which device, or which way to it, is wanted.
    pub(crate) is_automatic: bool,
}

impl Chosen {
    /// The driver that was opened last, if it is ours.
    pub(crate) fn observer(&self) -> Option<Observer> {
        self.observer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The settings that the options ask for: the file, the environment, and above both the command line.
pub(crate) fn settings(global: &Global) -> Arc<SettingsSource> {
    let mut sources = Sources::from_environment();
    if let Some(file) = &global.settings {
        sources = sources.named(file);
    }
    if global.profile.is_some() {
        sources.profile.clone_from(&global.profile);
    }
    sources.arguments.extend(global.set.iter().cloned());
    let device = global.device.as_ref().map(|text| format!("{text:?}"));
    if let Some(device) = device {
        let word = if device.contains(':') { device } else { format!("{{ pattern = {device} }}") };
        sources.arguments.push(format!("input.device = {word}"));
        sources.arguments.push(format!("output.device = {word}"));
    }
    if let Some(frames) = global.block {
        sources.arguments.push(format!("blocks.preferred_frames = {frames}"));
    }
    if global.simulated {
        sources.arguments.push("virtual.clock = \"simulated\"".to_owned());
    }
    SettingsSource::new(sources)
}

/// The hub's settings; it is started by this very command if they name no other.
fn own_hub(settings: &Settings) -> HubSettings {
    let command = settings.hub.command.clone().or_else(|| std::env::current_exe().ok());
    HubSettings { command, ..settings.hub.clone() }
}

/// Where status files and log lie.
pub(crate) fn state_directory(global: &Global) -> Option<PathBuf> {
    settings(global).state_directory()
}

/// Settings that were named by hand have to be right; the driver itself would go on with what is left of them.
pub(crate) fn checked(global: &Global) -> Result<Arc<SettingsSource>> {
    let source = settings(global);
    let problems = source.loaded().problems;
    if let Some(first) = problems.first() {
        bail!("{first}");
    }
    Ok(source)
}

/// What time the built-in driver keeps.
pub(crate) fn system(settings: &Settings) -> Arc<dyn System> {
    match settings.virtual_device.clock {
        Clock::Simulated => SimulatedSystem::new(0),
        Clock::Real => RealSystem::new(),
    }
}

/// The virtual device that stands in for hardware.
pub(crate) fn virtual_device(global: &Global, settings: &Settings) -> Description {
    barewire_registry::describe(&settings.virtual_device, Some(&capture_folder(global)))
}

fn capture_folder(global: &Global) -> PathBuf {
    let default = || std::env::temp_dir().join("barewire");
    global.capture.clone().unwrap_or_else(default)
}

/// The driver that the options name.
pub(crate) fn choose(global: &Global) -> Result<Chosen> {
    let observer = Arc::new(Mutex::new(None));
    let config = checked(global)?;
    let settings = config.loaded().settings;
    let is_simulated = global.driver.is_none() && settings.virtual_device.clock == Clock::Simulated;
    // In simulated time hardware is not even looked for.
    let is_automatic = !is_simulated
        && settings.driver.backend == BackendChoice::Auto
        && settings.output.device == DeviceChoice::Default;
    let source = match &global.driver {
        Some(name) => {
            let source = named(global, name)?;
            drivers::check(global, name)?;
            source
        }
        None => built_in(global, config, observer.clone()),
    };
    Ok(Chosen { source, observer, is_simulated, is_automatic })
}

fn built_in(
    global: &Global,
    config: Arc<SettingsSource>,
    observer: Arc<Mutex<Option<Observer>>>,
) -> Source {
    let global = global.clone();
    Source::in_process(NAME, move || {
        let settings = config.loaded().settings;
        let system = system(&settings);
        let device = virtual_device(&global, &settings);
        let backends =
            barewire_registry::configured(&system, vec![device], &own_hub(&settings), &settings.ks);
        let driver = Driver::new(Options { system, backends, config: config.clone() });
        *observer.lock().unwrap_or_else(PoisonError::into_inner) = Some(driver.observer());
        driver
    })
}

/// A path, or the name of a registered driver.
pub(crate) fn named(global: &Global, name: &str) -> Result<Source> {
    let path = Path::new(name);
    if path.extension().is_some_and(|extension| extension == "so" || extension == "dll")
        || path.is_file()
    {
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
