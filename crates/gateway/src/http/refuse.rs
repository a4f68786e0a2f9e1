//! Answers that are not about a found object: what was wrong, in a few words.
//!
//! The one place where a refusal becomes a status. Nothing that a client sent is repeated, except
//! the address of a misdirected request, shortened and in printable ASCII.

use std::net::IpAddr;

use http::StatusCode;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION,
    RETRY_AFTER,
};
use http::response::Parts;
use object::InvalidKey;

use super::respond::{METHODS, NO_STORE, bare};

/// Somebody has to correct a configuration.
const AFTER_CORRECTION_SECONDS: u64 = 120;
/// How much of a client's text a body repeats.
const MAX_ECHO_CHARS: usize = 200;

/// Why a request is not answered with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// 400: the path cannot be a key.
    BadKey(InvalidKey),
    /// 400: the request is not proper HTTP, for this reason.
    BadRequest(&'static str),
    /// 413, and the connection is closed: nobody reads the body.
    BodyNotAllowed,
    /// 403: the key is outside what the route publishes.
    KeyOutside,
    /// 308: it is only to be had by https, there.
    ByHttps(HeaderValue),
    /// 404: every origin said that it does not have it.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 410: deleted on purpose.
    Gone,
    /// 421: no route answers there.
    Misdirected {
        /// As asked, empty where none was.
        host: String,
        /// As asked, percent-encoded.
        path: String,
    },
    /// 503: nobody can say whether it exists.
    Unavailable {
        /// When asking again makes sense.
        retry_after_seconds: u64,
    },
    /// 503: as many answers as allowed are on their way.
    TooManyBodies,
    /// 503: only the end of the connection would end the body, and there it looks like a break.
    EndUnseen,
}

impl Refusal {
    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadKey(_) | Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::BodyNotAllowed => StatusCode::PAYLOAD_TOO_LARGE,
            Self::KeyOutside => StatusCode::FORBIDDEN,
            Self::ByHttps(_) => StatusCode::PERMANENT_REDIRECT,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Gone => StatusCode::GONE,
            Self::Misdirected { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::Unavailable { .. } | Self::TooManyBodies | Self::EndUnseen => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    fn text(&self) -> String {
        match self {
            Self::BadKey(reason) => format!("{reason}\n"),
            Self::BadRequest(reason) => format!("{reason}\n"),
            Self::BodyNotAllowed => "a request for media has no body\n".into(),
            Self::KeyOutside => "this is not published here\n".into(),
            Self::ByHttps(_) => "this is to be had by https\n".into(),
            Self::NotFound => "not found\n".into(),
            Self::MethodNotAllowed => "media is only read here: GET, HEAD, OPTIONS\n".into(),
            Self::Gone => "this was deleted\n".into(),
            Self::Misdirected { host, path } => misdirected(host, path),
            Self::Unavailable { .. } => {
                "nobody can say at the moment whether this exists; try again\n".into()
            }
            Self::TooManyBodies => "too many downloads at the moment; try again\n".into(),
            Self::EndUnseen => {
                "the length of this is not known, and by HTTP/1.0 on a unix socket nobody could tell \
                 its end from a break: let the proxy in front speak HTTP/1.1 (nginx: \
                 proxy_http_version 1.1;)\n"
                    .into()
            }
        }
    }
}

/// The head and the text body of a refusal. For HEAD the body is left out and the head stays.
pub fn refuse(refusal: &Refusal) -> (Parts, String) {
    let body = refusal.text();
    let mut parts = bare(refusal.status());
    let headers = &mut parts.headers;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, plain);
    headers.insert(CONTENT_LENGTH, body.len().into());
    headers.insert(CACHE_CONTROL, NO_STORE);
    match refusal {
        Refusal::BodyNotAllowed => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Refusal::MethodNotAllowed => {
            headers.insert(ALLOW, METHODS);
        }
        Refusal::Gone => {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
        }
        Refusal::ByHttps(location) => {
            headers.insert(LOCATION, location.clone());
            // Not for as long as a client likes: a redirection may have been a mistake.
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
        }
        Refusal::Unavailable {
            retry_after_seconds,
        } => {
            headers.insert(RETRY_AFTER, (*retry_after_seconds).into());
        }
        Refusal::TooManyBodies => {
            headers.insert(RETRY_AFTER, 1.into());
        }
        Refusal::EndUnseen => {
            headers.insert(RETRY_AFTER, AFTER_CORRECTION_SECONDS.into());
        }
        Refusal::BadKey(_)
        | Refusal::BadRequest(_)
        | Refusal::KeyOutside
        | Refusal::NotFound
        | Refusal::Misdirected { .. } => {}
    }
    (parts, body)
}

fn misdirected(host: &str, path: &str) -> String {
    let asked = if host.is_empty() { "(none)" } else { host };
    let cause = if is_internal(host) {
        "this looks like a name inside your own network: the proxy in front probably does not \
         pass the Host header (nginx: proxy_set_header Host $host;)"
    } else {
        "either the host stands in no route's url, or the path lies outside those urls, or the \
         proxy in front does not pass the Host header (nginx: proxy_set_header Host $host;)"
    };
    format!(
        "no route answers here\nhost: {}\npath: {}\n{cause}\n",
        echo(asked),
        echo(path)
    )
}

/// Whether a proxy would rather have made up this host than a client asked for it.
fn is_internal(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    !host.contains('.') || address.parse::<IpAddr>().is_ok()
}

fn echo(text: &str) -> String {
    text.chars()
        .take(MAX_ECHO_CHARS)
        .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
        .collect()
}
