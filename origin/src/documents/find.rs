//! How a document is found: in memory, in the page cache, or by making it.
//!
//! What has a row of the page cache is served from memory for [`TRUSTED_FOR`] without a question; then one request looks
//! whether there is another version, and the others wait a moment for that. What has none is served from memory for as long as
//! the row would be fresh, while the process knows up to a second ago what was purged: one question for all of it.
//!
//! # Design
//! Who has something in memory waits for the database only where that is worth it: [`HEARD_WITHIN`] for a word of it, and
//! [`PATIENCE`] for a version that it says is to be made anew, whether he makes it or someone else does. A look that failed or
//! was late opens a breaker for all documents of the process; for about a second nobody looks then, and after that one does,
//! beside the serving. Meanwhile what is in memory is served at once, for [`OLD_MAX`], as something that the edge must not store.
//! What is not in memory is made without being kept where the page cache does not answer: a replica may have what it needs.
//! Once the database has been silent for a while and no replica answers, it is refused at once: one request in about a
//! second asks whether that is over. Where only cheap documents are asked for, which ask the page cache nothing, who waits for one
//! listens beside that; and where no connection of the pool is free to listen, health's session tells.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_core::breaker::State;
use tokio::task::JoinHandle;

use super::memory::{Memory, Near, remember};
use super::{Document, Documents, Stored, TRUSTED_FOR};
use crate::error::Error;
use crate::guard::{Call, End};
use crate::http::limits::REQUEST_TIME_MAX;
use crate::page_cache::{Answer, Entry as _, Found};

/// Longest wait for a document to be made anew where there is something in memory, and for one that a replica has to make.
const PATIENCE: Duration = Duration::from_secs(3);

/// Within this time the database says whether it has another version; a usual look takes a few milliseconds.
const HEARD_WITHIN: Duration = Duration::from_secs(1);

/// Longest wait for someone else's look where the database is known to be silent.
const COMPANY_MAX: Duration = Duration::from_millis(250);
const _: () =
    assert!(COMPANY_MAX.as_millis() < HEARD_WITHIN.as_millis() && HEARD_WITHIN.as_millis() < PATIENCE.as_millis());

/// How often it is said that pages come from memory, or are refused.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// What the one does who asks a database that was silent a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// Has something to serve, and does not wait for the answer.
    Serve,
    /// Has nothing, and does.
    Wait,
}

impl Documents {
    /// What is in memory, once it is known that there is nothing newer or that nobody can say.
    pub(super) async fn find<D: Document>(&self, near: &Arc<Memory>, stored: Stored<D>) -> Result<Arc<Near>, Error> {
        let key = stored.key();
        let young = || near.get(&key).filter(|near| near.seen.elapsed() < TRUSTED_FOR);
        if let Some(found) = young() {
            return Ok(found);
        }
        let before = near.get(&key).filter(|near| near.is_of_use(Instant::now()));
        if let Some(before) = before.as_ref().filter(|before| before.lifetime_alone().is_some()) {
            if !self.listen(Doubt::Serve).await {
                return Ok(before.unconfirmed());
            }
            if self.is_spared(&stored, before) {
                return Ok(Arc::clone(before));
            }
        }
        let time = if before.is_none() { self.may_make().await? } else { REQUEST_TIME_MAX };
        let flight = self.flights.of(&key);
        // Who waits longer than this asks by itself, or takes what there is.
        let is_in_doubt = before.is_some() && self.guard.state() != State::Closed;
        let patience = if is_in_doubt { COMPANY_MAX } else { PATIENCE };
        let until = tokio::time::Instant::now() + PATIENCE;
        let alone = tokio::time::timeout(patience, flight.lock()).await;
        // What took longer than that to make was made meanwhile all the same.
        if let Some(found) = young().or_else(|| near.get(&key).filter(|near| self.is_spared(&stored, near))) {
            return Ok(found);
        }
        match before {
            None => {
                let making = tokio::spawn(self.clone().make(Arc::clone(near), stored, key, None, time));
                making.await.map_err(Error::bug)?
            }
            Some(before) if alone.is_err() => Ok(before.unconfirmed()),
            Some(before) => self.look(near, stored, key, before, until).await,
        }
    }

    /// Whether this has no row of the page cache, lives still, and nothing of it was purged as far as was heard.
    fn is_spared<D: Document>(&self, stored: &Stored<D>, near: &Near) -> bool {
        let tags = stored.document.tags();
        let tags = tags.iter().map(String::as_str).chain(near.tags.iter().map(String::as_str));
        near.lifetime_alone().is_some_and(|lifetime| near.seen.elapsed() < lifetime)
            && self.purges.spare(near.seen, tags)
    }

    /// How long a document may take that is not in memory.
    ///
    /// # Errors
    /// At once where the database has been silent for a while and there is no replica that answers.
    async fn may_make(&self) -> Result<Duration, Error> {
        let is_silent = || self.silence.is_lasting(Instant::now());
        if !is_silent() {
            return Ok(REQUEST_TIME_MAX);
        }
        let has_replica = self.databases.replica().is_some_and(|replica| replica.state() != State::Open);
        self.listen(if has_replica { Doubt::Serve } else { Doubt::Wait }).await;
        match (is_silent(), has_replica) {
            (false, _) => Ok(REQUEST_TIME_MAX),
            (true, true) => Ok(PATIENCE),
            (true, false) => {
                self.said_refused.say(SAY_EVERY, |unsaid| {
                    tracing::warn!(
                        event = "documents.refused",
                        unsaid,
                        "pages that are not in memory are refused: the database has been silent for a while"
                    );
                });
                Err(Error::silent())
            }
        }
    }

    /// Makes it, or has the page cache do so. That goes on when the visitor leaves: others wait for it.
    async fn make<D: Document>(
        self,
        near: Arc<Memory>,
        stored: Stored<D>,
        key: String,
        before: Option<Arc<Near>>,
        time: Duration,
    ) -> Result<Arc<Near>, Error> {
        // What is made says what was true when that began.
        let seen = Instant::now();
        let made = async {
            if !stored.document.is_cheap()
                && !self.silence.is_lasting(seen)
                && let Ok(found) = self.peek(&key, None).await
            {
                return self.cache.serve(&stored, found).await;
            }
            let payload = tokio::select! {
                biased;
                payload = stored.compute() => payload?,
                never = self.listen_beside() => match never {},
            };
            // A replica would have spoken for itself alone.
            if self.databases.replica().is_none() {
                self.silence.end(Instant::now());
            }
            Ok((Answer::Other(payload, None), false))
        };
        let (answer, is_old) = tokio::time::timeout(time, made).await.map_err(|_| too_long())??;
        Ok(remember(&near, key, Near::read(answer, before.as_deref(), seen, is_old)?))
    }

    /// Asks the database whether there is anything newer than what was there before, unless it has just been silent. Waits
    /// for no longer than `until`, so that who has waited for someone else waits no longer than he.
    async fn look<D: Document>(
        &self,
        near: &Arc<Memory>,
        stored: Stored<D>,
        key: String,
        before: Arc<Near>,
        until: tokio::time::Instant,
    ) -> Result<Arc<Near>, Error> {
        let (near, known) = (Arc::clone(near), Arc::clone(&before));
        if stored.document.is_cheap() {
            // Nothing newer is kept anywhere.
            let making = tokio::spawn(self.clone().make(near, stored, key, Some(known), REQUEST_TIME_MAX));
            return newer(making, before, until).await;
        }
        let is_in_doubt = self.guard.state() != State::Closed;
        let Some(call) = self.guard.admit() else { return Ok(before.unconfirmed()) };
        let looking = tokio::spawn(self.clone().renew(near, stored, key, known, call));
        if is_in_doubt {
            return Ok(before.unconfirmed());
        }
        newer(looking, before, until).await
    }

    /// Asks whether there is another version, which may make it, and tells the breaker whether the database spoke.
    async fn renew<D: Document>(
        self,
        near: Arc<Memory>,
        stored: Stored<D>,
        key: String,
        before: Arc<Near>,
        call: Call,
    ) -> Result<Arc<Near>, Error> {
        let seen = Instant::now();
        let peeked = self.peek(&key, before.computed_at).await;
        self.end(call, &peeked);
        let served = tokio::time::timeout(REQUEST_TIME_MAX, self.cache.serve(&stored, peeked?)).await;
        let (answer, is_old) = served.map_err(|_| too_long())??;
        Ok(remember(&near, key, Near::read(answer, Some(&before), seen, is_old)?))
    }

    /// Whether it is known up to [`TRUSTED_FOR`] ago what was purged. One asks, and the others wait a moment for that.
    async fn listen(&self, doubt: Doubt) -> bool {
        if self.purges.are_known(TRUSTED_FOR) {
            return true;
        }
        let is_in_doubt = self.guard.state() != State::Closed;
        let patience = if is_in_doubt { COMPANY_MAX } else { PATIENCE };
        let alone = tokio::time::timeout(patience, self.listening.lock()).await;
        if self.purges.are_known(TRUSTED_FOR) {
            return true;
        }
        let Some(call) = alone.is_ok().then(|| self.guard.admit()).flatten() else { return false };
        let hearing = tokio::spawn(self.clone().hear(call));
        if is_in_doubt && doubt == Doubt::Serve {
            return false;
        }
        hearing.await.unwrap_or(false)
    }

    /// Listens for as long as something else takes that asks the database: what asks the tables alone tells nobody when it gets
    /// no answer.
    async fn listen_beside(&self) -> Infallible {
        loop {
            tokio::time::sleep(HEARD_WITHIN).await;
            self.listen(Doubt::Serve).await;
        }
    }

    /// Asks what was purged, and tells the breaker whether the database spoke.
    async fn hear(self, call: Call) -> bool {
        let asked = Instant::now();
        let heard = self.word(self.cache.purged_since(self.purges.place())).await;
        self.end(call, &heard);
        heard.map(|news| self.purges.hear(news, asked, Instant::now())).is_ok()
    }

    async fn peek(&self, key: &str, known: Option<jiff::Timestamp>) -> Result<Found, Error> {
        self.word(self.cache.peek(key, known)).await
    }

    /// What the database says within [`HEARD_WITHIN`]; while it is silent one asks for longer, so that there is time to connect.
    /// A pool whose connections are all lent says nothing about it; who borrowed them may be waiting too, so health is asked.
    /// A pooler says nothing either: who waits for one of its sessions cannot tell that from a database that hangs.
    async fn word<T>(&self, asking: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let asked = Instant::now();
        let within = if self.silence.is_lasting(asked) { PATIENCE } else { HEARD_WITHIN };
        let heard = tokio::time::timeout(within, asking).await;
        let now = Instant::now();
        match &heard {
            Err(_) if self.cache.is_pooled_elsewhere() => {}
            Err(_) if !self.cache.is_crowded_out() => self.silence.go_on(asked, now),
            // Beside this, since it may take longer than anybody waits here.
            Err(_) => drop(tokio::spawn(self.clone().hear_of_health(asked))),
            Ok(Err(error)) if error.is_busy() => {}
            Ok(_) => self.silence.end(now),
        }
        heard.unwrap_or_else(|_| Err(too_long()))
    }

    /// Whether the database speaks to health's session, of which there is one whatever the pool lends. If it does not, what was
    /// `asked` has no answer.
    async fn hear_of_health(self, asked: Instant) {
        if self.watch.hears().await {
            self.silence.end(Instant::now());
        } else {
            self.silence.go_on(asked, Instant::now());
        }
    }

    fn end<T>(&self, call: Call, heard: &Result<T, Error>) {
        let Err(error) = heard else { return call.end(End::Answered) };
        call.end(End::Failed);
        self.said.say(SAY_EVERY, |unsaid| {
            let error = error.internal().unwrap_or_default();
            tracing::warn!(
                event = "documents.from_memory",
                unsaid,
                error,
                "pages come from memory, since the page cache does not say whether there are newer ones: {error}"
            );
        });
    }
}

/// The newer version where it comes in time, and else what there is, which is better than nothing.
async fn newer(
    making: JoinHandle<Result<Arc<Near>, Error>>,
    before: Arc<Near>,
    until: tokio::time::Instant,
) -> Result<Arc<Near>, Error> {
    match tokio::time::timeout_at(until, making).await {
        Ok(Ok(Ok(found))) => Ok(found),
        // Logged where it failed.
        Ok(Ok(Err(error))) if error.status().is_server_error() => Ok(before.unconfirmed()),
        Ok(Ok(Err(error))) => Err(error),
        Ok(Err(_)) | Err(_) => Ok(before.unconfirmed()),
    }
}

fn too_long() -> Error {
    Error::busy("a document took too long")
}

#[cfg(test)]
mod tests {
    use seawall_core::breaker;

    use super::super::memory::{Content, memory};
    use super::super::{Page, Written};
    use super::*;
    use crate::config::Config;
    use crate::db::Databases;
    use crate::health::Watch;
    use crate::page_cache::PageCache;

    /// What nobody can make.
    #[derive(Clone)]
    struct Lost;

    impl Document for Lost {
        fn name(&self) -> String {
            "/lost".to_owned()
        }

        fn content_type(&self) -> &'static str {
            "text/plain"
        }

        fn tags(&self) -> Vec<String> {
            Vec::new()
        }

        fn is_cheap(&self) -> bool {
            true
        }

        async fn write(&self) -> Result<Written, Error> {
            Err(Error::database_away("there is none"))
        }
    }

    /// Nothing listens where its database should be.
    fn documents() -> Documents {
        let url = |name: &str| (name == "DATABASE_URL").then(|| "postgres://nobody@127.0.0.1:1/none".to_owned());
        let config = Config::read(url).unwrap().database;
        let databases = Databases::open(&config, breaker::Config::default()).unwrap();
        let cache = PageCache::new(databases.primary().clone());
        Documents::new(cache, databases, Arc::new(Watch::new(config)), 1_000_000)
    }

    #[tokio::test]
    async fn a_silence_that_health_finds_has_lasted_since_the_first_word_was_missed() {
        let documents = documents();
        let missed = Instant::now().checked_sub(Duration::from_secs(60)).expect("the clock goes back so far");
        documents.clone().hear_of_health(missed).await;
        assert!(documents.silence.is_lasting(Instant::now()));
    }

    #[tokio::test]
    async fn while_nobody_can_say_a_page_is_served_for_a_day_and_a_404_for_a_minute() {
        let page = Content::Page(Page::new("a page"));
        let missing = Content::Missing("There is none.".into());
        for (content, age_s, status) in [
            (&page, 86_390, 200),
            (&page, 86_400, 503),
            (&missing, 50, 404),
            (&missing, 60, 503),
            (&missing, 86_390, 503),
        ] {
            let documents = documents();
            let memory = Arc::new(memory(1_000_000));
            let seen = Instant::now().checked_sub(Duration::from_secs(age_s)).expect("the clock goes back so far");
            let known = Near {
                content: content.clone(),
                computed_at: None,
                seen,
                tags: Arc::new([]),
                is_passing: matches!(content, Content::Missing(_)),
                is_old: false,
            };
            let stored = Stored { document: Lost, build: Arc::clone(&documents.build) };
            remember(&memory, stored.key(), known);
            let found = match documents.find(&memory, stored).await {
                Ok(found) if matches!(found.content, Content::Missing(_)) => 404,
                Ok(_) => 200,
                Err(error) => error.status().as_u16(),
            };
            assert_eq!(found, status, "{content:?} after {age_s} s");
        }
    }
}
