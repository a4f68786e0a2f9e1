//! What tells one version of an object from another at the origin that gave it.
//!
//! A validator is only comparable with one of the same origin; [`crate::Proofs`] compares across
//! origins.

use std::time::SystemTime;

/// An origin's own mark of a version (RFC 9110 section 8.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Validator {
    /// An entity tag as it stands in the header, quotes included, without `W/`.
    Strong(Box<str>),
    /// A weak entity tag, without `W/`: equal meaning, perhaps other bytes.
    Weak(Box<str>),
    /// Only a date, one second coarse.
    Modified(SystemTime),
}

impl Validator {
    /// Reads an `ETag` header; `None` where it is malformed (RFC 9110 section 8.8.3). Unquoted
    /// tags, which some S3 servers send, are accepted and quoted.
    pub fn from_etag(header: &str) -> Option<Self> {
        let (weak, tag) = match header.trim().strip_prefix("W/") {
            Some(rest) => (true, rest),
            None => (false, header.trim()),
        };
        let inner = tag
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(tag);
        let printable = |byte: u8| byte == 0x21 || (0x23..=0x7e).contains(&byte) || byte >= 0x80;
        if inner.is_empty() || !inner.bytes().all(printable) {
            return None;
        }
        let quoted = format!("\"{inner}\"").into_boxed_str();
        Some(if weak {
            Self::Weak(quoted)
        } else {
            Self::Strong(quoted)
        })
    }

    /// The entity tag for an `If-Match` header, where this validator is strong enough for one.
    pub fn if_match(&self) -> Option<&str> {
        match self {
            Self::Strong(tag) => Some(tag),
            Self::Weak(_) | Self::Modified(_) => None,
        }
    }

    /// Whether both name the same bytes, given that both come from the same origin. Weak tags and
    /// dates never prove that.
    pub fn proves_same(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Strong(a), Self::Strong(b)) if a == b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_are_read_as_the_rfc_spells_them() {
        assert_eq!(
            Validator::from_etag("\"a\""),
            Some(Validator::Strong("\"a\"".into()))
        );
        assert_eq!(
            Validator::from_etag("W/\"a\""),
            Some(Validator::Weak("\"a\"".into()))
        );
        assert_eq!(
            Validator::from_etag("a"),
            Some(Validator::Strong("\"a\"".into()))
        );
        for bad in ["", "\"\"", "\"a b\"", "\"a\"b\"", "a\r\nb"] {
            assert_eq!(Validator::from_etag(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_equal_strong_tags_prove_equal_bytes() {
        let strong = Validator::from_etag("\"a\"").unwrap();
        let weak = Validator::from_etag("W/\"a\"").unwrap();
        let date = Validator::Modified(SystemTime::UNIX_EPOCH);
        assert!(strong.proves_same(&strong));
        assert!(!weak.proves_same(&weak) && !date.proves_same(&date) && !strong.proves_same(&weak));
    }
}
