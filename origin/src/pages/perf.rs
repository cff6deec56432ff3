//! `/admin/perf`: how fast the site is and what is asked of it, for administrators.

use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::plot::{Form, Plot, Series};
use super::text::thousands;
use super::{Frame, render};
use crate::accounts::{Admin, private};
use crate::error::Error;
use crate::metrics::Figures;
use crate::server::Site;

#[derive(Template)]
#[template(path = "perf.html")]
struct PerfPage {
    frame: Frame,
    tiles: Vec<Tile>,
    latency: String,
    traffic: String,
    lists: [List; 2],
    computed: String,
}

struct List {
    title: &'static str,
    routes: Vec<Route>,
}

struct Tile {
    name: &'static str,
    value: String,
}

struct Route {
    name: String,
    requests: String,
    mean: String,
    p95: String,
}

/// `GET /admin/perf`
pub(crate) async fn page(State(site): State<Arc<Site>>, Admin(user): Admin) -> Result<Response, Error> {
    let figures = figures(&site).await?;
    let list = |name: &str| figures[name].as_array().cloned().unwrap_or_default();
    let times = list("over_time");
    let at = |name: &str| times.iter().map(|time| time[name].as_f64()).collect::<Vec<_>>();
    let labels: Vec<String> = times.iter().filter_map(|time| time["at"].as_str().map(str::to_owned)).collect();
    let series = |name: &str, values| Series { name: name.to_owned(), values };
    let overall = |name: &str| milliseconds(&figures[name]);
    let latency = Plot {
        title: "Time to answer over the last 24 hours".to_owned(),
        unit: "ms",
        description: format!(
            "Over the whole day half of all requests took up to {}, and nineteen of twenty up to {}.",
            overall("p50_ms"),
            overall("p95_ms")
        ),
        form: Form::Lines,
        label: "Half hour from (UTC)",
        labels: labels.clone(),
        series: vec![series("half of requests", at("p50_ms")), series("nineteen of twenty", at("p95_ms"))],
    };
    let traffic = Plot {
        title: "Requests in each half hour of the last 24 hours".to_owned(),
        unit: "",
        description: format!("{} requests in all.", count(&figures["requests"])),
        form: Form::Bars,
        label: "Half hour from (UTC)",
        labels,
        series: vec![series("requests", at("requests"))],
    };
    let (pool, cache) = (&figures["pool"], &figures["cache"]);
    let page = PerfPage {
        frame: Frame::new("How fast the site is").of(site.accounts.form_token(&user.session)),
        tiles: vec![
            Tile { name: "requests", value: count(&figures["requests"]) },
            Tile { name: "half within", value: overall("p50_ms") },
            Tile { name: "95 of 100 within", value: overall("p95_ms") },
            Tile { name: "99 of 100 within", value: overall("p99_ms") },
            Tile { name: "connections in use", value: format!("{} of {}", pool["in_use"], pool["max"]) },
            Tile { name: "callers waiting", value: count(&pool["waiting"]) },
            Tile {
                name: "page cache hits",
                value: cache["hit_permille"]
                    .as_u64()
                    .map_or_else(|| "–".to_owned(), |hits| format!("{}.{} %", hits / 10, hits % 10)),
            },
        ],
        latency: latency.html("latency")?,
        traffic: traffic.html("traffic")?,
        lists: [("Slowest routes", "slowest"), ("Busiest routes", "busiest")]
            .map(|(title, name)| List { title, routes: list(name).iter().map(Route::of).collect() }),
        computed: figures["_cached_at"].as_str().unwrap_or("just now").to_owned(),
    };
    Ok(private(render(&page)?))
}

/// `GET /admin/perf.json`
pub(crate) async fn json(State(site): State<Arc<Site>>, Admin(_): Admin) -> Result<Response, Error> {
    Ok(private(Json(figures(&site).await?)))
}

/// The day's figures, which all processes share, with those of this process and this moment.
async fn figures(site: &Site) -> Result<Value, Error> {
    let mut figures: Map<String, Value> = site.cache.get_cached_or_compute(&Figures(site.databases.clone())).await?;
    figures.insert("pool".to_owned(), json!(site.databases.primary().stats()));
    figures.insert("replica".to_owned(), json!(site.databases.replica().map(|replica| replica.pool().stats())));
    let (hits, asked) = site.cache.hits();
    let hit_permille = (hits * 1_000).checked_div(asked);
    figures.insert("cache".to_owned(), json!({ "hits": hits, "asked": asked, "hit_permille": hit_permille }));
    Ok(Value::Object(figures))
}

impl Route {
    fn of(route: &Value) -> Self {
        let text = |name: &str| route[name].as_str().unwrap_or_default();
        Self {
            name: format!("{} {}", text("method"), text("path")),
            requests: count(&route["requests"]),
            mean: milliseconds(&route["mean_ms"]),
            p95: milliseconds(&route["p95_ms"]),
        }
    }
}

fn count(value: &Value) -> String {
    thousands(value.as_i64().unwrap_or_default())
}

fn milliseconds(value: &Value) -> String {
    value.as_f64().map_or_else(|| "–".to_owned(), |time| format!("{time:.1} ms"))
}
