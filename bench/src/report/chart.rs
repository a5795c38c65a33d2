//! Horizontal bars as SVG.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const WIDTH: u32 = 900;
const BAR_HEIGHT: i32 = 18;
const BAR_DISTANCE: i32 = 24;
const TOP: i32 = 44;
const LABEL_WIDTH: i32 = 330;
/// Right of the longest bar, for its figure.
const FIGURE_WIDTH: i32 = 110;
const FONT: &str = "sans-serif";
const BARS: RGBColor = RGBColor(0x3b, 0x6e, 0xa5);

pub struct Chart {
    pub file: String,
    pub title: String,
    /// Each bar's label, its length, and the figure as it is written beside it.
    pub bars: Vec<(String, f64, String)>,
    /// For figures that are orders of magnitude apart.
    pub logarithmic: bool,
}

impl Chart {
    /// # Panics
    /// Never: drawing into a string cannot fail.
    pub fn svg(&self) -> String {
        let mut text = String::new();
        let height = TOP + BAR_DISTANCE * self.bars.len() as i32 + 12;
        let area = SVGBackend::with_string(&mut text, (WIDTH, height as u32)).into_drawing_area();
        self.draw(&area).expect("drawing into a string cannot fail");
        drop(area);
        text
    }

    fn draw(
        &self,
        area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        area.fill(&WHITE)?;
        let style = |size: u32, h| (FONT, size).into_font().color(&BLACK).pos(Pos::new(h, VPos::Center));
        let scale = if self.logarithmic { ", logarithmic" } else { "" };
        let title = format!("{}{scale}", self.title);
        area.draw(&Text::new(title, (WIDTH as i32 / 2, 22), style(16, HPos::Center)))?;
        for (number, (label, value, figure)) in self.bars.iter().enumerate() {
            let top = TOP + BAR_DISTANCE * number as i32;
            let middle = top + BAR_HEIGHT / 2;
            let end = LABEL_WIDTH + self.length(*value);
            area.draw(&Text::new(label.clone(), (LABEL_WIDTH - 8, middle), style(12, HPos::Right)))?;
            area.draw(&Rectangle::new([(LABEL_WIDTH, top), (end, top + BAR_HEIGHT)], BARS.filled()))?;
            area.draw(&Text::new(figure.clone(), (end + 6, middle), style(12, HPos::Left)))?;
        }
        area.present()?;
        Ok(())
    }

    /// Pixels; a logarithmic bar of the smallest value is not quite nothing.
    fn length(&self, value: f64) -> i32 {
        let values = || self.bars.iter().map(|bar| bar.1).filter(|v| v.is_finite() && *v > 0.0);
        let (smallest, largest) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        if !value.is_finite() || value <= 0.0 {
            return 0;
        }
        let share = match self.logarithmic {
            true => ((value / smallest).ln() + 0.5) / ((largest / smallest).ln() + 0.5),
            false => value / largest,
        };
        (share * f64::from(WIDTH as i32 - LABEL_WIDTH - FIGURE_WIDTH)).round() as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_values_and_nothing_is_no_bar() {
        let bars = vec![
            ("one".to_owned(), 1.0, "1".to_owned()),
            ("ten".to_owned(), 10.0, "10".to_owned()),
            ("none".to_owned(), f64::NAN, "-".to_owned()),
        ];
        let mut chart = Chart { file: "x.svg".into(), title: "t".into(), bars, logarithmic: false };
        assert_eq!(chart.length(10.0), 10 * chart.length(1.0));
        assert_eq!(chart.length(f64::NAN), 0);
        chart.logarithmic = true;
        assert!(chart.length(1.0) > 0 && chart.length(1.0) * 10 > chart.length(10.0));
        let svg = chart.svg();
        assert!(svg.starts_with("<svg") && svg.contains("one") && svg.trim_end().ends_with("</svg>"));
    }
}
