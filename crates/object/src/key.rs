//! The name of an object inside a route, byte for byte as the bucket knows it.
//!
//! A key is parsed once, at the door; whoever holds one need not check it again. It is never
//! normalised: `//x`, `null/x`, a leading or trailing slash all occur in real buckets.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The longest key, in bytes of UTF-8 (Amazon S3 User Guide, "Naming Amazon S3 objects").
pub const MAX_KEY_BYTES: usize = 1024;

/// How the gateway's own files begin, in any directory; keys with such a segment are never served.
pub const RESERVED_NAME: &str = ".media-gateway";

/// Everything but RFC 3986's unreserved characters and the slash.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// A key is never empty, is at most [`MAX_KEY_BYTES`] long, and holds no NUL, no backslash and no
/// `.` or `..` segment. Slashes are kept exactly as they came.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(Arc<str>);

impl ObjectKey {
    /// Takes a key that is already decoded.
    ///
    /// # Errors
    /// Says why the text cannot be a key.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        if text.is_empty() {
            return Err(InvalidKey::Empty);
        }
        if text.len() > MAX_KEY_BYTES {
            return Err(InvalidKey::TooLong);
        }
        // One look at each byte: a key is read for every request.
        let mut dots_only = true;
        let mut segment_bytes = 0;
        for byte in text.as_bytes() {
            match byte {
                0 => return Err(InvalidKey::Nul),
                b'\\' => return Err(InvalidKey::Backslash),
                b'/' if is_dots(dots_only, segment_bytes) => return Err(InvalidKey::DotSegment),
                b'/' => (dots_only, segment_bytes) = (true, 0),
                other => {
                    dots_only &= *other == b'.';
                    segment_bytes += 1;
                }
            }
        }
        if is_dots(dots_only, segment_bytes) {
            return Err(InvalidKey::DotSegment);
        }
        Ok(Self(text.into()))
    }

    /// Decodes the path of a URL once, so `%252F` means the three characters `%2F`, and `+` means
    /// a plus (RFC 3986 section 2.4).
    ///
    /// # Errors
    /// Says why the path cannot be a key; a broken percent escape is one reason.
    pub fn from_url_path(encoded: &str) -> Result<Self, InvalidKey> {
        Self::parse(&Self::decode(encoded)?)
    }

    /// The decoding half of [`Self::from_url_path`], for a caller that joins prefixes first.
    ///
    /// # Errors
    /// A broken percent escape, or bytes that are not UTF-8.
    pub fn decode(encoded: &str) -> Result<Cow<'_, str>, InvalidKey> {
        let bytes = encoded.as_bytes();
        if !bytes.contains(&b'%') {
            return Ok(Cow::Borrowed(encoded));
        }
        let broken = bytes.iter().enumerate().any(|(at, byte)| {
            *byte == b'%'
                && !bytes
                    .get(at + 1..at + 3)
                    .is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit))
        });
        if broken {
            return Err(InvalidKey::BrokenEscape);
        }
        percent_decode_str(encoded)
            .decode_utf8()
            .map_err(|_| InvalidKey::NotUtf8)
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The one canonical form for a URL path: everything but unreserved characters and slashes is
    /// percent-encoded. No leading slash is added.
    pub fn to_url_path(&self) -> String {
        utf8_percent_encode(&self.0, PATH).to_string()
    }

    /// Whether a segment of the key is a name that the gateway keeps for its own files.
    pub fn is_reserved(&self) -> bool {
        let mut segments = self.0.as_bytes().split(|byte| *byte == b'/');
        segments.any(|segment| segment.starts_with(RESERVED_NAME.as_bytes()))
    }
}

/// `.` or `..`.
fn is_dots(dots_only: bool, segment_bytes: usize) -> bool {
    dots_only && (1..=2).contains(&segment_bytes)
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Why a text cannot be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// There is nothing after the route's prefix.
    #[error("a key cannot be empty")]
    Empty,
    /// Longer than any S3 key can be.
    #[error("a key cannot be longer than {MAX_KEY_BYTES} bytes")]
    TooLong,
    /// Holds U+0000.
    #[error("a key cannot hold a NUL")]
    Nul,
    /// Holds a backslash, which some file systems and servers take for a slash.
    #[error("a key cannot hold a backslash")]
    Backslash,
    /// Holds a `.` or `..` segment, which servers and libraries resolve differently.
    #[error("a key cannot hold a \".\" or \"..\" segment")]
    DotSegment,
    /// A `%` that two hexadecimal digits do not follow.
    #[error("a percent sign must be followed by two hexadecimal digits")]
    BrokenEscape,
    /// The decoded bytes are not UTF-8.
    #[error("a key must be UTF-8")]
    NotUtf8,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_of_real_buckets_survive_byte_for_byte() {
        for key in [
            "misskey/0b3c.webp",
            "//x",
            "/x",
            "null/x",
            "a//b",
            "dir/",
            "写真 1.png",
            "a+b;c#d?e",
            "100%",
        ] {
            let parsed = ObjectKey::parse(key).unwrap();
            assert_eq!(ObjectKey::from_url_path(&parsed.to_url_path()), Ok(parsed));
        }
    }

    #[test]
    fn a_path_is_decoded_exactly_once() {
        assert_eq!(ObjectKey::from_url_path("a%2Fb").unwrap().as_str(), "a/b");
        assert_eq!(
            ObjectKey::from_url_path("a%252Fb").unwrap().as_str(),
            "a%2Fb"
        );
        assert_eq!(ObjectKey::from_url_path("a+b").unwrap().as_str(), "a+b");
    }

    #[test]
    fn hostile_paths_are_refused_with_their_reason() {
        use InvalidKey::*;
        for (path, reason) in [
            ("", Empty),
            ("..", DotSegment),
            ("a/../b", DotSegment),
            ("a/%2e%2E/b", DotSegment),
            ("./a", DotSegment),
            ("a/.", DotSegment),
            ("a%00b", Nul),
            ("a%5Cb", Backslash),
            ("a\\b", Backslash),
            ("%ff", NotUtf8),
            ("a%", BrokenEscape),
            ("a%2", BrokenEscape),
            ("a%zz", BrokenEscape),
        ] {
            assert_eq!(ObjectKey::from_url_path(path), Err(reason), "{path}");
        }
        assert_eq!(ObjectKey::parse(&"x".repeat(1025)), Err(TooLong));
    }

    #[test]
    fn the_gateways_own_files_are_recognised_in_any_segment() {
        for key in [".media-gateway", "a/.media-gateway-meta/b"] {
            assert!(ObjectKey::parse(key).unwrap().is_reserved());
        }
        assert!(!ObjectKey::parse("a.media-gateway").unwrap().is_reserved());
    }

    proptest! {
        #[test]
        fn different_keys_have_different_url_paths(a in ".{1,40}", b in ".{1,40}") {
            if let (Ok(a), Ok(b)) = (ObjectKey::parse(&a), ObjectKey::parse(&b)) {
                prop_assert_eq!(a == b, a.to_url_path() == b.to_url_path());
                prop_assert_eq!(ObjectKey::from_url_path(&a.to_url_path()), Ok(a));
            }
        }

        #[test]
        fn a_key_has_no_dot_segment_wherever_it_stands(text in "[./a]{1,12}") {
            let has = text.split('/').any(|segment| matches!(segment, "." | ".."));
            prop_assert_eq!(ObjectKey::parse(&text).is_err(), has, "{}", text);
        }

        #[test]
        fn parsing_any_path_never_panics(path in "\\PC{0,60}") {
            let _ = ObjectKey::from_url_path(&path);
        }
    }
}
