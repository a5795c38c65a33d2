//! A run on the whole terminal: rates and latencies over the last minutes, and the latencies of the last second.
//!
//! The terminal's own settings stay as they are, so Ctrl-C ends the run as ever.

use super::buckets::Spread;
use super::{Board, Figures, Row, Series, Words};
use crate::report::number::{significant, time};
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::prelude::CrosstermBackend;
use ratatui::style::{Color, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph, Row as Cells, Table};
use ratatui::{Frame, Terminal};
use std::collections::VecDeque;
use std::io::{self, Stderr, stderr};
use std::panic;
use std::sync::Arc;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(1);
/// Seconds that are shown.
const ROWS_MAX: usize = 300;

/// Of each kind of latency, from a row.
type Measure = (&'static str, fn(&Row) -> Option<Spread>);
const MEASURES: [Measure; 3] =
    [("handshake", |r| r.handshake_ns), ("request", |r| r.request_ns), ("response", |r| r.response_ns)];
/// A line in the chart of latencies.
type Percentile = (&'static str, Color, fn(&Spread) -> u64);
const PERCENTILES: [Percentile; 3] =
    [("p50", Color::Green, |s| s.p50), ("p99", Color::Yellow, |s| s.p99), ("p99.9", Color::Red, |s| s.p99_9)];

/// What it is of, its colour, and its points.
type PlotLine<'a> = (&'a str, Color, &'a [(f64, f64)]);

/// The terminal as it is used while a run goes on.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    start: Instant,
    series: Series,
    view: View,
}

impl Screen {
    pub fn open(words: Words) -> io::Result<Screen> {
        let terminal = Terminal::new(CrosstermBackend::new(stderr()))?;
        terminal.size()?;
        execute!(stderr(), EnterAlternateScreen, Hide)?;
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            leave();
            before(panicked);
        }));
        Ok(Screen { terminal, start: Instant::now(), series: Series::default(), view: View::new(words) })
    }

    pub fn tick(&mut self, boards: &[Arc<Board>]) {
        let at = self.start.elapsed();
        if at < self.series.at() + EVERY {
            return;
        }
        let row = self.series.next(at, boards);
        self.view.add(row, boards.iter().fold(Figures::default(), |sum, b| sum.plus(&b.read())));
        // A terminal that has gone is no reason to end the run.
        let _ = self.terminal.draw(|frame| self.view.draw(frame));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

fn leave() {
    let _ = execute!(stderr(), LeaveAlternateScreen, Show);
}

/// What is to be seen.
struct View {
    words: Words,
    heading: String,
    totals: Figures,
    rows: VecDeque<Row>,
}

impl View {
    fn new(words: Words) -> View {
        View { words, heading: String::new(), totals: Figures::default(), rows: VecDeque::new() }
    }

    fn add(&mut self, row: Row, totals: Figures) {
        let seconds = Duration::from_secs_f64;
        self.heading = (self.words.line)(seconds(row.at_seconds), seconds(row.seconds), &self.totals, &totals);
        self.totals = totals;
        if self.rows.len() == ROWS_MAX {
            self.rows.pop_front();
        }
        self.rows.push_back(row);
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let measured: Vec<&Measure> =
            MEASURES.iter().filter(|(_, of)| self.rows.iter().any(|r| of(r).is_some())).collect();
        let (fill, table) = (Constraint::Fill(1), Constraint::Length(measured.len() as u16 + 3));
        let heading = Constraint::Length(1);
        let title = Paragraph::new(Line::from(self.heading.as_str()).bold());
        if measured.is_empty() {
            let [top, rates] = Layout::vertical([heading, fill]).areas(frame.area());
            frame.render_widget(title, top);
            return self.draw_rates(frame, rates);
        }
        let [top, rates, latencies, last] = Layout::vertical([heading, fill, fill, table]).areas(frame.area());
        frame.render_widget(title, top);
        self.draw_rates(frame, rates);
        self.draw_latencies(frame, latencies, measured[measured.len() - 1]);
        self.draw_last(frame, last, &measured);
    }

    /// The first and the last second to be seen.
    fn span(&self) -> [f64; 2] {
        let end = |row: Option<&Row>| row.map_or(0.0, |r| r.at_seconds);
        [end(self.rows.front()), end(self.rows.back()).max(end(self.rows.front()) + 1.0)]
    }

    fn draw_rates(&self, frame: &mut Frame<'_>, area: Rect) {
        let points = |of: fn(&Figures) -> u64| -> Vec<(f64, f64)> {
            self.rows.iter().map(|r| (r.at_seconds, of(&r.figures) as f64 / r.seconds.max(1e-9))).collect()
        };
        let (connections, requests) = (points(self.words.connections), points(self.words.requests));
        let highest = connections.iter().chain(&requests).map(|(_, y)| *y).fold(1.0, f64::max);
        let lines =
            [("connections", Color::Cyan, connections.as_slice()), ("requests", Color::Magenta, requests.as_slice())];
        let labels = [0.0, highest / 2.0, highest].map(significant).to_vec();
        frame.render_widget(chart("per second", &lines, self.span(), ([0.0, highest], labels)), area);
    }

    /// On a logarithmic scale, whole powers of ten.
    fn draw_latencies(&self, frame: &mut Frame<'_>, area: Rect, (name, of): &Measure) {
        let points = PERCENTILES.map(|(_, _, at)| -> Vec<(f64, f64)> {
            let place = |r: &Row| of(r).map(|s| (r.at_seconds, (at(&s).max(1) as f64).log10()));
            self.rows.iter().filter_map(place).collect()
        });
        let all = || points.iter().flatten().map(|(_, y)| *y);
        let (lowest, highest) = (all().fold(f64::MAX, f64::min).floor(), all().fold(0.0, f64::max).ceil());
        let highest = highest.max(lowest + 1.0);
        let lines: Vec<PlotLine<'_>> =
            PERCENTILES.iter().zip(&points).map(|((name, color, _), p)| (*name, *color, p.as_slice())).collect();
        let labels = (lowest as u32..=highest as u32).map(|exponent| time(10u64.pow(exponent))).collect();
        frame.render_widget(chart(name, &lines, self.span(), ([lowest, highest], labels)), area);
    }

    fn draw_last(&self, frame: &mut Frame<'_>, area: Rect, measured: &[&Measure]) {
        let last = self.rows.back();
        let rows = measured.iter().map(|(name, of)| {
            let figures = last.and_then(of).map(|s| [s.p50, s.p90, s.p99, s.p99_9, s.max].map(time));
            Cells::new([name.to_string()].into_iter().chain(figures.unwrap_or_default()))
        });
        let header = Cells::new(["", "p50", "p90", "p99", "p99.9", "max"]).bold();
        let table = Table::new(rows, [Constraint::Length(10); 6]).header(header);
        frame.render_widget(table.block(Block::bordered().title("the last second")), area);
    }
}

/// Its title tells the lines apart: a legend would hide some of them, and has no room on a small terminal.
fn chart<'a>(
    title: &'a str,
    lines: &[PlotLine<'a>],
    span: [f64; 2],
    (bounds, labels): ([f64; 2], Vec<String>),
) -> Chart<'a> {
    let names = lines.iter().flat_map(|(name, color, _)| ["  ".into(), name.fg(*color)]);
    let title = Line::from_iter([title.into()].into_iter().chain(names));
    let datasets = lines.iter().map(|(_, color, points)| {
        Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line).fg(*color).data(points)
    });
    let seconds = span.map(|s| format!("{s:.0} s")).to_vec();
    Chart::new(datasets.collect())
        .block(Block::bordered().title(title))
        .x_axis(Axis::default().bounds(span).labels(seconds))
        .y_axis(Axis::default().bounds(bounds).labels(labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::line;
    use ratatui::backend::TestBackend;

    fn drawn(view: &View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("memory");
        terminal.draw(|frame| view.draw(frame)).expect("memory");
        let buffer = terminal.backend().buffer();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(line).collect::<Vec<String>>().join("\n")
    }

    fn row(at: u64, latency: Option<u64>) -> Row {
        let spread = |p50| Spread {
            count: 9,
            p50,
            p90: p50,
            p95: p50,
            p99: 3 * p50,
            p99_9: 9 * p50,
            p99_99: 9 * p50,
            max: 70_000,
        };
        let figures = Figures { established: 20_000, responses: 40_000, ..Figures::default() };
        let latency = latency.map(spread);
        Row {
            at_seconds: at as f64,
            seconds: 1.0,
            figures,
            handshake_ns: latency,
            request_ns: None,
            response_ns: latency,
        }
    }

    #[test]
    fn a_screen_shows_rates_and_latencies_over_time_and_those_of_the_last_second() {
        let mut view = View::new(line::LOAD);
        (1..=20).for_each(|s| view.add(row(s, Some(7_000)), Figures { completed: s * 100, ..Figures::default() }));
        let text = drawn(&view, 100, 30);
        for part in [
            "20.0 s",
            "done 2,000",
            "per second  connections  requests",
            "40,000",
            "response",
            "100 µs",
            "p99.9",
            "the last second",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        let last = text.lines().find(|l| l.contains("handshake")).expect("a line of handshakes");
        assert!(last.contains("7.00 µs") && last.contains("21.0 µs") && last.contains("70.0 µs"), "{last}");
        assert!(!text.contains("request  "), "no latency of requests was measured:\n{text}");
    }

    #[test]
    fn a_server_has_no_latencies_and_the_smallest_terminals_and_empty_runs_are_drawn_too() {
        let mut view = View::new(line::SERVE);
        drawn(&view, 80, 24);
        view.add(row(1, None), Figures::default());
        let text = drawn(&view, 80, 24);
        assert!(text.contains("per second") && !text.contains("the last second"), "{text}");
        view.add(row(2, Some(0)), Figures::default());
        for (width, height) in [(1, 1), (5, 2), (10, 7), (200, 3)] {
            drawn(&view, width, height);
        }
    }

    #[test]
    fn a_long_run_shows_its_last_minutes() {
        let mut view = View::new(line::LOAD);
        (1..=1000).for_each(|s| view.add(row(s, None), Figures::default()));
        assert_eq!((view.rows.len(), view.span()), (ROWS_MAX, [701.0, 1000.0]));
    }
}
