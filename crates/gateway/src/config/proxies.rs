//! The reverse proxies in front: whose word of a client, and of the scheme, is believed.

use std::net::IpAddr;

use ipnet::IpNet;

use super::findings::Findings;
use super::problem::Problem;
use super::sockets;

/// Proxies whose word is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    /// Where they are.
    pub networks: Vec<IpNet>,
    /// Whether whoever connects to a unix socket is one.
    pub by_socket: bool,
}

impl TrustedProxies {
    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.by_socket
    }

    /// Whether who connects from this address is one; without an address it was by a unix socket.
    pub fn include(&self, address: Option<IpAddr>) -> bool {
        match address {
            None => self.by_socket,
            Some(address) => {
                let mut networks = self.networks.iter();
                networks.any(|network| network.contains(&address))
            }
        }
    }
}

/// How proxies speak of their clients.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// Who they are.
    pub trusted: TrustedProxies,
    /// Whether they announce a client before its first byte, by the PROXY protocol.
    pub announce: bool,
}

pub(super) fn check(written: &[String], findings: &mut Findings) -> TrustedProxies {
    let mut trusted = TrustedProxies::default();
    for (index, text) in written.iter().enumerate() {
        let path = format!("server.trusted_proxies[{index}]");
        if text == sockets::SCHEME {
            trusted.by_socket = true;
        } else if text.starts_with(sockets::SCHEME) {
            findings.refuse(
                Problem::new(
                    path,
                    "one unix socket is trusted as all are, by its mode",
                    format!("write \"{}\" without a path", sockets::SCHEME),
                )
                .with_value(text),
            );
        } else {
            trusted.networks.extend(network(path, text, findings));
        }
    }
    trusted
}

fn network(path: String, text: &str, findings: &mut Findings) -> Option<IpNet> {
    // A single address is a network of one.
    let parsed = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let Ok(network) = parsed else {
        findings.refuse(
            Problem::new(
                path,
                "not a network",
                "write it as \"172.16.0.0/12\" or \"fd00::/8\"",
            )
            .with_value(text),
        );
        return None;
    };
    if network.prefix_len() == 0 {
        findings.warn(
            Problem::new(
                path,
                "every client may claim any address for itself",
                "list only the networks of your own proxies",
            )
            .with_value(text),
        );
    }
    Some(network.trunc())
}
