//! The operator's paths, under `/__seawall/`: no route takes them and no cache keeps them.
//!
//! Without a secret in the settings they do not exist. With one, `health` tells anybody that the edge runs, and
//! everything else wants the secret as a bearer token; a request without it learns nothing, not even which paths
//! there are.

mod explain;
mod health;
mod orders;
mod purge;

use alloc::{borrow::Cow, rc::Rc, string::String};

use seawall_core::{
    headers::Fields,
    problem::{Problem, Status},
};

use crate::{
    Isolate, Platform, answer,
    message::{Headers, Request, Response},
};

/// The part of a canonical path after `/__seawall/`; `None` for every other path.
pub(crate) fn name(path: &str) -> Option<&str> {
    path.strip_prefix("/__seawall/")
}

/// Answers a request for `/__seawall/{name}`, and says what to call it in the log. Counted under no limit: a wrong
/// secret costs one comparison.
pub(crate) async fn answer<P: Platform>(
    isolate: &Rc<Isolate<P>>,
    platform: &P,
    name: &str,
    request: &mut Request<P>,
) -> (Response<P>, &'static str) {
    let authorization = request.headers.field("authorization").map(Cow::into_owned);
    let method = request.method.clone();
    let (known, response) = match (&isolate.settings.control_secret, method.as_str(), name) {
        (None, ..) => (None, refusal(platform, Status::NotFound, "Nothing is served here.")),
        (Some(secret), method, name) if secret.admits(authorization.as_deref()) => {
            let control = Control { isolate, platform };
            match (name, method) {
                ("health", "GET" | "HEAD") => (Some("health"), control.health().await),
                ("health", _) => (Some("health"), control.wrong_method("GET, HEAD")),
                ("explain", "GET") => (Some("explain"), control.explain(&request.query).await),
                ("explain", _) => (Some("explain"), control.wrong_method("GET")),
                ("purge", "POST") => (Some("purge"), control.purge(request).await),
                ("purge", _) => (Some("purge"), control.wrong_method("POST")),
                _ => (None, refusal(platform, Status::NotFound, "The operator's paths are: explain, health, purge.")),
            }
        }
        (Some(_), "GET" | "HEAD", "health") => (Some("health"), json(platform, health::alive())),
        (Some(_), ..) => {
            let mut response =
                refusal(platform, Status::Unauthorized, "Send the control secret: Authorization: Bearer ..");
            response.headers.set("www-authenticate", "Bearer realm=\"seawall\"");
            (None, response)
        }
    };
    // A name that nobody here chose stays out of the log.
    (response, known.unwrap_or("none"))
}

/// What an operator's request works on.
struct Control<'a, P: Platform> {
    isolate: &'a Rc<Isolate<P>>,
    platform: &'a P,
}

impl<P: Platform> Control<'_, P> {
    fn wrong_method(&self, allowed: &str) -> Response<P> {
        let mut response = refusal(self.platform, Status::MethodNotAllowed, "This path takes other methods.");
        response.headers.set("allow", allowed);
        response
    }
}

fn refusal<P: Platform>(platform: &P, status: Status, detail: &str) -> Response<P> {
    answer::refused(platform, &Problem::plain(status, detail), "control")
}

/// An answer for this operator at this moment.
fn json<P: Platform>(platform: &P, text: String) -> Response<P> {
    let mut headers = P::Headers::default();
    headers.set("content-type", "application/json");
    headers.set("cache-control", "no-store");
    Response::new(200, headers, Some(platform.text(text)))
}
