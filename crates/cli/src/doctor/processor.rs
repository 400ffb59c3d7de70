//! Whether processor and kernel answer in time: clock speeds, preemption, the clock.

use super::{Finding, Patient};
use crate::doctor::machine::Machine;

const PROCESSORS: &str = "sys/devices/system/cpu";
const CLOCK: &str = "sys/devices/system/clocksource/clocksource0/current_clocksource";

pub(crate) fn processor(patient: &Patient<'_>) -> Vec<Finding> {
    let machine = &patient.machine;
    if !machine.is_linux() {
        return Vec::new();
    }
    [governor(machine), preemption(machine), clock(machine)].into_iter().flatten().collect()
}

/// A governor that saves power lets the clock speed fall between two periods, and rise too late.
fn governor(machine: &Machine) -> Option<Finding> {
    const NAME: &str = "governor";
    let governor =
        |name: &String| machine.read(format!("{PROCESSORS}/{name}/cpufreq/scaling_governor"));
    let all: Vec<String> =
        machine.names_with(PROCESSORS, "cpu").iter().filter_map(governor).collect();
    let slow: Vec<&String> = all.iter().filter(|name| *name != "performance").collect();
    match slow.first() {
        _ if all.is_empty() => None,
        None => Some(Finding::good(NAME, "all processors run at full speed")),
        Some(first) => {
            let text = format!(
                "{} of {} processors are governed by \"{first}\": they slow down between two periods",
                slow.len(),
                all.len()
            );
            let remedy = "cpupower frequency-set -g performance, or choose \"performance\" in the power settings";
            Some(Finding::warning(NAME, text).remedy(remedy))
        }
    }
}

/// Whether the kernel lets a device thread in at once (Documentation/admin-guide/kernel-parameters.txt: `preempt`, `threadirqs`).
fn preemption(machine: &Machine) -> Option<Finding> {
    const NAME: &str = "preemption";
    let version = machine.read("proc/version")?;
    let line = machine.read("proc/cmdline").unwrap_or_default();
    let has = |word: &str| line.split_whitespace().any(|other| other == word);
    if machine.read("sys/kernel/realtime").as_deref() == Some("1") || version.contains("PREEMPT_RT")
    {
        return Some(Finding::good(NAME, "the kernel is a real-time kernel (PREEMPT_RT)"));
    }
    let is_dynamic = version.contains("PREEMPT_DYNAMIC");
    let is_full = if is_dynamic { has("preempt=full") } else { version.contains("PREEMPT") };
    let mut missing = Vec::new();
    if !is_full && is_dynamic {
        missing.push("preempt=full");
    }
    if !has("threadirqs") {
        missing.push("threadirqs");
    }
    if is_full || is_dynamic {
        if missing.is_empty() {
            return Some(Finding::good(
                NAME,
                "the kernel can be interrupted anywhere, interrupts included",
            ));
        }
        let text =
            "the kernel finishes its own work first at times, which very small periods notice";
        let remedy = format!(
            "for periods below 128 frames add \"{}\" to the kernel's command line (GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub, then update-grub)",
            missing.join(" ")
        );
        return Some(Finding::hint(NAME, text).remedy(remedy));
    }
    let text = "the kernel cannot be interrupted in its own work, so periods below some milliseconds get lost now and then";
    Some(Finding::warning(NAME, text).remedy(
        "install a kernel with PREEMPT_DYNAMIC (any recent one of a distribution) or PREEMPT_RT",
    ))
}

/// A clock that is read from a device takes a microsecond each time; the device thread reads it several times a period.
fn clock(machine: &Machine) -> Option<Finding> {
    let name = machine.read(CLOCK)?;
    ["hpet", "acpi_pm"].contains(&name.as_str()).then(|| {
        let text = format!("the kernel's clock is \"{name}\", which is slow to read");
        let remedy = "see in the kernel's log why it did not trust the processor's own (\"tsc\"); the BIOS's settings may help";
        Finding::hint("clock", text).remedy(remedy)
    })
}
