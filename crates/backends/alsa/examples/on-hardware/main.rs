//! The backend on a real kernel's sound cards, as the hardware lab tries it: in the lab's machine, by its scripts. What holds
//! is a line that begins with `OK`, what does not one that begins with `BAD`.
//!
//! ```text
//! on-hardware compare MUSIC.wav ARRIVED.raw        all of the file
//! on-hardware rest MUSIC.wav ARRIVED.raw           a piece of it, up to the end
//! on-hardware contract DEVICE RATE PERIOD [KEY=VALUE…]
//! on-hardware duplex DEVICE RATE PERIOD SECONDS [KEY=VALUE…]
//! ```

#[cfg(target_os = "linux")]
mod bench;
#[cfg(target_os = "linux")]
mod compare;
#[cfg(target_os = "linux")]
mod duplex;
#[cfg(target_os = "linux")]
mod signal;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn trial(words: &[&str]) -> Result<String, String> {
    match words {
        ["compare", music, arrived] => compare::files(music, arrived, false),
        ["rest", music, arrived] => compare::files(music, arrived, true),
        ["contract", device, rate, period, options @ ..] => {
            bench::contract(device, rate, period, options)
        }
        ["duplex", device, rate, period, seconds, options @ ..] => {
            duplex::run(device, rate, period, seconds, options)
        }
        _ => Err(format!("`{}` is no trial", words.join(" "))),
    }
}

#[cfg(not(target_os = "linux"))]
fn trial(_: &[&str]) -> Result<String, String> {
    Err("only Linux has the kernel's PCM interface".to_owned())
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match trial(&words) {
        Ok(what) => {
            println!("OK {}: {what}", words.join(" "));
            ExitCode::SUCCESS
        }
        Err(what) => {
            println!("BAD {}: {what}", words.join(" "));
            ExitCode::FAILURE
        }
    }
}
