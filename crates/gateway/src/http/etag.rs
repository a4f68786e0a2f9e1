//! The entity tag that clients see.
//!
//! It says something of the content, not of who gave it: where two origins carry the same proof,
//! the tag stays when the object moves. It never shows an origin's own tag, which may be an MD5
//! or tell of the provider.

use object::{ObjectHead, Validator};
use sha2::{Digest as _, Sha256};

/// Bump the number when the encoding below changes: every tag changes with it.
const DOMAIN: &[u8] = b"media-gateway entity tag 1";

/// The strong tag of this version, quotes included; `None` where the length or any strong proof
/// is not known.
pub fn etag(head: &ObjectHead, origin: &str) -> Option<String> {
    let length = head.length?;
    let mut hash = Sha256::new();
    field(&mut hash, DOMAIN);
    field(&mut hash, &length.to_be_bytes());
    if let Some(digest) = head.proofs.own.or(head.proofs.checksum) {
        field(&mut hash, b"sha-256");
        field(&mut hash, &digest.0);
    } else if let Some(md5) = head.proofs.md5 {
        field(&mut hash, b"md5");
        field(&mut hash, &md5.digest);
        field(&mut hash, &md5.parts.unwrap_or(0).to_be_bytes());
    } else if let Some(Validator::Strong(tag)) = &head.validator {
        field(&mut hash, b"origin");
        field(&mut hash, origin.as_bytes());
        field(&mut hash, tag.as_bytes());
    } else {
        return None;
    }
    let digest = hash.finalize();
    Some(format!("\"{}\"", hex::encode(&digest[..16])))
}

/// Its length goes first, so that no two lists of fields are hashed alike.
fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::{Digest, Md5Etag, Proofs};
    use proptest::prelude::*;

    const MD5: Md5Etag = Md5Etag {
        digest: [1; 16],
        parts: None,
    };

    fn head(proofs: Proofs) -> ObjectHead {
        ObjectHead {
            length: Some(10),
            validator: Some(Validator::Strong("\"v\"".into())),
            proofs,
            ..ObjectHead::default()
        }
    }

    fn with_md5(parts: Option<u32>) -> ObjectHead {
        let md5 = Some(Md5Etag { parts, ..MD5 });
        head(Proofs {
            md5,
            ..Proofs::default()
        })
    }

    fn with_digest(digest: u8, md5: Option<Md5Etag>) -> ObjectHead {
        head(Proofs {
            checksum: Some(Digest([digest; 32])),
            md5,
            ..Proofs::default()
        })
    }

    #[test]
    fn the_tag_is_short_quoted_and_does_not_change_between_releases() {
        let tag = etag(&with_digest(7, None), "a").unwrap();
        assert_eq!(tag.len(), 34);
        assert!(Validator::from_etag(&tag) == Some(Validator::Strong(tag.clone().into())));
        assert_eq!(tag, "\"d10f29f31870b36c9849e89d4b2094ca\"");
    }

    #[test]
    fn the_same_content_has_the_same_tag_at_every_origin() {
        let own = head(Proofs {
            own: Some(Digest([7; 32])),
            ..Proofs::default()
        });
        let tag = etag(&own, "a");
        assert_eq!(etag(&with_digest(7, Some(MD5)), "b"), tag);
        assert_eq!(etag(&with_md5(None), "a"), etag(&with_md5(None), "b"));
    }

    #[test]
    fn what_differs_or_cannot_be_compared_has_another_tag() {
        let none = Proofs::default();
        let mut longer = with_digest(7, None);
        longer.length = Some(11);
        let tags = [
            etag(&with_digest(7, None), "a"),
            etag(&with_digest(8, None), "a"),
            etag(&longer, "a"),
            etag(&with_md5(None), "a"),
            etag(&with_md5(Some(1)), "a"),
            etag(&head(none.clone()), "a"),
            etag(&head(none), "b"),
        ];
        let different: std::collections::HashSet<_> = tags.iter().flatten().collect();
        assert_eq!(different.len(), tags.len());
    }

    #[test]
    fn there_is_no_tag_without_a_length_or_a_strong_proof() {
        let mut endless = with_digest(7, None);
        endless.length = None;
        assert_eq!(etag(&endless, "a"), None);
        let mut weak = head(Proofs::default());
        weak.validator = Some(Validator::Weak("\"v\"".into()));
        assert_eq!(etag(&weak, "a"), None);
        weak.validator = None;
        assert_eq!(etag(&weak, "a"), None);
    }

    proptest! {
        #[test]
        fn origin_and_validator_never_run_into_each_other(
            a in "[ab]{0,3}", b in "[ab]{0,3}", v in "[ab]{0,3}", w in "[ab]{0,3}",
        ) {
            let tag = |origin: &str, validator: &str| {
                let mut head = head(Proofs::default());
                head.validator = Some(Validator::Strong(validator.into()));
                etag(&head, origin)
            };
            prop_assert_eq!(tag(&a, &v) == tag(&b, &w), (a, v) == (b, w));
        }
    }
}
