//! How this isolate is.

use alloc::{format, string::String, vec::Vec};
use core::fmt::Write;

use seawall_core::{
    breaker::State,
    json::append_string,
    limit::LeaseId,
    policy::{self, Limit, Scope},
};

use crate::{
    Edge, Platform,
    authority::{Intent, Question},
    client::Client,
    limits::AUTHORITY_SHARDS,
    message::Response,
};

use super::Control;

/// What anybody may know, at the cost of a few bytes.
pub(super) fn alive() -> String {
    String::from("{\"status\":\"ok\"}")
}

impl<P: Platform> Control<'_, P> {
    /// What an operator may know: the build, each breaker of this isolate, and whether the authority of shared limits
    /// answers. Always 200: an edge that serves stale pages is degraded and not gone.
    pub(super) async fn health(&self) -> Response<P> {
        let authority = self.authority().await;
        let now = self.platform.now();
        let mut upstreams = String::new();
        let mut all_closed = true;
        let policy = &self.isolate.policy;
        for (at, (upstream, breaker)) in
            policy.upstreams().iter().zip(&self.isolate.state.borrow().breakers).enumerate()
        {
            // The others are the origin's own.
            if !policy.routes().iter().any(|route| usize::from(route.upstream.0) == at) {
                continue;
            }
            let state = breaker.state(now);
            all_closed &= state == State::Closed;
            upstreams.push_str(if upstreams.is_empty() { "{\"name\":" } else { ",{\"name\":" });
            append_string(&mut upstreams, upstream.name.as_str());
            // Writing to a String does not fail.
            let _ = write!(upstreams, ",\"breaker\":\"{}\",\"opens\":{}}}", state.as_str(), breaker.opens());
        }
        let is_well = all_closed && authority != Authority::Fails;
        let mut text = String::from(if is_well { "{\"status\":\"ok\"" } else { "{\"status\":\"degraded\"" });
        let build = &self.isolate.settings.build;
        for (name, value) in [("version", &build.version), ("deployment", &build.deployment), ("policy", &build.policy)]
        {
            text.push_str(",\"");
            text.push_str(name);
            text.push_str("\":");
            append_string(&mut text, value);
        }
        text.push_str(",\"authority\":\"");
        text.push_str(authority.as_str());
        text.push_str("\",\"upstreams\":[");
        text.push_str(&upstreams);
        text.push_str("]}");
        super::json(self.platform, text)
    }

    /// Asks one authority about no limit: the whole way there and back, and nothing is spent.
    async fn authority(&self) -> Authority {
        let objects =
            |limit: &Limit| matches!(limit.scope, Scope::Shared { authority: policy::Authority::Objects, .. });
        if !self.isolate.policy.limits().iter().any(objects) {
            return Authority::Unused;
        }
        let question = harmless(self.isolate);
        let shard = question.client.shard(AUTHORITY_SHARDS);
        let deadline = self.isolate.policy.reach(policy::Authority::Objects).deadline;
        // Past the breaker: an operator wants to know how it is now.
        match self.platform.ask(shard, &question, deadline).await {
            Ok(_) => Authority::Answers,
            Err(error) => {
                self.platform.log(&format!("edge.limit.objects failed: {error}"));
                Authority::Fails
            }
        }
    }
}

fn harmless(edge: &Edge) -> Question {
    Question {
        isolate: edge.isolate,
        seq: edge.next_question(),
        intent: Intent::Judge,
        client: Client::new(None),
        lease: LeaseId(0),
        limits: Vec::new(),
        asks: Vec::new(),
        reports: Vec::new(),
        hint: None,
    }
}

/// How the authority of shared limits is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Authority {
    /// The policy shares no limit.
    Unused,
    Answers,
    Fails,
}

impl Authority {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Unused => "unused",
            Self::Answers => "answers",
            Self::Fails => "fails",
        }
    }
}
