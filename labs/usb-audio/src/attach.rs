//! Attaches the device to the kernel's virtual controller, and serves it until the host lets go or the program is ended.

use crate::Options;
use crate::converter::{Converter, Ns};
use crate::device::{Answer, Change, Device};
use crate::endpoints::Endpoints;
use crate::record::{Recorder, say};
use crate::usbip::{self, Message, Urb};
use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::BufReader;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const ATTACH: &str = "/sys/devices/platform/vhci_hcd.0/attach";
/// Bus 1, device 2, as USB/IP numbers them; nobody looks at it.
const DEVICE_NUMBER: u32 = 0x1_0002;
/// `USB_SPEED_HIGH` of the kernel.
const HIGH_SPEED: u32 = 3;

fn attach(port: u32) -> Result<UnixStream> {
    /// A port is free again only some time after the device that was in it has gone.
    const PATIENCE: Duration = Duration::from_secs(5);
    let (ours, kernels) = UnixStream::pair()?;
    let words = format!("{port} {} {DEVICE_NUMBER} {HIGH_SPEED}", kernels.as_raw_fd());
    let begin = Instant::now();
    while let Err(error) = std::fs::write(ATTACH, &words) {
        if begin.elapsed() > PATIENCE {
            return Err(error).context("the virtual USB controller does not take the device");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(ours)
}

/// The whole device.
struct Service {
    socket: UnixStream,
    /// The same, for reading: what the host says comes in bursts.
    ears: BufReader<UnixStream>,
    begin: Instant,
    device: Device,
    endpoints: Endpoints,
    converter: Converter,
}

/// Runs the device until the host lets go of it.
pub(crate) fn serve(options: &Options) -> Result<()> {
    let recorder = Recorder::new(options.record.as_deref())?;
    let device = Device::new(options.volume);
    let mut converter = Converter::new(device.rate_hz, options.ppm);
    converter.set_gain(device.gain());
    let socket = attach(options.port)?;
    say(format_args!("attached"));
    let endpoints = Endpoints::new(recorder);
    let begin = Instant::now();
    let ears = BufReader::new(socket.try_clone()?);
    Service { socket, ears, begin, device, endpoints, converter }.run()
}

impl Service {
    fn now(&self) -> Ns {
        Ns::try_from(self.begin.elapsed().as_nanos()).unwrap_or(Ns::MAX)
    }

    fn run(&mut self) -> Result<()> {
        loop {
            let now = self.now();
            while let Some((urb, data)) = self.endpoints.next_done(now, &mut self.converter)? {
                usbip::done(&mut self.socket, &urb, 0, &data)?;
            }
            if !self.await_message()? {
                continue;
            }
            match usbip::read(&mut self.ears)? {
                Some(Message::Submit(urb)) if urb.endpoint == 0 => self.control(&urb)?,
                Some(Message::Submit(urb)) => {
                    let now = self.now();
                    let number = urb.endpoint;
                    if !self.endpoints.submit(urb, now) {
                        bail!("the host speaks to endpoint {number}, which is not there");
                    }
                }
                Some(Message::Unlink { number, target }) => {
                    let was_there = self.endpoints.take_back(target, &mut self.converter);
                    usbip::unlinked(&mut self.socket, number, was_there)?;
                }
                None => {
                    self.endpoints.recorder.end();
                    say(format_args!("the host has let go"));
                    return Ok(());
                }
            }
        }
    }

    /// Waits until the host says something or a packet is due; true if the host says something.
    fn await_message(&self) -> Result<bool> {
        if !self.ears.buffer().is_empty() {
            return Ok(true);
        }
        let timeout = self.endpoints.due().map(|due| {
            let left = Duration::from_nanos(due.saturating_sub(self.now()));
            Timespec::try_from(left).unwrap_or_default()
        });
        let mut waited = [PollFd::new(&self.socket, PollFlags::IN)];
        match poll(&mut waited, timeout.as_ref()) {
            Ok(count) => Ok(count > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error).context("waiting for the host"),
        }
    }

    fn control(&mut self, urb: &Urb) -> Result<()> {
        let (answer, change) = self.device.ask(urb.setup, &urb.data);
        let now = self.now();
        match change {
            Change::Rate => self.converter.set_rate(self.device.rate_hz, now),
            Change::Volume => self.converter.set_gain(self.device.gain()),
            Change::Played => {
                self.endpoints.recorder.end();
                self.converter.stop_playing();
                self.endpoints.playing = self.device.played();
            }
            Change::Captured => {
                self.converter.stop_capturing();
                self.endpoints.capturing = self.device.captured();
            }
            Change::Nothing => {}
        }
        match answer {
            Answer::Data(mut data) => {
                data.truncate(urb.length as usize);
                usbip::done(&mut self.socket, urb, 0, &data)
            }
            Answer::Stall => usbip::done(&mut self.socket, urb, usbip::STALL, &[]),
        }
    }
}
