//! The sound servers that run, and how they are set: PipeWire, JACK, PulseAudio.

use super::{Finding, Patient};
use crate::doctor::machine::{Machine, Process};
use std::path::PathBuf;

/// What PipeWire runs at if nobody says otherwise (pipewire.conf(5)).
const PIPEWIRE_RATE: &str = "48000";
const PIPEWIRE_PLACES: [&str; 2] = ["usr/share/pipewire", "etc/pipewire"];

pub(crate) fn servers(patient: &Patient<'_>) -> Vec<Finding> {
    let machine = &patient.machine;
    if !machine.is_linux() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for process in machine.processes(&["pipewire", "jackd", "jackdbus", "pulseaudio"]) {
        match process.name.as_str() {
            "pipewire" => findings.push(pipewire(machine)),
            "pulseaudio" => {
                let text = format!("PulseAudio runs (process {})", process.id);
                let remedy = "nothing: it lets a card go when it is asked over the session bus";
                findings.push(Finding::hint("pulseaudio", text).remedy(remedy));
            }
            _ => findings.extend(jack(&process)),
        }
    }
    findings
}

/// Whether PipeWire may follow the music's rate.
fn pipewire(machine: &Machine) -> Finding {
    const NAME: &str = "pipewire-rates";
    let mut rates = vec![PIPEWIRE_RATE.to_owned()];
    for file in pipewire_files(machine) {
        let text = machine.read(&file).unwrap_or_default();
        rates = list(&text, "default.clock.allowed-rates").unwrap_or(rates);
    }
    let told = rates.join(", ");
    if rates.len() > 1 {
        return Finding::good(NAME, format!("PipeWire may run at {told} Hz"));
    }
    let text = format!(
        "PipeWire runs at {told} Hz alone: through it, music at another rate cannot be played bit for bit"
    );
    let remedy = "let Barewire have the card itself (driver.backend = \"alsa\"), or put \"context.properties = { default.clock.allowed-rates = [ 44100 48000 88200 96000 176400 192000 ] }\" into ~/.config/pipewire/pipewire.conf.d/rates.conf";
    Finding::hint(NAME, text).remedy(remedy)
}

/// PipeWire's files in the order in which they are read, a later one above an earlier.
fn pipewire_files(machine: &Machine) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = PIPEWIRE_PLACES.iter().map(PathBuf::from).collect();
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    folders.extend(home.map(|config| config.join("pipewire")));
    // One main file counts, the user's above the system's; fragments of all folders are added.
    let main =
        folders.iter().map(|folder| folder.join("pipewire.conf")).rfind(|file| machine.has(file));
    let mut files: Vec<PathBuf> = main.into_iter().collect();
    for folder in folders {
        let fragments = folder.join("pipewire.conf.d");
        let names = machine.names(&fragments).into_iter().filter(|name| name.ends_with(".conf"));
        files.extend(names.map(|name| fragments.join(name)));
    }
    files
}

/// The words of `key = [ … ]` in PipeWire's relaxed JSON, comments left out; the last one counts.
fn list(text: &str, key: &str) -> Option<Vec<String>> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let text = lines.collect::<Vec<_>>().join(" ");
    let (_, after) = text.rsplit_once(key)?;
    let (_, inside) = after.split_once('[')?;
    let (inside, _) = inside.split_once(']')?;
    let words =
        inside.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
    Some(words.map(str::to_owned).collect())
}

/// How a JACK server was started.
fn jack(process: &Process) -> Vec<Finding> {
    let words: Vec<&str> = process.arguments.iter().skip(1).map(String::as_str).collect();
    let is_driver = |word: &&str| word.starts_with("-d") || word.starts_with("--driver");
    let (own, driver) = words.split_at(words.iter().position(is_driver).unwrap_or(words.len()));
    let value = |letter: &str, long: &str| {
        let at = driver.iter().skip(1).position(|word| *word == letter || *word == long)?;
        driver.get(at + 2)?.parse::<u32>().ok()
    };
    let mut findings = Vec::new();
    if own.iter().any(|word| ["-r", "--no-realtime"].contains(word)) {
        let text = format!(
            "the JACK server (process {}) runs without real-time priority (-r)",
            process.id
        );
        findings.push(Finding::warning("jack-priority", text).remedy("start it with -R"));
    }
    let (rate, period) =
        (value("-r", "--rate").unwrap_or(48_000), value("-p", "--period").unwrap_or(1024));
    let text = format!(
        "a JACK server runs at {rate} Hz with {period} frames a period; music at another rate cannot be played bit for bit through it"
    );
    findings.push(
        Finding::hint("jack-rate", text)
            .remedy("let Barewire have a card itself, or start the server at the music's rate"),
    );
    /// 10 ms at 48 kHz: above that nobody speaks of low latency.
    const LONG_PERIOD: u32 = 480;
    if period > LONG_PERIOD {
        let text = format!("the JACK server's periods are long: {period} frames");
        findings.push(
            Finding::hint("jack-period", text).remedy("start it with a smaller -p (64 to 256)"),
        );
    }
    findings
}
