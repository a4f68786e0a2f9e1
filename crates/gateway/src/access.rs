//! Lines about requests: which are written, where, and in which form.
//!
//! What a client sent goes in escaped, so that no request can write a line of its own. The query
//! stays out: it is no part of what is served, and may hold what is not ours to keep.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{REFERER, USER_AGENT};
use http::request::Parts;
use http::{HeaderName, Version};
use serde::Serialize;

use crate::config::{AccessForm, AccessLog};

/// How much of a client's text a line repeats.
const MAX_ECHO_BYTES: usize = 512;

/// Decides and writes.
#[derive(Debug)]
pub(crate) struct Access {
    log: AccessLog,
    went_well: AtomicU64,
}

/// What only the form `combined` has.
#[derive(Debug)]
pub(crate) struct Quoted {
    version: Version,
    referer: Box<str>,
    agent: Box<str>,
}

/// One request.
#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    /// When it was over, RFC 3339.
    pub(crate) time: String,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) status: Option<u16>,
    /// Of the body, as sent.
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    pub(crate) first_byte_seconds: f64,
    pub(crate) route: Option<&'a str>,
    pub(crate) origin: Option<&'a str>,
    pub(crate) cache: &'a str,
    pub(crate) asked: &'a str,
    pub(crate) client: Option<IpAddr>,
    pub(crate) complete: bool,
    pub(crate) error: Option<String>,
}

impl Access {
    pub(crate) fn new(log: AccessLog) -> Arc<Self> {
        Arc::new(Self {
            log,
            went_well: AtomicU64::new(0),
        })
    }

    /// What must be kept of a request until it is over.
    pub(crate) fn quote(&self, parts: &Parts) -> Option<Box<Quoted>> {
        let header = |name: HeaderName| {
            let value = parts.headers.get(name);
            value.map_or_else(|| "-".into(), |value| escaped(value.as_bytes()).into())
        };
        (self.log.form == AccessForm::Combined).then(|| {
            Box::new(Quoted {
                version: parts.version,
                referer: header(REFERER),
                agent: header(USER_AGENT),
            })
        })
    }

    /// The form in which a request is logged; `None` where it is not.
    pub(crate) fn form(&self, went_well: bool) -> Option<AccessForm> {
        let is_one = || {
            let before = self.went_well.fetch_add(1, Ordering::Relaxed);
            before.is_multiple_of(self.log.one_in.get())
        };
        let form = self.log.form;
        (form != AccessForm::None && (!went_well || is_one())).then_some(form)
    }
}

/// Writes a line to standard output. Whoever reads it may have gone; viewers are served on.
pub(crate) fn write(line: &Line<'_>, quoted: Option<&Quoted>) {
    let text = match quoted {
        Some(quoted) => combined(line, quoted),
        None => serde_json::to_string(line).unwrap_or_default(),
    };
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// As Apache's `combined`.
fn combined(line: &Line<'_>, quoted: &Quoted) -> String {
    struct Or<T>(Option<T>);
    impl<T: fmt::Display> fmt::Display for Or<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match &self.0 {
                Some(value) => value.fmt(f),
                None => f.write_str("-"),
            }
        }
    }
    let time = line.time.parse::<jiff::Timestamp>().unwrap_or_default();
    format!(
        "{} - - [{}] \"{} {} {:?}\" {} {} \"{}\" \"{}\"",
        Or(line.client),
        time.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        escaped(line.method.as_bytes()),
        escaped(line.path.as_bytes()),
        quoted.version,
        Or(line.status),
        line.bytes,
        quoted.referer,
        quoted.agent,
    )
}

/// Printable ASCII without quotes and backslashes; the rest as `\xHH`, as nginx writes it.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes.iter().take(MAX_ECHO_BYTES) {
        match byte {
            b'"' | b'\\' | ..b' ' | 0x7f.. => {
                let _ = write!(text, "\\x{byte:02X}");
            }
            plain => text.push(char::from(*plain)),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use http::Request;

    use super::*;

    fn access(form: AccessForm, one_in: u64) -> Arc<Access> {
        let one_in = NonZeroU64::new(one_in).unwrap();
        Access::new(AccessLog { form, one_in })
    }

    fn line(client: Option<&str>) -> Line<'static> {
        Line {
            time: "2026-11-30T21:04:05.678Z".to_owned(),
            method: "GET",
            path: "/a\"b",
            status: Some(206),
            bytes: 1000,
            seconds: 0.5,
            first_byte_seconds: 0.25,
            route: Some("media"),
            origin: None,
            cache: "hit",
            asked: "",
            client: client.map(|client| client.parse().unwrap()),
            complete: true,
            error: None,
        }
    }

    #[test]
    fn a_combined_line_is_apaches_and_cannot_be_broken_out_of() {
        let request = Request::get("/a?secret=b")
            .header("user-agent", "a\"\t\\é")
            .version(Version::HTTP_2);
        let parts = request.body(()).unwrap().into_parts().0;
        let access = access(AccessForm::Combined, 1);
        let quoted = access.quote(&parts).unwrap();
        assert_eq!(
            combined(&line(Some("203.0.113.0")), &quoted),
            r#"203.0.113.0 - - [30/Nov/2026:21:04:05 +0000] "GET /a\x22b HTTP/2.0" 206 1000 "-" "a\x22\x09\x5C\xC3\xA9""#
        );
        assert!(combined(&line(None), &quoted).starts_with("- - - ["));
    }

    #[test]
    fn one_in_so_many_is_logged_and_every_failure() {
        let access = access(AccessForm::Json, 3);
        let logged: Vec<_> = (0..7).map(|_| access.form(true).is_some()).collect();
        assert_eq!(logged, [true, false, false, true, false, false, true]);
        assert!((0..7).all(|_| access.form(false).is_some()));
        let request = Request::get("/a").body(()).unwrap().into_parts().0;
        assert!(access.quote(&request).is_none());
    }

    #[test]
    fn where_nothing_is_logged_failures_are_not_either() {
        let access = access(AccessForm::None, 1);
        assert!(access.form(true).is_none() && access.form(false).is_none());
    }
}
