//! The sound cards as the kernel tells of them in `/proc/asound`: who holds them, at what rate, what is asleep.

use super::{Finding, Patient};
use crate::doctor::machine::Machine;
use std::io::{self, ErrorKind};

const CARDS: &str = "proc/asound";
const NODES: &str = "dev/snd";
const POWER_SAVE: &str = "sys/module/snd_hda_intel/parameters/power_save";
/// Programs that hold cards for others, and let go when they are asked over the session bus.
const SERVERS: [&str; 4] = ["pipewire", "wireplumber", "pulseaudio", "pipewire-media-"];

pub(crate) fn cards(patient: &Patient<'_>) -> Vec<Finding> {
    let machine = &patient.machine;
    if !machine.is_linux() {
        return Vec::new();
    }
    let cards: Vec<String> = machine
        .names_with(CARDS, "card")
        .into_iter()
        .filter(|name| name["card".len()..].parse::<u32>().is_ok())
        .collect();
    if cards.is_empty() {
        let text = "the kernel knows no sound card";
        let remedy = "plug one in, or load its driver (snd-usb-audio, snd-hda-intel); JACK, PipeWire and the virtual device work without";
        return vec![Finding::warning("no-card", text).remedy(remedy)];
    }
    let mut findings: Vec<Finding> =
        cards.iter().flat_map(|card| held(machine, card)).chain(access(machine)).collect();
    if findings.is_empty() {
        findings.push(Finding::good(
            "cards",
            format!("sound cards: {}, none of them held", cards.len()),
        ));
    }
    findings.extend(power_saving(machine));
    findings
}

/// The streams of a card that somebody holds.
fn held(machine: &Machine, card: &str) -> Vec<Finding> {
    let folder = format!("{CARDS}/{card}");
    let name = machine.read(format!("{folder}/id")).unwrap_or_else(|| card.to_owned());
    let mut findings = Vec::new();
    for pcm in machine.names_with(&folder, "pcm") {
        for sub in machine.names_with(format!("{folder}/{pcm}"), "sub") {
            let place = format!("{folder}/{pcm}/{sub}");
            let Some(owner) = machine.field(format!("{place}/status"), "owner_pid") else {
                continue;
            };
            // The kernel names the thread that opened it.
            let owner = machine.field(format!("proc/{owner}/status"), "Tgid").unwrap_or(owner);
            let Ok(process) = owner.parse() else { continue };
            let rate = machine.field(format!("{place}/hw_params"), "rate");
            let rate = rate.and_then(|text| Some(text.split_whitespace().next()?.to_owned()));
            let side = if pcm.ends_with('c') { "inputs" } else { "outputs" };
            findings.push(holder(machine, &name, side, process, rate.as_deref()));
        }
    }
    findings
}

fn holder(machine: &Machine, card: &str, side: &str, process: u32, rate: Option<&str>) -> Finding {
    const NAME: &str = "card-held";
    let program = machine.process_name(process).unwrap_or_else(|| "a program".to_owned());
    let at = rate.map_or_else(String::new, |rate| format!(" at {rate} Hz"));
    let text = format!("the {side} of {card} are held by {program} (process {process}){at}");
    if SERVERS.contains(&program.as_str()) {
        let remedy = "nothing, if there is a session bus: it is asked to let go when a program opens the card, and gets it back after";
        return Finding::hint(NAME, text).remedy(remedy);
    }
    if program.starts_with("jackd") || program.starts_with("jackdbus") {
        let remedy = "play through JACK (driver.backend = \"jack\"), or end the JACK server";
        return Finding::warning(NAME, text).remedy(remedy);
    }
    Finding::warning(NAME, text).remedy(format!("end {program}, or let it play elsewhere"))
}

/// Whether this user may open the cards.
fn access(machine: &Machine) -> Option<Finding> {
    let node = machine.names_with(NODES, "control").into_iter().next()?;
    let place = format!("{NODES}/{node}");
    judged(&place, std::fs::File::open(machine.path(&place)).map(drop))
}

fn judged(place: &str, opened: io::Result<()>) -> Option<Finding> {
    let error = opened.err().filter(|error| error.kind() == ErrorKind::PermissionDenied)?;
    let text = format!("this user may not use the sound cards: /{place}: {error}");
    let remedy = "join the group audio (`usermod -a -G audio YOUR-NAME`) and log in anew";
    Some(Finding::problem("card-denied", text).remedy(remedy))
}

/// Intel HDA's codec falls asleep after so many seconds, and cuts off what is played while it wakes.
fn power_saving(machine: &Machine) -> Option<Finding> {
    let seconds: u32 = machine.read(POWER_SAVE)?.parse().ok()?;
    (seconds > 0).then(|| {
        let text = format!("the built-in sound (Intel HDA) falls asleep after {seconds} s of silence: the first instant may be lost or click");
        let remedy = "put \"options snd-hda-intel power_save=0\" into a file in /etc/modprobe.d";
        Finding::hint("card-sleeps", text).remedy(remedy)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_node_is_a_problem_and_nothing_else_is() {
        let denied = judged("dev/snd/controlC0", Err(ErrorKind::PermissionDenied.into()));
        assert_eq!(denied.map(|finding| finding.name), Some("card-denied"));
        assert!(judged("dev/snd/controlC0", Err(ErrorKind::NotFound.into())).is_none());
        assert!(judged("dev/snd/controlC0", Ok(())).is_none());
    }
}
