//! Variables of the component.

use wasmtime::component::Accessor;

use crate::component::bindings::spin::variables::variables::{Error, Host, HostWithStore};
use crate::component::{Spin, SpinView};

impl Host for SpinView<'_> {}

impl<T> HostWithStore<T> for Spin {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> Result<String, Error> {
        let value = accessor.with(|mut access| access.get().world.variables.get(&name).cloned());
        value.ok_or(Error::Undefined(name))
    }
}

/// Those that the environment sets, as Spin reads it.
pub(crate) fn of_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.to_str()?.strip_prefix("SPIN_VARIABLE_")?.to_ascii_lowercase();
        Some((name, value.into_string().ok()?))
    })
}

/// Reads NAME=VALUE.
pub(crate) fn parse(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}
