//! Deleting for good: every version where a bucket keeps versions.
//!
//! A plain DELETE in such a bucket only hides the object. Where the versions cannot be listed and
//! the bucket says that it only hid something, that is a failure and not a deletion.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use object::{ObjectKey, Validator};
use percent_encoding::percent_decode_str;

use super::S3;
use super::raw::quoted;
use crate::origins::errand::{Answered, Cargo, Errand, Refused};
use crate::origins::xml;
use crate::{Access, Answer, Erased, Failure, Part, Provider, Question, Reason, Turns};

const PATIENCE: Duration = Duration::from_mins(1);
/// More versions of one key than this many thousands are left for the next call.
const MOST_PAGES: usize = 100;

/// One version of a key, or the mark that it was deleted.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    id: String,
    /// `None` for a mark.
    etag: Option<Box<str>>,
}

/// What a listing of versions says of one key.
struct Versions {
    found: Vec<Version>,
    /// Where the next page begins, if the key may go on there.
    next: Option<(String, String)>,
}

impl S3 {
    /// Deletes an object with its versions.
    pub(super) async fn erase(
        &self,
        key: &ObjectKey,
        only: Option<&str>,
        turns: &dyn Turns,
    ) -> Result<Erased, Failure> {
        self.may_write()?;
        match self.versions(key, turns).await? {
            Some(versions) if !versions.is_empty() => {
                self.erase_versions(key, versions, only, turns).await
            }
            _ => self.erase_plainly(key, only, turns).await,
        }
    }

    async fn erase_versions(
        &self,
        key: &ObjectKey,
        versions: Vec<Version>,
        only: Option<&str>,
        turns: &dyn Turns,
    ) -> Result<Erased, Failure> {
        let mut erased = Erased::default();
        for version in versions {
            if only.is_some_and(|only| version.etag.as_deref() != Some(only)) {
                erased.spared |= version.etag.is_some();
                continue;
            }
            self.remove(key, Some(&version.id), turns).await?;
            erased.versions += 1;
        }
        Ok(erased)
    }

    async fn erase_plainly(
        &self,
        key: &ObjectKey,
        only: Option<&str>,
        turns: &dyn Turns,
    ) -> Result<Erased, Failure> {
        // In a bucket with versions a DELETE of nothing would leave a mark.
        let there = self.tag_of(key, turns).await?;
        let Some(tag) = there else {
            return Ok(Erased::default());
        };
        if only.is_some_and(|only| tag.as_deref() != Some(only)) {
            return Ok(Erased {
                versions: 0,
                spared: true,
            });
        }
        let answer = self.remove(key, None, turns).await?;
        let hidden = answer.as_ref().is_some_and(|answer| {
            let mark = answer.headers.get("x-amz-delete-marker");
            mark.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
        });
        if hidden {
            let what = "keeps older versions, and these keys may not list them";
            return Err(self.wire.named(Failure::new(Reason::Denied, what)));
        }
        Ok(Erased {
            versions: 1,
            spared: false,
        })
    }

    /// Sends one DELETE; `None` where there was nothing.
    pub(super) async fn remove(
        &self,
        key: &ObjectKey,
        version: Option<&str>,
        turns: &dyn Turns,
    ) -> Result<Option<Answered>, Failure> {
        let query: Vec<_> = version.iter().map(|id| ("versionId", *id)).collect();
        let make = || {
            let method = rusty_s3::Method::Delete;
            Some(Errand {
                method: Method::DELETE,
                url: self.signer.url(method, Some(key.as_str()), &query, &[]),
                headers: HeaderMap::new(),
                cargo: Cargo::Nothing,
                patience: PATIENCE,
            })
        };
        match self.wire.run(turns, make).await {
            Ok(answered) => Ok(Some(answered)),
            Err(Refused {
                status: Some(404),
                code,
                ..
            }) if matches!(code.as_deref(), Some("NoSuchKey" | "NoSuchVersion")) => Ok(None),
            Err(refused) => Err(refused.failure),
        }
    }

    /// The tag of what lies under a key; `Ok(None)` where nothing does. Asked with the keys.
    pub(super) async fn tag_of(
        &self,
        key: &ObjectKey,
        turns: &dyn Turns,
    ) -> Result<Option<Option<Box<str>>>, Failure> {
        let question = Question {
            access: Access::Signed,
            ..Question::new(key.clone(), Part::Head)
        };
        let mut tries = 0;
        loop {
            turns.take().await?;
            tries += 1;
            let answer = match self.target(&question) {
                Ok(target) => self.wire.ask(&question, &target).await,
                Err(failure) => Answer::Unknown(failure),
            };
            let failure = match answer {
                Answer::Found(reply) => {
                    turns.over(Ok(()), tries);
                    return Ok(Some(match reply.head.validator {
                        Some(Validator::Strong(tag)) => Some(tag),
                        _ => None,
                    }));
                }
                Answer::Missing => {
                    turns.over(Ok(()), tries);
                    return Ok(None);
                }
                Answer::Forbidden | Answer::Changed => {
                    self.wire.named(Failure::new(Reason::Denied, "refused"))
                }
                Answer::Dropped(failure) | Answer::Unknown(failure) => failure,
            };
            match turns.over(Err(&failure), tries) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(failure),
            }
        }
    }

    /// All versions of exactly this key; `None` where the provider cannot say.
    async fn versions(
        &self,
        key: &ObjectKey,
        turns: &dyn Turns,
    ) -> Result<Option<Vec<Version>>, Failure> {
        let has_none = matches!(self.provider, Some(Provider::R2 | Provider::Garage));
        if has_none || self.knows_no_versions.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut all = Vec::new();
        let mut from: Option<(String, String)> = None;
        for _ in 0..MOST_PAGES {
            let mut query = vec![("versions", ""), ("prefix", key.as_str())];
            query.push(("encoding-type", "url"));
            if let Some((key, version)) = &from {
                query.push(("key-marker", key));
                query.push(("version-id-marker", version));
            }
            let xml = match self.get(&query, turns).await {
                Ok(xml) => xml,
                Err(refused) if from.is_none() && refused.is_not_implemented() => {
                    self.knows_no_versions.store(true, Ordering::Relaxed);
                    return Ok(None);
                }
                // Whether something is only hidden is seen when it is deleted.
                Err(refused) if from.is_none() && refused.failure.reason == Reason::Denied => {
                    return Ok(None);
                }
                Err(refused) => return Err(refused.failure),
            };
            let Some(page) = Versions::read(&xml, key.as_str()) else {
                return Ok(None);
            };
            all.extend(page.found);
            if page.next.is_none() || page.next == from {
                return Ok(Some(all));
            }
            from = page.next;
        }
        Ok(Some(all))
    }
}

impl Versions {
    fn read(xml: &str, key: &str) -> Option<Self> {
        // One name in the protocol's description, another in what AWS sends.
        let listing = ["ListVersionsResult", "ListVersionResult"]
            .iter()
            .find_map(|name| xml::elements(xml, name).next())?;
        let one = |name: &'static str| xml::texts(listing, name).next();
        let encoded = one("EncodingType").is_some_and(|kind| kind.eq_ignore_ascii_case("url"));
        // Whatever a plus stands for: the provider lists only keys that begin with this one, and
        // of those only the key itself is as long.
        let is_key = |text: &str| {
            let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
            let spelled = decode(text) == key || decode(&text.replace('+', "%20")) == key;
            if encoded { spelled } else { text == key }
        };
        let mut found = Vec::new();
        for (element, is_mark) in [("Version", false), ("DeleteMarker", true)] {
            for version in xml::elements(listing, element) {
                let one = |name: &'static str| xml::texts(version, name).next();
                let (Some(name), Some(id)) = (one("Key"), one("VersionId")) else {
                    continue;
                };
                if is_key(&name) && !id.is_empty() {
                    let etag = one("ETag").and_then(|tag| quoted(&tag));
                    let etag = etag.filter(|_| !is_mark);
                    found.push(Version { id, etag });
                }
            }
        }
        let cut = one("IsTruncated").is_some_and(|cut| cut.eq_ignore_ascii_case("true"));
        let next = one("NextKeyMarker").zip(one("NextVersionIdMarker"));
        Some(Self {
            found,
            // The key itself comes first of all that begin with it.
            next: next.filter(|(name, _)| cut && is_key(name)),
        })
    }
}

/// How a status without a code is judged, for answers that come as documents.
pub(super) fn error_in(document: &str) -> Option<Refused> {
    let inside = xml::elements(document, "Error").next()?;
    let code = xml::texts(inside, "Code").next().map(Into::into);
    let status = match code.as_deref() {
        Some("PreconditionFailed") => StatusCode::PRECONDITION_FAILED,
        Some("ConditionalRequestConflict") => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Some(crate::origins::errand::error(
        status, code, false, false, None,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_marks_of_exactly_one_key_are_read() {
        let entry = |element: &str, key: &str, id: &str| {
            format!(
                "<{element}><Key>{key}</Key><VersionId>{id}</VersionId><IsLatest>true</IsLatest>\
                 <ETag>&quot;{id}&quot;</ETag></{element}>"
            )
        };
        let entries = [
            entry("DeleteMarker", "a", "m"),
            entry("Version", "a", "1"),
            entry("Version", "a", "null"),
            entry("Version", "a/b", "2"),
        ];
        let page = |more: &str| {
            format!(
                "<ListVersionsResult>{more}{}</ListVersionsResult>",
                entries.concat()
            )
        };
        let versions = Versions::read(&page(""), "a").unwrap();
        let ids: Vec<_> = versions.found.iter().map(|version| &*version.id).collect();
        assert_eq!(ids, ["1", "null", "m"]);
        assert_eq!(versions.found[0].etag.as_deref(), Some("\"1\""));
        assert_eq!(versions.found[2].etag, None);
        let cut = |key: &str| {
            let cut = format!(
                "<IsTruncated>true</IsTruncated><NextKeyMarker>{key}</NextKeyMarker>\
                 <NextVersionIdMarker>9</NextVersionIdMarker>"
            );
            Versions::read(&page(&cut), "a").unwrap().next
        };
        assert_eq!(cut("a"), Some(("a".into(), "9".into())));
        assert_eq!(cut("a/b"), None, "the key is over");
        assert!(Versions::read("<ListBucketResult></ListBucketResult>", "a").is_none());
    }

    #[test]
    fn a_key_is_recognised_however_a_plus_and_a_space_are_spelled() {
        let listing = |key: &str| {
            format!(
                "<ListVersionsResult><EncodingType>url</EncodingType><Version><Key>{key}</Key>\
                 <VersionId>1</VersionId></Version></ListVersionsResult>"
            )
        };
        let found = |listed: &str, key: &str| {
            !Versions::read(&listing(listed), key)
                .unwrap()
                .found
                .is_empty()
        };
        assert!(found("a%2Bb", "a+b") && found("a+b", "a b") && found("a%20b", "a b"));
        assert!(found("a+b", "a+b") && found("a+b%2Bc", "a b+c"));
        assert!(!found("a%2Bb", "a b") && !found("a%20b", "a+b"));
    }

    #[test]
    fn an_error_that_comes_as_a_success_is_seen() {
        let xml = "<?xml version=\"1.0\"?><Error><Code>PreconditionFailed</Code></Error>";
        assert_eq!(error_in(xml).unwrap().status, Some(412));
        let xml = "<Error><Code>InternalError</Code></Error>";
        assert_eq!(error_in(xml).unwrap().failure.reason, Reason::ServerError);
        assert!(error_in("<CompleteMultipartUploadResult/>").is_none());
    }
}
