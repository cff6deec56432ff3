//! The log of purges as a Durable Object: one for all isolates, in memory, and in its storage.

use core::{cell::RefCell, pin::pin, time::Duration};

use futures_util::future::{Either, select};
use js_sys::Reflect;
use seawall_edge::{platform::AuthorityError, purge::PurgeLog};
use wasm_bindgen::JsValue;
use worker::{Delay, DurableObject, Env, Request, Response, SqlStorageValue, State, durable_object};

use crate::host;

/// Whether the object is bound.
pub(crate) fn is_bound(env: &Env) -> bool {
    Reflect::get(env, &JsValue::from_str(BINDING)).is_ok_and(|bound| bound.is_object())
}

/// Asks it.
pub(crate) async fn ask(env: &Env, question: String, deadline: Duration) -> Result<String, AuthorityError> {
    match select(pin!(call(env, &question)), pin!(Delay::from(deadline))).await {
        Either::Left((answer, _)) => answer.map_err(|error| AuthorityError::Failed(error.to_string())),
        Either::Right(_) => Err(AuthorityError::Late),
    }
}

async fn call(env: &Env, question: &str) -> worker::Result<String> {
    let stub = env.durable_object(BINDING)?.get_by_name("purges")?;
    // The worker crate's own would bring along every option that Cloudflare has for a call to the outside.
    let init = web_sys::RequestInit::new();
    init.set_method("POST");
    init.set_body(&JsValue::from_str(question));
    let request = web_sys::Request::new_with_str_and_init(ADDRESS, &init)?;
    let mut response = stub.fetch_with_request(Request::from(request)).await?;
    let text = response.text().await?;
    match response.status_code() {
        200 => Ok(text),
        status => Err(worker::Error::from(format!("answered {status}: {text}"))),
    }
}

/// Keeps the log. It is bounded by itself, so what is kept is bounded too.
#[durable_object]
pub struct Purger {
    state: State,
    log: RefCell<PurgeLog>,
}

impl DurableObject for Purger {
    fn new(state: State, _env: Env) -> Self {
        let purger = Self { state, log: RefCell::default() };
        purger.restore().expect("the object's own storage is readable");
        purger
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let question = request.text().await?;
        let Some((answer, changed)) = self.log.borrow_mut().answer(&question, host::now()) else {
            return Response::error("not a question to the log of purges", 400);
        };
        if changed {
            let text = self.log.borrow().to_text();
            self.state.storage().sql().exec("REPLACE INTO log (id, text) VALUES (1, ?)", vec![text.into()])?;
        }
        Response::ok(answer)
    }
}

impl Purger {
    /// Reads back what an earlier life of this object wrote.
    fn restore(&self) -> worker::Result<()> {
        let sql = self.state.storage().sql();
        sql.exec("CREATE TABLE IF NOT EXISTS log (id INTEGER PRIMARY KEY, text TEXT NOT NULL)", None)?;
        if let Some(row) = sql.exec("SELECT text FROM log", None)?.raw().next().transpose()?
            && let Some(SqlStorageValue::String(text)) = row.first()
        {
            *self.log.borrow_mut() = PurgeLog::from_text(text, host::now());
        }
        Ok(())
    }
}

/// What wrangler.toml binds the object to.
const BINDING: &str = "PURGES";
/// Any address leads to it.
const ADDRESS: &str = "https://purges.seawall.internal/";
