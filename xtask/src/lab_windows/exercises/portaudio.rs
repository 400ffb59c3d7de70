//! A host that nobody here wrote: PortAudio, out of PyPI's `sounddevice` wheel for Windows, finds the registered driver and
//! plays and captures through it (`crates/door/tests/portaudio.rs`): over the simulated devices in lock step, over the simulated
//! card by kernel streaming, and through Wine's DirectSound and winmm into the sound server.

use super::{ks, registration, wasapi};
use crate::lab_windows::lab::{Bits, CannotRun, Lab};
use crate::lab_windows::{build, cache, processes};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Half a million frames at several rates and in several block sizes, and minutes; a quiet machine needs half a minute.
const PATIENCE: Duration = Duration::from_secs(540);
/// How long the wheel's way here may take.
const DOWNLOAD: Duration = Duration::from_secs(120);
/// The wheel: fixed, so that everybody tries the same.
const WHEEL: &str = "sounddevice==0.5.6";
const SETTINGS: &str = "driver.backend = \"wasapi\"\ndriver.mode = \"exclusive\"\noutput.device = { name = \"Simulated wide\" }\ninput.device = { name = \"Simulated wide\" }\n";

/// The simulated devices.
pub(super) fn run(lab: &Lab) -> Result<String> {
    let host = Host::new(lab, SETTINGS)?;
    wasapi::install(lab)?;
    let records = lab.prefix.path.join("drive_c/records");
    let environment = [
        ("BAREWIRE_SIMULATED", "wide"),
        ("BAREWIRE_SIMULATED_PACE", "lock"),
        ("BAREWIRE_SIMULATED_FOLDER", r"C:\records"),
    ];
    let rounds = |said: &str| {
        let round = said.lines().filter_map(|line| line.strip_prefix("round trip "));
        round.map(|round| format!("; round trip {round}")).collect::<String>()
    };
    let mut words = Vec::new();
    for test in [
        "what_a_stranger_plays_arrives_bit_for_bit_at_every_rate",
        "a_minute_through_a_stranger_arrives_bit_for_bit_and_comes_back",
    ] {
        // The record that it looks for is the latest by its name, which says nothing of programs before.
        if records.exists() {
            std::fs::remove_dir_all(&records)?;
        }
        std::fs::create_dir_all(&records)?;
        let (exact, said) = host.run(lab, test, &environment)?;
        words.push(format!("{exact} comparisons bit for bit{}", rounds(&said)));
    }
    Ok(words.join("; "))
}

/// The simulated card, by all transports.
pub(super) fn by_kernel_streaming(lab: &Lab) -> Result<String> {
    let mut host = Host::new(lab, "")?;
    ks::install(lab)?;
    let folder = lab.prefix.path.join("drive_c/host");
    std::fs::create_dir_all(&folder)?;
    let program = folder.join("portaudio.exe");
    std::fs::copy(&host.program, &program)?;
    host.program = program;
    let mut words = Vec::new();
    for transport in ["event", "polled", "packets"] {
        // Two packets of 256 frames would have to be handed over within 6 ms, which Wine does not always grant.
        let settings = format!(
            "driver.backend = \"ks\"\nks.transport = \"{transport}\"\nks.kernel_buffers = 4\n"
        );
        registration::set(lab, &settings)?;
        // Each time the program finds it later than it starts.
        let pin_maker = folder.join("ksuser.dll");
        if pin_maker.exists() {
            std::fs::remove_file(pin_maker)?;
        }
        let environment = [
            ("BAREWIRE_TRANSPORT", transport),
            ("BAREWIRE_PIN_MAKER", r"C:\ks\ksuser.dll"),
            ("WINEDLLOVERRIDES", ks::OVERRIDES),
        ];
        let test = "a_stranger_plays_and_captures_on_a_card_by_kernel_streaming";
        let (exact, said) = host.run(lab, test, &environment)?;
        let last = said.lines().rev().find_map(|line| line.strip_prefix("round trip "));
        let again = said.lines().filter(|line| line.contains("kept it waiting")).count();
        let last = last.unwrap_or("unknown");
        words.push(format!("{transport}: {exact} ({again} made again), round trip {last}"));
    }
    Ok(format!("comparisons bit for bit, {}", words.join("; ")))
}

/// DirectSound takes no more than 24 bits of an integer.
pub(super) fn by_dsound(lab: &Lab) -> Result<String> {
    through_the_mixer(lab, "dsound", "int24")
}

pub(super) fn by_mme(lab: &Lab) -> Result<String> {
    through_the_mixer(lab, "mme", "int32")
}

fn through_the_mixer(lab: &Lab, backend: &str, format: &str) -> Result<String> {
    let settings = format!("driver.backend = \"{backend}\"\ninput.device = \"none\"\n");
    let host = Host::new(lab, &settings)?;
    let sink = lab.prefix.path.join("drive_c/sink.raw");
    lab.pulse.keep_in(File::create(&sink)?);
    let environment = [("BAREWIRE_SINK", r"C:\sink.raw"), ("BAREWIRE_FORMAT", format)];
    let test = "what_a_stranger_plays_arrives_through_the_mixer";
    let (exact, said) = host.run(lab, test, &environment)?;
    let halted = said.lines().filter(|line| line.contains("whole, but not played")).count();
    Ok(format!("{exact} comparisons bit for bit; made again because the mixer halted: {halted}"))
}

/// The program with PortAudio in it, and the driver where it finds it.
struct Host {
    program: PathBuf,
    library: String,
    shim: String,
}

impl Host {
    fn new(lab: &Lab, settings: &str) -> Result<Self> {
        let cannot = |error| CannotRun(format!("PortAudio's library cannot be had: {error:#}"));
        let library = library(lab.bits).map_err(cannot)?;
        let program = build::tests(lab, "barewire-door", "portaudio")?;
        registration::install(lab, settings)?;
        registration::barewire(lab, &["register"])?;
        let shim = lab.windows_path(&cache::shim(lab.bits)?);
        Ok(Self { program, library: lab.windows_path(&library), shim })
    }

    /// Runs one test; how many comparisons it made, which is never none, and what it said.
    fn run(&self, lab: &Lab, test: &str, environment: &[(&str, &str)]) -> Result<(usize, String)> {
        let mut all = vec![
            ("BAREWIRE_PORTAUDIO", self.library.as_str()),
            ("BAREWIRE_SETTINGS", registration::SETTINGS_PLACE),
            ("WINEPATH", self.shim.as_str()),
        ];
        all.extend(environment);
        let arguments = ["--ignored", "--exact", test, "--test-threads=1", "--nocapture"];
        let said = lab.run_well(&self.program, &arguments, &all, PATIENCE)?;
        let exact = said.lines().filter(|line| line.contains("bit for bit")).count();
        if exact == 0 {
            bail!("nothing was compared:\n{said}");
        }
        Ok((exact, said))
    }
}

/// The library, out of the wheel, which is fetched once.
fn library(bits: Bits) -> Result<PathBuf> {
    let folder = cache::entry("portaudio-1", |place| {
        let mut pip = Command::new("pip3");
        pip.args(["download", "--quiet", "--no-deps", "--only-binary=:all:"]);
        pip.args(["--disable-pip-version-check", "--platform", "win_amd64", "--dest"]);
        pip.arg(place).arg(WHEEL).stdout(Stdio::null()).stderr(Stdio::null());
        processes::well(&mut pip, DOWNLOAD)?;
        let wheel = std::fs::read_dir(place)?.flatten().next().context("pip fetched nothing")?;
        let mut unpack = Command::new("python3");
        unpack.args(["-m", "zipfile", "-e"]).arg(wheel.path()).arg(place);
        processes::well(&mut unpack, DOWNLOAD)
    })?;
    let name = format!("_sounddevice_data/portaudio-binaries/libportaudio{bits}bit-asio.dll");
    let file = folder.join(Path::new(&name));
    if !file.is_file() {
        bail!("{} is not in {WHEEL}", file.display());
    }
    Ok(file)
}
