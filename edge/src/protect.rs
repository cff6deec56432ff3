//! Fields that every answer gets at the end, whoever made it: those of security, and how long it took.

use alloc::string::ToString;
use core::time::Duration;

use seawall_core::{
    policy::{Diagnostics, Policy, Route, SecurityFields},
    time::millis,
};

use crate::message::Headers;

/// Adds the policy's security fields where the origin has set none of its own.
///
/// The origin's word stands, whether it is the stricter one or not, except for `content-security-policy`: each of
/// several policies is enforced (CSP Level 3 §4.1), so a second one can only forbid more, and both are sent.
pub(crate) fn secure(headers: &mut impl Headers, fields: &SecurityFields, is_encrypted: bool) {
    for (name, value) in fields.iter() {
        // RFC 6797 §7.2: a server does not send it over a transport that is not secure.
        if name == "strict-transport-security" && !is_encrypted {
            continue;
        }
        match headers.field(name) {
            None => headers.set(name, value),
            Some(own) if name == "content-security-policy" && own != value => headers.append(name, value),
            Some(_) => {}
        }
    }
}

/// Says how long the answer took, as far as this clock can tell: where it has not moved, nothing was waited for and
/// there is nothing to say. What the origin and its call added before stands in front.
pub(crate) fn time(headers: &mut impl Headers, elapsed: Duration) {
    let elapsed_ms = millis(elapsed);
    if elapsed_ms == 0 {
        return;
    }
    let elapsed_ms = elapsed_ms.to_string();
    headers.append(SERVER_TIMING, &["edge;dur=", &elapsed_ms].concat());
    headers.set("x-response-time", &[&elapsed_ms, "ms"].concat());
}

/// Notes on a response of the origin how long its call took.
pub(crate) fn time_call(headers: &mut impl Headers, elapsed: Duration) {
    headers.append(SERVER_TIMING, &["origin;dur=", &millis(elapsed).to_string()].concat());
}

/// Takes away what only operators learn, where the policy wants that.
pub(crate) fn hide(headers: &mut impl Headers, policy: &Policy, is_operator: bool) {
    if policy.site().diagnostics == Diagnostics::Operator && !is_operator {
        DIAGNOSTICS.iter().for_each(|name| headers.remove(name));
    }
}

/// All of it.
pub(crate) struct Last<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) route: Option<&'a Route>,
    pub(crate) is_encrypted: bool,
    pub(crate) is_operator: bool,
    pub(crate) elapsed: Duration,
}

impl Last<'_> {
    pub(crate) fn apply(&self, headers: &mut impl Headers) {
        if let Some(fields) = self.policy.security_fields(self.route) {
            secure(headers, fields, self.is_encrypted);
        }
        time(headers, self.elapsed);
        hide(headers, self.policy, self.is_operator);
    }
}

/// From which a client could read whether someone asked for the same before.
const DIAGNOSTICS: [&str; 4] = ["age", "cache-status", SERVER_TIMING, "x-response-time"];

const SERVER_TIMING: &str = "server-timing";
