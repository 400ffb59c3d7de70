//! Who holds a device, if it is another driver of ours, in this process or another: a refusal that names it is worth more than
//! "busy".

use crate::config::Config;
use crate::status::{Status, statuses};
use barewire_device::DeviceId;
use barewire_rt::{Gate, System};
use barewire_types::{Error, ErrorKind, Ns};
use std::sync::Arc;

/// How often who may hold a device is looked for, and how long after each time: of two that want it at the same moment, the
/// one that gets it says so when it has it, which is later than the other is refused.
const LOOKS: usize = 20;
const LOOK_NS: Ns = 50_000_000;

/// The refusal that driver number `own` of this process got, with who holds the device if that is known. A host's thread.
pub(crate) fn named(
    error: Error,
    device: &DeviceId,
    config: &Config,
    own: usize,
    system: &Arc<dyn System>,
) -> Error {
    let Some(diary) = config.diary.as_ref().filter(|_| error.kind() == ErrorKind::Busy) else {
        return error;
    };
    let own = (std::process::id(), own);
    for look in 0..LOOKS {
        if look > 0 {
            Gate::new(system.clone()).sleep(system.now_ns().saturating_add(LOOK_NS));
        }
        let all = statuses(&diary.directory).unwrap_or_default();
        if let Some(status) = all.into_iter().find(|status| holds(status, device, own)) {
            return name(error, device, &status);
        }
    }
    error
}

/// `own` is a process, and the number of a driver in it.
fn holds(status: &Status, device: &DeviceId, own: (u32, usize)) -> bool {
    let is_open = ["prepared", "running", "hub"].contains(&status.state.as_str());
    is_open
        && (status.process, status.driver) != own
        && status.device.as_deref() == Some(device.as_str())
}

fn name(error: Error, device: &DeviceId, status: &Status) -> Error {
    let Status { program, process, .. } = status;
    // Ids of Windows are no words.
    let device = status.device_name.clone().unwrap_or_else(|| device.to_string());
    if status.state == "hub" {
        let text = format!("{device} is held by the hub (process {process})");
        return Error::new(ErrorKind::Busy, text)
            .remedy("set driver.backend to \"auto\" or \"hub\" to play through it");
    }
    let is_own = *process == std::process::id();
    let text = if is_own {
        let entry = if status.entry.is_empty() { crate::NAME } else { &status.entry };
        format!("{device} is held by this program itself, through \"{entry}\"")
    } else {
        format!("{device} is held by {program} (process {process}) through Barewire")
    };
    let text = match error.code() {
        Some(code) => Error::new(ErrorKind::Busy, text).os_code(code),
        None => Error::new(ErrorKind::Busy, text),
    };
    text.remedy(if is_own {
        "stop it there, or let both play through a hub: `barewire hub`"
    } else {
        "close that program, or let both play through a hub: `barewire hub`"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: &str, process: u32) -> Status {
        Status {
            state: state.to_owned(),
            process,
            program: "reaper".to_owned(),
            device: Some("alsa:hw:0".to_owned()),
            ..Status::default()
        }
    }

    #[test]
    fn who_holds_a_device_is_named_and_who_only_looks_at_it_is_not() {
        let device = DeviceId::new("alsa", "hw:0");
        let own = (1, 5);
        assert!(holds(&status("running", 7), &device, own));
        assert!(!holds(&status("initialized", 7), &device, own));
        let itself = Status { driver: 5, ..status("running", 1) };
        assert!(!holds(&itself, &device, own), "this driver itself");
        let beside = Status { driver: 4, ..itself };
        assert!(holds(&beside, &device, own), "another one of this process");
        assert!(!holds(&status("running", 7), &DeviceId::new("alsa", "hw:1"), own));
        let busy = Error::new(ErrorKind::Busy, "held").os_code(16);
        let text = name(busy.clone(), &device, &status("running", 7)).to_string();
        assert!(text.contains("reaper (process 7)") && text.contains("16"), "{text}");
        let text = name(busy, &device, &status("hub", 7)).to_string();
        assert!(text.contains("the hub (process 7)"), "{text}");
        let beside = Status { entry: "Desk".to_owned(), ..status("running", std::process::id()) };
        let text = name(Error::new(ErrorKind::Busy, "held"), &device, &beside).to_string();
        assert!(text.contains("this program itself, through \"Desk\""), "{text}");
    }
}
