//! Playing a scenario on a platform.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::{Ask, Authority, Crowd, Platform, Reply, Scenario, Step};

/// An edge on some platform, before an origin that does as it is told.
///
/// The site's own policy is in force. Nothing that another scenario did is left.
pub trait Subject {
    /// Which platform.
    fn platform(&self) -> Platform;

    /// The origin answers so from now on.
    fn origin(&mut self, reply: &Reply);

    /// A visitor asks. `target` is to be used in place of the request's own.
    fn ask(&mut self, ask: &Ask, target: &str) -> impl Future<Output = Result<Answer>>;

    /// Visitors ask at once; the origin answers only when all of them wait.
    fn crowd(&mut self, crowd: &Crowd) -> impl Future<Output = Result<Vec<Answer>>>;

    /// The clock moves.
    fn advance(&mut self, by: Duration) -> impl Future<Output = Result<()>>;

    /// The authority of the shared limits does so from now on.
    fn authority(&mut self, authority: Authority) -> impl Future<Output = Result<()>>;

    /// How many calls have reached the origin.
    fn calls(&self) -> usize;

    /// A field of the newest of them; empty without it.
    fn carried(&self, name: &str) -> String;

    /// Gives background work some time.
    fn pause(&mut self) -> impl Future<Output = ()>;
}

/// What a visitor got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The fields, in lower case; of one that came several times, the values joined.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }
}

/// Plays a scenario.
///
/// # Errors
/// At the first step that is not as it should be, saying which.
pub async fn run(scenario: &Scenario, subject: &mut impl Subject) -> Result<()> {
    for (at, step) in scenario.steps_on(subject.platform()).iter().enumerate() {
        let platform = subject.platform().as_str();
        let what = || format!("{} on {platform}, step {}: {step:?}", scenario.id, at + 1);
        play(step, subject).await.with_context(what)?;
    }
    Ok(())
}

async fn play(step: &Step, subject: &mut impl Subject) -> Result<()> {
    match step {
        Step::Origin(reply) => subject.origin(reply),
        Step::Ask(ask) => {
            for n in 1..=ask.times {
                let answer = subject.ask(ask, &target(&ask.target, n)).await?;
                as_it_should_be(ask, &answer).with_context(|| format!("time {n}"))?;
            }
        }
        Step::Until(ask) => until(ask, subject).await?,
        Step::Crowd(crowd) => {
            let calls = subject.calls();
            let answers = subject.crowd(crowd).await?;
            for answer in &answers {
                ensure!(answer.status == 200 && answer.body == crowd.body, "someone got {answer:?}");
            }
            ensure!(answers.len() == usize::from(crowd.visitors), "{} answers", answers.len());
            let calls = subject.calls() - calls;
            ensure!((1..=crowd.calls_max).contains(&calls), "the origin got {calls} calls");
        }
        Step::AdvanceMs(ms) => subject.advance(Duration::from_millis(*ms)).await?,
        Step::Authority(authority) => subject.authority(*authority).await?,
        Step::Calls(calls) => ensure!(subject.calls() == *calls, "the origin got {} calls", subject.calls()),
        Step::Carried(fields) => {
            for (name, value) in fields {
                let carried = subject.carried(name);
                ensure!(carried == *value, "{name} reached the origin as {carried:?}, not {value:?}");
            }
        }
    }
    Ok(())
}

async fn until(ask: &Ask, subject: &mut impl Subject) -> Result<()> {
    let began = Instant::now();
    loop {
        let answer = subject.ask(ask, &target(&ask.target, 1)).await?;
        match as_it_should_be(ask, &answer) {
            Ok(()) => return Ok(()),
            Err(error) if began.elapsed() > WAIT => return Err(error.context("it never came about")),
            Err(_) => subject.pause().await,
        }
    }
}

fn as_it_should_be(ask: &Ask, answer: &Answer) -> Result<()> {
    ensure!(answer.status == ask.status, "the status is {}: {answer:?}", answer.status);
    if let Some(body) = &ask.body {
        ensure!(answer.body == *body, "the body is {:?}: {answer:?}", answer.body);
    }
    for (name, value) in &ask.fields {
        ensure!(answer.field(name) == value, "{name} is {:?}, not {value:?}", answer.field(name));
    }
    for (name, value) in &ask.begins {
        ensure!(answer.field(name).starts_with(value), "{name} is {:?}, not {value:?}..", answer.field(name));
    }
    Ok(())
}

/// The target with `{n}` and `{repeat:N:x}` filled in.
fn target(target: &str, n: u32) -> String {
    let target = target.replace("{n}", &n.to_string());
    let Some((before, rest)) = target.split_once("{repeat:") else { return target };
    let Some((repeat, after)) = rest.split_once('}') else { return target };
    let (count, text) = repeat.split_once(':').unwrap_or((repeat, ""));
    [before, &text.repeat(count.parse().unwrap_or(0)), after].concat()
}

/// How long anything may take to come about on a busy machine.
const WAIT: Duration = Duration::from_secs(180);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_filled_in() {
        for (text, filled) in
            [("/a", "/a"), ("/a?q={n}", "/a?q=3"), ("/{repeat:4:ab}/c", "/abababab/c"), ("/{repeat:2:x}", "/xx")]
        {
            assert_eq!(target(text, 3), filled);
        }
    }
}
