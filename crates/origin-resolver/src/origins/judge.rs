//! What an origin's refusal means: the verdict table.
//!
//! Pure. Whatever is not listed here is *unknown*: only a listed answer may lead to a 404.

use std::time::Duration;

use reqwest::StatusCode;

use crate::{Failure, MissingMeans, Reason};

/// How an origin's answers are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// A bucket, whose errors carry a code.
    S3 {
        /// Whether the question carried a signature.
        signed: bool,
    },
    /// A web server; there may be a bucket behind it.
    Web {
        /// Whether its 404 can be believed.
        missing_means: MissingMeans,
    },
}

/// An answer that is neither 200 nor 206.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal<'a> {
    /// Who speaks.
    pub(super) dialect: Dialect,
    /// The status line's number.
    pub(super) status: StatusCode,
    /// The code in the body, if it has one.
    pub(super) code: Option<&'a str>,
    /// Whether the body did not arrive whole, so that it may have held another code.
    pub(super) cut: bool,
    /// Whether the body is a web page.
    pub(super) html: bool,
    /// How long the origin asked to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// Whether `If-Match` was sent.
    pub(super) conditional: bool,
}

/// What a refusal means.
#[derive(Debug)]
pub(super) enum Meaning {
    /// The origin does not have the key.
    Missing,
    /// An anonymous refusal that may be *missing*, *withheld* or a misconfiguration.
    ///
    /// A web server's plain 403 is one too: only canaries tell what it means.
    Forbidden,
    /// Another version than the one asked for.
    Changed,
    /// Nothing.
    Unknown(Failure),
}

/// Reads one refusal by the verdict table.
pub(super) fn judge(refusal: &Refusal<'_>) -> Meaning {
    if let Some(reason) = refusal.code.and_then(reason_of_code) {
        return unknown(refusal, reason);
    }
    match (refusal.status.as_u16(), refusal.dialect) {
        (404, Dialect::S3 { .. }) if refusal.code == Some("NoSuchKey") => Meaning::Missing,
        (404 | 410, Dialect::Web { missing_means }) => missing_on_the_web(refusal, missing_means),
        (403, _) => forbidden(refusal),
        (412, _) if refusal.conditional => Meaning::Changed,
        (401, _) => unknown(refusal, Reason::Credentials),
        (402, _) => unknown(refusal, Reason::Suspended),
        (429 | 499, _) => unknown(refusal, Reason::Throttled),
        (500..=599, _) => unknown(refusal, Reason::ServerError),
        _ => unknown(refusal, Reason::Protocol),
    }
}

fn missing_on_the_web(refusal: &Refusal<'_>, missing_means: MissingMeans) -> Meaning {
    match refusal.code {
        None if refusal.cut => unknown(refusal, Reason::Protocol),
        None | Some("NoSuchKey") => match missing_means {
            MissingMeans::Missing => Meaning::Missing,
            MissingMeans::Unknown => Meaning::Unknown(Failure::new(
                Reason::Protocol,
                format!(
                    "answered {}, and its 404s are configured to mean nothing",
                    refusal.status.as_u16()
                ),
            )),
        },
        Some(_) => unknown(refusal, Reason::Protocol),
    }
}

fn forbidden(refusal: &Refusal<'_>) -> Meaning {
    if refusal.retry_after.is_some() {
        return unknown(refusal, Reason::Throttled);
    }
    match (refusal.dialect, refusal.code) {
        (Dialect::S3 { signed: false } | Dialect::Web { .. }, Some("AccessDenied")) => {
            Meaning::Forbidden
        }
        (Dialect::Web { .. }, None) if !refusal.cut => Meaning::Forbidden,
        _ => unknown(refusal, Reason::Denied),
    }
}

/// What a code means whatever the status around it: `NoSuchBucket` comes as a 404.
fn reason_of_code(code: &str) -> Option<Reason> {
    match code {
        "NoSuchBucket" | "PermanentRedirect" => Some(Reason::Bucket),
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "RequestTimeTooSkewed"
        | "ExpiredToken"
        | "InvalidToken"
        | "AuthorizationHeaderMalformed"
        // What the one above is called where the signature stands in the query.
        | "AuthorizationQueryParametersError" => Some(Reason::Credentials),
        "UserSuspended" | "AccountProblem" | "AllAccessDisabled" => Some(Reason::Suspended),
        _ if code.ends_with("_cap_exceeded") => Some(Reason::Suspended),
        _ if code.starts_with("SlowDown") => Some(Reason::Throttled),
        _ if code.starts_with("ErrTooManyRequest") => Some(Reason::Throttled),
        _ => None,
    }
}

fn unknown(refusal: &Refusal<'_>, reason: Reason) -> Meaning {
    let mut what = format!("answered {}", refusal.status.as_u16());
    if let Some(code) = refusal.code {
        what.push(' ');
        what.push_str(code);
    } else if refusal.cut {
        what.push_str(" and a body that was cut");
    } else if refusal.html {
        what.push_str(" and a web page");
    }
    let mut failure = Failure::new(reason, what);
    failure.retry_after = refusal.retry_after;
    Meaning::Unknown(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANONYMOUS: Dialect = Dialect::S3 { signed: false };
    const SIGNED: Dialect = Dialect::S3 { signed: true };
    const WEB: Dialect = Dialect::Web {
        missing_means: MissingMeans::Missing,
    };
    const LYING_WEB: Dialect = Dialect::Web {
        missing_means: MissingMeans::Unknown,
    };

    fn refusal(dialect: Dialect, status: u16, code: Option<&str>) -> Refusal<'_> {
        Refusal {
            dialect,
            status: StatusCode::from_u16(status).unwrap(),
            code,
            cut: false,
            html: false,
            retry_after: None,
            conditional: false,
        }
    }

    fn word(refusal: &Refusal<'_>) -> &'static str {
        match judge(refusal) {
            Meaning::Missing => "missing",
            Meaning::Forbidden => "forbidden",
            Meaning::Changed => "changed",
            Meaning::Unknown(failure) => failure.reason.label(),
        }
    }

    fn said(dialect: Dialect, status: u16, code: Option<&str>) -> &'static str {
        word(&refusal(dialect, status, code))
    }

    #[test]
    fn a_bucket_says_missing_only_by_its_code() {
        for dialect in [ANONYMOUS, SIGNED] {
            assert_eq!(said(dialect, 404, Some("NoSuchKey")), "missing");
            assert_eq!(said(dialect, 404, None), "protocol");
            assert_eq!(said(dialect, 404, Some("NoSuchUpload")), "protocol");
            assert_eq!(said(dialect, 410, None), "protocol");
            let page = Refusal {
                html: true,
                ..refusal(dialect, 404, None)
            };
            assert_eq!(word(&page), "protocol");
        }
    }

    #[test]
    fn a_bucket_that_does_not_exist_is_not_a_missing_key() {
        for dialect in [ANONYMOUS, SIGNED, WEB, LYING_WEB] {
            assert_eq!(said(dialect, 404, Some("NoSuchBucket")), "bucket");
            assert_eq!(said(dialect, 301, Some("PermanentRedirect")), "bucket");
        }
    }

    #[test]
    fn an_anonymous_access_denied_is_forbidden_and_a_signed_one_unknown() {
        assert_eq!(said(ANONYMOUS, 403, Some("AccessDenied")), "forbidden");
        assert_eq!(said(WEB, 403, Some("AccessDenied")), "forbidden");
        assert_eq!(said(SIGNED, 403, Some("AccessDenied")), "denied");
    }

    #[test]
    fn a_403_without_a_code_says_something_only_on_the_web() {
        assert_eq!(said(WEB, 403, None), "forbidden");
        assert_eq!(said(ANONYMOUS, 403, None), "denied");
        assert_eq!(said(SIGNED, 403, None), "denied");
        assert_eq!(said(WEB, 403, Some("InvalidObjectState")), "denied");
        let throttled = Refusal {
            retry_after: Some(Duration::from_secs(1)),
            ..refusal(WEB, 403, None)
        };
        assert_eq!(word(&throttled), "throttled");
    }

    #[test]
    fn refused_keys_signatures_and_clocks_are_credentials() {
        for code in [
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "RequestTimeTooSkewed",
            "ExpiredToken",
            "InvalidToken",
        ] {
            assert_eq!(said(SIGNED, 403, Some(code)), "credentials", "{code}");
            assert_eq!(said(WEB, 403, Some(code)), "credentials", "{code}");
        }
        for code in [
            "AuthorizationHeaderMalformed",
            "AuthorizationQueryParametersError",
        ] {
            assert_eq!(said(SIGNED, 400, Some(code)), "credentials", "{code}");
        }
        assert_eq!(said(ANONYMOUS, 401, None), "credentials");
        assert_eq!(said(WEB, 401, None), "credentials");
    }

    #[test]
    fn a_suspended_account_says_nothing_of_its_keys() {
        for code in [
            "UserSuspended",
            "AccountProblem",
            "AllAccessDisabled",
            "download_cap_exceeded",
        ] {
            for dialect in [ANONYMOUS, SIGNED, WEB] {
                assert_eq!(said(dialect, 403, Some(code)), "suspended", "{code}");
            }
        }
        assert_eq!(said(WEB, 402, None), "suspended");
    }

    #[test]
    fn throttling_is_recognised_in_all_its_spellings() {
        for (status, code) in [
            (503, Some("SlowDown")),
            (503, Some("SlowDownRead")),
            (503, Some("ErrTooManyRequest")),
            (403, Some("SlowDown")),
            (429, None),
            (499, None),
        ] {
            for dialect in [ANONYMOUS, SIGNED, WEB] {
                assert_eq!(
                    said(dialect, status, code),
                    "throttled",
                    "{status} {code:?}"
                );
            }
        }
    }

    #[test]
    fn what_the_origin_asks_for_is_kept() {
        let wait = Duration::from_secs(7);
        let asked = Refusal {
            retry_after: Some(wait),
            ..refusal(ANONYMOUS, 503, Some("SlowDown"))
        };
        let Meaning::Unknown(failure) = judge(&asked) else {
            panic!("throttling is unknown")
        };
        assert_eq!(failure.retry_after, Some(wait));
        assert_eq!(&*failure.what, "answered 503 SlowDown");
    }

    #[test]
    fn other_statuses_are_unknown_with_their_reason() {
        for dialect in [ANONYMOUS, SIGNED, WEB] {
            for (status, word) in [
                (204, "protocol"),
                (301, "protocol"),
                (304, "protocol"),
                (307, "protocol"),
                (400, "protocol"),
                (407, "protocol"),
                (412, "protocol"),
                (418, "protocol"),
                (500, "server_error"),
                (502, "server_error"),
                (503, "server_error"),
                (599, "server_error"),
            ] {
                assert_eq!(said(dialect, status, None), word, "{status} {dialect:?}");
            }
        }
    }

    #[test]
    fn a_failed_precondition_is_a_change_only_where_one_was_sent() {
        let conditional = Refusal {
            conditional: true,
            ..refusal(ANONYMOUS, 412, Some("PreconditionFailed"))
        };
        assert_eq!(word(&conditional), "changed");
        assert_eq!(said(ANONYMOUS, 412, Some("PreconditionFailed")), "protocol");
    }

    #[test]
    fn a_web_server_says_missing_by_its_status() {
        for status in [404, 410] {
            assert_eq!(said(WEB, status, None), "missing");
            assert_eq!(said(WEB, status, Some("NoSuchKey")), "missing");
            assert_eq!(said(LYING_WEB, status, None), "protocol");
            assert_eq!(said(LYING_WEB, status, Some("NoSuchKey")), "protocol");
            assert_eq!(
                said(WEB, status, Some("NoSuchWebsiteConfiguration")),
                "protocol"
            );
        }
    }

    #[test]
    fn a_body_that_was_cut_may_have_held_another_code() {
        for (status, word_expected) in [(404, "protocol"), (410, "protocol"), (403, "denied")] {
            let cut = Refusal {
                cut: true,
                ..refusal(WEB, status, None)
            };
            assert_eq!(word(&cut), word_expected);
        }
    }
}
