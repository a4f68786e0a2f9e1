//! What proves that two origins hold the same bytes without reading them.
//!
//! Each proof counts only beside an equal length. A proof that an origin's ETag cannot give
//! (encrypted objects, random multipart tags) is never put into [`Proofs`]: whoever fills it in
//! knows the provider.

use std::fmt;

/// A SHA-256 of an object's whole content.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An ETag of the form that S3 derives from content: an MD5, or the MD5 of the parts' MD5s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Md5Etag {
    /// The 16 bytes that the ETag spells in hexadecimal.
    pub digest: [u8; 16],
    /// The number behind the dash of a multipart upload; `None` for a single PUT.
    pub parts: Option<u32>,
}

impl Md5Etag {
    /// Reads `"<32 hex>"` or `"<32 hex>-<parts>"`, quotes optional.
    pub fn parse(etag: &str) -> Option<Self> {
        let bare = etag.trim().trim_matches('"');
        let (hex, parts) = match bare.split_once('-') {
            Some((hex, parts)) => (hex, Some(parts.parse().ok().filter(|n| *n > 0)?)),
            None => (bare, None),
        };
        if hex.len() != 32 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut digest = [0; 16];
        for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self { digest, parts })
    }
}

/// Everything known of an object's content that another origin can be compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proofs {
    /// The provider's own SHA-256 of the whole object (`x-amz-checksum-sha256`, full object).
    pub checksum: Option<Digest>,
    /// The ETag, where it is derived from the content.
    pub md5: Option<Md5Etag>,
    /// The digest that our own promotion or migration wrote beside the object.
    pub own: Option<Digest>,
}

impl Proofs {
    /// Whether both name the same content, given equal lengths; `None` where they share nothing
    /// comparable. A contradiction between any two wins over an agreement.
    pub fn agree(&self, other: &Self) -> Option<bool> {
        let digest = |proofs: &Self| proofs.own.or(proofs.checksum);
        let multipart = |proofs: &Self| proofs.md5.is_some_and(|tag| tag.parts.is_some());
        let by_digest = compare(digest(self), digest(other));
        let by_md5 = compare(self.md5, other.md5)
            // Different part sizes give different tags for the same bytes: no contradiction.
            .filter(|same| *same || !(multipart(self) || multipart(other)));
        match (by_digest, by_md5) {
            (None, None) => None,
            (digest, md5) => Some(digest != Some(false) && md5 != Some(false)),
        }
    }
}

fn compare<T: PartialEq>(a: Option<T>, b: Option<T>) -> Option<bool> {
    Some(a? == b?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn md5(etag: &str) -> Proofs {
        Proofs {
            md5: Some(Md5Etag::parse(etag).unwrap()),
            ..Proofs::default()
        }
    }

    #[test]
    fn content_tags_are_told_from_opaque_ones() {
        let hex = "0123456789abcdef0123456789abcdef";
        assert_eq!(Md5Etag::parse(&format!("\"{hex}\"")).unwrap().parts, None);
        let multipart = Md5Etag::parse(&format!("\"{hex}-12\"")).unwrap();
        assert_eq!(multipart.parts, Some(12));
        for opaque in ["\"abc\"", "", &format!("{hex}-"), &format!("{hex}-0"), "x"] {
            assert_eq!(Md5Etag::parse(opaque), None, "{opaque}");
        }
    }

    #[test]
    fn equal_tags_of_equal_part_counts_prove_equal_bytes() {
        let single = md5("0123456789abcdef0123456789abcdef");
        let parts = md5("0123456789abcdef0123456789abcdef-2");
        assert_eq!(single.agree(&single), Some(true));
        assert_eq!(parts.agree(&parts), Some(true));
        assert_eq!(single.agree(&parts), None);
        assert_eq!(Proofs::default().agree(&Proofs::default()), None);
    }

    #[test]
    fn a_contradiction_wins_over_an_agreement() {
        let tag = md5("0123456789abcdef0123456789abcdef");
        let with = |byte| Proofs {
            own: Some(Digest([byte; 32])),
            ..tag.clone()
        };
        assert_eq!(with(1).agree(&with(1)), Some(true));
        assert_eq!(with(1).agree(&with(2)), Some(false));
        assert_eq!(with(1).agree(&tag), Some(true));
    }
}
