//! Everything that can be asked of a driver without making buffers. What it refuses becomes a remark, not an error.

use crate::session::{Direction, Session};
use crate::source::Source;
use barewire_abi::constants::future;
use barewire_abi::{BufferSize, Code, IoFormat};
use barewire_types::{Error, Latency, RateHz, Result, SampleFormat};

/// What a driver says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: i32,
    /// Its inputs.
    pub inputs: Vec<ProbedChannel>,
    /// Its outputs.
    pub outputs: Vec<ProbedChannel>,
    /// Block sizes, as told.
    pub block_size: Option<BufferSize>,
    /// Which of the common rates it says it can run at, in hertz.
    pub rates_hz: Vec<f64>,
    /// The rate in force, in hertz.
    pub rate_hz: Option<f64>,
    /// What it reports before there are buffers.
    pub latency: Option<Latency>,
    /// Its clocks.
    pub clocks: Vec<ProbedClock>,
    /// Whether it profits from `outputReady`.
    pub output_ready: bool,
    /// Whether it says that it can carry one-bit samples.
    pub dsd: bool,
    /// Whether it reports xruns.
    pub reports_overload: bool,
    /// What it refused to tell, one sentence each.
    pub remarks: Vec<String>,
}

/// One channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbedChannel {
    /// Its name.
    pub name: String,
    /// Its group.
    pub group: i32,
    /// The interface's name for its sample type: `Int32LSB` …
    pub sample_type: &'static str,
    /// The same as a format, if it is one.
    pub format: Option<SampleFormat>,
}

/// One clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbedClock {
    /// Its name.
    pub name: String,
    /// Whether it is in force.
    pub is_current: bool,
}

/// Loads a driver, asks it everything, and lets it go.
///
/// # Errors
/// If it cannot be loaded or initialised.
pub fn probe(source: &Source) -> Result<Probe> {
    let session = Session::open(source)?;
    let driver = session.driver()?;
    let mut remarks = Vec::new();
    let (inputs, outputs) = told(session.channels(), &mut remarks).unwrap_or_default();
    let clocks = told(session.clock_sources(), &mut remarks).unwrap_or_default();
    let rates = RateHz::COMMON.into_iter().map(RateHz::as_f64);
    let (dsd, _) = driver.io_format(future::CAN_DO_IO_FORMAT, IoFormat::Dsd);
    Ok(Probe {
        name: session.name().to_owned(),
        version: driver.driver_version(),
        inputs: channels(&session, Direction::Input, inputs, &mut remarks),
        outputs: channels(&session, Direction::Output, outputs, &mut remarks),
        block_size: told(session.buffer_size(), &mut remarks),
        rates_hz: rates.filter(|&rate_hz| driver.can_sample_rate(rate_hz) == Code::OK).collect(),
        rate_hz: told(session.sample_rate(), &mut remarks),
        latency: told(session.latency(), &mut remarks),
        clocks: clocks
            .into_iter()
            .map(|clock| ProbedClock { name: clock.name, is_current: clock.is_current })
            .collect(),
        output_ready: driver.output_ready() == Code::OK,
        dsd: dsd == Code::SUCCESS,
        reports_overload: driver.ask(future::CAN_REPORT_OVERLOAD) == Code::SUCCESS,
        remarks,
    })
}

fn told<T>(answer: Result<T>, remarks: &mut Vec<String>) -> Option<T> {
    answer.map_err(|error: Error| remarks.push(error.to_string())).ok()
}

fn channels(
    session: &Session,
    direction: Direction,
    count: u32,
    remarks: &mut Vec<String>,
) -> Vec<ProbedChannel> {
    (0..count)
        .filter_map(|channel| told(session.channel(direction, channel), remarks))
        .map(|info| ProbedChannel {
            name: crate::refusal::one_line(&info.name),
            group: info.group,
            sample_type: info.sample_type.name(),
            format: info.sample_type.format(),
        })
        .collect()
}
