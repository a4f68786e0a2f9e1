//! Where viewers connect, and from whom word of the client is believed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::findings::Findings;
use super::limits::{Limits, RawLimits};
use super::problem::Problem;
use super::proxies::{self, Proxies, TrustedProxies};
use super::sockets;
use super::state::directory;
use super::tls::{RawTls, Tls};
use super::values::{OneOrMany, Span};

/// `[server]` as written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawServer {
    /// Address and port, or `unix:` and the path of a socket for a proxy on the same machine, or a
    /// list of them. `[::]` takes IPv4 as well. Default `"[::]:8080"`.
    listen: Option<OneOrMany>,
    /// Who may connect to the unix sockets, as the mode of a file. Default `"0660"`.
    socket_mode: Option<String>,
    /// Whether plain HTTP is redirected to HTTPS: `"auto"` does so only where TLS ends here, and
    /// never for a trusted proxy that says https; `"never"` does not. Default `"auto"`.
    redirect: Option<RawRedirect>,
    /// A directory whose `.well-known/acme-challenge/` is served on plain HTTP, for a program that
    /// fetches certificates by HTTP-01, such as `certbot --webroot`. Default: none.
    acme_webroot: Option<String>,
    /// Networks (CIDR) of the reverse proxies in front, whose `X-Forwarded-*` is believed; `"unix:"`
    /// is whoever connects to a unix socket. Per-client limits work only with these set or TLS ending here. Default `[]`.
    trusted_proxies: Option<Vec<String>>,
    /// Whether connections of these proxies begin with the PROXY protocol (version 2), as balancers
    /// of TCP send it. All of them must then. Default `false`.
    proxy_protocol: Option<bool>,
    /// How long a stopping gateway lets running downloads finish. Default `"60s"`.
    drain: Option<Span>,
    /// Whether responses name their origin in `X-Origin`. Default `true`.
    origin_header: Option<bool>,
    /// What one gateway takes on at a time.
    #[serde(default)]
    limits: RawLimits,
    /// HTTPS without a proxy in front.
    tls: Option<RawTls>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RawRedirect {
    Auto,
    Never,
}

/// Where viewers connect.
#[derive(Debug, Clone)]
pub struct Server {
    /// Plain HTTP.
    pub listen: Listen,
    /// The mode of the unix sockets.
    pub socket_mode: u32,
    /// Whether plain HTTP is redirected to HTTPS.
    pub redirect: Redirect,
    /// Where answers to an authority's challenges are laid, by another program.
    pub acme_webroot: Option<PathBuf>,
    /// Proxies whose word of the client and the scheme is believed.
    pub trusted_proxies: TrustedProxies,
    /// Whether their connections begin with the PROXY protocol.
    pub proxy_protocol: bool,
    /// How long running downloads may go on after a signal to stop.
    pub drain: Duration,
    /// Whether responses name their origin.
    pub origin_header: bool,
    /// What is taken on at a time.
    pub limits: Limits,
    /// HTTPS, if TLS ends here.
    pub tls: Option<Tls>,
}

impl Server {
    /// The proxies behind which clients are known, an empty list where they connect themselves;
    /// `None` where a proxy that nobody declared may stand in front.
    pub(crate) fn clients_known_behind(&self) -> Option<Proxies> {
        let known = self.tls.is_some() || !self.trusted_proxies.is_empty();
        known.then(|| Proxies {
            trusted: self.trusted_proxies.clone(),
            announce: self.proxy_protocol,
        })
    }
}

/// Where plain HTTP is spoken; never nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// By TCP.
    pub addresses: Vec<SocketAddr>,
    /// Unix sockets, each by its whole path.
    pub sockets: Vec<PathBuf>,
}

/// Whether plain HTTP is redirected to HTTPS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirect {
    /// Where TLS ends here, unless a trusted proxy says that it was https.
    Auto,
    /// Not at all.
    Never,
}

pub(super) fn check(raw: RawServer, findings: &mut Findings) -> Server {
    let listen = match &raw.listen {
        Some(written) => listen(written, findings),
        None => Listen {
            addresses: vec![SocketAddr::from(([0_u16; 8], 8080))],
            sockets: Vec::new(),
        },
    };
    let written = raw.trusted_proxies.unwrap_or_default();
    let trusted_proxies = proxies::check(&written, findings);
    let socket_mode = sockets::check_mode(raw.socket_mode.as_deref(), findings);
    sockets::check_use(&listen.sockets, socket_mode, &trusted_proxies, findings);
    let proxy_protocol = raw.proxy_protocol.unwrap_or(false);
    if proxy_protocol && written.is_empty() {
        findings.refuse(
            Problem::new(
                "server.proxy_protocol",
                "no proxy is trusted, so nobody's word of a client is believed",
                "list the balancer's network in trusted_proxies",
            )
            .with_value("true"),
        );
    }
    Server {
        listen,
        socket_mode,
        redirect: match raw.redirect {
            None | Some(RawRedirect::Auto) => Redirect::Auto,
            Some(RawRedirect::Never) => Redirect::Never,
        },
        acme_webroot: raw
            .acme_webroot
            .map(|path| directory("server.acme_webroot", Some(path), "/var/www/acme", findings)),
        trusted_proxies,
        proxy_protocol,
        drain: raw.drain.map_or(Duration::from_mins(1), |drain| drain.0),
        origin_header: raw.origin_header.unwrap_or(true),
        limits: super::limits::check(&raw.limits, findings),
        tls: raw.tls.and_then(|tls| super::tls::check(tls, findings)),
    }
}

/// Where plain HTTP is spoken: addresses and sockets, in one list.
fn listen(written: &OneOrMany, findings: &mut Findings) -> Listen {
    let key = "server.listen";
    let mut list = List::new("[::]:8080");
    let mut found = Vec::new();
    list.check_any(key, written, findings);
    for (index, text) in written.items.iter().enumerate() {
        let path = written.path(key, index);
        match text.strip_prefix(sockets::SCHEME) {
            Some(socket) => sockets::check(path, text, socket, &mut found, findings),
            None => list.check(path, text, findings),
        }
    }
    Listen {
        addresses: list.addresses,
        sockets: found,
    }
}

/// Parses addresses; says what is wrong with each that is none.
pub(super) fn addresses(
    key: &str,
    written: &OneOrMany,
    example: &'static str,
    findings: &mut Findings,
) -> Vec<SocketAddr> {
    let mut list = List::new(example);
    list.check_any(key, written, findings);
    for (index, text) in written.items.iter().enumerate() {
        list.check(written.path(key, index), text, findings);
    }
    list.addresses
}

/// Addresses that were found fit so far.
struct List {
    addresses: Vec<SocketAddr>,
    example: &'static str,
}

impl List {
    fn new(example: &'static str) -> Self {
        Self {
            addresses: Vec::new(),
            example,
        }
    }

    fn check_any(&self, key: &str, written: &OneOrMany, findings: &mut Findings) {
        if written.items.is_empty() {
            findings.refuse(Problem::new(
                key,
                "an empty list listens nowhere",
                format!("write \"{}\"", self.example),
            ));
        }
    }

    /// One more, written at this path of the configuration.
    fn check(&mut self, path: String, text: &str, findings: &mut Findings) {
        match text.parse() {
            Ok(address) if self.addresses.contains(&address) => findings.refuse(
                Problem::new(path, "listed twice", "remove one of the two").with_value(text),
            ),
            Ok(address) => {
                let mut others = self.addresses.iter();
                if let Some(other) = others.find(|other| overlap(address, **other)) {
                    findings.refuse(
                        Problem::new(
                            path,
                            format!("overlaps {other} in the same list"),
                            "remove one of the two; [::] takes IPv4 as well",
                        )
                        .with_value(text),
                    );
                }
                self.addresses.push(address);
            }
            Err(_) => findings.refuse(
                Problem::new(
                    path,
                    "not an address with a port",
                    address_remedy(text, self.example),
                )
                .with_value(text),
            ),
        }
    }
}

fn address_remedy(text: &str, example: &str) -> String {
    if text.starts_with(sockets::SCHEME) {
        return format!("write \"{example}\"; only server.listen can be a unix socket");
    }
    let port = text.rsplit(':').next().unwrap_or(text);
    match port.parse::<u16>() {
        Ok(port) if text.starts_with("localhost") => format!("write \"127.0.0.1:{port}\""),
        Ok(port) => format!("write \"[::]:{port}\" for every address of this machine"),
        Err(_) => format!("write a numeric address and a port, such as \"{example}\""),
    }
}

/// Refuses a second listener on an address that a first one covers.
pub(super) fn check_clash(
    path: &str,
    wanted: &[SocketAddr],
    taken_by: &str,
    taken: &[SocketAddr],
    findings: &mut Findings,
) {
    for address in wanted {
        if taken.iter().any(|other| overlap(*address, *other)) {
            findings.refuse(
                Problem::new(
                    path,
                    format!("{taken_by} listens there already"),
                    "give one of the two another port",
                )
                .with_value(address.to_string()),
            );
        }
    }
}

/// Port 0 never clashes: the system picks a free one.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let covers = |wide: SocketAddr, narrow: SocketAddr| {
        wide.ip().is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4())
    };
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || covers(a, b) || covers(b, a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dual_stack_address_covers_all_others_of_its_port() {
        let at = |text: &str| text.parse().unwrap();
        assert!(overlap(at("[::]:80"), at("127.0.0.1:80")));
        assert!(overlap(at("0.0.0.0:80"), at("127.0.0.1:80")));
        assert!(overlap(at("127.0.0.1:80"), at("127.0.0.1:80")));
        assert!(!overlap(at("0.0.0.0:80"), at("[::1]:80")));
        assert!(!overlap(at("[::]:80"), at("[::]:81")));
        assert!(!overlap(at("[::]:0"), at("[::]:0")));
    }
}
