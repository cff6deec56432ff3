//! Redis, a real one.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Value, cmd};
use wasmtime::component::{Accessor, Resource};

use crate::clock::Clock;
use crate::component::bindings::spin::redis::redis::{
    Error, Host, HostConnection, HostConnectionWithStore, RedisParameter, RedisResult,
};
use crate::component::{Spin, SpinView};
use crate::control::{Asked, Authority};
use crate::world::World;

/// An open connection.
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct OpenConnection(MultiplexedConnection);

impl Host for SpinView<'_> {}

impl HostConnection for SpinView<'_> {
    fn drop(&mut self, connection: Resource<OpenConnection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl<T: Send> HostConnectionWithStore<T> for Spin {
    async fn open(accessor: &Accessor<T, Self>, address: String) -> Result<Resource<OpenConnection>, Error> {
        let world: Arc<World> = accessor.with(|mut access| Arc::clone(access.get().world));
        match world.control.authority() {
            Authority::Answers => world.control.meet(Asked::Redis).await,
            Authority::Fails => return Err(Error::Other("the test made the authority fail".to_owned())),
            Authority::Hangs => std::future::pending().await,
        }
        let client = redis::Client::open(address).map_err(|_| Error::InvalidAddress)?;
        let connection = client.get_multiplexed_async_connection().await.map_err(other)?;
        accessor.with(|mut access| {
            access.get().table.push(OpenConnection(connection)).map_err(|_| Error::TooManyConnections)
        })
    }

    async fn publish(
        accessor: &Accessor<T, Self>,
        connection: Resource<OpenConnection>,
        channel: String,
        payload: Vec<u8>,
    ) -> Result<(), Error> {
        run(accessor, &connection, cmd("PUBLISH").arg(channel).arg(payload)).await
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        connection: Resource<OpenConnection>,
        key: String,
    ) -> Result<Option<Vec<u8>>, Error> {
        run(accessor, &connection, cmd("GET").arg(key)).await
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        connection: Resource<OpenConnection>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        run(accessor, &connection, cmd("SET").arg(key).arg(value)).await
    }

    async fn incr(
        accessor: &Accessor<T, Self>,
        connection: Resource<OpenConnection>,
        key: String,
    ) -> Result<i64, Error> {
        run(accessor, &connection, cmd("INCR").arg(key)).await
    }

    async fn del(
        accessor: &Accessor<T, Self>,
        connection: Resource<OpenConnection>,
        keys: Vec<String>,
    ) -> Result<u32, Error> {
        run(accessor, &connection, cmd("DEL").arg(keys)).await
    }

    async fn sadd(
        accessor: &Accessor<T, Self>,
        connection: Resource<OpenConnection>,
        key: String,
        values: Vec<String>,
    ) -> Result<u32, Error> {
        run(accessor, &connection, cmd("SADD").arg(key).arg(values)).await
    }

    async fn smembers(
        accessor: &Accessor<T, Self>,
        connection: Resource<OpenConnection>,
        key: String,
    ) -> Result<Vec<String>, Error> {
        run(accessor, &connection, cmd("SMEMBERS").arg(key)).await
    }

    async fn srem(
        accessor: &Accessor<T, Self>,
        connection: Resource<OpenConnection>,
        key: String,
        values: Vec<String>,
    ) -> Result<u32, Error> {
        run(accessor, &connection, cmd("SREM").arg(key).arg(values)).await
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        connection: Resource<OpenConnection>,
        command: String,
        mut arguments: Vec<RedisParameter>,
    ) -> Result<Vec<RedisResult>, Error> {
        let world: Arc<World> = accessor.with(|mut access| Arc::clone(access.get().world));
        if world.obeys && matches!(command.as_str(), "EVAL" | "EVALSHA") {
            judge_by(&world.clock, &mut arguments);
        }
        let mut command = cmd(&command);
        for argument in arguments {
            match argument {
                RedisParameter::Int64(number) => command.arg(number),
                RedisParameter::Binary(bytes) => command.arg(bytes),
            };
        }
        let value: Value = run(accessor, &connection, &mut command).await?;
        let mut results = Vec::new();
        flatten(value, &mut results);
        Ok(results)
    }
}

/// Gives the limiter's script the time that a test has set, in the place where it takes one: its second argument, in
/// microseconds. Redis's own clock goes on.
fn judge_by(clock: &Clock, arguments: &mut [RedisParameter]) {
    let keys = match arguments.get(1) {
        Some(RedisParameter::Binary(count)) => str::from_utf8(count).ok().and_then(|count| count.parse().ok()),
        Some(RedisParameter::Int64(_)) | None => None,
    };
    let now = keys.and_then(|keys: usize| arguments.get_mut(2 + keys + 1));
    if let Some(RedisParameter::Binary(now)) = now
        && now.is_empty()
    {
        *now = (clock.now_ms() * 1000).to_string().into_bytes();
    }
}

async fn run<T: Send, V: FromRedisValue>(
    accessor: &Accessor<T, Spin>,
    connection: &Resource<OpenConnection>,
    command: &mut Cmd,
) -> Result<V, Error> {
    let mut connection =
        accessor.with(|mut access| access.get().table.get(connection).map(|open| open.0.clone())).map_err(other)?;
    command.query_async(&mut connection).await.map_err(other)
}

/// Spin gives nested arrays as one list.
fn flatten(value: Value, results: &mut Vec<RedisResult>) {
    match value {
        Value::Nil => results.push(RedisResult::Nil),
        Value::Int(number) => results.push(RedisResult::Int64(number)),
        Value::BulkString(bytes) => results.push(RedisResult::Binary(bytes)),
        Value::SimpleString(text) => results.push(RedisResult::Status(text)),
        Value::Okay => results.push(RedisResult::Status("OK".to_owned())),
        Value::Array(values) | Value::Set(values) => values.into_iter().for_each(|value| flatten(value, results)),
        // Only RESP 3 has others, and it is not spoken here.
        _ => {}
    }
}

fn other(error: impl std::fmt::Display) -> Error {
    Error::Other(error.to_string())
}
