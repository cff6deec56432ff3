//! The route of a request, among few and among as many as a policy may have.

use std::fmt::Write;
use std::hint::black_box;

use anyhow::Result;
use seawall_core::policy::Policy;

use crate::measure::{Contender, Figures, compare};

/// Measures it.
pub(crate) fn all() -> Result<Figures> {
    let (many, few) = (policy(Policy::ROUTES_MAX)?, policy(10)?);
    let contender = |name, policy: Policy| Contender {
        name,
        work: Box::new(move |count| {
            for path in PATHS.iter().cycle().take(count as usize) {
                black_box(policy.route("GET", black_box(path)));
            }
        }),
    };
    let contenders = vec![contender("seawall, 256 routes", many), contender("seawall, 10 routes", few)];
    Ok(compare("policy, the route of a request", None, ROUTES, contenders))
}

/// A policy of so many routes, the last of which takes everything.
fn policy(routes: usize) -> Result<Policy> {
    let mut text = "version = 1\n[upstream.origin]\n".to_owned();
    for route in 1..routes {
        let path = match route % 3 {
            0 => format!("/{route}/**"),
            1 => format!("/section{route}/{{item}}"),
            _ => format!("/shop/{{item}}/page{route}"),
        };
        write!(text, "[[route]]\nname = \"route{route}\"\npath = \"{path}\"\n")?;
    }
    text.push_str("[[route]]\nname = \"rest\"\npath = \"/**\"\n");
    Ok(Policy::compile(&text)?)
}

/// Found early, found late, and not found but by the last.
const PATHS: [&str; 4] = ["/3/a/b", "/section7/x", "/shop/x/page8", "/some/where/else"];

const ROUTES: u64 = 1_000_000;
