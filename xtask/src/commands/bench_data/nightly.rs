//! What is made of a night's work: the list of what is stuck, and briefs.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use seawall_xtask::http::Connection;
use seawall_xtask::interrupt;
use seawall_xtask::postgres::Cluster;
use seawall_xtask::process::Logs;
use seawall_xtask::stack::Origin;
use seawall_xtask::step::Steps;

use super::{Case, LOOK_EVERY};

/// The scheduler's; the site is nobody else's.
const SECRET: &str = "a secret of this run that nobody else has";

/// The secret of a sign-in link, as its address has it.
const LINK: &str = "0000000000000000000000000000000000000000000000000000000000000001";

/// Longest time for each of the jobs.
const JOB_MAX: Duration = Duration::from_secs(900);

/// How often the list of what is stuck is made anew.
const STUCK_REQUESTS: usize = 30;

/// A brief is kept for each number of days that it looks back, and may look back so many.
const LOOKBACK_DAYS_MAX: u32 = 90;

/// Ninety nights of changes; someone who watches the busiest parcels, neighborhoods and firms; and a link to sign in.
const PEOPLE: &str = "
    INSERT INTO permit_changes (permit_number, change_type, new_status, permit_type, description, neighborhood, block, lot,
                                change_date)
    SELECT permit_number, CASE WHEN n % 5 = 0 THEN 'new_permit' ELSE 'status_change' END, status, permit_type_definition,
           left(description, 300), neighborhood, block, lot, (now() AT TIME ZONE 'America/Los_Angeles')::date - n / 3000
      FROM (SELECT permits.*, row_number() OVER ()::int AS n FROM permits TABLESAMPLE SYSTEM (60) REPEATABLE (10)
             LIMIT 270000) sampled;
    INSERT INTO users (email) VALUES ('reader@example.org');
    INSERT INTO watch_items (user_id, watch_type, subject, label, block, lot)
    SELECT user_id, 'parcel', block || '/' || lot, block || '/' || lot, block, lot FROM users, (
        SELECT block, lot FROM permits WHERE block || lot IS NOT NULL GROUP BY 1, 2 ORDER BY count(*) DESC, 1, 2 LIMIT 10) most;
    INSERT INTO watch_items (user_id, watch_type, subject, label, neighborhood)
    SELECT user_id, 'neighborhood', lower(term), term, lower(term) FROM users, (
        SELECT term FROM search_terms WHERE kind = 'neighborhood' ORDER BY weight DESC, term LIMIT 3) most;
    INSERT INTO watch_items (user_id, watch_type, subject, label, entity_name)
    SELECT user_id, 'entity', name, name, name FROM users, (
        SELECT lower(canonical_name) AS name FROM entities WHERE canonical_name <> ''
         GROUP BY 1 ORDER BY sum(contact_count) DESC, 1 LIMIT 5) most;
    INSERT INTO auth_tokens (token_hash, email, expires_at)
    SELECT sha256(decode('LINK', 'hex')), email, now() + interval '1 hour' FROM users";

/// Runs the jobs of a night, and adds people and changes.
pub(super) fn prepare(cluster: &Cluster, database: &str, origin: &Origin, steps: &Steps) -> Result<()> {
    let environment = [("CRON_WORKER", "on"), ("CRON_SECRET", SECRET)];
    let site = steps.run("start the origin for the jobs of a night", |_| origin.serve(0, &environment, Logs::Keep))?;
    for job in ["velocity-refresh", "signals"] {
        steps.run(job, |_| run(cluster, database, site.port, job))?;
    }
    cluster.execute_within(database, &PEOPLE.replace("LINK", LINK), JOB_MAX)
}

/// Asks for what is stuck as if nobody had before.
pub(super) fn stuck(cluster: &Cluster, database: &str, port: u16) -> Result<Case> {
    let mut connection = Connection::open(port, Ipv4Addr::LOCALHOST)?;
    let mut case = Case { name: "what is stuck, made anew".to_owned(), times: Vec::new(), failed: 0 };
    for _ in 0..STUCK_REQUESTS {
        interrupt::check()?;
        cluster.execute(database, "DELETE FROM page_cache")?;
        let asked = Instant::now();
        let response = connection.get("/api/v1/stuck")?;
        case.times.push(asked.elapsed());
        case.failed += usize::from(response.status != 200);
    }
    case.times.sort_unstable();
    Ok(case)
}

/// Asks for the briefs of one person, each of other days.
pub(super) fn briefs(port: u16) -> Result<Case> {
    let signed_in = Connection::open(port, Ipv4Addr::LOCALHOST)?.ask("POST", &format!("/auth/verify/{LINK}"), &[])?;
    let cookie = signed_in.field("set-cookie").and_then(|cookie| cookie.split(';').next());
    let cookie = cookie.with_context(|| format!("signing in gave {} and no cookie", signed_in.status))?;
    let targets: Vec<_> = (1..=LOOKBACK_DAYS_MAX).map(|days| format!("/api/v1/brief?lookback={days}")).collect();
    super::measure(port, "brief of 18 things, 1 to 90 days".to_owned(), &targets, &[("cookie", cookie)])
}

/// Runs a job to its end.
fn run(cluster: &Cluster, database: &str, port: u16, job: &str) -> Result<()> {
    let bearer = format!("Bearer {SECRET}");
    let mut connection = Connection::open(port, Ipv4Addr::LOCALHOST)?;
    let started = connection.ask("POST", &format!("/cron/{job}"), &[("authorization", &bearer)])?;
    ensure!([200, 202].contains(&started.status), "the site answers {} to /cron/{job}", started.status);
    let deadline = Instant::now() + JOB_MAX;
    let ended = format!("SELECT status FROM cron_log WHERE job_type = '{job}' AND status IN ('success', 'failed')");
    loop {
        interrupt::check()?;
        match cluster.rows(database, &ended)?.first().and_then(|row| row.first()).and_then(Option::as_deref) {
            Some("success") => return Ok(()),
            Some(_) => bail!("the job {job} failed"),
            None => ensure!(Instant::now() < deadline, "the job {job} does not end"),
        }
        thread::sleep(LOOK_EVERY);
    }
}
