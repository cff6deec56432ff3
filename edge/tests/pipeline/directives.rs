//! What a client says of caches in `Cache-Control`, and how far it is heard.

use std::rc::Rc;

use seawall_core::{headers::Fields as _, policy::Policy};
use seawall_edge::{
    Isolate,
    fake::{Host, Reply, World},
    message::{Request, Response},
};

use super::{body, cache_status};

/// A world with one cached route of these options, whose origin answers with what it gets as `Cache-Control`, and says that
/// its answer varies on that.
fn world(options: &str) -> (World, Rc<Isolate<Host>>) {
    let policy = format!(
        "version = 1\n[upstream.origin]\n[[route]]\nname = \"all\"\npath = \"/**\"\n\
         cache = {{ edge = {{ fresh = \"1m\", {options} }} }}\n"
    );
    let world = World::new(Policy::compile(&policy).unwrap_or_else(|error| panic!("{error}")), 1);
    world.origin(|request| {
        let got = request.headers.field("cache-control").unwrap_or_default();
        Reply::ok(&format!("got {got}"), &[("vary", "cache-control")])
    });
    let edge = world.edge();
    (world, edge)
}

fn ask(world: &World, edge: &Rc<Isolate<Host>>, target: &str, says: &str) -> Response<Host> {
    let request = Request::get(target);
    let answer = world.send(edge, if says.is_empty() { request } else { request.with("cache-control", says) });
    world.settle();
    answer
}

/// RFC 9111 §5.2.1.5, where the policy honours it, and whether or not the origin gets the field.
#[test]
fn what_a_client_forbids_to_store_is_not_stored() {
    const HONOUR: &str = "request_directives = \"honour\"";
    for (options, is_heard, reaches) in [
        (HONOUR, true, false),
        ("request_directives = \"honour\", request_fields = [\"accept\"]", true, false),
        ("request_directives = \"honour\", request_fields = \"all\"", true, true),
        ("request_directives = \"ignore\"", false, false),
    ] {
        let (world, edge) = world(options);
        let secret = ask(&world, &edge, "/a", "max-age=60, No-Store");
        assert_eq!(body(&secret) == "got max-age=60, No-Store", reaches, "{options}");
        assert_eq!(cache_status(&secret).ends_with("; detail=request-no-store"), is_heard, "{options}");
        let next = cache_status(&ask(&world, &edge, "/a", ""));
        assert_eq!(next.contains("fwd=uri-miss"), is_heard, "{options}: {next}");

        let calls = world.calls().len();
        let kept = cache_status(&ask(&world, &edge, "/a", ""));
        assert!(kept.starts_with("Seawall; hit"), "{options}: {kept}");
        let secret = cache_status(&ask(&world, &edge, "/a", "no-store"));
        assert_eq!(secret.contains("fwd=request"), is_heard, "{options}: {secret}");
        let kept = cache_status(&ask(&world, &edge, "/a", ""));
        assert!(kept.starts_with("Seawall; hit"), "{options}: what was stored stays: {kept}");
        assert_eq!(world.calls().len() - calls, usize::from(is_heard), "{options}");
    }

    // What does not reach the origin chooses between no variants, though it is heard.
    let (world, edge) = world(HONOUR);
    let _ = ask(&world, &edge, "/a", "max-stale=1");
    let other = cache_status(&ask(&world, &edge, "/a", "max-stale=2"));
    assert!(other.starts_with("Seawall; hit"), "{other}");
}
