//! Lines over time, as SVG.

use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

const SIZE: (u32, u32) = (960, 300);
/// More would be less than a pixel apart; of neighbours the extremes are drawn, so that no peak and no gap is lost.
const POINTS_MAX: usize = 480;
/// On the right, for the names of the lines.
const LEGEND_WIDTH: u32 = 110;
const LEGEND_DISTANCE: i32 = 20;
const FONT: &str = "sans-serif";
const COLOURS: [RGBColor; 6] = [
    RGBColor(0x1f, 0x6f, 0xb4),
    RGBColor(0x2c, 0x9a, 0x4b),
    RGBColor(0xe0, 0x8a, 0x1e),
    RGBColor(0xc8, 0x33, 0x2b),
    RGBColor(0x7d, 0x55, 0xa8),
    RGBColor(0x70, 0x70, 0x70),
];

/// A name and the points of a line: seconds, and a value.
pub type Line = (&'static str, Vec<(f64, f64)>);

pub struct Chart {
    pub title: String,
    /// At most as many as there are colours.
    pub lines: Vec<Line>,
    /// How values are written at the axis.
    pub label: fn(f64) -> String,
    /// For values that are orders of magnitude apart. Where there is none, or it is not positive, the line has a gap.
    pub logarithmic: bool,
}

/// Points that are joined to each other.
type Piece = Vec<(f64, f64)>;

impl Chart {
    /// `None`: there is nothing to draw.
    ///
    /// # Panics
    /// Never: drawing into a string cannot fail.
    pub fn svg(&self) -> Option<String> {
        let drawn = self.lines.iter().map(|(name, points)| (*name, self.pieces(points)));
        let lines: Vec<(&str, Vec<Piece>)> = drawn.filter(|(_, pieces)| pieces.iter().flatten().count() > 1).collect();
        let values = || lines.iter().flat_map(|l| l.1.iter().flatten().map(|p| p.1));
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        // Of all that was measured, so that charts of one run have the same axis.
        let end = self.lines.iter().flat_map(|l| l.1.iter().map(|p| p.0)).fold(0.0, f64::max);
        if lines.is_empty() {
            return None;
        }
        let mut text = String::new();
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        let drawn = match self.logarithmic {
            true => self.draw(&area, &lines, end, (low / 1.2..high * 1.2).log_scale()),
            false => self.draw(&area, &lines, end, 0.0..(high * 1.08).max(1.0)),
        };
        drawn.expect("drawing into a string cannot fail");
        drop(area);
        Some(text)
    }

    /// What is drawn of a line.
    fn pieces(&self, points: &[(f64, f64)]) -> Vec<Piece> {
        let each = points.len().div_ceil(POINTS_MAX / 2).max(1);
        let mut pieces = vec![Piece::new()];
        for some in points.chunks(if points.len() > POINTS_MAX { each } else { 1 }) {
            let there = || some.iter().copied().filter(|p| p.1.is_finite() && (p.1 > 0.0 || !self.logarithmic));
            let by_value = |a: &(f64, f64), b: &(f64, f64)| a.1.total_cmp(&b.1);
            let (Some(low), Some(high)) = (there().min_by(by_value), there().max_by(by_value)) else {
                pieces.push(Piece::new());
                continue;
            };
            let mut extremes = vec![low, high];
            extremes.sort_by(|a, b| a.0.total_cmp(&b.0));
            extremes.dedup();
            // There is always one.
            pieces.iter_mut().last().iter_mut().for_each(|piece| piece.extend_from_slice(&extremes));
        }
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    fn draw<Y>(
        &self,
        area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
        lines: &[(&str, Vec<Piece>)],
        end: f64,
        y: Y,
    ) -> Result<(), Box<dyn std::error::Error>>
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: ValueFormatter<f64>,
    {
        area.fill(&WHITE)?;
        let (left, right) = area.split_horizontally(SIZE.0 - LEGEND_WIDTH);
        let mut chart = ChartBuilder::on(&left)
            .caption(&self.title, (FONT, 16))
            .margin(8)
            .margin_right(24)
            .x_label_area_size(28)
            .y_label_area_size(84)
            .build_cartesian_2d(0.0..end, y)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(0xe4, 0xe4, 0xe4))
            .x_label_formatter(&|s| format!("{s} s"))
            .y_label_formatter(&|v| (self.label)(*v))
            .y_labels(6)
            .label_style((FONT, 12))
            .draw()?;
        for (((name, pieces), colour), n) in lines.iter().zip(COLOURS.iter().cycle()).zip(2..) {
            let (style, y) = (colour.stroke_width(2), n * LEGEND_DISTANCE);
            for piece in pieces {
                chart.draw_series(LineSeries::new(piece.iter().copied(), style))?;
            }
            // One alone would be a line without length.
            let dots = pieces.iter().filter(|piece| piece.len() == 1).flatten();
            chart.draw_series(dots.map(|point| Circle::new(*point, 2, style.filled())))?;
            right.draw(&PathElement::new([(0, y), (16, y)], style))?;
            right.draw(&Text::new(*name, (22, y - 6), (FONT, 12)))?;
        }
        area.present()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>, logarithmic: bool) -> Chart {
        let lines = vec![("one", points)];
        Chart { title: "rates".into(), lines, label: |v| format!("{v}"), logarithmic }
    }

    #[test]
    fn lines_are_drawn_with_title_and_legend_and_nothing_is_no_chart() {
        for logarithmic in [false, true] {
            let svg = chart(vec![(1.0, 5.0), (2.0, 5000.0)], logarithmic).svg().expect("two points");
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
            assert!(svg.contains("rates") && svg.contains("one") && svg.contains("polyline"));
        }
        assert_eq!(chart(Vec::new(), false).svg(), None);
        assert_eq!(chart(vec![(1.0, 5.0)], false).svg(), None);
        assert_eq!(chart(vec![(1.0, 0.0), (2.0, 0.0)], true).svg(), None);
    }

    #[test]
    fn of_many_points_the_peaks_and_the_stalls_are_kept() {
        let points: Vec<(f64, f64)> = (0..100_000)
            .map(|n| match n {
                77_777 => (77_777.0, 9.0),
                33_333 => (33_333.0, 0.0),
                n => (f64::from(n), 1.0),
            })
            .collect();
        let drawn = chart(Vec::new(), false).pieces(&points).concat();
        assert!(drawn.len() <= POINTS_MAX && drawn.contains(&(77_777.0, 9.0)), "{}", drawn.len());
        assert!(drawn.contains(&(33_333.0, 0.0)), "a second without anything is seen");
        assert!(drawn.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn a_line_has_a_gap_where_nothing_was_measured() {
        let points = [1.0, 2.0, f64::NAN, f64::NAN, 3.0, f64::NAN, 4.0, 5.0];
        let points: Vec<(f64, f64)> = points.into_iter().enumerate().map(|(at, v)| (at as f64, v)).collect();
        let lengths: Vec<usize> = chart(Vec::new(), true).pieces(&points).iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1, 2]);
        let svg = chart(points, true).svg().expect("points");
        assert!(svg.contains("<circle"), "what stands alone is seen too");
    }
}
