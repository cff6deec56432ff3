use std::process::Command;

use anyhow::{Context, Result, ensure};
use seawall_core::limit::lua::{self, Asked, Call, Operation};
use seawall_core::limit::{Algorithm, LimitId, Quota, Ruling, Spend};
use seawall_upstash::{Error, Next, Request, Script, Upstash, Value, read, read_pipeline};
use seawall_xtask::project::Project;
use seawall_xtask::step::Steps;
use seawall_xtask::tools;

use crate::support::Visitor;
use crate::support::upstash::RestStandIn;

/// Sends a request as it is.
async fn send(request: &Request) -> Result<(u16, String)> {
    let rest = request.url.strip_prefix("http://127.0.0.1:").context("the stand-in is on this machine")?;
    let (port, path) = rest.split_once('/').context("a path")?;
    let mut ask = Visitor::local(port.parse()?).ask("POST", &format!("/{path}"));
    ask = ask.field("authorization", &request.authorization);
    for (name, value) in Request::FIELDS {
        ask = ask.field(name, value);
    }
    let answer = ask.text(&request.body).send().await?;
    Ok((answer.status, answer.text()))
}

/// The stand-in is right as far as Upstash's own clients can tell.
#[tokio::test]
async fn upstashs_own_clients_accept_the_stand_in() -> Result<()> {
    let project = Project::here();
    tools::ensure_packages(&project, &Steps::new())?;
    let upstash = RestStandIn::start().await?;
    let mut node = Command::new(tools::node(&project)?);
    node.current_dir(project.root()).arg(project.path("tests/upstash/clients.mjs"));
    node.args([upstash.url().as_str(), RestStandIn::TOKEN]);
    let output = tokio::task::spawn_blocking(move || node.output()).await??;
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    ensure!(output.status.success() && said.contains("accepted"), "{said}");
    Ok(())
}

#[tokio::test]
async fn our_client_understands_the_same_server() -> Result<()> {
    let server = RestStandIn::start().await?;
    let upstash = Upstash::new(&server.url(), RestStandIn::TOKEN)?;
    let text = |text: &str| Value::Text(text.to_owned());
    for (words, expect) in [
        (&["SET", "k", "häuser \"✓\"\n"][..], Ok(text("OK"))),
        (&["GET", "k"], Ok(text("häuser \"✓\"\n"))),
        (&["GET", "nothing"], Ok(Value::Nil)),
        (&["INCR", "n"], Ok(Value::Integer(1))),
        (
            &["EVAL", "return {1, 'a', {false}}", "0"],
            Ok(Value::List(vec![Value::Integer(1), text("a"), Value::List(vec![Value::Nil])])),
        ),
    ] {
        let (status, body) = send(&upstash.command(words)).await?;
        assert_eq!(read(status, &body), expect, "{words:?}: {status} {body}");
    }
    let (status, body) = send(&upstash.command(&["LPUSH", "k", "x"])).await?;
    assert!(matches!(read(status, &body), Err(Error::Redis(words)) if words.starts_with("WRONGTYPE")), "{body}");
    let stranger = Upstash::new(&server.url(), "another")?;
    let (status, body) = send(&stranger.command(&["PING"])).await?;
    assert_eq!(read(status, &body), Err(Error::Unauthorized));

    let commands: [&[&str]; 3] = [&["INCR", "n"], &["LPUSH", "k", "x"], &["GET", "k"]];
    for request in [upstash.pipeline(&commands), upstash.transaction(&commands)] {
        let (status, body) = send(&request).await?;
        let answers = read_pipeline(status, &body, 3)?;
        assert!(matches!(answers[0], Ok(Value::Integer(2 | 3))), "{body}");
        assert!(matches!(&answers[1], Err(Error::Redis(words)) if words.starts_with("WRONGTYPE")), "{body}");
        assert_eq!(answers[2], Ok(text("häuser \"✓\"\n")));
    }
    let (status, body) = send(&upstash.transaction(&[&["NO-SUCH-COMMAND"]])).await?;
    assert!(matches!(read_pipeline(status, &body, 1), Err(Error::Redis(_))), "{status} {body}");
    Ok(())
}

/// Core's script over HTTP: by its hash, whole the first time, and deciding as core does.
#[tokio::test]
async fn cores_script_counts_there() -> Result<()> {
    let server = RestStandIn::start().await?;
    let upstash = Upstash::new(&server.url(), RestStandIn::TOKEN)?;
    let two = std::num::NonZeroU32::new(2).context("two")?;
    let rule: Algorithm = Quota::new(two, std::time::Duration::from_secs(3600), two)?.into();
    let asked = [Asked { limit: LimitId(0), algorithm: &rule, spend: Spend::new(1, 7) }];
    let mut rulings = Vec::new();
    for _ in 0..3 {
        let call = Call::new(Operation::Spend, &asked, [lua::key("test", 7, "a")], None);
        let keys: Vec<&str> = call.keys.iter().map(String::as_str).collect();
        let args: Vec<&str> = call.args.iter().map(String::as_str).collect();
        let mut script = Script::new(&upstash, lua::SCRIPT, lua::SCRIPT_SHA1, &keys, &args);
        let answer = loop {
            let (status, body) = send(&script.request()).await?;
            if let Next::Done(answer) = script.hear(status, &body)? {
                break answer;
            }
        };
        let texts = answer.into_texts().context("texts")?;
        let reply = lua::Reply::parse(texts.iter().map(String::as_str))?;
        rulings.push(reply.admission(&asked).verdicts[0].ruling == Ruling::Allow);
    }
    assert_eq!(rulings, [true, true, false]);
    assert_eq!(server.commands(), ["EVALSHA", "EVAL", "EVALSHA", "EVALSHA"]);
    Ok(())
}
