//! The object by which the isolates of one point of presence share calls to the origin. It lives where its first question
//! came from, and holds nothing that has to survive it.

use core::{
    cell::{OnceCell, RefCell},
    pin::pin,
    time::Duration,
};

use futures_util::future::{Either, select};
use js_sys::Reflect;
use seawall_edge::{platform::AuthorityError, pop::PopFlights};
use wasm_bindgen::JsValue;
use worker::{Delay, DurableObject, Env, Request, Response, State, durable_object};

use crate::host;

thread_local! {
    /// The point of presence that this isolate is in.
    static PLACE: OnceCell<String> = const { OnceCell::new() };
}

/// Takes in what a request says of the place that it came to. An isolate is in one place, so the first one is enough.
pub(crate) fn learn_place(request: &web_sys::Request) {
    PLACE.with(|place| {
        place.get_or_init(|| {
            let get = |object: &JsValue, name| Reflect::get(object, &JsValue::from_str(name)).ok();
            let place = get(request, "cf").and_then(|about| get(&about, "colo")).and_then(|place| place.as_string());
            // Locally there is one place, without a name.
            place.unwrap_or_default()
        });
    });
}

/// Whether the objects are bound.
pub(crate) fn is_bound(env: &Env) -> bool {
    Reflect::get(env, &JsValue::from_str(BINDING)).is_ok_and(|bound| bound.is_object())
}

/// Asks the object of this place that has a share of the keys.
pub(crate) async fn ask(env: &Env, shard: u64, question: &str, deadline: Duration) -> Result<String, AuthorityError> {
    match select(pin!(call(env, shard, question)), pin!(Delay::from(deadline))).await {
        Either::Left((answer, _)) => answer.map_err(|error| AuthorityError::Failed(error.to_string())),
        Either::Right(_) => Err(AuthorityError::Late),
    }
}

async fn call(env: &Env, shard: u64, question: &str) -> worker::Result<String> {
    let name = PLACE.with(|place| format!("{}-{shard}", place.get().map_or("", String::as_str)));
    let stub = env.durable_object(BINDING)?.get_by_name(&name)?;
    let mut response = stub.fetch_with_str(&format!("{ADDRESS}{question}")).await?;
    let text = response.text().await?;
    match response.status_code() {
        200 => Ok(text),
        status => Err(worker::Error::from(format!("answered {status}: {text}"))),
    }
}

/// Says who leads.
#[durable_object]
pub struct Collapser {
    flights: RefCell<PopFlights>,
}

impl DurableObject for Collapser {
    fn new(_state: State, _env: Env) -> Self {
        Self { flights: RefCell::default() }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        let url = request.inner().url();
        let question = url.strip_prefix(ADDRESS).unwrap_or_default();
        match self.flights.borrow_mut().answer(question, host::now()) {
            Some(answer) => Response::ok(answer),
            None => Response::error("not a question about a call", 400),
        }
    }
}

/// What wrangler.toml binds the objects to.
const BINDING: &str = "COLLAPSE";
/// What the address of a question begins with: an object has no other visitors.
const ADDRESS: &str = "https://collapse.seawall.internal/";
