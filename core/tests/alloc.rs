//! What the hot path costs: a hit allocates nothing in core and reads only the fields that it needs.
//!
//! A binary of its own, because the counting allocator is that of the whole process.

use std::{borrow::Cow, cell::RefCell, time::Duration};

use seawall_core::{
    cache::{
        Ask, CacheOptions, Decision, Keep, Known, Stored,
        collapse::{Collapse, Flights, Joiner, Role},
        decide,
        judge::Origin,
        key::{CacheKey, Target},
        on_response,
        purge::{Purges, Selector, Strength},
        search::SearchRule,
        store::Exchange,
        variants::Variants,
    },
    headers::Fields,
    time::Timestamp,
};

/// Borrowed fields that note which were read.
struct Noted<'a> {
    fields: &'a [(&'a str, &'a str)],
    read: RefCell<Vec<String>>,
    notes: bool,
}

impl Fields for Noted<'_> {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        if self.notes {
            self.read.borrow_mut().push(name.to_owned());
        }
        self.fields.field(name)
    }
}

fn noted<'a>(fields: &'a [(&'a str, &'a str)], notes: bool) -> Noted<'a> {
    Noted { fields, read: RefCell::default(), notes }
}

/// What `work` gives, and how often it allocated.
fn counted<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let mut result = None;
    let info = allocation_counter::measure(|| result = Some(work()));
    // Measuring runs the work once, before it returns.
    (result.expect("the work ran"), info.count_total)
}

#[test]
fn a_hit_allocates_nothing_and_reads_what_it_needs() {
    assert_eq!(counted(|| vec![1_u8]).1, 1, "what allocates is counted");
    let options = CacheOptions::default();
    let now = Timestamp::from_unix_seconds(784_111_777);
    let target = Target {
        method: "GET",
        tenant: "",
        scheme: "https",
        host: "permits.example",
        path: "/search",
        query: "q=market&page=2&utm=x",
    };
    let request =
        [("accept", "text/html, */*;q=0.8"), ("accept-language", "es-MX, es;q=0.9"), ("if-none-match", "\"b\"")];
    let response = [
        ("cache-control", "public, max-age=300, stale-while-revalidate=600"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("etag", "\"a\""),
        ("vary", "Accept-Language"),
        ("content-length", "1000"),
        ("cache-groups", "\"news\""),
    ];
    let url = CacheKey::new(&target);
    let mut purges = Purges::default();
    let generation = purges.stamp(now);
    let exchange = Exchange {
        target,
        request: &request,
        status: 200,
        response: &response,
        request_time: now,
        response_time: now,
        generation,
        random: 0,
    };
    let nothing: Option<Known<'_, [(&str, &str); 0]>> = None;
    let (outcome, allocations) = counted(|| on_response(&exchange, nothing, &url, &purges, &options));
    let Keep::Store(metadata) = outcome.keep else { panic!("it is stored") };
    // What is kept, its entity tag, and a list of groups while it is read and as it is kept.
    assert_eq!(allocations, 4, "storing allocates what is kept");
    let mut variants = Variants::default();
    let stored_under = variants.insert(&url, &metadata, &request, &options.vary, now);
    // Another page's purge, so that the check looks into every table.
    purges.purge(Selector::Key(CacheKey::new(&Target { path: "/", ..target })), Strength::Hard, now);
    let rule = SearchRule::parse("key-order, params=(\"utm\")").expect("a rule");

    for (later, fields) in [
        (100, &request[..]),
        (100, &request[..2]),
        (100, &[("range", "bytes=0-99"), ("accept-language", "es")]),
        (400, &request[..]),
    ] {
        let now = now.after(Duration::from_secs(later));
        let (served, allocations) = counted(|| {
            let key = CacheKey::new(&target);
            let request = noted(fields, false);
            let variant = variants.select(&key, &request, None, &options.vary);
            let ask = Ask { target, key: &key, request: &request, purges: &purges, origin: Origin::Reachable, now };
            let served = matches!(decide(&ask, Stored::Response(&metadata), &options), Decision::Serve(_));
            (served, variant, rule.key(&target).is_some())
        });
        assert_eq!(allocations, 0, "{later} {fields:?}");
        let is_variant = fields.field("accept-language").as_deref() == Some("es-MX, es;q=0.9");
        assert_eq!(served, (true, is_variant.then_some(stored_under), true), "{later} {fields:?}");
    }

    let request = noted(&request[..2], true);
    let ask = Ask { target, key: &url, request: &request, purges: &purges, origin: Origin::Reachable, now };
    assert!(matches!(decide(&ask, Stored::Response(&metadata), &options), Decision::Serve(_)));
    assert_eq!(request.read.take(), ["authorization", "if-none-match", "if-modified-since", "range"]);

    let collapse = Collapse {
        lease: Duration::from_secs(15),
        wait: Duration::from_secs(5),
        followers_max: 8,
        uncacheable_for: Duration::from_secs(120),
    };
    let mut flights = Flights::new(8);
    let joiner = Joiner { has_stale: false, waited: Duration::ZERO, id: None };
    assert!(matches!(flights.join(&url, joiner, now, &collapse), Role::Lead(_)));
    let (role, allocations) = counted(|| flights.join(&url, joiner, now, &collapse));
    assert!(matches!(role, Role::Follow { .. }) && allocations == 0, "to follow allocates nothing");
}

/// Where memory is bounded in bytes, an index counts for what the allocator gave it.
#[test]
fn an_index_knows_how_much_memory_it_takes() {
    let (url, now) = (CacheKey::new(&Target { path: "/", ..Target::default() }), Timestamp::from_unix_seconds(1_000));
    let (options, mut purges) = (CacheOptions::default(), Purges::default());
    let generation = purges.stamp(now);
    for (lists, count) in [(1, 1), (1, 20), (3, 3), (9, 20)] {
        let mut variants = Variants::default();
        let info = allocation_counter::measure(|| {
            for number in 0..count {
                let names = format!("x-{}", "long-".repeat(number % lists));
                let (vary, value) = (format!("{names}, accept"), number.to_string());
                let request = [(&*names, &*value)];
                let fields = [("cache-control", "max-age=60"), ("vary", &*vary)];
                let exchange = Exchange {
                    target: Target { method: "GET", path: "/", ..Target::default() },
                    request: &request,
                    status: 200,
                    response: &fields,
                    request_time: now,
                    response_time: now,
                    generation,
                    random: 0,
                };
                let nothing: Option<Known<'_, [(&str, &str); 0]>> = None;
                let keep = on_response(&exchange, nothing, &url, &purges, &options).keep;
                let Keep::Store(metadata) = keep else { panic!("{keep:?}") };
                let _ = variants.insert(&url, &metadata, &request, &options.vary, now);
            }
        });
        assert_eq!(variants.len(), count);
        assert_eq!(i64::try_from(variants.bytes()), Ok(info.bytes_current), "{count} on {lists} lists");
        let copied = allocation_counter::measure(|| variants = variants.clone());
        assert_eq!(i64::try_from(variants.bytes()), Ok(info.bytes_current + copied.bytes_current));
    }
}
