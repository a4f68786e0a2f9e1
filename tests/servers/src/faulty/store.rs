//! The bucket: its objects, who may read them, and the right answer to a request.
//!
//! Pure. What a well-behaved S3 answers; faults are added by others.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::listing;
use super::uploads::Uploads;
use super::{BUCKET, Object, Plan, Reply, Request};

/// What an absent key gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// 404 `NoSuchKey`, as MinIO, SeaweedFS and R2 answer.
    #[default]
    NoSuchKey,
    /// 403 `AccessDenied` to everybody, as Backblaze answers a restricted key.
    Forbidden,
    /// 403 `AccessDenied` to requests without a signature, 404 `NoSuchKey` to the others, as AWS
    /// and Ceph answer where the public may only get objects.
    ForbiddenToStrangers,
    /// 404 without a body, as a plain web server.
    Plain,
    /// 404 with a web page.
    Html,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) objects: BTreeMap<Vec<u8>, Object>,
    pub(super) private: bool,
    pub(super) listable: bool,
    pub(super) missing: Missing,
    pub(super) writable: bool,
    pub(super) uploads: Uploads,
}

impl Store {
    /// The answer, the plan's own answer and its deafness included.
    pub(super) fn answer(&mut self, request: &Request, body: &Bytes, plan: &Plan) -> Reply {
        if let Some(reply) = &plan.answer {
            return reply.clone();
        }
        if self.writable && matches!(request.method.as_str(), "PUT" | "POST" | "DELETE") {
            return self.change(request, body);
        }
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            return Reply::s3_error(405, "MethodNotAllowed");
        }
        if request.bucket() != BUCKET {
            return Reply::s3_error(404, "NoSuchBucket");
        }
        let denied = || Reply::s3_error(403, "AccessDenied");
        if self.private && !request.is_signed() {
            return denied();
        }
        let Some(key) = request.key() else {
            if !self.listable && !request.is_signed() {
                return denied();
            }
            if self.writable && request.parameter("versions").is_some() {
                return self.list_versions(request);
            }
            return listing::answer(&self.objects, request);
        };
        match self.objects.get(&key) {
            Some(object) if object.private && !request.is_signed() => denied(),
            Some(object) => found(object, request, plan),
            None => match self.missing {
                Missing::Forbidden => denied(),
                Missing::ForbiddenToStrangers if !request.is_signed() => denied(),
                Missing::NoSuchKey | Missing::ForbiddenToStrangers => {
                    Reply::s3_error(404, "NoSuchKey")
                }
                Missing::Plain => Reply::new(404),
                Missing::Html => Reply::new(404).body("text/html", "<h1>Not Found</h1>"),
            },
        }
    }
}

/// RFC 9110 section 13.2.2, as far as S3 clients ask.
fn found(object: &Object, request: &Request, plan: &Plan) -> Reply {
    let etag = object.etag.as_deref();
    if let Some(wanted) = request.header("if-match")
        && !plan.ignore_if_match
        && !lists(wanted, etag)
    {
        return Reply::s3_error(412, "PreconditionFailed");
    }
    if let Some(known) = request.header("if-none-match")
        && lists(known, etag)
    {
        return with_headers(Reply::new(304), object, false);
    }
    let length = object.bytes.len();
    let asked = request.header("range").filter(|_| {
        !plan.ignore_range
            && request
                .header("if-range")
                .is_none_or(|tag| Some(tag) == etag)
    });
    match asked.map(|range| resolve(range, length)) {
        None | Some(Wanted::Whole) => {
            let mut reply = with_headers(Reply::new(200), object, true);
            reply.body = object.bytes.clone();
            reply
        }
        Some(Wanted::Part(first, last)) => {
            let truth = format!("bytes {first}-{last}/{length}");
            let mut reply = with_headers(Reply::new(206), object, true);
            if let Some(said) = plan.content_range.given(truth) {
                reply = reply.header("Content-Range", &said);
            }
            reply.body = object.bytes.slice(first..=last);
            reply
        }
        Some(Wanted::Nothing) => {
            let truth = format!("bytes */{length}");
            let reply = Reply::s3_error(416, "InvalidRange");
            match plan.content_range.given(truth) {
                Some(said) => reply.header("Content-Range", &said),
                None => reply,
            }
        }
    }
}

fn with_headers(mut reply: Reply, object: &Object, with_type: bool) -> Reply {
    if let Some(content_type) = object.content_type.as_deref().filter(|_| with_type) {
        reply = reply.header("Content-Type", content_type);
    }
    if let Some(etag) = &object.etag {
        reply = reply.header("ETag", etag);
    }
    if let Some(time) = object.last_modified {
        reply = reply.header("Last-Modified", &httpdate::fmt_http_date(time));
    }
    reply = reply.header("Accept-Ranges", "bytes");
    reply.headers.extend_from_slice(&object.headers);
    reply
}

fn lists(field: &str, etag: Option<&str>) -> bool {
    let bare = |tag: &str| {
        tag.trim()
            .trim_start_matches("W/")
            .trim_matches('"')
            .to_owned()
    };
    field.trim() == "*"
        || etag.is_some_and(|etag| field.split(',').any(|tag| bare(tag) == bare(etag)))
}

enum Wanted {
    Whole,
    Part(usize, usize),
    Nothing,
}

/// One range as RFC 9110 section 14.1.2 says it; several, or nonsense, are the whole.
fn resolve(field: &str, length: usize) -> Wanted {
    let Some((first, last)) = field
        .strip_prefix("bytes=")
        .and_then(|set| set.split_once('-'))
    else {
        return Wanted::Whole;
    };
    match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) if first <= last && first < length => {
            Wanted::Part(first, last.min(length - 1))
        }
        (Ok(first), Err(_)) if last.is_empty() && first < length => Wanted::Part(first, length - 1),
        (Err(_), Ok(suffix)) if first.is_empty() && suffix > 0 && length > 0 => {
            Wanted::Part(length.saturating_sub(suffix), length - 1)
        }
        (Ok(first), Ok(last)) if first > last => Wanted::Whole,
        (Ok(_), Err(_)) if !last.is_empty() => Wanted::Whole,
        (Ok(_), _) => Wanted::Nothing,
        (Err(_), Ok(_)) if first.is_empty() => Wanted::Nothing,
        _ => Wanted::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(length: usize, headers: &[(&str, &str)]) -> (u16, String, usize) {
        let mut store = Store::default();
        let object = Object::new(vec![b'x'; length]).etag("\"v1\"");
        store.objects.insert(b"a".to_vec(), object);
        let request = Request {
            method: "GET".to_owned(),
            target: "/bucket/a".to_owned(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            connection: 0,
        };
        let reply = store.answer(&request, &Bytes::new(), &Plan::default());
        let range = reply
            .headers
            .iter()
            .find(|(name, _)| name == "Content-Range");
        (
            reply.status,
            range.map(|(_, value)| value.clone()).unwrap_or_default(),
            reply.body.len(),
        )
    }

    #[test]
    fn ranges_are_answered_as_the_rfc_says() {
        for (length, range, status, said, bytes) in [
            (10, "bytes=0-3", 206, "bytes 0-3/10", 4),
            (10, "bytes=4-", 206, "bytes 4-9/10", 6),
            (10, "bytes=-3", 206, "bytes 7-9/10", 3),
            (10, "bytes=-99", 206, "bytes 0-9/10", 10),
            (10, "bytes=5-99", 206, "bytes 5-9/10", 5),
            (10, "bytes=0-1,3-4", 200, "", 10),
            (10, "bytes=4-2", 200, "", 10),
            (10, "lines=1-2", 200, "", 10),
        ] {
            assert_eq!(
                ask(length, &[("range", range)]),
                (status, said.to_owned(), bytes),
                "{range}"
            );
        }
        for (length, range) in [
            (10, "bytes=10-"),
            (10, "bytes=-0"),
            (0, "bytes=0-0"),
            (0, "bytes=-1"),
        ] {
            let (status, said, _) = ask(length, &[("range", range)]);
            assert_eq!(
                (status, said),
                (416, format!("bytes */{length}")),
                "{range}"
            );
        }
    }

    #[test]
    fn conditions_are_answered_as_the_rfc_says() {
        assert_eq!(ask(10, &[("if-match", "\"v1\"")]).0, 200);
        assert_eq!(ask(10, &[("if-match", "\"v0\"")]).0, 412);
        assert_eq!(ask(10, &[("if-none-match", "\"v1\"")]).0, 304);
        assert_eq!(
            ask(10, &[("range", "bytes=0-0"), ("if-range", "\"v0\"")]).0,
            200
        );
        assert_eq!(
            ask(10, &[("range", "bytes=0-0"), ("if-range", "\"v1\"")]).0,
            206
        );
    }
}
