//! `barewire doctor` on folders that stand for machines: each finding is there when its cause is, and only then.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop the world"
)]

mod command;

use command::Desk;
use serde_json::Value;

/// A machine that is as it should be.
const HEALTHY: [(&str, &str); 14] = [
    ("proc/version", "Linux version 6.12.1 (builder) #1 SMP PREEMPT_DYNAMIC Debian 6.12.1-1"),
    ("proc/cmdline", "root=/dev/sda1 preempt=full threadirqs quiet"),
    ("proc/self/status", "Name:\tbarewire\nGroups:\t1000 29\nCapEff:\t0000000000000000\n"),
    (
        "proc/self/limits",
        "Limit                     Soft Limit           Hard Limit           Units\nMax realtime priority     95                   95                   \n",
    ),
    ("proc/sys/kernel/sched_rt_runtime_us", "950000\n"),
    ("proc/asound/card0/id", "USB\n"),
    ("proc/asound/card0/pcm0p/sub0/status", "closed\n"),
    ("proc/asound/card0/pcm0p/sub0/hw_params", "closed\n"),
    ("proc/asound/card0/pcm0c/sub0/status", "closed\n"),
    ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n"),
    ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n"),
    ("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"),
    ("sys/module/snd_hda_intel/parameters/power_save", "0\n"),
    ("etc/group", "root:x:0:\naudio:x:29:me\n"),
];

const HELD: &str = "state: RUNNING\nowner_pid   : 4711\ntrigger_time: 1.0\n";
const JACKD: &str = "jackd\x00-r\x00-d\x00alsa\x00-r\x0044100\x00-p\x002048\x00";
const RULE: &str = "@audio - rtprio 95\n@audio - memlock unlimited\n";
const NO_RIGHT: &str = "Max realtime priority     0                    0                    \n";
const SMALL_RIGHT: &str = "Max realtime priority     20                   20                   \n";

/// What is changed of the healthy machine, the finding that it must give, its level, and words of its sentence or remedy.
struct Case {
    files: &'static [(&'static str, &'static str)],
    name: &'static str,
    level: &'static str,
    words: &'static [&'static str],
}

const CASES: [Case; 17] = [
    Case {
        files: &[("proc/self/limits", NO_RIGHT)],
        name: "priority",
        level: "warning",
        words: &["refused", "rtprio 95", "/etc/security/limits.d/audio.conf", "rtkit"],
    },
    Case {
        files: &[("proc/self/limits", SMALL_RIGHT)],
        name: "priority",
        level: "warning",
        words: &["up to 20 only"],
    },
    Case {
        files: &[
            ("proc/self/limits", NO_RIGHT),
            ("etc/security/limits.d/audio.conf", RULE),
            ("etc/group", "audio:x:63:\n"),
        ],
        name: "priority",
        level: "warning",
        words: &["usermod -a -G audio"],
    },
    Case {
        files: &[("proc/self/limits", NO_RIGHT), ("etc/security/limits.d/audio.conf", RULE)],
        name: "priority",
        level: "warning",
        words: &["log in anew: the rule"],
    },
    Case {
        files: &[("proc/sys/kernel/sched_rt_runtime_us", "0\n")],
        name: "priority-runtime",
        level: "warning",
        words: &["sysctl"],
    },
    Case {
        files: &[("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave\n")],
        name: "governor",
        level: "warning",
        words: &["1 of 2 processors", "powersave", "cpupower"],
    },
    Case {
        files: &[("proc/cmdline", "root=/dev/sda1 quiet")],
        name: "preemption",
        level: "hint",
        words: &["preempt=full threadirqs"],
    },
    Case {
        files: &[("proc/version", "Linux version 6.1.0 #1 SMP Debian")],
        name: "preemption",
        level: "warning",
        words: &["PREEMPT_RT"],
    },
    Case {
        files: &[("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n")],
        name: "clock",
        level: "hint",
        words: &["hpet"],
    },
    Case {
        files: &[
            ("proc/asound/card0/pcm0p/sub0/status", HELD),
            ("proc/asound/card0/pcm0p/sub0/hw_params", "access: MMAP\nrate: 44100 (44100/1)\n"),
            ("proc/4711/comm", "firefox\n"),
        ],
        name: "card-held",
        level: "warning",
        words: &["outputs of USB", "firefox (process 4711) at 44100 Hz", "end firefox"],
    },
    Case {
        files: &[("proc/asound/card0/pcm0c/sub0/status", HELD), ("proc/4711/comm", "pipewire\n")],
        name: "card-held",
        level: "hint",
        words: &["inputs of USB", "asked to let go"],
    },
    Case {
        files: &[("proc/asound/card0/pcm0p/sub0/status", HELD), ("proc/4711/comm", "jackd\n")],
        name: "card-held",
        level: "warning",
        words: &["driver.backend"],
    },
    Case {
        files: &[("sys/module/snd_hda_intel/parameters/power_save", "10\n")],
        name: "card-sleeps",
        level: "hint",
        words: &["10 s", "power_save=0"],
    },
    Case {
        files: &[
            ("proc/12/comm", "pipewire\n"),
            ("usr/share/pipewire/pipewire.conf", "#default.clock.allowed-rates = [ 1 2 ]\n"),
        ],
        name: "pipewire-rates",
        level: "hint",
        words: &["48000 Hz alone", "allowed-rates"],
    },
    Case {
        files: &[("proc/13/comm", "jackd\n"), ("proc/13/cmdline", JACKD)],
        name: "jack-priority",
        level: "warning",
        words: &["start it with -R"],
    },
    Case {
        files: &[("proc/13/comm", "jackd\n"), ("proc/13/cmdline", JACKD)],
        name: "jack-rate",
        level: "hint",
        words: &["44100 Hz with 2048 frames"],
    },
    Case {
        files: &[("proc/13/comm", "jackd\n"), ("proc/13/cmdline", JACKD)],
        name: "jack-period",
        level: "hint",
        words: &["2048"],
    },
];

/// A desk with a healthy machine but for `changed`, and drivers' registrations of its own.
fn examined(changed: &[(&str, &str)], more: &[&str]) -> (Option<i32>, Vec<Value>) {
    let desk = Desk::new();
    for (name, text) in HEALTHY.iter().chain(changed) {
        let file = desk.path("machine").join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    examine(&desk, more)
}

fn examine(desk: &Desk, more: &[&str]) -> (Option<i32>, Vec<Value>) {
    let (machine, root) = (desk.path("machine"), desk.path("drivers"));
    let mut arguments = vec!["--json", "--root", root.to_str().unwrap()];
    arguments.extend(more);
    arguments.extend(["doctor", "--machine", machine.to_str().unwrap()]);
    let outcome = desk.run(&arguments);
    let report: Value =
        serde_json::from_str(&outcome.out).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    (outcome.code, report["findings"].as_array().unwrap().clone())
}

fn told(finding: &Value) -> String {
    let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    format!("{} -> {}", text("text"), text("remedy"))
}

#[test]
fn on_a_healthy_machine_nothing_stands_in_the_way() {
    let (code, findings) = examined(&[], &[]);
    assert_eq!(code, Some(0), "{findings:#?}");
    let loud: Vec<_> =
        findings.iter().filter(|finding| finding["level"] != "good").map(told).collect();
    assert_eq!(loud.len(), 1, "{loud:#?}");
    assert!(loud[0].contains("not registered"), "{loud:#?}");
    for name in ["settings", "priority", "governor", "preemption", "cards"] {
        assert!(findings.iter().any(|finding| finding["name"] == name), "{name}: {findings:#?}");
    }
}

#[test]
fn each_cause_gives_its_finding_with_what_to_do() {
    for Case { files, name, level, words } in CASES {
        let (code, findings) = examined(files, &[]);
        let found =
            findings.iter().find(|finding| finding["name"] == name && finding["level"] == level);
        let found = found.unwrap_or_else(|| panic!("{name}, {level}: {findings:#?}"));
        let text = told(found);
        assert!(words.iter().all(|word| text.contains(word)), "{name}: {text}");
        let worst = findings.iter().any(|finding| finding["level"] == "warning");
        assert_eq!(code, Some(if worst { 3 } else { 0 }), "{name}");
    }
}

#[test]
fn what_grants_priority_otherwise_is_seen() {
    let kit = "usr/share/dbus-1/system-services/org.freedesktop.RealtimeKit1.service";
    let status = "Name:\tbarewire\nCapEff:\t0000000000800000\n";
    for changed in [
        [("proc/self/limits", NO_RIGHT), (kit, "[D-BUS Service]\n")],
        [("proc/self/limits", NO_RIGHT), ("proc/self/status", status)],
    ] {
        let (code, findings) = examined(&changed, &[]);
        assert_eq!(code, Some(0), "{findings:#?}");
    }
}

#[test]
fn pipewire_that_follows_rates_is_good_whichever_file_says_so() {
    let rates = "context.properties = {\n  default.clock.allowed-rates = [ 44100 48000, 96000 ] # mine\n}\n";
    for file in ["etc/pipewire/pipewire.conf", "etc/pipewire/pipewire.conf.d/rates.conf"] {
        let (_, findings) = examined(&[("proc/12/comm", "pipewire\n"), (file, rates)], &[]);
        let found = findings.iter().find(|finding| finding["name"] == "pipewire-rates").unwrap();
        assert_eq!(found["level"], "good", "{file}");
        assert!(told(found).contains("44100, 48000, 96000"), "{found}");
    }
}

#[test]
fn a_machine_without_cards_is_told_so() {
    let desk = Desk::new();
    let file = desk.path("machine").join("proc/version");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, "Linux version 6.12 PREEMPT_RT").unwrap();
    let (code, findings) = examine(&desk, &[]);
    assert_eq!(code, Some(3));
    assert!(findings.iter().any(|finding| finding["name"] == "no-card"), "{findings:#?}");
}

#[test]
fn wrong_settings_and_registrations_are_problems() {
    let desk = Desk::new();
    std::fs::create_dir_all(desk.path("machine/proc/self")).unwrap();
    let settings = desk.write("settings.toml", "[output]\ndevise = 'x'\n");
    let registered = |name: &str, file: &str| {
        let folder = desk.path("drivers").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("driver"), file).unwrap();
    };
    registered("Gone", "/nowhere/libgone.so");
    // A shared object for 32-bit programs: the header alone.
    let mut header = b"\x7fELF\x01\x01\x01".to_vec();
    header.resize(52, 0);
    (header[16], header[18], header[20]) = (3, 3, 1);
    let narrow = desk.write("narrow.so", header);
    registered("Narrow", narrow.to_str().unwrap());
    let (code, findings) = examine(&desk, &["--settings", settings.to_str().unwrap()]);
    assert_eq!(code, Some(4));
    let problems: Vec<String> =
        findings.iter().filter(|finding| finding["level"] == "problem").map(told).collect();
    for words in ["devise", "libgone.so is gone", "Narrow"] {
        assert!(problems.iter().any(|text| text.contains(words)), "{words}: {problems:#?}");
    }
    println!("{problems:#?}");
}
