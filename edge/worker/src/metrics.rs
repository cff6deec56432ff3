//! Counters in Workers Analytics Engine, where wrangler.toml binds a data set. What each column holds is described in
//! docs/operating/cloudflare.md.

use alloc::vec;

use js_sys::{Array, Object, Reflect};
use seawall_edge::record::Metric;
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};

/// Writes one data point; nothing waits for it, and a data set that refuses it loses nothing else.
pub(crate) fn write(dataset: &Object, metric: &Metric<'_>) {
    let (kind, blobs, doubles) = match metric {
        Metric::Request(record) => (
            "request",
            vec![
                record.route,
                record.method,
                record.cache,
                record.detail,
                record.limits,
                record.limited,
                record.degraded,
            ],
            vec![
                f64::from(record.status),
                f64::from(record.origin.unwrap_or(0)),
                record.elapsed.as_millis() as f64,
                f64::from(u8::from(record.stored)),
                f64::from(u8::from(record.collapsed)),
            ],
        ),
        Metric::Hits { route, count } => ("hits", vec![*route], vec![f64::from(*count)]),
        Metric::Denials { route, count } => ("denials", vec![*route], vec![f64::from(*count)]),
        Metric::Call { upstream, outcome, elapsed } => {
            ("call", vec![*upstream, outcome], vec![elapsed.as_millis() as f64])
        }
        Metric::Failure(failure) => ("failure", vec![failure.as_str()], vec![]),
        Metric::Job { name, outcome, attempts } => ("job", vec![*name, outcome], vec![f64::from(*attempts)]),
    };
    let texts: Array = [kind].into_iter().chain(blobs).map(JsValue::from_str).collect();
    let numbers: Array = doubles.into_iter().map(JsValue::from_f64).collect();
    let point = Object::new();
    // What samples: kinds are rare and frequent by turns, so each is sampled by itself.
    let index = Array::of1(&JsValue::from_str(kind));
    for (name, value) in [("indexes", &index), ("blobs", &texts), ("doubles", &numbers)] {
        // A property of a fresh object can be set.
        let _ = Reflect::set(&point, &JsValue::from_str(name), value);
    }
    let _ = dataset.unchecked_ref::<Dataset>().write_data_point(&point);
}

#[wasm_bindgen]
extern "C" {
    /// <https://developers.cloudflare.com/analytics/analytics-engine/>
    type Dataset;

    #[wasm_bindgen(method, catch, js_name = writeDataPoint)]
    fn write_data_point(this: &Dataset, point: &Object) -> Result<(), JsValue>;
}
