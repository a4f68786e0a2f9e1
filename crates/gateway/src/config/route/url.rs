//! Where a route answers: a host or any, and a path.
//!
//! Ports are left out: behind a proxy the port that the client used is not known for certain,
//! and two routes that differ in nothing else would be a trap.

use url::Url;

use crate::config::urls;

/// One place where a route answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RouteUrl {
    /// The host, lower case and in its ASCII form, without a port (an IPv6 address stands in
    /// brackets, as in a `Host` header); `None` is any host.
    pub host: Option<String>,
    /// Begins and ends with a slash; only unreserved characters, so encoded and plain are equal.
    pub path: String,
    /// Whether clients reach it by https.
    pub https: bool,
}

impl RouteUrl {
    /// Whether both answer the same requests.
    pub(super) fn equals(&self, other: &Self) -> bool {
        self.host == other.host && self.path == other.path
    }
}

/// Without a host: the path, on any.
impl std::fmt::Display for RouteUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(host) = &self.host {
            let scheme = if self.https { "https" } else { "http" };
            write!(f, "{scheme}://{host}")?;
        }
        f.write_str(&self.path)
    }
}

/// Parses `https://host/path/` or `/path/`; gives reason and remedy else.
pub(super) fn parse(text: &str) -> Result<RouteUrl, (String, String)> {
    if let Some(rest) = text.strip_prefix('/') {
        if rest.starts_with('/') {
            return Err((
                "two slashes in front mean a host without a scheme".to_owned(),
                "write https://… in front, or a single slash for any host".to_owned(),
            ));
        }
        return Ok(RouteUrl {
            host: None,
            path: path(text)?,
            https: false,
        });
    }
    let parsed = urls::parse(text).map_err(|unfit| (unfit.reason, unfit.remedy))?;
    let written_path = written_path(text);
    Ok(RouteUrl {
        host: parsed.host_str().map(str::to_ascii_lowercase),
        path: path(written_path)?,
        https: is_https(&parsed),
    })
}

fn is_https(url: &Url) -> bool {
    url.scheme() == "https"
}

/// What stands after the host, before a URL parser has tidied it.
fn written_path(text: &str) -> &str {
    let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
    authority.find('/').map_or("/", |at| &authority[at..])
}

fn path(text: &str) -> Result<String, (String, String)> {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/');
    if text.contains(['?', '#']) {
        return Err((
            "a route's path has no query and no fragment".to_owned(),
            "end it before the ? or #".to_owned(),
        ));
    }
    if !text.bytes().all(plain) {
        return Err((
            "a route's path cannot hold that character".to_owned(),
            "use letters, digits, - . _ ~ and slashes".to_owned(),
        ));
    }
    let mut path = text.to_owned();
    if !path.ends_with('/') {
        path.push('/');
    }
    if path.contains("//") || path.split('/').any(|part| matches!(part, "." | "..")) {
        return Err((
            "a route's path cannot hold an empty, \".\" or \"..\" segment".to_owned(),
            "write the path that clients see".to_owned(),
        ));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_place_are_one() {
        let place = parse("https://s3.example.com/storage/").unwrap();
        for same in [
            "https://S3.EXAMPLE.com/storage",
            "https://s3.example.com:443/storage/",
            "http://s3.example.com:8080/storage/",
        ] {
            assert!(parse(same).unwrap().equals(&place), "{same}");
        }
        let international = parse("https://メディア.example/").unwrap();
        assert_eq!(international.host.as_deref(), Some("xn--cckb1i8d.example"));
    }

    #[test]
    fn a_path_alone_is_for_any_host() {
        let place = parse("/").unwrap();
        assert_eq!((place.host, place.path.as_str()), (None, "/"));
    }

    #[test]
    fn what_no_client_could_mean_is_refused() {
        for bad in [
            "",
            "s3.example.com",
            "//s3.example.com/",
            "https://h/a//b/",
            "https://h/../b/",
            "https://h/%2e/",
            "https://h/メ/",
            "https://h/?x",
            "/a?x",
            "/a#x",
            "ftp://h/",
            "https://u:p@h/",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
