use std::rc::Rc;

use seawall_edge::{
    Edge, Isolate, Settings,
    fake::{Faults, Host, Reply, World},
    message::Request,
    platform::FetchError,
    settings::{Build, Secret},
};

use super::{body, field, get, policy, seconds};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A world whose edge has operators.
fn world() -> (World, Rc<Isolate<Host>>) {
    let world = World::new(policy(), 1);
    let settings = Settings {
        control_secret: Secret::new(SECRET.to_owned()),
        build: Build { version: "1.2.3".into(), policy: "abc".into(), deployment: "blue \"1\"".into() },
        ..Settings::default()
    };
    let edge = Edge::new(world.policy(), 1).with_settings(settings);
    (world, Rc::new(Isolate::new(edge, 1)))
}

fn operator(target: &str) -> Request<Host> {
    Request::get(target).with("authorization", &format!("Bearer {SECRET}"))
}

#[test]
fn without_a_secret_there_are_no_control_paths() {
    let (world, edge) = super::world();
    for target in ["/__seawall/health", "/__seawall/explain?url=/", "/__seawall/purge", "/__seawall/"] {
        let answer = world.send(&edge, operator(target));
        assert_eq!((answer.status, field(&answer, "www-authenticate").as_str()), (404, ""), "{target}");
    }
    assert!(world.calls().is_empty(), "the origin is not asked either");
}

#[test]
fn without_the_right_secret_a_request_learns_only_that_the_edge_runs() {
    let (world, edge) = world();
    let health = get(&world, &edge, "/__seawall/health");
    assert_eq!((health.status, body(&health)), (200, "{\"status\":\"ok\"}"));
    assert_eq!(field(&health, "cache-control"), "no-store");
    for target in ["/__seawall/explain?url=/", "/__seawall/purge", "/__seawall/no-such-path"] {
        for token in ["", "Bearer 0123456789abcdef0123456789abcdee", "Bearer ", SECRET] {
            let answer = world.send(&edge, Request::get(target).with("authorization", token));
            let challenge = field(&answer, "www-authenticate");
            assert_eq!((answer.status, challenge.as_str()), (401, "Bearer realm=\"seawall\""), "{target} {token}");
        }
    }
    assert_eq!(world.send(&edge, Request::get("/__seawall/health").method("POST")).status, 401);
    assert!(world.calls().is_empty());
}

#[test]
fn health_says_which_build_runs_and_what_is_away() {
    let (world, edge) = world();
    let well = world.send(&edge, operator("/__seawall/health"));
    assert_eq!(
        body(&well),
        "{\"status\":\"ok\",\"version\":\"1.2.3\",\"deployment\":\"blue \\\"1\\\"\",\"policy\":\"abc\",\
         \"authority\":\"answers\",\"upstreams\":[{\"name\":\"origin\",\"breaker\":\"closed\",\"opens\":0},\
         {\"name\":\"data\",\"breaker\":\"closed\",\"opens\":0}]}"
    );
    assert_eq!(get(&world, &edge, "/search?q=a").status, 200);

    world.origin(|_| Reply::fails(FetchError::Unreachable));
    for _ in 0..30 {
        let _ = get(&world, &edge, "/no-such-page");
    }
    world.faults(Faults { authority: 1000, ..Faults::default() });
    let ill = world.send(&edge, operator("/__seawall/health"));
    assert_eq!(ill.status, 200);
    assert!(body(&ill).starts_with("{\"status\":\"degraded\""), "{}", body(&ill));
    assert!(body(&ill).contains("\"authority\":\"fails\""), "{}", body(&ill));
    assert!(body(&ill).contains("{\"name\":\"origin\",\"breaker\":\"open\",\"opens\":1}"), "{}", body(&ill));
}

#[test]
fn health_spends_nothing() {
    let (world, edge) = world();
    for _ in 0..100 {
        assert_eq!(world.send(&edge, operator("/__seawall/health")).status, 200);
    }
    assert!(field(&get(&world, &edge, "/search?q=a"), "ratelimit").contains("\"search\";r=14;"));
    assert!(field(&get(&world, &edge, "/methodology"), "ratelimit").starts_with("\"client\";r=298;"));
}

#[test]
fn a_control_path_takes_its_methods_and_keeps_strange_names_out_of_the_log() {
    let (world, edge) = world();
    let wrong = world.send(&edge, operator("/__seawall/health").method("DELETE"));
    assert_eq!((wrong.status, field(&wrong, "allow").as_str()), (405, "GET, HEAD"));
    let head = world.send(&edge, operator("/__seawall/health").method("HEAD"));
    assert_eq!((head.status, head.body.is_none()), (200, true));
    assert_eq!(world.send(&edge, operator("/__seawall/alice%40example.org")).status, 404);
    let last = world.log().pop().unwrap_or_default();
    assert!(last.starts_with("edge.request route=control status=404 method=GET cache=refused"), "{last}");
    assert!(last.contains(" detail=none "), "{last}");
}

#[test]
fn explain_says_what_would_happen_and_does_nothing() {
    let (world, edge) = world();
    let explain = |target: &str| {
        let answer = world.send(&edge, operator(&format!("/__seawall/explain?{target}")));
        assert_eq!(answer.status, 200, "{}", body(&answer));
        body(&answer).to_owned()
    };
    let url = "url=https%3A%2F%2Fpermits.example%2Fsearch%3Futm%3D1%26q%3Da";
    let before = explain(url);
    for part in [
        "\"path\":\"/search\"",
        "\"route\":\"search\",\"upstream\":\"data\",\"breaker\":\"closed\",\"maintenance\":\"no\"",
        "\"limits\":\"\\\"client\\\";q=600;w=60, \\\"search\\\";q=15;w=60\",\"without_authority\":\"local\"",
        "\"key_query\":\"q=a\"",
        "verdict=fetch",
        "found=nothing",
    ] {
        assert!(before.contains(part), "{part} is not in {before}");
    }
    assert!(world.calls().is_empty(), "the origin is not called");

    world.origin(|_| Reply::ok("page", &[]));
    let real = get(&world, &edge, "/search?q=a");
    assert!(field(&real, "ratelimit").contains("\"search\";r=14;"), "nothing was spent before");
    world.settle();
    world.advance(seconds(100));
    let after = explain(url);
    for part in ["\"stored_status\":\"200\",\"age_s\":\"100\",\"fresh_for_s\":\"200\"", "verdict=serve"] {
        assert!(after.contains(part), "{part} is not in {after}");
    }
    assert_eq!(world.calls().len(), 1);

    for (target, outcome) in [
        ("url=https%3A%2F%2Fpermits.example%2Fa%2F..%2Fb", "\"outcome\":\"malformed\",\"why\":\"path\""),
        ("url=https%3A%2F%2Fpermits.example%2Fauth%2Fsend-link&method=POST", "\"cache\":\"bypass\""),
    ] {
        assert!(explain(target).contains(outcome), "{target}: {}", explain(target));
    }
    for target in ["", "url=%2Fsearch", "url=%zz", "url=ftp%3A%2F%2Fa%2F"] {
        let answer = world.send(&edge, operator(&format!("/__seawall/explain?{target}")));
        assert_eq!(answer.status, 400, "{target}");
    }
}
