//! What HTTP means to a media gateway: which request is proper, what its conditions and ranges
//! ask for, and how each answer is headed.
//!
//! Pure functions over headers: nothing here does I/O, waits, reads a clock or knows an origin.
//! Text of a client or an origin reaches a header or a body only through the checks of this
//! module.

pub mod conditions;
pub mod disposition;
pub mod etag;
pub mod range;
mod refuse;
pub mod request;
pub mod respond;
pub mod types;

use ::http::header::{HeaderMap, HeaderName, HeaderValue};

/// The header's value where it stands exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}
