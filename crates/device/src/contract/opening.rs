//! Rules about opening: what is refused, and what becomes of what is wanted.

use super::drive::Drive;
use super::listing::list;
use super::{Bench, Breach, MakeBench, Verdict, broken, expect};
use crate::backend::{OpenRequest, SideRequest};
use crate::info::{Caps, DeviceId, DeviceInfo};
use crate::stream::Side;
use barewire_types::{Error, ErrorKind, RateHz, SampleFormat};

fn info(bench: &Bench) -> Result<DeviceInfo, Breach> {
    let found = list(&*bench.backend)?.into_iter().find(|info| info.id == bench.request.id);
    found.ok_or_else(|| Breach::Broken(format!("{} is not listed", bench.request.id)))
}

/// The error that `change` of the request brings.
fn refusal(
    make: &MakeBench<'_>,
    change: impl FnOnce(&mut OpenRequest, &DeviceInfo) -> Result<(), Breach>,
) -> Result<Error, Breach> {
    let bench = make();
    let mut request = bench.request.clone();
    change(&mut request, &info(&bench)?)?;
    match bench.backend.open(&request) {
        Ok(_) => broken(format!("opened all the same: {request:?}")),
        Err(error) => Ok(error),
    }
}

fn of_kind(error: &Error, kind: ErrorKind) -> Verdict {
    expect(error.kind() == kind, || format!("{:?} instead of {kind:?}: {error}", error.kind()))
}

fn all_caps(info: &DeviceInfo) -> impl Iterator<Item = &Caps> {
    info.capture.iter().chain(&info.playback)
}

fn change_id(request: &mut OpenRequest, _: &DeviceInfo) -> Verdict {
    request.id = DeviceId::new(request.id.backend(), "no such device,99");
    Ok(())
}

fn change_rate(request: &mut OpenRequest, info: &DeviceInfo) -> Verdict {
    let odd = [12_345, 47_999, 48_001].into_iter().filter_map(RateHz::new);
    let mut unlisted = RateHz::COMMON
        .into_iter()
        .chain(odd)
        .filter(|rate| all_caps(info).all(|caps| !caps.rates.contains(rate)));
    request.rate = unlisted.next().ok_or(Breach::NotTried("the device lists every rate"))?;
    Ok(())
}

fn change_format(request: &mut OpenRequest, info: &DeviceInfo) -> Verdict {
    let unlisted = SampleFormat::ALL_LITTLE
        .into_iter()
        .find(|format| all_caps(info).all(|caps| !caps.formats.contains(format)))
        .ok_or(Breach::NotTried("the device lists every format"))?;
    let side = request.playback.as_mut().or(request.capture.as_mut());
    if let Some(side) = side {
        side.format = Some(unlisted);
    }
    Ok(())
}

fn change_channels(request: &mut OpenRequest, info: &DeviceInfo) -> Verdict {
    let too_many = |caps: &Option<Caps>| {
        let most = caps.as_ref().and_then(|caps| caps.channels.counts.last()).copied();
        most.unwrap_or(0) + 1
    };
    let (outputs, inputs) = (too_many(&info.playback), too_many(&info.capture));
    match (&mut request.playback, &mut request.capture) {
        (Some(side), _) => side.channels = outputs,
        (None, Some(side)) => side.channels = inputs,
        (None, None) => {}
    }
    Ok(())
}

fn change_sides(request: &mut OpenRequest, _: &DeviceInfo) -> Verdict {
    request.capture = None;
    request.playback = None;
    Ok(())
}

pub(super) fn unknown_device(make: &MakeBench<'_>) -> Verdict {
    of_kind(&refusal(make, change_id)?, ErrorKind::NotFound)
}

pub(super) fn unlisted_rate(make: &MakeBench<'_>) -> Verdict {
    of_kind(&refusal(make, change_rate)?, ErrorKind::UnsupportedRate)
}

pub(super) fn unlisted_format(make: &MakeBench<'_>) -> Verdict {
    of_kind(&refusal(make, change_format)?, ErrorKind::Unsupported)
}

pub(super) fn too_many_channels(make: &MakeBench<'_>) -> Verdict {
    of_kind(&refusal(make, change_channels)?, ErrorKind::Unsupported)
}

pub(super) fn nothing_asked(make: &MakeBench<'_>) -> Verdict {
    of_kind(&refusal(make, change_sides)?, ErrorKind::InvalidArgument)
}

pub(super) fn errors_have_remedy(make: &MakeBench<'_>) -> Verdict {
    for change in [change_id, change_rate, change_format, change_channels, change_sides] {
        let error = match refusal(make, change) {
            Err(Breach::NotTried(_)) => continue,
            other => other?,
        };
        let says = error.remedy_text().is_some_and(|text| !text.is_empty());
        expect(says && !error.message().is_empty(), || format!("no remedy: {error}"))?;
    }
    Ok(())
}

fn side_as_asked(asked: Option<SideRequest>, got: Option<Side>) -> Verdict {
    match (asked, got) {
        (None, None) => Ok(()),
        (Some(asked), Some(got)) => {
            let format = asked.format.is_none_or(|format| format == got.format);
            expect(format && got.channels >= asked.channels, || {
                format!("asked for {asked:?}, got {got:?}")
            })
        }
        _ => broken(format!("asked for {asked:?}, got {got:?}")),
    }
}

pub(super) fn shape_as_asked(make: &MakeBench<'_>) -> Verdict {
    let drive = Drive::open(make)?;
    let (shape, request) = (drive.shape, &drive.bench.request);
    expect(shape.rate == request.rate, || {
        format!("asked for {}, got {}", request.rate, shape.rate)
    })?;
    side_as_asked(request.capture, shape.capture)?;
    side_as_asked(request.playback, shape.playback)?;
    expect(shape.period_frames > 0 && shape.max_period_frames >= shape.period_frames, || {
        format!("periods of {} to {}", shape.period_frames, shape.max_period_frames)
    })?;
    // Each format that is listed can be forced.
    let device = info(&drive.bench)?;
    let (bench, request) = (make(), request.clone());
    drop(drive);
    let (Some(caps), Some(side)) = (&device.playback, request.playback) else { return Ok(()) };
    for &format in &caps.formats {
        let playback = Some(SideRequest { format: Some(format), ..side });
        let request = OpenRequest { playback, capture: None, ..request.clone() };
        match bench.backend.open(&request) {
            Ok(stream) => side_as_asked(playback, stream.shape().playback)?,
            Err(error) => return broken(format!("{format} is listed but does not open: {error}")),
        }
    }
    Ok(())
}

pub(super) fn shape_within_caps(make: &MakeBench<'_>) -> Verdict {
    let bench = make();
    let device = info(&bench)?;
    let shape = Drive::open(make)?.shape;
    let sides = [(shape.capture, &device.capture), (shape.playback, &device.playback)];
    for (side, caps) in sides {
        let Some(side) = side else { continue };
        let Some(caps) = caps else { return broken(format!("{side:?} is not listed at all")) };
        expect(caps.formats.contains(&side.format), || format!("{} is not listed", side.format))?;
        expect(caps.rates.contains(&shape.rate), || format!("{} is not listed", shape.rate))?;
        let most = caps.channels.counts.last().copied().unwrap_or(0);
        let known = caps.channels.counts.contains(&side.channels);
        expect(known, || format!("{} channels of {most} are not listed", side.channels))?;
        let periods = caps.periods;
        let within = (periods.min_frames..=periods.max_frames).contains(&shape.period_frames);
        expect(within, || format!("a period of {} frames, {periods:?}", shape.period_frames))?;
    }
    Ok(())
}

pub(super) fn shape_constant(make: &MakeBench<'_>) -> Verdict {
    let mut drive = Drive::open(make)?;
    for _ in 0..2 {
        drive.start()?;
        drive.turns(4)?;
        drive.stream.stop();
        let (first, later) = (drive.shape, drive.stream.shape());
        expect(later == first, || format!("first {first:?}, later {later:?}"))?;
    }
    Ok(())
}

pub(super) fn drop_closes(make: &MakeBench<'_>) -> Verdict {
    let bench = make();
    for n in 0..3 {
        match bench.backend.open(&bench.request) {
            Ok(mut stream) => {
                let started = stream.start();
                expect(started.is_ok(), || format!("opening {n} does not start: {started:?}"))?;
            }
            Err(error) => return broken(format!("opening {n}: {error}")),
        }
    }
    Ok(())
}
