//! The contract of the stores, run against the key-value store. What is deployed does not have it.

use std::rc::Rc;

use seawall_edge::{Platform, message::Response, store::contract::check};

use crate::{headers::SpinHeaders, host::Host, settings::Places};

/// Runs it; answers with what went wrong.
pub(crate) async fn run(places: Rc<Places>) -> Response<Host> {
    let host = Host::new(places);
    let (status, said) = match check(&host, &host.near()).await {
        Ok(()) => (200, String::new()),
        Err(fault) => (500, fault),
    };
    Response::new(status, SpinHeaders::default(), Some(host.text(said)))
}

/// What is asked for to run it.
pub(crate) const PATH: &str = "/__contract";
