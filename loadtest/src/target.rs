//! Where the load goes, and whether it may.

use std::net::{SocketAddr, ToSocketAddrs as _};

use http::Uri;

/// A server that may be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Whether TLS is spoken.
    pub(crate) tls: bool,
    /// The name that certificates are checked against.
    pub(crate) host: String,
    /// `Host` or `:authority`.
    pub(crate) authority: String,
    /// Where connections go: the first address of the name.
    pub(crate) address: SocketAddr,
}

/// Why a URL is no target.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{0:?} is no URL such as http://localhost:8080")]
    NoUrl(String),
    #[error("{0:?} has a path: give the site's root, the scenarios have their own paths")]
    Path(String),
    #[error("{host} has no address")]
    Unresolved {
        host: String,
        #[source]
        source: Option<std::io::Error>,
    },
    #[error(
        "{host} ({address}) is not this machine: load on it is refused unless `--remote --i-may-load {host}` says that \
         whoever runs it has agreed"
    )]
    Remote { host: String, address: SocketAddr },
}

/// Reads a URL. `agreed` is the host that may be loaded although it is not this machine.
///
/// # Errors
/// When the URL is none, has no address, or leads to another machine whose name is not `agreed`.
pub(crate) fn parse(url: &str, agreed: Option<&str>) -> Result<Target, Refused> {
    let no_url = || Refused::NoUrl(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| no_url())?;
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(no_url()),
    };
    if uri.path() != "/" || uri.query().is_some() {
        return Err(Refused::Path(url.to_owned()));
    }
    let authority = uri.authority().ok_or_else(no_url)?;
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let found = (host.as_str(), port).to_socket_addrs();
    let addresses: Vec<SocketAddr> =
        found.map_err(|error| Refused::Unresolved { host: host.clone(), source: Some(error) })?.collect();
    // One address decides for all connections, so it is the one that is looked at.
    let address = addresses.iter().find(|address| address.is_ipv4()).or_else(|| addresses.first()).copied();
    let address = address.ok_or_else(|| Refused::Unresolved { host: host.clone(), source: None })?;
    if !address.ip().is_loopback() && agreed != Some(host.as_str()) {
        return Err(Refused::Remote { host, address });
    }
    Ok(Target { tls, authority: authority.to_string(), host, address })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_a_target() {
        for url in ["http://127.0.0.1:8080", "http://localhost:8080/", "http://[::1]:8080", "https://127.9.9.9"] {
            assert!(parse(url, None).is_ok_and(|target| target.address.ip().is_loopback()), "{url}");
        }
        assert_eq!(parse("https://127.0.0.1", None).expect("loopback").address.port(), 443);
    }

    #[test]
    fn another_machine_is_one_only_when_it_is_named_once_more() {
        assert!(matches!(parse("http://192.0.2.1", None), Err(Refused::Remote { .. })));
        assert!(matches!(parse("http://192.0.2.1", Some("192.0.2.2")), Err(Refused::Remote { .. })));
        assert!(parse("http://192.0.2.1", Some("192.0.2.1")).is_ok());
    }

    #[test]
    fn what_is_no_root_of_a_site_is_refused() {
        for url in ["localhost:8080", "ftp://localhost", "http://", "nonsense"] {
            assert!(matches!(parse(url, None), Err(Refused::NoUrl(_))), "{url}");
        }
        assert!(matches!(parse("http://localhost/health", None), Err(Refused::Path(_))));
    }
}
