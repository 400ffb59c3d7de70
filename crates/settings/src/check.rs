//! What values must keep between them. Each rule names the key that is to blame and what to do.

use crate::choices::{BackendChoice, Sink, Source};
use crate::device::DeviceChoice;
use crate::sections::{Blocks, Settings, Side, Virtual};
use crate::values::SizeStep;
use barewire_types::{Encoding, SampleFormat};

/// A rule that is broken: the key to blame and the sentence.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) key: &'static str,
    /// The key to blame instead where `key` was left at its default.
    pub(crate) otherwise: Option<&'static str>,
    pub(crate) message: String,
}

fn conflict(key: &'static str, message: impl Into<String>) -> Option<Conflict> {
    Some(Conflict { key, otherwise: None, message: message.into() })
}

/// Every rule that is broken.
pub(crate) fn check(settings: &Settings) -> Vec<Conflict> {
    let mut all = Vec::new();
    all.extend(sample_type(settings.driver.sample_type));
    all.extend(some_direction(settings));
    all.extend(backend_of(settings, &settings.input, "input.device"));
    all.extend(backend_of(settings, &settings.output, "output.device"));
    all.extend(map_length(&settings.input, "input.channel_map"));
    all.extend(map_length(&settings.output, "output.channel_map"));
    all.extend(block_range(&settings.blocks));
    all.extend(block_steps(&settings.blocks));
    all.extend(virtual_device(&settings.virtual_device));
    all
}

fn sample_type(format: Option<SampleFormat>) -> Option<Conflict> {
    let format = format?;
    if format.is_dsd() {
        return conflict("driver.sample_type", "`driver.sample_type` cannot be forced to DSD");
    }
    if format.encoding == Encoding::Int24In32 {
        return conflict(
            "driver.sample_type",
            "a host knows 24 bits in the high part of 32 as `int32`: write that",
        );
    }
    None
}

fn some_direction(settings: &Settings) -> Option<Conflict> {
    if settings.input.device == DeviceChoice::None && settings.output.device == DeviceChoice::None {
        return conflict(
            "output.device",
            "input and output are both `none`: there is nothing to record and nothing to play",
        );
    }
    None
}

fn backend_of(settings: &Settings, side: &Side, key: &'static str) -> Option<Conflict> {
    let DeviceChoice::Id(id) = &side.device else { return None };
    let (backend, _) = id.split_once(':')?;
    let chosen = settings.driver.backend;
    if chosen == BackendChoice::Auto || chosen.word() == backend {
        return None;
    }
    conflict(
        key,
        format!(
            "the device `{id}` is reached by `{backend}`, but `driver.backend` is `{chosen}`: set that to `auto` or \
             `{backend}`"
        ),
    )
}

fn map_length(side: &Side, key: &'static str) -> Option<Conflict> {
    let map = side.channel_map.as_ref()?;
    if map.is_empty() {
        return conflict(
            key,
            format!("`{key}` is empty: to use no channel set the device to `none`"),
        );
    }
    let channels = side.channels?;
    let greatest = map.iter().filter_map(|entry| entry.channel()).max()?;
    if greatest >= channels {
        let number = u32::from(greatest) + 1;
        return conflict(
            key,
            format!("`{key}` names channel {number}, but only {channels} are opened (`channels`)"),
        );
    }
    None
}

fn block_range(blocks: &Blocks) -> Option<Conflict> {
    let min = blocks.min_frames.unwrap_or(1);
    let max = blocks.max_frames.unwrap_or(u32::MAX);
    if min > max {
        return conflict(
            "blocks.min_frames",
            format!("`blocks.min_frames` is {min}, more than `blocks.max_frames`, {max}"),
        );
    }
    match blocks.preferred_frames {
        Some(preferred) if preferred < min => conflict(
            "blocks.preferred_frames",
            format!(
                "`blocks.preferred_frames` is {preferred}, less than `blocks.min_frames`, {min}"
            ),
        ),
        Some(preferred) if preferred > max => conflict(
            "blocks.preferred_frames",
            format!(
                "`blocks.preferred_frames` is {preferred}, more than `blocks.max_frames`, {max}"
            ),
        ),
        _ => None,
    }
}

fn block_steps(blocks: &Blocks) -> Vec<Conflict> {
    let sizes = [
        ("blocks.min_frames", blocks.min_frames),
        ("blocks.max_frames", blocks.max_frames),
        ("blocks.preferred_frames", blocks.preferred_frames),
    ];
    let given = || sizes.iter().filter_map(|(key, size)| size.map(|size| (*key, size)));
    let broken = |key, size, rule| Conflict {
        key,
        otherwise: None,
        message: format!("`{key}` is {size}, but `blocks.granularity` wants {rule}"),
    };
    match blocks.granularity {
        Some(SizeStep::PowersOfTwo) => given()
            .filter(|(_, size)| !size.is_power_of_two())
            .map(|(key, size)| broken(key, size, "powers of two".to_owned()))
            .collect(),
        Some(SizeStep::Frames(step)) => {
            let Some(min) = blocks.min_frames else { return Vec::new() };
            given()
                .filter(|(_, size)| size.saturating_sub(min) % step.max(1) != 0)
                .map(|(key, size)| broken(key, size, format!("steps of {step} from {min}")))
                .collect()
        }
        Some(SizeStep::Fixed) => {
            let Some(preferred) = blocks.preferred_frames else { return Vec::new() };
            given()
                .filter(|(_, size)| *size != preferred)
                .map(|(key, size)| broken(key, size, format!("{preferred} alone")))
                .collect()
        }
        None => Vec::new(),
    }
}

fn virtual_device(device: &Virtual) -> Option<Conflict> {
    if device.inputs == 0 && device.outputs == 0 {
        return conflict("virtual.outputs", "the virtual device has neither inputs nor outputs");
    }
    if device.formats.is_empty() {
        return conflict("virtual.formats", "the virtual device has no sample format");
    }
    if device.rates_hz.is_empty() {
        return conflict("virtual.rates_hz", "the virtual device has no rate");
    }
    let (min, max) = (device.min_period_frames, device.max_period_frames);
    if min > max {
        return Some(Conflict {
            key: "virtual.min_period_frames",
            otherwise: Some("virtual.max_period_frames"),
            message: format!("`virtual.min_period_frames` is {min}, more than the greatest, {max}"),
        });
    }
    if let Some(fixed) = device.fixed_period_frames
        && !(min..=max).contains(&fixed)
    {
        return conflict(
            "virtual.fixed_period_frames",
            format!("`virtual.fixed_period_frames` is {fixed}, not within {min} to {max}"),
        );
    }
    if matches!(device.sink, Sink::Wav | Sink::Raw) && device.sink_path.is_none() {
        let sink = device.sink;
        return conflict("virtual.sink", format!("the sink `{sink}` needs `virtual.sink_path`"));
    }
    if matches!(device.source, Source::Wav | Source::Raw) && device.source_path.is_none() {
        let source = device.source;
        return conflict(
            "virtual.source",
            format!("the source `{source}` needs `virtual.source_path`"),
        );
    }
    let ascending = device.faults.windows(2).all(|pair| match pair {
        [a, b] => a.at_frames <= b.at_frames,
        _ => true,
    });
    if ascending {
        None
    } else {
        conflict("virtual.faults", "`virtual.faults` are not in ascending order of `at_frames`")
    }
}
