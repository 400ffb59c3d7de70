//! A PulseAudio server of the lab's own: what is played to its sink comes out of one pipe, what goes into the other is
//! recorded from its source. 48 kHz, stereo, 32 bits, not resampled, paced by the system's clock.
//!
//! A pipe and not a null sink with a monitor: the latter loses frames.

use super::processes;
use anyhow::{Context, Result, bail};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Frames a second.
pub(crate) const RATE_HZ: u32 = 48_000;
/// Of a stereo frame of 32-bit samples.
#[allow(dead_code, reason = "for exercises")]
pub(crate) const FRAME_BYTES: usize = 8;

/// How long the server may take to be there.
const PATIENCE: Duration = Duration::from_secs(30);

/// The server. Dropping it ends it.
pub(crate) struct Pulse {
    folder: PathBuf,
    server: Child,
    /// Records from the source and throws it away. PulseAudio 16 does not read the pipe of a source that nobody records from:
    /// what has piled up would come at once when somebody does, more than a client's buffer holds, and be lost.
    listener: Option<Child>,
    /// What is being recorded of the sink; nothing is kept while nobody wants it.
    heard: Arc<Mutex<Option<Vec<u8>>>>,
    /// Where it is written too.
    kept: Arc<Mutex<Option<File>>>,
}

impl Pulse {
    /// A server in a folder of its own.
    pub(crate) fn start() -> Result<Self> {
        // A short path: sockets' names are bounded.
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("barewire-lab-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(folder.join("state"))?;
        let place = folder.display();
        let daemon = format!(
            "default-sample-rate = {RATE_HZ}\nalternate-sample-rate = {RATE_HZ}\ndefault-sample-format = s32le\nresample-method = trivial\nflat-volumes = no\nenable-memfd = no\nrealtime-scheduling = yes\nrealtime-priority = 5\nhigh-priority = no\nexit-idle-time = -1\n"
        );
        let shape = format!("rate={RATE_HZ} format=s32le channels=2");
        let script = format!(
            "load-module module-pipe-sink sink_name=sink file={place}/sink {shape} use_system_clock_for_timing=yes sink_properties=device.description=LabSink\nload-module module-pipe-source source_name=source file={place}/source {shape} source_properties=device.description=LabSource\nload-module module-native-protocol-unix socket={place}/native auth-anonymous=1\nset-default-sink sink\nset-default-source source\n"
        );
        fs::write(folder.join("daemon.conf"), daemon)?;
        fs::write(folder.join("run.pa"), script)?;
        let log = File::create(folder.join("log"))?;
        let mut command = Command::new("pulseaudio");
        command.args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"]);
        command.args(["--disallow-exit=yes", "-F"]).arg(folder.join("run.pa"));
        command.env("HOME", &folder).env("XDG_RUNTIME_DIR", &folder);
        command.env("PULSE_RUNTIME_PATH", folder.join("run"));
        command.env("PULSE_STATE_PATH", folder.join("state"));
        command.env("PULSE_CONFIG", folder.join("daemon.conf"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let server = command.spawn().context("pulseaudio")?;
        let (heard, kept) = (Arc::default(), Arc::default());
        let mut own = Self { folder, server, listener: None, heard, kept };
        own.await_socket()?;
        processes::favour(&own.server);
        let mut listener = Command::new("parec");
        listener.args(["--device=source", "--raw"]).env("PULSE_SERVER", own.server());
        listener.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        own.listener = Some(listener.spawn().context("parec")?);
        let sink = File::open(own.folder.join("sink"))?;
        let (heard, kept) = (own.heard.clone(), own.kept.clone());
        // Ends with the server, which holds the other end of the pipe.
        std::thread::spawn(move || drain(sink, &heard, &kept));
        Ok(own)
    }

    fn await_socket(&mut self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !(self.folder.join("native").exists() && self.folder.join("sink").exists()) {
            if self.server.try_wait()?.is_some() || Instant::now() > end {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                bail!("PulseAudio does not start:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What clients are to be told in `PULSE_SERVER`.
    pub(crate) fn server(&self) -> String {
        format!("unix:{}/native", self.folder.display())
    }

    /// From now on what is played is kept.
    #[allow(dead_code, reason = "for exercises")]
    pub(crate) fn listen(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    }

    /// What was played since [`listen`](Self::listen): stereo frames of 32-bit integers. Silence too: the sink never rests.
    #[allow(dead_code, reason = "for exercises")]
    pub(crate) fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }

    /// From now on what is played is written to this file, silence too.
    pub(crate) fn keep_in(&self, file: File) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
    }

    /// The pipe into the source, for stereo frames of 32-bit integers. Whoever writes into it stands still while it is full, at
    /// the longest until the server ends: it belongs into a thread that nobody waits for without a deadline.
    ///
    /// # Errors
    /// If the pipe is not there.
    pub(crate) fn mouth(&self) -> Result<File> {
        let pipe = OpenOptions::new().write(true).open(self.folder.join("source"));
        pipe.context("the source's pipe")
    }
}

fn drain(mut pipe: File, heard: &Mutex<Option<Vec<u8>>>, kept: &Mutex<Option<File>>) {
    let mut piece = vec![0; 1 << 16];
    while let Ok(length) = pipe.read(&mut piece) {
        if length == 0 {
            return;
        }
        let mut place = heard.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(kept), Some(piece)) = (place.as_mut(), piece.get(..length)) {
            kept.extend_from_slice(piece);
        }
        let mut file = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(file), Some(piece)) = (file.as_mut(), piece.get(..length)) {
            // A full disk shows as frames that are lacking.
            let _ = file.write_all(piece);
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        for child in [Some(&mut self.server), self.listener.as_mut()].into_iter().flatten() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = processes::wait(child, PATIENCE);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
