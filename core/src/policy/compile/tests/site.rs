//! The site as a whole: hosts, security fields, maintenance, jobs.

use core::time::Duration;

use super::*;
use crate::policy::{Diagnostics, Maintenance};

/// The smallest policy with these lines before its routes, and these in its only route.
fn policy(lines: &str, route: &str) -> String {
    format!(
        "version = 1\n{lines}\n[upstream.origin]\n[upstream.slow]\n[[route]]\nname = \"all\"\npath = \"/**\"\n{route}\n"
    )
}

fn compiled(lines: &str, route: &str) -> Policy {
    Policy::compile(&policy(lines, route)).unwrap_or_else(|error| panic!("{error}"))
}

fn fields(policy: &Policy, path: Option<&str>) -> Vec<String> {
    let route = path.map(|path| policy.route("GET", path).expect("some route takes it"));
    let fields = policy.security_fields(route).expect("each route has its set");
    let mut lines: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    lines.sort();
    lines
}

#[test]
fn without_options_the_site_takes_every_host_and_is_open() {
    let policy = compiled("", "");
    assert!(policy.site().hosts.take("any.example"));
    assert_eq!(policy.site().diagnostics, Diagnostics::Public);
    assert_eq!(policy.site().maintenance, Maintenance::default());
    assert!(!policy.site().maintenance.on);
    assert_eq!(policy.site().jobs, []);
    assert_eq!(
        fields(&policy, None),
        [
            "referrer-policy: strict-origin-when-cross-origin",
            "x-content-type-options: nosniff",
            "x-frame-options: SAMEORIGIN"
        ]
    );
    assert_eq!(fields(&policy, Some("/")), fields(&policy, None));
}

#[test]
fn every_option_is_read() {
    let policy = compiled(
        r#"
        site = { hosts = ["permits.example", "*.city.example"], diagnostics = "operator" }
        security = { x-frame-options = "DENY", strict-transport-security = "max-age=1" }
        maintenance = { on = true, retry_after = "2h", stored = false, text = "Back at noon." }
        cron = [{ name = "nightly", schedule = "30 9 * * *", path = "/cron/nightly", upstream = "slow" }]
        "#,
        "in_maintenance = true\nsecurity = { x-frame-options = \"\", referrer-policy = \"no-referrer\" }",
    );
    assert!(policy.site().hosts.take("a.city.example"));
    assert!(!policy.site().hosts.take("other.example"));
    assert_eq!(policy.site().diagnostics, Diagnostics::Operator);
    assert_eq!(
        policy.site().maintenance,
        Maintenance {
            on: true,
            retry_after: Duration::from_secs(7200),
            stored: false,
            text: String::from("Back at noon.")
        }
    );
    let job = &policy.site().jobs[0];
    assert_eq!((job.name.as_str(), &*job.schedule, &*job.path), ("nightly", "30 9 * * *", "/cron/nightly"));
    assert_eq!(policy.upstream_for(job).map(|upstream| upstream.name.as_str()), Some("slow"));
    assert!(policy.route("GET", "/").is_some_and(|route| route.in_maintenance));
    assert_eq!(
        fields(&policy, None),
        [
            "referrer-policy: strict-origin-when-cross-origin",
            "strict-transport-security: max-age=1",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
        ]
    );
    assert_eq!(
        fields(&policy, Some("/")),
        ["referrer-policy: no-referrer", "strict-transport-security: max-age=1", "x-content-type-options: nosniff"]
    );
}

#[test]
fn each_fault_of_the_site_earns_its_line() {
    for (lines, route, expect) in [
        ("site = { host = [] }", "", "2:10: site.host: unknown option; did you mean \"hosts\"?"),
        (
            "site = { hosts = [] }",
            "",
            "2:18: site.hosts: expected hosts in lower case such as permits.example, permits.example:8443 or \
             *.permits.example, found an empty list",
        ),
        (
            "site = { diagnostics = \"all\" }",
            "",
            "2:24: site.diagnostics: expected one of public, operator, found \"all\"",
        ),
        (
            "security = { x-frame-option = \"DENY\" }",
            "",
            "2:14: security.x-frame-option: unknown option; did you mean \"x-frame-options\"?",
        ),
        (
            "security = { x-frame-options = \"a\\nb\" }",
            "",
            "2:32: security.x-frame-options: expected a text of at most 2048 visible ASCII characters; empty for none, \
             found \"a\\nb\"",
        ),
        (
            "",
            "security = { referrer-policy = 1 }",
            "8:32: route \"all\".security.referrer-policy: expected a text of at most 2048 visible ASCII characters; \
             empty for none, found 1",
        ),
        ("", "in_maintenance = 1", "8:18: route \"all\".in_maintenance: expected true or false, found 1"),
        (
            "maintenance = { retry_after = \"1500ms\" }",
            "",
            "2:31: maintenance.retry_after: expected whole seconds from \"1s\" to \"1d\", found \"1500ms\"",
        ),
        ("maintenance = { text = \"\" }", "", "2:24: maintenance.text: expected a text of 1 to 1024 bytes, found \"\""),
        (
            "cron = [{ name = \"a\", schedule = \"daily\", path = \"/a\" }]",
            "",
            "2:34: cron \"a\".schedule: expected the five fields of a cron expression, such as \"30 9 * * *\", found \
             \"daily\"",
        ),
        (
            "cron = [{ name = \"a\", schedule = \"* * * * *\", path = \"/a/**\" }]",
            "",
            "2:54: cron \"a\".path: expected a path without patterns, such as /cron/nightly, found \"/a/**\"",
        ),
        (
            "cron = [{ name = \"a\", schedule = \"* * * * *\", path = \"/a\", upstream = \"slo\" }]",
            "",
            "2:71: cron \"a\".upstream: no upstream \"slo\"; did you mean \"slow\"?",
        ),
        (
            "cron = [{ name = \"a\", schedule = \"* * * * *\", path = \"/a\" }, { name = \"a\" }]",
            "",
            "2:71: cron[1].name: an earlier job is called \"a\" too",
        ),
    ] {
        assert_eq!(error(&policy(lines, route)), format!("policy.toml:{expect}"), "{lines} {route}");
    }
}

#[test]
fn a_host_has_one_spelling() {
    for host in ["Permits.example", "permits..example", ".example", "*", "*.", "a b", "a:0", "a:99999", "a:", "[::1]"] {
        let error = error(&policy(&format!("site = {{ hosts = [\"{host}\"] }}"), ""));
        assert!(error.contains("expected hosts in lower case"), "{host}: {error}");
    }
}

#[test]
fn lists_and_texts_of_the_site_have_bounds() {
    let hosts = |count: usize| {
        let hosts: Vec<String> = (0..count).map(|at| format!("\"h{at}.example\"")).collect();
        policy(&format!("site = {{ hosts = [{}] }}", hosts.join(", ")), "")
    };
    check_bound(hosts, Site::HOSTS_MAX, "entries");
    let jobs = |count: usize| {
        let job = |at| format!("{{ name = \"j{at}\", schedule = \"* * * * *\", path = \"/a\" }}");
        policy(&format!("cron = [{}]", (0..count).map(job).collect::<Vec<_>>().join(", ")), "")
    };
    check_bound(jobs, Site::JOBS_MAX, "jobs");
    for (fits, text) in [(true, "a".repeat(2048)), (false, "a".repeat(2049))] {
        let policy = policy(&format!("security = {{ x-robots-tag = \"{text}\" }}"), "");
        assert_eq!(Policy::compile(&policy).is_ok(), fits);
    }
}
