//! A page by itself: nothing is loaded from elsewhere.

use std::fmt::Write as _;

use super::plot::{Line, plot};
use super::{Report, ScenarioResult, kinds};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b2733;--paper:#fbfaf7;--line:#c9ced3;--a:#0b6aa2;--b:#b4521e;--c:#a3112f}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaee;--paper:#12181e;--line:#3b454f;--a:#64b5e6;--b:#f0a070;--c:#ff7b93}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .5rem;border-bottom:1px solid var(--line);text-align:right}
th:first-child,td:first-child{text-align:left}
figure{margin:2rem 0}figcaption{font-weight:600}
svg{width:100%;height:auto}svg text{fill:var(--ink);font-size:11px}svg .value{text-anchor:end}
.grid{stroke:var(--line);stroke-width:1}polyline{fill:none;stroke-width:1.8}
polyline.a{stroke:var(--a)}polyline.b{stroke:var(--b)}polyline.c{stroke:var(--c)}
.legend .a{color:var(--a)}.legend .b{color:var(--b)}.legend .c{color:var(--c)}";

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let meta = &report.meta;
    let model = meta.rate_per_second.map_or_else(
        || format!("closed model, {} ms between answer and next request", meta.think_ms),
        |rate| format!("open model, {rate} requests a second"),
    );
    let mut rows = String::new();
    for result in report.results.values() {
        rows.push_str(&row(result));
    }
    let values = |of: fn(&super::Row) -> f64| report.seconds.iter().map(of).collect();
    let throughput = plot(
        "Answers in each second",
        "per second",
        &[
            Line { name: "answered", class: "a", values: values(|row| row.answered as f64) },
            Line { name: "limited (429)", class: "b", values: values(|row| row.limited as f64) },
            Line { name: "failed", class: "c", values: values(|row| row.failed as f64) },
        ],
    );
    let latency = plot(
        "Time to a whole answer",
        "ms",
        &[
            Line { name: "p50", class: "a", values: values(|row| row.p50_ms) },
            Line { name: "p99", class: "b", values: values(|row| row.p99_ms) },
        ],
    );
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Load on {url}</title>\n<style>{STYLE}</style></head>\n\
         <body><h1>Load on {url}</h1>\n\
         <p>{users} users over HTTP/{http}, {duration} s after a ramp of {ramp} s; {model}. \
         Times are those of whole answers with status 200. The tool itself used {cpu:.0} % of one core.</p>\n\
         <table><thead><tr><th>scenario</th><th>answered</th><th>per s</th><th>429</th><th>errors</th><th>p50 ms</th>\
         <th>p95 ms</th><th>p99 ms</th><th>max ms</th></tr></thead><tbody>\n{rows}</tbody></table>\n\
         {throughput}{latency}</body></html>\n",
        url = escape(&meta.base_url),
        users = meta.concurrency,
        http = meta.http,
        duration = meta.duration_seconds,
        ramp = meta.ramp_seconds,
        cpu = meta.tool.cpu_share * 100.0,
    )
}

fn row(result: &ScenarioResult) -> String {
    let mut row = format!(
        "<tr><td>{}</td><td>{}</td><td>{:.1}</td><td>{}</td><td>{}{}</td>",
        escape(&result.scenario),
        result.success_count,
        result.requests_per_second,
        result.limited_count,
        result.error_count,
        kinds(&result.errors),
    );
    match &result.latency_ms {
        None => row.push_str("<td colspan=\"4\">nothing was answered</td>"),
        Some(latency) => {
            for value in [latency.p50, latency.p95, latency.p99, latency.max] {
                // Writing into a String does not fail.
                let _ = write!(row, "<td>{value:.1}</td>");
            }
        }
    }
    row.push_str("</tr>\n");
    row
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
