use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::future::{try_join, try_join_all};
use seawall_scenarios::{Ask, Authority, Crowd, Platform, SECRET, Subject, all, run};

use crate::support::{self, Answer, Edge, Gate, LOOK_EVERY, Reply, Upstream};

/// An edge in a process of its own, before an origin in this one.
struct Process {
    platform: Platform,
    edge: Edge,
    upstream: Upstream,
}

impl Subject for Process {
    fn platform(&self) -> Platform {
        self.platform
    }

    fn origin(&mut self, reply: &seawall_scenarios::Reply) {
        let reply = reply.clone();
        self.upstream.answer(move |_| scripted(&reply));
    }

    async fn ask(&mut self, ask: &Ask, target: &str) -> Result<seawall_scenarios::Answer> {
        let request = self.edge.visitor(ask.from).ask(&ask.method, target);
        let request = ask.send.iter().fold(request, |request, (name, value)| request.field(name, value));
        let request = match &ask.send_body {
            Some(body) => request.text(body),
            None => request,
        };
        Ok(converted(request.send().await?))
    }

    async fn crowd(&mut self, crowd: &Crowd) -> Result<Vec<seawall_scenarios::Answer>> {
        let (gate, body) = (Gate::closed(), crowd.body.clone());
        let held = gate.clone();
        let before = self.upstream.calls().len();
        self.upstream.answer(move |_| Reply::text(body.clone()).after(&held));
        let answers = try_join_all((1..=crowd.visitors).map(|from| self.edge.visitor(from).get(&crowd.target)));
        let open = async {
            self.upstream.call(before + 1).await?;
            // Requests are taken in turn: when these are answered, those of the crowd wait. Who comes later all the same
            // finds the page stored.
            for _ in 0..3 {
                self.edge.clock().await?;
            }
            gate.open();
            Ok(())
        };
        let (answers, ()) = try_join(answers, open).await?;
        Ok(answers.into_iter().map(converted).collect())
    }

    async fn advance(&mut self, by: Duration) -> Result<()> {
        self.edge.advance(by).await
    }

    async fn authority(&mut self, authority: Authority) -> Result<()> {
        let authority = match authority {
            Authority::Answers => support::Authority::Answers,
            Authority::Fails => support::Authority::Fails,
            Authority::Hangs => support::Authority::Hangs,
        };
        self.edge.set_authority(authority).await
    }

    fn calls(&self) -> usize {
        self.upstream.calls().len()
    }

    fn carried(&self, name: &str) -> String {
        self.upstream.calls().last().map(|call| call.field(name)).unwrap_or_default()
    }

    async fn pause(&mut self) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn scripted(reply: &seawall_scenarios::Reply) -> Reply {
    if reply.lost {
        return Reply::broken();
    }
    let answer = Reply::text(reply.body.clone()).status(reply.status);
    reply.fields.iter().fold(answer, |answer, (name, value)| answer.field(name, value))
}

fn converted(answer: Answer) -> seawall_scenarios::Answer {
    let fields = answer.headers.keys().map(|name| (name.as_str().to_owned(), answer.field(name.as_str()))).collect();
    seawall_scenarios::Answer { status: answer.status, fields, body: answer.text() }
}

/// Plays all scenarios, each on an edge of its own, and says everything that is not as it should be. `start` gets the
/// origin's address, and whether the edge has the operator's secret.
pub(crate) async fn play_all(platform: Platform, start: impl Fn(&str, bool) -> Result<Edge>) -> Result<()> {
    let mut wrong = Vec::new();
    for scenario in all()? {
        let upstream = Upstream::start(|_| Reply::text("")).await?;
        let edge = start(&upstream.url(), scenario.secret)?;
        let mut process = Process { platform, edge, upstream };
        if let Err(error) = run(&scenario, &mut process).await {
            wrong.push(format!("{error:#}\nits edge said:\n{}", process.edge.log()));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}

#[tokio::test]
async fn every_scenario_passes_on_workers() -> Result<()> {
    let secret = [("CONTROL_SECRET", SECRET)];
    play_all(Platform::Workers, |url, has_secret| Edge::before_with(url, if has_secret { &secret } else { &[] })).await
}
