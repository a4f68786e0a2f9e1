//! `[origins.NAME]` as written. One flat table for every kind: which keys go with which kind is
//! checked later, so that the answer can say why.

use origin_resolver::{ForbiddenMeans, MissingMeans, Provider};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::values::{Budget, OneOrMany, Rate, Secret, Size, Span};

/// One place where objects live.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawOrigin {
    /// What it is: a bucket, a web server or a directory. Required.
    pub(super) kind: Option<RawKind>,
    /// `"active"`: asked in its turn. `"rehearsal"`: asked last, as if already gone, and each
    /// save is counted. `"retired"`: never contacted. Default `"active"`.
    pub(super) state: Option<RawState>,
    /// This origin's own layout: the first rule whose `from` the key starts with replaces it by
    /// `to`; other keys stay as they are. Default `[]`.
    pub(super) rewrite: Option<Vec<RawRewrite>>,
    /// Keys that prove the origin to be the one it was: `"auto"` (up to 8 that it has served), a
    /// key, or a list of keys as the origin spells them. Default `"auto"`.
    pub(super) canary: Option<OneOrMany>,
    /// s3, http: what a 403 means where nothing else can tell. Default `"unknown"`.
    pub(super) forbidden_means: Option<RawForbiddenMeans>,
    /// s3, http: for one connection, TLS included. Default `"2s"`.
    pub(super) connect_timeout: Option<Span>,
    /// From a question to the answer's head. Default `"5s"`.
    pub(super) first_byte_timeout: Option<Span>,
    /// Between two pieces of a body. Default `"15s"`.
    pub(super) idle_timeout: Option<Span>,
    /// When the next origin is asked as well, because this one has not answered.
    /// Default `"400ms"`.
    pub(super) hedge_after: Option<Span>,
    /// Requests in a time, viewers and background work together. Default: the provider's limit
    /// less a fifth where it is known, else none.
    pub(super) max_requests: Option<Rate>,
    /// Questions that wait for an answer at one time. Default `128`.
    pub(super) max_concurrency: Option<usize>,
    /// s3, http: what background work may read. Never stops viewers. Default: no limit.
    pub(super) max_egress: Option<Budget>,
    /// s3, http: `"any"`, or `"v4"` where IPv6 does not work. Default `"any"`.
    pub(super) ip: Option<RawIp>,
    /// Which copies of its objects are kept. Default `"disk"`; for a directory `"memory"`.
    pub(super) cache: Option<RawCacheTier>,

    /// s3: fills in region, addressing, listing quirks and request limit.
    pub(super) provider: Option<RawProvider>,
    /// s3: the storage's URL without the bucket. Required.
    pub(super) endpoint: Option<String>,
    /// s3: for signing. Default: the provider's, else `"us-east-1"`.
    pub(super) region: Option<String>,
    /// s3: the bucket's name. Required.
    pub(super) bucket: Option<String>,
    /// s3: `"path"` (`https://endpoint/bucket/key`) or `"virtual-host"`
    /// (`https://bucket.endpoint/key`). Default: the provider's, else `"path"`.
    pub(super) addressing: Option<RawAddressing>,
    /// s3: the public half of the key pair. Leave both out for a public bucket.
    pub(super) access_key_id: Option<Secret>,
    /// s3: a file that holds it, instead of `access_key_id`.
    pub(super) access_key_id_file: Option<String>,
    /// s3: the private half of the key pair.
    pub(super) secret_access_key: Option<Secret>,
    /// s3: a file that holds it, instead of `secret_access_key`.
    pub(super) secret_access_key_file: Option<String>,
    /// s3: `"signed"`, or `"anonymous"`: as a stranger, so that what the public may not see stays
    /// hidden; the keys then only list, write and settle 403s. Default: signed where there are
    /// keys.
    pub(super) read: Option<RawRead>,
    /// s3: the ACL of objects that the gateway writes. Default `"none"`.
    pub(super) write_acl: Option<RawWriteAcl>,

    /// http: the URL that a key is appended to. Required.
    pub(super) url: Option<String>,
    /// http: `"unknown"` for a server that also answers 404 when it is in trouble.
    /// Default `"missing"`.
    pub(super) missing_means: Option<RawMissingMeans>,
    /// http: whether a page of HTML can be an object and not a parked domain. Default `false`.
    pub(super) allow_html: Option<bool>,

    /// filesystem: the directory; keys are paths below it. Required.
    pub(super) root: Option<String>,
    /// filesystem: a file in the root without which nothing there is believed to be missing, made
    /// by `origin init NAME`; `""` turns that off. Default `".media-gateway"`.
    pub(super) marker: Option<String>,
    /// filesystem: whether the gateway may write there. Default `false`.
    pub(super) writable: Option<bool>,
    /// filesystem: what stays free on its disk. Default `"20 GB"`.
    pub(super) min_free: Option<Size>,
}

/// One rule of an origin's own layout.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRewrite {
    /// How the route's key begins.
    pub(super) from: Option<String>,
    /// How this origin's key begins instead.
    pub(super) to: Option<String>,
}

/// What an origin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawKind {
    /// A bucket.
    S3,
    /// A web server.
    Http,
    /// A directory.
    Filesystem,
}

impl RawKind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Http => "http",
            Self::Filesystem => "filesystem",
        }
    }
}

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($text:literal = $variant:ident),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
        pub(super) enum $name {
            $(#[serde(rename = $text)] $variant,)+
        }
    )+};
}

choices! {
    /// Whether an origin takes part.
    RawState { "active" = Active, "rehearsal" = Rehearsal, "retired" = Retired }
    /// What a 403 means.
    RawForbiddenMeans { "unknown" = Unknown, "missing" = Missing }
    /// What a 404 means.
    RawMissingMeans { "missing" = Missing, "unknown" = Unknown }
    /// Which addresses are used.
    RawIp { "any" = Any, "v4" = V4 }
    /// Which copies are kept.
    RawCacheTier { "disk" = Disk, "memory" = Memory, "none" = None }
    /// Where the bucket's name stands.
    RawAddressing { "path" = Path, "virtual-host" = VirtualHost }
    /// Whether reads are signed.
    RawRead { "signed" = Signed, "anonymous" = Anonymous }
    /// The ACL of written objects.
    RawWriteAcl { "none" = None, "public-read" = PublicRead }
    /// Storage providers whose quirks are known.
    RawProvider {
        "vultr" = Vultr,
        "r2" = R2,
        "b2" = B2,
        "wasabi" = Wasabi,
        "aws" = Aws,
        "minio" = Minio,
        "garage" = Garage,
        "seaweedfs" = Seaweedfs,
        "ceph" = Ceph,
        "linode" = Linode,
        "digitalocean" = Digitalocean,
        "scaleway" = Scaleway,
    }
}

impl From<RawForbiddenMeans> for ForbiddenMeans {
    fn from(raw: RawForbiddenMeans) -> Self {
        match raw {
            RawForbiddenMeans::Unknown => Self::Unknown,
            RawForbiddenMeans::Missing => Self::Missing,
        }
    }
}

impl From<RawMissingMeans> for MissingMeans {
    fn from(raw: RawMissingMeans) -> Self {
        match raw {
            RawMissingMeans::Missing => Self::Missing,
            RawMissingMeans::Unknown => Self::Unknown,
        }
    }
}

impl From<RawProvider> for Provider {
    fn from(raw: RawProvider) -> Self {
        match raw {
            RawProvider::Vultr => Self::Vultr,
            RawProvider::R2 => Self::R2,
            RawProvider::B2 => Self::B2,
            RawProvider::Wasabi => Self::Wasabi,
            RawProvider::Aws => Self::Aws,
            RawProvider::Minio => Self::Minio,
            RawProvider::Garage => Self::Garage,
            RawProvider::Seaweedfs => Self::Seaweedfs,
            RawProvider::Ceph => Self::Ceph,
            RawProvider::Linode => Self::Linode,
            RawProvider::Digitalocean => Self::Digitalocean,
            RawProvider::Scaleway => Self::Scaleway,
        }
    }
}
