//! The heads of answers about an object that was found, and of the CORS preflight.
//!
//! Every head here is built from nothing; an origin's headers are never copied. Bodies belong to
//! the caller, which leaves them out for HEAD and keeps the head as it is.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, AGE, ALLOW,
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    LAST_MODIFIED, X_CONTENT_TYPE_OPTIONS,
};
use http::response::Parts;
use http::{Response, StatusCode};
use object::ByteRange;

use super::conditions::http_seconds;
use super::range::{content_range, unsatisfied_range};

pub use super::refuse::{Refusal, refuse};

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const X_ORIGIN: HeaderName = HeaderName::from_static("x-origin");

pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
pub(super) const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// More than any answer has, with what the server adds.
const MOST_HEADERS: usize = 24;

const POLICY: &str = "default-src 'none'; img-src 'self'; media-src 'self'; \
                      style-src 'unsafe-inline'; sandbox";
const EXPOSED: &str = "Accept-Ranges, Age, Cache-Status, Content-Disposition, Content-Encoding, \
                       Content-Length, Content-Range, ETag, Retry-After, X-Cache, X-Origin";
/// The star does for browsers of today; older ones want the names.
const REQUEST_HEADERS: &str = "*, Range, If-Range, If-Match, If-None-Match, If-Modified-Since, \
                               If-Unmodified-Since, Cache-Control";

/// What is known of the object before its bytes.
#[derive(Debug, Clone)]
pub struct Representation {
    /// Our strong entity tag, quotes included.
    pub etag: Option<String>,
    /// Left out where an HTTP date cannot spell it.
    pub last_modified: Option<SystemTime>,
    /// As presented, not as stored.
    pub content_type: HeaderValue,
    /// `Content-Disposition`.
    pub disposition: Option<HeaderValue>,
    /// `Content-Encoding`, as stored: the gateway never decodes.
    pub encoding: Option<HeaderValue>,
    /// `Content-Language`, as stored.
    pub language: Option<HeaderValue>,
    /// The whole object's length in bytes.
    pub length: Option<u64>,
}

/// What the cache did for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheResult {
    /// All of it came from the cache.
    Hit,
    /// An origin was asked.
    Miss,
    /// An origin had been asked by another request, and this one waited for it.
    Collapsed,
    /// It came from the cache because no origin could say.
    Stale,
    /// It came from the cache after an origin confirmed it.
    Revalidated,
    /// The cache was not asked.
    Bypass,
}

impl CacheResult {
    /// Every result, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Hit,
        Self::Miss,
        Self::Collapsed,
        Self::Stale,
        Self::Revalidated,
        Self::Bypass,
    ];

    /// As in `X-Cache`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Hit => "HIT",
            Self::Miss | Self::Collapsed => "MISS",
            Self::Stale => "STALE",
            Self::Revalidated => "REVALIDATED",
            Self::Bypass => "BYPASS",
        }
    }

    /// As in the `cache` label of metrics.
    pub fn metrics_label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss | Self::Collapsed => "miss",
            Self::Stale => "stale",
            Self::Revalidated => "revalidated",
            Self::Bypass => "bypass",
        }
    }

    /// RFC 9211 section 2.
    fn status(self) -> &'static str {
        match self {
            Self::Hit => "media-gateway; hit",
            Self::Miss => "media-gateway; fwd=miss",
            Self::Collapsed => "media-gateway; fwd=miss; collapsed",
            Self::Stale => "media-gateway; hit; detail=stale",
            Self::Revalidated => "media-gateway; fwd=stale; fwd-status=304",
            Self::Bypass => "media-gateway; fwd=bypass",
        }
    }
}

/// How an answer came about.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// `Cache-Control` of what is found.
    pub cache_control: &'a HeaderValue,
    /// What the cache did.
    pub cache: CacheResult,
    /// Seconds since an origin confirmed it, where it comes from the cache (RFC 9111 section 5.1).
    pub age_seconds: Option<u64>,
    /// The origin's name for `X-Origin`; `None` leaves the header out.
    pub origin: Option<Arc<str>>,
}

/// 200.
pub fn ok(context: &Context<'_>, what: &Representation) -> Parts {
    let mut parts = found(StatusCode::OK, context, context.cache_control);
    describe(&mut parts.headers, what);
    if let Some(length) = what.length {
        parts.headers.insert(CONTENT_LENGTH, length.into());
    }
    parts
}

/// The head of a hit as it was made before, at a later moment: only what the cache did and the age
/// have changed.
pub fn again(before: &HeaderMap, cache: CacheResult, age_seconds: u64) -> Parts {
    let mut parts = Response::new(()).into_parts().0;
    parts.headers = before.clone();
    parts.headers.insert(AGE, age_seconds.into());
    if cache != CacheResult::Hit {
        note(&mut parts.headers, cache);
    }
    parts
}

/// 206 with one range, which holds at least one byte. The object's length is that of `what`, or
/// the range's end where it is not known.
pub fn partial(context: &Context<'_>, what: &Representation, range: ByteRange) -> Parts {
    let mut parts = found(StatusCode::PARTIAL_CONTENT, context, context.cache_control);
    describe(&mut parts.headers, what);
    let total = what.length.unwrap_or(range.end);
    let headers = &mut parts.headers;
    headers.insert(CONTENT_RANGE, content_range(range, total));
    headers.insert(CONTENT_LENGTH, range.length().into());
    parts
}

/// 304 with only what a client needs to keep what it has (RFC 9110 section 15.4.5).
pub fn not_modified(context: &Context<'_>, what: &Representation) -> Parts {
    let mut parts = found(StatusCode::NOT_MODIFIED, context, context.cache_control);
    validate(&mut parts.headers, what);
    if parts.headers.contains_key(ETAG) {
        parts.headers.remove(LAST_MODIFIED);
    }
    parts
}

/// 412, without a body. The validators tell the client what it would have matched.
pub fn precondition_failed(context: &Context<'_>, what: &Representation) -> Parts {
    let mut parts = found(StatusCode::PRECONDITION_FAILED, context, &NO_STORE);
    validate(&mut parts.headers, what);
    parts.headers.insert(CONTENT_LENGTH, 0.into());
    parts
}

/// 416, without a body.
pub fn unsatisfiable(context: &Context<'_>, total: u64) -> Parts {
    let mut parts = found(StatusCode::RANGE_NOT_SATISFIABLE, context, &NO_STORE);
    let headers = &mut parts.headers;
    headers.insert(CONTENT_RANGE, unsatisfied_range(total));
    headers.insert(CONTENT_LENGTH, 0.into());
    parts
}

/// 204 for OPTIONS: any page may read, by the methods there are.
pub fn preflight() -> Parts {
    let mut parts = bare(StatusCode::NO_CONTENT);
    let headers = &mut parts.headers;
    headers.insert(ALLOW, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    let names = HeaderValue::from_static(REQUEST_HEADERS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
    let day = HeaderValue::from_static("86400");
    headers.insert(ACCESS_CONTROL_MAX_AGE, day);
    parts
}

/// 200 for an authority's challenge, with a text of so many bytes.
pub fn challenge(length_bytes: usize) -> Parts {
    let mut parts = bare(StatusCode::OK);
    let headers = &mut parts.headers;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, plain);
    headers.insert(CONTENT_LENGTH, length_bytes.into());
    headers.insert(CACHE_CONTROL, NO_STORE);
    parts
}

/// What every answer carries, whatever its status.
pub(super) fn bare(status: StatusCode) -> Parts {
    let mut parts = Response::new(()).into_parts().0;
    parts.status = status;
    // At once: growing by and by hashes every name again.
    parts.headers = HeaderMap::with_capacity(MOST_HEADERS);
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED),
    ] {
        parts.headers.insert(name, HeaderValue::from_static(value));
    }
    parts
}

fn found(status: StatusCode, context: &Context<'_>, cache_control: &HeaderValue) -> Parts {
    let mut parts = bare(status);
    let headers = &mut parts.headers;
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_CONTROL, cache_control.clone());
    note(headers, context.cache);
    if let Some(age) = context.age_seconds {
        headers.insert(AGE, age.into());
    }
    let origin = context.origin.as_deref().map(HeaderValue::from_str);
    if let Some(Ok(origin)) = origin {
        headers.insert(X_ORIGIN, origin);
    }
    parts
}

fn note(headers: &mut HeaderMap, cache: CacheResult) {
    headers.insert(X_CACHE, HeaderValue::from_static(cache.label()));
    headers.insert(CACHE_STATUS, HeaderValue::from_static(cache.status()));
}

fn describe(headers: &mut HeaderMap, what: &Representation) {
    headers.insert(CONTENT_TYPE, what.content_type.clone());
    for (name, value) in [
        (CONTENT_DISPOSITION, &what.disposition),
        (CONTENT_ENCODING, &what.encoding),
        (CONTENT_LANGUAGE, &what.language),
    ] {
        if let Some(value) = value {
            headers.insert(name, value.clone());
        }
    }
    validate(headers, what);
}

fn validate(headers: &mut HeaderMap, what: &Representation) {
    let etag = what.etag.as_deref().map(HeaderValue::from_str);
    if let Some(Ok(etag)) = etag {
        headers.insert(ETAG, etag);
    }
    // The formatter panics on what an HTTP date cannot spell, such as a file from before 1970.
    if let Some(seconds) = what.last_modified.and_then(http_seconds) {
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
        let date = HeaderValue::try_from(date).expect("an HTTP date is a header value");
        headers.insert(LAST_MODIFIED, date);
    }
}

#[cfg(test)]
mod tests;
