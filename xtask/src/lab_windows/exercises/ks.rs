//! Kernel streaming on a simulated card: a driver of ours in Wine's driver process (`labs/ks-driver`), below the backend as it
//! is shipped. Contract, faults, and random sound by every way (`--long`: ten minutes by each), in simulated time; without the
//! card none is listed.

use super::super::cache;
use super::super::lab::{Bits, Lab};
use super::super::{build, processes, target};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The test programs, each of which has the card for itself.
const PROGRAMS: [&str; 3] = ["contract", "faults", "lockstep"];
/// How long one of them may take on a busy machine. On a quiet one it is a minute at most.
const PATIENCE: Duration = Duration::from_secs(900);
/// The same at full length: an hour of sound by six ways, each of which a busy machine moves no faster than it sounds.
const LONG_PATIENCE: Duration = Duration::from_secs(5400);
/// How long listing devices may take where there are none.
const AT_ONCE: Duration = Duration::from_secs(20);
/// Seconds of sound by every way.
const LONG_SECONDS: &str = "600";
const SHORT_SECONDS: &str = "15";
const BUILD: Duration = Duration::from_secs(1800);
/// What Wine has to be told in `WINEDLLOVERRIDES`.
pub(super) const OVERRIDES: &str = "mscoree,mshtml,winemenubuilder.exe=;ksuser=n";

/// See the module.
pub(super) fn run(lab: &Lab) -> Result<String> {
    let none = without_a_card(lab)?;
    let folder = install(lab)?;
    let said = programs(lab, &folder)?;
    Ok(format!("without a card none in {} ms; {said}", none.as_millis()))
}

/// Gives this Windows the card. In the folder lies the library that makes pins; programs that open some have to lie there too,
/// and be run with [`OVERRIDES`].
pub(super) fn install(lab: &Lab) -> Result<PathBuf> {
    let folder = lab.prefix.path.join("drive_c/ks");
    fs::create_dir_all(&folder)?;
    driver(lab, &folder)?;
    shim(lab, lab.bits)?;
    let mut command = build::cargo(&lab.root, lab.bits)?;
    command.args(["build", "--quiet", "--release", "--lib", "-p", "barewire-ks-driver"]);
    command.args(["--target", lab.bits.target()]);
    processes::well(&mut processes::in_everyday_time(&command), BUILD)?;
    let library = lab.built.join("barewire_ks_driver.dll");
    fs::copy(library, folder.join("ksuser.dll"))?;
    Ok(folder)
}

/// A Windows without kernel streaming devices: none are listed, quickly, and nothing ends.
fn without_a_card(lab: &Lab) -> Result<Duration> {
    let begin = Instant::now();
    let command = lab.built.join("barewire.exe");
    let said = lab.run_well(&command, &["devices", "--json"], &[], AT_ONCE)?;
    let needed = begin.elapsed();
    if said.contains("\"ks:") {
        bail!("a kernel streaming device where there is none: {said}");
    }
    Ok(needed)
}

/// Builds the card's driver and installs it. Wine's driver process has 64 bits whatever the programs have.
fn driver(lab: &Lab, folder: &Path) -> Result<()> {
    let bits = Bits::B64;
    build::prepare(bits)?;
    let mut command = build::cargo(&lab.root, bits)?;
    let package = ["build", "--quiet", "--release", "-p", "barewire-ks-driver", "--target"];
    command.args(package).arg(bits.target());
    processes::well(&mut processes::in_everyday_time(&command), BUILD)?;
    let built = target(&lab.root).join(bits.target()).join("release");
    let source = lab.root.join("labs/ks-driver");
    let mut command = Command::new(format!("{}-gcc", bits.mingw()));
    command.args(["-O1", "-Wall", "-Wno-unused-parameter", "-shared", "-nostdlib"]);
    command.args([
        "-nostartfiles",
        "-ffreestanding",
        "-Wl,--subsystem,native",
        "-Wl,-e,DriverEntry",
    ]);
    command.arg(format!("-I/usr/{}/include/ddk", bits.mingw()));
    command.arg("-o").arg(folder.join("bwks.sys")).arg(source.join("driver.c"));
    command.arg("-L").arg(&built).args(["-lbarewire_ks_driver", "-lntoskrnl"]);
    let mut command = processes::in_everyday_time(&command);
    processes::well(&mut command, BUILD).context("the card's driver")?;
    fs::copy(built.join("barewire_ks_driver.dll"), folder.join("barewire_ks_driver.dll"))?;
    let inf = fs::read_to_string(source.join("barewire.inf"))?.replace("ARCH", "NTamd64");
    fs::write(folder.join("barewire.inf"), inf)?;
    shim(lab, bits)?;
    let install = built.join("ks-install.exe");
    lab.run_well(&install, &[r"C:\ks\barewire.inf"], &[], PATIENCE).map(drop)
}

fn shim(lab: &Lab, bits: Bits) -> Result<()> {
    let file = cache::shim(bits)?.join("bcryptprimitives.dll");
    lab.install(&file, &format!("{}/bcryptprimitives.dll", bits.system_folder()))
}

/// Builds the test programs and runs them.
fn programs(lab: &Lab, folder: &Path) -> Result<String> {
    let (seconds, cards, patience) = match lab.is_long {
        true => (LONG_SECONDS, "all", LONG_PATIENCE),
        false => (SHORT_SECONDS, "some", PATIENCE),
    };
    let mut words = vec![format!("{seconds} s of sound by each of six ways")];
    for name in PROGRAMS {
        let program = folder.join(format!("{name}.exe"));
        fs::copy(build::tests(lab, "barewire-ks", name)?, &program)?;
        let begin = Instant::now();
        let said = lab.run_well(
            &program,
            &["--test-threads=1"],
            &[
                ("WINEDLLOVERRIDES", OVERRIDES),
                ("BAREWIRE_SECONDS", seconds),
                ("BAREWIRE_CARDS", cards),
            ],
            patience,
        )?;
        let passed = said.lines().find_map(|line| line.strip_prefix("test result: ok. "));
        let passed = passed.and_then(|rest| rest.split_whitespace().next());
        let passed = passed.with_context(|| format!("{name}: {said}"))?;
        if passed == "0" {
            bail!("{name} has no tests: {said}");
        }
        words.push(format!("{name}: {passed} in {:.0} s", begin.elapsed().as_secs_f64()));
    }
    Ok(words.join(", "))
}
