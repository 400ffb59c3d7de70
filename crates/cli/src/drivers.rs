//! `barewire drivers`, `register` and `unregister`: the drivers that other programs find.

use crate::{Global, builtin, say};
use anyhow::{Context, Result, bail};
use barewire_host::{Probe, probe, registry};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a driver may take to answer everything.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long what a child said before its end may take to arrive.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(5);

#[derive(clap::Args)]
pub(crate) struct Register {
    /// The driver's file; by default the one beside this program (on Windows also the one in `x86` or `x64` below it, for
    /// programs of the other width).
    #[arg(value_name = registry::OWN_FILE)]
    file: Option<PathBuf>,
    /// The name under which hosts show it; by default "Barewire", and an entry for each profile of the settings.
    #[arg(long)]
    name: Option<String>,
}

#[derive(clap::Args)]
pub(crate) struct Unregister {
    /// The name under which it is registered; by default all of them.
    #[arg(long)]
    name: Option<String>,
}

#[derive(Serialize)]
struct Listed {
    name: String,
    file: PathBuf,
    bits: u32,
    description: Option<String>,
    probe: Option<Summary>,
    problem: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Summary {
    name: String,
    version: i32,
    inputs: usize,
    outputs: usize,
    sample_type: Option<String>,
    rates_hz: Vec<f64>,
    rate_hz: Option<f64>,
    block_frames: Option<[i32; 3]>,
    output_ready: bool,
    remarks: Vec<String>,
}

impl From<Probe> for Summary {
    fn from(probe: Probe) -> Self {
        let first = probe.outputs.first().or(probe.inputs.first());
        let sizes = |size: barewire_abi::BufferSize| {
            [size.min_frames, size.preferred_frames, size.max_frames]
        };
        Self {
            name: probe.name,
            version: probe.version,
            inputs: probe.inputs.len(),
            outputs: probe.outputs.len(),
            sample_type: first.map(|channel| channel.sample_type.to_owned()),
            rates_hz: probe.rates_hz,
            rate_hz: probe.rate_hz,
            block_frames: probe.block_size.map(sizes),
            output_ready: probe.output_ready,
            remarks: probe.remarks,
        }
    }
}

/// Lists registered drivers, each asked in a process of its own: one that crashes takes nothing else along.
pub(crate) fn list(global: &Global) -> Result<()> {
    let root = builtin::root(global);
    let listing = registry::entries(&root)?;
    let listed = |entry: registry::Entry| {
        let (probe, problem) = match ask_entry(global, &entry) {
            Ok(summary) => (Some(summary), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        Listed {
            name: entry.name,
            file: entry.driver,
            bits: entry.bits,
            description: entry.description,
            probe,
            problem,
        }
    };
    let all: Vec<Listed> = listing.entries.into_iter().map(listed).collect();
    say::report(global, &all, |all| {
        if all.is_empty() {
            let place = root.display();
            say::line(format_args!(
                "no driver is registered in {place}; `barewire register` registers this one"
            ));
        }
        all.iter().for_each(print);
    });
    listing.problems.into_iter().for_each(say::aside);
    Ok(())
}

fn print(driver: &Listed) {
    let kind = match driver.bits {
        usize::BITS => String::new(),
        bits => format!("  (for {bits}-bit programs)"),
    };
    say::line(format_args!("{}  {}{kind}", driver.name, driver.file.display()));
    if let Some(problem) = &driver.problem {
        say::line(format_args!("    problem  {problem}"));
    }
    let Some(found) = &driver.probe else { return };
    let rates: Vec<String> = found.rates_hz.iter().map(f64::to_string).collect();
    say::line(format_args!(
        "    {} inputs, {} outputs, {}, {} Hz",
        found.inputs,
        found.outputs,
        found.sample_type.as_deref().unwrap_or("no channels"),
        rates.join(" ")
    ));
    for remark in &found.remarks {
        say::line(format_args!("    note     {remark}"));
    }
}

/// Asks a driver in a process of its own whether it can be used at all: one that crashes or hangs takes nothing along.
pub(crate) fn check(global: &Global, name: &str) -> Result<()> {
    ask(global, name).map(|_| ()).with_context(|| format!("the driver {name} cannot be used"))
}

/// A driver for programs of the other width is asked by the command of that width, if it is there.
fn ask_entry(global: &Global, entry: &registry::Entry) -> Result<Summary> {
    let own = std::env::current_exe().context("this program cannot find itself")?;
    if entry.bits == usize::BITS {
        return ask_by(&own, global, &entry.name);
    }
    let other = registry::OTHER_KIND
        .and_then(|folder| Some(own.parent()?.join(folder).join(own.file_name()?)));
    match other.filter(|other| other.is_file()) {
        Some(other) => ask_by(&other, global, &entry.name),
        None => {
            bail!("it is for {}-bit programs, and this is a {}-bit one", entry.bits, usize::BITS)
        }
    }
}

fn ask(global: &Global, name: &str) -> Result<Summary> {
    let program = std::env::current_exe().context("this program cannot find itself")?;
    ask_by(&program, global, name)
}

fn ask_by(program: &Path, global: &Global, name: &str) -> Result<Summary> {
    let mut command = Command::new(program);
    command.arg("probe-child").arg(name).arg("--root").arg(builtin::root(global));
    answer(&mut command)
}

/// What the child says before it ends. A driver may leave processes behind that hold the child's streams as long as they
/// live (under Wine the desktop's is started by whoever asks for it first): their end is not waited for.
fn answer(command: &mut Command) -> Result<Summary> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("no process can be started for it")?;
    let (words, complaint) = (Heard::of(child.stdout.take()), Heard::of(child.stderr.take()));
    let end = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > end {
            // Its own child, and it had its time.
            child.kill()?;
            child.wait()?;
            bail!("it did not answer within {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(LOOK);
    };
    if !status.success() {
        let words = complaint.lines();
        let words = words.lines().last().unwrap_or_default().trim_start_matches("barewire: ");
        if status.code().is_none() {
            bail!("it crashed while it was asked ({status})");
        }
        bail!("{words}");
    }
    among(&words.lines()).context("it printed over its own answer")
}

/// The answer among whatever else a driver prints, before it and behind it, on the same line too.
fn among(words: &str) -> Option<Summary> {
    let parse = |line: &str| {
        let from = line.find('{')?;
        serde_json::Deserializer::from_str(&line[from..]).into_iter().next()?.ok()
    };
    words.lines().rev().find_map(parse)
}

/// What comes out of a stream of a child, read by a thread of its own, which ends when nobody holds the stream any more.
struct Heard {
    said: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Heard {
    fn of(stream: Option<impl Read + Send + 'static>) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        let place = said.clone();
        let thread = std::thread::spawn(move || {
            let Some(mut stream) = stream else { return };
            let mut piece = [0; 4096];
            while let Ok(length) = stream.read(&mut piece)
                && length > 0
            {
                let mut said = place.lock().unwrap_or_else(PoisonError::into_inner);
                said.extend_from_slice(piece.get(..length).unwrap_or_default());
            }
        });
        Self { said, thread }
    }

    /// Everything that a child has said that has ended: whole lines.
    fn lines(&self) -> String {
        let end = Instant::now() + LAST_WORDS;
        loop {
            let is_all = self.thread.is_finished() || Instant::now() > end;
            let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            if is_all || said.ends_with(b"\n") {
                return String::from_utf8_lossy(&said).into_owned();
            }
            drop(said);
            std::thread::sleep(LOOK);
        }
    }
}

/// Asks one driver everything and prints the answer as JSON.
pub(crate) fn probe_child(global: &Global, driver: &str) -> Result<()> {
    let summary = Summary::from(probe(&builtin::named(global, driver)?)?);
    say::line(serde_json::to_string(&summary)?);
    Ok(())
}

#[derive(Serialize)]
struct Registered {
    name: String,
    file: PathBuf,
    bits: u32,
}

/// Registers the driver.
pub(crate) fn register(global: &Global, options: &Register) -> Result<()> {
    let files = match &options.file {
        Some(file) => vec![file.clone()],
        None => beside_this_program()?,
    };
    let names = match &options.name {
        Some(name) => vec![name.clone()],
        None => registry::own_entries(&builtin::settings(global).loaded().profiles),
    };
    let root = builtin::root(global);
    let mut all = Vec::new();
    for name in &names {
        for file in &files {
            let entry = registry::register(&root, name, file, registry::OWN_DESCRIPTION)?;
            all.push(Registered { name: entry.name, file: entry.driver, bits: entry.bits });
        }
    }
    say::report(global, &all, |all| {
        for Registered { name, file, bits } in all {
            let kind =
                if files.len() > 1 { format!(", for {bits}-bit programs") } else { String::new() };
            let (file, root) = (file.display(), root.display());
            say::line(format_args!("{file} is registered in {root} as {name}{kind}"));
        }
    });
    Ok(())
}

/// Our driver's files: the one for programs like this one, and the one for programs of the other width if it is there.
fn beside_this_program() -> Result<Vec<PathBuf>> {
    let program = std::env::current_exe().context("this program cannot find itself")?;
    let file = program.with_file_name(registry::OWN_FILE);
    if !file.is_file() {
        bail!(
            "{} is not there; build it with `cargo build --release -p barewire-door`, or give its path",
            file.display()
        );
    }
    let mut files = vec![file];
    if let Some(folder) = registry::OTHER_KIND {
        let other = program.with_file_name(folder).join(registry::OWN_FILE);
        if other.is_file() {
            files.push(other);
        } else {
            let bits = 96 - usize::BITS;
            say::aside(format_args!(
                "{bits}-bit programs will not find it: {} is not there",
                other.display()
            ));
        }
    }
    Ok(files)
}

/// Takes a registration back.
pub(crate) fn unregister(global: &Global, options: &Unregister) -> Result<()> {
    let root = builtin::root(global);
    let mut names = match &options.name {
        Some(name) => vec![name.clone()],
        None => registry::own_names(&root)?,
    };
    if names.is_empty() {
        // Which says that there is none.
        names.push(registry::OWN_NAME.to_owned());
    }
    for name in &names {
        registry::unregister(&root, name)?;
    }
    say::report(global, &names, |names| {
        for name in names {
            say::line(format_args!("{name} is not registered any more"));
        }
    });
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop the world")]

    use super::*;

    fn say(script: &str) -> Result<Summary> {
        answer(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn a_process_that_a_driver_leaves_behind_is_not_waited_for() {
        let answer = r#"{"name":"Left","version":1,"inputs":0,"outputs":2,"sample_type":null,"rates_hz":[],"rate_hz":null,"block_frames":null,"output_ready":true,"remarks":[]}"#;
        let begin = Instant::now();
        // It ends by itself soon after this test.
        let found = say(&format!("sleep 20 & echo '{answer}'")).unwrap();
        assert_eq!((found.name.as_str(), found.outputs), ("Left", 2));
        let complaint = say("sleep 20 & echo 'barewire: nobody is there' >&2; exit 1").unwrap_err();
        assert_eq!(complaint.to_string(), "nobody is there");
        assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    }

    const ANSWER: &str = r#"{"name":"Some","version":3,"inputs":2,"outputs":2,"sample_type":null,"rates_hz":[],"rate_hz":null,"block_frames":null,"output_ready":false,"remarks":[]}"#;

    #[test]
    fn an_answer_is_found_among_what_a_driver_prints() {
        let said = [
            format!("{ANSWER}\n"),
            format!("a line\n{ANSWER}\r\n"),
            format!("no end of line {ANSWER}\nbye\n"),
            format!("{{ odd }}\n{ANSWER} and more\n}}\n"),
        ];
        for words in said {
            assert_eq!(among(&words).map(|it| it.version), Some(3), "{words}");
        }
        assert!(among("nothing\n{}\n").is_none());
    }
}
