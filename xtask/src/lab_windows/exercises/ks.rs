//! Kernel streaming on a simulated card: a driver of ours in Wine's driver process (`labs/ks-driver`), below the backend as it
//! is shipped. Contract, faults, and minutes of random sound by every way (`--long`: ten), in simulated time; without the card: none.

use super::super::cache;
use super::super::lab::{Bits, Lab};
use super::super::{build, processes, target};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The test programs, each of which has the card for itself.
const PROGRAMS: [&str; 3] = ["contract", "faults", "lockstep"];
/// How long one of them may take on a busy machine. On a quiet one it is a minute at most.
const PATIENCE: Duration = Duration::from_secs(900);
/// How long listing devices may take where there are none.
const AT_ONCE: Duration = Duration::from_secs(20);
/// Minutes of sound by every way.
const LONG_MINUTES: &str = "10";
const SHORT_MINUTES: &str = "1";
const BUILD: Duration = Duration::from_secs(1800);

/// See the module.
pub(super) fn run(lab: &Lab) -> Result<String> {
    let none = without_a_card(lab)?;
    let folder = lab.prefix.path.join("drive_c/ks");
    fs::create_dir_all(&folder)?;
    driver(lab, &folder)?;
    let said = programs(lab, &folder)?;
    Ok(format!("without a card none in {} ms; {said}", none.as_millis()))
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
    processes::well(command.args(package).arg(bits.target()), BUILD)?;
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

/// Builds the test programs, puts the library that makes pins beside them, and runs them.
fn programs(lab: &Lab, folder: &Path) -> Result<String> {
    shim(lab, lab.bits)?;
    let mut command = build::cargo(&lab.root, lab.bits)?;
    command.args([
        "build",
        "--quiet",
        "--release",
        "--lib",
        "-p",
        "barewire-ks-driver",
        "--target",
    ]);
    processes::well(command.arg(lab.bits.target()), BUILD)?;
    let library = lab.built.join("barewire_ks_driver.dll");
    fs::copy(library, folder.join("ksuser.dll"))?;
    let minutes = if lab.is_long { LONG_MINUTES } else { SHORT_MINUTES };
    let mut words = vec![format!("{minutes} minutes by each of six ways")];
    for name in PROGRAMS {
        let program = folder.join(format!("{name}.exe"));
        fs::copy(build::tests(lab, "barewire-ks", name)?, &program)?;
        let overrides = "mscoree,mshtml,winemenubuilder.exe=;ksuser=n";
        let begin = Instant::now();
        let said = lab.run_well(
            &program,
            &["--test-threads=1"],
            &[("WINEDLLOVERRIDES", overrides), ("BAREWIRE_MINUTES", minutes)],
            PATIENCE,
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
