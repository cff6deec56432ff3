//! What the sample of requests says of the last day: how fast routes are, how much is asked, and when.
//!
//! # Design
//! A row stands for as many requests as its weight says, so means, counts and percentiles go by weight: slow requests are
//! all in the sample and would otherwise weigh ten times too much. The newest rows of a bounded time are read, by index, at
//! most once a minute for all processes (the page cache).

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::db::{Databases, ReadOnly, Reader};
use crate::error::Error;
use crate::page_cache::{Entry, Lifetime, Payload};

/// The figures of the last day.
#[derive(Clone, Debug)]
pub(crate) struct Figures(pub(crate) Databases);

struct Day;

/// Rows that are read, the newest ones: those of a day at twenty requests a second.
const SAMPLES_MAX: i64 = 200_000;

/// Routes in each list.
const SLOWEST_MAX: usize = 10;
const BUSIEST_MAX: usize = 20;

/// The sample, each row with the weight of all that were as quick or quicker in its group.
fn ranked(group: &str) -> String {
    format!(
        "WITH sample AS (
            SELECT id, path, method, duration_ms, weight, date_bin('30 minutes', recorded_at, 'epoch') AS at
              FROM request_metrics WHERE recorded_at > now() - interval '24 hours'
             ORDER BY recorded_at DESC LIMIT $1
         ), ranked AS (
            SELECT *, sum(weight) OVER (PARTITION BY {group} ORDER BY duration_ms, id) AS upto,
                   sum(weight) OVER (PARTITION BY {group}) AS total FROM sample
         )"
    )
}

/// Columns of a group: rows, requests, mean, and percentiles.
const COLUMNS: &str = "count(*), coalesce(sum(weight), 0)::int8, sum(duration_ms * weight) / sum(weight),
    min(duration_ms) FILTER (WHERE upto * 100 >= total * 50), min(duration_ms) FILTER (WHERE upto * 100 >= total * 95),
    min(duration_ms) FILTER (WHERE upto * 100 >= total * 99)";

impl Entry for Figures {
    fn key(&self) -> String {
        "perf".to_owned()
    }

    fn lifetime(&self) -> Lifetime {
        Lifetime { ttl: Duration::from_secs(60), stale: Duration::from_secs(600) }
    }

    async fn compute(&self) -> Result<Payload, Error> {
        self.0.read(&Day).await
    }
}

impl ReadOnly for Day {
    type Answer = Map<String, Value>;

    async fn read(&self, reader: &Reader) -> Result<Self::Answer, tokio_postgres::Error> {
        let limit: [(&(dyn ToSql + Sync), Type); 1] = [(&SAMPLES_MAX, Type::INT8)];
        let overall = format!("{} SELECT {COLUMNS} FROM ranked", ranked("true"));
        let routes =
            format!("{} SELECT {COLUMNS}, path, method FROM ranked GROUP BY path, method", ranked("path, method"));
        let times = format!(
            "{}, slot AS (
                SELECT generate_series(date_bin('30 minutes', now() - interval '23 hours 30 minutes', 'epoch'),
                                       now(), interval '30 minutes') AS at
             ) SELECT {COLUMNS}, to_char(slot.at AT TIME ZONE 'UTC', 'HH24:MI')
                 FROM slot LEFT JOIN ranked ON ranked.at = slot.at GROUP BY slot.at ORDER BY slot.at",
            ranked("at")
        );
        let (overall, routes, times) = tokio::try_join!(
            reader.query_typed(&overall, &limit),
            reader.query_typed(&routes, &limit),
            reader.query_typed(&times, &limit),
        )?;
        let mut figures = overall.first().map(group).transpose()?.unwrap_or_default();
        let named = |row: &Row, names: &[&str]| {
            let mut group = group(row)?;
            for (column, name) in names.iter().enumerate() {
                group.insert((*name).to_owned(), json!(row.try_get::<_, String>(6 + column)?));
            }
            Ok::<_, tokio_postgres::Error>(group)
        };
        let mut routes: Vec<_> = routes.iter().map(|row| named(row, &["path", "method"])).collect::<Result<_, _>>()?;
        let number = |group: &Map<String, Value>, name: &str| group[name].as_f64().unwrap_or_default();
        routes.sort_by(|one, next| number(next, "requests").total_cmp(&number(one, "requests")));
        let busiest: Vec<_> = routes.iter().take(BUSIEST_MAX).cloned().collect();
        // One slow request says nothing of its route.
        routes.retain(|route| number(route, "samples") >= 2.0);
        routes.sort_by(|one, next| number(next, "p95_ms").total_cmp(&number(one, "p95_ms")));
        routes.truncate(SLOWEST_MAX);
        let times: Vec<_> = times.iter().map(|row| named(row, &["at"])).collect::<Result<_, _>>()?;
        figures.insert("slowest".to_owned(), json!(routes));
        figures.insert("busiest".to_owned(), json!(busiest));
        figures.insert("over_time".to_owned(), json!(times));
        Ok(figures)
    }
}

fn group(row: &Row) -> Result<Map<String, Value>, tokio_postgres::Error> {
    let mut group = Map::new();
    for (column, name) in ["samples", "requests"].into_iter().enumerate() {
        group.insert(name.to_owned(), json!(row.try_get::<_, i64>(column)?));
    }
    for (column, name) in ["mean_ms", "p50_ms", "p95_ms", "p99_ms"].into_iter().enumerate() {
        let value: Option<f64> = row.try_get(2 + column)?;
        group.insert(name.to_owned(), json!(value.map(|value| (value * 10.0).round() / 10.0)));
    }
    Ok(group)
}
