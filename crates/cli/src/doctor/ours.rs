//! What is Barewire's own, on every system: settings, registrations, devices, and the drivers that programs have loaded.

use super::{Finding, Level, Patient};
use crate::{builtin, drivers};
use barewire_device::{DeviceInfo, NoteKind, endpoints};
use barewire_driver::{Status, statuses};
use barewire_host::registry;

/// What is wrong with the settings.
pub(crate) fn settings(patient: &Patient<'_>) -> Vec<Finding> {
    let loaded = builtin::settings(patient.global).loaded();
    let mut findings: Vec<Finding> = loaded
        .problems
        .iter()
        .map(|problem| Finding::problem("settings", problem.to_string()))
        .collect();
    let place =
        loaded.file.as_ref().map_or_else(String::new, |file| format!(" ({})", file.display()));
    findings.extend(loaded.fallback().map(|text| Finding::hint("settings-in-force", text)));
    if findings.is_empty() {
        findings.push(Finding::good("settings", format!("the settings are right{place}")));
    }
    findings
}

/// Drivers that are registered and cannot be used.
pub(crate) fn registrations(patient: &Patient<'_>) -> Vec<Finding> {
    const NAME: &str = "registration";
    let root = builtin::root(patient.global);
    let listing = match registry::entries(&root) {
        Ok(listing) => listing,
        Err(error) => return vec![Finding::problem(NAME, error.to_string())],
    };
    let told = |error: &barewire_types::Error| {
        let finding = Finding::problem(NAME, error.message());
        match error.remedy_text() {
            Some(remedy) => finding.remedy(remedy),
            None => finding,
        }
    };
    let mut findings: Vec<Finding> = listing.problems.iter().map(told).collect();
    for entry in &listing.entries {
        if let Err(error) = drivers::check(patient.global, &entry.name) {
            findings.push(
                Finding::problem(NAME, format!("{error:#}"))
                    .remedy("install it again for this kind of processor, or unregister it"),
            );
        }
    }
    if !listing.entries.iter().any(|entry| entry.name == registry::OWN_NAME) {
        let text = "Barewire's driver is not registered, so other programs do not find it";
        findings.push(Finding::hint(NAME, text).remedy("`barewire register`"));
    }
    if findings.is_empty() {
        let text = format!("registered drivers: {}, all of them answer", listing.entries.len());
        findings.push(Finding::good(NAME, text));
    }
    findings
}

/// What the ways to devices say of them.
pub(crate) fn devices(patient: &Patient<'_>) -> Vec<Finding> {
    if !patient.machine.is_this() {
        return Vec::new();
    }
    let settings = builtin::settings(patient.global).loaded().settings;
    let system = builtin::system(&settings);
    let device = builtin::virtual_device(patient.global, &settings);
    // Of several ways to a device only the best counts: that the others are worse is no ailment.
    let (all, failed) = endpoints(&barewire_registry::backends(&system, vec![device]));
    let best = all.iter().filter_map(|endpoint| endpoint.leads.first());
    let mut findings: Vec<Finding> = best.flat_map(|lead| notes(&lead.device)).collect();
    findings.extend(
        failed
            .into_iter()
            .map(|(backend, error)| Finding::problem("devices", format!("{backend}: {error}"))),
    );
    findings
}

fn notes(device: &DeviceInfo) -> Vec<Finding> {
    let finding = |note: &barewire_device::Note| {
        let (name, level) = match note.kind {
            NoteKind::Held => ("device-held", Level::Warning),
            NoteKind::SystemMixer => ("device-shared", Level::Warning),
            NoteKind::Volume => ("device-volume", Level::Warning),
            NoteKind::Priority => ("device-priority", Level::Warning),
            NoteKind::Degraded => ("device-degraded", Level::Warning),
            _ => ("device", Level::Hint),
        };
        Finding::new(name, level, format!("{} ({}): {}", device.name, device.id, note.text))
    };
    device.notes.iter().map(finding).collect()
}

/// What the drivers that programs have loaded have met with.
pub(crate) fn drivers(patient: &Patient<'_>) -> Vec<Finding> {
    let Some(state) = builtin::state_directory(patient.global) else {
        let text = "no place for status files and log is known";
        return vec![
            Finding::warning("state", text).remedy("set HOME, or BAREWIRE_STATE to a folder"),
        ];
    };
    match statuses(&state) {
        Ok(all) => all.iter().flat_map(driver).collect(),
        Err(error) => vec![Finding::warning("state", format!("{}: {error}", state.display()))],
    }
}

fn driver(status: &Status) -> Vec<Finding> {
    let who = format!("{} (process {})", status.program, status.process);
    let mut findings = Vec::new();
    if status.xruns > 0 || status.lates > 0 {
        let text = format!("{who}: {} xruns and {} late blocks so far", status.xruns, status.lates);
        let remedy = "larger blocks, and what the other findings say";
        findings.push(Finding::warning("driver-xruns", text).remedy(remedy));
    }
    if let Some(error) = &status.last_error {
        findings.push(Finding::warning("driver-refused", format!("{who}: {error}")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use barewire_device::{DeviceId, Note};

    #[test]
    fn what_a_device_says_of_itself_becomes_a_finding_of_its_weight() {
        let note = |kind| Note { kind, text: "so it is".to_owned() };
        let device = DeviceInfo {
            id: DeviceId::new("alsa", "Card,0"),
            name: "Card".to_owned(),
            capture: None,
            playback: None,
            is_default: true,
            notes: [NoteKind::Held, NoteKind::Volume, NoteKind::SystemMixer, NoteKind::Hint]
                .map(note)
                .into(),
        };
        let found: Vec<_> =
            notes(&device).iter().map(|finding| (finding.name, finding.level)).collect();
        let expected = [
            ("device-held", Level::Warning),
            ("device-volume", Level::Warning),
            ("device-shared", Level::Warning),
            ("device", Level::Hint),
        ];
        assert_eq!(found, expected);
    }
}
