//! What a brief holds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
use crate::page_cache::Payload;
use crate::permits::signals;

/// What a brief says, as pages, mails and `/api/v1/brief` have it. What another release left out is empty.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Brief")]
pub(crate) struct Contents {
    pub(crate) lookback_days: i32,
    /// What changed of what is watched.
    pub(crate) changes: Vec<Change>,
    /// New permits at watched places and in watched neighborhoods.
    pub(crate) new_filings: Vec<Change>,
    /// New permits of watched people and firms.
    pub(crate) team_activity: Vec<Change>,
    pub(crate) plan_reviews: Vec<Review>,
    pub(crate) inspections: Vec<Inspection>,
    /// Permits whose time ends, or ended within a month.
    pub(crate) expiring: Vec<Expiring>,
    /// New records of the planning department at watched places, and what became of others.
    pub(crate) planning_changes: Vec<PlanningChange>,
    /// How the wait of each permit in review compares with the pace of its station, the worst first.
    pub(crate) health: Vec<Health>,
    /// Waits beyond what is usual, or with comments to answer.
    pub(crate) stuck: Vec<Stuck>,
    /// What the planning department has done with the plans, and has to do.
    pub(crate) planning: Vec<Planning>,
    /// What the last night found wrong, slow or forgotten.
    pub(crate) signals: Vec<Signal>,
    pub(crate) property_cards: Vec<Card>,
    pub(crate) city: City,
    pub(crate) summary: Summary,
    pub(crate) pipeline_stats: Pipeline,
}

/// A permit that changed or is new.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Change {
    pub(crate) permit_number: String,
    pub(crate) change_date: String,
    pub(crate) change_type: String,
    pub(crate) old_status: Option<String>,
    pub(crate) new_status: Option<String>,
    pub(crate) permit_type: Option<String>,
    pub(crate) address: String,
    pub(crate) label: String,
}

/// A step of plan review that ended.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "BriefReview")]
pub(crate) struct Review {
    pub(crate) permit_number: String,
    pub(crate) station: Option<String>,
    pub(crate) finish_date: String,
    pub(crate) review_results: Option<String>,
    pub(crate) label: String,
}

/// An inspection that was, or is to come.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "BriefInspection")]
pub(crate) struct Inspection {
    pub(crate) permit_number: String,
    pub(crate) scheduled_date: String,
    pub(crate) inspection_description: Option<String>,
    pub(crate) result: Option<String>,
    /// `pass`, `fail`, or neither.
    pub(crate) outcome: Option<String>,
    pub(crate) label: String,
}

/// A record of the planning department that is new or has another status.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct PlanningChange {
    pub(crate) record_id: String,
    pub(crate) change_date: String,
    /// `new_record` or `status_change`.
    pub(crate) change_type: String,
    pub(crate) old_status: Option<String>,
    pub(crate) new_status: Option<String>,
    pub(crate) record_type: Option<String>,
    pub(crate) project_name: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) block: Option<String>,
    pub(crate) lot: Option<String>,
    pub(crate) label: String,
}

impl PlanningChange {
    /// What happened, in a few words.
    pub(crate) fn what(&self) -> String {
        let status = self.new_status.as_deref().unwrap_or("no status");
        match &self.old_status {
            _ if self.change_type == "new_record" => format!("new, {status}"),
            Some(old) => format!("{status}, was {old}"),
            None => status.to_owned(),
        }
    }
}

/// A permit whose time ends.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Expiring {
    pub(crate) permit_number: String,
    /// Below zero it has ended.
    pub(crate) expires_in: i32,
    pub(crate) permit_type: Option<String>,
    pub(crate) label: String,
}

/// How a permit in review stands to what its station usually takes.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "BriefHealth")]
pub(crate) struct Health {
    pub(crate) permit_number: String,
    pub(crate) permit_type: Option<String>,
    /// The station of its worst wait.
    pub(crate) station: String,
    pub(crate) since: String,
    pub(crate) days: i32,
    /// The median of the station, and what nine of ten reviews stay within; absent where it is not known.
    pub(crate) p50_days: Option<f64>,
    pub(crate) p90_days: Option<f64>,
    /// `on_track` up to the median, `slower` up to three of four, `behind` up to nine of ten, then `at_risk`.
    pub(crate) health: String,
    /// The wait in percent of the median.
    pub(crate) pct_of_typical: Option<i32>,
    pub(crate) label: String,
}

/// A wait that someone should ask about.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "BriefStuck")]
pub(crate) struct Stuck {
    pub(crate) permit_number: String,
    pub(crate) station: String,
    pub(crate) since: String,
    pub(crate) days: i32,
    pub(crate) p50_days: Option<f64>,
    /// `CRITICAL` beyond nine of ten, otherwise `STALLED`.
    pub(crate) status: String,
    /// Whether the station has written comments, which the applicant answers.
    pub(crate) has_comments: bool,
    pub(crate) hold_description: Option<String>,
    pub(crate) plan_checked_by: Option<String>,
    pub(crate) label: String,
}

/// A step at a station of the planning department.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "BriefPlanning")]
pub(crate) struct Planning {
    pub(crate) permit_number: String,
    pub(crate) station: String,
    pub(crate) since: String,
    /// Absent while it lies there.
    pub(crate) finish_date: Option<String>,
    pub(crate) days: i32,
    pub(crate) review_results: Option<String>,
    pub(crate) hold_description: Option<String>,
    pub(crate) label: String,
}

/// A signal of a watched permit, or of a watched place.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "BriefSignal")]
pub(crate) struct Signal {
    pub(crate) signal_type: String,
    /// `at_risk`, `behind` or `slower`.
    pub(crate) tier: String,
    pub(crate) permit_number: Option<String>,
    pub(crate) block: Option<String>,
    pub(crate) lot: Option<String>,
    pub(crate) station: Option<String>,
    pub(crate) since: Option<String>,
    /// Notices or complaints with it.
    pub(crate) items: i32,
    pub(crate) label: String,
}

impl Signal {
    /// What it says, in a few words.
    pub(crate) fn title(&self) -> &str {
        signals::find(&self.signal_type).map_or(&self.signal_type, |kind| kind.title)
    }
}

/// A watched parcel as it stands.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "BriefCard")]
pub(crate) struct Card {
    pub(crate) block: String,
    pub(crate) lot: String,
    pub(crate) address: Option<String>,
    pub(crate) permits: i64,
    pub(crate) open_permits: i64,
    pub(crate) open_complaints: i64,
    pub(crate) open_violations: i64,
    pub(crate) last_change: Option<String>,
    /// `high_risk`, `at_risk`, `behind`, `slower` or `on_track`, from its signals.
    pub(crate) health: Option<String>,
    /// Its zone and use, from the assessor's newest roll.
    pub(crate) zoning_code: Option<String>,
    pub(crate) use_definition: Option<String>,
}

/// What changed in the whole city.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub(crate) struct City {
    /// The first day that counts.
    pub(crate) since: String,
    pub(crate) new_permits: i64,
    pub(crate) status_changes: i64,
    pub(crate) cost_revisions: i64,
    /// Whether there were more changes than are counted.
    #[serde(default)]
    pub(crate) at_least: bool,
}

/// How many of each there are.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "BriefSummary")]
pub(crate) struct Summary {
    pub(crate) total_watches: i64,
    pub(crate) total_properties: i64,
    pub(crate) changes_count: i64,
    pub(crate) new_filings_count: i64,
    pub(crate) team_count: i64,
    pub(crate) plan_reviews_count: i64,
    pub(crate) inspections_count: i64,
    pub(crate) expiring_count: i64,
    pub(crate) planning_changes_count: i64,
    pub(crate) enforcement_count: i64,
    /// Permits that wait longer than nine of ten do.
    pub(crate) at_risk_count: i64,
    pub(crate) stuck_count: i64,
    pub(crate) signals_count: i64,
}

impl Summary {
    /// Things that happened; a brief without any is not mailed.
    pub(crate) const fn news(&self) -> i64 {
        self.changes_count
            + self.new_filings_count
            + self.team_count
            + self.plan_reviews_count
            + self.inspections_count
            + self.expiring_count
            + self.planning_changes_count
    }
}

/// How the nightly loads went.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Pipeline {
    /// The last five nightly loads.
    pub(crate) recent_jobs: Vec<PipelineJob>,
    pub(crate) avg_duration_seconds: Option<f64>,
    pub(crate) last_24h_success: i64,
    pub(crate) last_24h_failed: i64,
    pub(crate) last_24h_jobs: i64,
    pub(crate) last_success: Option<String>,
    /// Whether that is more than 36 hours ago; absent before the first.
    pub(crate) is_stale: Option<bool>,
}

/// One of the last nightly loads.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct PipelineJob {
    pub(crate) job_type: String,
    pub(crate) status: String,
    pub(crate) started_at: String,
    pub(crate) elapsed_seconds: Option<f64>,
}

impl Contents {
    /// # Errors
    /// When the entry is damaged.
    pub(crate) fn read(payload: Payload) -> Result<Self, Error> {
        serde_json::from_value(Value::Object(payload)).map_err(Error::bug)
    }
}
