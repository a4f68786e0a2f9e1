//! How one origin is reached and judged; filled in by whoever reads the configuration.
//!
//! Plain data that has already been checked. Secrets print as `[hidden]`.

use std::path::PathBuf;
use std::time::Duration;

use object::ObjectKey;
use secrecy::{ExposeSecret, SecretString};

/// One origin, whatever its kind.
#[derive(Debug, Clone, PartialEq)]
pub struct OriginSettings {
    /// `[a-z0-9_-]+`; also the metrics label.
    pub name: Box<str>,
    /// Where and how its objects live.
    pub kind: Kind,
    /// Active or in rehearsal. A retired origin is never built.
    pub state: OriginState,
    /// First matching rule turns the route's key into this origin's.
    pub rewrite: Vec<RewriteRule>,
    /// Keys known to be there.
    pub canary: Canary,
    /// What an anonymous 403 `AccessDenied` means.
    pub forbidden_means: ForbiddenMeans,
    /// For one TCP connection and TLS handshake.
    pub connect_timeout: Duration,
    /// From a question to the answer's head, once connected.
    pub first_byte_timeout: Duration,
    /// Between two chunks of a body.
    pub idle_timeout: Duration,
    /// When the next origin is probed beside this one.
    pub hedge_after: Duration,
    /// Requests per second, viewers and background together; `None` is no limit.
    pub max_requests_per_second: Option<f64>,
    /// Questions waiting for an answer at one time.
    pub max_concurrency: usize,
}

/// Whether an origin takes part in the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginState {
    /// Asked in its turn.
    Active,
    /// Asked last, as if already gone; each save is counted.
    Rehearsal,
}

/// Where objects live.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// An S3 bucket.
    S3(S3Settings),
    /// A web server.
    Http(HttpSettings),
    /// A directory.
    Filesystem(FilesystemSettings),
}

/// A bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct S3Settings {
    /// `https://sgp1.vultrobjects.com`, without the bucket.
    pub endpoint: url::Url,
    /// For signing; `us-east-1` where the provider does not care.
    pub region: Box<str>,
    /// The bucket's name.
    pub bucket: Box<str>,
    /// How the bucket's name stands in the URL.
    pub addressing: Addressing,
    /// Absent for a public bucket.
    pub credentials: Option<Credentials>,
    /// Whether reads are signed.
    pub read: ReadAs,
    /// Whether objects that are written are made readable to everybody (`write_acl`).
    pub public_writes: bool,
    /// The provider's known quirks.
    pub provider: Option<Provider>,
    /// IPv4 only, or both.
    pub ip: IpVersions,
}

/// An access key pair.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The public half; hidden all the same.
    pub access_key_id: SecretString,
    /// The private half.
    pub secret_access_key: SecretString,
}

/// Of two keys that the operator wrote, not of one that a stranger guesses.
impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        let pair = |one: &Self| {
            let secret = one.secret_access_key.expose_secret().to_owned();
            (one.access_key_id.expose_secret().to_owned(), secret)
        };
        pair(self) == pair(other)
    }
}

/// A web server with objects below one URL.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpSettings {
    /// Ends with a slash; the key is appended, percent-encoded.
    pub url: url::Url,
    /// Whether its 404 can be believed.
    pub missing_means: MissingMeans,
    /// Whether a 200 `text/html` is an object and not a parked domain.
    pub allow_html: bool,
    /// IPv4 only, or both.
    pub ip: IpVersions,
}

/// A directory.
#[derive(Debug, Clone, PartialEq)]
pub struct FilesystemSettings {
    /// Keys are paths below it.
    pub root: PathBuf,
    /// A file in the root without which nothing is *missing*; empty turns that off.
    pub marker: Box<str>,
    /// Bytes of its disk that stay free when objects are written; `None` where none may be.
    pub min_free_bytes: Option<u64>,
}

/// How a bucket's name stands in the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// `https://endpoint/bucket/key`.
    Path,
    /// `https://bucket.endpoint/key`.
    VirtualHost,
}

/// Whether reads carry a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadAs {
    /// With the credentials.
    Signed,
    /// As a stranger; credentials only list, write and settle 403s.
    Anonymous,
}

/// What an anonymous 403 `AccessDenied` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForbiddenMeans {
    /// Nothing, unless canaries prove otherwise.
    Unknown,
    /// The key is not there; the operator says so.
    Missing,
}

/// What a web server's 404 means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingMeans {
    /// The key is not there.
    Missing,
    /// Nothing: this server says 404 in an outage too.
    Unknown,
}

/// Which addresses of a host are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpVersions {
    /// IPv4 and IPv6.
    Any,
    /// IPv4 only.
    V4,
}

/// Keys that prove an origin to be the one it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Canary {
    /// Up to 8 keys that this origin has served.
    Auto,
    /// These, as the origin spells them (not rewritten).
    Keys(Vec<ObjectKey>),
}

/// One rule of an origin's own layout: a key that starts with `from` starts with `to` there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewriteRule {
    /// The route's prefix.
    pub from: Box<str>,
    /// The origin's prefix.
    pub to: Box<str>,
}

/// Storage providers whose quirks are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provider {
    /// Vultr Object Storage (Ceph).
    Vultr,
    /// Cloudflare R2.
    R2,
    /// Backblaze B2.
    B2,
    /// Wasabi.
    Wasabi,
    /// Amazon S3.
    Aws,
    /// MinIO.
    Minio,
    /// Garage.
    Garage,
    /// SeaweedFS.
    Seaweedfs,
    /// Ceph RADOS Gateway.
    Ceph,
    /// Linode Object Storage (Ceph).
    Linode,
    /// DigitalOcean Spaces (Ceph).
    Digitalocean,
    /// Scaleway Object Storage.
    Scaleway,
}
