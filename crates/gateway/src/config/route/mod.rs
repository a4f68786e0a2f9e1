//! Public URL prefixes and the ordered origins behind them.
//!
//! What a route refuses, it refuses at start: a wrong route means a 404 that other servers
//! remember for ever, or a file that was never meant to be published.

mod check;
mod headers;
mod keys;
mod origins;
mod url;

use http::HeaderValue;
use schemars::JsonSchema;
use serde::Deserialize;

pub use self::url::RouteUrl;
pub(super) use check::check;

use super::values::{ByteRate, OneOrMany, Rate};

/// One public URL prefix, or several, and the origins behind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRoute {
    /// For metrics and logs. May be left out where there is one route. Default `"media"`.
    name: Option<String>,
    /// `"https://s3.example.com/"`, or a list of such. `"/storage/"` is that path on any host.
    /// A port is ignored. Of the routes that match, one with a host wins over one for any host,
    /// then the longest path. Required.
    url: Option<OneOrMany>,
    /// The key prefixes that are published; all other keys are answered 403. Required where an
    /// origin signs its reads; `[""]` publishes everything. Default: everything.
    keys: Option<Vec<String>>,
    /// What stands in the key instead of the URL's own path: `"storage/"` for
    /// `url = "https://example.com/storage/"` where the bucket has `storage/` too. Default `""`.
    key_prefix: Option<String>,
    /// The names of the origins, in the order they are asked. Required.
    origins: Option<Vec<String>>,
    /// The origin to which objects found elsewhere are copied. Default: none.
    promote_to: Option<String>,
    /// How fast copies are written to it. Default `"10 MB/s"`.
    promote_bandwidth: Option<ByteRate>,
    /// The origin where the application writes and deletes. Default: the first.
    uploads_to: Option<String>,
    /// What a key means that the application has deleted from `uploads_to` and an older origin
    /// still has: `"hold"` serves it and counts it, `"follow"` answers 410. Default `"hold"`.
    deletes: Option<RawDeletes>,
    /// How many deletions are followed in a time before the gateway holds and alerts.
    /// Default `"100/h"`.
    deletes_brake: Option<Rate>,
    /// The cache space; routes that name the same one share what they have. Default: the name.
    cache: Option<String>,
    /// `Cache-Control` of what is found. Default `"public, max-age=31536000, immutable"`.
    cache_control: Option<String>,
    /// The query parameter that names the downloaded file; Pleroma's is `"name"`. Default `""`.
    filename_parameter: Option<String>,
    /// Types shown in the browser besides the safe ones. Default `[]`.
    inline_types: Option<Vec<String>>,
    /// Whether a generic type (application/octet-stream) is replaced by a safe one that the
    /// content shows. Default `true`.
    repair_types: Option<bool>,
    /// Allows a route at `/files/`, where Misskey itself answers. Default `false`.
    i_know_this_breaks_misskey: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RawDeletes {
    Hold,
    Follow,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its name; also the metrics label.
    pub name: Box<str>,
    /// Where it answers; never empty, and no two routes share one.
    pub urls: Vec<RouteUrl>,
    /// The key prefixes that are published; never empty, `""` is every key.
    pub keys: Vec<String>,
    /// What stands in the key instead of the URL's path.
    pub key_prefix: String,
    /// The names of the origins in the order they are asked, retired ones left out; never empty.
    pub origins: Vec<Box<str>>,
    /// The names of those that are listed and retired.
    pub retired: Vec<Box<str>>,
    /// Where found objects are copied to.
    pub promote_to: Option<Box<str>>,
    /// How fast, in bytes per second; only with `promote_to`.
    pub promote_bandwidth: Option<u64>,
    /// Where the application writes and deletes.
    pub uploads_to: Box<str>,
    /// What a withdrawn key means.
    pub deletes: Deletes,
    /// How many deletions are followed in a time.
    pub deletes_brake: Rate,
    /// The cache space.
    pub cache_space: Box<str>,
    /// `Cache-Control` of what is found.
    pub cache_control: HeaderValue,
    /// The query parameter that names the downloaded file.
    pub filename_parameter: Option<String>,
    /// Types shown besides the safe ones; `type/subtype`, lower case, no parameters.
    pub inline_types: Vec<String>,
    /// Whether generic types are repaired.
    pub repair_types: bool,
}

/// What is answered for a key that the application has deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletes {
    /// What an older origin still has.
    Hold,
    /// 410.
    Follow,
}
