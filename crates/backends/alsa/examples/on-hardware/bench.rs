//! How a card of the lab is opened, and the contract of backends on it.

use crate::duplex::Clock;
use barewire_alsa::AlsaBackend;
use barewire_device::contract::{Bench, check};
use barewire_device::{Backend, DeviceId, OpenRequest, SideRequest, Stream};
use barewire_engine::{Clocks, Paired};
use barewire_rt::{RealSystem, System};
use barewire_types::{RateHz, SampleFormat};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What may be said behind a trial.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    channels: u16,
    format: Option<SampleFormat>,
    /// Device that captures, if it is not the one that plays: the other end of `snd-aloop`, on the same clock.
    other_end: Option<String>,
    captures: bool,
    plays: bool,
    /// Another card whose timer has to run.
    clock: Option<String>,
    /// Xruns to inject.
    pub(crate) xruns: u64,
    /// How far the position may be from the clock's, which the card has to keep to the ppm; a frame more after each xrun.
    pub(crate) apart_frames: Option<u64>,
    /// How far the way round may be from what is stated.
    pub(crate) tolerance_frames: u64,
    /// Where the USB interface writes what arrives.
    record: Option<PathBuf>,
    /// How the USB interface is plugged in; it is unplugged by ending it.
    plug: Option<String>,
    /// Rules that cannot hold here.
    without: Vec<String>,
}

impl Options {
    pub(crate) fn read(words: &[&str]) -> Result<Self, String> {
        let mut options = Self { channels: 2, captures: true, plays: true, ..Self::default() };
        for word in words {
            let (key, value) = word.split_once('=').ok_or_else(|| format!("{word} has no ="))?;
            let number = || value.parse::<u64>().map_err(|_| format!("{word}: no number"));
            match key {
                "channels" => {
                    options.channels =
                        u16::try_from(number()?).map_err(|error| error.to_string())?;
                }
                "xruns" => options.xruns = number()?,
                "apart" => options.apart_frames = Some(number()?),
                "tolerance" => options.tolerance_frames = number()?,
                "format" => {
                    let format = SampleFormat::from_name(value);
                    options.format = Some(format.ok_or_else(|| format!("{word}: unknown"))?);
                }
                "capture" => options.other_end = Some(value.to_owned()),
                "clock" => options.clock = Some(value.to_owned()),
                "record" => options.record = Some(PathBuf::from(value)),
                "plug" => options.plug = Some(value.to_owned()),
                "without" => options.without.extend(value.split(',').map(str::to_owned)),
                "sides" => {
                    options.captures = value != "playback";
                    options.plays = value != "capture";
                }
                _ => return Err(format!("{word} is unknown")),
            }
        }
        Ok(options)
    }

    /// Lets the timer run that the card takes its time from.
    pub(crate) fn clock(
        &self,
        system: &Arc<dyn System>,
        rate: &str,
        period: &str,
    ) -> Result<Option<Clock>, String> {
        let Some(device) = &self.clock else { return Ok(None) };
        let options = Self { channels: 2, plays: true, ..Self::default() };
        let request = request(device, rate, period, &options)?;
        let stream = AlsaBackend::new(system.clone()).open(&request).map_err(|e| e.to_string())?;
        Clock::start(system, stream).map(Some)
    }
}

/// Opens what plays and captures: one device, or two ends of a loop.
pub(crate) fn open(
    system: &Arc<dyn System>,
    device: &str,
    rate: &str,
    period: &str,
    options: &Options,
) -> Result<Box<dyn Stream>, String> {
    let backend = AlsaBackend::new(system.clone());
    let opened = |device: &str, options: &Options| {
        backend.open(&request(device, rate, period, options)?).map_err(|error| error.to_string())
    };
    let Some(other) = &options.other_end else { return opened(device, options) };
    let leader = opened(device, &Options { captures: false, ..options.clone() })?;
    let follower = opened(other, &Options { plays: false, ..options.clone() })?;
    let pair = Paired::new(leader, follower, Clocks::Same, system.clone(), 1);
    Ok(Box::new(pair.map_err(|error| error.to_string())?.0))
}

/// How a device is opened.
fn request(
    device: &str,
    rate: &str,
    period: &str,
    options: &Options,
) -> Result<OpenRequest, String> {
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("{text} is no number"));
    let side = SideRequest { channels: options.channels, format: options.format };
    Ok(OpenRequest {
        id: DeviceId::parse(device).ok_or_else(|| format!("{device} is no device"))?,
        rate: RateHz::new(number(rate)?).ok_or_else(|| format!("{rate} is no rate"))?,
        capture: options.captures.then_some(side),
        playback: options.plays.then_some(side),
        period_frames: number(period)?,
    })
}

/// The USB interface, which is a program.
struct Plug {
    line: String,
    child: Mutex<Option<Child>>,
}

impl Plug {
    fn unplug(&self) {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut child) = child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Plugs it in and waits until the device `id` is there.
    fn plug(&self, system: &Arc<dyn System>, id: &DeviceId) -> Result<(), String> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if child.is_some() {
            return Ok(());
        }
        let mut words = self.line.split(' ');
        let program = words.next().unwrap_or_default();
        *child =
            Some(Command::new(program).args(words).spawn().map_err(|error| error.to_string())?);
        drop(child);
        for _ in 0..200 {
            std::thread::sleep(Duration::from_millis(50));
            let devices = AlsaBackend::new(system.clone()).devices().unwrap_or_default();
            if devices.iter().any(|device| device.id == *id && device.playback.is_some()) {
                return Ok(());
            }
        }
        Err(format!("{id} was not there ten seconds after it was plugged in"))
    }
}

impl Drop for Plug {
    fn drop(&mut self) {
        self.unplug();
    }
}

/// What arrived in the latest run, from where the prefill begins: a running USB stream is silent before.
fn heard(folder: &PathBuf, silence: u64) -> Vec<u8> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let latest = entries.filter_map(|entry| Some(entry.ok()?.path())).max();
    let bytes = latest.and_then(|path| fs::read(path).ok()).unwrap_or_default();
    let leading = bytes.iter().take_while(|&&byte| byte == 0).count();
    let silence = usize::try_from(silence).unwrap_or(0);
    bytes.get(leading.saturating_sub(silence) / 4 * 4..).unwrap_or_default().to_vec()
}

/// See the example's head.
pub(crate) fn contract(
    device: &str,
    rate: &str,
    period: &str,
    options: &[&str],
) -> Result<String, String> {
    let options = Options::read(options)?;
    let system: Arc<dyn System> = RealSystem::new();
    let _clock = options.clock(&system, rate, period)?;
    let plug = options
        .plug
        .clone()
        .map(|line| Arc::new(Plug { line: line.replace(',', " "), child: Mutex::default() }));
    let request = request(device, rate, period, &options)?;
    if let Some(plug) = &plug {
        plug.plug(&system, &request.id)?;
    }
    let opened = AlsaBackend::new(system.clone()).open(&request).map_err(|e| e.to_string())?;
    let shape = opened.shape();
    drop(opened);
    let frame = shape.playback.map_or(0, |s| u64::from(s.channels) * s.format.bytes() as u64);
    let silence = u64::from(shape.prefill_frames) * frame;
    let report = check(&|| {
        if let Some(Err(error)) = plug.as_ref().map(|plug| plug.plug(&system, &request.id)) {
            println!("BAD {error}");
        }
        let record = options.record.clone();
        let its = plug.clone();
        Bench {
            system: system.clone(),
            backend: Box::new(AlsaBackend::new(system.clone())),
            request: request.clone(),
            heard: record.map(|folder| Box::new(move || heard(&folder, silence)) as _),
            is_looped: false,
            unplug: its.map(|plug| Box::new(move || plug.unplug()) as _),
        }
    });
    print!("{report}");
    let broken: Vec<_> = report
        .broken
        .iter()
        .filter(|finding| !options.without.iter().any(|rule| rule == finding.rule))
        .collect();
    if !broken.is_empty() {
        return Err(format!("{} rules are broken", broken.len()));
    }
    Ok(format!("{} rules kept, {} not tried", report.kept.len(), report.not_tried.len()))
}
