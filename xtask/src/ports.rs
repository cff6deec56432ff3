//! TCP ports on the loopback address.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher as _;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, bail};

use crate::process;

/// The ports that [`free`] gives. The system gives later ones to outgoing connections (Linux from 32768, macOS and
/// the IANA's list from 49152): a connection to a server that is down could be given that server's own port, connect
/// to itself, and so keep the server from coming back.
const GIVEN: Range<u16> = 20_000..32_768;
/// Fewer than this and we leave the choice to the system.
const ENOUGH: u16 = 1_000;

/// A port that is free and, where the system leaves us enough of them, that this program has not given before: a server may
/// be stopped and started on it again. Another program can take it before it is used, so callers that care retry.
///
/// # Errors
/// When no port can be bound at all.
pub fn free() -> Result<u16> {
    static GIVEN_SO_FAR: AtomicU16 = AtomicU16::new(0);
    static FIRST: LazyLock<u16> = LazyLock::new(|| {
        let random = RandomState::new().hash_one(std::process::id());
        u16::try_from(random % u64::from(u16::MAX)).unwrap_or_default()
    });
    let range = ours(fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok().as_deref());
    let number = u16::try_from(range.len()).context("more ports than there are")?;
    if number >= ENOUGH {
        for _ in 0..number {
            let next = u32::from(*FIRST) + u32::from(GIVEN_SO_FAR.fetch_add(1, Ordering::Relaxed));
            let port = range.start + u16::try_from(next % u32::from(number))?;
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(port);
            }
        }
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

/// [`GIVEN`] without what this system gives to outgoing connections, as Linux writes it: the first and the last port.
fn ours(systems: Option<&str>) -> Range<u16> {
    let first = systems.and_then(|systems| systems.split_whitespace().next()?.parse::<u16>().ok());
    GIVEN.start..first.unwrap_or(GIVEN.end).clamp(GIVEN.start, GIVEN.end)
}

/// Refuses a port that something listens on, naming it, with the option that chooses another.
///
/// # Errors
/// When the port is taken or may not be used.
pub fn require_free(port: u16, option: &str) -> Result<()> {
    let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) else { return Ok(()) };
    if error.kind() == std::io::ErrorKind::AddrInUse {
        let who = listener_on(port).map_or_else(|| "another program".to_owned(), |name| format!("`{name}`"));
        bail!("port {port} is taken by {who}; stop it or choose another port with {option}");
    }
    bail!("port {port} cannot be used ({error}); choose another with {option}");
}

/// The name and process id of what listens on a port, as far as we may see it.
#[must_use]
pub fn listener_on(port: u16) -> Option<String> {
    if cfg!(target_os = "linux") { listener_in_proc(port) } else { listener_in_lsof(port) }
}

/// Linux: the socket's inode from the table of sockets, then the process that holds it.
fn listener_in_proc(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let inode = tables.iter().flat_map(|table| table.lines()).find_map(|line| listening_inode(line, port))?;
    let socket = format!("socket:[{inode}]");
    let is_number = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().parse::<u32>().is_ok();
    for process in fs::read_dir("/proc").ok()?.flatten().filter(is_number) {
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        let holds = files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == &*socket));
        if holds {
            let name = fs::read_to_string(process.path().join("comm")).ok()?;
            return Some(format!("{} (pid {})", name.trim(), process.file_name().to_string_lossy()));
        }
    }
    None
}

/// The inode in a line of `/proc/net/tcp`, if it describes a socket that listens on `port`.
fn listening_inode(line: &str, port: u16) -> Option<&str> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_whitespace().skip(1);
    let local = fields.next()?.rsplit_once(':')?.1;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    (state == LISTEN && u16::from_str_radix(local, 16) == Ok(port)).then_some(inode)
}

fn listener_in_lsof(port: u16) -> Option<String> {
    let text = process::answer(Command::new("lsof").args(["-nP", "-sTCP:LISTEN", "-Fpc", &format!("-iTCP:{port}")]))?;
    let field = |tag: char| text.lines().find_map(|line| line.strip_prefix(tag)).map(str::to_owned);
    Some(format!("{} (pid {})", field('c')?, field('p')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_refused_with_the_way_out() -> Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let error = require_free(port, "--port").err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(&format!("port {port} is taken")) && error.contains("--port"), "{error}");
        if cfg!(target_os = "linux") {
            assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
        }
        drop(listener);
        require_free(port, "--port")
    }

    #[test]
    fn a_port_is_given_once_and_never_one_of_the_systems() -> Result<()> {
        let given = (0..200).map(|_| free()).collect::<Result<Vec<_>>>()?;
        let range = ours(fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok().as_deref());
        if range.len() >= usize::from(ENOUGH) {
            assert!(given.iter().all(|port| range.contains(port)), "{given:?}");
            let different: std::collections::BTreeSet<u16> = given.iter().copied().collect();
            assert_eq!(different.len(), given.len(), "{given:?}");
        }
        let cases = [
            (None, 32_768),
            (Some("32768\t60999\n"), 32_768),
            (Some("25000 65535"), 25_000),
            (Some("1024 65535"), 20_000),
        ];
        for (systems, end) in cases {
            assert_eq!(ours(systems), 20_000..end, "{systems:?}");
        }
        Ok(())
    }

    #[test]
    fn only_listening_sockets_of_the_port_count() {
        let line = |local: &str, state: &str| {
            format!("  0: 0100007F:{local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 4242 1 x")
        };
        for (local, state, expect) in [("2253", "0A", Some("4242")), ("2253", "01", None), ("2254", "0A", None)] {
            assert_eq!(listening_inode(&line(local, state), 8787), expect, "{local} {state}");
        }
    }
}
