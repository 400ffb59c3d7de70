//! One TOML file, checked with line, column and the nearest right key.
//!
//! What may stand in it, its defaults, its checks and the reference page (`docs/settings.md`) all come from one
//! table, [`Settings`]. [`Store`] finds and reads the file, lays profile, environment and command line over it, keeps
//! the last good settings when the file is broken, and tells where each value came from. [`write_key`] changes one key
//! and leaves the rest of the file as it was. The driver's keeper and the `barewire` command call it, on control
//! threads only. It knows no backend and no engine: those who know both convert.

#![forbid(unsafe_code)]

mod check;
mod choices;
mod device;
mod error;
mod faults;
mod file;
mod layers;
mod nearest;
mod page;
mod places;
mod read;
mod schema;
mod sections;
mod store;
mod values;
mod write;

pub use choices::{
    BackendChoice, Clock, DeviceMode, HubStart, KsTransport, Layout, LogLevel, OutputReady,
    RatePolicy, ReleaseOn, Sink, Source,
};
pub use device::DeviceChoice;
pub use error::{Origin, Place, SettingsError};
pub use faults::{FaultKind, VirtualFault};
pub use page::reference_page;
pub use places::{
    HUB_VARIABLE, SETTINGS_VARIABLE, STATE_VARIABLE, hub_address, settings_file, state_directory,
};
pub use schema::KeySpec;
pub use sections::{Blocks, Driver, HubSettings, KsSettings, Log, Mix, Settings, Side, Virtual};
pub use store::{Entry, InForce, Loaded, PROFILE_VARIABLE, SET_VARIABLE, Sources, Store};
pub use values::{MapEntry, SizeStep};
pub use write::write_key;
