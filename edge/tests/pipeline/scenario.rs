//! The scenarios that every platform plays (`tests/scenarios`), on the test platform.

use core::{net::Ipv4Addr, time::Duration};
use std::{cell::RefCell, rc::Rc};

use anyhow::Result;
use futures_util::FutureExt as _;
use seawall_core::headers::Fields as _;
use seawall_edge::{
    Edge, Isolate, Settings,
    fake::{self, FakeHeaders, Faults, Host, World},
    message::{Headers as _, Request, Response},
    platform::FetchError,
    settings::Secret,
};
use seawall_scenarios::{Answer, Ask, Authority, Crowd, Platform, Reply, SECRET, Subject, all, run};

use super::{policy, world};

struct Fake {
    world: World,
    edge: Rc<Isolate<Host>>,
    /// The fields of the newest call.
    carried: Rc<RefCell<FakeHeaders>>,
}

impl Fake {
    fn send(&self, request: Request<Host>) -> Answer {
        answer(self.world.send(&self.edge, request))
    }
}

impl Subject for Fake {
    fn platform(&self) -> Platform {
        Platform::Fake
    }

    fn origin(&mut self, reply: &Reply) {
        let reply = reply.clone();
        let carried = Rc::clone(&self.carried);
        self.world.origin(move |request| {
            carried.borrow_mut().clone_from(&request.headers);
            scripted(&reply)
        });
    }

    async fn ask(&mut self, ask: &Ask, target: &str) -> Result<Answer> {
        let mut request = Request::get(target).method(&ask.method).from(address(ask.from));
        request.body = ask.send_body.clone();
        Ok(self.send(ask.send.iter().fold(request, |request, (name, value)| request.with(name, value))))
    }

    async fn crowd(&mut self, crowd: &Crowd) -> Result<Vec<Answer>> {
        let body = crowd.body.clone();
        self.world.origin(move |_| fake::Reply::ok(&body, &[]).after(Duration::from_millis(100)));
        let requests = (1..=crowd.visitors).map(|from| Request::get(&crowd.target).from(address(from))).collect();
        Ok(self.world.send_all(&self.edge, requests).into_iter().map(answer).collect())
    }

    async fn advance(&mut self, by: Duration) -> Result<()> {
        self.world.advance(by);
        Ok(())
    }

    async fn authority(&mut self, authority: Authority) -> Result<()> {
        let faults = match authority {
            Authority::Answers => Faults::default(),
            // Waiting for one that hangs ends as one that fails does.
            Authority::Fails | Authority::Hangs => Faults { authority: 1000, ..Faults::default() },
        };
        self.world.faults(faults);
        Ok(())
    }

    fn calls(&self) -> usize {
        self.world.calls().len()
    }

    fn carried(&self, name: &str) -> String {
        self.carried.borrow().field(name).unwrap_or_default().into_owned()
    }

    async fn pause(&mut self) {
        self.world.settle();
    }
}

fn address(from: u8) -> [u8; 4] {
    Ipv4Addr::new(192, 0, 2, from).octets()
}

fn scripted(reply: &Reply) -> fake::Reply {
    if reply.lost {
        return fake::Reply { after: Duration::ZERO, result: Err(FetchError::Unreachable) };
    }
    let fields: Vec<(&str, &str)> = reply.fields.iter().map(|(name, value)| (&**name, &**value)).collect();
    fake::Reply::status(reply.status, &reply.body, &fields)
}

fn answer(response: Response<Host>) -> Answer {
    let mut fields: Vec<(String, String)> = Vec::new();
    response.headers.each(&mut |name, value| match fields.iter_mut().find(|(field, _)| field == name) {
        Some((_, values)) => *values = [values, ", ", value].concat(),
        None => fields.push((name.to_owned(), value.to_owned())),
    });
    Answer { status: response.status, fields, body: response.body.unwrap_or_default() }
}

/// A world with a log of purges, whose isolate has the operator's secret.
fn with_secret() -> (World, Rc<Isolate<Host>>) {
    let settings = Settings { control_secret: Secret::new(SECRET.to_owned()), ..Settings::default() };
    let world = World::new(policy(), 1);
    let edge = Edge::new(world.policy(), 1).with_settings(settings);
    world.set_purge_log(true);
    (world, Rc::new(Isolate::new(edge, 1)))
}

#[test]
fn every_scenario_passes() {
    let wrong: Vec<String> = all()
        .unwrap()
        .iter()
        .filter_map(|scenario| {
            let (world, edge) = if scenario.secret { with_secret() } else { world() };
            // The world runs inside each step, so no step waits.
            let played =
                run(scenario, &mut Fake { world, edge, carried: Rc::default() }).now_or_never().expect("no step waits");
            played.err().map(|error| format!("{error:#}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
