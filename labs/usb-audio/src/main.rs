//! A USB Audio Class 2 interface that is a program: it attaches itself to the kernel's virtual USB controller (`vhci-hcd`,
//! spoken to as USB/IP does) and is then driven by the kernel's own `snd-usb-audio`, as hardware would be. Runs in the
//! machine of the hardware lab; no part of the product.
//!
//! It plays and captures 2 or 8 channels of 16, 24 or 32 bits at 44.1 to 384 kHz, and DSD; has a clock of its own that may
//! be off by some ppm, and tells it by feedback; has a volume and a mute. What it plays comes back at its inputs. It writes
//! down what arrived and what it was told. It is unplugged by ending the program.
//!
//! `usbip` speaks to the kernel, `descriptors` says what the device is, `device` obeys, `endpoints` keeps the bus's time,
//! `converter` the device's own.

#[cfg(target_os = "linux")]
mod attach;
mod converter;
mod descriptors;
mod device;
mod endpoints;
mod record;
mod usbip;

use anyhow::Result;
use clap::Parser;
use std::path::PathBuf;

/// How the interface is to be.
#[derive(Parser)]
#[command(name = "usb-audio")]
struct Options {
    /// How much faster than nominal its clock runs, in millionths.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    ppm: i64,
    /// The volume it begins with, in dB.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    volume: i16,
    /// Where to write what arrives, a file for each run.
    #[arg(long)]
    record: Option<PathBuf>,
    /// Port of the virtual controller.
    #[arg(long, default_value_t = 0)]
    port: u32,
}

#[cfg(target_os = "linux")]
fn main() -> Result<()> {
    attach::serve(&Options::parse())
}

#[cfg(not(target_os = "linux"))]
fn main() -> Result<()> {
    anyhow::bail!("only Linux has a virtual USB controller");
}
