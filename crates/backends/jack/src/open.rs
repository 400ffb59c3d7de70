//! From a request to an active connection whose ports are wired.

use crate::client::Client;
use crate::enumerate::cost;
use crate::library::{CAPTURE_LATENCY, IS_INPUT, IS_OUTPUT, Libraries, PLAYBACK_LATENCY};
use crate::stream::{Hands, JackStream, Works};
use crate::turn::{Port, Turn};
use crate::{DEVICE, NAME, Wiring};
use barewire_device::{Layout, Note, NoteKind, OpenRequest, Shape, Side, SideRequest, Stream};
use barewire_rt::{LentMemory, System, Wake as _};
use barewire_types::{Error, ErrorKind, Latency, RateHz, Result, SampleFormat};
use std::ffi::{CString, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Connects, makes ports, and lets the server call.
///
/// # Errors
/// Those of [`barewire_device::Backend::open`].
pub(crate) fn open(
    system: &Arc<dyn System>,
    libraries: Libraries,
    wiring: &Wiring,
    request: &OpenRequest,
) -> Result<Box<dyn Stream>> {
    if request.id.backend() != NAME || request.id.rest() != DEVICE {
        return Err(Error::new(ErrorKind::NotFound, format!("there is no device {}", request.id))
            .remedy("choose one that `barewire devices` lists"));
    }
    if request.capture.is_none() && request.playback.is_none() {
        let text = "JACK: neither inputs nor outputs were asked for";
        return Err(
            Error::new(ErrorKind::InvalidArgument, text).remedy("ask for inputs, outputs or both")
        );
    }
    let client = Client::connect(libraries)?;
    let rate = rate(&client, request)?;
    let period_frames = client.period_frames();
    let others = (client.others(IS_OUTPUT, wiring), client.others(IS_INPUT, wiring));
    let capture = side(request.capture, count(&others.0), "inputs")?;
    let playback = side(request.playback, count(&others.1), "outputs")?;
    let ports = (ports(&client, capture, IS_INPUT)?, ports(&client, playback, IS_OUTPUT)?);
    let memory = (memory(capture, period_frames)?, memory(playback, period_frames)?);
    let turn = Arc::new(Turn::new(system, &client, rate, memory, ports));
    activate(&client, &turn)?;
    let mut notes = vec![cost()];
    wire(&client, &turn, &others, wiring, &mut notes);
    if period_frames != request.period_frames {
        let text = format!(
            "the JACK server moves {period_frames} frames at a time instead of {}",
            request.period_frames
        );
        notes.push(Note { kind: NoteKind::Adapted, text });
    }
    let shape = Shape {
        rate,
        capture,
        playback,
        period_frames,
        max_period_frames: period_frames,
        steady: true,
        prefill_frames: if playback.is_some() { period_frames } else { 0 },
        latency: latency(&client, &others, (capture, playback), wiring),
    };
    let works = Arc::new(Works(turn.clone()));
    let hands = Hands::default();
    Ok(Box::new(JackStream { _client: client, turn, shape, notes, hands, works }))
}

fn rate(client: &Client, request: &OpenRequest) -> Result<RateHz> {
    match client.rate() {
        Some(rate) if rate == request.rate => Ok(rate),
        Some(rate) => {
            let text = format!("the JACK server runs at {rate}, not at {}", request.rate);
            let remedy = format!("use {rate}, or start the server at {}", request.rate);
            Err(Error::new(ErrorKind::UnsupportedRate, text).remedy(remedy))
        }
        None => Err(Error::new(ErrorKind::Malfunction, "the JACK server has no rate")
            .remedy("start the server anew")),
    }
}

fn count(names: &[CString]) -> u16 {
    u16::try_from(names.len()).unwrap_or(u16::MAX)
}

fn side(wanted: Option<SideRequest>, there: u16, word: &str) -> Result<Option<Side>> {
    let Some(wanted) = wanted else { return Ok(None) };
    if wanted.channels > there || there == 0 {
        let text = format!("JACK has {there} {word}, {} were asked for", wanted.channels);
        return Err(Error::new(ErrorKind::Unsupported, text).remedy("ask for fewer"));
    }
    if let Some(format) = wanted.format.filter(|&format| format != SampleFormat::FLOAT32) {
        let text = format!("JACK does not carry {format}");
        let remedy = format!("choose {}", SampleFormat::FLOAT32);
        return Err(Error::new(ErrorKind::Unsupported, text).remedy(remedy));
    }
    let channels = wanted.channels.max(1);
    Ok(Some(Side { format: SampleFormat::FLOAT32, channels, layout: Layout::Planar }))
}

fn ports(client: &Client, side: Option<Side>, direction: std::ffi::c_ulong) -> Result<Vec<Port>> {
    let word = if direction == IS_INPUT { "in" } else { "out" };
    (1..=Shape::channels(side))
        .map(|n| client.port(&format!("{word}_{n}"), direction).map(Port))
        .collect()
}

fn memory(side: Option<Side>, period_frames: u32) -> Result<LentMemory> {
    let bytes = period_frames as usize * size_of::<f32>();
    LentMemory::new(usize::from(Shape::channels(side)), bytes)
        .ok_or_else(|| Error::new(ErrorKind::NoMemory, "no memory for the ports of JACK"))
}

fn activate(client: &Client, turn: &Arc<Turn>) -> Result<()> {
    let (jack, raw) = (client.jack, client.raw);
    // SAFETY: may be called at any time.
    let their_ns = unsafe { (jack.time)() }.saturating_mul(1000);
    let offset = turn.system.now_ns().cast_signed() - their_ns.cast_signed();
    turn.clock_offset_ns.store(offset, Ordering::Relaxed);
    let place = Arc::as_ptr(turn).cast_mut().cast::<c_void>();
    // The callbacks end with the client, which the stream closes before it lets go of `turn`.
    // SAFETY: the client is not active yet; function and place outlive it.
    let set = unsafe { (jack.on_process)(raw, process, place) };
    // SAFETY: as above.
    unsafe { (jack.on_shutdown)(raw, shutdown, place) };
    // SAFETY: as above.
    unsafe { (jack.on_buffer_size)(raw, buffer_size, place) };
    // SAFETY: as above.
    unsafe { (jack.on_sample_rate)(raw, sample_rate, place) };
    // SAFETY: as above.
    unsafe { (jack.on_xrun)(raw, xrun, place) };
    // SAFETY: the client is open.
    if set != 0 || unsafe { (jack.activate)(raw) } != 0 {
        return Err(Error::new(ErrorKind::Malfunction, "the JACK server does not let us begin")
            .remedy("start the server anew"));
    }
    Ok(())
}

fn wire(
    client: &Client,
    turn: &Turn,
    others: &(Vec<CString>, Vec<CString>),
    wiring: &Wiring,
    notes: &mut Vec<Note>,
) {
    let mut refused = 0;
    if *wiring == Wiring::Loop {
        for (output, input) in turn.playback_ports.iter().zip(&turn.capture_ports) {
            refused += usize::from(!client.wire(client.name_of(output.0), client.name_of(input.0)));
        }
    } else {
        for (port, theirs) in turn.capture_ports.iter().zip(&others.0) {
            refused += usize::from(!client.wire(theirs.as_ptr(), client.name_of(port.0)));
        }
        for (port, theirs) in turn.playback_ports.iter().zip(&others.1) {
            refused += usize::from(!client.wire(client.name_of(port.0), theirs.as_ptr()));
        }
    }
    if refused > 0 {
        let text = format!("the JACK server refused {refused} connections: connect them by hand");
        notes.push(Note { kind: NoteKind::Degraded, text });
    }
}

fn latency(
    client: &Client,
    others: &(Vec<CString>, Vec<CString>),
    sides: (Option<Side>, Option<Side>),
    wiring: &Wiring,
) -> Latency {
    let greatest = |ports: &[CString], side: Option<Side>, mode| {
        let count = usize::from(Shape::channels(side));
        let ports = ports.iter().take(if *wiring == Wiring::Loop { 0 } else { count });
        ports.map(|port| client.latency(port, mode)).max().unwrap_or(0)
    };
    // The server counts from the beginning of a cycle, as positions here do: a captured period is already over then.
    let period = client.period_frames();
    Latency {
        input_frames: greatest(&others.0, sides.0, CAPTURE_LATENCY).saturating_sub(period),
        output_frames: greatest(&others.1, sides.1, PLAYBACK_LATENCY),
    }
}

/// What a callback was given.
///
/// # Safety
/// `place` is that of `activate`.
unsafe fn turn<'a>(place: *mut c_void) -> &'a Turn {
    // SAFETY: `activate` gave this place, and the stream keeps it until the client is closed.
    unsafe { &*place.cast::<Turn>() }
}

unsafe extern "C" fn process(frames: u32, place: *mut c_void) -> c_int {
    // SAFETY: the place of `activate`.
    unsafe { turn(place) }.process(frames);
    0
}

unsafe extern "C" fn shutdown(place: *mut c_void) {
    // SAFETY: the place of `activate`.
    let turn = unsafe { turn(place) };
    turn.gone.store(true, Ordering::Release);
    turn.gate.wake();
}

unsafe extern "C" fn buffer_size(frames: u32, place: *mut c_void) -> c_int {
    // SAFETY: the place of `activate`.
    let turn = unsafe { turn(place) };
    if frames != turn.period_frames {
        turn.changed.store(true, Ordering::Release);
        turn.gate.wake();
    }
    0
}

unsafe extern "C" fn sample_rate(rate_hz: u32, place: *mut c_void) -> c_int {
    // SAFETY: the place of `activate`.
    let turn = unsafe { turn(place) };
    if rate_hz != turn.rate.get() {
        turn.changed.store(true, Ordering::Release);
        turn.gate.wake();
    }
    0
}

unsafe extern "C" fn xrun(place: *mut c_void) -> c_int {
    // SAFETY: the place of `activate`.
    unsafe { turn(place) }.notices.fetch_add(1, Ordering::AcqRel);
    0
}
