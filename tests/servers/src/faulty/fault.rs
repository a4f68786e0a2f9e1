//! What can go wrong with one answer.

use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::{Object, Reply};

/// One thing that goes wrong. Several can befall one request; see [`super::On`].
///
/// Counts of body bytes are of the body of this very answer, a range's body included.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Waits before the head.
    Delay(Duration),
    /// Never answers; ends only when the peer goes or the server stops.
    Hang,
    /// Waits before the head until the gate opens.
    Hold(Gate),
    /// Closes the connection before a byte of the answer.
    Drop,
    /// Resets the connection before a byte of the answer.
    Reset,
    /// Says nothing more after so many body bytes, and keeps the connection.
    StallAfter(usize),
    /// Waits after so many body bytes until the gate opens, then goes on.
    HoldAfter(usize, Gate),
    /// Closes the connection in order (FIN) after so many body bytes.
    CutAfter(usize),
    /// Resets the connection (RST) after so many body bytes.
    ResetAfter(usize),
    /// Puts another object in this one's place after so many body bytes; this answer goes on
    /// with the old bytes, later requests get the new.
    ReplaceAfter(usize, Object),
    /// Sends the body in pieces of so many bytes with a pause after each.
    Drip {
        /// Bytes in each piece.
        bytes: usize,
        /// The pause.
        every: Duration,
    },
    /// Sends the body chunked, without `Content-Length`.
    Chunked,
    /// Sends the body without length and framing; the end of the connection ends it.
    UntilClose,
    /// Says a `Content-Length` that is so many bytes longer (or shorter) than the body.
    WrongLength(i64),
    /// Says this `Content-Range` instead of the true one; `None` leaves it out.
    ContentRange(Option<String>),
    /// Answers a range with the whole object and 200.
    IgnoreRange,
    /// Answers as if `If-Match` had not been asked.
    IgnoreIfMatch,
    /// Answers this instead.
    Answer(Reply),
    /// Adds these headers, after the true ones.
    Headers(Vec<(String, String)>),
    /// Leaves these headers out.
    Without(Vec<String>),
    /// Sends these bytes instead of an HTTP answer, then closes.
    Garbage(Bytes),
    /// Closes the connection after the answer without having said so, as a provider does with
    /// idle connections.
    CloseIdle,
}

impl Fault {
    /// An S3 error: this status and an XML body with this code.
    pub fn s3(status: u16, code: &str) -> Self {
        Self::Answer(Reply::s3_error(status, code))
    }

    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self::Answer(Reply::new(status))
    }

    /// 403 `AccessDenied`, as for a missing key where listing is not allowed, an expired policy,
    /// and as R2 throttles.
    pub fn access_denied() -> Self {
        Self::s3(403, "AccessDenied")
    }

    /// 404 `NoSuchBucket`.
    pub fn no_such_bucket() -> Self {
        Self::s3(404, "NoSuchBucket")
    }

    /// 403 `UserSuspended`, as Ceph says it.
    pub fn user_suspended() -> Self {
        Self::s3(403, "UserSuspended")
    }

    /// 403 `InvalidAccessKeyId`.
    pub fn invalid_access_key() -> Self {
        Self::s3(403, "InvalidAccessKeyId")
    }

    /// 403 with Backblaze's JSON for a download cap that is used up.
    pub fn download_cap_exceeded() -> Self {
        let body = r#"{"code":"download_cap_exceeded","message":"Cannot download file, download bandwidth or transaction (Class B) cap exceeded.","status":403}"#;
        Self::Answer(Reply::new(403).body("application/json", body))
    }

    /// 503 `SlowDown` that asks for this many seconds of rest.
    pub fn slow_down(seconds: u64) -> Self {
        let reply = Reply::s3_error(503, "SlowDown");
        Self::Answer(reply.header("Retry-After", &seconds.to_string()))
    }

    /// 499, as R2 throttles.
    pub fn client_closed_request() -> Self {
        Self::Answer(Reply::new(499))
    }

    /// A web page of this status: a parked domain (200), a proxy's error (404, 502).
    pub fn html(status: u16) -> Self {
        let body = "<!doctype html><title>Welcome</title><p>This is not the file you look for.";
        Self::Answer(Reply::new(status).body("text/html; charset=utf-8", body))
    }

    /// A redirect to this location.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::Answer(Reply::new(status).header("Location", location))
    }

    /// Headers of about this many bytes in all, none longer than 8000.
    pub fn huge_headers(bytes: usize) -> Self {
        let headers = (0..bytes.div_ceil(8000)).map(|n| {
            let length = 8000.min(bytes - n * 8000);
            (format!("x-amz-meta-big-{n}"), "b".repeat(length))
        });
        Self::Headers(headers.collect())
    }

    /// Headers that must go no further: cookies, redirects, policies, the provider's own.
    pub fn hostile_headers() -> Self {
        let headers = [
            ("Set-Cookie", "session=stolen; Domain=example.com"),
            ("Refresh", "0; url=https://evil.example/"),
            (
                "Link",
                "<https://evil.example/x.js>; rel=preload; as=script",
            ),
            ("Content-Security-Policy", "default-src * 'unsafe-inline'"),
            ("Access-Control-Allow-Origin", "https://evil.example"),
            ("Access-Control-Allow-Credentials", "true"),
            ("Strict-Transport-Security", "max-age=31536000"),
            ("Clear-Site-Data", "\"*\""),
            ("Alt-Svc", "h3=\":443\"; ma=86400"),
            ("Service-Worker-Allowed", "/"),
            ("X-Accel-Redirect", "/etc/passwd"),
            ("x-amz-meta-note", "r\u{e9}sum\u{e9}"),
            ("x-amz-id-2", "hostile"),
            ("Cache-Control", "no-store"),
            ("Vary", "*"),
        ];
        Self::Headers(
            headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    /// One byte a second.
    pub fn drip() -> Self {
        Self::Drip {
            bytes: 1,
            every: Duration::from_secs(1),
        }
    }
}

/// Holds answers back until the test opens it, once and for all.
#[derive(Debug, Clone, Default)]
pub struct Gate(CancellationToken);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets through whoever waits and whoever comes later.
    pub fn open(&self) {
        self.0.cancel();
    }

    /// Returns when the gate is open.
    pub async fn passed(&self) {
        self.0.cancelled().await;
    }
}
