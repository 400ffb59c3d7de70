//! The `barewire` command. Each subcommand is a file; what several of them need is `builtin.rs` (the driver of this very
//! process) and `say.rs` (words and JSON for people and programs).

mod builtin;
mod certificate;
mod conform;
mod decode;
mod devices;
mod doctor;
mod drivers;
mod exchange;
mod feed;
mod hub;
mod play;
mod prove;
mod quirks;
mod record;
mod say;
mod settings;
mod status;
mod top;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// An ASIO driver for every audio device: play, record, measure and prove.
#[derive(Parser)]
#[command(name = "barewire", version)]
struct Command {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    action: Action,
}

/// Options of every subcommand.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Global {
    /// Report as JSON.
    #[arg(long, global = true)]
    json: bool,
    /// A driver to use instead of the built-in one: a registered name, or the path of a shared object.
    #[arg(long, global = true, value_name = "NAME|PATH")]
    driver: Option<String>,
    /// The device of the built-in driver: an id, a name or a part of one; see `barewire devices`.
    #[arg(long, global = true, value_name = "DEVICE")]
    device: Option<String>,
    /// Frames of a block.
    #[arg(long, global = true, value_name = "FRAMES")]
    block: Option<u32>,
    /// Where the virtual device writes what it is played.
    #[arg(long, global = true, value_name = "FOLDER")]
    capture: Option<PathBuf>,
    /// Let the virtual device run as fast as the processor goes.
    #[arg(long, global = true)]
    simulated: bool,
    /// The settings file.
    #[arg(long, global = true, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// The profile of the settings file.
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// One setting above the file: `output.device = "virtual:loop"`; see `barewire settings`.
    #[arg(long, global = true, value_name = "KEY = VALUE")]
    set: Vec<String>,
    /// Where drivers are registered: a folder, on Windows a key of the registry.
    #[arg(long, global = true, value_name = "PLACE")]
    root: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Action {
    /// List devices and what they can do.
    Devices,
    /// List registered drivers.
    Drivers,
    /// Play files of music: FLAC, WAV, AIFF, ALAC, MP3, Ogg Vorbis.
    Play(play::Options),
    /// Record the inputs to a WAV file.
    Record(record::Record),
    /// Play a sine.
    Tone(record::Tone),
    /// Send patterns from the outputs round to the inputs, and say what became of them.
    Verify(prove::Verify),
    /// Measure the way from outputs to inputs, beside what the driver reports.
    Latency(prove::Latency),
    /// Test a driver against the rules of the interface, each in a process of its own.
    Conform(Box<conform::Conform>),
    /// Print the settings in force, and where each comes from.
    Settings,
    /// Show what the drivers that other programs have loaded are doing.
    Status,
    /// Say what stands in the way of low-latency, bit-perfect sound on this machine, and what to do about it.
    Doctor(doctor::Doctor),
    /// Share a device among several programs.
    Hub(hub::Options),
    /// Show what the hub and its clients are doing, live.
    Top(top::Options),
    /// Register the driver, so that other programs find it.
    Register(drivers::Register),
    /// Take the registration back.
    Unregister(drivers::Unregister),
    /// Ask one driver everything, in a process of its own.
    #[command(hide = true)]
    ProbeChild { driver: String },
}

fn main() -> ExitCode {
    let command = Command::parse();
    match run(&command) {
        Ok(code) => code,
        Err(error) => {
            say::failure(&command.global, &error);
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<ExitCode> {
    let global = &command.global;
    match &command.action {
        Action::Conform(options) => return conform::run_conform(global, options),
        Action::Devices => devices::run(global),
        Action::Drivers => drivers::list(global),
        Action::Play(options) => play::run(global, options),
        Action::Record(options) => record::record(global, options),
        Action::Tone(options) => record::tone(global, options),
        Action::Verify(options) => prove::verify(global, options),
        Action::Latency(options) => prove::latency(global, options),
        Action::Settings => settings::run(global),
        Action::Status => status::run(global),
        Action::Doctor(options) => return doctor::run(global, options),
        Action::Hub(options) => hub::run(global, options),
        Action::Top(options) => top::run(global, options),
        Action::Register(options) => drivers::register(global, options),
        Action::Unregister(options) => drivers::unregister(global, options),
        Action::ProbeChild { driver } => drivers::probe_child(global, driver),
    }?;
    Ok(ExitCode::SUCCESS)
}
