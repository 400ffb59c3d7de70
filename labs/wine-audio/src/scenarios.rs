//! The devices that can be simulated, by name. Each is an output and an input of one piece of hardware.

use crate::model::spec::{Engine, Spec};
use crate::model::{DEVICE_IN_USE, E_ACCESSDENIED, EXCLUSIVE_MODE_NOT_ALLOWED, Fault};

/// Frames after which what goes wrong in mid-stream does.
pub const FAULT_FRAMES: u64 = 48_000;

/// Attempts in vain before a device that was lost is back.
const RETURN: u32 = 3;

/// The output of that name, if there is one.
pub fn output(name: &str) -> Option<Spec> {
    let base = || Spec { name: format!("Simulated {name}"), ..Spec::default() };
    let wide = || Spec { formats: vec![(false, 32, 32), (false, 16, 16)], ..base() };
    let failing = |fault| Spec { fault: Some((FAULT_FRAMES, fault)), ..wide() };
    let engine = Engine { default: 480, step: 16, min: 128, max: 480 };
    let spec = match name {
        // What most hardware takes: 24 bits in 32.
        "usual" => base(),
        "wide" => wide(),
        "packed" => Spec { formats: vec![(false, 24, 24)], ..base() },
        "sixteen" => Spec { formats: vec![(false, 16, 16)], masks: vec![0], ..base() },
        "float" => Spec { formats: vec![(true, 32, 32)], ..base() },
        // Says what it takes the wrong way round.
        "liar" => Spec {
            formats: vec![(false, 24, 24)],
            boasted: vec![(false, 32, 32), (false, 32, 24)],
            denied: vec![(false, 24, 24)],
            ..base()
        },
        "eight" => Spec { channels: vec![8], masks: vec![0x63F], ..wide() },
        "jitter" => Spec { jitter_ns: 1_000_000, fifo: 37, ..wide() },
        "begins-late" => Spec { begins_late: true, fifo: 13, ..wide() },
        "fast" => Spec { ppm: 300, ..wide() },
        "bytes" => Spec { position_units: 8, ..wide() },
        "engine" => Spec {
            engine: Some(engine),
            exclusive: EXCLUSIVE_MODE_NOT_ALLOWED,
            has_raw: true,
            ..base()
        },
        "forbidden" => Spec { exclusive: EXCLUSIVE_MODE_NOT_ALLOWED, ..base() },
        "busy" => Spec { exclusive: DEVICE_IN_USE, shared: DEVICE_IN_USE, ..base() },
        "denied" => Spec { exclusive: E_ACCESSDENIED, shared: E_ACCESSDENIED, ..base() },
        "mute" => Spec { is_mute: true, ..wide() },
        "unplugged" => failing(Fault::Unplugged),
        "changed" => failing(Fault::FormatChanged),
        "taken" => failing(Fault::Taken),
        "stalled" => failing(Fault::Stalled),
        // As those before, but they come back: a machine that slept, a plug that was put back, another program's end.
        "slept" => Spec { returns_after: Some(0), ..failing(Fault::Stalled) },
        "replugged" => Spec { returns_after: Some(RETURN), ..failing(Fault::Unplugged) },
        "reformatted" => Spec { returns_after: Some(0), ..failing(Fault::FormatChanged) },
        "given-back" => Spec { returns_after: Some(RETURN), ..failing(Fault::Taken) },
        _ => return None,
    };
    Some(Spec { hardware: Some(format!("{{1}}.SIMULATED\\{name}")), ..spec })
}

/// The endpoints of several devices: outputs and inputs in turn.
///
/// # Errors
/// A name that is unknown.
pub fn endpoints(names: &str) -> Result<Vec<Spec>, String> {
    let mut all = Vec::new();
    for name in names.split(',').filter(|name| !name.is_empty()) {
        let output = output(name).ok_or_else(|| format!("no simulated device {name}"))?;
        all.push(output.clone());
        all.push(output.input());
    }
    Ok(all)
}
