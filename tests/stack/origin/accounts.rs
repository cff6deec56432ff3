use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::support::mail::{MailServer, link};
use crate::support::visitor::Answer;
use crate::support::{Database, Site, until};

pub(super) const BASE: &str = "http://permits.test";
const ADMIN: &str = "admin@example.org";

/// A site with accounts, and its mail server.
pub(super) struct Accounts {
    pub(super) mail: MailServer,
    pub(super) site: Site,
    pub(super) database: Database,
}

/// A visitor's cookie, after sign-in.
pub(super) struct Member<'a> {
    site: &'a Site,
    cookie: String,
}

impl Accounts {
    pub(super) async fn start(name: &str, further: &[(&str, &str)]) -> Result<Self> {
        let mail = MailServer::start()?;
        let database = Database::create(name)?;
        let smtp = mail.url();
        let base = [("BASE_URL", BASE), ("SMTP_URL", &*smtp), ("ADMIN_EMAIL", ADMIN)];
        let site = Site::start_with(&database.origin, 0, &[&base, further].concat())?;
        until(async || Ok(site.visitor().get("/health/ready").await?.status == 200)).await?;
        Ok(Self { mail, site, database })
    }

    async fn post(&self, target: &str, form: &str) -> Result<Answer> {
        post(&self.site, target, form, &[]).await
    }

    async fn ask_for_link(&self, email: &str, code: &str) -> Result<Answer> {
        self.post("/auth/send-link", &format!("email={email}&invite_code={code}")).await
    }

    /// Asks for a link, reads the mail and presses the button.
    pub(super) async fn sign_in(&self, email: &str) -> Result<Member<'_>> {
        let count = self.mail.mails_to(email)?.len() + 1;
        self.ask_for_link(email, "welcome").await?;
        let mail = self.mail.mail_to(email, count).await?;
        let target = link(&mail, &format!("{BASE}/auth/verify/"))?.trim_start_matches(BASE);
        let answer = self.post(target, "").await?;
        ensure!((answer.status, &*answer.field("location")) == (303, "/account"), "{}", answer.text());
        let cookie = answer.field("set-cookie");
        Ok(Member { site: &self.site, cookie: cookie.split(';').next().context("a cookie")?.to_owned() })
    }
}

impl Member<'_> {
    pub(super) async fn get(&self, target: &str) -> Result<Answer> {
        self.site.visitor().ask("GET", target).field("cookie", &self.cookie).send().await
    }

    async fn post(&self, target: &str, form: &str) -> Result<Answer> {
        post(self.site, target, form, &[("cookie", &self.cookie)]).await
    }

    /// Sends a form with the token of the account's page.
    pub(super) async fn submit(&self, target: &str, form: &str) -> Result<Answer> {
        let page = self.get("/account").await?.text();
        let token = page.split("name=\"token\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        self.post(target, &format!("token={}&{form}", token.with_context(|| format!("no token in {page}"))?)).await
    }
}

pub(super) async fn post(site: &Site, target: &str, form: &str, fields: &[(&str, &str)]) -> Result<Answer> {
    let ask = site.visitor().ask("POST", target).field("content-type", "application/x-www-form-urlencoded");
    fields.iter().fold(ask, |ask, (name, value)| ask.field(name, value)).text(form).send().await
}

/// What an answer says, without what names and times it.
fn plain(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let named = ["x-request-id", "x-response-time", "server-timing", "date"];
    let fields = answer.headers.iter().filter(|(name, _)| !named.contains(&name.as_str()));
    let mut fields: Vec<_> = fields
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    fields.sort();
    (answer.status, fields, answer.text())
}

/// Known, new, invited, uninvited, switched off, too often, refused by its mail server: all are answered alike. Only those
/// who may sign in get a mail, and a mail server that is busy gets it later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_learns_which_addresses_are_known() -> Result<()> {
    let accounts = Accounts::start("accounts_constant", &[("INVITE_CODES", "welcome,second-one")]).await?;
    let _ = accounts.sign_in("known@example.org").await?;
    let _ = accounts.sign_in("off@example.org").await?;
    let client = accounts.database.connect().await?;
    client.batch_execute("UPDATE users SET is_active = false WHERE email = 'off@example.org'").await?;
    let full = "INSERT INTO auth_tokens (token_hash, email, expires_at)
        SELECT sha256(n::text::bytea), 'often@example.org', now() FROM generate_series(1, 5) n";
    client.batch_execute(full).await?;

    let first = accounts.ask_for_link("KNOWN@example.org", "").await?;
    assert_eq!((first.status, first.field("cache-control")), (303, "no-store".to_owned()));
    assert_eq!(first.field("set-cookie"), "");
    for (email, code) in [
        ("new@example.org", "second-one"),
        ("uninvited@example.org", ""),
        ("uninvited@example.org", "Welcome"),
        ("off@example.org", "welcome"),
        ("often@example.org", "welcome"),
        ("never-here@example.org", "welcome"),
        (ADMIN, ""),
        // Sent last, so that its mail comes when the others had their time.
        ("later-here@example.org", "welcome"),
    ] {
        assert_eq!(plain(&accounts.ask_for_link(email, code).await?), plain(&first), "{email} {code}");
    }
    for (email, count) in [("later-here@example.org", 1), ("known@example.org", 2), ("new@example.org", 1), (ADMIN, 1)]
    {
        accounts.mail.mail_to(email, count).await?;
    }
    for (email, count) in [("uninvited@example.org", 0), ("off@example.org", 1), ("often@example.org", 0)] {
        assert_eq!(accounts.mail.mails_to(email)?.len(), count, "{email}");
    }
    // What is no address is named beside its field; that tells nothing about any account.
    let wrong = accounts.ask_for_link("someone", "").await?;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("aria-describedby=\"email-error\""), "{}", wrong.text());
    Ok(())
}

/// A link works once and in time; looking at it uses nothing up; the database has no way to make one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_signs_in_once() -> Result<()> {
    let accounts = Accounts::start("accounts_link", &[]).await?;
    accounts.ask_for_link("one@example.org", "").await?;
    let mail = accounts.mail.mail_to("one@example.org", 1).await?;
    let target = link(&mail, &format!("{BASE}/auth/verify/"))?.trim_start_matches(BASE);
    for _ in 0..3 {
        let look = accounts.site.visitor().get(target).await?;
        assert_eq!((look.status, look.field("cache-control")), (200, "no-store".to_owned()));
        assert!(look.text().contains(&format!("action=\"{target}\"")), "{}", look.text());
    }
    let token = target.rsplit('/').next().context("a token")?;
    let stored = format!("SELECT count(*) FROM auth_tokens WHERE encode(token_hash, 'hex') = '{token}'");
    assert_eq!(accounts.database.number(&stored).await?, 0);
    let hashed = format!("SELECT count(*) FROM auth_tokens WHERE token_hash = sha256(decode('{token}', 'hex'))");
    assert_eq!(accounts.database.number(&hashed).await?, 1);

    // Pressed by ten at once, it lets one in.
    let pressed = futures_util::future::try_join_all((0..10).map(|_| accounts.post(target, ""))).await?;
    let mut statuses: Vec<u16> = pressed.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![303], vec![400; 9]].concat());
    let entered = pressed.iter().find(|answer| answer.status == 303).context("one was let in")?;
    let cookie = entered.field("set-cookie");
    assert!(cookie.starts_with("seawall=") && cookie.contains("; HttpOnly; SameSite=Lax;"), "{cookie}");

    accounts.ask_for_link("late@example.org", "").await?;
    let mail = accounts.mail.mail_to("late@example.org", 1).await?;
    let late = link(&mail, &format!("{BASE}/auth/verify/"))?.trim_start_matches(BASE);
    let age = "UPDATE auth_tokens SET expires_at = now() WHERE email = 'late@example.org'";
    accounts.database.connect().await?.batch_execute(age).await?;
    for target in [late, "/auth/verify/00", &format!("/auth/verify/{}", "0".repeat(64))] {
        assert_eq!(accounts.post(target, "").await?.status, 400, "{target}");
    }
    assert_eq!(accounts.database.number("SELECT count(*) FROM users").await?, 1);
    Ok(())
}

/// Five links an hour for one address, however many ask at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_gets_five_links_an_hour() -> Result<()> {
    let accounts = Accounts::start("accounts_bound", &[]).await?;
    for _ in 0..12 {
        assert_eq!(accounts.ask_for_link("busy@example.org", "").await?.status, 303);
    }
    accounts.mail.mail_to("busy@example.org", 5).await?;
    // Asked after all of them, so it is sent when they are decided.
    accounts.ask_for_link("after@example.org", "").await?;
    accounts.mail.mail_to("after@example.org", 1).await?;
    assert_eq!(accounts.mail.mails_to("busy@example.org")?.len(), 5);
    Ok(())
}

/// Forms of other sites, of other sessions and of nobody change nothing; signing out everywhere ends every session; only
/// an administrator sees the administration; and pages that are kept for all know nothing of who asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_ones_own_forms_change_anything() -> Result<()> {
    let accounts = Accounts::start("accounts_forms", &[]).await?;
    let (one, again) = (accounts.sign_in("one@example.org").await?, accounts.sign_in("one@example.org").await?);
    let (other, admin) = (accounts.sign_in("two@example.org").await?, accounts.sign_in(ADMIN).await?);

    let page = one.get("/account").await?;
    assert_eq!((page.status, page.field("cache-control")), (200, "no-store".to_owned()));
    assert_eq!(accounts.site.visitor().get("/account").await?.field("location"), "/auth/login");
    assert_eq!((one.get("/admin").await?.status, admin.get("/admin").await?.status), (404, 200));
    assert!(admin.get("/admin").await?.text().contains("two@example.org"));
    how_fast_the_site_is(&accounts, &one, &admin).await?;

    // A watch: without a token, with another session's, from another site, then properly, and twice.
    let watch = "kind=parcel&subject=3507/4";
    assert_eq!(one.post("/account/watch", watch).await?.status, 403);
    let token = |page: String| page.split("name=\"token\" value=\"").nth(1).map(|rest| rest[..128].to_owned());
    let foreign = token(again.get("/account").await?.text()).context("a token")?;
    assert_eq!(one.post("/account/watch", &format!("token={foreign}&{watch}")).await?.status, 403);
    let own = token(one.get("/account").await?.text()).context("a token")?;
    let form = format!("token={own}&{watch}");
    for (field, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        let answer = post(&accounts.site, "/account/watch", &form, &[("cookie", &one.cookie), (field, value)]).await?;
        assert_eq!(answer.status, 403, "{field}");
        let answer = post(&accounts.site, "/auth/send-link", "email=x@example.org", &[(field, value)]).await?;
        assert_eq!(answer.status, 403, "{field}");
    }
    assert_eq!(accounts.database.number("SELECT count(*) FROM watch_items").await?, 0);
    let own_site = [("cookie", &*one.cookie), ("origin", BASE)];
    assert_eq!(post(&accounts.site, "/account/watch", &form, &own_site).await?.status, 303);
    assert_eq!(one.submit("/account/watch", "kind=parcel&subject=3507 004").await?.status, 303);
    assert_eq!(accounts.database.number("SELECT count(*) FROM watch_items").await?, 1);
    let wrong = one.submit("/account/watch", "kind=parcel&subject=nowhere").await?;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("id=\"subject-error\"") && wrong.text().contains("value=\"nowhere\""));

    // Another person cannot end it, and its owner can.
    let id = accounts.database.number("SELECT watch_id FROM watch_items").await?;
    assert_eq!(other.submit("/account/unwatch", &format!("watch_id={id}")).await?.status, 303);
    assert!(one.get("/account").await?.text().contains("/report/3507/004"));
    assert_eq!(one.submit("/account/unwatch", &format!("watch_id={id}")).await?.status, 303);
    assert_eq!(accounts.database.number("SELECT count(*) FROM watch_items").await?, 0);

    // An address is one in every spelling, also one that was stored when fewer were known.
    let stored = "INSERT INTO watch_items (user_id, watch_type, subject, label, street_number, street_names, street_suffixes, street_whole)
        SELECT user_id, 'address', '12 st francis (bl)', '12 St Francis Blvd', '12', '{st francis,st francis blvd}',
               '{bl,boulevard,blvd}', '{st francis blvd}' FROM users WHERE email = 'one@example.org'";
    accounts.database.connect().await?.batch_execute(stored).await?;
    for (address, watched) in [
        ("12 St Francis Blvd", 1),
        ("12 Saint Francis Boulevard", 1),
        ("12 St Francis Ave", 2),
        ("100 S Van Ness Ave", 3),
        ("100 South Van Ness Ave", 3),
        ("102 S Van Ness Ave", 4),
    ] {
        assert_eq!(one.submit("/account/watch", &format!("kind=address&subject={address}")).await?.status, 303);
        assert_eq!(accounts.database.number("SELECT count(*) FROM watch_items").await?, watched, "{address}");
    }
    accounts.database.connect().await?.batch_execute("DELETE FROM watch_items").await?;

    // The bound: fifty at once leave room for none, also when ten ask at once for the last place.
    for number in 0..49 {
        assert_eq!(one.submit("/account/watch", &format!("kind=permit&subject=2023{number:04}")).await?.status, 303);
    }
    let last = (0..10).map(|number| {
        let (one, own) = (&one, &own);
        async move { one.post("/account/watch", &format!("token={own}&kind=permit&subject=2024{number:04}")).await }
    });
    let answers = futures_util::future::try_join_all(last).await?;
    assert_eq!(answers.iter().filter(|answer| answer.status == 303).count(), 1);
    assert_eq!(accounts.database.number("SELECT count(*) FROM watch_items").await?, 50);

    // Kept pages are the same for everyone and set nothing.
    for target in ["/", "/methodology", "/about-data", "/demo"] {
        let (member, stranger) = (one.get(target).await?, accounts.site.visitor().get(target).await?);
        assert_eq!(plain(&member), plain(&stranger), "{target}");
        assert_eq!(member.field("set-cookie"), "", "{target}");
        assert!(!member.text().contains("name=\"token\""), "{target}");
    }

    let out = again.submit("/auth/logout", "").await?;
    assert!(out.field("set-cookie").contains("Max-Age=0"), "{}", out.field("set-cookie"));
    assert_eq!(one.submit("/auth/logout-everywhere", "").await?.status, 303);
    for member in [&one, &again] {
        assert_eq!(member.get("/account").await?.field("location"), "/auth/login");
    }
    assert_eq!(other.get("/account").await?.status, 200);
    Ok(())
}

/// A row of the sample counts for as many requests as it stands for.
async fn how_fast_the_site_is(accounts: &Accounts, user: &Member<'_>, admin: &Member<'_>) -> Result<()> {
    let rows = "DELETE FROM request_metrics;
        INSERT INTO request_metrics (path, method, status_code, duration_ms, weight, recorded_at)
        SELECT '/quick', 'GET', 200, 10, 10, now() FROM generate_series(1, 99)
        UNION ALL SELECT '/slow', 'GET', 200, 1000, 1, now() FROM generate_series(1, 10)
        UNION ALL SELECT '/once', 'GET', 200, 9000, 1, now()
        UNION ALL SELECT '/old', 'GET', 200, 9000, 1000, now() - interval '25 hours'";
    accounts.database.connect().await?.batch_execute(rows).await?;
    for target in ["/admin/perf", "/admin/perf.json"] {
        assert_eq!(accounts.site.visitor().get(target).await?.status, 303, "{target}");
        assert_eq!(user.get(target).await?.status, 404, "{target}");
    }
    let figures = admin.get("/admin/perf.json").await?;
    assert_eq!((figures.status, figures.field("cache-control")), (200, "no-store".to_owned()));
    let figures = figures.json()?;
    let overall = ["p50_ms", "p95_ms", "p99_ms"].map(|name| figures[name].as_f64());
    assert_eq!(overall, [Some(10.0), Some(10.0), Some(1000.0)], "{figures}");
    let requests = figures["requests"].as_i64().unwrap_or_default();
    assert!((1001..1200).contains(&requests), "{figures}");
    assert_eq!((&figures["slowest"][0]["path"], &figures["slowest"][0]["p95_ms"]), (&json!("/slow"), &json!(1000.0)));
    assert_eq!((&figures["busiest"][0]["path"], &figures["busiest"][0]["requests"]), (&json!("/quick"), &json!(990)));
    let over_time = figures["over_time"].as_array().map(Vec::len);
    assert_eq!((over_time, figures["pool"]["max"].is_number()), (Some(48), true), "{figures}");
    let page = admin.get("/admin/perf").await?;
    assert_eq!((page.status, page.field("cache-control")), (200, "no-store".to_owned()));
    let text = page.text();
    for part in ["<circle", "<rect", "The same as a table", "GET /slow", "page cache hits"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    Ok(())
}
