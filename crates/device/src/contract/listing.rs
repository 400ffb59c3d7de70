//! Rules about what a backend lists.

use super::{Breach, MakeBench, Verdict, expect};
use crate::backend::Backend;
use crate::info::{Caps, DeviceId, DeviceInfo};
use std::collections::BTreeSet;

pub(super) fn list(backend: &dyn Backend) -> Result<Vec<DeviceInfo>, Breach> {
    backend.devices().map_err(|error| Breach::Broken(format!("devices are not listed: {error}")))
}

pub(super) fn ids_stable(make: &MakeBench<'_>) -> Verdict {
    let bench = make();
    let ids = || -> Result<Vec<DeviceId>, Breach> {
        Ok(list(&*bench.backend)?.into_iter().map(|info| info.id).collect())
    };
    let first = ids()?;
    for id in &first {
        expect(id.backend() == bench.backend.name(), || {
            format!("{id} does not name its backend {}", bench.backend.name())
        })?;
        expect(DeviceId::parse(id.as_str()).as_ref() == Some(id), || {
            format!("{id} cannot be written down and read again")
        })?;
    }
    let distinct: BTreeSet<&DeviceId> = first.iter().collect();
    expect(distinct.len() == first.len(), || format!("two devices share an id: {first:?}"))?;
    for _ in 0..3 {
        let again = ids()?;
        expect(again == first, || format!("first {first:?}, later {again:?}"))?;
    }
    expect(first.contains(&bench.request.id), || format!("{} is not listed", bench.request.id))
}

pub(super) fn caps_in_order(make: &MakeBench<'_>) -> Verdict {
    for info in list(&*make().backend)? {
        expect(!info.name.is_empty(), || format!("{} has no name", info.id))?;
        for caps in info.capture.iter().chain(&info.playback) {
            one(&info.id, caps)?;
        }
    }
    Ok(())
}

fn one(id: &DeviceId, caps: &Caps) -> Verdict {
    let counts = &caps.channels.counts;
    expect(!caps.formats.is_empty() && !caps.rates.is_empty() && !counts.is_empty(), || {
        format!("{id}: a list is empty: {caps:?}")
    })?;
    expect(caps.rates.is_sorted_by(|a, b| a < b) && counts.is_sorted_by(|a, b| a < b), || {
        format!("{id}: rates or channel counts do not ascend: {caps:?}")
    })?;
    expect(counts.first() != Some(&0), || format!("{id}: a direction of no channel"))?;
    let periods = caps.periods;
    let in_order = periods.min_frames >= 1
        && periods.min_frames <= periods.preferred_frames
        && periods.preferred_frames <= periods.max_frames
        && periods.step_frames >= 1;
    expect(in_order, || format!("{id}: no order in {periods:?}"))
}
