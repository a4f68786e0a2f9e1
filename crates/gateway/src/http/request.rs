//! What is asked for, or why a request is refused before any route is looked at.
//!
//! Queries, cookies and all other headers end here: nothing but the host and the path goes into
//! a key. An `Upgrade` is not followed. A fragment does not get here: the parser drops it.

use std::borrow::Cow;

use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, Uri, Version};

use super::respond::Refusal;

/// The address of a proper request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Lower case, without a port and a closing dot; an IPv6 address stands in brackets. `None`
    /// where HTTP/1.0 sent none.
    pub host: Option<Cow<'a, str>>,
    /// As it came, percent-encoded; begins with a slash.
    pub path: &'a str,
}

/// Examines a request's head. A body that HTTP/2 sends without announcing its length does not
/// show here; the caller looks at the end of the stream.
///
/// # Errors
/// How to answer a request that is not one for media.
pub fn examine(parts: &Parts) -> Result<Asked<'_>, Refusal> {
    if ![Method::GET, Method::HEAD, Method::OPTIONS].contains(&parts.method) {
        return Err(Refusal::MethodNotAllowed);
    }
    if announces_body(&parts.headers) {
        return Err(Refusal::BodyNotAllowed);
    }
    Ok(Asked {
        host: host(parts)?,
        path: path(&parts.uri)?,
    })
}

fn announces_body(headers: &HeaderMap) -> bool {
    let empty = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.parse() == Ok(0_u64));
    headers.contains_key(TRANSFER_ENCODING) || !headers.get_all(CONTENT_LENGTH).iter().all(empty)
}

/// The authority of the target wins over the header (RFC 9112 section 3.2.2), but a missing or
/// doubled header is refused all the same: whoever stands in front may have believed it.
fn host(parts: &Parts) -> Result<Option<Cow<'_, str>>, Refusal> {
    let mut values = parts.headers.get_all(HOST).iter();
    let header = values.next();
    if values.next().is_some() {
        return Err(Refusal::BadRequest("a request has one Host header"));
    }
    if header.is_none() && parts.version == Version::HTTP_11 {
        return Err(Refusal::BadRequest("a request needs a Host header"));
    }
    let header = match header {
        Some(value) => Some(value.to_str().ok().and_then(normal).ok_or(BAD_HOST)?),
        None => None,
    };
    let Some(authority) = parts.uri.authority() else {
        if header.is_none() && parts.version >= Version::HTTP_2 {
            return Err(Refusal::BadRequest("a request needs an authority"));
        }
        return Ok(header);
    };
    let asked = normal(authority.as_str()).ok_or(BAD_HOST)?;
    // RFC 9113 section 8.3.1.
    if parts.version >= Version::HTTP_2 && header.is_some_and(|header| header != asked) {
        return Err(Refusal::BadRequest(
            "the Host header contradicts the authority",
        ));
    }
    Ok(Some(asked))
}

const BAD_HOST: Refusal = Refusal::BadRequest("that is not a host");

/// The form in which routes know hosts; `None` where the text is no host, or one with a user.
fn normal(authority: &str) -> Option<Cow<'_, str>> {
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at(end);
    is_port(port).then_some(())?;
    if host.starts_with('[') {
        return Some(url::Host::parse(host).ok()?.to_string().into());
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let (mut label_bytes, mut is_lower) = (0, true);
    for byte in name.bytes() {
        match byte {
            b'.' if label_bytes == 0 => return None,
            b'.' => label_bytes = 0,
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => label_bytes += 1,
            b'A'..=b'Z' => (label_bytes, is_lower) = (label_bytes + 1, false),
            _ => return None,
        }
    }
    if label_bytes == 0 || name.len() > 253 {
        return None;
    }
    Some(if is_lower {
        name.into()
    } else {
        name.to_ascii_lowercase().into()
    })
}

fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        None => text.is_empty(),
        Some("") => true,
        Some(port) => port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok(),
    }
}

fn path(uri: &Uri) -> Result<&str, Refusal> {
    if let Some(scheme) = uri.scheme_str()
        && !["http", "https"].contains(&scheme)
    {
        return Err(Refusal::BadRequest("only http and https are served"));
    }
    let path = uri.path();
    if !path.starts_with('/') {
        return Err(Refusal::BadRequest("the target of a request is a path"));
    }
    if path
        .bytes()
        .any(|byte| byte.is_ascii_control() || byte == b' ')
    {
        return Err(Refusal::BadRequest("a path cannot hold that character"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use proptest::prelude::*;

    fn head(method: &str, target: &str, version: Version, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .version(version);
        for (name, value) in fields {
            request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        request.body(()).unwrap().into_parts().0
    }

    type Found = Result<(Option<String>, String), Refusal>;

    fn examined(parts: &Parts) -> Found {
        let Asked { host, path } = examine(parts)?;
        Ok((host.map(Cow::into_owned), path.to_owned()))
    }

    fn get(target: &str, fields: &[(&str, &str)]) -> Found {
        examined(&head("GET", target, Version::HTTP_11, fields))
    }

    fn asked(host: Option<&str>, path: &str) -> (Option<String>, String) {
        (host.map(str::to_owned), path.to_owned())
    }

    fn is_bad(result: &Found) -> bool {
        matches!(result, Err(Refusal::BadRequest(_)))
    }

    #[test]
    fn a_path_arrives_as_it_was_sent() {
        for path in [
            "/",
            "//x",
            "/a%2Fb",
            "/a/../b",
            "/%E5%86%99",
            "/写",
            "/a%00",
        ] {
            assert_eq!(get(path, &[("host", "h")]), Ok(asked(Some("h"), path)));
        }
        let query = get("/a?name=b", &[("host", "h")]);
        assert_eq!(query, Ok(asked(Some("h"), "/a")));
    }

    #[test]
    fn spellings_of_a_host_are_one() {
        for (sent, expected) in [
            ("S3.Example.COM", "s3.example.com"),
            ("s3.example.com:8080", "s3.example.com"),
            ("s3.example.com.", "s3.example.com"),
            ("s3.example.com.:443", "s3.example.com"),
            ("s3.example.com:", "s3.example.com"),
            ("a_b", "a_b"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[0:0::0:1]", "[::1]"),
            ("[::FFFF:1.2.3.4]", "[::ffff:102:304]"),
        ] {
            let found = get("/", &[("host", sent)]);
            assert_eq!(found, Ok(asked(Some(expected), "/")), "{sent}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for host in [
            "",
            ".",
            "a..",
            "a..b",
            ":80",
            "a b",
            "a,b",
            "a/b",
            "a@b",
            "user:pw@b",
            "a:b",
            "a:99999",
            "a:+1",
            "a:80:80",
            "[::1",
            "[::1]x",
            "[x]",
            "[::1%25eth0]",
            "é",
            "a%2e",
            &"a".repeat(254),
        ] {
            assert!(is_bad(&get("/", &[("host", host)])), "{host}");
        }
        assert!(is_bad(&get("/", &[])));
        assert!(is_bad(&get("/", &[("host", "a"), ("host", "a")])));
    }

    #[test]
    fn an_old_client_may_leave_the_host_out() {
        let parts = head("GET", "/a", Version::HTTP_10, &[]);
        assert_eq!(examined(&parts), Ok(asked(None, "/a")));
    }

    #[test]
    fn the_authority_of_an_absolute_target_wins() {
        let found = get("http://A.example:80/x", &[("host", "b.example")]);
        assert_eq!(found, Ok(asked(Some("a.example"), "/x")));
        assert_eq!(get("http://a", &[("host", "a")]), Ok(asked(Some("a"), "/")));
        assert!(is_bad(&get("http://a/", &[])));
        assert!(is_bad(&get("ftp://a/", &[("host", "a")])));
        assert!(is_bad(&get("http://u:p@a/", &[("host", "a")])));
    }

    #[test]
    fn http2_needs_one_authority() {
        let two = |target, fields: &[_]| examined(&head("GET", target, Version::HTTP_2, fields));
        assert_eq!(two("https://A/x", &[]), Ok(asked(Some("a"), "/x")));
        assert!(two("https://a/x", &[("host", "A:443")]).is_ok());
        assert_eq!(two("/x", &[("host", "a")]), Ok(asked(Some("a"), "/x")));
        assert!(is_bad(&two("https://a/x", &[("host", "b")])));
        assert!(is_bad(&two("/x", &[])));
    }

    #[test]
    fn targets_that_are_no_path_are_refused() {
        let star = head("OPTIONS", "*", Version::HTTP_11, &[("host", "a")]);
        assert!(is_bad(&examined(&star)));
        assert!(is_bad(&get("a.example:443", &[("host", "a")])));
        assert_eq!(get("/a#b", &[("host", "a")]), Ok(asked(Some("a"), "/a")));
    }

    #[test]
    fn only_reading_methods_are_served() {
        for method in ["GET", "HEAD", "OPTIONS"] {
            let parts = head(method, "/", Version::HTTP_11, &[("host", "a")]);
            assert!(examined(&parts).is_ok(), "{method}");
        }
        for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "PURGE", "get"] {
            let parts = head(method, "/", Version::HTTP_11, &[("content-length", "5")]);
            assert_eq!(examined(&parts), Err(Refusal::MethodNotAllowed), "{method}");
        }
        let connect = head("CONNECT", "a:443", Version::HTTP_11, &[("host", "a")]);
        assert_eq!(examined(&connect), Err(Refusal::MethodNotAllowed));
    }

    #[test]
    fn an_announced_body_is_refused() {
        for field in [
            ("content-length", "1"),
            ("content-length", "-0"),
            ("content-length", "0, 0"),
            ("content-length", ""),
            ("content-length", "99999999999999999999"),
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "identity"),
        ] {
            let found = get("/", &[("host", "a"), field]);
            assert_eq!(found, Err(Refusal::BodyNotAllowed), "{field:?}");
        }
        let fields = [("host", "a"), ("content-length", "0")];
        assert!(get("/", &fields).is_ok());
        let smuggled = [fields[0], fields[1], ("content-length", "5")];
        assert_eq!(get("/", &smuggled), Err(Refusal::BodyNotAllowed));
    }

    #[test]
    fn an_upgrade_is_not_followed() {
        let fields = [("host", "a"), ("connection", "upgrade"), ("upgrade", "h2c")];
        assert_eq!(get("/x", &fields), Ok(asked(Some("a"), "/x")));
    }

    proptest! {
        #[test]
        fn a_host_is_normal_after_one_pass(text in "[a-zA-Z0-9.:_\\[\\]@%-]{0,20}") {
            if let Some(host) = normal(&text) {
                prop_assert_eq!(normal(&host), Some(host.clone()));
            }
        }
    }
}
