use std::{cell::RefCell, rc::Rc};

use seawall_core::headers::Fields;
use seawall_edge::{
    Edge, Isolate, Settings,
    cron::JobsFailed,
    fake::{Host, Reply, World},
    platform::FetchError,
    settings::Secret,
};

use super::{policy, seconds};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NIGHTLY: &str = "0 9 * * *";

fn world() -> (World, Rc<Isolate<Host>>) {
    let world = World::new(policy(), 1);
    let settings = Settings { cron_secret: Secret::new(SECRET.to_owned()), ..Settings::default() };
    let edge = Rc::new(Isolate::new(Edge::new(world.policy(), 1).with_settings(settings), 1));
    (world, edge)
}

fn failed(name: &str) -> Result<(), JobsFailed> {
    Err(JobsFailed::Jobs(vec![name.to_owned()]))
}

#[test]
fn a_job_is_posted_to_the_origin_with_its_secret() {
    let (world, edge) = world();
    world.origin(|request| {
        let fields = ["authorization", "idempotency-key", "x-forwarded-for"];
        let seen = fields.map(|name| request.headers.field(name).unwrap_or_default().into_owned());
        assert_eq!(seen, [&format!("Bearer {SECRET}"), "nightly-1767225600000", ""].map(String::from));
        Reply::status(202, "", &[])
    });
    assert_eq!(world.tick(&edge, NIGHTLY), Ok(()));
    assert_eq!(world.calls(), ["POST /cron/nightly"]);
    assert_eq!(world.log(), ["edge.cron job=nightly outcome=ok status=202 attempts=1"]);
    assert_eq!(world.metrics(), ["job nightly ok 1"]);
}

#[test]
fn a_job_is_tried_again_under_one_key_while_that_may_help() {
    for (first, outcome, attempts) in [
        (Some(503), Ok(()), 2),
        (Some(429), Ok(()), 2),
        (None, Ok(()), 2),
        (Some(500), failed("nightly"), 1),
        (Some(401), failed("nightly"), 1),
    ] {
        let (world, edge) = world();
        let keys: Rc<RefCell<Vec<String>>> = Rc::default();
        let seen = Rc::clone(&keys);
        world.origin(move |request| {
            let is_first = seen.borrow().is_empty();
            seen.borrow_mut().extend(request.headers.field("idempotency-key").map(|key| key.into_owned()));
            match first {
                Some(status) if is_first => Reply::status(status, "", &[]),
                None if is_first => Reply::fails(FetchError::Unreachable),
                _ => Reply::ok("", &[]),
            }
        });
        assert_eq!(world.tick(&edge, NIGHTLY), outcome, "{first:?}");
        assert_eq!(keys.borrow().len(), attempts, "{first:?}");
        assert!(keys.borrow().iter().all(|key| *key == keys.borrow()[0]), "{first:?}");
    }
}

#[test]
fn a_job_that_never_succeeds_ends_within_its_tries_and_says_so() {
    for (reply, outcome) in [(Some(503), "refused"), (None, "timeout")] {
        let (world, edge) = world();
        world.origin(move |_| match reply {
            Some(status) => Reply::status(status, "", &[]),
            None => Reply::ok("", &[]).after(seconds(3600)),
        });
        let began = world.now();
        assert_eq!(world.tick(&edge, NIGHTLY), failed("nightly"));
        assert_eq!(world.calls().len(), 4, "as the policy says");
        assert_eq!(world.metrics(), [format!("job nightly {outcome} 4")]);
        assert!(world.now().since(began) < seconds(4 * 30 + 3 * 60));
    }
}

#[test]
fn without_a_secret_or_a_job_a_run_fails_and_calls_nobody() {
    let (world, edge) = super::world();
    assert_eq!(world.tick(&edge, NIGHTLY), failed("nightly"));
    assert_eq!(world.log(), ["edge.cron job=nightly outcome=no-secret status=- attempts=0"]);
    assert_eq!(world.tick(&edge, "1 2 3 4 5"), Err(JobsFailed::Unknown));
    assert!(world.calls().is_empty());
}
