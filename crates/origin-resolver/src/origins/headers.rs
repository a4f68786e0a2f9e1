//! What response headers say of the answer itself, apart from the object.
//!
//! Pure: the caller passes the time in.

use std::time::{Duration, SystemTime};

use http::header::{
    CONTENT_TYPE, DATE, ETAG, HeaderMap, LAST_MODIFIED, RETRY_AFTER, TRANSFER_ENCODING,
};
use http::{HeaderName, Version};

use super::head::text;
use super::success::Framing;

/// Longer requests to be left alone are cut to this.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// How the body ends (RFC 9112 section 6.3); `length` is what the HTTP client made of it.
pub(super) fn framing(length: Option<u64>, version: Version, headers: &HeaderMap) -> Framing {
    if let Some(length) = length {
        return Framing::Length(length);
    }
    let codings = headers.get_all(TRANSFER_ENCODING);
    let last = codings
        .iter()
        .next_back()
        .and_then(|value| value.as_bytes().rsplit(|byte| *byte == b',').next());
    let chunked = last.is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
    if version >= Version::HTTP_2 || chunked {
        Framing::Marked
    } else {
        Framing::UntilClose
    }
}

/// Of a 416's headers only what describes the object and not the error.
pub(super) fn validators(headers: &HeaderMap) -> HeaderMap {
    let kept = |name: HeaderName| Some((name.clone(), headers.get(name)?.clone()));
    [ETAG, LAST_MODIFIED].into_iter().filter_map(kept).collect()
}

/// Whether the body is a web page.
pub(super) fn is_html(headers: &HeaderMap) -> bool {
    content_type_is(headers, "text/html") || content_type_is(headers, "application/xhtml+xml")
}

/// Whether the body is of this type, whatever its parameters.
pub(super) fn content_type_is(headers: &HeaderMap, wanted: &str) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let bare = value.as_bytes().split(|byte| *byte == b';').next();
        bare.is_some_and(|bare| bare.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
    })
}

/// How long the origin asks to be left alone, at most an hour (RFC 9110 section 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = text(headers, RETRY_AFTER.as_str())?;
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value)
            .ok()?
            .duration_since(now)
            .unwrap_or_default(),
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// How many seconds the origin's clock is ahead of ours.
pub(super) fn clock_ahead(headers: &HeaderMap, now: SystemTime) -> Option<i64> {
    let date = text(headers, DATE.as_str())?;
    let theirs = httpdate::parse_http_date(date).ok()?;
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    Some(match theirs.duration_since(now) {
        Ok(ahead) => seconds(ahead),
        Err(behind) => -seconds(behind.duration()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const MINUTE: Duration = Duration::from_mins(1);

    fn one(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    fn now() -> SystemTime {
        httpdate::parse_http_date("Tue, 15 Nov 1994 12:45:26 GMT").unwrap()
    }

    #[test]
    fn retry_after_is_read_in_both_forms_and_bounded() {
        let wait = |value| retry_after(&one(RETRY_AFTER, value), now());
        assert_eq!(wait("60"), Some(MINUTE));
        assert_eq!(wait("Tue, 15 Nov 1994 12:46:26 GMT"), Some(MINUTE));
        assert_eq!(wait("Tue, 15 Nov 1994 12:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("99999999999"), Some(MAX_RETRY_AFTER));
        for nonsense in ["-1", "soon", "1.5"] {
            assert_eq!(wait(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn clocks_are_compared_in_both_directions() {
        let ahead = |now| clock_ahead(&one(DATE, "Tue, 15 Nov 1994 12:45:26 GMT"), now);
        assert_eq!(ahead(now() - MINUTE), Some(60));
        assert_eq!(ahead(now() + MINUTE), Some(-60));
        assert_eq!(clock_ahead(&HeaderMap::new(), now()), None);
    }

    #[test]
    fn only_a_marked_end_can_be_told_from_a_cut() {
        let http1 = |coding| framing(None, Version::HTTP_11, &one(TRANSFER_ENCODING, coding));
        assert_eq!(http1("chunked"), Framing::Marked);
        assert_eq!(http1("gzip, Chunked"), Framing::Marked);
        assert_eq!(http1("gzip"), Framing::UntilClose);
        let none = HeaderMap::new();
        assert_eq!(framing(None, Version::HTTP_10, &none), Framing::UntilClose);
        assert_eq!(framing(None, Version::HTTP_2, &none), Framing::Marked);
        assert_eq!(
            framing(Some(3), Version::HTTP_11, &none),
            Framing::Length(3)
        );
    }
}
