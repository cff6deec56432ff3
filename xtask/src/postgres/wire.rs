//! The little of Postgres' protocol 3.0 that readiness, `CREATE DATABASE` and a few counts need: start up without a
//! password, and one simple query.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Protocol 3.0, as the start-up message gives it.
const PROTOCOL: i32 = 3 << 16;
/// Longest wait for an answer. `CREATE DATABASE` copies files; 13 ms is usual, and a busy disk takes seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);
/// Longest message accepted. What we ask is answered in far less.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Opens a session and waits until the server is ready for a query.
pub(super) fn connect(port: u16, user: &str, database: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), ANSWER_WITHIN)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    let mut body = PROTOCOL.to_be_bytes().to_vec();
    for text in ["user", user, "database", database, ""] {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    stream.write_all(&framed(&[], &body)?)?;
    read_until_ready(&mut stream)?;
    Ok(stream)
}

/// A row of an answer, as text.
pub type Row = Vec<Option<String>>;

/// Runs one statement in a session of its own.
pub(super) fn execute(port: u16, user: &str, database: &str, sql: &str) -> Result<()> {
    rows(port, user, database, sql, ANSWER_WITHIN).map(drop)
}

/// Runs one statement in a session of its own, and gives the rows of its answer.
pub(super) fn rows(port: u16, user: &str, database: &str, sql: &str, within: Duration) -> Result<Vec<Row>> {
    let mut stream = connect(port, user, database)?;
    stream.set_read_timeout(Some(within))?;
    stream.write_all(&framed(b"Q", &[sql.as_bytes(), &[0]].concat())?)?;
    let rows = read_until_ready(&mut stream)?;
    // Terminate. The server has nothing left to say, so a failure to send it does not matter.
    let _ = stream.write_all(&framed(b"X", &[])?);
    Ok(rows)
}

/// Kind byte (none for the start-up message), length of the rest with the length itself, body.
fn framed(kind: &[u8], body: &[u8]) -> Result<Vec<u8>> {
    let length = i32::try_from(body.len() + 4).context("the statement is too long")?;
    Ok([kind, &length.to_be_bytes(), body].concat())
}

fn read_until_ready(stream: &mut TcpStream) -> Result<Vec<Row>> {
    let (mut rows, mut failure) = (Vec::new(), None);
    loop {
        let mut head = [0; 5];
        if let Err(error) = stream.read_exact(&mut head) {
            // After a fatal error the server closes instead of becoming ready.
            return Err(failure.unwrap_or_else(|| error.into()));
        }
        let [kind, length @ ..] = head;
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(0);
        if !(4..=MESSAGE_BYTES_MAX).contains(&length) {
            bail!("what answers is no Postgres server");
        }
        let mut body = vec![0; length - 4];
        stream.read_exact(&mut body)?;
        match kind {
            b'Z' => return failure.map_or(Ok(rows), Err),
            b'D' => rows.push(row(&body).context("the server sent half a row")?),
            b'E' => failure = Some(anyhow::anyhow!("{}", message(&body))),
            b'R' if body != [0; 4] => bail!("the server asks for a password"),
            _ => {}
        }
    }
}

/// The values of a row: how many, then each one's length and bytes; a length below zero is null.
fn row(body: &[u8]) -> Option<Row> {
    let (count, mut rest) = body.split_first_chunk()?;
    let mut values = Vec::new();
    for _ in 0..i16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk()?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            values.push(None);
            rest = after;
            continue;
        };
        let (value, after) = after.split_at_checked(length)?;
        values.push(Some(String::from_utf8_lossy(value).into_owned()));
        rest = after;
    }
    Some(values)
}

/// The field `M` of an error.
fn message(body: &[u8]) -> String {
    let fields = body.split(|byte| *byte == 0);
    let text = fields.filter_map(|field| field.strip_prefix(b"M")).next().unwrap_or(b"an error without a message");
    String::from_utf8_lossy(text).into_owned()
}
