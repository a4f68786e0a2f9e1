//! Why no answer came: sorts the HTTP client's failures.
//!
//! The client's own messages hold the URL, and with it the signature; only the root of a failure
//! is ever put into words.

use std::error::Error;
use std::io;

use crate::{Failure, Reason};

/// A question that got no answer.
#[derive(Debug)]
pub(super) struct NoAnswer {
    /// Why.
    pub(super) failure: Failure,
    /// Whether the connection broke before a byte of the answer, as an old one does.
    pub(super) dropped: bool,
}

impl NoAnswer {
    /// Sorts a failure of `origin`.
    pub(super) fn of(error: reqwest::Error, origin: &str) -> Self {
        let error = error.without_url();
        let (reason, dropped) = sort(&error);
        let what = match (reason, dropped) {
            (Reason::Timeout, _) => format!("{origin}: no connection in time"),
            (_, true) => format!("{origin}: the connection broke before an answer"),
            _ => format!("{origin}: {}", root(&error)),
        };
        Self {
            failure: Failure::new(reason, what),
            dropped,
        }
    }
}

fn sort(error: &reqwest::Error) -> (Reason, bool) {
    if error.is_dns() {
        return (Reason::Dns, false);
    }
    if causes(error).any(<dyn Error>::is::<rustls::Error>) {
        return (Reason::Tls, false);
    }
    if error.is_timeout() {
        return (Reason::Timeout, false);
    }
    if error.is_connect() {
        return (Reason::Connect, false);
    }
    if causes(error).any(is_drop) {
        return (Reason::Connect, true);
    }
    (Reason::Protocol, false)
}

/// Everything below a failure. What an [`io::Error`] wraps is a cause too, though its `source`
/// skips it.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| below(*cause))
}

fn below<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let wrapped = cause
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match wrapped {
        Some(wrapped) => Some(wrapped),
        None => cause.source(),
    }
}

fn root(error: &reqwest::Error) -> String {
    causes(error)
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

fn is_drop(cause: &(dyn Error + 'static)) -> bool {
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        return error.is_incomplete_message() || error.is_canceled() || error.is_closed();
    }
    if let Some(error) = cause.downcast_ref::<h2::Error>() {
        let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM);
        return error.is_go_away() || error.is_io() || refused;
    }
    cause.downcast_ref::<io::Error>().is_some_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::NotConnected
                | io::ErrorKind::UnexpectedEof
        )
    })
}
