//! Which endpoints there are, which of them are one device, and what they take. Nothing is opened for it.

use crate::service::{Client, Endpoint, Flow, Service, Volume};
use crate::wave::{
    self, EXCLUSIVE_FORMATS, SHARED_FORMATS, WaveFormat, aligned_step, hns_to_frames,
};
use crate::{NAME, hresult, quirks};
use barewire_device::{Caps, Channels, DeviceId, DeviceInfo, Mode, Note, NoteKind, Periods};
use barewire_types::{RateHz, Result, SampleFormat};

/// What stands behind the id of an endpoint whose sound is to be captured.
const LOOPBACK: &str = "/loopback";

/// The endpoints that a device id means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) play: Option<Endpoint>,
    pub(crate) capture: Option<Endpoint>,
    /// `capture` is a render endpoint whose sound is captured.
    pub(crate) is_loopback: bool,
}

impl Place {
    fn id(&self) -> DeviceId {
        let endpoint = self.play.as_ref().or(self.capture.as_ref());
        let id = endpoint.map_or("", |endpoint| &endpoint.id);
        let tail = if self.is_loopback { LOOPBACK } else { "" };
        DeviceId::new(NAME, &format!("{id}{tail}"))
    }
}

/// All devices: each render endpoint, with a capture endpoint of the same hardware if there is one; the other capture
/// endpoints; what each render endpoint plays.
fn places(service: &dyn Service) -> Result<Vec<Place>> {
    let endpoints = service
        .endpoints()
        .map_err(|code| hresult::error("sound devices", "listing them", code))?;
    let default = service.default_endpoint(Flow::Capture);
    let mut captures: Vec<Endpoint> =
        endpoints.iter().filter(|endpoint| endpoint.flow == Flow::Capture).cloned().collect();
    // The default first: of several inputs of one piece of hardware it is the one that goes with the outputs.
    captures.sort_by_key(|endpoint| Some(&endpoint.id) != default.as_ref());
    let mut found = Vec::new();
    let renders = endpoints.iter().filter(|endpoint| endpoint.flow == Flow::Render);
    for play in renders.clone() {
        let same =
            |capture: &Endpoint| capture.hardware.is_some() && capture.hardware == play.hardware;
        let capture = captures.iter().position(same).map(|at| captures.remove(at));
        let (name, play) = (play.name.clone(), Some(play.clone()));
        found.push(Place { name, play, capture, is_loopback: false });
    }
    for capture in captures {
        let name = capture.name.clone();
        found.push(Place { name, play: None, capture: Some(capture), is_loopback: false });
    }
    for play in renders {
        let name = format!("What {} plays", play.name);
        found.push(Place { name, play: None, capture: Some(play.clone()), is_loopback: true });
    }
    Ok(found)
}

/// The endpoints of the device with this id. An input that is listed with its outputs has an id of its own too.
pub(crate) fn find(service: &dyn Service, id: &DeviceId) -> Result<Option<Place>> {
    let places = places(service)?;
    if let Some(place) = places.iter().find(|place| place.id() == *id) {
        return Ok(Some(place.clone()));
    }
    let input = places.into_iter().filter_map(|place| place.capture);
    Ok(input.filter(|endpoint| endpoint.id == id.rest()).map(alone).next())
}

/// The endpoints behind a device, as every way to them calls them; what an endpoint plays is none that others reach.
pub(crate) fn endpoints_of(service: &dyn Service, id: &DeviceId) -> Vec<String> {
    match find(service, id) {
        Ok(Some(place)) if !place.is_loopback => {
            let both = place.play.into_iter().chain(place.capture);
            both.map(|endpoint| endpoint.id.to_lowercase()).collect()
        }
        _ => vec![id.to_string()],
    }
}

fn alone(capture: Endpoint) -> Place {
    Place { name: capture.name.clone(), play: None, capture: Some(capture), is_loopback: false }
}

/// What there is, as it can be had in this mode.
pub(crate) fn devices(service: &dyn Service, mode: Mode) -> Result<Vec<DeviceInfo>> {
    let default = service.default_endpoint(Flow::Render);
    let mut found = Vec::new();
    for place in places(service)? {
        let mut notes = Vec::new();
        let is_loopback = place.is_loopback;
        let mut side = |endpoint: &Option<Endpoint>| {
            let endpoint = endpoint.as_ref()?;
            caps(service, endpoint, if is_loopback { Mode::Shared } else { mode }, &mut notes)
        };
        let (playback, capture) = (side(&place.play), side(&place.capture));
        if let Some(endpoint) = &place.play {
            let is_shared = mode == Mode::Shared;
            notes.extend(service.volume(&endpoint.id).and_then(|v| volume_note(&v, is_shared)));
        }
        if playback.is_none() && capture.is_none() && notes.is_empty() {
            continue;
        }
        let is_default = place.play.as_ref().is_some_and(|play| Some(&play.id) == default.as_ref());
        let (id, name) = (place.id(), place.name);
        found.push(DeviceInfo { id, name, capture, playback, is_default, notes });
    }
    Ok(found)
}

/// What an endpoint takes; a note if it cannot be asked or the system's mixer lies in the path.
fn caps(
    service: &dyn Service,
    endpoint: &Endpoint,
    mode: Mode,
    notes: &mut Vec<Note>,
) -> Option<Caps> {
    let client = match service.activate(&endpoint.id) {
        Ok(client) => client,
        Err(code) => {
            let text = hresult::error(&endpoint.name, "asking what it can do", code).to_string();
            notes.push(Note { kind: NoteKind::Held, text });
            return None;
        }
    };
    if mode != Mode::Shared {
        if let Some(caps) = exclusive(service, &*client, endpoint, mode) {
            return Some(caps);
        }
        if mode != Mode::Auto {
            let text = format!("{} takes no format exclusively", endpoint.name);
            notes.push(Note { kind: NoteKind::Hint, text });
            return None;
        }
    }
    let text = "only the system's mixer reaches it: Windows may change the sound".to_owned();
    notes.push(Note { kind: NoteKind::SystemMixer, text });
    shared(service, &*client)
}

/// The formats, rates and channel counts that are taken exclusively.
pub(crate) struct Taken {
    pub(crate) formats: Vec<SampleFormat>,
    pub(crate) rates: Vec<RateHz>,
    pub(crate) counts: Vec<u16>,
}

fn is_taken(client: &dyn Client, format: SampleFormat, rate: RateHz, channels: u16) -> bool {
    wave::descriptions(format, rate, channels).iter().any(|wave| client.supports(true, wave))
}

/// Asks the driver. The format of the control panel is what everything else is tried around.
pub(crate) fn taken(client: &dyn Client, endpoint: &Endpoint) -> Option<Taken> {
    /// Counts that hardware has.
    const COUNTS: [u16; 12] = [1, 2, 3, 4, 6, 8, 10, 12, 16, 18, 24, 32];
    let known = endpoint.format.or_else(|| client.mix_format().ok());
    let (rate, channels) = known.map_or((RateHz::DAT, 2), |wave| (wave.rate, wave.channels));
    let formats_with = |channels: u16| {
        let taken = |format: &SampleFormat| is_taken(client, *format, rate, channels);
        EXCLUSIVE_FORMATS.into_iter().filter(taken).collect::<Vec<_>>()
    };
    let mut channels = channels;
    let mut formats = formats_with(channels);
    if formats.is_empty() {
        // More or fewer channels than the control panel is set to: multichannel interfaces often take one count alone.
        channels = COUNTS.into_iter().find(|&count| !formats_with(count).is_empty())?;
        formats = formats_with(channels);
    }
    let best = *formats.first()?;
    let rates: Vec<RateHz> = RateHz::COMMON
        .into_iter()
        .filter(|&other| other == rate || is_taken(client, best, other, channels))
        .collect();
    let mut counts: Vec<u16> = COUNTS
        .into_iter()
        .filter(|&count| count == channels || is_taken(client, best, rate, count))
        .collect();
    if !counts.contains(&channels) {
        counts.push(channels);
        counts.sort_unstable();
    }
    Some(Taken { formats, rates, counts })
}

fn exclusive(
    service: &dyn Service,
    client: &dyn Client,
    endpoint: &Endpoint,
    mode: Mode,
) -> Option<Caps> {
    const PREFERRED_FRAMES: u32 = 256;
    let taken = taken(client, endpoint)?;
    let (_, mut min_hns) = client.device_period().ok()?;
    if mode == Mode::ExclusivePolled && service.is_wine() {
        min_hns = min_hns.max(quirks::WINE_STEP_HNS);
    }
    let rates = (taken.rates.first()?, taken.rates.last()?);
    let frame = usize::from(*taken.counts.last()?) * taken.formats.first()?.bytes();
    let step = if mode == Mode::ExclusivePolled { 1 } else { aligned_step(frame) };
    let least = hns_to_frames(min_hns, *rates.0).max(1);
    let preferred = hns_to_frames(min_hns, RateHz::DAT).max(PREFERRED_FRAMES);
    // Half a second is the most that drivers have to take (Microsoft, `IAudioClient::Initialize`).
    let max_frames = (rates.1.get() / 2).max(least);
    let periods = Periods {
        min_frames: least,
        max_frames,
        preferred_frames: preferred.next_multiple_of(step).min(max_frames),
        step_frames: 1,
    };
    let channels = Channels { counts: taken.counts, names: Vec::new() };
    Some(Caps { formats: taken.formats, rates: taken.rates, channels, periods })
}

/// The formats that the system's mixer takes at its own rate.
pub(crate) fn shared_formats(
    service: &dyn Service,
    client: &dyn Client,
    mix: &WaveFormat,
) -> Vec<WaveFormat> {
    let described = |format| WaveFormat { format, is_extensible: true, ..*mix };
    SHARED_FORMATS
        .into_iter()
        .filter(|&format| !quirks::is_spoilt_when_shared(service.is_wine(), format))
        .map(described)
        .filter(|wave| client.supports(false, wave))
        .collect()
}

fn shared(service: &dyn Service, client: &dyn Client) -> Option<Caps> {
    let mix = client.mix_format().ok()?;
    let formats: Vec<SampleFormat> =
        shared_formats(service, client, &mix).iter().map(|wave| wave.format).collect();
    if formats.is_empty() {
        return None;
    }
    let periods = match client.engine_periods(&mix) {
        Ok(engine) => Periods {
            min_frames: engine.min_frames.max(1),
            max_frames: engine.max_frames.max(engine.min_frames).max(1),
            preferred_frames: engine
                .default_frames
                .clamp(engine.min_frames, engine.max_frames.max(engine.min_frames)),
            step_frames: engine.step_frames.max(1),
        },
        Err(_) => {
            let (usual, _) = client.device_period().ok()?;
            let frames = hns_to_frames(usual, mix.rate).max(1);
            Periods {
                min_frames: frames,
                max_frames: frames,
                preferred_frames: frames,
                step_frames: 1,
            }
        }
    };
    let channels = Channels { counts: vec![mix.channels], names: Vec::new() };
    Some(Caps { formats, rates: vec![mix.rate], channels, periods })
}

/// What a person should know of a volume. One that the hardware does not do has no effect on exclusive streams.
pub(crate) fn volume_note(volume: &Volume, is_shared: bool) -> Option<Note> {
    const UNHEARD_DB: f32 = 0.01;
    if !is_shared && !volume.is_hardware {
        return None;
    }
    let by = if volume.is_hardware { "by its hardware" } else { "by Windows" };
    let text = if volume.is_muted {
        format!(
            "it is muted {by}: nothing will be heard; take the mute off in Windows' volume control"
        )
    } else if volume.level_db.abs() > UNHEARD_DB {
        format!(
            "its volume stands at {:.1} dB, changed {by}: set Windows' volume control to 100 for bit-perfect playing",
            volume.level_db
        )
    } else {
        return None;
    };
    Some(Note { kind: NoteKind::Volume, text })
}
