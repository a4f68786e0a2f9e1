//! What is decided between a connection and a route where the internet's edge is here: the way
//! from http to https, and what browsers are told of it.
//!
//! Pure. Never sends anybody to https where TLS does not end here, nor whom a trusted proxy has
//! met by https already, nor an authority that wants a challenge answered: it looks for it by http.

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;

use crate::config::{Redirect, Server, TrustedProxies};
use crate::server::Peer;
use crate::webroot::{CHALLENGES, Webroot};

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Ports that are published as 443 in most places, so that an address needs none.
const USUAL_PORTS: [u16; 2] = [443, 8443];

/// What holds for all routes.
pub(crate) struct Edge {
    /// Where TLS ends here and plain HTTP is to be left: the port of the listener.
    redirects_to: Option<u16>,
    trusted_proxies: TrustedProxies,
    /// For answers over TLS that ends here.
    pub(crate) hsts: Option<HeaderValue>,
    pub(crate) webroot: Option<Webroot>,
}

impl Edge {
    /// `tls_port` is where TLS ends here.
    pub(crate) fn new(server: &Server, tls_port: Option<u16>) -> Self {
        let hsts = server.tls.as_ref().and_then(|tls| tls.hsts);
        Self {
            redirects_to: tls_port.filter(|_| server.redirect == Redirect::Auto),
            trusted_proxies: server.trusted_proxies.clone(),
            hsts: hsts.map(|span| {
                let text = format!("max-age={}", span.as_secs());
                HeaderValue::try_from(text).expect("a number is a header's value")
            }),
            webroot: server.acme_webroot.clone().map(Webroot::new),
        }
    }

    /// Where a request for this host of a route is to be made instead, if not here.
    pub(crate) fn instead_of(
        &self,
        peer: Peer,
        parts: &Parts,
        host: Option<&str>,
    ) -> Option<HeaderValue> {
        let (port, host) = (self.redirects_to?, host?);
        let is_secure = peer.secure
            || self.trusts(peer) && says_https(&parts.headers)
            || parts.uri.path().starts_with(CHALLENGES);
        if is_secure {
            return None;
        }
        let port = match port {
            port if USUAL_PORTS.contains(&port) => String::new(),
            port => format!(":{port}"),
        };
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        HeaderValue::try_from(format!("https://{host}{port}{path}")).ok()
    }

    fn trusts(&self, peer: Peer) -> bool {
        let address = peer.address.map(|address| address.ip());
        self.trusted_proxies.include(address)
    }
}

/// Whether any proxy on the way was reached by https. Of several, whichever says so is believed:
/// sending its client to where it comes from would never end.
fn says_https(headers: &HeaderMap) -> bool {
    let texts = |name: &HeaderName| headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
    let is_https = |text: &str| text.trim().trim_matches('"').eq_ignore_ascii_case("https");
    let mut plain = texts(&FORWARDED_PROTO).flat_map(|text| text.split(','));
    // RFC 7239. A quoted comma tears an element apart, and never makes a proto= of it.
    let mut elements = texts(&FORWARDED).flat_map(|text| text.split([',', ';']));
    plain.any(is_https)
        || elements.any(|element| {
            let (name, value) = element.split_once('=').unwrap_or_default();
            name.trim().eq_ignore_ascii_case("proto") && is_https(value)
        })
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use http::Request;

    use super::*;
    use crate::config::Config;

    fn edge(server: &str, port: Option<u16>) -> Edge {
        let text = format!(
            "[server]\n{server}\n[origins.a]\nkind = \"http\"\nurl = \"http://127.0.0.1:1/\"\n\
             [[routes]]\nurl = \"/\"\norigins = [\"a\"]\n"
        );
        Edge::new(
            &Config::parse("test.toml", &text, []).unwrap().config.server,
            port,
        )
    }

    fn peer(address: &str, secure: bool) -> Peer {
        let address: SocketAddr = format!("{address}:4711").parse().unwrap();
        Peer {
            address: Some(address),
            client: Some(address.ip()),
            secure,
            can_be_reset: true,
        }
    }

    fn asking(target: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::get(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn sent(edge: &Edge, target: &str, fields: &[(&str, &str)]) -> Option<String> {
        let to = edge.instead_of(
            peer("203.0.113.1", false),
            &asking(target, fields),
            Some("m.example"),
        );
        to.map(|to| to.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_host_the_path_and_the_query_are_kept() {
        for (port, location) in [
            (8443, "https://m.example//a%2Fb?name=c"),
            (443, "https://m.example//a%2Fb?name=c"),
            (9443, "https://m.example:9443//a%2Fb?name=c"),
        ] {
            let to = sent(&edge("", Some(port)), "//a%2Fb?name=c", &[]);
            assert_eq!(to.as_deref(), Some(location));
        }
    }

    #[test]
    fn nobody_is_sent_away_where_tls_does_not_end_here_or_it_is_not_wanted() {
        assert_eq!(sent(&edge("", None), "/a", &[]), None);
        assert_eq!(
            sent(&edge("redirect = \"never\"", Some(443)), "/a", &[]),
            None
        );
        let secure = edge("", Some(443)).instead_of(
            peer("203.0.113.1", true),
            &asking("/a", &[]),
            Some("m.example"),
        );
        assert_eq!(secure, None);
    }

    #[test]
    fn a_challenge_is_looked_for_by_http() {
        let edge = edge("", Some(443));
        assert_eq!(sent(&edge, "/.well-known/acme-challenge/token", &[]), None);
        assert!(sent(&edge, "/.well-known/other", &[]).is_some());
    }

    #[test]
    fn a_trusted_proxy_that_says_https_is_believed_and_nobody_else() {
        let edge = edge("trusted_proxies = [\"172.16.0.0/12\"]", Some(443));
        for fields in [
            ("x-forwarded-proto", "https"),
            ("x-forwarded-proto", "HTTPS"),
            ("x-forwarded-proto", "http, https"),
            ("forwarded", "for=192.0.2.1;proto=https"),
            ("forwarded", "proto=http, for=\"a,b\"; Proto=\"https\""),
        ] {
            let parts = asking("/a", &[fields]);
            let by = |address| edge.instead_of(peer(address, false), &parts, Some("m.example"));
            assert_eq!(by("172.18.0.2"), None, "{fields:?}");
            assert!(by("203.0.113.1").is_some(), "{fields:?}");
        }
        for fields in [
            ("x-forwarded-proto", "http"),
            ("x-forwarded-proto", "httpsx"),
            ("forwarded", "for=https;host=proto"),
        ] {
            let parts = asking("/a", &[fields]);
            let to = edge.instead_of(peer("172.18.0.2", false), &parts, Some("m.example"));
            assert!(to.is_some(), "{fields:?}");
        }
    }

    #[test]
    fn a_span_is_told_to_browsers_in_seconds() {
        assert_eq!(edge("", Some(443)).hsts, None);
        let edge = edge(
            "[server.tls]\ncertificate = \"a\"\nprivate_key = \"b\"\nhsts = \"180d\"",
            Some(443),
        );
        assert_eq!(edge.hsts.unwrap(), "max-age=15552000");
    }
}
