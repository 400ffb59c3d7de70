//! Whether the device thread may have real-time priority.

use super::{Finding, Patient};
use crate::doctor::machine::Machine;

const NAME: &str = "priority";
/// The priority that the device thread asks for.
const WANTED: u32 = 45;
/// Bit of `CAP_SYS_NICE` (linux/capability.h).
const CAP_SYS_NICE: u32 = 23;
/// How RealtimeKit is found on the system bus.
const REALTIME_KIT: &str = "usr/share/dbus-1/system-services/org.freedesktop.RealtimeKit1.service";
const LIMITS: &str = "etc/security/limits.d";
const GROUP: &str = "audio";

pub(crate) fn priority(patient: &Patient<'_>) -> Vec<Finding> {
    let machine = &patient.machine;
    if !machine.is_linux() {
        return Vec::new();
    }
    let mut findings = vec![right(machine)];
    let runtime = machine.read("proc/sys/kernel/sched_rt_runtime_us");
    if runtime.as_deref() == Some("0") {
        let text =
            "the kernel gives real-time threads no processor time (sched_rt_runtime_us is 0)";
        let remedy = "sysctl -w kernel.sched_rt_runtime_us=950000";
        findings.push(Finding::warning("priority-runtime", text).remedy(remedy));
    }
    findings
}

fn right(machine: &Machine) -> Finding {
    if is_administrator(machine) {
        return Finding::good(NAME, "real-time priority: this user may have any");
    }
    let limit = limit(machine);
    if limit >= WANTED {
        return Finding::good(NAME, format!("real-time priority: allowed up to {limit}"));
    }
    if machine.has(REALTIME_KIT) {
        return Finding::good(NAME, "real-time priority: granted by RealtimeKit on request");
    }
    let text = if limit == 0 {
        "real-time priority is refused to this user, so other programs may delay the sound"
            .to_owned()
    } else {
        format!(
            "real-time priority is allowed up to {limit} only; {WANTED} stands above other drivers"
        )
    };
    Finding::warning(NAME, text).remedy(remedy(machine))
}

/// What is missing: the rule, or the membership.
fn remedy(machine: &Machine) -> String {
    let rule = machine.names(LIMITS).iter().any(|file| {
        let text = machine.read(format!("{LIMITS}/{file}")).unwrap_or_default();
        let is_rule = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let allows =
                words.get(3).and_then(|word| word.parse().ok()).is_some_and(|n: u32| n >= WANTED);
            words.first() == Some(&"@audio") && words.get(2) == Some(&"rtprio") && allows
        };
        text.lines().any(is_rule)
    });
    if rule && !is_member(machine) {
        return format!(
            "join the group {GROUP} (`usermod -a -G {GROUP} YOUR-NAME`) and log in anew"
        );
    }
    if rule {
        return "log in anew: the rule for your group is there, but was not when you logged in"
            .to_owned();
    }
    format!(
        "put the line \"@{GROUP} - rtprio 95\" into /{LIMITS}/audio.conf, join the group {GROUP} and log in anew; or install RealtimeKit (package rtkit)"
    )
}

fn is_administrator(machine: &Machine) -> bool {
    let effective = machine.field("proc/self/status", "CapEff");
    let bits = effective.and_then(|text| u64::from_str_radix(&text, 16).ok()).unwrap_or(0);
    bits >> CAP_SYS_NICE & 1 == 1
}

/// The highest priority that the limits allow.
fn limit(machine: &Machine) -> u32 {
    const LINE: &str = "Max realtime priority";
    let text = machine.read("proc/self/limits").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(LINE));
    let soft = line.and_then(|rest| rest.split_whitespace().next());
    soft.map_or(0, |word| if word == "unlimited" { 99 } else { word.parse().unwrap_or(0) })
}

fn is_member(machine: &Machine) -> bool {
    let groups = machine.read("etc/group").unwrap_or_default();
    let id = groups.lines().find_map(|line| {
        let mut words = line.split(':');
        (words.next() == Some(GROUP)).then(|| words.nth(1).map(str::to_owned))?
    });
    let own = machine.field("proc/self/status", "Groups").unwrap_or_default();
    id.is_some_and(|id| own.split_whitespace().any(|group| group == id))
}
