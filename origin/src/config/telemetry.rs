//! Who is told of requests as spans. The variables are OpenTelemetry's own.

use super::{Reader, Secret, http_url, var};

/// Who is told of requests as spans.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`, without a slash at the end; nobody is told without one.
    pub endpoint: Option<String>,
    /// `OTEL_EXPORTER_OTLP_HEADERS`: what the collector wants to see with each batch.
    pub headers: Vec<(String, Secret)>,
    /// `OTEL_SERVICE_NAME`: what this process is called there.
    pub service_name: String,
    /// `OTEL_TRACES_SAMPLER_ARG` in thousandths: the part of traces that begin here which is exported.
    pub sample_permille: u16,
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    pub(super) fn telemetry(&mut self) -> Telemetry {
        Telemetry {
            endpoint: self.checked(&var::OTEL_EXPORTER_OTLP_ENDPOINT, http_url),
            headers: self.checked(&var::OTEL_EXPORTER_OTLP_HEADERS, headers).unwrap_or_default(),
            service_name: self.text(&var::OTEL_SERVICE_NAME, |value| Some(value.to_owned())),
            sample_permille: self.parse(&var::OTEL_TRACES_SAMPLER_ARG, 0, part),
        }
    }
}

/// `name=value,name=value`.
fn headers(value: &str) -> Option<Vec<(String, Secret)>> {
    let field = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        let fits = http::HeaderName::try_from(name).is_ok() && http::HeaderValue::try_from(value).is_ok();
        fits.then(|| (name.to_owned(), Secret::new(value.to_owned())))
    };
    value.split(',').map(field).collect()
}

/// A part of a whole in thousandths; none is one too.
fn part(value: &str) -> Option<u16> {
    if value == "0" { Some(0) } else { super::database::permille(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_pairs() {
        let read = |value| {
            let fields = headers(value)?;
            Some(fields.iter().map(|(name, value)| format!("{name}: {}", value.expose())).collect::<Vec<_>>())
        };
        assert_eq!(read("x-key=a=b, x-team = one").unwrap(), ["x-key: a=b", "x-team: one"]);
        for wrong in ["x-key", "x key=1", "=1", "x-key=1,", "x-key=a\nb"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
