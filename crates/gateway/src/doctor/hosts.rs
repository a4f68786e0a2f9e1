//! Whether the hosts of the routes lead anywhere, as this machine sees it.
//!
//! Asks the system's resolver; where the addresses lead is not examined, since the gateway may
//! stand behind a proxy or not yet be what they lead to.

use std::collections::HashSet;
use std::net::{IpAddr, ToSocketAddrs};
use std::time::Duration;

use futures_util::future::join_all;

use super::aside::aside;
use super::finding::{Check, Finding, Findings, Level};
use crate::config::Config;

/// What one host's name gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lookup {
    Resolved(Vec<IpAddr>),
    Failed,
    NoAnswer,
}

/// Looks up every route's hosts at once, each only once.
pub(super) async fn examine(config: &Config, patience: Duration) -> Vec<Finding> {
    let named = config.routes.iter().flat_map(|route| {
        let hosts = route.urls.iter().filter_map(|url| url.host.as_deref());
        hosts.map(|host| (&*route.name, host))
    });
    let mut seen = HashSet::new();
    let looked = named
        .filter(|(_, host)| !is_address(host) && seen.insert(*host))
        .map(|(route, host)| async move { judge(route, host, &look_up(host, patience).await) });
    join_all(looked).await.into_iter().flatten().collect()
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<IpAddr>().is_ok()
}

pub(super) async fn look_up(host: &str, patience: Duration) -> Lookup {
    let asked = (host.to_owned(), 443);
    match aside(patience, move || asked.to_socket_addrs()).await {
        Some(Ok(addresses)) => {
            let mut addresses: Vec<_> = addresses.map(|address| address.ip()).collect();
            addresses.sort_unstable();
            addresses.dedup();
            Lookup::Resolved(addresses)
        }
        Some(Err(_)) => Lookup::Failed,
        None => Lookup::NoAnswer,
    }
}

fn judge(route: &str, host: &str, lookup: &Lookup) -> Vec<Finding> {
    let mut findings = Findings::about(format!("routes.{route}"));
    match lookup {
        Lookup::Resolved(addresses) if addresses.iter().all(is_private) => findings.add(
            Level::Notice,
            Check::Dns,
            format!("{host} resolves here to {}, a private address", list(addresses)),
            "where Misskey sees the same, add it to allowedPrivateNetworks in Misskey's configuration",
        ),
        Lookup::Resolved(addresses) => {
            findings.ok(Check::Dns, format!("{host} resolves to {}", list(addresses)));
        }
        Lookup::Failed => findings.add(
            Level::Warning,
            Check::Dns,
            format!("{host} does not resolve here"),
            "add an A or AAAA record that leads to the gateway or the proxy in front of it",
        ),
        Lookup::NoAnswer => findings.add(
            Level::Warning,
            Check::Dns,
            format!("{host}: the resolver did not answer in time"),
            "look at /etc/resolv.conf",
        ),
    }
    findings.into_list()
}

pub(super) fn list(addresses: &[IpAddr]) -> String {
    let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

pub(super) fn is_private(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(lookup: &Lookup) -> Level {
        judge("media", "media.example.com", lookup)[0].level
    }

    #[test]
    fn a_host_that_leads_nowhere_is_warned_of() {
        let resolved = |text: &str| Lookup::Resolved(vec![text.parse().unwrap()]);
        assert_eq!(level(&resolved("203.0.113.1")), Level::Ok);
        assert_eq!(level(&resolved("2001:db8::1")), Level::Ok);
        assert_eq!(level(&resolved("172.18.0.2")), Level::Notice);
        assert_eq!(level(&Lookup::Failed), Level::Warning);
        assert_eq!(level(&Lookup::NoAnswer), Level::Warning);
    }

    #[tokio::test]
    async fn a_host_of_several_urls_is_looked_up_once() {
        let text = "[origins.a]\nkind = \"http\"\nurl = \"http://127.0.0.1:1/\"\n\
                    [[routes]]\nname = \"a\"\norigins = [\"a\"]\n\
                    url = [\"https://localhost/a/\", \"https://localhost/b/\", \"https://[::1]/\"]\n\
                    [[routes]]\nname = \"b\"\norigins = [\"a\"]\nurl = \"https://localhost/c/\"\n";
        let loaded = Config::parse("test.toml", text, []).unwrap();
        let findings = examine(&loaded.config, Duration::from_secs(5)).await;
        assert_eq!(findings.len(), 1);
    }

    #[test]
    fn addresses_are_not_looked_up() {
        assert!(is_address("[::1]") && is_address("203.0.113.1"));
        assert!(!is_address("media.example.com"));
    }
}
