//! What counts the shared limits of a [`World`]: authorities that can end, and a Redis.

use seawall_core::limit::{
    Decision, State,
    lua::{self, Operation},
};

use crate::{
    authority::{Kept, Question, Reply, Shard},
    platform::Script,
};

use super::World;

impl World {
    /// Ends all authorities. The next question to one starts it anew, with what it wrote down.
    pub fn restart_authorities(&self) {
        self.0.shards.borrow_mut().clear();
    }

    pub(super) fn hear(&self, shard: u64, question: &Question) -> Reply {
        let (now, policy) = (self.now(), &self.0.policy);
        let mut shards = self.0.shards.borrow_mut();
        let mut written = self.0.written.borrow_mut();
        let shard = shards.entry(shard).or_insert_with(|| {
            let mut shard = Shard::new(policy, 7, now);
            // What another shard wrote is never asked of this one.
            let kept: Vec<Kept> = written.values().filter(|kept| kept.expires > now).cloned().collect();
            shard.restore(policy, &kept);
            shard
        });
        let heard = shard.hear(policy, question, now, self.random() as u32);
        written.extend(heard.keep.into_iter().map(|kept| (kept.key, kept)));
        heard.reply
    }

    /// What core's script does.
    pub(super) fn run_script(&self, script: &Script<'_>) -> lua::Reply {
        let now = self.now();
        let mut redis = self.0.redis.borrow_mut();
        let stored: Vec<Option<State>> = script.keys.iter().map(|key| redis.get(key).cloned()).collect();
        let asked = || script.asked.iter().zip(&stored);
        let check = |(asked, stored): (&lua::Asked<'_>, &Option<State>)| match script.operation {
            Operation::Refund => Some(asked.algorithm.refund(stored.as_ref(), now, &asked.spend)),
            Operation::Spend | Operation::Peek => match asked.algorithm.decide(stored.as_ref(), now, &asked.spend) {
                Decision::Allow { next } => Some(next),
                Decision::Deny { .. } | Decision::Never => None,
            },
        };
        let next: Option<Vec<State>> = asked().map(check).collect();
        let allowed = next.is_some();
        if script.operation != Operation::Peek {
            redis.extend(script.keys.iter().cloned().zip(next.into_iter().flatten()));
        }
        drop(redis);
        lua::Reply { allowed, now, stored }
    }
}
