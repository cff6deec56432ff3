//! The authority of shared limits: core's script in Redis, which has one clock and one set of counters for all instances.

use core::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use seawall_core::limit::lua::{self, Call, Reply};
use seawall_edge::platform::AuthorityError;
use spin_sdk::{
    redis::{Connection, Error, RedisParameter, RedisResult},
    time::sleep,
};

use crate::{settings::Redis, upstash};

/// Runs core's script.
pub(crate) async fn run(redis: Option<&Redis>, call: &Call, deadline: Duration) -> Result<Reply, AuthorityError> {
    let redis = match redis {
        Some(Redis::Server(url)) => url,
        Some(Redis::Upstash(upstash)) => return upstash::run(upstash, call, deadline).await,
        None => {
            let missing = "neither the variable redis_url is set nor upstash_url and upstash_token are";
            return Err(AuthorityError::Failed(String::from(missing)));
        }
    };
    let answer = match select(pin!(execute(redis, call)), pin!(sleep(deadline))).await {
        Either::Left((answer, _)) => answer.map_err(|error| AuthorityError::Failed(error.to_string()))?,
        Either::Right(_) => return Err(AuthorityError::Late),
    };
    let texts: Vec<String> = answer.into_iter().map(text).collect();
    Reply::parse(texts.iter().map(String::as_str))
        .map_err(|_| AuthorityError::Failed(String::from("Redis answered what the script never does")))
}

/// Runs it by its digest, and sends it whole where Redis does not know it yet.
async fn execute(redis: &str, call: &Call) -> Result<Vec<RedisResult>, Error> {
    let connection = Connection::open(redis).await?;
    match connection.execute("EVALSHA", parameters(SCRIPT_SHA1, call)).await {
        Err(Error::Other(why)) if is_unknown(&why) => connection.execute("EVAL", parameters(lua::SCRIPT, call)).await,
        answer => answer,
    }
}

fn parameters(script: &str, call: &Call) -> Vec<RedisParameter> {
    let count = call.keys.len().to_string();
    [script, &count]
        .into_iter()
        .chain(call.keys.iter().chain(&call.args).map(String::as_str))
        .map(|word| RedisParameter::Binary(word.as_bytes().to_vec()))
        .collect()
}

/// Whether Redis says that it has not seen the script: its error's code, or how clients put that into words.
fn is_unknown(why: &str) -> bool {
    why.contains("NOSCRIPT") || why.contains("NoScript")
}

fn text(element: RedisResult) -> String {
    match element {
        RedisResult::Nil => String::new(),
        RedisResult::Status(text) => text,
        RedisResult::Int64(number) => number.to_string(),
        RedisResult::Binary(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// The digest by which Redis knows core's script; the build computes it.
const SCRIPT_SHA1: &str = env!("SEAWALL_SCRIPT_SHA1");
