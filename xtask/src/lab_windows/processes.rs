//! Children with a deadline. Only what was started here is ever ended, by its id.

use anyhow::{Context, Result, bail};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often a child is looked after.
const LOOK: Duration = Duration::from_millis(20);

/// Waits for the child, at most for `length`; `None` if it runs still.
pub(crate) fn wait(child: &mut Child, length: Duration) -> Result<Option<ExitStatus>> {
    let end = Instant::now() + length;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

/// Runs a command that has to end well within `length`.
pub(crate) fn well(command: &mut Command, length: Duration) -> Result<()> {
    let name = format!("{command:?}");
    let mut child = command.spawn().with_context(|| name.clone())?;
    match wait(&mut child, length)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("{name}: {status}"),
        None => {
            child.kill()?;
            child.wait()?;
            bail!("{name} took longer than {} s", length.as_secs())
        }
    }
}

/// Runs `body` so that what it starts goes before all other programs of the machine, as far as the machine grants it: a mixer
/// has to be fed every 10 ms, and a busy machine lets even favoured programs wait longer than that (`nice` counts only
/// within a session). Nothing runs away with it: who computes for three seconds without a pause is ended by the kernel.
pub(crate) fn in_real_time<T>(body: impl FnOnce() -> T) -> T {
    const MOST_US: &str = "--rttime=3000000";
    let own = std::process::id().to_string();
    let is_bounded = quietly(Command::new("prlimit").args(["--pid", &own, MOST_US]));
    if !(is_bounded && quietly(Command::new("chrt").args(["--rr", "--pid", "5", &own]))) {
        println!("real time is not granted; a busy machine may starve what runs now");
    }
    let done = body();
    // Where it was not granted there is nothing to take back.
    let _ = quietly(Command::new("chrt").args(["--other", "--pid", "0", &own]));
    done
}

/// Gives all threads of a child what [`in_real_time`] gives, for one that takes itself back to everybody's time: PulseAudio 16
/// does, and asks for real time in a way that is granted on desktops alone.
pub(crate) fn favour(child: &Child) {
    let id = child.id().to_string();
    // Where it is not granted a busy machine may starve it, which shows.
    let _ = quietly(Command::new("chrt").args(["--all-tasks", "--rr", "--pid", "5", &id]));
}

/// Has a command that `in_real_time` starts run like everybody's.
pub(crate) fn in_everyday_time(command: &Command) -> Command {
    let mut everyday = Command::new("chrt");
    everyday.args(["--other", "0"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => everyday.env(name, value),
            None => everyday.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        everyday.current_dir(folder);
    }
    everyday
}

fn quietly(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
