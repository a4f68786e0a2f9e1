//! The HTTP client of one origin, and the rules that every request follows.
//!
//! No redirects, no proxies, no cookies, no decoding, no retries of its own: each of these would
//! send a request that nobody counted, or somewhere that nobody configured. Certificates are
//! always verified.

use std::net::SocketAddr;
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder};

use crate::IpVersions;
use crate::names::Names;

const USER_AGENT: &str = concat!("media-gateway/", env!("CARGO_PKG_VERSION"));

/// Shorter than what providers keep, so that few requests meet a closing connection.
const POOL_IDLE: Duration = Duration::from_secs(20);
const KEEPALIVE: Duration = Duration::from_secs(15);

/// What differs between origins.
#[derive(Debug, Clone)]
pub(super) struct Manners {
    /// Whether connections are encrypted.
    pub(super) https: bool,
    /// Whether HTTP/2 may be chosen.
    pub(super) http2: bool,
    /// The encodings that may come.
    pub(super) accept_encoding: &'static str,
    /// For DNS, TCP and TLS together.
    pub(super) connect_timeout: Duration,
    /// How many idle connections are kept.
    pub(super) idle_connections: usize,
    /// Which addresses are used.
    pub(super) ip: IpVersions,
}

/// One origin's connections.
pub(super) struct Clients {
    pooled: Client,
    fresh: Client,
    /// Whether no certificate can be trusted because this system knows no authority.
    pub(super) trusts_nobody: bool,
}

impl Clients {
    /// Makes the clients; connects to nothing and resolves nothing.
    pub(super) fn build(manners: &Manners, names: &Names) -> Result<Self, reqwest::Error> {
        let pooled = builder(manners, names).pool_max_idle_per_host(manners.idle_connections);
        let fresh = || builder(manners, names).pool_max_idle_per_host(0);
        // Without https nothing is verified, and reading the system's authorities takes its time.
        if !manners.https {
            return Ok(Self {
                pooled: pooled.tls_certs_only([]).build()?,
                fresh: fresh().tls_certs_only([]).build()?,
                trusts_nobody: false,
            });
        }
        // The only thing that can fail here is that the system has no authorities at all (a
        // container without ca-certificates). The gateway must start even so, for its other
        // origins; this one answers unknown(tls) and says what to install.
        if let (Ok(pooled), Ok(fresh)) = (pooled.build(), fresh().build()) {
            return Ok(Self {
                pooled,
                fresh,
                trusts_nobody: false,
            });
        }
        Ok(Self {
            pooled: builder(manners, names).tls_certs_only([]).build()?,
            fresh: fresh().tls_certs_only([]).build()?,
            trusts_nobody: true,
        })
    }

    /// The client to ask with; a fresh one never reuses a connection.
    pub(super) fn pick(&self, fresh_connection: bool) -> &Client {
        if fresh_connection {
            &self.fresh
        } else {
            &self.pooled
        }
    }
}

fn builder(manners: &Manners, names: &Names) -> ClientBuilder {
    let encoding = HeaderValue::from_static(manners.accept_encoding);
    let builder = Client::builder()
        .user_agent(USER_AGENT)
        .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, encoding)]))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .connect_timeout(manners.connect_timeout)
        .pool_idle_timeout(POOL_IDLE)
        .tcp_keepalive(KEEPALIVE)
        .tcp_nodelay(true)
        .dns_resolver(OriginNames {
            names: names.clone(),
            versions: manners.ip,
        });
    if manners.http2 {
        // One stalled viewer may hold its own stream, never its neighbours on the connection.
        builder
            .http2_initial_stream_window_size(256 * 1024)
            .http2_initial_connection_window_size((1 << 31) - 1)
            .http2_max_header_list_size(64 * 1024)
    } else {
        builder.http1_only()
    }
}

/// Lets the HTTP client ask [`Names`].
struct OriginNames {
    names: Names,
    versions: IpVersions,
}

impl Resolve for OriginNames {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, versions) = (self.names.clone(), self.versions);
        Box::pin(async move {
            let addresses = names.addresses(name.as_str(), versions).await?;
            // Port 0 stands for the URL's.
            let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}
