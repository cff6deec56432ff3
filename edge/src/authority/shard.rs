//! One authority: the counters, leases and breakers of its share of the keys.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    vec,
    vec::Vec,
};
use core::num::NonZeroUsize;

use seawall_core::{
    breaker::shared,
    limit::{
        Admission, Check, LimitId, Ruling, Spend, State, decide_all,
        distributed::{Answer, Ask, Ledger, Restart, Snapshot, Terms},
        states::{Capacities, StateTable},
    },
    policy::{Limit, Policy},
    sorted::SortedMap,
    time::Timestamp,
};

use crate::{
    limits::{ANSWERS_REMEMBERED, AUTHORITY_KEYS, AUTHORITY_LEDGERS},
    steady::Steady,
};

use super::{Intent, Kept, Question, Reply, Written, is_held, is_shared_out};

/// The state of one authority, without a store and without a clock.
///
/// Limits that are decided here are written down with each charge, so a new life of the authority forgets nothing of
/// them, and knows the last question that changed each: sent again, it is charged once. Of limits that are shared out it
/// knows what was charged up to a quarter of a burst, and prolongs no lease of its predecessor: until all of those have
/// ended it grants none. Breakers start closed.
#[derive(Debug)]
pub struct Shard {
    counters: StateTable,
    /// In boxes, because a new key moves those behind it.
    ledgers: SortedMap<u128, Box<Ledger>>,
    breakers: Vec<shared::Authority>,
    /// By upstream: the newest hint that passed here, and when.
    hints: Vec<Option<(shared::Hint, Timestamp)>>,
    /// The newest answers, for questions that are sent again.
    answered: VecDeque<(u64, u64, Reply)>,
    /// What no store has taken, and nothing newer stands for: the question that led to it may be sent again.
    unwritten: Vec<Kept>,
    /// The last question that an earlier life heard of a key.
    heard_before: BTreeMap<u128, (u64, u64)>,
    started: Timestamp,
    /// The time by which limits count.
    clock: Steady,
}

/// What a question led to.
#[derive(Clone, Debug)]
#[must_use]
pub struct Heard {
    /// What to answer.
    pub reply: Reply,
    /// What to write down before answering.
    pub keep: Vec<Kept>,
}

impl Shard {
    /// An authority that starts at `now`. `seed` is a number that clients cannot know.
    #[must_use]
    pub fn new(policy: &Policy, seed: u64, now: Timestamp) -> Self {
        let capacities = Capacities::for_keys(const { NonZeroUsize::new(AUTHORITY_KEYS).unwrap() });
        let here = policy.limits().iter().filter(|limit| !is_shared_out(limit)).map(|limit| &limit.algorithm);
        Self {
            counters: StateTable::new(here, capacities, seed),
            ledgers: SortedMap::new(),
            breakers: policy.upstreams().iter().map(|_| shared::Authority::new(now)).collect(),
            hints: vec![None; policy.upstreams().len()],
            answered: VecDeque::new(),
            unwritten: Vec::new(),
            heard_before: BTreeMap::new(),
            started: now,
            clock: Steady::default(),
        }
    }

    /// Takes in what an earlier life wrote down. Time goes on from there, where the clock was ahead then.
    pub fn restore(&mut self, policy: &Policy, kept: &[Kept]) {
        let latest = kept.iter().map(|kept| kept.at).max().unwrap_or_default();
        self.started = self.clock.at(latest.max(self.started));
        for Kept { key, written, expires, asked, .. } in kept {
            match written {
                Written::State(state) => {
                    self.counters.put(*key, state, *expires, self.started);
                    self.heard_before.insert(*key, *asked);
                }
                Written::Snapshot(snapshot) => {
                    // The lower half of a key is its limit.
                    let limit = u16::try_from(*key as u64).ok().and_then(|limit| policy.limit(LimitId(limit)));
                    if let Some(terms) = limit.and_then(Limit::terms)
                        && self.ledgers.len() < AUTHORITY_LEDGERS
                    {
                        let ledger = Ledger::resume(&terms, Restart::Saved(*snapshot), self.started);
                        self.ledgers.insert(*key, Box::new(ledger));
                    }
                }
            }
        }
    }

    /// Forgets what is worth nothing any more, and answers with the time by which that is so. To be called now and then.
    pub fn sweep(&mut self, now: Timestamp) -> Timestamp {
        let now = self.clock.at(now);
        self.ledgers.retain(|_, ledger| !ledger.is_idle(now));
        // Nobody waits that long for an answer.
        self.heard_before.clear();
        now
    }

    /// Whether nothing is held in memory that a sweep could free.
    #[must_use]
    pub fn is_swept(&self) -> bool {
        self.ledgers.is_empty()
    }

    /// Hears `question` at `now`, the authority's own clock. `random` is any number; it spreads the waits of breakers.
    pub fn hear(&mut self, policy: &Policy, question: &Question, now: Timestamp, random: u32) -> Heard {
        let asked = (question.isolate, question.seq);
        if let Some((.., reply)) = self.answered.iter().rev().find(|(isolate, seq, _)| (*isolate, *seq) == asked) {
            let (keep, others) = self.unwritten.drain(..).partition(|kept: &Kept| kept.asked == asked);
            self.unwritten = others;
            return Heard { reply: reply.clone(), keep };
        }
        let mut keep = Vec::new();
        let steady = self.clock.at(now);
        let was_heard = |id: &LimitId| self.heard_before.get(&question.client.key(*id)) == Some(&asked);
        let (admission, answers) = match question.intent {
            // All or none of its limits were charged, so one that remembers the question speaks for the others.
            _ if question.limits.iter().any(was_heard) => {
                let here = self.here(policy, question, steady);
                let admission = decide_all(&checks(&here, question, |_| 0), steady).admission();
                (admission, self.hear_asks(policy, question, |ask| *ask, steady, &mut keep))
            }
            Intent::Judge => self.judge(policy, question, steady, &mut keep),
            Intent::GiveBack | Intent::WasHit => {
                self.give_back(policy, question, steady, &mut keep);
                (Admission::default(), self.hear_asks(policy, question, |ask| *ask, steady, &mut keep))
            }
        };
        let reports = question.reports.iter().filter_map(|(upstream, report)| {
            let place = usize::from(upstream.0);
            let config = &policy.upstreams().get(place)?.breaker;
            Some(self.breakers.get_mut(place)?.hear(config, report, now, random))
        });
        let reports = reports.collect();
        let hint = question.hint.and_then(|(upstream, hint)| self.pass_on(usize::from(upstream.0), hint, now));
        let reply = Reply { admission, answers, reports, hint };
        if self.answered.len() == ANSWERS_REMEMBERED {
            self.answered.pop_front();
        }
        self.answered.push_back((question.isolate, question.seq, reply.clone()));
        self.unwritten.retain(|older| keep.iter().all(|newer| newer.key != older.key));
        Heard { reply, keep }
    }

    /// Takes back what no store has taken, to be written down when the question is sent again; then the answer still holds, and
    /// nothing is charged twice. Of the last [`ANSWERS_REMEMBERED`] keys: what is forgotten counts in this life alone.
    pub fn not_written(&mut self, keep: Vec<Kept>) {
        self.unwritten.extend(keep);
        let too_many = self.unwritten.len().saturating_sub(ANSWERS_REMEMBERED);
        self.unwritten.drain(..too_many);
    }

    /// Takes in the hint of an isolate, and answers with a newer one.
    fn pass_on(&mut self, upstream: usize, hint: shared::Hint, now: Timestamp) -> Option<shared::Hint> {
        let place = self.hints.get_mut(upstream)?;
        match place {
            Some((newest, since)) if newest.generation > hint.generation => Some(newest.after(now.since(*since))),
            Some((newest, _)) if newest.generation == hint.generation => None,
            _ => {
                *place = (hint.generation > 0).then_some((hint, now));
                None
            }
        }
    }

    /// Charges all limits of a request, or none.
    fn judge(
        &mut self,
        policy: &Policy,
        question: &Question,
        now: Timestamp,
        keep: &mut Vec<Kept>,
    ) -> (Admission, Vec<Answer>) {
        let here = self.here(policy, question, now);
        let charging = checks(&here, question, |limit| limit.cost);
        let decision = decide_all(&charging, now);
        if decision.ruling() != Ruling::Allow {
            // The rest is heard without the units of this request.
            let answers = self.hear_asks(policy, question, |ask| Ask { spend: 0, ..*ask }, now, keep);
            return (decision.admission(), answers);
        }
        // What isolates tell is charged as it is heard, so only then is it known whether there is room.
        let answers = self.hear_asks(policy, question, |ask| *ask, now, keep);
        if answers.iter().all(|answer| answer.ruling == Ruling::Allow) {
            for (check, state) in decision.next_states() {
                keep.push(self.put(question, check, state, now));
            }
            return (decision.admission(), answers);
        }
        for ((id, ask), _) in question.asks.iter().zip(&answers).filter(|(_, answer)| answer.ruling == Ruling::Allow) {
            if let Some(terms) = policy.limit(*id).and_then(Limit::terms) {
                self.ledger(&terms, question.client.key(*id), now).refund(&terms, ask.spend, now);
            }
        }
        // These are not charged, and say so.
        (decide_all(&checks(&here, question, |_| 0), now).admission(), answers)
    }

    /// Gives back what a request was charged. What is given back twice was asked for twice.
    fn give_back(&mut self, policy: &Policy, question: &Question, now: Timestamp, keep: &mut Vec<Kept>) {
        let units = |limit: &Limit| match question.intent {
            Intent::WasHit => limit.cost.saturating_sub(limit.hit_cost),
            Intent::GiveBack | Intent::Judge => limit.cost,
        };
        let here = self.here(policy, question, now);
        for check in checks(&here, question, units) {
            // What was never charged, or is earned back, leaves nothing to give back.
            if check.stored.is_some() && (question.intent != Intent::WasHit || !is_held(check.algorithm)) {
                let state = check.algorithm.refund(check.stored, now, &check.spend);
                keep.push(self.put(question, &check, state, now));
            }
        }
        let shared_out = question.limits.iter().filter_map(|id| Some((*id, policy.limit(*id)?)));
        for (id, limit) in shared_out.filter(|(_, limit)| is_shared_out(limit)) {
            if let (Some(terms), Some(ledger)) = (limit.terms(), self.ledgers.get_mut(&question.client.key(id))) {
                ledger.refund(&terms, units(limit), now);
            }
        }
    }

    /// The limits of a question that are decided here, each with the state of the question's client.
    fn here<'a>(&self, policy: &'a Policy, question: &Question, now: Timestamp) -> Vec<Here<'a>> {
        let limits = question.limits.iter().filter_map(|id| Some((*id, policy.limit(*id)?)));
        let counted = limits.filter(|(_, limit)| !is_shared_out(limit));
        let stored = |limit: &Limit, id| self.counters.get(&limit.algorithm, question.client.key(id), now);
        counted.map(|(id, limit)| Here { id, limit, stored: stored(limit, id) }).collect()
    }

    /// Keeps a new state, in memory and to be written down.
    fn put(&mut self, question: &Question, check: &Check<'_>, state: State, now: Timestamp) -> Kept {
        let (key, expires) = (check.spend.key, check.algorithm.expires(&state));
        self.counters.put(key, &state, expires, now);
        Kept { key, written: Written::State(state), expires, asked: (question.isolate, question.seq), at: now }
    }

    /// Hears the asks of a question, each as `changed` makes it.
    fn hear_asks(
        &mut self,
        policy: &Policy,
        question: &Question,
        changed: impl Fn(&Ask) -> Ask,
        now: Timestamp,
        keep: &mut Vec<Kept>,
    ) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(question.asks.len());
        for (id, ask) in &question.asks {
            // A question that was read asks about limits that are shared out.
            let Some(terms) = policy.limit(*id).and_then(Limit::terms) else { continue };
            let key = question.client.key(*id);
            let heard = self.ledger(&terms, key, now).hear(&terms, &changed(ask), now);
            if let Some(snapshot) = heard.save {
                let (expires, asked) = (now.after(heard.answer.debt), (question.isolate, question.seq));
                keep.push(Kept { key, written: Written::Snapshot(snapshot), expires, asked, at: now });
            }
            answers.push(heard.answer);
        }
        answers
    }

    /// The ledger of a key. One that is not known is new, unless an earlier life of this authority may have granted
    /// units of it that are still held.
    fn ledger(&mut self, terms: &Terms, key: u128, now: Timestamp) -> &mut Ledger {
        if !self.ledgers.contains_key(&key) && self.ledgers.len() >= AUTHORITY_LEDGERS {
            // As in a table: the key that owes least gives way.
            let least = self.ledgers.iter().min_by_key(|(_, ledger)| ledger.debt(now)).map(|(key, _)| *key);
            least.and_then(|key| self.ledgers.remove(&key));
        }
        let started = self.started;
        // Nothing was written down, so less than a quarter of a burst was charged since it was earned back.
        let nothing = Restart::Saved(Snapshot::from_unix_nanos(0));
        self.ledgers.get_or_insert_with(key, || Box::new(Ledger::resume(terms, nothing, started)))
    }
}

/// One limit of a question and the state of its client.
struct Here<'a> {
    id: LimitId,
    limit: &'a Limit,
    stored: Option<State>,
}

/// What is asked of these limits, each at the cost that `units` says.
fn checks<'a>(here: &'a [Here<'a>], question: &Question, units: impl Fn(&Limit) -> u32) -> Vec<Check<'a>> {
    let spend =
        |here: &Here<'_>| Spend::new(units(here.limit), question.client.key(here.id)).with_lease(question.lease);
    let check = |here: &'a Here<'a>| Check {
        limit: here.id,
        algorithm: &here.limit.algorithm,
        stored: here.stored.as_ref(),
        spend: spend(here),
    };
    here.iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use seawall_core::limit::LeaseId;

    use super::*;
    use crate::client::Client;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_000_000);

    fn policy() -> Policy {
        let limit =
            "[limit.a]\nalgorithm = \"gcra\"\nquota = 1000\nwindow = \"1h\"\nkey = \"client\"\nscope = \"shared\"\n";
        let route = "[[route]]\nname = \"all\"\npath = \"/**\"\nlimits = [\"a\"]\n";
        Policy::compile(&format!("version = 1\n[upstream.origin]\n{limit}{route}")).unwrap()
    }

    /// A question about one request of a client, by its number.
    fn question(client: u16, seq: u64) -> Question {
        let [high, low] = client.to_be_bytes();
        Question {
            isolate: 1,
            seq,
            intent: Intent::Judge,
            client: Client::new(Some(IpAddr::from([192, 0, high, low]))),
            lease: LeaseId(seq),
            limits: vec![LimitId(0)],
            asks: Vec::new(),
            reports: Vec::new(),
            hint: None,
        }
    }

    #[test]
    fn what_no_store_took_is_written_when_its_question_comes_again() {
        let policy = policy();
        let mut shard = Shard::new(&policy, 1, NOW);
        let hear = |shard: &mut Shard, question: &Question| shard.hear(&policy, question, NOW, 0);
        let first = hear(&mut shard, &question(1, 1));
        assert_eq!(first.keep.len(), 1);
        shard.not_written(first.keep.clone());
        for times in 0..2 {
            let again = hear(&mut shard, &question(1, 1));
            assert_eq!((&again.reply, &again.keep), (&first.reply, &first.keep), "{times}");
            shard.not_written(again.keep);
        }
        let again = hear(&mut shard, &question(1, 1));
        assert_eq!(again.keep, first.keep);
        assert_eq!(hear(&mut shard, &question(1, 1)).keep, [], "it was written");
        // What is newer stands for it, and would be undone by it.
        shard.not_written(first.keep);
        let newer = hear(&mut shard, &question(1, 2));
        assert_eq!(newer.keep.len(), 1);
        assert_eq!(hear(&mut shard, &question(1, 1)).keep, []);
    }

    #[test]
    fn what_no_store_took_is_bounded() {
        let policy = policy();
        let mut shard = Shard::new(&policy, 1, NOW);
        for client in 0..2 * ANSWERS_REMEMBERED as u16 {
            let heard = shard.hear(&policy, &question(client, u64::from(client)), NOW, 0);
            shard.not_written(heard.keep);
        }
        assert_eq!(shard.unwritten.len(), ANSWERS_REMEMBERED);
        let last = 2 * ANSWERS_REMEMBERED as u16 - 1;
        assert_eq!(shard.hear(&policy, &question(last, u64::from(last)), NOW, 0).keep.len(), 1);
    }
}
