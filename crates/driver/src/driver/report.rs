//! What a driver says of itself, for status files, the command line and tests.

use super::{Core, Driver};
use crate::events::Report;
use barewire_abi::AsioDriver;
use barewire_types::{Latency, SampleFormat};
use std::sync::Arc;

/// A look at a driver from outside of the host. Outlives the driver.
#[derive(Clone)]
pub struct Observer(Arc<Core>);

impl Driver {
    /// Someone who can look at this driver.
    pub fn observer(&self) -> Observer {
        Observer(self.core.clone())
    }
}

impl Observer {
    /// What there is to say now. Control threads.
    pub fn report(&self) -> Report {
        let core = &self.0;
        let latencies = Driver { core: core.clone() }.latencies().unwrap_or((0, 0));
        let frames = |value: i32| u32::try_from(value).unwrap_or(0);
        let latency =
            Latency { input_frames: frames(latencies.0), output_frames: frames(latencies.1) };
        let snapshot = core.telemetry.snapshot();
        let (integrity, integrity_reason) = core.telemetry.integrity();
        let state = core.state.lock();
        let offer = state.offer().cloned();
        let shape = state.setup().map(|setup| setup.shape);
        let meter = state.crew().and_then(|crew| crew.reopener.meter.lock().clone());
        let block_frames = state.setup().map(|setup| setup.frames);
        let format = |side: Option<barewire_device::Side>| -> Option<SampleFormat> {
            side.map(|side| side.format)
        };
        let mut notes = core.problems.lock().clone();
        notes.extend(core.stream_notes.lock().iter().cloned());
        notes.extend(core.system().remarks());
        if let Some(offer) = &offer {
            notes.extend(offer.device.notes.iter().map(|note| note.text.clone()));
        }
        Report {
            device_id: offer.as_ref().map(|offer| offer.device.id.to_string()),
            device_name: offer.as_ref().map(|offer| offer.device.name.clone()),
            reason_for_device: offer.as_ref().map(|offer| offer.reason.clone()),
            state: state.name(),
            rate: core.rate(),
            block_frames,
            period_frames: shape.map(|shape| shape.period_frames),
            host_format: offer.as_ref().map(|offer| offer.format),
            device_formats: (
                shape.and_then(|shape| format(shape.capture)),
                shape.and_then(|shape| format(shape.playback)),
            ),
            latency,
            integrity,
            integrity_reason,
            blocks: snapshot.blocks,
            xruns: snapshot.xruns,
            missed_frames: snapshot.missed_frames,
            lates: snapshot.lates,
            drift_ppb: meter.map(|meter| meter.drift_ppb()),
            notes,
            records: core.journal.lock().records(),
        }
    }
}
