//! Answers that wait for nothing, and what they have in common with those that take the whole way.

use std::{collections::HashMap, rc::Rc};

use seawall_core::{headers::Fields, policy::Policy};
use seawall_edge::{
    Isolate, Platform,
    fake::{FakeHeaders, Host, Reply, World},
    message::{Headers, Request, Response},
    pipeline::{self, HEAD_FIELDS, Head, Quick, Refused},
};

use super::{body, cache_status, get, seconds};

/// The answer that waits for nothing, if there is one.
pub(super) fn answer(world: &World, edge: &Rc<Isolate<Host>>, request: &Request<Host>) -> Option<Response<Host>> {
    let Request { method, scheme, host, path, query, .. } = request;
    let mark = if query.is_empty() { "" } else { "?" };
    let url = [scheme, "://", host, path, mark, query].concat();
    let values = HEAD_FIELDS.map(|name| request.headers.field(name).map(|value| value.into_owned()));
    let fields = values.each_ref().map(Option::as_deref);
    let head = Head { method, url: &url, client: request.client, fields };
    let host = world.host();
    pipeline::at_once(edge, world.now(), &head, |quick| match quick {
        Quick::Hit(ready, shown) => {
            let mut response = host.revive(ready);
            shown.write(&mut response.headers);
            response
        }
        Quick::Refusal(refused) => {
            let mut headers = FakeHeaders::default();
            refused.write(&mut headers);
            Response::new(Refused::STATUS, headers, Some(host.text(refused.body())))
        }
    })
}

/// What a client sees of an answer.
fn seen(response: &Response<Host>) -> (u16, String, Vec<(String, String)>) {
    let mut fields = Vec::new();
    response.headers.each(&mut |name, value| fields.push((name.to_owned(), value.to_owned())));
    fields.sort();
    (response.status, body(response).to_owned(), fields)
}

/// Every kind of limit, with and without a cache behind it. Waits are so short that none is lengthened at random.
const POLICY: &str = "\
version = 1
[upstream.origin]
[security]
\"strict-transport-security\" = \"max-age=60\"
[limit.own]
algorithm = \"gcra\"
quota = 3
window = \"6s\"
key = \"client\"
scope = \"isolate\"
[limit.window]
algorithm = \"fixed-window\"
quota = 5
window = \"10s\"
key = \"client\"
scope = \"isolate\"
[limit.shared]
algorithm = \"gcra\"
quota = 3
window = \"6s\"
key = \"client\"
scope = \"shared\"
[limit.charged]
algorithm = \"gcra\"
quota = 5
window = \"6s\"
key = \"client\"
scope = \"shared\"
hit_cost = 1
[[route]]
name = \"own\"
path = \"/own/**\"
limits = [\"own\", \"window\"]
query = []
cache = { edge = { fresh = \"20s\" } }
[[route]]
name = \"passed\"
path = \"/passed/**\"
limits = [\"own\"]
[[route]]
name = \"free\"
path = \"/free/**\"
limits = [\"shared\"]
query = []
cache = { edge = { fresh = \"20s\" } }
[[route]]
name = \"charged\"
path = \"/charged/**\"
limits = [\"window\", \"charged\"]
query = []
cache = { edge = { fresh = \"20s\" } }
[[route]]
name = \"shared\"
path = \"/**\"
limits = [\"window\", \"shared\"]
";

/// Two worlds get the same requests at the same moments; the isolate of one of them answers at once where it can.
#[test]
fn an_answer_that_waits_for_nothing_is_the_one_that_the_whole_way_gives() {
    let mut kinds: HashMap<(u16, bool), usize> = HashMap::new();
    for seed in 0..24 {
        let worlds = [0, 1].map(|_| World::new(Policy::compile(POLICY).unwrap(), seed));
        let edges = worlds.each_ref().map(World::edge);
        let [quick, whole] = &worlds;
        for world in &worlds {
            world.origin(|request| {
                let length = request.path.len().to_string();
                let fields = [("vary", "accept-language"), ("etag", "\"1\""), ("content-length", length.as_str())];
                Reply::ok(&request.path, &fields)
            });
        }
        // Chance of its own, since the ways draw different numbers from their worlds'.
        let chance = World::new(Policy::compile(POLICY).unwrap(), seed);
        let one_of = |choices: &[&'static str]| choices[(chance.random() % choices.len() as u64) as usize];
        for moment in 0..400 {
            let targets = ["/own/a", "/own/a?utm=1", "/own/%61", "/passed/a", "/free/a", "/charged/a", "/b", "/a//b"];
            let method = one_of(&["GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "POST"]);
            let client = one_of(&["a", "b", "c"]).as_bytes()[0];
            let target = one_of(&targets);
            let field =
                one_of(&["", "", "", "", "accept-language", "if-none-match", "authorization", "range", "connection"]);
            let value = match field {
                "accept-language" => one_of(&["de", "en"]),
                "if-none-match" => "\"1\"",
                "range" => "bytes=0-1",
                "connection" => one_of(&["Keep-Alive", "close", "x-own", "range"]),
                _ => "Basic YTpi",
            };
            let made = || {
                let request = Request::get(target).method(method).from([192, 0, 2, client]);
                if field.is_empty() { request } else { request.with(field, value) }
            };
            let at_once = answer(quick, &edges[0], &made());
            let is_at_once = at_once.is_some();
            let answers = [at_once.unwrap_or_else(|| quick.send(&edges[0], made())), whole.send(&edges[1], made())];
            let [found, expect] = answers.each_ref().map(seen);
            assert_eq!(found, expect, "seed {seed}, moment {moment}: {method} {target} {field}={value}");
            *kinds.entry((found.0, is_at_once)).or_default() += 1;
            let pause = if chance.happens(30) { 30_000 } else { chance.random() % 900 };
            for world in &worlds {
                world.settle();
                world.advance(core::time::Duration::from_millis(pause));
            }
        }
        let calls = worlds.each_ref().map(|world| world.calls().len());
        assert_eq!(calls[0], calls[1], "seed {seed}: as many calls of the origin");
    }
    // Of use only where both ways are taken to every answer that both may give.
    for kind in [(200, true), (200, false), (429, true), (429, false), (304, false), (400, false)] {
        assert!(kinds.get(&kind).is_some_and(|count| *count > 50), "{kind:?} in {kinds:?}");
    }
}

/// A client that is refused is refused at once, and each of its requests is counted.
#[test]
fn a_refusal_waits_for_nothing_where_the_isolate_knows_enough() {
    let policy = |scope: &str, cache: &str| {
        let text = format!(
            "version = 1\n[upstream.origin]\n[limit.a]\nalgorithm = \"gcra\"\nquota = 2\nwindow = \"1h\"\nkey = \"client\"\n\
             {scope}\n[[route]]\nname = \"all\"\npath = \"/**\"\nlimits = [\"a\"]\n{cache}"
        );
        Policy::compile(&text).unwrap_or_else(|error| panic!("{error}"))
    };
    let kept = "cache = { edge = { fresh = \"1h\" } }\n";
    for (scope, cache, refuses) in [
        ("scope = \"isolate\"", "", true),
        ("scope = \"isolate\"", kept, true),
        ("scope = \"shared\"", "", true),
        ("scope = \"shared\"\nhit_cost = 1", kept, true),
        // What is stored is not refused, and only the whole way knows what is.
        ("scope = \"shared\"", kept, false),
    ] {
        let world = World::new(policy(scope, cache), 1);
        let edge = world.edge();
        for page in 0..2 {
            assert!(answer(&world, &edge, &Request::get("/page?q=1")).is_none(), "there is room");
            assert_eq!(get(&world, &edge, &format!("/page?q=a{page}")).status, 200);
            world.settle();
        }
        assert_eq!(get(&world, &edge, "/page?q=1").status, 429);
        let refused = answer(&world, &edge, &Request::get("/page?q=1"));
        assert_eq!(refused.is_some(), refuses, "{scope} {cache}");
        let Some(refused) = refused else { continue };
        assert_eq!((refused.status, cache_status(&refused).as_str()), (429, "Seawall; detail=limited"));
        let long = format!("/page?q={}", "x".repeat(1000));
        assert!(answer(&world, &edge, &Request::get(&long)).is_some(), "of a URL that is not remembered");
        assert!(answer(&world, &edge, &Request::get("/page").method("HEAD")).is_none(), "it would have a body");
        world.advance(seconds(11));
        assert!(answer(&world, &edge, &Request::get("/page")).is_none(), "what was refused is to be written down");
        let _ = get(&world, &edge, "/page?q=1");
        let line = "edge.denials route=all count=2 within_ms=11000";
        assert!(world.log().iter().any(|logged| logged == line), "{:?}", world.log());
    }
}
