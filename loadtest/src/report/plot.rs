//! A line plot as SVG, with its text equivalent.

use std::fmt::Write as _;

/// One line of a plot.
pub(super) struct Line {
    pub(super) name: &'static str,
    /// A class of the page's style sheet.
    pub(super) class: &'static str,
    pub(super) values: Vec<f64>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
/// Room for the labels.
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 12.0;
const GRID_LINES: u32 = 4;

/// Draws lines over seconds, each from zero. A plot of no values has axes and no line.
pub(super) fn plot(title: &str, unit: &str, lines: &[Line]) -> String {
    let seconds = lines.iter().map(|line| line.values.len()).max().unwrap_or_default();
    let top = round_up(lines.iter().flat_map(|line| &line.values).fold(0.0, |most: f64, value| most.max(*value)));
    let x = |at: usize| LEFT + (WIDTH - LEFT) * at as f64 / seconds.saturating_sub(1).max(1) as f64;
    let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - value / top);
    let mut svg = format!(
        "<figure><figcaption>{title}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
        describe(title, unit, lines)
    );
    // Writing into a String does not fail.
    for line in 0..=GRID_LINES {
        let value = top * f64::from(line) / f64::from(GRID_LINES);
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{WIDTH}\"/><text x=\"{x:.1}\" y=\"{t:.1}\" class=\"value\">{value}</text>",
            y = y(value),
            x = LEFT - 6.0,
            t = y(value) + 4.0,
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{b}\">0 s</text><text x=\"{WIDTH}\" y=\"{b}\" class=\"value\">{seconds} s</text>",
        b = HEIGHT - 6.0
    );
    for line in lines {
        let points: Vec<String> =
            line.values.iter().enumerate().map(|(at, value)| format!("{:.1},{:.1}", x(at), y(*value))).collect();
        let _ = writeln!(svg, "<polyline class=\"{}\" points=\"{}\"/>", line.class, points.join(" "));
    }
    svg.push_str("</svg>\n<p class=\"legend\">");
    for line in lines {
        let _ = write!(svg, "<span class=\"{}\">{}</span> ", line.class, line.name);
    }
    let _ = writeln!(svg, "({unit})</p></figure>");
    svg
}

/// What the plot shows, in words.
fn describe(title: &str, unit: &str, lines: &[Line]) -> String {
    let parts: Vec<String> = lines
        .iter()
        .map(|line| {
            let most = line.values.iter().fold(0.0, |most: f64, value| most.max(*value));
            let mean = line.values.iter().sum::<f64>() / line.values.len().max(1) as f64;
            format!("{}: mean {mean:.1}, highest {most:.1} {unit}", line.name)
        })
        .collect();
    format!("{title}. {}.", parts.join("; "))
}

/// The next of 1, 2, 5, 10, 20, ... at or above a value.
fn round_up(value: f64) -> f64 {
    let mut scale = 1.0;
    loop {
        for step in [1.0, 2.0, 5.0] {
            if value <= step * scale {
                return step * scale;
            }
        }
        scale *= 10.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, top) in [(0.0, 1.0), (1.0, 1.0), (1.5, 2.0), (4.0, 5.0), (99.0, 100.0), (1_200.0, 2_000.0)] {
            assert_eq!(round_up(value), top, "{value}");
        }
    }

    #[test]
    fn lines_stay_within_the_frame() {
        let svg = plot("t", "ms", &[Line { name: "p50", class: "a", values: vec![0.0, 3.0, 10.0] }]);
        assert!(svg.contains("points=\"64.0,196.0 392.0,140.8 720.0,12.0\""), "{svg}");
        assert!(svg.contains("p50: mean 4.3, highest 10.0 ms"), "{svg}");
    }
}
