//! The virtual device of the settings as the backend takes it.

use barewire_device::Layout;
use barewire_settings::{
    FaultKind as SetFault, Layout as SetLayout, Sink as SetSink, Source as SetSource, Virtual,
};
use barewire_virtual::{Description, Fault, FaultKind, Recordings, Script, Sink, Source};
use std::path::Path;
use std::sync::Arc;

/// The virtual device as it is set. Files go to `folder` if the settings name none; with the sink `null` left as it is
/// by default and a `folder` given, played frames are written there as WAV, so that something is to be heard of them.
pub fn describe(settings: &Virtual, folder: Option<&Path>) -> Description {
    let place = settings.sink_path.as_deref().or(folder);
    let sink = match (settings.sink, place) {
        (SetSink::Wav | SetSink::Null, Some(place)) => Sink::Wav(place.to_owned()),
        (SetSink::Raw, Some(place)) => Sink::Raw(place.to_owned()),
        (SetSink::Memory, _) => {
            Sink::Memory(Arc::new(Recordings::default()), settings.sink_max_frames as usize)
        }
        (SetSink::Wav | SetSink::Raw | SetSink::Null, None) => Sink::Null,
    };
    let file = settings.source_path.clone().unwrap_or_default();
    let source = match settings.source {
        SetSource::Silence => Source::Silence,
        SetSource::Loop => Source::Loop { delay_frames: settings.loop_delay_frames },
        SetSource::Counter => Source::Counter,
        SetSource::Wav => Source::Wav(file),
        SetSource::Raw => Source::Raw(file),
    };
    let fault = |fault: &barewire_settings::VirtualFault| Fault {
        at_frames: fault.at_frames,
        kind: match fault.kind {
            SetFault::LateWake(ns) => FaultKind::LateWake(ns),
            SetFault::Miss(frames) => FaultKind::Miss(frames),
            SetFault::Stall(ns) => FaultKind::Stall(ns),
            SetFault::SpuriousWake => FaultKind::SpuriousWake,
            SetFault::Unplug(back_after) => FaultKind::Unplug(back_after),
        },
    };
    Description {
        name: settings.name.clone(),
        title: settings.title.clone(),
        formats: settings.formats.clone(),
        layout: match settings.layout {
            SetLayout::Interleaved => Layout::Interleaved,
            SetLayout::Planar => Layout::Planar,
        },
        rates: settings.rates_hz.clone(),
        inputs: settings.inputs,
        outputs: settings.outputs,
        period_frames: (settings.min_period_frames, settings.max_period_frames),
        fixed_period_frames: settings.fixed_period_frames,
        prefill_periods: settings.prefill_periods,
        offset_ppm: settings.offset_ppm,
        refuse_openings: settings.refuse_openings,
        refuse_starts: settings.refuse_starts,
        is_exclusive: settings.exclusive,
        sink,
        source,
        script: Script {
            seed: settings.seed.into(),
            jitter_ns: settings.jitter_ns.into(),
            reading_jitter_ns: settings.reading_jitter_ns.into(),
            faults: settings.faults.iter().map(fault).collect(),
        },
    }
}
