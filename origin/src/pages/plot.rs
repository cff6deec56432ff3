//! Plots: inline SVG whose text stays readable at any width, with the same figures as a table for whoever does not see
//! it.
//!
//! Horizontal places are percentages and vertical ones pixels, so a plot fills its column and keeps its height and its
//! letters; lines lie in an inner `svg` that is stretched. Everything is an attribute or a class of `site.css`: the
//! site's security policy allows no inline style.

mod scale;
mod spans;

use askama::Template;

use self::scale::Scale;
pub(crate) use self::spans::{Span, Spans};
use super::text::figure;
use crate::error::Error;

/// Series of one plot: the stylesheet has a colour and a dash for each. Further ones are left out.
pub(crate) const SERIES_MAX: usize = 4;

/// Points of one series: a year of weeks, a day of quarter hours. Of a longer series the last ones are drawn.
pub(crate) const POINTS_MAX: usize = 100;

/// Height of the part that holds lines and bars, in CSS pixels.
const AREA_HEIGHT: f64 = 180.0;
/// Room above it for the label of the highest tick.
const AREA_TOP: f64 = 18.0;
/// Room below it for the labels of the points.
const LABELS_HEIGHT: f64 = 22.0;
/// Width of the stretched coordinates in which lines are drawn.
const LINE_WIDTH: f64 = 1_000.0;
/// Labels below the area, at most.
const LABELS_MAX: usize = 5;
/// Part of a point's room that its bars fill.
const BARS_FILL: f64 = 0.8;

/// Round values from zero to the first that is not less than `max`: the ticks of an axis.
pub(crate) fn ticks(max: f64) -> impl Iterator<Item = f64> {
    Scale::to(max, false).ticks()
}

/// How points are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A line for each series, broken where a value is missing.
    Lines,
    /// Bars side by side for each point.
    Bars,
}

/// Values over a common row of labels, from zero upwards.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    /// What it shows; the figure's caption.
    pub(crate) title: String,
    /// The unit of the values, such as `ms`; empty for plain numbers.
    pub(crate) unit: &'static str,
    /// One sentence that says what can be seen, for whoever hears the page.
    pub(crate) description: String,
    /// How points are drawn.
    pub(crate) form: Form,
    /// The heading of the labels in the table, such as `Hour`.
    pub(crate) label: &'static str,
    /// One for each point, first to last.
    pub(crate) labels: Vec<String>,
    /// What is drawn, [`SERIES_MAX`] at most.
    pub(crate) series: Vec<Series>,
}

/// One line, or one bar at each point.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// Its name in the legend and in the table.
    pub(crate) name: String,
    /// One for each label; `None` where nothing is known. Below zero is drawn at zero, and what is no finite number is
    /// nothing known.
    pub(crate) values: Vec<Option<f64>>,
}

#[derive(Template)]
#[template(path = "plot.html")]
struct Figure<'a> {
    plot: &'a Plot,
    /// The plot's own name among those of the page, for references inside it.
    id: &'a str,
    height: f64,
    area_bottom: f64,
    labels_y: f64,
    ticks: Vec<Tick>,
    labels: Vec<Label<'a>>,
    lines: Vec<Line>,
    dots: Vec<Dot>,
    bars: Vec<Bar>,
    rows: Vec<(&'a str, Vec<String>)>,
}

struct Tick {
    y: f64,
    text_y: f64,
    text: String,
}

struct Label<'a> {
    x: f64,
    anchor: &'static str,
    text: &'a str,
}

struct Line {
    series: usize,
    points: String,
}

/// A value without neighbours.
struct Dot {
    series: usize,
    x: f64,
    y: f64,
}

struct Bar {
    series: usize,
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Plot {
    /// The figure as HTML, which a template takes as safe. `id` is unlike every other `id` of the page.
    ///
    /// # Errors
    /// When the template cannot be written, which is a bug.
    pub(crate) fn html(&self, id: &str) -> Result<String, Error> {
        let first = self.labels.len().saturating_sub(POINTS_MAX);
        let labels = &self.labels[first..];
        let series: Vec<Vec<Option<f64>>> =
            self.series.iter().take(SERIES_MAX).map(|series| known(&series.values, first, labels.len())).collect();
        let values = || series.iter().flatten().flatten().copied();
        let whole = values().all(|value| value.fract() == 0.0);
        let scale = Scale::to(values().fold(0.0, f64::max), whole);
        let y = |value: f64| AREA_TOP + AREA_HEIGHT * (1.0 - scale.part(value));
        let points = labels.len().max(1) as f64;
        // A point stands in the middle of its room.
        let middle = |point: usize| (point as f64 + 0.5) / points;
        let mut lines = Vec::new();
        let mut dots = Vec::new();
        let mut bars = Vec::new();
        for (number, values) in series.iter().enumerate() {
            match self.form {
                Form::Lines => {
                    for run in runs(values) {
                        if let [(point, value)] = run[..] {
                            dots.push(Dot { series: number, x: percent(middle(point)), y: y(value) });
                            continue;
                        }
                        let places = run
                            .iter()
                            .map(|(point, value)| format!("{:.1},{:.1}", LINE_WIDTH * middle(*point), y(*value)));
                        lines.push(Line { series: number, points: places.collect::<Vec<_>>().join(" ") });
                    }
                }
                Form::Bars => {
                    let width = BARS_FILL / points / series.len() as f64;
                    let first = |point: usize| middle(point) - BARS_FILL / points / 2.0;
                    bars.extend(values.iter().enumerate().filter_map(|(point, value)| {
                        // Nothing to see at zero; the table has it.
                        let (x, top) = (first(point) + width * number as f64, y(value.filter(|value| *value > 0.0)?));
                        Some(Bar {
                            series: number,
                            x: percent(x),
                            y: top,
                            width: percent(width),
                            height: AREA_TOP + AREA_HEIGHT - top,
                        })
                    }));
                }
            }
        }
        let figure = Figure {
            plot: self,
            id,
            height: AREA_TOP + AREA_HEIGHT + LABELS_HEIGHT,
            area_bottom: AREA_TOP + AREA_HEIGHT,
            labels_y: AREA_TOP + AREA_HEIGHT + LABELS_HEIGHT - 6.0,
            ticks: scale.ticks().map(|value| tick(value, self.unit, y(value))).collect(),
            labels: few(labels).map(|point| label(&labels[point], point, labels.len(), middle(point))).collect(),
            lines,
            dots,
            bars,
            rows: labels.iter().enumerate().map(|(point, label)| (label.as_str(), row(&series, point))).collect(),
        };
        figure.render().map_err(Error::bug)
    }
}

/// A part of the width in percent; two decimals are finer than a pixel.
pub(super) fn percent(part: f64) -> f64 {
    (part * 10_000.0).round() / 100.0
}

/// The values that are drawn, as many as there are labels.
fn known(values: &[Option<f64>], first: usize, points: usize) -> Vec<Option<f64>> {
    let drawn =
        values.iter().skip(first).map(|value| value.filter(|value| value.is_finite()).map(|value| value.max(0.0)));
    drawn.chain(std::iter::repeat(None)).take(points).collect()
}

/// Neighbouring values, without the gaps between them.
fn runs(values: &[Option<f64>]) -> Vec<Vec<(usize, f64)>> {
    let points: Vec<_> = values.iter().enumerate().map(|(point, value)| value.map(|value| (point, value))).collect();
    points
        .split(Option::is_none)
        .filter(|run| !run.is_empty())
        .map(|run| run.iter().copied().flatten().collect())
        .collect()
}

fn tick(value: f64, unit: &str, y: f64) -> Tick {
    Tick { y, text_y: y - 4.0, text: with_unit(value, unit) }
}

/// `1,200 ms`
fn with_unit(value: f64, unit: &str) -> String {
    let space = if unit.is_empty() { "" } else { " " };
    format!("{}{space}{unit}", figure(value))
}

/// Which of the labels have room: the first, the last, and some between.
fn few(labels: &[String]) -> impl Iterator<Item = usize> + use<> {
    let last = labels.len().saturating_sub(1);
    let shown = labels.len().min(LABELS_MAX);
    (0..shown).map(move |place| if shown > 1 { place * last / (shown - 1) } else { 0 })
}

fn label(text: &str, point: usize, points: usize, middle: f64) -> Label<'_> {
    let (x, anchor) = match point {
        _ if points == 1 => (50.0, "middle"),
        0 => (0.0, "start"),
        _ if point + 1 == points => (100.0, "end"),
        _ => (percent(middle), "middle"),
    };
    Label { x, anchor, text }
}

fn row(series: &[Vec<Option<f64>>], point: usize) -> Vec<String> {
    series.iter().map(|values| values[point].map_or_else(|| "–".to_owned(), figure)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(form: Form, values: &[&[Option<f64>]]) -> Plot {
        let points = values.first().map_or(0, |values| values.len());
        Plot {
            title: "Requests <b>".to_owned(),
            unit: "ms",
            description: "It rises.".to_owned(),
            form,
            label: "Hour",
            labels: (0..points).map(|hour| format!("{hour}:00")).collect(),
            series: values.iter().map(|values| Series { name: "p50".to_owned(), values: values.to_vec() }).collect(),
        }
    }

    #[test]
    fn a_gap_breaks_the_line_and_a_lone_value_is_a_dot() {
        let html = plot(Form::Lines, &[&[Some(1.0), Some(2.0), None, Some(4.0), None, Some(2.0), Some(0.0)]])
            .html("a")
            .unwrap();
        assert_eq!((html.matches("<polyline").count(), html.matches("<circle").count()), (2, 1), "{html}");
        // Four is the top of the scale, and the point in the middle.
        assert!(html.contains("cx=\"50%\" cy=\"18\""), "{html}");
        assert!(html.contains("points=\"71.4,153.0 214.3,108.0\""), "{html}");
    }

    #[test]
    fn bars_share_the_room_of_their_point() {
        let html = plot(Form::Bars, &[&[Some(5.0), Some(10.0)], &[Some(0.0), None]]).html("a").unwrap();
        assert_eq!(html.matches("<rect").count(), 2, "{html}");
        assert!(html.contains("x=\"5%\" y=\"108\" width=\"20%\" height=\"90\""), "{html}");
        assert!(html.contains("<td class=\"n\">0</td>"), "{html}");
        assert!(html.contains("<td class=\"n\">–</td>"), "{html}");
    }

    #[test]
    fn what_is_no_number_is_not_drawn_and_no_points_are_no_fault() {
        let strange = [Some(f64::NAN), Some(f64::INFINITY), Some(-3.0)];
        let html = plot(Form::Lines, &[&strange]).html("a").unwrap();
        assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
        assert!(html.contains("cy=\"198\""), "{html}");
        for form in [Form::Lines, Form::Bars] {
            assert!(plot(form, &[]).html("a").unwrap().contains("<svg"));
        }
    }

    #[test]
    fn the_last_points_and_the_first_series_are_drawn() {
        let long: Vec<Option<f64>> = (0..=POINTS_MAX).map(|value| Some(value as f64 + 1.0)).collect();
        let html = plot(Form::Bars, &[&long[..]; SERIES_MAX + 1]).html("a").unwrap();
        assert_eq!(html.matches("<rect").count(), POINTS_MAX * SERIES_MAX);
        assert!(html.contains("<th scope=\"row\">1:00</th>") && !html.contains("<th scope=\"row\">0:00</th>"));
    }

    #[test]
    fn nothing_is_inline_and_texts_are_escaped() {
        let html = plot(Form::Lines, &[&[Some(1.0), Some(2.0)]]).html("load").unwrap();
        assert!(!html.contains("style=") && !html.contains("<b>"), "{html}");
        assert!(html.contains("role=\"img\"") && html.contains("It rises."), "{html}");
    }
}
