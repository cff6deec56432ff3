//! The HTTP server: which route answers what, in which layers, and how it starts and ends.

mod check;
mod files;
mod listen;

pub use check::check;

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use seawall_core::policy::Policy;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;

use crate::accounts::{self, Accounts, Desk};
use crate::config::{CRON_SLOTS, Config, CronWorker};
use crate::cron::{self, Access};
use crate::db::Databases;
use crate::documents::Documents;
use crate::error::Error;
use crate::health::{self, Watch};
use crate::http::limits::{BODY_BYTES_MAX, CONNECTIONS_MAX, FILES_BESIDE};
use crate::http::overload::{self, Gates};
use crate::http::{cache, deadline, encoding, errors, observe, security};
use crate::jobs::{self, Context, Queue, Slots, Worker};
use crate::limit::{self, Limiter};
use crate::mail::Mailer;
use crate::metrics::{self, Samples};
use crate::page_cache::PageCache;
use crate::pages::{account, admin, brief, crawlers, demo, export, perf, sign_in};
use crate::permits::report::live::Live;
use crate::permits::{api, firm, permit, stuck, velocity};
use crate::soda::client::Client;
use crate::{assets, openapi, pages, policy, stats};

/// What the routes share.
pub(crate) struct Site {
    pub(crate) databases: Databases,
    pub(crate) watch: Arc<Watch>,
    pub(crate) context: Arc<Context>,
    pub(crate) jobs: Queue,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) cache: PageCache,
    pub(crate) documents: Documents,
    /// The city, for reports.
    pub(crate) live: Live,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) desk: Desk,
    /// `SECURITY_CONTACT`.
    pub(crate) security_contact: Option<String>,
}

impl Site {
    fn new(config: &Config, policy: &Arc<Policy>, databases: Databases) -> anyhow::Result<Arc<Self>> {
        let soda = Client::new(&config.soda, policy::soda_breaker(policy)?)?;
        let live = Live::new(config.soda.in_reports.then(|| soda.clone()));
        let cache = PageCache::new(databases.primary().clone());
        let watch = Arc::new(Watch::new(config.database.clone()));
        let memory_bytes = config.site.page_memory_bytes;
        let documents = Documents::new(cache.clone(), databases.clone(), Arc::clone(&watch), memory_bytes);
        let jobs = Queue::new(databases.primary().clone());
        let limiter = Arc::new(Limiter::new(config.limits.clone(), Arc::clone(policy))?);
        let accounts = Accounts::new(config.accounts.clone())?;
        let mailer = Mailer::new(&config.accounts)?;
        let security_contact = config.site.security_contact.clone();
        let desk = Desk::open(Arc::clone(&accounts), databases.primary().clone(), mailer.clone());
        let context = Arc::new(Context {
            config: config.clone(),
            soda,
            databases: databases.clone(),
            cache: cache.clone(),
            accounts: Arc::clone(&accounts),
            mailer,
        });
        Ok(Arc::new(Self {
            databases,
            watch,
            context,
            jobs,
            limiter,
            cache,
            documents,
            live,
            accounts,
            desk,
            security_contact,
        }))
    }
}

/// Starts the worker of this process. The second half ends when its jobs have ended or their leases are returned.
fn work(config: &Config, site: &Site) -> (watch::Sender<bool>, JoinHandle<()>) {
    let (stop, stopping) = watch::channel(false);
    let cron = if config.cron_worker == CronWorker::Off { 0 } else { CRON_SLOTS };
    let slots = Slots { visitors: config.job_slots, cron };
    let worker = Worker::new(Arc::clone(&site.context), site.jobs.clone(), slots);
    let working = tokio::spawn(async move {
        if slots.visitors + slots.cron > 0 {
            worker.run(stopping).await;
        }
    });
    (stop, working)
}

/// Serves until the process is told to stop (SIGINT or SIGTERM), then lets running requests finish.
///
/// Prints `origin listening on http://…` with the real port once connections are taken; with `PORT=0` the system
/// picks one. The pool is filled meanwhile: a database that is away keeps nothing from starting but the pages that
/// read it.
///
/// # Errors
/// When the policy does not hold together, the address cannot be bound, or the database, once it is there, has no room
/// for the pool.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    pages::place::settle(&config);
    let policy = Arc::new(policy::load(&config)?);
    let databases = Databases::open(&config.database, policy::replica_breaker(&policy))?;
    files::allow(CONNECTIONS_MAX + FILES_BESIDE);
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}; choose another address with BIND and PORT", config.listen))?;
    let address = listener.local_addr().context("the listening socket has no address")?;
    println!("origin listening on http://{address}");
    tracing::info!(event = "server.listening", %address, "listening on http://{address}");
    let site = Site::new(&config, &policy, databases.clone())?;
    let (stop, working) = work(&config, &site);
    let refused = Mutex::new(None);
    let stopped = async {
        let warm = async {
            if let Err(error) = databases.warm().await {
                *refused.lock().await = Some(error);
                return;
            }
            std::future::pending().await
        };
        tokio::select! {
            () = warm => {}
            () = listen::stopped() => {}
        }
    };
    let access = Access::new(config.cron_worker, config.cron_secret);
    let (samples, writer) = Samples::start(databases.primary().clone());
    if let Some(port) = config.metrics_port {
        let address = SocketAddr::new(config.listen.ip(), port);
        metrics::serve(address, Arc::clone(&site), samples.dropped()).await?;
    }
    let router = router(Arc::clone(&site), policy, access).layer(from_fn_with_state(samples, metrics::layer));
    listen::run(listener, router, listen::Bounds::SITE, stopped).await;
    site.desk.close().await;
    stop.send_replace(true);
    // A panic of the worker is in the log; leases that it held end by themselves.
    let _ = working.await;
    // The router is gone, so the writer ends when what is queued is written.
    let _ = tokio::time::timeout(metrics::WRITE_TIME_MAX, writer).await;
    databases.close();
    match refused.into_inner() {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// Every route in its layers. A layer added later lies further out.
fn router(site: Arc<Site>, policy: Arc<Policy>, access: Access) -> Router {
    let limiter = Arc::clone(&site.limiter);
    let accounts = Arc::clone(&site.accounts);
    Router::new()
        .route("/", get(pages::landing))
        .route("/search", get(pages::search))
        .route("/report/{block}/{lot}", get(pages::report))
        .route("/firm/{id}", get(pages::firm))
        .route("/permit/{permit_number}", get(pages::permit))
        .route("/velocity", get(pages::velocity))
        .route("/stuck", get(pages::stuck))
        .route("/methodology", get(pages::methodology))
        .route("/privacy", get(pages::privacy))
        .route("/robots.txt", get(crawlers::robots))
        .route("/sitemap.xml", get(crawlers::sitemap))
        .route("/sitemaps/{list}", get(crawlers::list))
        .route("/.well-known/security.txt", get(crawlers::security))
        .route("/about-data", get(pages::about_data))
        .route("/auth/login", get(sign_in::sign_in))
        .route("/auth/send-link", post(sign_in::send_link))
        .route("/auth/sent", get(sign_in::sent))
        .route("/auth/verify/{token}", get(sign_in::link).post(sign_in::verify))
        .route("/auth/logout", post(sign_in::sign_out))
        .route("/auth/logout-everywhere", post(sign_in::sign_out_everywhere))
        .route("/account", get(account::account))
        .route("/account/watch", post(account::watch))
        .route("/account/unwatch", post(account::unwatch))
        .route("/account/brief", post(account::choose_brief))
        .route("/demo", get(demo::demo))
        .route("/brief", get(brief::brief))
        .route("/brief/refresh", post(brief::refresh))
        .route("/unsubscribe/{user_id}/{signature}", get(brief::unsubscribe_page).post(brief::unsubscribe))
        .route("/admin", get(admin::admin))
        .route("/admin/perf", get(perf::page))
        .route("/admin/perf.json", get(perf::json))
        .route("/exports", post(export::order))
        .route("/exports/{job_id}", get(export::look))
        .route("/static/{name}", get(assets::serve))
        .route("/api/stats", get(stats::stats))
        .route("/api", get(pages::api))
        .route("/api/v1/openapi.json", get(openapi::json))
        .route("/api/v1/search", get(api::search))
        .route("/api/v1/suggest", get(api::suggest))
        .route("/api/v1/report/{block}/{lot}", get(api::report))
        .route("/api/v1/report/{block}/{lot}/whole", post(jobs::api::whole_report))
        .route("/api/v1/exports", post(jobs::api::export))
        .route("/api/v1/jobs/{job_id}", get(jobs::api::look).delete(jobs::api::cancel))
        .route("/api/v1/jobs/{job_id}/result", get(jobs::api::download))
        .route("/api/v1/firm/{id}", get(firm::json))
        .route("/api/v1/permit/{permit_number}", get(permit::json))
        .route("/api/v1/velocity", get(velocity::json))
        .route("/api/v1/stuck", get(stuck::json))
        .route("/api/v1/brief", get(brief::json))
        .route("/health", get(health::health))
        .route("/health/ready", get(health::ready))
        .route("/health/schema", get(health::schema))
        .route("/cron/status", get(cron::status))
        .route("/cron/runs/{log_id}", get(cron::run))
        .route("/cron/{job}", post(cron::start))
        .fallback(|| async { Error::not_found("There is nothing at this address.") })
        .with_state(site)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(accounts, accounts::origin_check))
        .layer(RequestBodyLimitLayer::new(BODY_BYTES_MAX))
        .layer(from_fn(deadline::layer))
        .layer(from_fn_with_state(Arc::new(Gates::new(Arc::clone(&policy))), overload::layer))
        .layer(from_fn_with_state(limiter, limit::layer))
        .layer(from_fn_with_state(Arc::new(access), cron::guard))
        .layer(from_fn(errors::layer))
        .layer(from_fn_with_state(policy, cache::layer))
        .layer(from_fn(encoding::compressed))
        .layer(encoding::compression())
        .layer(from_fn(encoding::weaken))
        .layer(from_fn(cache::conditional))
        .layer(from_fn(security::layer))
        .layer(from_fn(observe::layer))
}

/// A panic is a bug of ours: the visitor reads a page and the log holds the text.
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Error::bug(format!("panic: {}", text.unwrap_or("without text"))).into_response()
}

#[cfg(test)]
mod tests;
