//! Bugs planted where an engine or driver would have them: between the device and the engine, and between the driver and
//! the host. The simulator must find each.

use barewire_abi::TimeInfo;
use barewire_device::{Backend, DeviceInfo, Loss, OpenRequest, Period, Shape, Stream, Wake};
use barewire_rt::{Area, AreaMut, Waker};
use barewire_types::{Half, Ns, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    None,
    /// Every 50th period one played frame is left out.
    DropsFrame,
    /// Every 50th captured piece is handed over twice.
    RepeatsCapture,
    /// Every 50th period one captured frame is left out.
    SkipsCapture,
    /// Every 50th period is not played at all.
    ForgetsPeriod,
    /// Missed frames are not told.
    HidesXruns,
    /// Every 50th callback names the half of the one before.
    SameHalf,
    /// Every 50th callback comes twice, the second within the first.
    Reenters,
    /// The position stands still every 50th block.
    FrozenPosition,
    /// Time goes back every 50th block.
    TimeGoesBack,
    /// Callbacks cease after a while.
    Ceases,
}

impl Bug {
    pub const ALL: [Self; 10] = [
        Self::DropsFrame,
        Self::RepeatsCapture,
        Self::SkipsCapture,
        Self::ForgetsPeriod,
        Self::HidesXruns,
        Self::SameHalf,
        Self::Reenters,
        Self::FrozenPosition,
        Self::TimeGoesBack,
        Self::Ceases,
    ];
}

/// A bug and how often its place was passed.
#[derive(Clone, Debug)]
pub struct Plant {
    pub bug: Bug,
    count: Arc<AtomicU64>,
}

impl Plant {
    pub fn new(bug: Bug) -> Self {
        Self { bug, count: Arc::default() }
    }

    fn strikes(&self) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed) % 50 == 37
    }

    /// A callback on its way to the host.
    pub fn call(
        &self,
        half: Half,
        time: Option<&TimeInfo>,
        host: impl Fn(Half, Option<&TimeInfo>),
    ) {
        let mut changed = time.copied();
        let strikes = |bug| self.bug == bug && self.strikes();
        if strikes(Bug::SameHalf) {
            return host(half.other(), time);
        }
        if strikes(Bug::Reenters) {
            host(half, time);
        }
        if let Some(time) = &mut changed {
            if strikes(Bug::FrozenPosition) {
                time.position_frames = time.position_frames.saturating_sub(1);
            }
            if strikes(Bug::TimeGoesBack) {
                time.time_ns = time.time_ns.saturating_sub(10_000_000_000);
            }
        }
        if self.bug == Bug::Ceases && self.count.fetch_add(1, Ordering::Relaxed) > 5 {
            return;
        }
        host(half, changed.as_ref());
    }
}

/// A backend whose streams have the bug.
pub struct PlantedBackend {
    pub inner: Arc<dyn Backend>,
    pub plant: Plant,
}

impl Backend for PlantedBackend {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        self.inner.devices()
    }

    fn open(&self, request: &OpenRequest) -> Result<Box<dyn Stream>> {
        let inner = self.inner.open(request)?;
        Ok(Box::new(PlantedStream { inner, plant: self.plant.clone() }))
    }
}

struct PlantedStream {
    inner: Box<dyn Stream>,
    plant: Plant,
}

impl PlantedStream {
    fn strikes(&self, bug: Bug) -> bool {
        self.plant.bug == bug && self.plant.strikes()
    }
}

impl Stream for PlantedStream {
    fn shape(&self) -> Shape {
        self.inner.shape()
    }

    fn waker(&self) -> Waker {
        self.inner.waker()
    }

    fn start(&mut self) -> std::result::Result<(), Loss> {
        self.inner.start()
    }

    fn stop(&mut self) {
        self.inner.stop();
    }

    fn wait(&mut self, until: Ns) -> Wake {
        match self.inner.wait(until) {
            Wake::Due(period) if self.plant.bug == Bug::HidesXruns => {
                Wake::Due(Period { missed_frames: 0, ..period })
            }
            wake => wake,
        }
    }

    fn capture(&mut self) -> Area<'_> {
        if self.strikes(Bug::SkipsCapture) {
            self.inner.release(1);
        }
        self.inner.capture()
    }

    fn release(&mut self, frames: u32) {
        if self.strikes(Bug::RepeatsCapture) {
            return;
        }
        self.inner.release(frames);
    }

    fn playback(&mut self) -> AreaMut<'_> {
        self.inner.playback()
    }

    fn commit(&mut self, frames: u32) {
        if self.strikes(Bug::DropsFrame) {
            // One frame less than was written: the next piece takes its place.
            self.inner.commit(frames.saturating_sub(1).max(1));
            return;
        }
        if self.strikes(Bug::ForgetsPeriod) {
            return;
        }
        self.inner.commit(frames);
    }
}
