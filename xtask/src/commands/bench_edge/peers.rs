//! nginx and Varnish before the same origin, for context.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use seawall_xtask::process::{self, Logs, Service};
use seawall_xtask::project::Project;
use seawall_xtask::stack::Listening;
use seawall_xtask::step::Steps;
use seawall_xtask::tools::apt;
use seawall_xtask::{http, ports};

/// How long each may take to answer.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// nginx with one process and `proxy_cache`; `None` when it is neither here nor installable.
pub(super) fn nginx(project: &Project, origin: u16, files: &Path, steps: &Steps) -> Result<Option<Listening>> {
    let Some(program) = program(project, "nginx", "nginx-light", steps)? else { return Ok(None) };
    let (port, home) = (ports::free()?, files.join("nginx"));
    fs::create_dir_all(&home)?;
    let home_text = home.display();
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let config = format!(
        "daemon off; worker_processes 1; pid {home_text}/pid; error_log stderr; {user}
         events {{ worker_connections 1024; }}
         http {{
           access_log off;
           client_body_temp_path {home_text}/body; fastcgi_temp_path {home_text}/fastcgi; uwsgi_temp_path {home_text}/uwsgi;
           scgi_temp_path {home_text}/scgi; proxy_temp_path {home_text}/proxy;
           proxy_cache_path {home_text}/cache keys_zone=pages:10m;
           upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; }}
           server {{
             listen 127.0.0.1:{port}; keepalive_requests 1000000;
             location / {{
               proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_cache pages;
             }}
           }}
         }}"
    );
    fs::write(home.join("nginx.conf"), config)?;
    let mut nginx = Command::new(program);
    nginx.arg("-p").arg(&home).arg("-c").arg(home.join("nginx.conf"));
    listening("nginx", nginx, port).map(Some)
}

/// Varnish with its built-in rules and a memory store; `None` when it is neither here nor installable.
pub(super) fn varnish(project: &Project, origin: u16, files: &Path, steps: &Steps) -> Result<Option<Listening>> {
    let Some(program) = program(project, "varnishd", "varnish", steps)? else { return Ok(None) };
    let port = ports::free()?;
    let mut varnish = Command::new(program);
    varnish.args(["-F", "-a", &format!("127.0.0.1:{port}"), "-b", &format!("127.0.0.1:{origin}")]);
    varnish.args(["-s", "malloc,64m", "-j", "none", "-n"]).arg(files.join("varnish"));
    listening("varnishd", varnish, port).map(Some)
}

/// The program: on PATH or among the system's own, or else from Debian's package if we may install it.
fn program(project: &Project, name: &str, package: &str, steps: &Steps) -> Result<Option<PathBuf>> {
    let find = || process::on_path(name).or_else(|| Some(Path::new("/usr/sbin").join(name)).filter(|at| at.is_file()));
    if find().is_none() && apt::can_install() {
        apt::install(project, &[package], steps)?;
    }
    Ok(find())
}

fn listening(name: &str, command: Command, port: u16) -> Result<Listening> {
    let mut service = Service::start(name, command, Logs::Keep)?;
    service
        .wait_until(READY_WITHIN, || http::status(port, "/hot").is_ok_and(|status| status == 200))
        .with_context(|| format!("{name} does not answer"))?;
    Ok(Listening { service, port })
}
