//! Notes that instances leave each other in the key-value store.

use core::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use seawall_edge::platform::AuthorityError;
use spin_sdk::{
    key_value::{Error, Store},
    time::sleep,
};

/// Reads a note.
pub(crate) async fn read(name: &str) -> Result<Option<String>, Error> {
    let note = Store::open_default().await?.get(key(name)).await?;
    // What is no text was not written here; who reads it will know that it is none of its own.
    Ok(note.map(|bytes| String::from_utf8(bytes).unwrap_or_default()))
}

/// Writes one.
pub(crate) async fn write(name: &str, text: String) -> Result<(), Error> {
    Store::open_default().await?.set(key(name), text.into_bytes()).await
}

/// Gives up on either when it takes too long.
pub(crate) async fn within<T>(
    deadline: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, AuthorityError> {
    match select(pin!(work), pin!(sleep(deadline))).await {
        Either::Left((result, _)) => result.map_err(|error| AuthorityError::Failed(error.to_string())),
        Either::Right(_) => Err(AuthorityError::Late),
    }
}

/// The name of a note in the store, where it is beside responses and marks.
fn key(name: &str) -> String {
    ["note/", name].concat()
}
