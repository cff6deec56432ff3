//! A cache of core's parts over a map, an origin that says anything, and the model that watches every answer.

use alloc::{borrow::Cow, collections::BTreeMap, format, string::String, vec, vec::Vec};
use core::time::Duration;
use std::collections::HashMap;

use crate::{
    cache::{
        Ask, AuthorizationUse, CacheOptions, Decision, HttpDate, Keep, Known, Metadata, RequestDirectiveUse, Statuses,
        Stored,
        collapse::{Collapse, Flights, Joiner, Landing, Role},
        decide,
        judge::{OnError, Origin},
        key::{CacheKey, Target},
        on_response,
        purge::{Purges, Selector, Strength},
        store::Exchange,
        variants::Variants,
    },
    headers::Fields,
    time::Timestamp,
};

use super::model::{Asked, Flags, Said, Via, forbids, is_plain_hit};

const URLS: [&str; 3] = ["/a", "/b", "/c"];
const NAMES: [&str; 2] = ["x", "y"];

/// Fields as they are on the wire.
#[derive(Clone, Debug, Default)]
struct Wire(Vec<(&'static str, String)>);

impl Fields for Wire {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, value)| Cow::Borrowed(value.as_str()))
    }
}

/// What the host stores under a key.
#[derive(Clone)]
enum Entry {
    Response { metadata: Metadata, fields: Wire, body: u64 },
    Variants(Variants),
}

struct World {
    seed: u64,
    random: u64,
    now: u64,
    options: CacheOptions,
    store: BTreeMap<CacheKey, Entry>,
    purges: Purges,
    /// What each representation was last said to be.
    said: HashMap<u64, Said>,
    invalidations: [usize; URLS.len()],
    bodies: u64,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    hits: u64,
    stale: u64,
    validated: u64,
    on_error: u64,
    refetched: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            seed,
            random: seed,
            now: 1_000_000_000,
            options: CacheOptions::default(),
            store: BTreeMap::new(),
            purges: Purges::default(),
            said: HashMap::new(),
            invalidations: [0; URLS.len()],
            bodies: 0,
            counts: Counts::default(),
        };
        if world.chance(500) {
            world.options.authorization = AuthorizationUse::Share;
        }
        if world.chance(500) {
            world.options.request_directives = RequestDirectiveUse::Honour;
        }
        if world.chance(300) {
            world.options.statuses = Statuses::Any;
        }
        world
    }

    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }

    fn chance(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    fn maybe(&mut self, permille: u64, bound: u64) -> Option<u64> {
        let value = self.below(bound);
        self.chance(permille).then_some(value)
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.now)
    }

    fn step(&mut self) {
        if self.chance(50) {
            self.now -= self.below(20);
        } else {
            self.now += self.below(25);
        }
        let url = self.below(URLS.len() as u64) as usize;
        match self.below(100) {
            0..6 => self.change(url),
            _ => self.get(url),
        }
    }

    /// An unsafe request that succeeds, or not.
    fn change(&mut self, url: usize) {
        if self.chance(300) {
            return;
        }
        self.invalidations[url] += 1;
        let key = CacheKey::new(&target(url));
        let now = self.at();
        self.purges.purge(Selector::Key(key), Strength::Hard, now);
    }

    fn get(&mut self, url: usize) {
        let field = |world: &mut Self| world.maybe(600, 2).map(|value| value as u8);
        let honours = self.options.request_directives == RequestDirectiveUse::Honour;
        let (wants, takes) = (self.maybe(100, 30), self.maybe(100, 60));
        let asked = Asked {
            fields: [field(self), field(self)],
            authorized: self.chance(80),
            max_age: wants.filter(|_| honours),
            max_stale: takes.filter(|_| honours),
        };
        let mut request = Wire::default();
        for (name, value) in NAMES.into_iter().zip(asked.fields) {
            request.0.extend(value.map(|value| (name, format!("{value}"))));
        }
        if asked.authorized {
            request.0.push(("authorization", String::from("Bearer x")));
        }
        let directive = |name, seconds: Option<u64>| seconds.map(|seconds| format!("{name}={seconds}"));
        let directives: Vec<String> =
            directive("max-age", wants).into_iter().chain(directive("max-stale", takes)).collect();
        if !directives.is_empty() {
            request.0.push(("cache-control", directives.join(", ")));
        }
        let key = CacheKey::new(&target(url));
        let found = self.look_up(&key, &request);
        let stored = match &found {
            Ok((metadata, ..)) => Stored::Response(metadata),
            Err(true) => Stored::OtherVariants,
            Err(false) => Stored::Nothing,
        };
        let ask = Ask {
            target: target(url),
            key: &key,
            request: &request,
            purges: &self.purges,
            origin: Origin::Reachable,
            now: self.at(),
        };
        let (on_error, validates) = match decide(&ask, stored, &self.options) {
            Decision::Serve(serve) => {
                let Ok((_, _, body)) = found else { panic!("seed {}: served nothing", self.seed) };
                self.counts.hits += 1;
                self.counts.stale += u64::from(serve.ttl.is_zero());
                assert_eq!(serve.age.as_secs(), self.said[&body].age_at(self.now), "seed {}", self.seed);
                return self.check(body, url, asked, self.now, Via::Store);
            }
            Decision::Fetch(fetch) => (fetch.on_error, !fetch.validators.is_empty()),
            Decision::Refuse(why) => panic!("seed {}: nobody asked for {why:?}", self.seed),
        };
        if let Ok((_, _, body)) = &found {
            let missed = is_plain_hit(&self.said[body], url, asked, self.now, self.invalidations[url]);
            assert!(!missed, "seed {}: a fresh answer was not used: {:?}", self.seed, self.said[body]);
        }
        self.fetch(url, asked, &request, &key, found.ok(), on_error, validates);
    }

    #[expect(clippy::too_many_arguments, reason = "a test's own plumbing, called once")]
    fn fetch(
        &mut self,
        url: usize,
        asked: Asked,
        request: &Wire,
        key: &CacheKey,
        found: Option<(Metadata, Wire, u64)>,
        on_error: OnError,
        validates: bool,
    ) {
        let request_time = self.now;
        self.now += self.below(3);
        if self.chance(150) {
            // No answer at all.
            if let Some((_, _, body)) = found.filter(|_| on_error == OnError::Serve) {
                self.counts.on_error += 1;
                self.check(body, url, asked, request_time, Via::Error);
            }
            return;
        }
        let mut said = self.say(url, asked, request_time);
        let stored = found.as_ref().map(|(_, _, body)| self.said[body].clone());
        if let Some(stored) = stored.filter(|_| validates && self.chance(500)) {
            said.status = 304;
            said.varies = stored.varies;
            said.flags.vary_star = false;
            said.flags.set_cookie = false;
            if self.chance(850) {
                said.etag = stored.etag;
            }
        }
        let fields = wire(&said);
        let generation = self.purges.stamp(self.at());
        let exchange = Exchange {
            target: target(url),
            request,
            status: said.status,
            response: &fields,
            request_time: Timestamp::from_unix_seconds(request_time),
            response_time: self.at(),
            generation,
            random: 0,
        };
        let known = found.as_ref().map(|(metadata, fields, _)| Known { metadata, fields, on_error });
        match on_response(&exchange, known, key, &self.purges, &self.options).keep {
            Keep::Store(metadata) => {
                self.save(key, request, *metadata, fields, said.body);
                self.said.insert(said.body, said);
            }
            Keep::Update(metadata) => {
                let Some((_, stored, body)) = found else { panic!("seed {}: updated nothing", self.seed) };
                assert_eq!(self.said[&body].etag, said.etag, "seed {}: a 304 about something else", self.seed);
                self.counts.validated += 1;
                let merged = self.merge(body, &said);
                self.said.insert(body, merged);
                self.check(body, url, asked, request_time, Via::Validated);
                let mut fields = fields;
                fields.0.extend(
                    stored.0.iter().filter(|(name, _)| fields.field(name).is_none()).cloned().collect::<Vec<_>>(),
                );
                self.save(key, request, *metadata, fields, body);
            }
            Keep::Confirm(metadata) => {
                let Some((_, stored, body)) = found else { panic!("seed {}: confirmed nothing", self.seed) };
                assert_eq!(said.etag, None, "seed {}: a 304 that names what it is about", self.seed);
                self.counts.validated += 1;
                let silent = Said {
                    max_age: None,
                    s_maxage: None,
                    swr: None,
                    sie: None,
                    flags: Flags::default(),
                    age: 0,
                    date_behind: 0,
                    ..said
                };
                let merged = self.merge(body, &silent);
                self.said.insert(body, Said { etag: self.said[&body].etag, ..merged });
                self.check(body, url, asked, request_time, Via::Validated);
                self.save(key, request, *metadata, stored, body);
            }
            Keep::ServeStored => {
                let Some((_, _, body)) = found else { panic!("seed {}: served nothing", self.seed) };
                self.counts.on_error += 1;
                self.check(body, url, asked, request_time, Via::Error);
            }
            Keep::Refetch => self.counts.refetched += 1,
            Keep::UpdateUnstored(_) | Keep::Refuse(_) => {}
            keep @ (Keep::Join(..) | Keep::Outdate) => panic!("seed {}: {keep:?} without cause", self.seed),
        }
    }

    /// The representation as the 304 leaves it: what it states replaces what was stated.
    fn merge(&self, body: u64, said: &Said) -> Said {
        let stored = self.said[&body].clone();
        let states = said.max_age.is_some()
            || said.s_maxage.is_some()
            || said.swr.is_some()
            || said.sie.is_some()
            || said.flags != Flags::default();
        let by = if states { said } else { &stored };
        Said {
            body,
            status: stored.status,
            max_age: by.max_age,
            s_maxage: by.s_maxage,
            swr: by.swr,
            sie: by.sie,
            flags: by.flags,
            ..said.clone()
        }
    }

    /// Whether stale is allowed was decided when the request came.
    fn check(&self, body: u64, url: usize, asked: Asked, came: u64, via: Via) {
        let said = &self.said[&body];
        let fault = forbids(said, url, asked, came, via, self.invalidations[url]);
        assert_eq!(fault, None, "seed {}: {via:?} at {came} for {asked:?} of {said:?}", self.seed);
    }

    fn say(&mut self, url: usize, asked: Asked, request_time: u64) -> Said {
        self.bodies += 1;
        let flag = |world: &mut Self| world.chance(60);
        let flags = Flags {
            no_store: flag(self),
            no_cache: flag(self),
            private: flag(self),
            public: self.chance(300),
            must_revalidate: flag(self),
            proxy_revalidate: flag(self),
            set_cookie: flag(self),
            vary_star: flag(self),
        };
        let status = [200, 200, 200, 200, 200, 404, 500, 503][self.below(8) as usize];
        Said {
            body: self.bodies,
            url,
            varies: [self.chance(300), self.chance(300)],
            asked,
            status,
            max_age: self.maybe(700, 60),
            s_maxage: self.maybe(150, 60),
            swr: self.maybe(300, 40),
            sie: self.maybe(300, 80),
            flags,
            etag: self.maybe(500, 5),
            date_behind: self.below(30) as i64 - 10,
            age: self.maybe(200, 30).unwrap_or(0),
            request_time,
            response_time: self.now,
            after_invalidations: self.invalidations[url],
        }
    }

    fn look_up(&self, key: &CacheKey, request: &Wire) -> Result<(Metadata, Wire, u64), bool> {
        match self.store.get(key) {
            None => Err(false),
            Some(Entry::Response { metadata, fields, body }) => Ok((metadata.clone(), fields.clone(), *body)),
            Some(Entry::Variants(variants)) => {
                let variant = variants.select(key, request, None, &self.options.vary).ok_or(true)?;
                match self.store.get(&variant) {
                    Some(Entry::Response { metadata, fields, body }) => Ok((metadata.clone(), fields.clone(), *body)),
                    _ => Err(true),
                }
            }
        }
    }

    fn save(&mut self, key: &CacheKey, request: &Wire, metadata: Metadata, fields: Wire, body: u64) {
        if metadata.vary.is_empty() {
            self.store.insert(*key, Entry::Response { metadata, fields, body });
            return;
        }
        let mut variants = match self.store.get(key) {
            Some(Entry::Variants(variants)) => variants.clone(),
            _ => Variants::default(),
        };
        let variant = variants.insert(key, &metadata, request, &self.options.vary, self.at());
        self.store.insert(variant, Entry::Response { metadata, fields, body });
        self.store.insert(*key, Entry::Variants(variants));
    }
}

fn target(url: usize) -> Target<'static> {
    Target { method: "GET", scheme: "https", host: "a.example", path: URLS[url], ..Target::default() }
}

/// What a response says, as it is on the wire.
fn wire(said: &Said) -> Wire {
    let mut directives: Vec<String> = Vec::new();
    let mut number = |name: &str, value: Option<u64>| directives.extend(value.map(|value| format!("{name}={value}")));
    number("max-age", said.max_age);
    number("s-maxage", said.s_maxage);
    number("stale-while-revalidate", said.swr);
    number("stale-if-error", said.sie);
    for (name, is_set) in [
        ("no-store", said.flags.no_store),
        ("no-cache", said.flags.no_cache),
        ("private", said.flags.private),
        ("public", said.flags.public),
        ("must-revalidate", said.flags.must_revalidate),
        ("proxy-revalidate", said.flags.proxy_revalidate),
    ] {
        directives.extend(is_set.then(|| String::from(name)));
    }
    let date = said.response_time.saturating_add_signed(-said.date_behind);
    let date = HttpDate::from_timestamp(Timestamp::from_unix_seconds(date));
    let mut fields = vec![("date", format!("{date}"))];
    if !directives.is_empty() {
        fields.push(("cache-control", directives.join(", ")));
    }
    if said.age > 0 {
        fields.push(("age", format!("{}", said.age)));
    }
    fields.extend(said.etag.map(|etag| ("etag", format!("\"{etag}\""))));
    let mut names: Vec<&str> =
        NAMES.into_iter().zip(said.varies).filter_map(|(name, is_set)| is_set.then_some(name)).collect();
    if said.flags.vary_star {
        names.push("*");
    }
    if !names.is_empty() {
        fields.push(("vary", names.join(", ")));
    }
    if said.flags.set_cookie {
        fields.push(("set-cookie", String::from("a=b")));
    }
    Wire(fields)
}

#[test]
fn no_answer_from_the_cache_is_one_that_rfc_9111_forbids() {
    let mut total = Counts::default();
    for seed in 0..600 {
        let mut world = World::new(seed);
        for _ in 0..150 {
            world.step();
        }
        total.hits += world.counts.hits;
        total.stale += world.counts.stale;
        total.validated += world.counts.validated;
        total.on_error += world.counts.on_error;
        total.refetched += world.counts.refetched;
    }
    // The runs are of use only if they reach every kind of answer.
    assert!(total.hits > 5000 && total.stale > 500 && total.validated > 500, "{total:?}");
    assert!(total.on_error > 200 && total.refetched > 50, "{total:?}");
}

#[test]
fn one_call_serves_all_who_ask_while_it_lasts() {
    let collapse = Collapse {
        lease: Duration::from_secs(10),
        wait: Duration::from_secs(10),
        followers_max: 100,
        uncacheable_for: Duration::from_secs(120),
    };
    let mut flights = Flights::new(4);
    let key = CacheKey::new(&target(0));
    let now = Timestamp::from_unix_seconds(1);
    let new = Joiner { has_stale: false, waited: Duration::ZERO, id: None };
    let Role::Lead(ticket) = flights.join(&key, new, now, &collapse) else { panic!("the first leads") };
    assert!((0..100).all(|_| matches!(flights.join(&key, new, now, &collapse), Role::Follow { .. })));
    let _ = flights.land(&key, ticket, Landing::Open, now, &collapse);
    // The response could not be used: one of those who waited leads, the rest wait for that one.
    let rejoined = Joiner { waited: Duration::from_secs(1), ..new };
    let roles: Vec<Role> = (0..100).map(|_| flights.join(&key, rejoined, now, &collapse)).collect();
    assert_eq!(roles.iter().filter(|role| matches!(role, Role::Lead(_))).count(), 1);
}
