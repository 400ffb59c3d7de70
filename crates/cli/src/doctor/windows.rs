//! What Windows' registry tells: exclusive use forbidden, the microphone's privacy settings, the power plan, the multimedia
//! class scheduler. A machine in a folder tells it by `registry.reg`, as `reg export` writes it. Where there is no registry
//! nothing is found.

use super::{Finding, Patient};
use barewire_host::registry::hives::{self, Value};
use std::collections::BTreeMap;

/// A machine's registry.
pub(crate) enum Registry {
    /// This machine's.
    Own,
    /// A file's: keys, and in each values by name.
    File(BTreeMap<String, BTreeMap<String, Value>>),
}

const WINDOWS: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows";

impl Registry {
    fn of(patient: &Patient<'_>) -> Self {
        if patient.machine.is_this() {
            return Self::Own;
        }
        let bytes = std::fs::read(patient.machine.path("registry.reg")).unwrap_or_default();
        Self::File(parse(&text(&bytes)))
    }

    fn value(&self, key: &str, name: &str) -> Option<Value> {
        match self {
            Self::Own => hives::value(key, name),
            Self::File(keys) => keys.get(&key.to_lowercase())?.get(&name.to_lowercase()).cloned(),
        }
    }

    fn number(&self, key: &str, name: &str) -> Option<u32> {
        match self.value(key, name)? {
            Value::Number(number) => Some(number),
            Value::Text(_) => None,
        }
    }

    fn text(&self, key: &str, name: &str) -> Option<String> {
        match self.value(key, name)? {
            Value::Text(text) => Some(text),
            Value::Number(_) => None,
        }
    }

    fn keys(&self, key: &str) -> Vec<String> {
        match self {
            Self::Own => hives::keys(key),
            Self::File(keys) => {
                let start = key.to_lowercase() + r"\";
                let below = |name: &String| {
                    let rest = name.strip_prefix(&start)?;
                    Some(rest.split('\\').next().unwrap_or(rest).to_owned())
                };
                let mut names: Vec<String> = keys.keys().filter_map(below).collect();
                names.dedup();
                names
            }
        }
    }

    /// Whether this is the registry of a Windows at all.
    fn is_there(&self) -> bool {
        self.text(&format!(r"{WINDOWS} NT\CurrentVersion"), "CurrentVersion").is_some()
    }
}

/// A file's text: `reg export` writes UTF-16.
fn text(bytes: &[u8]) -> String {
    match bytes {
        [0xFF, 0xFE, rest @ ..] => {
            let units = rest.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Keys with their numbers and texts; other kinds of values are passed over. Names without regard to case, as Windows does.
fn parse(text: &str) -> BTreeMap<String, BTreeMap<String, Value>> {
    let mut keys: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    let mut key = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            key = name.to_lowercase();
            keys.entry(key.clone()).or_default();
            continue;
        }
        let Some((name, value)) = line.strip_prefix('"').and_then(|rest| rest.split_once("\"="))
        else {
            continue;
        };
        let value = match value.strip_prefix("dword:") {
            Some(digits) => u32::from_str_radix(digits, 16).ok().map(Value::Number),
            None => value
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'))
                .map(|text| Value::Text(text.replace(r"\\", r"\"))),
        };
        if let Some(value) = value {
            keys.entry(key.clone()).or_default().insert(name.to_lowercase(), value);
        }
    }
    keys
}

type Check = fn(&Registry) -> Vec<Finding>;

/// What is checked here.
const CHECKS: [Check; 4] = [scheduler, power, microphone, exclusive];

/// Everything that Windows tells.
pub(crate) fn windows(patient: &Patient<'_>) -> Vec<Finding> {
    let registry = Registry::of(patient);
    if !registry.is_there() {
        return Vec::new();
    }
    CHECKS.iter().flat_map(|check| check(&registry)).collect()
}

/// The service that gives device threads their priority, and what it is told of their class.
fn scheduler(registry: &Registry) -> Vec<Finding> {
    const NAME: &str = "scheduler";
    /// `SERVICE_DISABLED` (`winsvc.h`).
    const DISABLED: u32 = 4;
    /// Of each period so many percent go to what is not multimedia; 100 leaves nothing to it (Microsoft, "Multimedia Class
    /// Scheduler Service").
    const NOTHING_LEFT: u32 = 100;
    let service = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\MMCSS";
    let profile = format!(r"{WINDOWS} NT\CurrentVersion\Multimedia\SystemProfile");
    if registry.number(service, "Start") == Some(DISABLED) {
        let text = "the service \"Multimedia Class Scheduler\" is switched off, so device threads get no priority";
        return vec![
            Finding::warning(NAME, text).remedy("set its start to automatic, and restart Windows"),
        ];
    }
    if registry.number(&profile, "SystemResponsiveness") == Some(NOTHING_LEFT) {
        let text = "SystemResponsiveness is 100, which takes all priority from multimedia threads";
        return vec![
            Finding::warning(NAME, text).remedy(format!("set it to 20 or less in {profile}")),
        ];
    }
    if registry.text(&format!(r"{profile}\Tasks\Pro Audio"), "Scheduling Category").is_none() {
        let text = "the multimedia scheduler has no class \"Pro Audio\", so device threads get no priority";
        let remedy = format!(r"restore {profile}\Tasks\Pro Audio from another Windows");
        return vec![Finding::warning(NAME, text).remedy(remedy)];
    }
    vec![Finding::good(NAME, "the multimedia scheduler gives device threads their priority")]
}

/// The power plan in force. Plans are known by these ids (Microsoft, `powrprof` documentation).
fn power(registry: &Registry) -> Vec<Finding> {
    const NAME: &str = "power-plan";
    const SAVER: &str = "a1841308-3541-4fab-bc81-f71556f20b4a";
    const BALANCED: &str = "381b4222-f694-41f0-9685-ff5bb260df2e";
    let key = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Power\User\PowerSchemes";
    let remedy = "choose \"High performance\" in the power options while you record or play with small blocks";
    match registry.text(key, "ActivePowerScheme").map(|plan| plan.to_lowercase()).as_deref() {
        Some(SAVER) => {
            let text = "the power plan saves energy: the processor slows down between two blocks";
            vec![Finding::warning(NAME, text).remedy(remedy)]
        }
        Some(BALANCED) => {
            let text = "the power plan is \"Balanced\": small blocks may come late while the processor wakes up";
            vec![Finding::hint(NAME, text).remedy(remedy)]
        }
        Some(_) => vec![Finding::good(NAME, "the power plan does not slow the processor down")],
        None => Vec::new(),
    }
}

/// Who may use the microphone: the machine, the user, and programs that are no store apps have a switch each.
fn microphone(registry: &Registry) -> Vec<Finding> {
    const NAME: &str = "microphone";
    let store = r"Microsoft\Windows\CurrentVersion\CapabilityAccessManager\ConsentStore\microphone";
    let places = [
        (format!(r"HKEY_LOCAL_MACHINE\SOFTWARE\{store}"), "for everyone on this machine"),
        (format!(r"HKEY_CURRENT_USER\Software\{store}"), "for this user"),
        (format!(r"HKEY_CURRENT_USER\Software\{store}\NonPackaged"), "for desktop programs"),
    ];
    let is_denied = |key: &str| {
        registry.text(key, "Value").is_some_and(|value| value.eq_ignore_ascii_case("deny"))
    };
    let denied = places.iter().find(|(key, _)| is_denied(key));
    let Some((_, who)) = denied else {
        return vec![Finding::good(NAME, "programs may use the microphone")];
    };
    let text = format!("the privacy settings forbid the microphone {who}: inputs cannot be opened");
    let remedy = "allow it in Settings, Privacy, Microphone, \"Let desktop apps access your microphone\" too";
    vec![Finding::problem(NAME, text).remedy(remedy)]
}

/// Endpoints of which no program may have exclusive use.
fn exclusive(registry: &Registry) -> Vec<Finding> {
    const NAME: &str = "exclusive-forbidden";
    /// "Allow applications to take exclusive control of this device": 0 or 1, allowed if not there.
    const ALLOWED: &str = "{b3f8fa53-0004-438e-9003-51a46e139bfc},3";
    /// The endpoint's and the device's names (`PKEY_Device_DeviceDesc`, `PKEY_DeviceInterface_FriendlyName`).
    const NAMES: [&str; 2] =
        ["{a45c254e-df1c-4efd-8020-67d146a850e0},2", "{b3f8fa53-0004-438e-9003-51a46e139bfc},6"];
    /// `DEVICE_STATE_ACTIVE` (`mmdeviceapi.h`).
    const ACTIVE: u32 = 1;
    let mut findings = Vec::new();
    for flow in ["Render", "Capture"] {
        let all = format!(r"{WINDOWS}\CurrentVersion\MMDevices\Audio\{flow}");
        for endpoint in registry.keys(&all) {
            let key = format!(r"{all}\{endpoint}");
            let properties = format!(r"{key}\Properties");
            let is_active =
                registry.number(&key, "DeviceState").is_none_or(|state| state == ACTIVE);
            if !is_active || registry.number(&properties, ALLOWED) != Some(0) {
                continue;
            }
            let names: Vec<String> =
                NAMES.iter().filter_map(|name| registry.text(&properties, name)).collect();
            let name = if names.is_empty() { endpoint } else { names.join(", ") };
            let text = format!(
                "exclusive use of {name} is forbidden, so only the system's mixer reaches it"
            );
            let remedy = "allow it in the Sound control panel: the device's properties, Advanced, \"Allow applications to take exclusive control\"";
            findings.push(Finding::warning(NAME, text).remedy(remedy));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    const HEALTHY: &str = r#"Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion]
"CurrentVersion"="6.3"
[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\MMCSS]
"Start"=dword:00000002
[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Multimedia\SystemProfile]
"SystemResponsiveness"=dword:00000014
[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Multimedia\SystemProfile\Tasks\Pro Audio]
"Scheduling Category"="High"
[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Power\User\PowerSchemes]
"ActivePowerScheme"="8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c"
[HKEY_CURRENT_USER\Software\Microsoft\Windows\CurrentVersion\CapabilityAccessManager\ConsentStore\microphone]
"Value"="Allow"
[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\MMDevices\Audio\Render\{one}]
"DeviceState"=dword:00000001
[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\MMDevices\Audio\Render\{one}\Properties]
"{a45c254e-df1c-4efd-8020-67d146a850e0},2"="Speakers"
"{b3f8fa53-0004-438e-9003-51a46e139bfc},3"=dword:00000001
"#;

    fn found(text: &str) -> Vec<(&'static str, Level, String)> {
        let registry = Registry::File(parse(text));
        assert!(registry.is_there());
        let all = CHECKS.iter().flat_map(|check| check(&registry));
        all.map(|finding| (finding.name, finding.level, finding.text)).collect()
    }

    /// What is worse than good after one line was changed.
    fn after(from: &str, to: &str) -> Vec<(&'static str, Level)> {
        assert!(HEALTHY.contains(from), "{from}");
        let bad = found(&HEALTHY.replace(from, to)).into_iter();
        bad.filter(|(_, level, _)| *level != Level::Good)
            .map(|(name, level, _)| (name, level))
            .collect()
    }

    #[test]
    fn a_healthy_windows_has_nothing_to_complain_of() {
        assert_eq!(found(HEALTHY).len(), 3);
        assert!(found(HEALTHY).iter().all(|(_, level, _)| *level == Level::Good));
    }

    #[test]
    fn each_ailment_is_found_with_its_weight() {
        let dword = |n: u32| format!("dword:{n:08x}");
        let start = format!("\"Start\"={}", dword(2));
        let off = format!("\"Start\"={}", dword(4));
        assert_eq!(after(&start, &off), [("scheduler", Level::Warning)]);
        assert_eq!(after(&dword(0x14), &dword(100)), [("scheduler", Level::Warning)]);
        assert_eq!(after("Tasks\\Pro Audio", "Tasks\\Games"), [("scheduler", Level::Warning)]);
        let high = "8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c";
        let balanced = "381b4222-f694-41f0-9685-ff5bb260df2e";
        assert_eq!(after(high, balanced), [("power-plan", Level::Hint)]);
        let saver = "a1841308-3541-4fab-bc81-f71556f20b4a";
        assert_eq!(after(high, saver), [("power-plan", Level::Warning)]);
        assert_eq!(after("\"Allow\"", "\"Deny\""), [("microphone", Level::Problem)]);
        let desktop = "microphone\\NonPackaged]\n\"Value\"=\"Deny\"";
        assert_eq!(
            after("microphone]\n\"Value\"=\"Allow\"", desktop),
            [("microphone", Level::Problem)]
        );
        let (allowed, forbidden) = ("},3\"=dword:00000001", "},3\"=dword:00000000");
        assert_eq!(after(allowed, forbidden), [("exclusive-forbidden", Level::Warning)]);
    }

    #[test]
    fn a_forbidden_endpoint_is_called_by_its_name_and_one_that_is_unplugged_is_passed_over() {
        let forbidden = HEALTHY.replace("},3\"=dword:00000001", "},3\"=dword:00000000");
        assert!(found(&forbidden).iter().any(|(_, _, text)| text.contains("Speakers")));
        let gone =
            forbidden.replace("\"DeviceState\"=dword:00000001", "\"DeviceState\"=dword:00000008");
        assert!(found(&gone).iter().all(|(name, _, _)| *name != "exclusive-forbidden"));
    }

    #[test]
    fn what_reg_export_writes_is_read() {
        let units = HEALTHY.encode_utf16().flat_map(u16::to_le_bytes);
        let bytes: Vec<u8> = [0xFF, 0xFE].into_iter().chain(units).collect();
        assert_eq!(parse(&text(&bytes)), parse(HEALTHY));
    }

    #[test]
    fn where_there_is_no_registry_nothing_is_found() {
        assert!(!Registry::File(parse("")).is_there());
    }
}
