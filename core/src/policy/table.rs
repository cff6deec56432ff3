//! Finds the first route that fits, without asking each.

use alloc::string::String;
use alloc::vec::Vec;

use super::pattern::{Pattern, Segment};
use super::{Methods, Route};

/// The routes by the segments of their patterns: a tree whose edges are literals and `{name}`.
///
/// A request walks down the segments of its path, so what routes elsewhere in the tree cost nothing. Where a literal
/// and a `{name}` both fit, both ways are walked, and the earlier route wins; a way that leads only to later routes
/// than the one found is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// The first node is the root.
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    /// The earliest route that ends here or below.
    earliest: Option<u16>,
    /// By literal, in order.
    literals: Vec<(String, u16)>,
    any: Option<u16>,
    /// Routes whose pattern ends here, in order.
    ends: Vec<u16>,
    /// Routes whose pattern goes on with `**` from here, in order.
    open: Vec<u16>,
}

impl Table {
    /// Sorts in all routes. Their number and that of their segments are bounded by the policy, so that nodes are
    /// counted in 16 bits.
    pub(super) fn new(routes: &[Route]) -> Self {
        let mut table = Self { nodes: alloc::vec![Node::default()] };
        for (place, route) in (0..).zip(routes) {
            table.add(place, &route.pattern);
        }
        table
    }

    fn add(&mut self, route: u16, pattern: &Pattern) {
        let mut at = 0;
        self.nodes[at].earliest.get_or_insert(route);
        for segment in pattern.segments() {
            let fresh = self.nodes.len() as u16;
            let node = &mut self.nodes[at];
            let next = match segment {
                Segment::Any => *node.any.get_or_insert(fresh),
                Segment::Literal(text) => match node.literals.binary_search_by(|(literal, _)| literal.cmp(text)) {
                    Ok(found) => node.literals[found].1,
                    Err(place) => {
                        node.literals.insert(place, (text.clone(), fresh));
                        fresh
                    }
                },
            };
            if next == fresh {
                self.nodes.push(Node::default());
            }
            at = usize::from(next);
            self.nodes[at].earliest.get_or_insert(route);
        }
        let node = &mut self.nodes[at];
        if pattern.is_open() { &mut node.open } else { &mut node.ends }.push(route);
    }

    /// The first route that takes `method` and `path`, by its place.
    pub(super) fn find(&self, routes: &[Route], method: &str, path: &str) -> Option<u16> {
        let mut search = Search::new(self, routes, method, path)?;
        search.walk(0, Some(search.path));
        search.found
    }
}

struct Search<'a> {
    table: &'a Table,
    routes: &'a [Route],
    method: &'a str,
    path: &'a str,
    found: Option<u16>,
    /// Nodes, literals and routes that were looked at.
    #[cfg(test)]
    work: [usize; 3],
}

impl<'a> Search<'a> {
    fn new(table: &'a Table, routes: &'a [Route], method: &'a str, path: &'a str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        Some(Self {
            table,
            routes,
            method,
            path,
            found: None,
            #[cfg(test)]
            work: [0; 3],
        })
    }

    /// Goes on from a node with the segments that are left; `None` when all are used up.
    fn walk(&mut self, node: u16, rest: Option<&str>) {
        let table = self.table;
        let node = &table.nodes[usize::from(node)];
        #[cfg(test)]
        self.count(0);
        if !self.is_earlier(node.earliest) {
            return;
        }
        self.take(&node.open);
        let Some(rest) = rest else { return self.take(&node.ends) };
        let (segment, rest) = match rest.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (rest, None),
        };
        let found = node.literals.binary_search_by(|(literal, _)| {
            #[cfg(test)]
            self.count(1);
            literal.as_str().cmp(segment)
        });
        if let Ok(place) = found {
            self.walk(node.literals[place].1, rest);
        }
        if let Some(any) = node.any.filter(|_| !segment.is_empty()) {
            self.walk(any, rest);
        }
    }

    /// Keeps the first of `places` that takes the request, if it comes before what was found.
    fn take(&mut self, places: &[u16]) {
        for place in places.iter().copied() {
            if !self.is_earlier(Some(place)) {
                return;
            }
            #[cfg(test)]
            self.count(2);
            let Route { methods, pattern, .. } = &self.routes[usize::from(place)];
            if Methods::take(methods, self.method) && pattern.takes_file(self.path) {
                return self.found = Some(place);
            }
        }
    }

    #[cfg(test)]
    fn count(&mut self, what: usize) {
        self.work[what] += 1;
    }

    fn is_earlier(&self, place: Option<u16>) -> bool {
        place.is_some_and(|place| self.found.is_none_or(|found| place < found))
    }
}

/// Every segment of every route may be a node of its own, and there is a root.
const _: () = assert!(super::Policy::ROUTES_MAX * Pattern::SEGMENTS_MAX < u16::MAX as usize);

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;
    use crate::policy::{Query, UpstreamId};

    fn route(path: &str, extension: Option<&str>, method: Option<&str>) -> Route {
        let pattern = Pattern::parse(path).expect("patterns of the tests are sound");
        Route {
            name: String::from("route").try_into().expect("a sound name"),
            pattern: pattern.with_extensions(extension.map(String::from).into_iter().collect()),
            methods: method.map_or(Methods::All, |method| Methods::Only(vec![method.into()])),
            upstream: UpstreamId(0),
            limits: vec![],
            query: Query::All,
            priority: crate::priority::Priority::Normal,
            cache: None,
            in_maintenance: false,
            fields: 0,
        }
    }

    /// The rule that the table only makes quicker.
    fn linear(routes: &[Route], method: &str, path: &str) -> Option<u16> {
        let place = routes.iter().position(|route| route.methods.take(method) && route.pattern.matches(path))?;
        u16::try_from(place).ok()
    }

    fn segment() -> impl Strategy<Value = &'static str> {
        prop_oneof![Just("a"), Just("b"), Just("c.css"), Just("d.js"), Just("{x}"), Just("")]
    }

    fn any_route() -> impl Strategy<Value = Route> {
        let path = (prop::collection::vec(segment(), 0..4), any::<bool>()).prop_map(|(segments, open)| {
            let path: String = segments.iter().map(|segment| format!("/{segment}")).collect();
            if open || path.is_empty() { format!("{path}/**") } else { path }
        });
        let extension = prop_oneof![3 => Just(None), 1 => Just(Some("css"))];
        let method = prop_oneof![3 => Just(None), 1 => Just(Some("GET")), 1 => Just(Some("POST"))];
        (path, extension, method).prop_map(|(path, extension, method)| route(&path, extension, method))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_finds_what_asking_each_route_in_turn_finds(
            routes in prop::collection::vec(any_route(), 0..40),
            paths in prop::collection::vec(prop::collection::vec(segment(), 0..5), 1..20),
        ) {
            let table = Table::new(&routes);
            for segments in paths {
                let path: String = segments.iter().map(|segment| format!("/{segment}")).collect();
                for method in ["GET", "HEAD", "POST", "PUT"] {
                    prop_assert_eq!(table.find(&routes, method, &path), linear(&routes, method, &path), "{}", path);
                }
            }
        }
    }

    /// What a request costs is set by its own path: a thousand times the routes are ten more comparisons of a literal.
    #[test]
    fn the_number_of_routes_elsewhere_costs_next_to_nothing() {
        let work = |count: usize| {
            let paths = (0..count).map(|n| match n % 4 {
                0 => format!("/{n}"),
                1 => format!("/shop/{n}/{{item}}"),
                2 => format!("/shop/{{item}}/{n}"),
                _ => format!("/{n}/**"),
            });
            let paths = paths.chain(["/shop/{item}/last".into(), "/report/{block}/{lot}".into(), "/**".into()]);
            let routes: Vec<Route> = paths.map(|path| route(&path, None, None)).collect();
            let table = Table::new(&routes);
            ["/report/1/2", "/shop/some/last", "/shop/9/x", "/nothing", "/3/a/b/c/d"].map(|path| {
                let mut search = Search::new(&table, &routes, "GET", path).expect("it begins with a slash");
                search.walk(0, Some(search.path));
                (search.found.map(|found| routes.len() - usize::from(found)).filter(|left| *left <= 3), search.work)
            })
        };
        let few = work(10);
        assert_eq!(few.map(|(last, _)| last), [Some(2), Some(3), None, Some(1), None]);
        for (count, doublings) in [(1000, 7), (10_000, 10)] {
            for ((last, [nodes, literals, looked_at]), (last_of_few, few)) in work(count).into_iter().zip(few) {
                assert_eq!((last, nodes, looked_at), (last_of_few, few[0], few[2]), "of {count}");
                assert!(literals <= few[1] + 3 * doublings, "{literals} literals of {count} routes, {} of ten", few[1]);
            }
        }
    }

    #[test]
    fn the_largest_table_has_a_place_for_each_segment() {
        let path = |route: usize| format!("/{route}{}", "/{x}".repeat(Pattern::SEGMENTS_MAX - 1));
        let routes: Vec<Route> = (0..crate::policy::Policy::ROUTES_MAX).map(|n| route(&path(n), None, None)).collect();
        let table = Table::new(&routes);
        assert_eq!(table.nodes.len(), 1 + routes.len() * Pattern::SEGMENTS_MAX);
        let last = format!("/255{}", "/y".repeat(Pattern::SEGMENTS_MAX - 1));
        assert_eq!(table.find(&routes, "GET", &last), Some(255));
    }
}
