//! Stored pages before an origin that does not answer, or answers late: who gets them, and what is called meanwhile.

use core::time::Duration;
use std::rc::Rc;

use seawall_core::policy::Policy;
use seawall_edge::{
    Isolate,
    fake::{Host, Reply, World},
    message::Request,
    platform::FetchError,
};

use super::{body, seconds};

const PAGE: &str = "/page";
/// How long a visitor waits whom the stored page can serve.
const PATIENCE: Duration = seconds(2);

/// A world whose isolate has the page stored, past every window but that for failing origins.
fn stored(options: &str, fields: &'static [(&'static str, &'static str)]) -> (World, Rc<Isolate<Host>>) {
    let policy = format!(
        "version = 1\n[upstream.origin]\ndeadline = \"10s\"\n[[route]]\nname = \"all\"\npath = \"/**\"\n\
         cache = {{ edge = {{ fresh = \"1m\", stale_if_error = \"1d\"{options} }} }}\n"
    );
    let world = World::new(Policy::compile(&policy).unwrap_or_else(|error| panic!("{error}")), 1);
    let edge = world.edge();
    world.origin(move |_| Reply::ok("old", fields));
    assert_eq!(world.send(&edge, Request::get(PAGE)).status, 200);
    world.advance(seconds(3600));
    (world, edge)
}

fn hangs(world: &World) {
    world.origin(|_| Reply::fails(FetchError::Timeout).after(seconds(10)));
}

/// Sends one request, and says what came after how long.
fn timed(world: &World, edge: &Rc<Isolate<Host>>, request: Request<Host>) -> (String, Duration) {
    let began = world.now();
    let answer = world.send(edge, request);
    (body(&answer).to_owned(), world.now().since(began))
}

/// However many ask for the page, and by whatever method, one call by each is under way.
#[test]
fn a_crowd_before_a_call_that_hangs_makes_no_other() {
    let (world, edge) = stored("", &[]);
    hangs(&world);
    let before = world.calls().len();
    assert_eq!(timed(&world, &edge, Request::get(PAGE)), ("old".to_owned(), PATIENCE));
    let began = world.now();
    for method in ["GET", "HEAD"] {
        let crowd = (0..1_200).map(|_| Request::get(PAGE).method(method)).collect();
        assert!(world.send_all(&edge, crowd).iter().all(|answer| answer.status == 200), "{method}");
    }
    assert_eq!(world.now(), began, "nobody waits");
    assert_eq!(world.calls()[before..], ["GET /page", "HEAD /page"]);
}
