//! Limits that are one for all isolates.
//!
//! A request's shared limits are decided in one place: in this isolate when it holds units of every one of them, at
//! their authority otherwise, and in both all are charged or none. Two authorities are asked one after the other; what
//! the first charged is given back when the second refuses.

use alloc::{rc::Rc, string::String, vec::Vec};
use core::time::Duration;

use seawall_core::{
    limit::{
        Admission, LeaseId, LimitId, Ruling, Spend, Verdict,
        distributed::{Answer, Ask, Spender, Step, Terms},
        lua::{self, Asked, Operation},
    },
    policy::{Authority, Limit, Scope, StoreFailure},
    time::{Timestamp, seconds_ceil},
};

use crate::{
    Edge, Platform,
    authority::{Intent, Question, is_held, is_shared_out},
    client::Client,
    guard,
    limits::{AUTHORITY_SHARDS, JITTER_FROM},
    platform::Script,
    reach,
};

use super::{Admitted, Admitting, Named, Source, own};

/// Which limits were charged where they are counted, or out of what is held of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Charged {
    held: Vec<LimitId>,
    objects: Vec<LimitId>,
    redis: Vec<LimitId>,
}

impl Charged {
    pub(super) const fn nothing() -> Self {
        Self { held: Vec::new(), objects: Vec::new(), redis: Vec::new() }
    }

    pub(super) fn note(&mut self, limit: LimitId, scope: Scope) {
        match scope {
            Scope::Shared { authority: Authority::Objects, .. } => self.objects.push(limit),
            Scope::Shared { authority: Authority::Redis, .. } => self.redis.push(limit),
            Scope::Isolate | Scope::Location => {}
        }
    }

    pub(super) fn holds(&self, limit: LimitId) -> bool {
        [&self.held, &self.objects, &self.redis].into_iter().any(|limits| limits.contains(&limit))
    }
}

/// How much is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Back {
    /// All that the request was charged.
    All,
    /// What a hit costs less.
    Hit,
}

impl Back {
    const fn units(self, limit: &Limit) -> u32 {
        match self {
            Self::All => limit.cost,
            Self::Hit => limit.cost.saturating_sub(limit.hit_cost),
        }
    }
}

impl Admitting<'_> {
    /// The refusals of this client that this isolate remembers.
    pub(super) fn remembered(&self, now: Timestamp) -> Option<Admitted> {
        let state = self.edge.state.borrow();
        let until = |(id, _): &Named<'_>| Some((*id, state.denials.get(self.client.key(*id), now)?));
        let mut until = self.shared.iter().filter_map(until).peekable();
        until.peek()?;
        let verdicts = until.map(|(id, until)| own::denied(id, until.since(now))).collect();
        Some(Admitted::here(Admission { verdicts }, Source::Remembered).after(&self.own))
    }

    /// Whether this isolate could let the request pass by itself.
    pub(super) fn is_at_hand(&self, now: Timestamp) -> bool {
        matches!(self.take(now), Take::Allow { .. })
    }

    /// What the fields say of a request that costs shared limits nothing, as far as it is known here.
    pub(super) fn standing(&self, now: Timestamp) -> Admission {
        let mut admission = self.own.clone();
        let spenders = &self.edge.state.borrow().spenders;
        for (id, limit) in &self.shared {
            let spender = spenders.as_ref().and_then(|spenders| spenders.get(self.client.key(*id), now));
            if let Some((spender, terms)) = spender.zip(limit.terms()) {
                admission.verdicts.push(verdict(*id, &terms, &spender, Ruling::Allow, now));
            }
        }
        admission
    }

    /// Decides on the shared limits, and charges them.
    pub(super) async fn decide<P: Platform>(&self, platform: &P) -> Admitted {
        let now = self.edge.steady(platform.now());
        let mut admitted = match self.take(now) {
            Take::Allow { verdicts, spenders, tells } => {
                let mut charged = Charged::nothing();
                for (id, limit, spender) in spenders {
                    put(self.edge, self.client, id, limit, &spender, now);
                    charged.held.push(id);
                }
                if !tells.is_empty() {
                    self.tell(platform, tells);
                }
                Admitted { charged, ..Admitted::here(Admission { verdicts }, Source::Held) }
            }
            Take::Refuse { verdicts } => Admitted::here(Admission { verdicts }, Source::Remembered),
            Take::Ask => self.ask(platform).await,
        };
        if admitted.source == Source::Authority && admitted.admission.refusal().is_some() {
            self.remember(platform, &mut admitted.admission);
        }
        admitted.after(&self.own)
    }

    /// What this isolate can decide by itself, without doing it: the limits are charged when the spenders are kept.
    fn take(&self, now: Timestamp) -> Take<'_> {
        if !self.shared.iter().all(|(_, limit)| is_shared_out(limit)) {
            return Take::Ask;
        }
        let (mut verdicts, mut spenders, mut tells) = (Vec::new(), Vec::new(), Vec::new());
        let mut refused = false;
        for (id, limit) in &self.shared {
            let Some(terms) = limit.terms() else { return Take::Ask };
            let mut spender = self.spender(*id, now);
            let ruling = match spender.spend(&terms, self.edge.isolate, limit.cost, now) {
                Step::Allow { tell } => {
                    tells.extend(tell.map(|ask| (*id, ask)));
                    Ruling::Allow
                }
                Step::Deny { retry_after } => Ruling::Deny { retry_after },
                Step::Never => Ruling::Never,
                Step::Ask(_) => return Take::Ask,
            };
            refused |= ruling != Ruling::Allow;
            verdicts.push(verdict(*id, &terms, &spender, ruling, now));
            spenders.push((*id, *limit, spender));
        }
        if refused { Take::Refuse { verdicts } } else { Take::Allow { verdicts, spenders, tells } }
    }

    /// What this isolate holds of one limit.
    fn spender(&self, id: LimitId, now: Timestamp) -> Spender {
        let state = self.edge.state.borrow();
        let known = state.spenders.as_ref().and_then(|spenders| spenders.get(self.client.key(id), now));
        // Two of the same key and moment must not pass for one.
        let born = now.after(Duration::from_nanos(self.edge.next_question() % NANOS_PER_MILLI));
        known.unwrap_or_else(|| Spender::new(born))
    }

    /// Asks the authorities: that of the platform first.
    async fn ask<P: Platform>(&self, platform: &P) -> Admitted {
        let at = |wanted: Authority| {
            let here = move |(_, limit): &&Named<'_>| matches!(limit.scope, Scope::Shared { authority, .. } if authority == wanted);
            self.shared.iter().filter(here).copied().collect::<Vec<Named<'_>>>()
        };
        let (objects, redis) = (at(Authority::Objects), at(Authority::Redis));
        let mut admitted = match objects.is_empty() {
            true => Admitted::here(Admission::default(), Source::Authority),
            false => self.ask_objects(platform, &objects).await,
        };
        if redis.is_empty() || admitted.admission.refusal().is_some() {
            return admitted;
        }
        let second = self.ask_redis(platform, &redis).await;
        if second.admission.refusal().is_some() {
            let charged = core::mem::take(&mut admitted.charged);
            self.credit(&mut admitted.admission, &charged, Back::All);
            self.give_back(platform, charged, Back::All);
        }
        if second.source == Source::Fallback {
            admitted.source = Source::Fallback;
        }
        admitted.admission.extend(second.admission);
        admitted.charged.redis = second.charged.redis;
        admitted
    }

    async fn ask_objects<P: Platform>(&self, platform: &P, limits: &[Named<'_>]) -> Admitted {
        let now = self.edge.steady(platform.now());
        let mut question = self.question(Intent::Judge);
        let mut spenders = Vec::new();
        let mut refused = Vec::new();
        for (id, limit) in limits {
            let Some(terms) = limit.terms().filter(|_| is_shared_out(limit)) else {
                question.limits.push(*id);
                continue;
            };
            let mut spender = self.spender(*id, now);
            let ruling = match spender.spend_there(&terms, self.edge.isolate, limit.cost, now) {
                Step::Ask(ask) => {
                    question.asks.push((*id, ask));
                    spenders.push((*id, *limit, spender));
                    continue;
                }
                Step::Deny { retry_after } => Ruling::Deny { retry_after },
                Step::Never => Ruling::Never,
                // It never says that there.
                Step::Allow { .. } => continue,
            };
            refused.push(verdict(*id, &terms, &spender, ruling, now));
        }
        if !refused.is_empty() {
            return Admitted::here(Admission { verdicts: refused }, Source::Remembered);
        }
        for (id, limit, spender) in spenders {
            put(self.edge, self.client, id, limit, &spender, now);
        }
        let shard = self.client.shard(AUTHORITY_SHARDS);
        guard::add_report(self.edge, self.route.upstream, shard, &mut question, platform.now());
        match reach::ask(self.edge, platform, shard, &question).await {
            Ok(reply) => {
                let now = platform.now();
                guard::take_hints(self.edge, &question, &reply, now);
                let mut admission = reply.admission;
                for ((id, _), answer) in question.asks.iter().zip(&reply.answers) {
                    admission.verdicts.extend(take_answer(self.edge, platform, self.client, *id, answer));
                }
                let charged = if admission.refusal().is_some() {
                    Charged::nothing()
                } else {
                    Charged { objects: limits.iter().map(|(id, _)| *id).collect(), ..Charged::nothing() }
                };
                Admitted { admission, source: Source::Authority, charged, later: false }
            }
            Err(_) => {
                lose(self.edge, platform, self.client, &question.asks);
                self.without(platform, limits)
            }
        }
    }

    async fn ask_redis<P: Platform>(&self, platform: &P, limits: &[Named<'_>]) -> Admitted {
        let asked = asked(self.client, self.lease, limits.iter().copied(), |limit| limit.cost);
        let keys = keys(self.client, limits.iter().copied());
        let script = Script { operation: Operation::Spend, asked: &asked, keys };
        match reach::run(self.edge, platform, &script).await {
            Ok(reply) => {
                let admission = reply.admission(&asked);
                let mut charged = Charged::nothing();
                if admission.refusal().is_none() {
                    charged.redis = limits.iter().map(|(id, _)| *id).collect();
                }
                Admitted { admission, source: Source::Authority, charged, later: false }
            }
            Err(_) => self.without(platform, limits),
        }
    }

    /// Fails as each limit says: the policy's choice, made beside the limit.
    fn without<P: Platform>(&self, platform: &P, limits: &[Named<'_>]) -> Admitted {
        let choice = |limit: &Limit| match limit.scope {
            Scope::Shared { on_store_failure, .. } => on_store_failure,
            // Only shared limits get here.
            Scope::Isolate | Scope::Location => StoreFailure::Local,
        };
        let choices: Vec<_> = limits.iter().map(|(id, limit)| ((*id, *limit), choice(limit))).collect();
        let admission =
            own::without_authority(self.edge, self.client, self.lease, &choices, self.edge.steady(platform.now()));
        Admitted::here(admission, Source::Fallback)
    }

    /// Tells the authority what this isolate spends and holds, without anyone waiting.
    fn tell<P: Platform>(&self, platform: &P, asks: Vec<(LimitId, Ask)>) {
        let mut question = self.question(Intent::Judge);
        question.asks = asks;
        let (edge, host, client) = (Rc::clone(self.edge), platform.clone(), self.client);
        platform.spawn(async move {
            match reach::ask(&edge, &host, client.shard(AUTHORITY_SHARDS), &question).await {
                Ok(reply) => {
                    for ((id, _), answer) in question.asks.iter().zip(&reply.answers) {
                        take_answer(&edge, &host, client, *id, answer);
                    }
                }
                // It is made up for by the next.
                Err(_) => lose(&edge, &host, client, &question.asks),
            }
        });
    }

    /// Says of limits what they have left once that is given back.
    pub(super) fn credit(&self, admission: &mut Admission, charged: &Charged, back: Back) {
        for verdict in &mut admission.verdicts {
            let limit = self.edge.policy.limit(verdict.limit).filter(|_| charged.holds(verdict.limit));
            if let Some(limit) = limit {
                let left = verdict.remaining.saturating_add(back.units(limit));
                verdict.remaining = left.min(limit.algorithm.cost_max().get());
            }
        }
    }

    pub(super) fn give_back<P: Platform>(&self, platform: &P, charged: Charged, back: Back) {
        give_back(self.edge, platform, self.client, self.lease, charged, back);
    }

    fn question(&self, intent: Intent) -> Question {
        Question {
            isolate: self.edge.isolate,
            seq: self.edge.next_question(),
            intent,
            client: self.client,
            lease: self.lease,
            limits: Vec::new(),
            asks: Vec::new(),
            reports: Vec::new(),
            hint: None,
        }
    }

    /// Remembers a refusal until its wait is over, so that it costs no further call. A long wait is lengthened at
    /// random, so that those who were refused together do not come back together.
    fn remember<P: Platform>(&self, platform: &P, admission: &mut Admission) {
        if admission.refusal().and_then(|refusal| refusal.retry_after).is_some_and(|wait| wait >= JITTER_FROM) {
            admission.jitter((platform.random() >> 32) as u32);
        }
        let now = self.edge.steady(platform.now());
        let mut state = self.edge.state.borrow_mut();
        for verdict in admission.violated() {
            // A place that is held may be given back at any moment, so its wait is no promise; and who holds units
            // knows by itself when to ask again.
            let limit = self.edge.policy.limit(verdict.limit);
            let keeps = limit.is_some_and(|limit| !is_held(&limit.algorithm) && !is_shared_out(limit));
            if let Some(retry_after) = verdict.retry_after().filter(|_| keeps) {
                let until = now.after(retry_after);
                state.denials.put(self.client.key(verdict.limit), until, until, now);
            }
        }
    }
}

/// What an isolate can do about a request by itself.
enum Take<'a> {
    /// Let it pass.
    Allow { verdicts: Vec<Verdict>, spenders: Vec<(LimitId, &'a Limit, Spender)>, tells: Vec<(LimitId, Ask)> },
    /// Refuse it: the authority did so a moment ago.
    Refuse { verdicts: Vec<Verdict> },
    /// Nothing.
    Ask,
}

/// Gives back what a request was charged elsewhere, without anyone waiting. What does not arrive is earned back in time,
/// and a place frees itself.
pub(super) fn give_back<P: Platform>(
    edge: &Rc<Edge>,
    platform: &P,
    client: Client,
    lease: LeaseId,
    charged: Charged,
    back: Back,
) {
    let now = edge.steady(platform.now());
    for (id, limit) in charged.held.iter().filter_map(|id| Some((*id, edge.policy.limit(*id)?))) {
        let known = edge.state.borrow().spenders.as_ref().and_then(|spenders| spenders.get(client.key(id), now));
        if let Some((mut spender, terms)) = known.zip(limit.terms()) {
            spender.refund(&terms, back.units(limit), now);
            put(edge, client, id, limit, &spender, now);
        }
    }
    let less = |id: &LimitId| edge.policy.limit(*id).is_some_and(|limit| back.units(limit) > 0);
    let objects: Vec<LimitId> = charged.objects.into_iter().filter(less).collect();
    let redis: Vec<LimitId> = charged.redis.into_iter().filter(less).collect();
    if !objects.is_empty() {
        let question = Question {
            isolate: edge.isolate,
            seq: edge.next_question(),
            intent: if back == Back::Hit { Intent::WasHit } else { Intent::GiveBack },
            client,
            lease,
            limits: objects,
            asks: Vec::new(),
            reports: Vec::new(),
            hint: None,
        };
        let (edge, host) = (Rc::clone(edge), platform.clone());
        platform.spawn(async move {
            let _ = reach::ask(&edge, &host, client.shard(AUTHORITY_SHARDS), &question).await;
        });
    }
    if !redis.is_empty() {
        let (edge, host) = (Rc::clone(edge), platform.clone());
        platform.spawn(async move {
            let limits = || redis.iter().filter_map(|id| Some((*id, edge.policy.limit(*id)?)));
            let asked = asked(client, lease, limits(), |limit| back.units(limit));
            let script = Script { operation: Operation::Refund, asked: &asked, keys: keys(client, limits()) };
            let _ = reach::run(&edge, &host, &script).await;
        });
    }
}

/// What the script is asked about these limits.
fn asked<'a>(
    client: Client,
    lease: LeaseId,
    limits: impl Iterator<Item = Named<'a>>,
    units: impl Fn(&Limit) -> u32,
) -> Vec<Asked<'a>> {
    let spend = |id, limit| Spend::new(units(limit), client.key(id)).with_lease(lease);
    limits.map(|(id, limit)| Asked { limit: id, algorithm: &limit.algorithm, spend: spend(id, limit) }).collect()
}

/// The keys of a client's limits in a Redis: the same for every host that counts there.
fn keys<'a>(client: Client, limits: impl Iterator<Item = Named<'a>>) -> Vec<String> {
    limits.map(|(_, limit)| lua::key(KEY_SPACE, u128::from(client.to_bits()), limit.name.as_str())).collect()
}

/// Gives an answer to the spender that waits for it, if there still is one.
fn take_answer<P: Platform>(
    edge: &Edge,
    platform: &P,
    client: Client,
    id: LimitId,
    answer: &Answer,
) -> Option<Verdict> {
    let limit = edge.policy.limit(id)?;
    let terms = limit.terms()?;
    let now = edge.steady(platform.now());
    let known = edge.state.borrow().spenders.as_ref().and_then(|spenders| spenders.get(client.key(id), now));
    // One that was crowded out meanwhile loses what it was granted; the request gets its answer all the same.
    let mut spender = known.unwrap_or_else(|| Spender::new(now));
    // Only a refusal needs chance.
    let random = if answer.ruling == Ruling::Allow { 0 } else { (platform.random() >> 32) as u32 };
    let ruling = spender.answer(&terms, answer, now, random);
    if known.is_some() {
        put(edge, client, id, limit, &spender, now);
    }
    Some(verdict(id, &terms, &spender, ruling, now))
}

/// Lets spenders know that what they asked got no answer.
fn lose<P: Platform>(edge: &Edge, platform: &P, client: Client, asks: &[(LimitId, Ask)]) {
    let now = edge.steady(platform.now());
    for (id, ask) in asks {
        let known = edge.state.borrow().spenders.as_ref().and_then(|spenders| spenders.get(client.key(*id), now));
        if let Some((mut spender, limit)) = known.zip(edge.policy.limit(*id)) {
            spender.lost(ask.seq);
            put(edge, client, *id, limit, &spender, now);
        }
    }
}

fn put(edge: &Edge, client: Client, id: LimitId, limit: &Limit, spender: &Spender, now: Timestamp) {
    let mut state = edge.state.borrow_mut();
    if let Some((terms, spenders)) = limit.terms().zip(state.spenders.as_mut()) {
        spenders.put(client.key(id), *spender, spender.expires(&terms, now), now);
    }
}

/// What a limit of which units are held says, as far as it is known here.
fn verdict(limit: LimitId, terms: &Terms, spender: &Spender, ruling: Ruling, now: Timestamp) -> Verdict {
    let (remaining, debt) = spender.standing(terms, now);
    let window = match ruling {
        Ruling::Deny { retry_after } => retry_after,
        Ruling::Allow | Ruling::Never => debt,
    };
    let remaining = if ruling == Ruling::Allow { remaining } else { 0 };
    Verdict { limit, ruling, remaining, effective_window_seconds: seconds_ceil(window).max(1) }
}

const NANOS_PER_MILLI: u64 = 1_000_000;

/// What keys in a Redis begin with.
const KEY_SPACE: &str = "seawall";
