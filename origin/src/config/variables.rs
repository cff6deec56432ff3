//! The list of variables: name, default, meaning and what is accepted.

/// One environment variable.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What an absent one stands for; `None` when there is no such thing.
    pub default: Option<&'static str>,
    /// What it does.
    pub meaning: &'static str,
    /// What is accepted, as error messages say it.
    pub expected: &'static str,
    /// Whether its value must not show in messages.
    pub secret: bool,
}

impl Variable {
    /// Its row in `docs/configuration.md`.
    #[must_use]
    pub fn table_row(&self) -> String {
        let default = self.default.map_or_else(|| "none".to_owned(), |default| format!("`{default}`"));
        format!("| `{}` | {default} | {} | {} |", self.name, self.expected, self.meaning)
    }
}

/// Every variable, in the order of the documented table.
pub const VARIABLES: &[&Variable] = &[
    &DATABASE_URL,
    &DATABASE_URL_READONLY,
    &DATABASE_URL_DIRECT,
    &DB_POOLER,
    &DB_POOL_MIN,
    &DB_POOL_MAX,
    &DB_POOL_WARN_THRESHOLD,
    &DB_CONNECT_TIMEOUT,
    &DB_CHECKOUT_TIMEOUT,
    &DB_STATEMENT_TIMEOUT,
    &BIND,
    &PORT,
    &METRICS_PORT,
    &RATE_LIMITS,
    &REDIS_URL,
    &UPSTASH_REDIS_REST_URL,
    &UPSTASH_REDIS_REST_TOKEN,
    &TRUSTED_PROXY_HOPS,
    &PURGE_URL,
    &PURGE_SECRET,
    &EDGE_SECRET,
    &BASE_URL,
    &STATIC_BASE_URL,
    &SECURITY_CONTACT,
    &PAGE_MEMORY_MIB,
    &SESSION_KEYS,
    &INVITE_CODES,
    &ADMIN_EMAIL,
    &SMTP_URL,
    &SMTP_FROM,
    &CRON_WORKER,
    &CRON_SECRET,
    &JOB_SLOTS,
    &SODA_BASE_URL,
    &SODA_APP_TOKEN,
    &SODA_TIMEOUT,
    &SODA_PAGE_SIZE,
    &SODA_IN_REPORTS,
    &POLICY_FILE,
    &OTEL_EXPORTER_OTLP_ENDPOINT,
    &OTEL_EXPORTER_OTLP_HEADERS,
    &OTEL_SERVICE_NAME,
    &OTEL_TRACES_SAMPLER_ARG,
    &LOG_FORMAT,
    &RUST_LOG,
];

pub(super) const DATABASE_URL: Variable = Variable {
    name: "DATABASE_URL",
    default: None,
    meaning: "The database. `sslmode` is `disable`, `prefer`, `require` (encrypted, certificate not verified) or `verify-full`",
    expected: "a URL such as postgres://user:password@host:5432/name?sslmode=require",
    secret: true,
};

pub(super) const DATABASE_URL_READONLY: Variable = Variable {
    name: "DATABASE_URL_READONLY",
    default: None,
    meaning: "A replica that pages are read from. While it does not answer, or answers with an error, they are read from the primary",
    expected: "a URL such as postgres://user:password@host:5432/name, or nothing",
    secret: true,
};

pub(super) const DATABASE_URL_DIRECT: Variable = Variable {
    name: "DATABASE_URL_DIRECT",
    default: None,
    meaning: "Postgres itself, where `DATABASE_URL` leads to PgBouncer: loads need a session of their own",
    expected: "a URL such as postgres://user:password@host:5432/name, or nothing",
    secret: true,
};

pub(super) const DB_POOLER: Variable = Variable {
    name: "DB_POOLER",
    default: Some("none"),
    meaning: "What `DATABASE_URL` leads to: Postgres itself, or PgBouncer in transaction mode, where the role sets the longest statement (see operating/origin.md)",
    expected: "none or pgbouncer",
    secret: false,
};

pub(super) const DB_POOL_MIN: Variable = Variable {
    name: "DB_POOL_MIN",
    default: Some("5"),
    meaning: "Connections opened ahead, beside the serving, so that the first visitors do not wait for them",
    expected: "a whole number from 1 to 1000",
    secret: false,
};

pub(super) const DB_POOL_MAX: Variable = Variable {
    name: "DB_POOL_MAX",
    default: Some("50"),
    meaning: "Connections at most, per process, and as many to the replica. The server does not start with more than `max_connections` leaves room for",
    expected: "a whole number from 1 to 1000",
    secret: false,
};

pub(super) const DB_POOL_WARN_THRESHOLD: Variable = Variable {
    name: "DB_POOL_WARN_THRESHOLD",
    default: Some("0.8"),
    meaning: "The part of the pool in use from which a warning with the pool's figures is logged, once in 30 s",
    expected: "a part of the pool from 0.001 to 1",
    secret: false,
};

pub(super) const DB_CONNECT_TIMEOUT: Variable = Variable {
    name: "DB_CONNECT_TIMEOUT",
    default: Some("10s"),
    meaning: "Longest wait for a new database connection",
    expected: DURATION,
    secret: false,
};

pub(super) const DB_CHECKOUT_TIMEOUT: Variable = Variable {
    name: "DB_CHECKOUT_TIMEOUT",
    default: Some("5s"),
    meaning: "Longest wait of a request for a free connection before it is answered 503",
    expected: DURATION,
    secret: false,
};

pub(super) const DB_STATEMENT_TIMEOUT: Variable = Variable {
    name: "DB_STATEMENT_TIMEOUT",
    default: Some("30s"),
    meaning: "Longest statement of the server; the database ends it. Migrations and loads have no such limit",
    expected: DURATION,
    secret: false,
};

pub(super) const BIND: Variable = Variable {
    name: "BIND",
    default: Some("127.0.0.1"),
    meaning: "Address to listen on. A container sets `::` or `0.0.0.0`; the default shows a laptop's server to nobody else",
    expected: "an IP address",
    secret: false,
};

pub(super) const PORT: Variable = Variable {
    name: "PORT",
    default: Some("8080"),
    meaning: "Port to listen on",
    expected: "a port from 0 to 65535; 0 takes a free one",
    secret: false,
};

pub(super) const RATE_LIMITS: Variable = Variable {
    name: "RATE_LIMITS",
    default: Some("on"),
    meaning: "Whether this process counts requests by the policy's limits; `off` leaves that to the edge",
    expected: "on or off",
    secret: false,
};

pub(super) const REDIS_URL: Variable = Variable {
    name: "REDIS_URL",
    default: None,
    meaning: "Where limits of scope `shared` are counted for all processes; without it each counts by itself. Redis 6.2 or newer, `rediss://` for TLS",
    expected: "a URL such as redis://:password@host:6379/0, or nothing",
    secret: true,
};

pub(super) const UPSTASH_REDIS_REST_URL: Variable = Variable {
    name: "UPSTASH_REDIS_REST_URL",
    default: None,
    meaning: "The same Redis at Upstash, over HTTP; `REDIS_URL` counts where both are set",
    expected: "a URL such as https://eu1-name.upstash.io, or nothing",
    secret: false,
};

pub(super) const UPSTASH_REDIS_REST_TOKEN: Variable = Variable {
    name: "UPSTASH_REDIS_REST_TOKEN",
    default: None,
    meaning: "The right to use it",
    expected: "one word, beside UPSTASH_REDIS_REST_URL",
    secret: true,
};

pub(super) const TRUSTED_PROXY_HOPS: Variable = Variable {
    name: "TRUSTED_PROXY_HOPS",
    default: Some("0"),
    meaning: "How many proxies of ours a request comes through, each of which adds to `X-Forwarded-For`: behind the edge 1, behind the edge and Railway's proxy 2. With 0 the other end of the connection is the client",
    expected: "a whole number from 0 to 8",
    secret: false,
};

pub(super) const PURGE_URL: Variable = Variable {
    name: "PURGE_URL",
    default: None,
    meaning: "The edge that stands before this site: loads and jobs tell it which pages are old (operating/purge.md). Needs `PURGE_SECRET`",
    expected: "a URL without a path, such as https://permits.example, or nothing",
    secret: false,
};

pub(super) const PURGE_SECRET: Variable = Variable {
    name: "PURGE_SECRET",
    default: None,
    meaning: "The edge's `CONTROL_SECRET`",
    expected: "at least 32 bytes, or nothing",
    secret: true,
};

pub(super) const BASE_URL: Variable = Variable {
    name: "BASE_URL",
    default: Some("http://localhost:8080"),
    meaning: "What visitors type: the edge's address, not this process's own. Links in mail begin with it, and forms are taken from its pages only. With `https`, cookies are sent over TLS only",
    expected: "an http or https URL without a query",
    secret: false,
};

pub(super) const STATIC_BASE_URL: Variable = Variable {
    name: "STATIC_BASE_URL",
    default: None,
    meaning: "A host that serves `/static/**` of this site, such as a CDN without cookies; pages then link to their files there, and their security policy names it",
    expected: "an http or https URL without a path, or nothing",
    secret: false,
};

pub(super) const SECURITY_CONTACT: Variable = Variable {
    name: "SECURITY_CONTACT",
    default: None,
    meaning: "Whom to tell of a hole; `/.well-known/security.txt` says it",
    expected: "a URL that begins with mailto: or https://, or nothing",
    secret: false,
};

pub(super) const PAGE_MEMORY_MIB: Variable = Variable {
    name: "PAGE_MEMORY_MIB",
    default: Some("32"),
    meaning: "Memory in MiB for pages that are asked for often, beside the page cache in the database. With 0 pages are made for each request and kept nowhere",
    expected: "a whole number from 0 to 4096",
    secret: false,
};

pub(super) const SESSION_KEYS: Variable = Variable {
    name: "SESSION_KEYS",
    default: None,
    meaning: "Sign sessions, the same for all processes. The first signs, all are accepted: to change a key, put the new one in front and take the old one out 30 days later. Required when `BASE_URL` is https; otherwise a key lasts as long as the process",
    expected: "1 to 8 keys of at least 32 characters, separated by commas",
    secret: true,
};

pub(super) const INVITE_CODES: Variable = Variable {
    name: "INVITE_CODES",
    default: None,
    meaning: "Codes of which a new visitor needs one to sign up; without any, everyone may. The first that begins with `demo-` is shown on `/demo`",
    expected: "1 to 1000 codes of 6 to 100 bytes, separated by commas; or nothing",
    secret: true,
};

pub(super) const ADMIN_EMAIL: Variable = Variable {
    name: "ADMIN_EMAIL",
    default: None,
    meaning: "Who becomes an administrator when signing in, and needs no invite code",
    expected: "a mail address, or nothing",
    secret: false,
};

pub(super) const SMTP_URL: Variable = Variable {
    name: "SMTP_URL",
    default: None,
    meaning: "The mail server: `smtps://` is TLS from the start, `?tls=required` after STARTTLS. Required when `BASE_URL` is https; otherwise mail is written to the log",
    expected: "a URL such as smtps://user:password@host or smtp://user:password@host:587?tls=required, or nothing",
    secret: true,
};

pub(super) const SMTP_FROM: Variable = Variable {
    name: "SMTP_FROM",
    default: Some("Seawall <noreply@localhost>"),
    meaning: "Who mail is from",
    expected: "a mail address such as Seawall <permits@example.org>",
    secret: false,
};

pub(super) const CRON_WORKER: Variable = Variable {
    name: "CRON_WORKER",
    default: Some("off"),
    meaning: "Whether this process runs jobs that are posted to `/cron/`: `on` beside the site, `only` with nothing but health",
    expected: "off, on or only",
    secret: false,
};

pub(super) const EDGE_SECRET: Variable = Variable {
    name: "EDGE_SECRET",
    default: None,
    meaning: "What the edge shows, under the same name, to be believed who its clients are and which trace a request is part of; from others the address of the connection counts. Without it whoever comes is believed as `TRUSTED_PROXY_HOPS` says",
    expected: "at least 32 characters",
    secret: true,
};

pub(super) const CRON_SECRET: Variable = Variable {
    name: "CRON_SECRET",
    default: None,
    meaning: "The bearer token of whoever calls `/cron/`; the edge has it under the same name",
    expected: "at least 32 characters",
    secret: true,
};

pub(super) const JOB_SLOTS: Variable = Variable {
    name: "JOB_SLOTS",
    default: Some("2"),
    meaning: "Exports and long reports that this process makes at a time; with 0 others have to",
    expected: "a whole number from 0 to 16",
    secret: false,
};

pub(super) const METRICS_PORT: Variable = Variable {
    name: "METRICS_PORT",
    default: None,
    meaning: "Port of `BIND` for Prometheus, which is to be reached by nobody else; without it nothing is recorded",
    expected: "a port from 0 to 65535; 0 takes a free one; or nothing",
    secret: false,
};

pub(super) const SODA_BASE_URL: Variable = Variable {
    name: "SODA_BASE_URL",
    default: Some("https://data.sfgov.org"),
    meaning: "The city's open-data API, or a stand-in for it",
    expected: "an http or https URL without a query",
    secret: false,
};

pub(super) const SODA_APP_TOKEN: Variable = Variable {
    name: "SODA_APP_TOKEN",
    default: None,
    meaning: "Sent as `X-App-Token`; without it the city's API throttles sooner",
    expected: "a token, or nothing",
    secret: true,
};

pub(super) const SODA_TIMEOUT: Variable = Variable {
    name: "SODA_TIMEOUT",
    default: Some("30s"),
    meaning: "Longest wait for one whole answer of the city's API",
    expected: DURATION,
    secret: false,
};

pub(super) const SODA_PAGE_SIZE: Variable = Variable {
    name: "SODA_PAGE_SIZE",
    default: Some("10000"),
    meaning: "Rows asked for at once while loading; memory grows with it",
    expected: "a whole number from 10 to 50000",
    secret: false,
};

pub(super) const SODA_IN_REPORTS: Variable = Variable {
    name: "SODA_IN_REPORTS",
    default: Some("on"),
    meaning: "Whether reports ask the city's API for complaints and notices that are newer than the last load",
    expected: "on or off",
    secret: false,
};

pub(super) const POLICY_FILE: Variable = Variable {
    name: "POLICY_FILE",
    default: None,
    meaning: "A traffic policy that replaces the built-in `policy.toml`",
    expected: "a path, or nothing",
    secret: false,
};

pub(super) const OTEL_EXPORTER_OTLP_ENDPOINT: Variable = Variable {
    name: "OTEL_EXPORTER_OTLP_ENDPOINT",
    default: None,
    meaning: "A collector of OpenTelemetry that is told of requests as spans, by OTLP over HTTP; `/v1/traces` is added. Without it nothing is recorded or sent",
    expected: "an http or https URL without a query, such as http://localhost:4318; or nothing",
    secret: false,
};

pub(super) const OTEL_EXPORTER_OTLP_HEADERS: Variable = Variable {
    name: "OTEL_EXPORTER_OTLP_HEADERS",
    default: None,
    meaning: "Header fields of each request to the collector, such as its key",
    expected: "pairs such as name=value, separated by commas; or nothing",
    secret: true,
};

pub(super) const OTEL_SERVICE_NAME: Variable = Variable {
    name: "OTEL_SERVICE_NAME",
    default: Some("seawall-origin"),
    meaning: "What spans say that they are from",
    expected: "a name",
    secret: false,
};

pub(super) const OTEL_TRACES_SAMPLER_ARG: Variable = Variable {
    name: "OTEL_TRACES_SAMPLER_ARG",
    default: Some("0.1"),
    meaning: "The part of requests that are exported, of those whose caller did not choose by `traceparent` beside `EDGE_SECRET`",
    expected: "a part from 0 to 1 with three decimals at most",
    secret: false,
};

pub(super) const LOG_FORMAT: Variable = Variable {
    name: "LOG_FORMAT",
    default: Some("text"),
    meaning: "How log lines look",
    expected: "text or json",
    secret: false,
};

pub(super) const RUST_LOG: Variable = Variable {
    name: "RUST_LOG",
    default: Some("info"),
    meaning: "Which log lines are written",
    expected: "a filter such as info or warn,seawall_origin=debug",
    secret: false,
};

const DURATION: &str = "10ms to 1h, such as 250ms, 10s or 2m";
