//! The one table of backends: which there are on this operating system, the best first. A new backend is one line here.

#![forbid(unsafe_code)]

mod description;

pub use description::describe;

use barewire_device::Backend;
use barewire_hub_client::{HubBackend, Starter, is_there};
use barewire_rt::System;
use barewire_settings::{HubSettings, HubStart, KsSettings, hub_address};
use barewire_types::{Error, ErrorKind};
use barewire_virtual::{Description, VirtualBackend};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// All backends of this system, the best first. The virtual device is the last resort: it is always there.
pub fn backends(
    system: &Arc<dyn System>,
    virtual_devices: Vec<Description>,
) -> Vec<Arc<dyn Backend>> {
    configured(system, virtual_devices, &HubSettings::default(), &KsSettings::default())
}

/// The same, with a hub that is started if the settings say so, and kernel streaming as it is set.
pub fn configured(
    system: &Arc<dyn System>,
    virtual_devices: Vec<Description>,
    settings: &HubSettings,
    ks: &KsSettings,
) -> Vec<Arc<dyn Backend>> {
    // Only Windows has it.
    let _ = ks;
    let mut all: Vec<Arc<dyn Backend>> = Vec::new();
    // Before the device itself: while a hub holds it nobody else can have it.
    if let (Some(address), false) = (hub_address(), system.is_simulated()) {
        let starter = (settings.start == HubStart::FirstClient)
            .then(|| starter(address.clone(), settings.command.clone()));
        all.push(Arc::new(HubBackend::new(system.clone(), address, starter)));
    }
    // Hardware keeps real time; a simulated clock is for the virtual device alone.
    #[cfg(target_os = "linux")]
    if !system.is_simulated() {
        barewire_rt::grant_by(barewire_desktop::make_realtime);
        all.push(Arc::new(barewire_alsa::AlsaBackend::new(system.clone())));
        all.push(Arc::new(barewire_jack::JackBackend::new(system.clone())));
    }
    #[cfg(windows)]
    if !system.is_simulated() {
        all.push(Arc::new(barewire_wasapi::WasapiBackend::new(system.clone())));
        // Behind WASAPI, whose exclusive mode takes a device from the engine, which no pin can be opened against.
        let options = ks_options(ks);
        all.push(Arc::new(barewire_ks::KsBackend::new(system.clone(), options)));
        all.push(Arc::new(barewire_dsound::DsoundBackend::new(system.clone())));
        all.push(Arc::new(barewire_mme::MmeBackend::new(system.clone())));
    }
    all.push(Arc::new(VirtualBackend::new(system.clone(), virtual_devices)));
    all
}

#[cfg(windows)]
fn ks_options(settings: &KsSettings) -> barewire_ks::Options {
    use barewire_ks::Transport;
    use barewire_settings::KsTransport;
    barewire_ks::Options {
        transport: match settings.transport {
            KsTransport::Auto => Transport::Auto,
            KsTransport::Event => Transport::Event,
            KsTransport::Polled => Transport::Polled,
            KsTransport::Packets => Transport::Packets,
        },
        buffer_offset_us: settings.buffer_offset_us,
        kernel_buffers: settings.kernel_buffers,
    }
}

/// Starts `barewire hub`, which ends after its last client.
fn starter(address: PathBuf, command: Option<PathBuf>) -> Starter {
    /// A hub opens its door before it opens a device.
    const PATIENCE: Duration = Duration::from_secs(5);
    const LOOK: Duration = Duration::from_millis(20);
    let command = command.unwrap_or_else(|| PathBuf::from("barewire"));
    Arc::new(move || {
        let mut hub = Command::new(&command);
        hub.args(["hub", "--until-last"]).stdin(Stdio::null());
        let mut child =
            hub.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|error| {
                let text = format!("the hub cannot be started by {}: {error}", command.display());
                Error::new(ErrorKind::NotFound, text)
                    .remedy("name the `barewire` command in the setting hub.command")
            })?;
        let begin = Instant::now();
        while !is_there(&address) && begin.elapsed() < PATIENCE {
            if let Ok(Some(status)) = child.try_wait() {
                // Another one may have been quicker.
                if is_there(&address) {
                    break;
                }
                let text = format!("the hub has ended again: {status}");
                return Err(Error::new(ErrorKind::Malfunction, text)
                    .remedy("start it by hand to see why: `barewire hub`"));
            }
            std::thread::sleep(LOOK);
        }
        // Waited for, so that it does not stay as a zombie of this program.
        std::thread::spawn(move || child.wait());
        Ok(())
    })
}

/// The names of all backends of this system, as settings spell them.
pub fn names() -> Vec<&'static str> {
    vec![
        barewire_hub_client::NAME,
        #[cfg(target_os = "linux")]
        barewire_alsa::NAME,
        #[cfg(target_os = "linux")]
        barewire_jack::NAME,
        #[cfg(windows)]
        barewire_wasapi::NAME,
        #[cfg(windows)]
        barewire_ks::NAME,
        #[cfg(windows)]
        barewire_dsound::NAME,
        #[cfg(windows)]
        barewire_mme::NAME,
        barewire_virtual::NAME,
    ]
}
