//! `barewire top`: what the hub and its clients are doing, live in the terminal or as a stream of JSON.

use crate::{Global, hub, say};
use anyhow::{Context, Result, bail};
use barewire_hub_client::own_name;
use barewire_share::message::{Answer, Ask, ClientReport, Report};
use barewire_share::socket::{self, Line as HubLine};
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Gauge, Paragraph, Row, Table};
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Milliseconds from one look to the next.
    #[arg(long, value_name = "MS", default_value_t = 100)]
    every: u64,
    /// So many looks, then the end.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

/// Below this a meter is empty.
const LOWEST_DB: f32 = -60.0;
/// Steps of a meter.
const METER: usize = 8;
/// Meters that are shown of one client; the rest is counted.
const MOST_METERS: usize = 4;

/// Runs the subcommand.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let line = socket::call(&hub::address()?, env!("CARGO_PKG_VERSION"), own_name())?;
    let every = Duration::from_millis(options.every.max(10));
    let count = options.count.unwrap_or(u64::MAX);
    if global.json {
        return stream(&line, every, count);
    }
    if !std::io::stdout().is_terminal() {
        let report = look(&line)?;
        words(&report).into_iter().for_each(say::line);
        return Ok(());
    }
    let mut terminal = ratatui::try_init().context("the terminal cannot be drawn on")?;
    let result = watch(&line, every, count, &mut terminal);
    ratatui::restore();
    result
}

fn look(line: &HubLine) -> Result<Report> {
    match socket::ask(line, &Ask::Report {})? {
        Answer::Report { report } => Ok(*report),
        _ => bail!("the hub gives another answer than to what it was asked"),
    }
}

/// A JSON object a line.
fn stream(line: &HubLine, every: Duration, count: u64) -> Result<()> {
    let ends = Arc::new(AtomicBool::new(false));
    let flag = ends.clone();
    ctrlc::set_handler(move || flag.store(true, Ordering::Release))
        .context("Ctrl-C cannot be watched for")?;
    for n in 0..count {
        if ends.load(Ordering::Acquire) {
            break;
        }
        say::line(serde_json::to_string(&look(line)?)?);
        if n + 1 < count {
            std::thread::sleep(every);
        }
    }
    Ok(())
}

fn watch(
    line: &HubLine,
    every: Duration,
    count: u64,
    terminal: &mut ratatui::DefaultTerminal,
) -> Result<()> {
    for _ in 0..count {
        let report = look(line)?;
        terminal.draw(|frame| draw(frame, &report))?;
        let until = Instant::now() + every;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if event::poll(left)? && ends(&event::read()?) {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn ends(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    let quits = matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) || control_c;
    quits && key.kind == KeyEventKind::Press
}

fn microseconds(ns: u64) -> String {
    format!("{}.{} µs", ns / 1000, ns % 1000 / 100)
}

fn head(report: &Report) -> Vec<String> {
    let Report { device, device_name, state, version, process, .. } = report;
    let formats = match (&report.capture_format, &report.playback_format) {
        (Some(capture), Some(playback)) => format!("in {capture}, out {playback}"),
        (Some(capture), None) => format!("in {capture}"),
        (None, Some(playback)) => format!("out {playback}"),
        (None, None) => "closed".to_owned(),
    };
    let mut lines =
        vec![format!("{device_name} ({device})  {state}  Barewire {version}, process {process}")];
    if report.rate_hz == 0 {
        lines.push("no client: the device is closed".to_owned());
        return lines;
    }
    lines.push(format!(
        "{} Hz, blocks of {} frames, {formats}; {} blocks, {} xruns ({} frames), {} late",
        report.rate_hz,
        report.block_frames,
        report.blocks,
        report.xruns,
        report.missed_frames,
        report.lates
    ));
    lines.push(format!("integrity {}: {}", report.integrity, report.reason));
    lines.push(format!(
        "a client has {} for a block; {} kept back for mixing; longest behind a deadline {}",
        microseconds(report.budget_ns),
        microseconds(report.mixing_ns),
        microseconds(report.longest_overstay_ns)
    ));
    lines
}

fn way(client: &ClientReport) -> &'static str {
    match (client.runs, client.muted, client.later) {
        (false, ..) => "stopped",
        (true, true, _) => "muted",
        (true, false, true) => "later",
        (true, false, false) => "in time",
    }
}

fn decibels(peak: f32) -> f32 {
    if peak > 0.0 { 20.0 * peak.log10() } else { f32::NEG_INFINITY }
}

/// A bar of [`METER`] steps.
fn bar(peak: f32) -> String {
    let share = (decibels(peak) - LOWEST_DB) / -LOWEST_DB;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a few steps"
    )]
    let filled = (share.clamp(0.0, 1.0) * METER as f32).round() as usize;
    format!("{}{}", "█".repeat(filled), "·".repeat(METER - filled.min(METER)))
}

fn cells(client: &ClientReport) -> [String; 9] {
    let leads = if client.leads { "*" } else { " " };
    let meters: Vec<String> =
        client.peaks.iter().take(MOST_METERS).map(|&peak| bar(peak)).collect();
    let more = client.peaks.len().saturating_sub(MOST_METERS);
    let more = if more > 0 { format!(" +{more}") } else { String::new() };
    [
        format!("{leads}{}", client.who.program),
        client.who.process.to_string(),
        way(client).to_owned(),
        format!("{}/{}", client.inputs, client.outputs),
        client.lates.to_string(),
        client.changes.to_string(),
        format!("{} / {}", client.answer_ns / 1000, client.longest_answer_ns / 1000),
        if client.gain.to_bits() == 1_f64.to_bits() {
            client.integrity.clone()
        } else {
            format!("{} x{}", client.integrity, client.gain)
        },
        format!("{}{more}", meters.join(" ")),
    ]
}

const COLUMNS: [&str; 9] = [
    " client",
    "process",
    "served",
    "in/out",
    "late",
    "changes",
    "answer/max µs",
    "integrity",
    "peaks",
];

/// For what is no terminal: once, in words.
fn words(report: &Report) -> Vec<String> {
    let mut lines = head(report);
    if !report.clients.is_empty() {
        lines.push(COLUMNS.join("  "));
    }
    lines.extend(report.clients.iter().map(|client| cells(client).join("  ")));
    lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
    lines
}

fn draw(frame: &mut Frame<'_>, report: &Report) {
    let clients = u16::try_from(report.clients.len()).unwrap_or(u16::MAX);
    let areas = Layout::vertical([
        Constraint::Length(6),
        Constraint::Length(3),
        Constraint::Length(clients.saturating_add(3)),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .split(frame.area());
    let [top, load, table, events, keys] = areas[..] else { return };
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut lines: Vec<Line<'_>> = head(report).into_iter().map(Line::from).collect();
    if let Some(first) = lines.first_mut() {
        *first = first.clone().style(bold);
    }
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" hub ")), top);
    draw_load(frame, load, report);
    let rows = report.clients.iter().map(|client| {
        let color = match way(client) {
            "later" => Color::Yellow,
            "stopped" | "muted" => Color::DarkGray,
            _ => Color::Reset,
        };
        Row::new(cells(client).map(Cell::from)).style(Style::new().fg(color))
    });
    let widths = [
        Constraint::Length(16),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(7),
        Constraint::Length(6),
        Constraint::Length(8),
        Constraint::Length(14),
        Constraint::Length(20),
        Constraint::Min(10),
    ];
    let header = Row::new(COLUMNS.map(Cell::from)).style(bold);
    let title = " clients (* leads) ";
    let clients = Table::new(rows, widths).header(header).block(Block::bordered().title(title));
    frame.render_widget(clients, table);
    let room = usize::from(events.height.saturating_sub(2));
    let latest = report.notes.iter().map(|note| format!("note: {note}"));
    let latest: Vec<String> = latest.chain(report.events.iter().cloned()).collect();
    let skipped = latest.len().saturating_sub(room);
    let lines: Vec<Line<'_>> = latest.into_iter().skip(skipped).map(Line::from).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" events ")), events);
    frame.render_widget(
        Line::from(Span::styled(" q: quit", Style::new().fg(Color::DarkGray))),
        keys,
    );
}

fn draw_load(frame: &mut Frame<'_>, area: Rect, report: &Report) {
    let share = f64::from(report.load_permille.min(1000)) / 1000.0;
    let color = match report.load_permille {
        0..=500 => Color::Green,
        501..=800 => Color::Yellow,
        _ => Color::Red,
    };
    let peak = report.peak_load_permille;
    let label = format!(
        "{}.{} %, at most {}.{} % of a period, clients included",
        report.load_permille / 10,
        report.load_permille % 10,
        peak / 10,
        peak % 10
    );
    let gauge = Gauge::default()
        .block(Block::bordered().title(" load "))
        .gauge_style(Style::new().fg(color))
        .ratio(share)
        .label(label);
    frame.render_widget(gauge, area);
}

#[cfg(test)]
mod tests {
    use super::*;
    use barewire_share::message::Who;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn report() -> Report {
        let client = |program: &str, process, later: bool| ClientReport {
            who: Who { program: program.to_owned(), process },
            leads: !later,
            runs: true,
            later,
            lates: 3,
            changes: 1,
            outputs: 2,
            gain: 1.0,
            peaks: vec![1.0, 0.001],
            integrity: "sum (32 bits)".to_owned(),
            ..ClientReport::default()
        };
        Report {
            device: "alsa:hw:0".to_owned(),
            device_name: "Babyface".to_owned(),
            state: "running".to_owned(),
            rate_hz: 48_000,
            block_frames: 64,
            budget_ns: 1_234_567,
            load_permille: 123,
            clients: vec![client("reaper", 7, false), client("player", 8, true)],
            events: (0..99).map(|n| format!("event {n}")).collect(),
            ..Report::default()
        }
    }

    #[test]
    fn all_that_matters_is_on_the_screen_and_a_small_one_is_borne() {
        let mut terminal = Terminal::new(TestBackend::new(120, 24)).unwrap();
        terminal.draw(|frame| draw(frame, &report())).unwrap();
        let screen = terminal.backend().to_string();
        for word in [
            "Babyface (alsa:hw:0)",
            "48000 Hz",
            "1234.5 µs",
            "12.3 %",
            "*reaper",
            "in time",
            "later",
            "sum (32 bits)",
            "████████ ·",
            "event 98",
        ] {
            assert!(screen.contains(word), "{word} is missing:\n{screen}");
        }
        for (width, height) in [(1, 1), (20, 5), (300, 100)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| draw(frame, &report())).unwrap();
        }
    }

    #[test]
    fn a_meter_is_full_at_full_scale_and_empty_in_silence() {
        assert_eq!(bar(1.0), "████████");
        assert_eq!(bar(0.0), "········");
        assert_eq!(bar(0.031_622_8), "████····", "-30 dB is half of 60 dB");
    }
}
