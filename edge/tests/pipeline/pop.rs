//! Calls that all isolates of one place share.

use core::time::Duration;
use std::{cell::Cell, rc::Rc};

use seawall_core::policy::Policy;
use seawall_edge::{
    Isolate,
    fake::{Faults, Host, Reply, World},
    message::Request,
};

use super::{body, cache_status, says, seconds};

const MILLISECOND: Duration = Duration::from_millis(1);
const PAGE: &str = "/page";

/// Isolates of one place; the origin takes a second.
fn place(isolates: usize) -> (World, Vec<Rc<Isolate<Host>>>) {
    let policy = "version = 1\n[upstream.origin]\ndeadline = \"10s\"\n[[route]]\nname = \"all\"\npath = \"/**\"\n\
                  cache = { edge = { fresh = \"1m\", stale_while_revalidate = \"1h\", collapse = \"pop\" } }\n";
    let world = World::new(Policy::compile(policy).unwrap_or_else(|error| panic!("{error}")), 1);
    world.set_pop(true);
    world.origin(|_| Reply::ok("page", &[]).after(seconds(1)));
    let edges = (0..isolates).map(|_| world.edge()).collect();
    (world, edges)
}

/// Sends so many requests to each isolate at one moment, and waits until all are answered.
fn crowd(world: &World, edges: &[Rc<Isolate<Host>>], each: usize) {
    let before = answers(world);
    for edge in edges {
        (0..each).for_each(|_| world.send_and_leave(edge, Request::get(PAGE), seconds(3600)));
    }
    world.advance(seconds(100));
    assert_eq!(answers(world) - before, edges.len() * each);
}

/// How many requests were answered with 200.
fn answers(world: &World) -> usize {
    world.log().iter().filter(|line| line.starts_with("edge.request ") && line.contains(" status=200 ")).count()
}

#[test]
fn concurrent_misses_of_all_isolates_make_one_call() {
    for (delay_ms_max, pop_answer) in [(0, 0), (50, 0), (200, 0), (50, 300)] {
        let (world, edges) = place(5);
        world.faults(Faults { delay_ms_max, pop_answer, ..Faults::default() });
        crowd(&world, &edges, 20);
        let calls = world.calls().len();
        // Where answers are lost twice in a row an isolate goes by itself.
        assert!(if pop_answer == 0 { calls == 1 } else { calls < 4 }, "{delay_ms_max} {pop_answer}: {calls}");
    }
    let (world, edges) = place(2);
    crowd(&world, &edges, 20);
    let collapsed = world.log().iter().filter(|line| line.contains(" collapsed=yes ")).count();
    assert_eq!(collapsed, 39, "and say so");
}

#[test]
fn without_the_object_each_isolate_makes_one_call_and_says_so() {
    for (faults, longest_ms) in
        [(Faults { pop: 1000, ..Faults::default() }, 1_000), (Faults { pop_hangs: 1000, ..Faults::default() }, 1_500)]
    {
        let (world, edges) = place(3);
        world.faults(faults);
        crowd(&world, &edges, 10);
        assert_eq!(world.calls().len(), 3);
        assert!(world.metrics().iter().any(|line| line == "failure collapse"), "{:?}", world.metrics());
        assert!(world.log().iter().any(|line| line.starts_with("edge.collapse.pop failed: ")));
        for page in 0..10 {
            let began = world.now();
            let _ = world.send(&edges[0], Request::get(&format!("/{page}")));
            assert!(world.now().since(began) <= MILLISECOND * longest_ms, "{page}");
        }
        let began = world.now();
        let _ = world.send(&edges[0], Request::get("/last"));
        assert_eq!(world.now().since(began), seconds(1), "it is left alone");
    }
    let (world, edges) = place(3);
    world.set_pop(false);
    crowd(&world, &edges, 10);
    assert_eq!((world.calls().len(), world.metrics().iter().any(|line| line == "failure collapse")), (3, false));
}

/// The isolate that leads is gone: nothing that it would say arrives. Another one takes over when its lease has ended.
#[test]
fn a_lost_leader_costs_one_more_call() {
    let (world, edges) = place(4);
    let calls = Rc::new(Cell::new(0));
    world.origin(move |_| {
        calls.set(calls.get() + 1);
        Reply::ok("page", &[]).after(seconds(if calls.get() == 1 { 3600 } else { 1 }))
    });
    let began = world.now();
    world.send_and_leave(&edges[0], Request::get(PAGE), seconds(1));
    world.advance(MILLISECOND * 9_990);
    world.faults(Faults { pop: 1000, ..Faults::default() });
    world.advance(MILLISECOND * 20);
    world.faults(Faults::default());
    crowd(&world, &edges[1..], 10);
    assert_eq!(world.calls().len(), 2);
    assert!(world.now().since(began) > seconds(12));
    assert!(cache_status(&world.send(&edges[0], Request::get(PAGE))).contains("; hit"));
}

#[test]
fn what_cannot_be_shared_is_known_to_all_isolates() {
    let (world, edges) = place(3);
    world.origin(|_| Reply::ok("mine", &[("cache-control", "private")]).after(seconds(1)));
    crowd(&world, &edges, 1);
    assert_eq!(world.calls().len(), 3);
    let began = world.now();
    assert_eq!(body(&world.send(&edges[2], Request::get(PAGE))), "mine");
    let another = world.edge();
    world.send_and_leave(&edges[0], Request::get(PAGE), seconds(60));
    assert_eq!(body(&world.send(&another, Request::get(PAGE))), "mine");
    assert_eq!(world.now().since(began), seconds(2), "nobody waits for another");
}

#[test]
fn a_stale_page_is_refreshed_once_for_all_isolates() {
    let (world, edges) = place(5);
    crowd(&world, &edges, 1);
    world.advance(seconds(70));
    crowd(&world, &edges, 10);
    assert_eq!(world.calls().len(), 2);
}

/// Who finds a page stale that another isolate refreshes is charged no more than for a hit.
#[test]
fn a_refresh_that_another_isolate_makes_is_charged_to_nobody_here() {
    for (options, hits) in
        [("", 0), ("mode = \"lease\"", 0), ("authority = \"redis\"", 0), ("cost = 3\nhit_cost = 1", 1)]
    {
        for delay_ms_max in [0, 20] {
            let limit = format!(
                "[limit.few]\nalgorithm = \"gcra\"\nquota = 9\nwindow = \"10h\"\nkey = \"client\"\nscope = \"shared\"\n{options}\n"
            );
            let policy = format!(
                "version = 1\n[upstream.origin]\n{limit}[[route]]\nname = \"page\"\npath = \"/page\"\nlimits = [\"few\"]\n\
                 cache = {{ edge = {{ fresh = \"1m\", stale_while_revalidate = \"1h\", collapse = \"pop\" }} }}\n\
                 [[route]]\nname = \"all\"\npath = \"/**\"\nlimits = [\"few\"]\n"
            );
            let world = World::new(Policy::compile(&policy).unwrap_or_else(|error| panic!("{error}")), 1);
            world.set_pop(true);
            world.origin(|_| Reply::ok("page", &[]).after(seconds(1)));
            let (leader, other) = (world.edge(), world.edge());
            assert_eq!(world.send(&leader, Request::get(PAGE)).status, 200);
            world.advance(seconds(70));
            world.faults(Faults { delay_ms_max, ..Faults::default() });
            let began = world.calls().len();
            assert!(cache_status(&world.send(&leader, Request::get(PAGE))).contains("stale-while-revalidate"));
            world.advance(MILLISECOND * 200);
            let late = [203, 0, 113, 1];
            assert!(
                cache_status(&world.send(&other, Request::get(PAGE).from(late))).contains("stale-while-revalidate")
            );
            world.settle();
            assert_eq!(world.calls().len() - began, 1, "{options}: one refresh");
            let asked = world.send(&world.edge(), Request::get("/other").from(late));
            let cost = if hits == 0 { 1 } else { 3 };
            let left = format!("r={};", 9 - hits - cost);
            let says = says(&asked, "ratelimit", "few");
            assert!(says.starts_with(&left), "{options} {delay_ms_max}: {says} in place of {left}");
        }
    }
}
