//! `POST /__seawall/purge`: what is stored does not count any more, in every place within five seconds.

use alloc::{
    borrow::ToOwned,
    format,
    rc::Rc,
    string::{String, ToString},
    vec::Vec,
};

use seawall_core::{
    cache::{
        groups::{GROUP_BYTES_MAX, GroupId},
        key::{CacheKey, Target},
        purge::{Selector, Strength},
        query,
    },
    policy::Query,
    problem::{Problem, Status},
};

use crate::{
    Platform, answer,
    limits::{PURGE_BODY_BYTES_MAX, PURGE_ORDERS_MAX, RETRY_AFTER_UNREACHABLE},
    message::{Request, Response, parts},
    purge::{self, By, NotTaken, Order},
    sanitise,
};

use super::{
    Control, json,
    orders::{self, Value},
    refusal,
};

impl<P: Platform> Control<'_, P> {
    /// Reads what to purge, and tells the log of purges. Nothing is purged unless all of it can be.
    pub(super) async fn purge(&self, request: &mut Request<P>) -> Response<P> {
        if !purge::has_log(self.platform) {
            let detail = "This deployment has no log of purges: bind the Durable Object PURGES.";
            return refusal(self.platform, Status::NotImplemented, detail);
        }
        let text = match request.body.take() {
            Some(body) => self.platform.read(body, PURGE_BODY_BYTES_MAX).await,
            None => Some(String::new()),
        };
        let Some(text) = text else {
            let detail = "The body is longer than 65536 bytes, or no text.";
            return refusal(self.platform, Status::ContentTooLarge, detail);
        };
        let orders = match self.orders(&text) {
            Ok(orders) => orders,
            Err(detail) => return refusal(self.platform, Status::BadRequest, &detail),
        };
        let count = orders.len();
        match purge::ask(&self.isolate.edge, self.platform, orders).await {
            Ok(()) => {
                if !self.platform.has_purge_log() {
                    let (edge, platform) = (Rc::clone(&self.isolate.edge), self.platform.clone());
                    self.platform.spawn(async move { purge::notes::see_to(&edge, &platform).await });
                }
                let count = count.to_string();
                json(self.platform, ["{\"purges\":", &count, ",\"effective_within_s\":5}"].concat())
            }
            Err(NotTaken::TooMany { retry_after }) => {
                let detail = "Operators have ordered 1024 purges within a minute. Try again later, or purge by prefix, tag or group.";
                let problem = Problem::quota_exceeded(["purges"], detail);
                answer::problem(self.platform, &problem, Some(retry_after))
            }
            Err(NotTaken::Away) => {
                let detail = "The log of purges did not answer, and nothing was purged as far as is known. Try again.";
                let problem = Problem::temporary_reduced_capacity(detail);
                answer::problem(self.platform, &problem, Some(RETRY_AFTER_UNREACHABLE))
            }
        }
    }

    /// What a body asks for, or what is wrong with it.
    fn orders(&self, text: &str) -> Result<Vec<Order>, String> {
        let members = orders::read(text)?;
        let origin = members.iter().find_map(|(name, value)| match value {
            Value::Text(origin) if name == "origin" => Some(origin.as_str()),
            _ => None,
        });
        let mut selectors = Vec::new();
        let mut strength = Strength::Hard;
        for (name, value) in &members {
            match (name.as_str(), value) {
                ("soft", Value::Boolean(soft)) => strength = if *soft { Strength::Soft } else { Strength::Hard },
                ("all", Value::Boolean(all)) => selectors.extend(all.then_some(Selector::All)),
                ("origin", Value::Text(_)) => {}
                ("urls", Value::Texts(urls)) => {
                    for url in urls {
                        selectors.push(self.url(url)?);
                    }
                }
                ("prefixes", Value::Texts(urls)) => {
                    for url in urls {
                        let place = self.place(url)?;
                        if !place.query.is_empty() {
                            return Err(wrong("prefixes", url, "an address without a query"));
                        }
                        let Place { host, path, .. } = place;
                        selectors.push(Selector::Prefix { tenant: String::new(), host, path });
                    }
                }
                ("tags", Value::Texts(tags)) => {
                    for tag in tags {
                        check_name("tags", tag)?;
                        selectors.push(Selector::Group(GroupId::tag("", tag)));
                    }
                }
                ("groups", Value::Texts(groups)) => {
                    let origin = origin.ok_or("groups: expected origin beside it, such as \"https://site.example\"")?;
                    let Place { scheme, host, .. } = self.place(&[origin, "/"].concat())?;
                    let target = Target { scheme: &scheme, host: &host, ..Target::default() };
                    for group in groups {
                        check_name("groups", group)?;
                        selectors.push(Selector::Group(GroupId::of_origin(&target, group)));
                    }
                }
                (name @ ("soft" | "all"), _) => return Err([name, ": expected true or false"].concat()),
                ("origin", _) => return Err(String::from("origin: expected a text")),
                (name @ ("urls" | "prefixes" | "tags" | "groups"), _) => {
                    return Err([name, ": expected a list of texts"].concat());
                }
                // What it is called came from outside, and is not repeated.
                _ => return Err(String::from("expected all, urls, prefixes, tags, groups, origin and soft only")),
            }
            if selectors.len() > PURGE_ORDERS_MAX {
                return Err(format!("expected at most {PURGE_ORDERS_MAX} purges in one request"));
            }
        }
        if selectors.is_empty() {
            return Err(String::from("expected all, urls, prefixes, tags or groups, and found nothing to purge"));
        }
        Ok(selectors.into_iter().map(|selector| Order { by: By::Operator, selector, strength }).collect())
    }

    /// What is stored for an address, by keys made as those of a request for it.
    fn url(&self, url: &str) -> Result<Selector, String> {
        let Place { scheme, host, path, query } = self.place(url)?;
        let query = match self.isolate.policy.route("GET", &path).map(|route| &route.query) {
            Some(Query::Only(names)) => query::keep(&query, names),
            _ => query,
        };
        let target = Target { method: "GET", tenant: "", scheme: &scheme, host: &host, path: &path, query: &query };
        Ok(Selector::Url { key: CacheKey::new(&target), path: CacheKey::of_path(&target) })
    }

    /// An address of this site. Another site's are refused: who may purge here may not purge there.
    fn place(&self, url: &str) -> Result<Place, String> {
        let absolute = "an address such as \"https://site.example/path\"";
        let Some((scheme @ ("http" | "https"), host, path, query)) = parts(url) else {
            return Err(wrong("address", url, absolute));
        };
        let path = if path.is_empty() { "/" } else { path };
        let (host, path) =
            sanitise::place(host, path, query).map_err(|malformed| wrong("address", url, malformed.detail()))?;
        if !self.isolate.policy.site().hosts.take(&host) {
            return Err(wrong("address", url, "a host of this site"));
        }
        Ok(Place { scheme: scheme.to_owned(), host, path, query: query.to_owned() })
    }
}

/// An address, taken apart.
struct Place {
    scheme: String,
    host: String,
    path: String,
    query: String,
}

fn check_name(member: &str, name: &str) -> Result<(), String> {
    let fits = (1..=GROUP_BYTES_MAX).contains(&name.len());
    if fits { Ok(()) } else { Err(wrong(member, name, "a name of 1 to 256 bytes")) }
}

/// Names what was wrong, at a length that a person reads.
fn wrong(member: &str, value: &str, expected: &str) -> String {
    let end = (0..=SHOWN_BYTES_MAX.min(value.len())).rev().find(|end| value.is_char_boundary(*end)).unwrap_or_default();
    [member, " \"", &value[..end], "\": expected ", expected].concat()
}

/// Most of a value that an error repeats.
const SHOWN_BYTES_MAX: usize = 100;
