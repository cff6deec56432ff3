//! The report of a parcel that has more records than a page shows, as JSON.

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use super::Context;
use super::kind::Kind;
use super::lease::{Lease, Outcome};
use super::result::Writer;
use crate::db::Attended;
use crate::permits::parcel::Parcel;
use crate::permits::report::{self, Bounds};

pub(super) async fn run(context: &Context, lease: &Lease, payload: &Map<String, Value>) -> anyhow::Result<Outcome> {
    let field = |name: &str| payload.get(name).and_then(Value::as_str).context("a report is asked for with a parcel");
    let parcel = Parcel::parse(field("block")?, field("lot")?)?;
    let deadline = Kind::Report.terms().deadline;
    let session = Attended::open(&context.config.database, "seawall-report", deadline).await?;
    let report = report::read(&session, &parcel, Bounds::WHOLE).await?.context("nothing is known of the parcel now")?;
    drop(session);
    let text = serde_json::to_vec(&report)?;
    let mut writer = Writer::new(lease);
    // Half a report is no JSON.
    anyhow::ensure!(writer.fits(text.len()), "the report has {} bytes, which is more than is kept", text.len());
    writer.write(&text).await?;
    let name = format!("report-{}-{}.json", parcel.block(), parcel.lot());
    let result = writer.end("application/json", name, !report.truncated.is_empty()).await?;
    let counts = Map::from_iter([("permits".to_owned(), json!(report.summary.permits))]);
    Ok(Outcome { counts, result: Some(result) })
}
