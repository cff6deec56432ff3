use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::accounts::{Accounts, BASE, post};
use crate::permits::{FILL, Reads, no_page_reads_a_whole_table, reads, reads_after};
use crate::support::cron::{WORKER, ask, run};
use crate::support::mail::link;
use crate::support::{Site, until};

/// A permit at 1455 Market St by Harbor Builders, one in the Mission, one that is nobody's; then what happened to them.
const CITY: &str = "
    INSERT INTO permits (record_id, permit_number, permit_type_definition, status, filed_date, issued_date, estimated_cost,
                         street_number, street_name, street_suffix, block, lot, neighborhood)
    VALUES ('1', '202601010001', 'additions alterations or repairs', 'filed', now() - interval '400 days', NULL, 5000,
            '1455', 'Market', 'St', '3507', '004', 'Mission Bay'),
           ('2', '202601010002', 'otc alterations permit', 'issued', now() - interval '500 days',
            (now() AT TIME ZONE 'America/Los_Angeles')::date - 350, 5000, '1455', 'Market', 'St', '3507', '004', 'Mission Bay'),
           ('3', '202601010003', 'new construction', 'filed', now() - interval '1 day', NULL, 9000,
            '1', 'Guerrero', 'St', '0001', '001', 'Mission'),
           ('4', '202601010004', 'new construction', 'filed', now() - interval '1 day', NULL, 9000,
            '2', 'Nowhere', 'St', '0002', '002', 'Sunset');
    INSERT INTO contacts (row_key, occurrence, source, permit_number, role, name, firm_name)
    VALUES ('1', 1, 'building', '202601010004', 'contractor', 'Ann Other', 'Harbor Builders');
    INSERT INTO addenda (row_key, occurrence, application_number, station, finish_date, review_results)
    VALUES ('1', 1, '202601010001', 'BLDG', now(), 'Approved'), ('2', 1, '202601010004', 'CP-ZOC', now(), 'Approved');
    INSERT INTO inspections (row_key, occurrence, source, reference_number, scheduled_date, result, inspection_description)
    VALUES ('1', 1, 'building', '202601010001', now(), 'Not Approved', 'ROUGH FRAME'),
           ('2', 1, 'building', '202601010001', now() - interval '60 days', 'OK', 'FOOTINGS');
    INSERT INTO complaints (row_key, occurrence, complaint_number, block, lot, status)
    VALUES ('1', 1, '1', '3507', '004', 'active'), ('2', 1, '2', '3507', '004', 'not active');
    INSERT INTO addenda (row_key, occurrence, application_number, station, arrive)
    VALUES ('3', 1, '202601010001', 'SFFD', (now() AT TIME ZONE 'America/Los_Angeles')::date - 40),
           ('4', 1, '202601010001', 'CP-NP', (now() AT TIME ZONE 'America/Los_Angeles')::date - 4);
    INSERT INTO station_velocity_v2 (station, metric_type, period, p25_days, p50_days, p75_days, p90_days, sample_count)
    VALUES ('SFFD', 'initial', 'current', 1, 5, 10, 20, 30);
    INSERT INTO permit_signals (permit_number, signal_type, station, tier, since)
    SELECT '202601010001', 'hold_stalled', 'SFFD', 'behind', arrive FROM addenda WHERE station = 'SFFD';
    INSERT INTO property_signals (block, lot, signal_type, tier, items, since)
    VALUES ('3507', '004', 'complaint', 'slower', 1, now()), ('0001', '001', 'nov', 'at_risk', 1, now());
    INSERT INTO planning_records (row_key, occurrence, source, record_id, record_status, project_name, address, block, lot, open_date)
    VALUES ('1', 1, 'project', '2016-000001PRJ', 'Open', 'A tower', '1 OTHER ST', '3507', '004', '2016-01-01'),
           ('2', 1, 'other', '2026-000002CUA', 'Open', 'A restaurant', '1455 MARKET ST 94103', '3507', '999', now()),
           ('3', 1, 'other', '2026-000003VAR', 'Open', 'Next door', '14550 MARKET ST', '3508', '001', now()),
           ('4', 1, 'other', '2026-000004MIS', 'Open', 'Another street', '1455 MARKET ROCK ST', '3508', '002', now());
    UPDATE planning_records SET record_status = 'Closed - Approved' WHERE row_key = '1';
    UPDATE planning_records SET project_name = project_name;
    UPDATE permits SET status = 'issued' WHERE record_id IN ('1');
    UPDATE permits SET description = 'no change that counts'";

/// Not in the last two minutes of a day in San Francisco.
const DAY_GOES_ON: &str =
    "SELECT count(*) FROM (SELECT now() AT TIME ZONE 'America/Los_Angeles' AS here) clock WHERE here::time < '23:58'";

/// What happened to what is watched, by number, place, neighborhood and firm, is on the page and in one mail a day, and what
/// happened to others is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_brief_says_what_happened_to_what_is_watched() -> Result<()> {
    let accounts = Accounts::start("brief", &WORKER).await?;
    // Days are counted from now, and a mail is sent once a day.
    until(async || Ok(accounts.database.number(DAY_GOES_ON).await? == 1)).await?;
    let client = accounts.database.connect().await?;
    client.batch_execute(CITY).await?;
    let demo = accounts.site.visitor().get("/demo").await?;
    assert_eq!((demo.status, demo.field("cache-control").contains("max-age=3600")), (200, true));
    assert!(demo.text().contains("1455 Market St") && demo.text().contains("href=\"/auth/login\""), "{}", demo.text());
    let member = accounts.sign_in("one@example.org").await?;
    let none = member.get("/brief").await?;
    assert_eq!((none.status, none.field("cache-control")), (200, "no-store".to_owned()));
    assert!(none.text().contains("You watch nothing yet"), "{}", none.text());
    for (kind, subject) in [
        ("parcel", "3507/004"),
        ("address", "1455 market"),
        ("permit", "202601010001"),
        ("neighborhood", "mission"),
        ("entity", "Harbor Builders"),
    ] {
        let added = member.submit("/account/watch", &format!("kind={kind}&subject={subject}")).await?;
        assert_eq!(added.status, 303, "{}", added.text());
    }
    let page = member.get("/brief").await?.text();
    let figures: Vec<&str> = page.split("<dd>").skip(1).filter_map(|rest| rest.split("</dd>").next()).take(7).collect();
    // One change though three watches see it; two new permits; one review, one inspection, one that ends, two planning records,
    // one complaint.
    assert_eq!(figures, ["1", "2", "1", "1", "1", "2", "1"], "{page}");
    for text in [
        "issued, was filed",
        "202601010003",
        "202601010004",
        "Not Approved",
        "in 10 days",
        "1455 Market St (3507/004)",
        "2016-000001PRJ",
        "Closed - Approved, was Open",
        "2026-000002CUA",
        "new, Open",
    ] {
        assert!(page.contains(text), "{text} is not in {page}");
    }
    // How what is watched stands: beside the pace of its station, stuck, at the planning department, and with signals.
    for text in ["800 %", "usually 5", "CP-NP", "More than 30 days at a station", "Complaint is open"] {
        assert!(page.contains(text), "{text} is not in {page}");
    }
    for text in
        ["2026-000003VAR", "2026-000004MIS", "FOOTINGS", "CP-ZOC", "Nowhere St (0002", "Notice of violation stands"]
    {
        assert!(!page.contains(text), "{text} is in {page}");
    }

    let data = member.get("/api/v1/brief").await?;
    assert_eq!((data.status, data.field("cache-control")), (200, "no-store".to_owned()));
    let data = data.json()?;
    let worst = &data["health"][0];
    assert_eq!(
        (&worst["station"], &worst["health"], &worst["pct_of_typical"]),
        (&"SFFD".into(), &"at_risk".into(), &800.into())
    );
    assert_eq!(data["summary"]["at_risk_count"], 1, "{data}");
    assert_eq!((&data["stuck"][0]["status"], &data["city"]["new_permits"]), (&"CRITICAL".into(), &2.into()), "{data}");
    assert_eq!(accounts.site.visitor().get("/api/v1/brief").await?.status, 401);
    // The same wait in the whole city's list.
    let stuck = accounts.site.visitor().get("/api/v1/stuck").await?.json()?;
    assert_eq!((&stuck["critical"], &stuck["permits"][0]["days"]), (&1.into(), &40.into()), "{stuck}");
    assert_eq!(stuck["permits"][0]["address"], "1455 Market St");
    assert!(
        accounts
            .site
            .visitor()
            .get("/permit/202601010001")
            .await?
            .text()
            .contains("SFFD: 40 days, half of all reviews")
    );

    assert_eq!(member.submit("/account/brief", "frequency=daily").await?.status, 303);
    assert_eq!(run(&accounts.site, "brief").await?["counts"]["sent"], 1);
    assert_eq!(run(&accounts.site, "brief").await?["counts"]["sent"], 0);
    let mails: Vec<_> = accounts.mail.mails_to("one@example.org")?;
    let briefs: Vec<_> = mails.iter().filter(|mail| mail.contains("List-Unsubscribe: ")).collect();
    let [brief] = briefs[..] else { anyhow::bail!("{} briefs", briefs.len()) };
    assert!(brief.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click"), "{brief}");
    for text in [
        "202601010001",
        "202601010003",
        "202601010004",
        "SFFD: 40 days",
        "More than 30 days at a station",
        "2016-000001PRJ  Closed - Approved, was Open, A tower",
    ] {
        assert!(brief.contains(text), "{brief}");
    }

    // A changed signature ends nothing and is answered alike; one click does, without a session.
    let folded = brief.replace("\r\n ", "");
    let target = link(&folded, &format!("{BASE}/unsubscribe/"))?.trim_start_matches(BASE).to_owned();
    let wanting = "SELECT count(*) FROM users WHERE brief_frequency = 'daily'";
    let flipped = format!("{}{}", &target[..target.len() - 1], if target.ends_with('0') { "1" } else { "0" });
    // Looking at the link ends nothing.
    assert_eq!(accounts.site.visitor().get(&target).await?.status, 200);
    for (target, left) in [(&flipped, 1), (&target, 0)] {
        let answer = post(&accounts.site, target, "List-Unsubscribe=One-Click", &[]).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(accounts.database.number(wanting).await?, left, "{target}");
    }
    Ok(())
}

/// More waits and more changes than are looked at.
const MUCH: &str = "
    INSERT INTO permit_signals (permit_number, signal_type, station, tier, since)
    SELECT 'P' || n, 'hold_stalled', 'BLDG', 'behind', now() - n * interval '1 second' - interval '100 days'
      FROM generate_series(1, 60000) n;
    INSERT INTO permit_signals (permit_number, signal_type, tier) SELECT 'P' || n, 'stale_no_activity', 'slower'
      FROM generate_series(1, 60000) n;
    INSERT INTO permit_changes (permit_number, change_type, new_status, neighborhood, change_date)
    SELECT 'P' || n % 60000, 'status_change', 'issued', 'Area ' || n % 40,
           (now() AT TIME ZONE 'America/Los_Angeles')::date - n / 2000 FROM generate_series(1, 120000) n;
    INSERT INTO planning_changes (record_id, change_type, new_status, address, block, lot)
    SELECT 'R' || n, 'status_change', 'Closed', n % 900 || ' STREET' || n % 300 || ' ST', lpad((n % 5000)::text, 4, '0'),
           lpad((n % 90)::text, 3, '0') FROM generate_series(1, 30000) n;
    ANALYZE";

/// Pages, and then a brief and the list of what is stuck, are made from what an index finds, up to a bound, however much there
/// is. To fill the tables takes most of the time, so one database serves all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_and_no_brief_reads_a_whole_table() -> Result<()> {
    let accounts = Accounts::start("brief_plans", &[]).await?;
    let client = accounts.database.connect().await?;
    client.batch_execute(FILL).await?;
    no_page_reads_a_whole_table(&accounts.database).await?;
    client.batch_execute(MUCH).await?;
    // Autovacuum does it on other days.
    client.batch_execute("VACUUM permit_signals, permit_changes").await?;
    let member = accounts.sign_in("many@example.org").await?;
    for (kind, subject) in [
        ("parcel", "0123/033"),
        ("address", "120 street120 st"),
        ("neighborhood", "mission bay"),
        ("entity", "Firm 123"),
    ] {
        let added = member.submit("/account/watch", &format!("kind={kind}&subject={subject}")).await?;
        assert_eq!(added.status, 303, "{subject}: {}", added.text());
    }
    // Not as the city writes a number.
    let permit = "INSERT INTO watch_items (user_id, watch_type, subject, label, permit_number)
        SELECT user_id, 'permit', 'P123', 'P123', 'P123' FROM users";
    client.batch_execute(permit).await?;
    let before = reads(&accounts.database).await?;
    // With sessions of its own again.
    until(async || Ok(member.get("/api/v1/stuck").await?.status == 200)).await?;
    let brief = member.get("/api/v1/brief?lookback=90").await?.json()?;
    let stuck = accounts.site.visitor().get("/api/v1/stuck").await?.json()?;
    let after =
        reads_after(&accounts.database, &before, &["permit_signals", "permit_changes", "planning_changes", "contacts"])
            .await?;
    for (table, Reads { whole, .. }) in &before {
        assert_eq!(after[table].whole, *whole, "{table} was read whole");
    }
    assert_eq!((&stuck["critical"], &stuck["at_least"]), (&json!(50_000), &json!(true)), "{stuck}");
    let city = &brief["city"];
    assert_eq!((&city["status_changes"], &city["at_least"]), (&json!(100_000), &json!(true)), "{city}");
    // Of a firm also what is older than the newest changes, one of which it has.
    let firm = brief["changes"].as_array().into_iter().flatten().filter(|change| change["label"] == "Firm 123").count();
    assert!(firm > 2, "{firm} changes of the firm: {brief}");
    Ok(())
}

/// A process that is killed while it sends leaves nobody without a mail, and a mail that is sent again has its old name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_no_brief() -> Result<()> {
    let accounts = Accounts::start("brief_crash", &WORKER).await?;
    let client = accounts.database.connect().await?;
    client.batch_execute(CITY).await?;
    // Some before the one that is held, some after it.
    let people = "
        INSERT INTO users (email, brief_frequency)
        SELECT CASE n WHEN 4 THEN 'held-' ELSE 'reader-' END || n || '@example.org', CASE n % 2 WHEN 0 THEN 'weekly' ELSE 'daily' END
          FROM generate_series(1, 7) n ORDER BY n;
        INSERT INTO watch_items (user_id, watch_type, subject, label, block, lot)
        SELECT user_id, 'parcel', '3507/004', '3507/004', '3507', '004' FROM users";
    client.batch_execute(people).await?;
    ask(&accounts.site, "POST", "/cron/brief").send().await?;
    until(async || Ok(accounts.mail.is_holding())).await?;
    let Accounts { mail, site, database } = accounts;
    site.kill();
    mail.release()?;
    let smtp = mail.url();
    let further = [&WORKER[..], &[("BASE_URL", BASE), ("SMTP_URL", &*smtp)]].concat();
    let next = Site::start_with(&database.origin, 0, &further)?;
    // The run that was killed goes on here when its lease ends, or a new one does its work.
    let unsent = "SELECT 7 - count(*) FROM brief_mails WHERE outcome = 'sent'";
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while database.number(unsent).await? != 0 {
        ensure!(std::time::Instant::now() < deadline, "briefs were not sent");
        tokio::time::sleep(crate::support::LOOK_EVERY).await;
    }
    run(&next, "brief").await?;
    for number in 1..=7 {
        let name = if number == 4 { "held" } else { "reader" };
        let mails = mail.mails_to(&format!("{name}-{number}@example.org"))?;
        let id = |mail: &String| mail.lines().find(|line| line.starts_with("Message-ID:")).map(str::to_owned);
        let names: BTreeSet<_> = mails.iter().map(|mail| id(mail).context("an id")).collect::<Result<_>>()?;
        assert_eq!(names.len(), 1, "{number}: {names:?}");
        assert!(mails.len() == 1 || number == 4, "{number}: {} mails", mails.len());
    }

    // Who cannot be sent theirs keeps nobody else from it, and the run says so.
    let again = "
        DELETE FROM brief_mails;
        UPDATE users SET email = 'no address' WHERE user_id = (SELECT min(user_id) FROM users)";
    database.connect().await?.batch_execute(again).await?;
    ask(&next, "POST", "/cron/brief").send().await?;
    until(async || Ok(database.number("SELECT count(*) FROM brief_mails WHERE outcome = 'sent'").await? == 6)).await?;
    let said =
        "SELECT count(*) FROM cron_log WHERE error_message LIKE '1 briefs failed and are due still, 6 were sent%'";
    until(async || Ok(database.number(said).await? == 1)).await?;
    Ok(())
}
