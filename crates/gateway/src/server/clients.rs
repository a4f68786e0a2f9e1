//! How many connections each client has open, where clients can be told apart.
//!
//! Behind a trusted proxy a request counts as a connection of the client that the proxy names.
//! A proxy that nobody declared looks like one busy client, so without word of what stands in
//! front nobody is counted: the limit would hit everybody.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};

use crate::config::Proxies;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// One household or machine has a whole network of this size.
const V6_PREFIX_BITS: u32 = 64;

/// What each client has open.
#[derive(Debug)]
pub(super) struct Clients {
    proxies: Proxies,
    most: usize,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// The client has no place left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// A client's place, given back when dropped; or nothing, where nobody is counted.
#[derive(Debug, Default)]
pub(super) struct Place(Option<(Arc<Clients>, IpAddr)>);

impl Clients {
    pub(super) fn new(proxies: Proxies, most: usize) -> Arc<Self> {
        Arc::new(Self {
            proxies,
            most,
            open: Arc::default(),
        })
    }

    /// The same clients under other rules.
    pub(super) fn ruled_by(&self, proxies: Proxies, most: usize) -> Arc<Self> {
        Arc::new(Self {
            proxies,
            most,
            open: Arc::clone(&self.open),
        })
    }

    /// Whether a connection from this address begins with word of its client.
    pub(super) fn are_announced_by(&self, peer: Option<IpAddr>) -> bool {
        self.proxies.announce && self.proxies.trusted.include(peer)
    }

    /// A place for a connection from this address. Who comes by a unix socket is told from nobody.
    pub(super) fn connected(self: &Arc<Self>, peer: Option<IpAddr>) -> Result<Place, Full> {
        match peer {
            Some(client) if !self.trusts(client) => self.enter(client),
            _ => Ok(Place::default()),
        }
    }

    /// Who asks by a request that a connection from this address brought, and a place for it.
    pub(super) fn asked(
        self: &Arc<Self>,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
    ) -> (Option<IpAddr>, Result<Place, Full>) {
        if !self.proxies.trusted.include(peer) {
            // Its connection was counted.
            return (peer, Ok(Place::default()));
        }
        match self.named(headers) {
            Some(client) => (Some(client), self.enter(client)),
            None => (peer, Ok(Place::default())),
        }
    }

    /// The client that a trusted proxy names: the last address that is not a trusted proxy's own.
    /// What stands before it, or before nonsense, the client may have made up.
    fn named(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let lines = |name: &HeaderName| -> Vec<&str> {
            let lines = headers.get_all(name).iter();
            lines
                .map(|line| line.to_str().unwrap_or_default())
                .collect()
        };
        let is_foreign = |hop: &Option<IpAddr>| hop.is_none_or(|hop| !self.trusts(hop));
        let plain = lines(&FORWARDED_FOR);
        if !plain.is_empty() {
            let hops = plain.iter().rev().flat_map(|line| line.rsplit(','));
            return hops.map(address).find(is_foreign)?;
        }
        // RFC 7239. Only where the other is absent: most proxies write that one, and pass on what
        // a client has made up here.
        let elements = lines(&FORWARDED);
        let elements = elements.iter().rev().flat_map(|line| line.rsplit(','));
        elements.map(forwarded_for).find(is_foreign)?
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.proxies.trusted.include(Some(address))
    }

    fn enter(self: &Arc<Self>, client: IpAddr) -> Result<Place, Full> {
        let client = household(client);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(client).or_default();
        if *count >= self.most {
            return Err(Full);
        }
        *count += 1;
        Ok(Place(Some((Arc::clone(self), client))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((clients, client)) = &self.0 else {
            return;
        };
        let mut open = clients.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = open.entry(*client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// The address of an element's `for=` (RFC 7239 section 4); none where it hides who it was.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address(node.trim().trim_matches('"'))
}

/// An address as proxies write it, some with a port.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop.strip_prefix('[').and_then(|hop| hop.split_once(']'));
    let bare = bare.map_or(hop, |(bare, _)| bare);
    let parsed = bare.parse().ok();
    let parsed = parsed.or_else(|| Some(bare.parse::<std::net::SocketAddr>().ok()?.ip()));
    parsed.map(|address| address.to_canonical())
}

fn household(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(v6) => {
            let network = v6.to_bits() >> V6_PREFIX_BITS << V6_PREFIX_BITS;
            Ipv6Addr::from_bits(network).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;

    use super::*;
    use crate::config::TrustedProxies;

    fn clients(most: usize) -> Arc<Clients> {
        let networks = ["172.16.0.0/12", "fd00::/8"].map(|network| network.parse().unwrap());
        behind(networks.into(), false, most)
    }

    fn behind(networks: Vec<IpNet>, by_socket: bool, most: usize) -> Arc<Clients> {
        let trusted = TrustedProxies {
            networks,
            by_socket,
        };
        let proxies = Proxies {
            trusted,
            announce: false,
        };
        Clients::new(proxies, most)
    }

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn forwarded(lines: &[&str]) -> HeaderMap {
        let lines = lines.iter();
        lines
            .map(|line| (FORWARDED_FOR, line.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_client_gets_its_places_back() {
        let clients = clients(2);
        let first = clients.connected(Some(at("203.0.113.1"))).unwrap();
        let _second = clients.connected(Some(at("203.0.113.1"))).unwrap();
        assert_eq!(
            clients.connected(Some(at("203.0.113.1"))).unwrap_err(),
            Full
        );
        assert!(clients.connected(Some(at("203.0.113.2"))).is_ok());
        drop(first);
        assert!(clients.connected(Some(at("203.0.113.1"))).is_ok());
    }

    #[test]
    fn nothing_is_remembered_of_those_who_left() {
        let clients = clients(2);
        drop(clients.connected(Some(at("203.0.113.1"))));
        assert!(clients.open.lock().unwrap().is_empty());
    }

    #[test]
    fn a_network_of_one_household_is_one_client() {
        let clients = clients(1);
        let _one = clients.connected(Some(at("2001:db8:0:1::1"))).unwrap();
        assert_eq!(
            clients.connected(Some(at("2001:db8:0:1::2"))).unwrap_err(),
            Full
        );
        assert!(clients.connected(Some(at("2001:db8:0:2::1"))).is_ok());
    }

    #[test]
    fn a_trusted_proxy_is_not_counted_and_its_clients_are() {
        let clients = clients(1);
        let proxy = Some(at("172.18.0.2"));
        let connections: Vec<_> = (0..9).map(|_| clients.connected(proxy)).collect();
        assert!(connections.iter().all(Result::is_ok));
        let asked = |lines: &[&str]| clients.asked(proxy, &forwarded(lines));
        let (client, place) = asked(&["203.0.113.1"]);
        let _one = place.unwrap();
        assert_eq!(client, Some(at("203.0.113.1")));
        assert_eq!(asked(&["203.0.113.1"]).1.unwrap_err(), Full);
        let (client, place) = asked(&[]);
        assert!(client == proxy && place.is_ok());
        assert!(asked(&["203.0.113.2"]).1.is_ok());
    }

    #[test]
    fn who_is_no_trusted_proxy_speaks_for_nobody() {
        let clients = clients(1);
        for _ in 0..9 {
            let claim = forwarded(&["198.51.100.7"]);
            let (client, place) = clients.asked(Some(at("203.0.113.1")), &claim);
            assert_eq!(client, Some(at("203.0.113.1")));
            assert!(place.unwrap().0.is_none());
        }
    }

    #[test]
    fn who_comes_by_a_unix_socket_speaks_for_clients_only_where_it_is_trusted() {
        let claim = forwarded(&["203.0.113.1"]);
        let strangers = behind(vec!["0.0.0.0/0".parse().unwrap()], false, 1);
        let trusted = behind(Vec::new(), true, 1);
        for clients in [&strangers, &trusted] {
            let connections: Vec<_> = (0..9).map(|_| clients.connected(None)).collect();
            assert!(connections.iter().all(Result::is_ok));
        }
        let (client, place) = strangers.asked(None, &claim);
        assert!(client.is_none() && place.unwrap().0.is_none());
        let (client, place) = trusted.asked(None, &claim);
        assert!(client == Some(at("203.0.113.1")) && place.unwrap().0.is_some());
        let (client, place) = trusted.asked(None, &forwarded(&[]));
        assert!(client.is_none() && place.unwrap().0.is_none());
    }

    #[test]
    fn the_standard_header_is_read_where_the_usual_one_is_absent() {
        let clients = clients(1);
        for (line, client) in [
            ("for=203.0.113.1", Some("203.0.113.1")),
            ("For=\"203.0.113.1:4711\";proto=https", Some("203.0.113.1")),
            ("proto=http; for=\"[2001:db8::1]:80\"", Some("2001:db8::1")),
            ("for=198.51.100.7, for=203.0.113.1", Some("203.0.113.1")),
            ("for=203.0.113.1, for=172.18.0.9", Some("203.0.113.1")),
            ("for=203.0.113.1, for=_hidden", None),
            ("for=unknown", None),
            ("by=203.0.113.1", None),
            ("for=172.18.0.9", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(FORWARDED, line.parse().unwrap());
            assert_eq!(clients.named(&headers), client.map(at), "{line}");
            headers.insert(FORWARDED_FOR, "192.0.2.5".parse().unwrap());
            assert_eq!(clients.named(&headers), Some(at("192.0.2.5")), "{line}");
        }
    }

    #[test]
    fn the_last_address_that_is_no_trusted_proxy_is_the_client() {
        let clients = clients(1);
        for (lines, client) in [
            (&["198.51.100.7, 203.0.113.1"][..], Some("203.0.113.1")),
            (
                &["198.51.100.7, 203.0.113.1, 172.18.0.9"],
                Some("203.0.113.1"),
            ),
            (
                &["198.51.100.7", "203.0.113.1,fd00::9"],
                Some("203.0.113.1"),
            ),
            (&["203.0.113.1:4711"], Some("203.0.113.1")),
            (&["[2001:db8::1]:4711"], Some("2001:db8::1")),
            (&["2001:db8::1"], Some("2001:db8::1")),
            (&["::ffff:203.0.113.1"], Some("203.0.113.1")),
            (&["203.0.113.1, unknown"], None),
            (&["203.0.113.1, unknown, 172.18.0.9"], None),
            (&["172.18.0.9"], None),
            (&[""], None),
        ] {
            let named = clients.named(&forwarded(lines));
            assert_eq!(named, client.map(at), "{lines:?}");
        }
    }
}
