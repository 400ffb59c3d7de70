//! The driver as the host sees it: Loaded, Initialized, Prepared, Running.
//!
//! `driver.rs` is the door: the methods of the interface, mapped onto the states of `state.rs`. A run's own part, the
//! host as the engine's client, is in `host_client.rs`. The keeper opens and closes devices, the notifier speaks to the
//! host; both live from createBuffers to disposeBuffers and not a moment longer.

#![forbid(unsafe_code)]

mod buffers;
mod config;
mod crew;
mod detours;
mod diary;
mod driver;
mod events;
mod holder;
mod host_client;
mod keeper;
mod log;
mod notifier;
mod offer;
mod opening;
mod rate;
mod settings_source;
mod state;
mod status;
mod threads;

pub use barewire_settings::DeviceChoice;
pub use config::{BlockSizes, Config, ConfigSource, FixedConfig};
pub use diary::DiaryPlace;
pub use driver::{Driver, Observer, Options};
pub use events::{LogRecord, Report};
pub use log::log_file;
pub use settings_source::SettingsSource;
pub use status::{HubStatus, OwnStatus, Status, status_directory, statuses};
pub use threads::live_threads;

/// The name that hosts show.
pub const NAME: &str = "Barewire";
