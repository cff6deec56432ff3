//! The site is down on purpose.

use alloc::string::{String, ToString};

use seawall_core::{headers::Fields, policy::Route, problem::Problem, time::seconds_ceil};

use crate::{
    Edge, Platform, answer,
    message::{Headers, Response},
};

/// Whether requests of `route` are kept from the origin.
pub(crate) fn holds(edge: &Edge, route: &Route) -> bool {
    is_on(edge) && !route.in_maintenance
}

/// Whether the site is down: the host's switch wins over the policy.
pub(crate) fn is_on(edge: &Edge) -> bool {
    edge.settings.maintenance.unwrap_or_else(|| edge.policy.site().maintenance.on)
}

/// What visitors get: a page for who reads HTML, a problem for everyone else.
pub(crate) fn page<P: Platform>(edge: &Edge, platform: &P, accept: Option<&str>) -> Response<P> {
    let maintenance = &edge.policy.site().maintenance;
    if !accept.is_some_and(reads_html) {
        let problem = Problem::temporary_reduced_capacity(&maintenance.text);
        return answer::problem(platform, &problem, Some(maintenance.retry_after));
    }
    let mut headers = P::Headers::default();
    headers.set("content-type", "text/html; charset=utf-8");
    headers.set("cache-control", "no-store");
    headers.set("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
    headers.set("retry-after", &seconds_ceil(maintenance.retry_after).to_string());
    let mut html = String::from(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Back soon</title><h1>Back soon</h1>\n<p>",
    );
    append_escaped(&mut html, &maintenance.text);
    html.push_str("</p></html>\n");
    Response::new(503, headers, Some(platform.text(html)))
}

/// Whether a list of media ranges names HTML, at whatever weight.
fn reads_html(accept: &str) -> bool {
    accept.split([',', ';']).any(|part| part.trim().eq_ignore_ascii_case("text/html"))
}

/// The field that says what a client reads.
pub(crate) fn accept(request: &impl Fields) -> Option<String> {
    request.field("accept").map(|value| value.into_owned())
}

fn append_escaped(html: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            character => html.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_html_reads_it() {
        for (accept, reads) in [
            ("text/html", true),
            ("application/xhtml+xml, Text/HTML ;q=0.9", true),
            ("text/html;level=1", true),
            ("application/json", false),
            ("text/html5", false),
            ("*/*", false),
            ("", false),
        ] {
            assert_eq!(reads_html(accept), reads, "{accept}");
        }
    }

    #[test]
    fn a_text_is_no_markup() {
        let mut html = String::new();
        append_escaped(&mut html, "a <b> & \"c\"");
        assert_eq!(html, "a &lt;b&gt; &amp; \"c\"");
    }
}
