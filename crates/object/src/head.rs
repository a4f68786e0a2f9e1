//! What is known of an object apart from its bytes.
//!
//! Only fields that may reach a client or prove identity; an origin's other headers end at the
//! origin.

use std::time::SystemTime;

use crate::{Proofs, Validator};

/// The description of one version of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectHead {
    /// The whole object's length in bytes; `None` where the origin only tells at the end.
    pub length: Option<u64>,
    /// `Content-Type`, as stored.
    pub content_type: Option<Box<str>>,
    /// `Content-Disposition`, as stored.
    pub content_disposition: Option<Box<str>>,
    /// `Content-Encoding`, as stored; the gateway never decodes.
    pub content_encoding: Option<Box<str>>,
    /// `Content-Language`, as stored.
    pub content_language: Option<Box<str>>,
    /// When the object was last modified, to the second.
    pub last_modified: Option<SystemTime>,
    /// The origin's own mark of this version.
    pub validator: Option<Validator>,
    /// What can be compared with other origins.
    pub proofs: Proofs,
}
