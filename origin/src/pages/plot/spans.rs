//! Spans on a common axis, one under the other: how long each of several things took.

use askama::Template;

use super::percent;
use crate::error::Error;
use crate::pages::text::clip;

/// Rows of one plot. Further ones are left out; the page says elsewhere how many there are.
pub(crate) const ROWS_MAX: usize = 40;

/// Characters of a row's text; more do not fit above its bar on a phone.
const TEXT_CHARS_MAX: usize = 48;
/// Height of a row: its text, its bar, and air.
const ROW_HEIGHT: usize = 40;
/// Height of the line of labels below the rows.
const LABELS_HEIGHT: usize = 20;
/// Labels of the axis, at most; more are thinned.
const LABELS_MAX: usize = 6;
/// Narrowest bar in percent of the width: shorter would not be seen.
const WIDTH_MIN: f64 = 0.4;

/// Rows of spans over one axis.
#[derive(Clone, Debug)]
pub(crate) struct Spans {
    /// What it shows; the figure's caption.
    pub(crate) title: String,
    /// One sentence that says what can be seen, for whoever hears the page. The figures themselves stand on the page as
    /// text or as a table.
    pub(crate) description: String,
    /// The least and the greatest value of the axis.
    pub(crate) axis: (f64, f64),
    /// Values of the axis that have a line and a label, in ascending order.
    pub(crate) ticks: Vec<(f64, String)>,
    /// What is drawn, [`ROWS_MAX`] at most.
    pub(crate) rows: Vec<Span>,
}

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// What stands above the bar.
    pub(crate) text: String,
    /// Where the bar begins and ends.
    pub(crate) from: f64,
    /// See `from`; an end before the beginning draws the shortest bar.
    pub(crate) to: f64,
    /// A mark on it, such as the median.
    pub(crate) mark: Option<f64>,
    /// The end of a thin line behind the bar, such as a high percentile.
    pub(crate) reach: Option<f64>,
    /// The class of the bar: a stage of a permit (`review`, `issued`, `complete`, `ended`), or a series (`s0` to `s3`).
    pub(crate) class: &'static str,
}

#[derive(Template)]
#[template(path = "spans.html")]
struct Figure<'a> {
    spans: &'a Spans,
    id: &'a str,
    height: usize,
    rows_bottom: usize,
    labels_y: usize,
    ticks: Vec<Tick<'a>>,
    rows: Vec<Row>,
}

struct Tick<'a> {
    x: f64,
    anchor: &'static str,
    text: &'a str,
}

struct Row {
    class: &'static str,
    text: String,
    text_y: usize,
    bar_y: usize,
    middle_y: usize,
    x: f64,
    width: f64,
    mark: Option<f64>,
    reach: Option<f64>,
}

impl Spans {
    /// The figure as HTML, which a template takes as safe. `id` is unlike every other `id` of the page.
    ///
    /// # Errors
    /// When the template cannot be written, which is a bug.
    pub(crate) fn html(&self, id: &str) -> Result<String, Error> {
        let (least, greatest) = self.axis;
        let length = (greatest - least).max(f64::MIN_POSITIVE);
        let x = |value: f64| {
            let part = (value - least) / length;
            if part.is_finite() { percent(part.clamp(0.0, 1.0)) } else { 0.0 }
        };
        let rows: Vec<Row> = self
            .rows
            .iter()
            .take(ROWS_MAX)
            .enumerate()
            .map(|(number, span)| {
                let top = number * ROW_HEIGHT;
                let from = x(span.from).min(100.0 - WIDTH_MIN);
                Row {
                    class: span.class,
                    text: clip(&span.text, TEXT_CHARS_MAX),
                    text_y: top + 14,
                    bar_y: top + 20,
                    middle_y: top + 26,
                    x: from,
                    width: percent((x(span.to) - from).max(WIDTH_MIN) / 100.0),
                    mark: span.mark.map(x),
                    reach: span.reach.map(x),
                }
            })
            .collect();
        let rows_bottom = rows.len() * ROW_HEIGHT;
        let figure = Figure {
            spans: self,
            id,
            height: rows_bottom + LABELS_HEIGHT,
            rows_bottom,
            labels_y: rows_bottom + 15,
            ticks: thinned(&self.ticks).map(|(value, text)| tick(x(*value), text)).collect(),
            rows,
        };
        figure.render().map_err(Error::bug)
    }
}

/// Every n-th tick, so that at most [`LABELS_MAX`] are left.
fn thinned(ticks: &[(f64, String)]) -> impl Iterator<Item = &(f64, String)> {
    ticks.iter().step_by(ticks.len().div_ceil(LABELS_MAX).max(1))
}

fn tick(x: f64, text: &str) -> Tick<'_> {
    let anchor = match x {
        x if x < 5.0 => "start",
        x if x > 95.0 => "end",
        _ => "middle",
    };
    Tick { x, anchor, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: f64, to: f64) -> Span {
        Span { text: "BLDG & <co>".to_owned(), from, to, mark: Some(25.0), reach: Some(400.0), class: "s0" }
    }

    fn spans(rows: Vec<Span>) -> Spans {
        let ticks = (0..=8).map(|tick| (f64::from(tick) * 25.0, format!("{} days", tick * 25))).collect();
        Spans { title: "Days".to_owned(), description: "Most take weeks.".to_owned(), axis: (0.0, 200.0), ticks, rows }
    }

    #[test]
    fn bars_lie_where_their_values_are() {
        let html = spans(vec![span(20.0, 100.0), span(150.0, 20.0), span(f64::NAN, 900.0)]).html("v").unwrap();
        assert!(html.contains("x=\"10%\" y=\"20\" width=\"40%\""), "{html}");
        // An end before the beginning, and values beyond the axis.
        assert!(html.contains("x=\"75%\" y=\"60\" width=\"0.4%\""), "{html}");
        assert!(html.contains("x=\"0%\" y=\"100\" width=\"100%\""), "{html}");
        assert!(html.contains("x2=\"100%\"") && html.contains("x1=\"12.5%\""), "{html}");
        assert!(!html.contains("NaN") && !html.contains("<co>") && !html.contains("style="), "{html}");
    }

    #[test]
    fn rows_and_labels_are_bounded() {
        let html = spans(vec![span(1.0, 2.0); ROWS_MAX + 1]).html("v").unwrap();
        assert_eq!(html.matches("<rect").count(), ROWS_MAX);
        assert_eq!(html.matches("days</text>").count(), 5);
        assert!(spans(Vec::new()).html("v").unwrap().contains("<svg"));
    }
}
