//! Preconditions of a request (RFC 9110 section 13).
//!
//! Entity tag lists are read here, without allocating: the `headers` crate asserts in debug
//! builds that no tag holds a space, and a client's text must not decide whether we panic.
//! Nothing here asks whether the object exists; there is something to compare with already.

use std::time::{SystemTime, UNIX_EPOCH};

use http::header::{
    HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE,
};

/// The first second of the year 10000, which no HTTP date can spell.
const END_OF_DATES_SECONDS: u64 = 253_402_300_800;

/// What a client's conditions are compared with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Current<'a> {
    /// Our strong entity tag, quotes included, where it is known.
    pub etag: Option<&'a str>,
    /// When the object was last modified, where that is known.
    pub last_modified: Option<SystemTime>,
}

/// What the conditions make of a GET or HEAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Answer as if there were none.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
}

/// Whether the request sets any condition, so that the object's tag and date must be known.
pub fn any(headers: &HeaderMap) -> bool {
    [
        IF_MATCH,
        IF_NONE_MATCH,
        IF_MODIFIED_SINCE,
        IF_UNMODIFIED_SINCE,
        IF_RANGE,
    ]
    .iter()
    .any(|name| headers.contains_key(name))
}

/// Whether the request asks for anything but the whole as it is. One look at each name; a header of
/// the same beginning that means nothing counts too.
pub fn is_particular(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let name = name.as_str();
        name == "range" || name.starts_with("if-")
    })
}

/// Evaluates in the order of RFC 9110 section 13.2.2, for GET and HEAD. `If-Range` is the
/// business of [`range_stands`].
pub fn evaluate(headers: &HeaderMap, current: &Current<'_>) -> Condition {
    let modified = current.last_modified.and_then(http_seconds);
    if headers.contains_key(IF_MATCH) {
        if !lists(headers, &IF_MATCH, current.etag, Comparison::Strong) {
            return Condition::PreconditionFailed;
        }
    } else if let (Some(modified), Some(limit)) = (modified, date(headers, &IF_UNMODIFIED_SINCE))
        && modified > limit
    {
        return Condition::PreconditionFailed;
    }
    if headers.contains_key(IF_NONE_MATCH) {
        if lists(headers, &IF_NONE_MATCH, current.etag, Comparison::Weak) {
            return Condition::NotModified;
        }
    } else if let (Some(modified), Some(since)) = (modified, date(headers, &IF_MODIFIED_SINCE))
        && modified <= since
    {
        return Condition::NotModified;
    }
    Condition::Proceed
}

/// Whether `If-Range` lets the `Range` header stand (RFC 9110 section 13.1.5). Where it does not,
/// the whole object is the answer: what we cannot prove to be the client's version is another.
pub fn range_stands(headers: &HeaderMap, current: &Current<'_>) -> bool {
    if !headers.contains_key(IF_RANGE) {
        return true;
    }
    let Some(value) = super::only(headers, &IF_RANGE) else {
        return false;
    };
    let text = value.as_bytes().trim_ascii();
    if text.ends_with(b"\"") {
        return current.etag.is_some_and(|tag| tag.as_bytes() == text);
    }
    let wanted = read_date(value);
    wanted.is_some() && wanted == current.last_modified.and_then(http_seconds)
}

/// Seconds since 1970, where an HTTP date can spell the time.
pub(super) fn http_seconds(time: SystemTime) -> Option<u64> {
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    (seconds < END_OF_DATES_SECONDS).then_some(seconds)
}

/// A date that stands more than once, or is not one, is ignored (sections 13.1.3 and 13.1.4).
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    super::only(headers, name).and_then(read_date)
}

fn read_date(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?.trim();
    http_seconds(httpdate::parse_http_date(text).ok()?)
}

/// RFC 9110 section 8.8.3.2.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether the header is `*` or lists our tag.
fn lists(
    headers: &HeaderMap,
    name: &HeaderName,
    etag: Option<&str>,
    comparison: Comparison,
) -> bool {
    headers.get_all(name).iter().any(|value| {
        let value = value.as_bytes().trim_ascii();
        value == b"*" || etag.is_some_and(|etag| has_tag(value, etag.as_bytes(), comparison))
    })
}

/// What is not an entity tag is skipped up to the next comma.
fn has_tag(list: &[u8], etag: &[u8], comparison: Comparison) -> bool {
    let mut rest = list;
    loop {
        while let [b' ' | b'\t' | b',', tail @ ..] = rest {
            rest = tail;
        }
        if rest.is_empty() {
            return false;
        }
        let weak = rest.starts_with(b"W/");
        let tag = if weak { &rest[2..] } else { rest };
        let length = match tag {
            [b'"', inner @ ..] => inner.iter().position(|byte| *byte == b'"').map(|at| at + 2),
            _ => None,
        };
        if let Some(length) = length {
            let comparable = !weak || comparison == Comparison::Weak;
            let ends = matches!(tag.get(length), None | Some(b' ' | b'\t' | b','));
            if comparable && ends && &tag[..length] == etag {
                return true;
            }
            rest = &tag[length..];
        }
        rest = match rest.iter().position(|byte| *byte == b',') {
            Some(comma) => &rest[comma..],
            None => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Condition::{NotModified, PreconditionFailed, Proceed};
    use super::*;
    use proptest::prelude::{prop_assert_eq, proptest};

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn current() -> Current<'static> {
        Current {
            etag: Some("\"us\""),
            // With a fraction, which no HTTP date can spell.
            last_modified: UNIX_EPOCH.checked_add(Duration::from_millis(784_111_777_900)),
        }
    }

    const NOTHING: Current<'_> = Current {
        etag: None,
        last_modified: None,
    };

    fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    /// Every combination of absent, true and false conditions, against the order that RFC 9110
    /// section 13.2.2 prescribes for GET.
    #[test]
    fn conditions_take_precedence_as_the_rfc_orders_them() {
        let matching = [None, Some((true, "\"us\"")), Some((false, "\"them\""))];
        let unmodified = [None, Some((true, NOW)), Some((false, BEFORE))];
        let none_match = [None, Some((true, "\"them\"")), Some((false, "\"us\""))];
        let modified = [None, Some((true, BEFORE)), Some((false, NOW))];
        for im in matching {
            for ius in unmodified {
                for inm in none_match {
                    for ims in modified {
                        let fields: Vec<_> = [
                            (IF_MATCH, im),
                            (IF_UNMODIFIED_SINCE, ius),
                            (IF_NONE_MATCH, inm),
                            (IF_MODIFIED_SINCE, ims),
                        ]
                        .into_iter()
                        .filter_map(|(name, set)| Some((name, set?.1)))
                        .collect();
                        let expected = if !im.or(ius).is_none_or(|(holds, _)| holds) {
                            PreconditionFailed
                        } else if !inm.or(ims).is_none_or(|(holds, _)| holds) {
                            NotModified
                        } else {
                            Proceed
                        };
                        let found = evaluate(&headers(&fields), &current());
                        assert_eq!(found, expected, "{fields:?}");
                        assert_eq!(any(&headers(&fields)), !fields.is_empty());
                    }
                }
            }
        }
    }

    #[test]
    fn each_condition_compares_as_it_must() {
        for (name, value, expected) in [
            (IF_MATCH, "*", Proceed),
            (IF_MATCH, "\"a\", \"us\"", Proceed),
            (IF_MATCH, "W/\"us\"", PreconditionFailed),
            (IF_MATCH, "us", PreconditionFailed),
            (IF_MATCH, "", PreconditionFailed),
            (IF_NONE_MATCH, "*", NotModified),
            (IF_NONE_MATCH, "W/\"us\"", NotModified),
            (IF_NONE_MATCH, ",, \"a,b\" ,\t\"us\"", NotModified),
            (IF_NONE_MATCH, "nonsense, \"us\"", NotModified),
            (IF_NONE_MATCH, "\"a b\"x, \"us\"", NotModified),
            (IF_NONE_MATCH, "\"é\", \"us\"", NotModified),
            (IF_NONE_MATCH, "us", Proceed),
            (IF_NONE_MATCH, "w/\"us\"", Proceed),
            (IF_NONE_MATCH, "\"x\"us\"", Proceed),
            (IF_NONE_MATCH, "\"us\"x", Proceed),
            (IF_NONE_MATCH, "\"us", Proceed),
            (IF_NONE_MATCH, "\"a, *\"", Proceed),
            (IF_MODIFIED_SINCE, AFTER, NotModified),
            (
                IF_MODIFIED_SINCE,
                "Sunday, 06-Nov-94 08:49:37 GMT",
                NotModified,
            ),
            (IF_MODIFIED_SINCE, "Sun Nov  6 08:49:37 1994", NotModified),
            (IF_MODIFIED_SINCE, "yesterday", Proceed),
            (IF_UNMODIFIED_SINCE, AFTER, Proceed),
            (IF_UNMODIFIED_SINCE, "yesterday", Proceed),
        ] {
            let headers = headers(&[(name.clone(), value)]);
            assert_eq!(evaluate(&headers, &current()), expected, "{name}: {value}");
        }
    }

    #[test]
    fn tags_may_stand_on_several_lines_and_dates_may_not() {
        let tags = headers(&[(IF_NONE_MATCH, "\"a\""), (IF_NONE_MATCH, "\"us\"")]);
        assert_eq!(evaluate(&tags, &current()), NotModified);
        let dates = headers(&[(IF_MODIFIED_SINCE, NOW), (IF_MODIFIED_SINCE, NOW)]);
        assert_eq!(evaluate(&dates, &current()), Proceed);
    }

    #[test]
    fn without_anything_to_compare_only_if_match_can_fail() {
        for (name, value, expected) in [
            (IF_MATCH, "\"us\"", PreconditionFailed),
            (IF_MATCH, "*", Proceed),
            (IF_NONE_MATCH, "\"us\"", Proceed),
            (IF_NONE_MATCH, "*", NotModified),
            (IF_MODIFIED_SINCE, AFTER, Proceed),
            (IF_UNMODIFIED_SINCE, BEFORE, Proceed),
        ] {
            let headers = headers(&[(name, value)]);
            assert_eq!(evaluate(&headers, &NOTHING), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_range_stands_only_for_the_very_same_version() {
        assert!(range_stands(&HeaderMap::new(), &NOTHING));
        for (value, stands) in [
            ("\"us\"", true),
            ("\"them\"", false),
            ("W/\"us\"", false),
            ("\"us\", \"them\"", false),
            ("*", false),
            (NOW, true),
            (BEFORE, false),
            (AFTER, false),
            ("nonsense", false),
            ("", false),
        ] {
            let headers = headers(&[(IF_RANGE, value)]);
            assert!(any(&headers));
            assert_eq!(range_stands(&headers, &current()), stands, "{value}");
            assert!(!range_stands(&headers, &NOTHING), "{value}");
        }
        let twice = headers(&[(IF_RANGE, "\"us\""), (IF_RANGE, "\"us\"")]);
        assert!(!range_stands(&twice, &current()));
    }

    #[test]
    fn times_that_no_http_date_can_spell_are_unknown() {
        let before_1970 = UNIX_EPOCH.checked_sub(Duration::from_secs(1));
        let year_10000 = UNIX_EPOCH.checked_add(Duration::from_secs(END_OF_DATES_SECONDS));
        for last_modified in [before_1970, year_10000] {
            assert_eq!(last_modified.and_then(http_seconds), None);
        }
    }

    proptest! {
        #[test]
        fn no_list_makes_the_parser_panic_or_match_another_tag(list in "[W/\"a ,*\\x80é-]{0,40}") {
            let value = HeaderValue::from_bytes(list.as_bytes()).unwrap();
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, value)]);
            let matched = evaluate(&headers, &current()) == NotModified;
            prop_assert_eq!(matched, list.trim_matches(' ') == "*");
            range_stands(&headers, &current());
        }

        #[test]
        fn our_tag_is_found_wherever_it_stands(
            before in proptest::collection::vec("(W/)?\"[a-z,*/]{0,6}\"", 0..5),
            after in proptest::collection::vec("(W/)?\"[a-z,*/]{0,6}\"", 0..5),
        ) {
            let mut tags = before;
            tags.push("\"us\"".into());
            tags.extend(after);
            let headers = headers(&[(IF_MATCH, &tags.join(", "))]);
            prop_assert_eq!(evaluate(&headers, &current()), Proceed);
        }
    }
}
