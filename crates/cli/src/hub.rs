//! `barewire hub`: the process that shares a device, and what can be told to it.

use crate::{Global, builtin, say};
use anyhow::{Context, Result, bail};
use barewire_device::{Backend, DeviceInfo};
use barewire_driver::{HubStatus, OwnStatus};
use barewire_hub::{Hub, Options as HubOptions, Server};
use barewire_hub_client::ask_hub;
use barewire_rt::{RealSystem, System};
use barewire_settings::{BackendChoice, DeviceChoice, Settings, hub_address};
use barewire_share::message::Ask;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often the hub looks after its clients.
const ROUND: Duration = Duration::from_millis(50);
/// How long lines may take to close.
const CLOSE_NS: u64 = 2_000_000_000;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Option<Action>,
    /// End when the last client has left.
    #[arg(long)]
    until_last: bool,
    /// Offer what is being played as further inputs.
    #[arg(long)]
    tap: bool,
    /// Part of the name of the program that sets rate and block size; else it is the first one.
    #[arg(long, value_name = "NAME")]
    leader: Option<String>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// End the hub.
    Stop {
        /// Not at once, but when the last client has left.
        #[arg(long)]
        after_last: bool,
    },
    /// Change how a client is heard.
    Tune {
        /// Part of its program's name, or its process.
        client: String,
        /// A factor for its outputs; at 1 nothing is computed.
        #[arg(long)]
        gain: Option<f64>,
        /// Silence it, or hear it again.
        #[arg(long)]
        muted: Option<bool>,
    },
    /// Print what starts the hub for this user at log-in: a unit for systemd, on Windows a command.
    Unit,
}

/// Where the hub of this user is called.
pub(crate) fn address() -> Result<PathBuf> {
    hub_address().context("no place for the hub is known; set XDG_RUNTIME_DIR or HOME")
}

/// Runs the subcommand.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    match &options.action {
        None => serve(global, options),
        Some(Action::Stop { after_last }) => {
            ask_hub(&address()?, &Ask::End { now: !after_last })?;
            Ok(())
        }
        Some(Action::Tune { client, gain, muted }) => {
            let (client, gain, muted) = (client.clone(), *gain, *muted);
            if gain.is_none() && muted.is_none() {
                bail!("say what is to change: --gain or --muted");
            }
            ask_hub(&address()?, &Ask::Tune { client, gain, muted })?;
            Ok(())
        }
        Some(Action::Unit) => {
            let program = std::env::current_exe().context("where this program lies")?;
            let form = if std::env::consts::OS == "windows" { AUTOSTART } else { UNIT };
            say::line(form.replace("BAREWIRE", &program.display().to_string()).trim_end());
            Ok(())
        }
    }
}

/// For `~/.config/systemd/user/barewire-hub.service`.
const UNIT: &str = "\
# Keep as ~/.config/systemd/user/barewire-hub.service, then: systemctl --user enable --now barewire-hub
[Unit]
Description=Barewire hub: one sound device for several programs
After=sound.target

[Service]
ExecStart=BAREWIRE hub
Restart=on-failure
LimitRTPRIO=95
LimitMEMLOCK=infinity

[Install]
WantedBy=default.target
";

/// To be run once; Windows then starts the hub whenever this user logs in.
const AUTOSTART: &str = r#"reg add HKCU\Software\Microsoft\Windows\CurrentVersion\Run /v "Barewire hub" /d "\"BAREWIRE\" hub" /f"#;

fn wanted(choice: DeviceChoice) -> Arc<dyn Fn(&DeviceInfo) -> bool + Send + Sync> {
    Arc::new(move |device| match &choice {
        DeviceChoice::Default | DeviceChoice::None => device.is_default,
        other => other.fits(device.id.as_str(), &device.name),
    })
}

fn backends(
    global: &Global,
    settings: &Settings,
    system: &Arc<dyn System>,
) -> Vec<Arc<dyn Backend>> {
    let device = builtin::virtual_device(global, settings);
    let all = barewire_registry::backends(system, vec![device]);
    let only = settings.driver.backend;
    let suits = |name: &str| match only {
        BackendChoice::Auto | BackendChoice::Hub => true,
        only => only.word() == name,
    };
    // A hub that shares another hub would only add its way.
    let own = |name: &str| name != barewire_hub_client::NAME && suits(name);
    all.into_iter().filter(|backend| own(backend.name())).collect()
}

fn serve(global: &Global, options: &Options) -> Result<()> {
    let source = builtin::checked(global)?;
    let settings = source.loaded().settings;
    if global.simulated {
        bail!("programs keep real time, so a hub cannot run in simulated time");
    }
    let system: Arc<dyn System> = RealSystem::new();
    let hub = Hub::new(HubOptions {
        system: system.clone(),
        backends: backends(global, &settings, &system),
        wanted: wanted(settings.output.device.clone()),
        leader: options.leader.clone().or_else(|| settings.hub.leader.clone()),
        taps: options.tap || settings.hub.tap,
        most_clients: usize::from(settings.hub.most_clients),
    })?;
    let address = address()?;
    let server = Server::open(hub.clone(), system.clone(), &address)?;
    let ends = Arc::new(AtomicBool::new(false));
    let flag = ends.clone();
    ctrlc::set_handler(move || flag.store(true, Ordering::Release))
        .context("Ctrl-C cannot be watched for")?;
    let mut status = builtin::state_directory(global).and_then(|state| OwnStatus::new(&state).ok());
    say::line(format_args!("the hub is called at {}", address.display()));
    let mut told = 0;
    while !ends.load(Ordering::Acquire) && !hub.has_ended() {
        std::thread::sleep(ROUND);
        hub.round();
        for text in hub.news(&mut told) {
            say::line(text);
        }
        if let Some(status) = &mut status {
            let (device, name) = hub.held().unwrap_or_default();
            status.write(&HubStatus { device, name });
        }
        if options.until_last && hub.is_done() {
            break;
        }
        if hub.ends_after_last() && hub.is_done() {
            break;
        }
    }
    hub.close();
    server.close(CLOSE_NS);
    Ok(())
}
