//! Decisions as one line each: the verdict, why, the policy's name and every input that counted.
//!
//! A line can be read back and decided again with [`replay`], so a line from a log becomes a test. No path, query,
//! address, cookie or credential is in it: of what could name a visitor only the presence is written.

use alloc::{
    borrow::{Cow, ToOwned},
    format,
    string::{String, ToString},
    vec::Vec,
};

use crate::{
    explain::{Inputs, InvalidLine, Line},
    headers::Fields,
    time::Timestamp,
};

use super::{
    CacheOptions, RequestDirectives,
    fields::RESPONSE_FIELDS,
    invalidate::resolve,
    judge::{Found, OnError, Origin, RequestKind, Situation, Times, Verdict, judge},
    key::Target,
    store::{self, Decision, Exchange},
};

/// The line of a decision on reuse, under the policy of that name.
#[must_use]
pub fn reuse(situation: &Situation, policy: &str) -> String {
    let mut line = Line::new("cache.reuse", policy);
    match judge(situation) {
        Verdict::Serve { refresh, why } => {
            line.word("verdict", "serve").word("why", why.as_str()).flag("refresh", refresh);
        }
        Verdict::Fetch { reason, on_error, why } => {
            line.word("verdict", "fetch").word("why", why.as_str()).word("fwd", reason.as_str());
            line.flag("stand-in", on_error == OnError::Serve);
        }
        Verdict::Refuse { why } => {
            line.word("verdict", "refuse").word("why", why.as_str());
        }
    }
    let Situation { request, wants, origin, found } = *situation;
    line.word(
        "request",
        match request {
            RequestKind::Safe => "safe",
            RequestKind::OtherMethod => "other-method",
            RequestKind::Authorized => "authorized",
        },
    );
    line.flag("held", origin == Origin::Held);
    line.time("want-max-age", wants.max_age)
        .time("want-max-stale", wants.max_stale)
        .time("want-min-fresh", wants.min_fresh);
    line.flag("want-no-cache", wants.no_cache)
        .flag("want-no-store", wants.no_store)
        .flag("want-stored", wants.only_if_cached);
    match found {
        Found::Nothing => line.word("found", "nothing"),
        Found::OtherVariants => line.word("found", "other-variants"),
        Found::Purged => line.word("found", "purged"),
        Found::Response(times) => {
            line.word("found", "response");
            line.time("age", Some(times.age)).time("lifetime", Some(times.lifetime));
            line.time("swr", Some(times.stale_while_revalidate)).time("sie", Some(times.stale_if_error));
            line.flag("forbids-stale", times.forbids_stale).flag("no-cache", times.no_cache);
            line.flag("immutable", times.immutable)
        }
    };
    line.into_text()
}

/// The line of a decision on storing, under the options of the policy of that name.
#[must_use]
pub fn storing<Request: Fields, Response: Fields>(
    exchange: &Exchange<'_, Request, Response>,
    options: &CacheOptions,
    policy: &str,
) -> String {
    let mut line = Line::new("cache.storing", policy);
    match store::decide(exchange, options) {
        Decision::Store(metadata, source) => {
            line.word("verdict", "store").word("lifetime-from", source.as_str());
            line.time("age", Some(metadata.initial_age)).time("lifetime", Some(metadata.freshness_lifetime));
            line.time("swr", Some(metadata.stale_while_revalidate)).time("sie", Some(metadata.stale_if_error));
        }
        Decision::Refuse(reason) => {
            line.word("verdict", "refuse").word("why", reason.as_str());
        }
    }
    line.text("method", exchange.target.method).word("status", &exchange.status.to_string());
    line.word("request-time", &exchange.request_time.as_unix_nanos().to_string());
    line.word("response-time", &exchange.response_time.as_unix_nanos().to_string());
    line.word("random", &exchange.random.to_string());
    let location = exchange.response.field("location");
    let to_itself =
        location.is_some_and(|value| resolve(&exchange.target, &value).is_some_and(|place| place.is(&exchange.target)));
    line.flag("redirects-to-itself", to_itself);
    for name in REQUEST_FIELDS {
        line.field("req.", name, exchange.request);
    }
    // Where it redirects to may name a visitor; whether that is to itself is said above.
    for name in RESPONSE_FIELDS.all().iter().filter(|name| **name != "location") {
        line.field("res.", name, exchange.response);
    }
    line.into_text()
}

/// Takes the decision of a line again, under the same options, and writes its line: equal to the first one, as long as
/// the rules are the same.
///
/// # Errors
/// When an input is missing or unreadable.
pub fn replay(line: &str, options: &CacheOptions) -> Result<String, InvalidLine> {
    let inputs = Inputs::read(line);
    match inputs.kind {
        "cache.reuse" => Ok(reuse(&inputs.situation()?, &inputs.text("policy")?)),
        "cache.storing" => {
            let (method, policy) = (inputs.text("method")?, inputs.text("policy")?);
            let mut response = inputs.fields("res.");
            if inputs.flag("redirects-to-itself")? {
                // An empty reference is the place itself.
                response.0.push(("location".to_owned(), String::new()));
            }
            let time = |name| inputs.number(name).map(Timestamp::from_unix_nanos);
            let exchange = Exchange {
                target: Target { method: &method, path: "/", ..Target::default() },
                request: &inputs.fields("req."),
                status: inputs.number("status")?,
                response: &response,
                request_time: time("request-time")?,
                response_time: time("response-time")?,
                generation: 1,
                random: inputs.number("random")?,
            };
            Ok(storing(&exchange, options, &policy))
        }
        _ => Err(InvalidLine::of("kind")),
    }
}

impl Line {
    fn field(&mut self, side: &str, name: &str, fields: &impl Fields) {
        if let Some(value) = fields.field(name) {
            let value = if PRESENCE_ONLY.contains(&name) { Cow::Borrowed("-") } else { value };
            self.text(&format!("{side}{name}"), &value);
        }
    }
}

impl Inputs<'_> {
    fn fields(&self, side: &str) -> FieldList {
        let field = |(name, value): (&str, &str)| Some((name.strip_prefix(side)?.to_owned(), value.to_owned()));
        FieldList(self.all().filter_map(field).collect())
    }

    fn situation(&self) -> Result<Situation, InvalidLine> {
        let request = match self.text("request")?.as_str() {
            "safe" => RequestKind::Safe,
            "other-method" => RequestKind::OtherMethod,
            "authorized" => RequestKind::Authorized,
            _ => return Err(InvalidLine::of("request")),
        };
        let wants = RequestDirectives {
            max_age: self.optional_time("want-max-age")?,
            max_stale: self.optional_time("want-max-stale")?,
            min_fresh: self.optional_time("want-min-fresh")?,
            no_cache: self.flag("want-no-cache")?,
            no_store: self.flag("want-no-store")?,
            only_if_cached: self.flag("want-stored")?,
        };
        let found = match self.text("found")?.as_str() {
            "nothing" => Found::Nothing,
            "other-variants" => Found::OtherVariants,
            "purged" => Found::Purged,
            "response" => Found::Response(Times {
                age: self.time("age")?,
                lifetime: self.time("lifetime")?,
                stale_while_revalidate: self.time("swr")?,
                stale_if_error: self.time("sie")?,
                forbids_stale: self.flag("forbids-stale")?,
                no_cache: self.flag("no-cache")?,
                immutable: self.flag("immutable")?,
            }),
            _ => return Err(InvalidLine::of("found")),
        };
        let origin = if self.flag("held")? { Origin::Held } else { Origin::Reachable };
        Ok(Situation { request, wants, origin, found })
    }
}

/// Fields of a replayed line.
struct FieldList(Vec<(String, String)>);

impl Fields for FieldList {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| Cow::Borrowed(value.as_str()))
    }
}

const REQUEST_FIELDS: [&str; 2] = ["authorization", "cache-control"];
/// What could name a visitor.
const PRESENCE_ONLY: [&str; 2] = ["authorization", "set-cookie"];

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn a_reuse_decision_reads_as_one_line() {
        let situation = Situation {
            request: RequestKind::Safe,
            wants: RequestDirectives { max_age: Some(Duration::from_secs(5)), ..RequestDirectives::default() },
            origin: Origin::Reachable,
            found: Found::Response(Times {
                age: Duration::from_secs(7),
                lifetime: Duration::from_secs(60),
                ..Times::default()
            }),
        };
        assert_eq!(
            reuse(&situation, "search"),
            "cache.reuse policy=\"search\" verdict=fetch why=request-max-age fwd=request stand-in=yes request=safe \
             held=no want-max-age=5000000000ns want-no-cache=no want-no-store=no want-stored=no found=response \
             age=7000000000ns lifetime=60000000000ns swr=0ns sie=0ns forbids-stale=no no-cache=no immutable=no"
        );
    }

    #[test]
    fn a_line_decides_again_what_it_says() {
        let options = CacheOptions::default();
        let modified = ("last-modified", "Sat, 05 Nov 1994 08:49:37 GMT");
        for (request, status, response) in [
            (&[][..], 200, &[("cache-control", "max-age=60, ext=\"a \\\" b\""), modified][..]),
            (&[("authorization", "secret")], 200, &[("cache-control", "max-age=60")]),
            (&[], 301, &[("cache-control", "max-age=60"), ("location", "/secret")]),
            (&[], 200, &[("set-cookie", "secret=1"), ("cache-control", "max-age=60")]),
            (&[], 200, &[("vary", "a, *"), ("cache-control", "max-age=60")]),
            (&[], 503, &[]),
        ] {
            let exchange = Exchange {
                target: Target { method: "GET", path: "/secret", ..Target::default() },
                request: &request,
                status,
                response: &response,
                request_time: Timestamp::from_unix_seconds(784_111_777),
                response_time: Timestamp::from_unix_seconds(784_111_778),
                generation: 1,
                random: 7,
            };
            let line = storing(&exchange, &options, "my \"site\"");
            assert_eq!(replay(&line, &options), Ok(line.clone()));
            assert!(!line.contains("secret"), "{line}");
        }
    }

    #[test]
    fn what_is_no_line_is_refused_by_name() {
        let options = CacheOptions::default();
        let input = |line: &str| replay(line, &options).unwrap_err().input;
        assert_eq!(input("x"), "kind");
        assert_eq!(input("cache.reuse request=safe held=perhaps"), "want-no-cache");
        assert_eq!(input("cache.storing policy=\"a\" method=\"GET\" redirects-to-itself=no status=x"), "status");
    }

    proptest::proptest! {
        #[test]
        fn every_situation_survives_its_line(
            kind in 0_u8..3, held: bool, what in 0_u8..4, times in proptest::array::uniform4(0_u64..u64::MAX),
            flags in proptest::array::uniform6(proptest::bool::ANY), wants in proptest::array::uniform3(proptest::option::of(0_u64..u64::MAX)),
        ) {
            let time = Duration::from_nanos;
            let found = Times {
                age: time(times[0]), lifetime: time(times[1]), stale_while_revalidate: time(times[2]), stale_if_error: time(times[3]),
                forbids_stale: flags[0], no_cache: flags[1], immutable: flags[2],
            };
            let situation = Situation {
                request: [RequestKind::Safe, RequestKind::OtherMethod, RequestKind::Authorized][usize::from(kind)],
                wants: RequestDirectives {
                    max_age: wants[0].map(time), max_stale: wants[1].map(time), min_fresh: wants[2].map(time),
                    no_cache: flags[3], no_store: flags[4], only_if_cached: flags[5],
                },
                origin: if held { Origin::Held } else { Origin::Reachable },
                found: [Found::Nothing, Found::OtherVariants, Found::Purged, Found::Response(found)][usize::from(what)],
            };
            let line = reuse(&situation, "p");
            proptest::prop_assert_eq!(Inputs::read(&line).situation(), Ok(situation));
            proptest::prop_assert_eq!(replay(&line, &CacheOptions::default()), Ok(line));
        }
    }
}
