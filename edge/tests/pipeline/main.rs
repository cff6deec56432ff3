//! The pipeline over the fake platform: what each request gets, and what reaches the origin.
//!
//! `cache`: storing, reuse, stale answers, collapsing. `limit`: admission by the site's own policy. `shared`: limits of
//! all isolates, in every mode and place. `guard`: calls to an origin that fails.
//! `control`: the operator's paths. `cron`: jobs at their times. `failover`: several origins.
//! `pop`: calls that isolates share. `parts`: stored partial content. `at_once`: answers that wait for nothing.
//! `site`: what holds for every route: hosts, security fields, maintenance, the log.
//! `hostile`: requests that try to be served what is not theirs. `pass_through`: the policy for
//! any origin. `directives`: what clients say of caches. `hanging`: stored pages before an origin that does not answer. `outage`: a minute of each fault under load. `withdrawn`: pages that the origin
//! takes back. `scenario`: what every platform shows. `simulation`: everything at once, by seed.

mod at_once;
mod attacks;
mod cache;
mod control;
mod cron;
mod directives;
mod failover;
mod guard;
mod hanging;
mod hostile;
mod limit;
mod map;
mod memory;
mod outage;
mod parts;
mod pass_through;
mod pop;
mod purge;
mod ranged;
mod scenario;
mod shared;
mod simulation;
mod site;
mod withdrawn;

use core::time::Duration;
use std::rc::Rc;

use seawall_core::{headers::Fields, policy::Policy};
use seawall_edge::{
    Isolate,
    fake::{Host, World},
    message::{Request, Response},
};

/// The site's own policy.
fn policy() -> Policy {
    Policy::compile(include_str!("../../../policy.toml")).unwrap()
}

/// A world with one isolate.
fn world() -> (World, Rc<Isolate<Host>>) {
    let world = World::new(policy(), 1);
    let edge = world.edge();
    (world, edge)
}

fn get(world: &World, edge: &Rc<Isolate<Host>>, target: &str) -> Response<Host> {
    world.send(edge, Request::get(target))
}

fn field(response: &Response<Host>, name: &str) -> String {
    response.headers.field(name).map(|value| value.into_owned()).unwrap_or_default()
}

/// What a field says of one limit, such as `r=14;t=4`.
fn says(response: &Response<Host>, name: &str, limit: &str) -> String {
    let quoted = format!("\"{limit}\";");
    let value = field(response, name);
    value.split(", ").find_map(|item| item.strip_prefix(&quoted)).unwrap_or_default().to_owned()
}

fn cache_status(response: &Response<Host>) -> String {
    field(response, "cache-status")
}

fn body(response: &Response<Host>) -> &str {
    response.body.as_deref().unwrap_or_default()
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
