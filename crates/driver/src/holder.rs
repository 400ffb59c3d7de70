//! Who holds a device, if it is another Barewire process: a refusal that names it is worth more than "busy".

use crate::config::Config;
use crate::status::{Status, statuses};
use barewire_device::DeviceId;
use barewire_types::{Error, ErrorKind};

/// The refusal, with who holds the device if that is known.
pub(crate) fn named(error: Error, device: &DeviceId, config: &Config) -> Error {
    if error.kind() != ErrorKind::Busy {
        return error;
    }
    let directory = config.diary.as_ref().map(|diary| diary.directory.clone());
    let all = directory.and_then(|directory| statuses(&directory).ok()).unwrap_or_default();
    match all.into_iter().find(|status| holds(status, device, std::process::id())) {
        Some(status) => name(error, device, &status),
        None => error,
    }
}

fn holds(status: &Status, device: &DeviceId, own: u32) -> bool {
    let is_open = ["prepared", "running", "hub"].contains(&status.state.as_str());
    is_open && status.process != own && status.device.as_deref() == Some(device.as_str())
}

fn name(error: Error, device: &DeviceId, status: &Status) -> Error {
    let Status { program, process, .. } = status;
    if status.state == "hub" {
        let text = format!("{device} is held by the hub (process {process})");
        return Error::new(ErrorKind::Busy, text)
            .remedy("set driver.backend to \"auto\" or \"hub\" to play through it");
    }
    let text = format!("{device} is held by {program} (process {process}) through Barewire");
    let text = match error.code() {
        Some(code) => Error::new(ErrorKind::Busy, text).os_code(code),
        None => Error::new(ErrorKind::Busy, text),
    };
    text.remedy("close that program, or let both play through a hub: `barewire hub`")
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
        assert!(holds(&status("running", 7), &device, 1));
        assert!(!holds(&status("initialized", 7), &device, 1));
        assert!(!holds(&status("running", 1), &device, 1), "this process itself");
        assert!(!holds(&status("running", 7), &DeviceId::new("alsa", "hw:1"), 1));
        let busy = Error::new(ErrorKind::Busy, "held").os_code(16);
        let text = name(busy.clone(), &device, &status("running", 7)).to_string();
        assert!(text.contains("reaper (process 7)") && text.contains("16"), "{text}");
        let text = name(busy, &device, &status("hub", 7)).to_string();
        assert!(text.contains("the hub (process 7)"), "{text}");
    }
}
