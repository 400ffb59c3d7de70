//! Rules about single files.

/// A file may be so long.
const FILE_LINES: usize = 800;
/// A function may be so long: a screen.
const FUNCTION_LINES: usize = 70;

/// Where `unsafe` may stand, by the beginning of the path.
const UNSAFE: &[&str] = &[
    "crates/engine/tests",
    "crates/dsp/examples",
    "crates/dsp/benches",
    "crates/dsp/tests",
    "xtask/src/tidy/source.rs",
    "crates/rt/src",
    "crates/dsp/src/rows",
    "crates/abi/src",
    "crates/host/src",
    "crates/door",
    "crates/share",
    "crates/backends/alsa/src",
    "crates/backends/alsa/tests",
    "crates/backends/jack/benches",
    "crates/backends/jack/src",
    "crates/backends/jack/tests",
    "crates/backends/hub-client/benches",
    "crates/backends/hub-client/tests",
    "crates/backends/wasapi/src",
    "crates/backends/wasapi/tests",
    "crates/backends/mme/src",
    "crates/backends/mme/tests",
    "crates/backends/dsound/src",
    "crates/backends/dsound/tests",
    "crates/testkit/src",
    "labs/wine-audio/src",
    // A driver made badly on purpose, which only tests load.
    "crates/specimen/src",
    "crates/abi/tests",
    "crates/host/tests",
    "crates/driver/tests",
    "crates/backends/virtual/tests",
    "crates/backends/ks/src",
    "crates/backends/ks/tests",
    "labs/ks-driver",
];

/// Where `cfg(target_os)` and the like may stand.
const PLATFORMS: &[&str] = &[
    "crates/desktop",
    "labs/",
    "crates/host/tests",
    "crates/rt/src",
    "crates/backends/",
    "crates/share",
    "crates/host/src/registry",
    "crates/host/src/source",
    "crates/settings/src/places",
    "crates/door",
    "crates/specimen/src",
    "crates/abi/src",
    "xtask",
];

/// Modules that run on the device thread: nothing there may lock, print, format or ask the system for the time.
const DEVICE_THREAD: &[&str] = &[
    "crates/engine/src/engine.rs",
    "crates/engine/src/fifo.rs",
    "crates/engine/src/client.rs",
    "crates/dsp/src/rows",
    "crates/dsp/src/copier.rs",
    "crates/dsp/src/silence.rs",
    "crates/rt/src/seqlock.rs",
    "crates/rt/src/mailbox.rs",
    "crates/rt/src/event_log.rs",
    "crates/rt/src/gate.rs",
    "crates/rt/src/foreign.rs",
    "crates/driver/src/host_client.rs",
    "crates/backends/virtual/src/stream.rs",
    "crates/backends/alsa/src/stream.rs",
    "crates/backends/wasapi/src/stream.rs",
    "crates/backends/wasapi/src/lines.rs",
    "crates/backends/wasapi/src/course.rs",
    "crates/backends/mme/src/stream.rs",
    "crates/backends/dsound/src/stream.rs",
    "crates/backends/ks/src/stream.rs",
    "crates/backends/ks/src/lane.rs",
    "crates/backends/ks/src/ring.rs",
    "crates/backends/ks/src/packets.rs",
    "crates/backends/ks/src/kernel/real/wait.rs",
];

/// What may not stand in those modules.
const NOT_THERE: [&str; 10] = [
    "Mutex",
    "Condvar",
    "RwLock",
    "mpsc",
    "println!",
    "Instant::now",
    "SystemTime",
    "thread::sleep",
    "unwrap()",
    "panic!",
];

/// What may stand nowhere, and what to write instead. Split, so that this file does not complain of itself.
const NOWHERE: [(&str, &str); 5] = [
    (concat!("FIX", "ME"), "do it now"),
    (concat!("TO", "DO:"), "do it now, or open an issue"),
    (concat!("XX", "X"), "say what is meant"),
    (concat!("mas", "ter/sl", "ave"), "leader and follower"),
    (concat!("/ro", "ot/"), "no path of a machine"),
];

fn starts_with_any(name: &str, places: &[&str]) -> bool {
    places.iter().any(|place| name.starts_with(place))
}

/// The part before the unit tests.
fn outside_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text)
}

/// A line without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or(line)
}

/// Everything that is wrong with a file.
pub(crate) fn check(name: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut complain =
        |line: usize, what: String| complaints.push(format!("{name}:{line}: {what}"));
    if !text.starts_with("//!") {
        complain(
            1,
            "a file begins with `//!`: what lives here, what does not, who calls it".to_owned(),
        );
    }
    let length = text.lines().count();
    if length > FILE_LINES {
        complain(length, format!("{length} lines; split by purpose below {FILE_LINES}"));
    }
    for (number, line) in (1..).zip(text.lines()) {
        for (word, instead) in NOWHERE {
            if line.contains(word) {
                complain(number, format!("\"{word}\": {instead}"));
            }
        }
        let line = code(line);
        if has_word(line, "unsafe") && !starts_with_any(name, UNSAFE) && !line.contains("unsafe_") {
            complain(
                number,
                "`unsafe` belongs to rt, dsp's rows, abi, host, the door and backends".to_owned(),
            );
        }
        let platform =
            ["target_os", "cfg(unix)", "cfg(windows)"].iter().any(|cfg| line.contains(cfg));
        if platform && !starts_with_any(name, PLATFORMS) {
            complain(
                number,
                "operating systems are told apart in backends, rt, the registry and the door"
                    .to_owned(),
            );
        }
    }
    if starts_with_any(name, DEVICE_THREAD) {
        for (number, line) in (1..).zip(outside_tests(text).lines()) {
            for word in NOT_THERE.iter().filter(|word| code(line).contains(**word)) {
                complain(number, format!("{word} on the device thread"));
            }
        }
    }
    for (number, lines) in long_functions(text) {
        complain(number, format!("a function of {lines} lines; {FUNCTION_LINES} fit a screen"));
    }
    complaints
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

/// Functions that are too long, by indentation: rustfmt closes a function where it opened it.
fn long_functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (begin, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let head = line.trim_start();
        let is_function =
            ["fn ", "pub fn ", "pub(crate) fn ", "pub(super) fn ", "const fn ", "pub const fn "]
                .iter()
                .any(|start| head.starts_with(start))
                || head.starts_with("unsafe extern")
                || head.starts_with("pub unsafe fn");
        if !is_function || head.ends_with(';') {
            continue;
        }
        let close = format!("{}}}", " ".repeat(indent));
        let length = lines[begin..].iter().position(|line| *line == close).unwrap_or(0) + 1;
        if length > FUNCTION_LINES {
            found.push((begin + 1, length));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(name: &str, text: &str) -> usize {
        check(name, text).len()
    }

    #[test]
    fn each_rule_catches_its_violation_and_nothing_else() {
        let clean = "//! Words.\nfn a() {}\n";
        assert_eq!(check("crates/engine/src/a.rs", clean), Vec::<String>::new());
        assert_eq!(complaints("crates/engine/src/a.rs", "fn a() {}\n"), 1, "no head");
        let long = format!("//! A.\n{}", "// line\n".repeat(FILE_LINES));
        assert_eq!(complaints("crates/engine/src/a.rs", &long), 1, "too long");
        let function = format!("//! A.\nfn a() {{\n{}}}\n", "    b();\n".repeat(FUNCTION_LINES));
        assert_eq!(complaints("crates/engine/src/a.rs", &function), 1, "a long function");
        let hole = "//! A.\nfn a() { unsafe { b() } }\n";
        assert_eq!(complaints("crates/engine/src/a.rs", hole), 1, "unsafe");
        assert_eq!(complaints("crates/rt/src/a.rs", hole), 0, "unsafe where it may be");
        let os = "//! A.\n#[cfg(target_os = \"linux\")]\nfn a() {}\n";
        assert_eq!(complaints("crates/engine/src/a.rs", os), 1, "an operating system");
        assert_eq!(complaints("crates/backends/alsa/src/a.rs", os), 0);
        for word in NOT_THERE {
            let text = format!("//! A.\nfn a() {{ {word} }}\n");
            assert_eq!(complaints("crates/engine/src/engine.rs", &text), 1, "{word}");
            assert_eq!(complaints("crates/engine/src/plan.rs", &text), 0, "{word}");
        }
        for (word, _) in NOWHERE {
            assert_eq!(
                complaints("crates/engine/src/a.rs", &format!("//! A.\n// {word}\n")),
                1,
                "{word}"
            );
        }
    }

    #[test]
    fn unit_tests_may_do_what_the_device_thread_may_not() {
        let text = "//! A.\nfn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() { c.unwrap() }\n}\n";
        assert_eq!(complaints("crates/engine/src/engine.rs", text), 0);
    }
}
