//! The kinds of origins. Only this folder sees an HTTP client.
//!
//! Each kind translates a [`crate::Question`] into its protocol and the answer into an
//! [`crate::Answer`]; none of them remembers anything between two questions but connections.

mod body;
mod client;
mod content_range;
mod errand;
mod error_body;
mod filesystem;
mod head;
mod headers;
mod http;
mod judge;
mod outgoing;
mod s3;
#[cfg(test)]
mod scripted;
mod success;
#[cfg(test)]
mod tests;
mod transport;
mod wire;
mod xml;

pub use filesystem::{Filesystem, RootReport};
pub use s3::{put_held_bytes, put_requests};

use std::sync::Arc;

use crate::names::Names;
use crate::{Kind, Origin, OriginSettings};

/// Makes an origin of its kind. Connects to nothing and resolves nothing: the gateway starts with
/// every origin down.
///
/// # Errors
/// The settings describe an origin that cannot exist.
pub fn build(settings: &OriginSettings, names: &Names) -> Result<Arc<dyn Origin>, BuildError> {
    match &settings.kind {
        Kind::S3(bucket) => Ok(Arc::new(s3::S3::open(settings, bucket, names)?)),
        Kind::Http(server) => Ok(Arc::new(http::Http::open(settings, server, names)?)),
        Kind::Filesystem(directory) => Ok(Arc::new(Filesystem::open(&settings.name, directory))),
    }
}

/// An origin that cannot exist as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("origin {origin:?}: {what}; {remedy}")]
pub struct BuildError {
    /// Its name.
    pub origin: Box<str>,
    /// What is wrong.
    pub what: Box<str>,
    /// What to do about it.
    pub remedy: Box<str>,
}

impl BuildError {
    fn new(origin: &str, what: impl Into<Box<str>>, remedy: impl Into<Box<str>>) -> Self {
        Self {
            origin: origin.into(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}
