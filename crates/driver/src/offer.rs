//! What is offered to the host, from what the devices say of themselves. No device is opened for it.

use crate::config::{BlockSizes, Config};
use crate::detours::{self, Detour};
use crate::rate::Rates;
use barewire_abi::{AsioError, AsioResult, BufferSize, Code, SampleType};
use barewire_device::{Backend, Caps, DeviceInfo, Mode, NoteKind};
use barewire_settings::DeviceChoice;
use barewire_types::{Encoding, Error, MAX_CHANNELS, SampleFormat};
use std::sync::Arc;

/// One direction as it is offered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Direction {
    /// For each channel of the host's the device's, or `None` for a silent one.
    pub(crate) channels: Vec<Option<u16>>,
    /// A name for each.
    pub(crate) names: Vec<String>,
    /// What the device can do; `None` if there is no device.
    pub(crate) caps: Option<Caps>,
}

/// What is offered.
#[derive(Clone)]
pub(crate) struct Offer {
    pub(crate) backend: Arc<dyn Backend>,
    /// It plays and gives the time, or captures alone.
    pub(crate) device: DeviceInfo,
    /// It captures, if that is another device.
    pub(crate) follower: Option<Follower>,
    /// Other ways to the same, the best first.
    pub(crate) detours: Vec<Detour>,
    pub(crate) input: Direction,
    pub(crate) output: Direction,
    pub(crate) rates: Rates,
    /// How samples lie in the host's buffers, both directions.
    pub(crate) format: SampleFormat,
    pub(crate) block: BlockSizes,
    /// Why this device, in a sentence.
    pub(crate) reason: String,
    /// Devices that would have been chosen, and who holds them.
    pub(crate) held: Vec<String>,
}

fn matches(choice: &DeviceChoice, device: &DeviceInfo) -> bool {
    match choice {
        DeviceChoice::Default => device.is_default,
        other => {
            // A device that a hub shares is still that device.
            let id = device.id.as_str();
            let own = if device.id.backend() == "hub" { device.id.rest() } else { id };
            other.fits(id, &device.name) || other.fits(own, &device.name)
        }
    }
}

fn refuse(text: impl Into<String>) -> AsioError {
    AsioError::new(Code::NOT_PRESENT, text.into())
}

/// Who holds the outputs that are wanted, in a sentence, if the device can't be asked for them for that reason.
fn holder_of_outputs<'a>(config: &Config, device: &'a DeviceInfo) -> Option<&'a str> {
    if config.output == DeviceChoice::None || device.playback.is_some() {
        return None;
    }
    let note = device.notes.iter().find(|note| note.kind == NoteKind::Held)?;
    Some(&note.text)
}

impl Offer {
    /// Chooses a device and describes it to hosts.
    pub(crate) fn new(backends: &[Arc<dyn Backend>], config: &Config) -> AsioResult<Self> {
        let Choice { backend, device, reason, held } = choose(backends, config)?;
        if let Some(holder) = holder_of_outputs(config, &device) {
            let text =
                format!("{}: {holder}; end that program, or choose another device", device.name);
            return Err(refuse(text));
        }
        let (backend, device, detours, reason) =
            detours::weigh(backends, config, backend, device, reason);
        let follower = follower(backends, config, &device)?;
        // Inputs of another device than the outputs are what the settings name, and come by one way.
        let detours = if follower.is_some() { Vec::new() } else { detours };
        let capturing = follower.as_ref().map_or(&device, |follower| &follower.device);
        let input = direction(
            capturing.capture.as_ref(),
            &config.input,
            &config.input_channels,
            config.most_inputs,
            "In",
        );
        let output = direction(
            device.playback.as_ref(),
            &config.output,
            &config.output_channels,
            config.most_outputs,
            "Out",
        );
        let input = padded(input, config.pad_inputs, "In");
        let pad = if output.caps.is_some() { 2 } else { 0 };
        let output = padded(output, config.pad_outputs.unwrap_or(pad), "Out");
        if input.channels.is_empty() && output.channels.is_empty() {
            return Err(refuse(format!("{} offers no channel as it is set up", device.name)));
        }
        let alone = Direction::default();
        let device_rates = rates(if follower.is_some() { &alone } else { &input }, &output);
        if device_rates.is_empty() {
            return Err(refuse(format!("{} has no rate that both directions share", device.name)));
        }
        let rates = Rates { device: device_rates, converts: config.converts };
        let format = config.container.unwrap_or_else(|| container(&input, &output, config));
        let block = block_sizes(config.block);
        Ok(Self {
            backend,
            device,
            follower,
            detours,
            input,
            output,
            rates,
            format,
            block,
            reason,
            held,
        })
    }

    /// A direction, as hosts name it.
    pub(crate) fn direction(&self, is_input: bool) -> &Direction {
        if is_input { &self.input } else { &self.output }
    }

    pub(crate) fn sample_type(&self) -> SampleType {
        SampleType::of(self.format).unwrap_or(SampleType::INT32_LSB)
    }

    pub(crate) fn buffer_size(&self) -> BufferSize {
        let number = |frames: u32| i32::try_from(frames).unwrap_or(i32::MAX);
        BufferSize {
            min_frames: number(self.block.min_frames),
            max_frames: number(self.block.max_frames),
            preferred_frames: number(self.block.preferred_frames),
            granularity: self.block.granularity,
        }
    }

    /// Any size within the range will do, whatever the granularity says: hosts round as they like.
    pub(crate) fn takes(&self, frames: i32) -> Option<u32> {
        let frames = u32::try_from(frames).ok()?;
        (self.block.min_frames..=self.block.max_frames).contains(&frames).then_some(frames)
    }
}

/// A device that captures for another one that plays.
#[derive(Clone)]
pub(crate) struct Follower {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) device: DeviceInfo,
}

struct Choice {
    backend: Arc<dyn Backend>,
    device: DeviceInfo,
    reason: String,
    held: Vec<String>,
}

/// The device that plays, or the one that captures if nothing is to be played.
fn choose(backends: &[Arc<dyn Backend>], config: &Config) -> AsioResult<Choice> {
    let wanted = if config.output == DeviceChoice::None { &config.input } else { &config.output };
    find(backends, config, wanted, |_| true)
}

/// The device that captures, if the settings name another one for that.
fn follower(
    backends: &[Arc<dyn Backend>],
    config: &Config,
    leader: &DeviceInfo,
) -> AsioResult<Option<Follower>> {
    let is_named = !matches!(config.input, DeviceChoice::Default | DeviceChoice::None);
    if config.output == DeviceChoice::None || !is_named || matches(&config.input, leader) {
        return Ok(None);
    }
    let choice = find(backends, config, &config.input, |device| device.capture.is_some())?;
    Ok(Some(Follower { backend: choice.backend, device: choice.device }))
}

/// The backend as it reaches devices in this mode, and whether it does.
fn in_mode(backend: &Arc<dyn Backend>, mode: Mode) -> (Arc<dyn Backend>, bool) {
    match backend.in_mode(mode) {
        Some(backend) => (backend, true),
        None => (backend.clone(), mode == Mode::Auto),
    }
}

fn find(
    backends: &[Arc<dyn Backend>],
    config: &Config,
    wanted: &DeviceChoice,
    suits: impl Fn(&DeviceInfo) -> bool,
) -> AsioResult<Choice> {
    let (mut why_not, mut held) = (Vec::new(), Vec::new());
    for backend in backends {
        if config.backend.as_deref().is_some_and(|only| only != backend.name()) {
            continue;
        }
        let (backend, is_held_so) = in_mode(backend, config.mode);
        let mut devices = match backend.devices() {
            Ok(devices) => devices,
            Err(error) => {
                why_not.push(format!("{}: {error}", backend.name()));
                continue;
            }
        };
        let fits = |device: &DeviceInfo| matches(wanted, device) && suits(device);
        let Some(at) = devices.iter().position(fits) else {
            if *wanted == DeviceChoice::Default {
                held.extend(devices.iter().filter_map(|device| {
                    let who = holder_of_outputs(config, device)?;
                    Some(format!("{}: {who}", device.name))
                }));
            }
            continue;
        };
        let device = devices.swap_remove(at);
        let mut reason = if why_not.is_empty() {
            format!("chosen from the backend {}", backend.name())
        } else {
            format!("chosen from the backend {} since {}", backend.name(), why_not.join("; "))
        };
        if !is_held_so {
            reason += "; it is held as this backend always does, which knows no driver.mode";
        }
        return Ok(Choice { backend, device, reason, held });
    }
    let what = match wanted {
        DeviceChoice::Default | DeviceChoice::None => "no sound device was found".to_owned(),
        DeviceChoice::Id(name) | DeviceChoice::Name(name) | DeviceChoice::Pattern(name) => {
            format!("the device \"{name}\" was not found; see `barewire devices`")
        }
    };
    why_not.insert(0, what);
    Err(refuse(why_not.join("; ")))
}

fn direction(
    caps: Option<&Caps>,
    choice: &DeviceChoice,
    chosen: &Option<Vec<Option<u16>>>,
    most: Option<u16>,
    word: &str,
) -> Direction {
    let Some(caps) = caps.filter(|_| *choice != DeviceChoice::None) else {
        return Direction::default();
    };
    let there = caps.channels.counts.last().copied().unwrap_or(0);
    let there = most.map_or(there, |most| most.min(there));
    let mut channels: Vec<Option<u16>> = match chosen {
        Some(map) => map.iter().map(|entry| entry.filter(|&channel| channel < there)).collect(),
        None => (0..there).map(Some).collect(),
    };
    channels.truncate(MAX_CHANNELS);
    let name = |(n, channel): (usize, &Option<u16>)| match channel {
        None => format!("{word} {} (silent)", n + 1),
        Some(channel) => {
            let given = caps.channels.names.get(usize::from(*channel)).cloned();
            given.unwrap_or_else(|| format!("{word} {}", channel + 1))
        }
    };
    let names = channels.iter().enumerate().map(name).collect();
    Direction { channels, names, caps: Some(caps.clone()) }
}

fn padded(mut direction: Direction, least: u16, word: &str) -> Direction {
    while direction.channels.len() < usize::from(least) {
        direction.channels.push(None);
        direction.names.push(format!("{word} {} (silent)", direction.channels.len()));
    }
    direction
}

fn rates(input: &Direction, output: &Direction) -> Vec<barewire_types::RateHz> {
    match (&input.caps, &output.caps) {
        (Some(input), Some(output)) => {
            output.rates.iter().copied().filter(|rate| input.rates.contains(rate)).collect()
        }
        (Some(one), None) | (None, Some(one)) => one.rates.clone(),
        (None, None) => Vec::new(),
    }
}

/// The device's container if both directions share it and hosts are used to it, else 32-bit integers.
fn container(input: &Direction, output: &Direction, config: &Config) -> SampleFormat {
    let best = |direction: &Direction, forced: Option<SampleFormat>| {
        let caps = direction.caps.as_ref()?;
        forced.or_else(|| caps.formats.first().copied())
    };
    let formats = [best(input, config.input_format), best(output, config.output_format)];
    let mut formats = formats.into_iter().flatten();
    let first = formats.next();
    let same = formats.all(|format| Some(format) == first);
    let usual = |format: &SampleFormat| {
        matches!(
            format.encoding,
            Encoding::Int16 | Encoding::Int24 | Encoding::Int32 | Encoding::Float32
        ) && *format == SampleFormat::little(format.encoding)
    };
    first.filter(|_| same).filter(usual).unwrap_or(SampleFormat::INT32)
}

/// Never a zero, and never a preferred size outside of the range: either crashes hosts.
fn block_sizes(wanted: BlockSizes) -> BlockSizes {
    let min_frames = wanted.min_frames.max(1);
    let max_frames = wanted.max_frames.max(min_frames);
    let preferred_frames = wanted.preferred_frames.clamp(min_frames, max_frames);
    let granularity = if min_frames == max_frames { 0 } else { wanted.granularity };
    BlockSizes { min_frames, max_frames, preferred_frames, granularity }
}

/// An error of a device as a host is told it.
pub(crate) fn refusal(error: &Error) -> AsioError {
    use barewire_types::ErrorKind;
    let code = match error.kind() {
        ErrorKind::NotFound | ErrorKind::Lost => Code::NOT_PRESENT,
        ErrorKind::UnsupportedRate => Code::NO_CLOCK,
        ErrorKind::InvalidArgument => Code::INVALID_PARAMETER,
        ErrorKind::WrongState | ErrorKind::Unsupported => Code::INVALID_MODE,
        ErrorKind::NoMemory => Code::NO_MEMORY,
        _ => Code::HW_MALFUNCTION,
    };
    AsioError::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use barewire_device::{Channels, DeviceId, Note, OpenRequest, Periods, Stream};
    use barewire_types::RateHz;

    struct Listing(&'static str, Vec<DeviceInfo>);

    impl Backend for Listing {
        fn name(&self) -> &'static str {
            self.0
        }

        fn devices(&self) -> barewire_types::Result<Vec<DeviceInfo>> {
            Ok(self.1.clone())
        }

        fn open(&self, _: &OpenRequest) -> barewire_types::Result<Box<dyn Stream>> {
            Err(Error::new(barewire_types::ErrorKind::Busy, "a listing opens nothing"))
        }
    }

    fn plays(backend: &'static str, notes: Vec<Note>) -> DeviceInfo {
        let periods =
            Periods { min_frames: 64, max_frames: 64, preferred_frames: 64, step_frames: 1 };
        let caps = Caps {
            formats: vec![SampleFormat::INT32],
            rates: vec![RateHz::DAT],
            channels: Channels { counts: vec![2], names: Vec::new() },
            periods,
        };
        let (id, name) = (DeviceId::new(backend, "Card,0"), format!("{backend}'s card"));
        DeviceInfo { id, name, capture: None, playback: Some(caps), is_default: true, notes }
    }

    fn held(backend: &'static str) -> DeviceInfo {
        let text = "its outputs are held by otherplayer (process 4711)".to_owned();
        let note = Note { kind: NoteKind::Held, text };
        DeviceInfo { playback: None, is_default: false, ..plays(backend, vec![note]) }
    }

    fn offer(devices: Vec<DeviceInfo>, config: &Config) -> AsioResult<Offer> {
        let hardware = Listing("hardware", devices);
        let other = Listing("other", vec![plays("other", Vec::new())]);
        Offer::new(&[Arc::new(hardware), Arc::new(other)], config)
    }

    #[test]
    fn who_holds_a_device_that_was_passed_over_is_told() {
        let offer = offer(vec![held("hardware")], &Config::default()).unwrap();
        assert_eq!(offer.device.id.backend(), "other");
        assert_eq!(offer.held.len(), 1);
        let text = &offer.held[0];
        assert!(text.contains("hardware's card: its outputs are held by otherplayer"), "{text}");
    }

    #[test]
    fn nothing_is_told_of_a_device_that_is_free_or_of_none() {
        let hardware = plays("hardware", Vec::new());
        let free = offer(vec![held("hardware"), hardware], &Config::default()).unwrap();
        assert_eq!((free.device.id.backend(), free.held.len()), ("hardware", 0));
        let none = offer(Vec::new(), &Config::default()).unwrap();
        assert_eq!((none.device.id.backend(), none.held.len()), ("other", 0));
    }

    #[test]
    fn a_device_that_is_named_and_held_is_refused_with_its_holder() {
        let id = DeviceChoice::Id("hardware:Card,0".into());
        let config = Config { output: id, ..Config::default() };
        let error = offer(vec![held("hardware")], &config).map(|_| ()).unwrap_err();
        assert!(error.text.contains("otherplayer (process 4711)"), "{}", error.text);
        let inputs = Config { input: config.output.clone(), output: DeviceChoice::None, ..config };
        assert_eq!(holder_of_outputs(&inputs, &held("hardware")), None);
    }
}
