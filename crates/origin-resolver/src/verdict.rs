//! What one origin said of one key.
//!
//! The closed vocabulary of the walk. *Missing* is the only verdict that can lead to a 404, so
//! everything that is not listed as something else is *unknown*.

use std::fmt;
use std::time::Duration;

use crate::VerdictLabel;

/// An origin's answer, sorted by what the walk does next.
#[derive(Debug, Clone)]
pub enum Verdict<T> {
    /// The origin has it.
    Found(T),
    /// The origin works and does not have it. Try the next one.
    Missing,
    /// The origin has it and the public may not see it. Ends the walk.
    Withheld,
    /// Nobody can say: it did not answer, refused us, or answered nonsense.
    Unknown(Failure),
}

/// Why an origin's answer counts for nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}: {what}")]
pub struct Failure {
    /// The class, for metrics and the breaker.
    pub reason: Reason,
    /// What happened, for logs and the doctor; never a URL, a credential or a body.
    pub what: Box<str>,
    /// How long the origin asked to be left alone (`Retry-After`, RFC 9110 section 10.2.3).
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure without a `Retry-After`.
    pub fn new(reason: Reason, what: impl Into<Box<str>>) -> Self {
        Self {
            reason,
            what: what.into(),
            retry_after: None,
        }
    }
}

/// The closed list of reasons for *unknown*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The name did not resolve.
    Dns,
    /// No connection, or it broke before an answer.
    Connect,
    /// The certificate or the handshake was refused.
    Tls,
    /// No answer in time.
    Timeout,
    /// The origin asked for fewer requests (429, 499, 503 `SlowDown`).
    Throttled,
    /// The origin does not accept our key, signature or clock.
    Credentials,
    /// The origin refused this request for a reason that says nothing of the key.
    Denied,
    /// The bucket does not exist, or exists elsewhere.
    Bucket,
    /// The account is suspended or over its cap.
    Suspended,
    /// A 5xx.
    ServerError,
    /// An answer that the protocol does not allow, or that is not from the storage at all.
    Protocol,
    /// The directory cannot be trusted or read.
    Disk,
    /// The origin is being left alone after failures.
    Breaker,
    /// A limit of ours: requests per second, or too many at once.
    Budget,
}

impl Reason {
    /// Every reason, in the order of documentation.
    pub const ALL: [Self; 14] = [
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Throttled,
        Self::Credentials,
        Self::Denied,
        Self::Bucket,
        Self::Suspended,
        Self::ServerError,
        Self::Protocol,
        Self::Disk,
        Self::Breaker,
        Self::Budget,
    ];

    /// The label used in metrics, logs and JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Throttled => "throttled",
            Self::Credentials => "credentials",
            Self::Denied => "denied",
            Self::Bucket => "bucket",
            Self::Suspended => "suspended",
            Self::ServerError => "server_error",
            Self::Protocol => "protocol",
            Self::Disk => "disk",
            Self::Breaker => "breaker",
            Self::Budget => "budget",
        }
    }

    /// Whether the breaker counts it: trouble that passes when the origin is left alone. Wrong
    /// credentials, refusals and permissions do not.
    pub fn trips(self) -> bool {
        matches!(
            self,
            Self::Dns
                | Self::Connect
                | Self::Tls
                | Self::Timeout
                | Self::Throttled
                | Self::ServerError
                | Self::Disk
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl<T> Verdict<T> {
    /// The verdict without what it carries.
    pub fn label(&self) -> VerdictLabel {
        match self {
            Self::Found(_) => VerdictLabel::Found,
            Self::Missing => VerdictLabel::Missing,
            Self::Withheld => VerdictLabel::Withheld,
            Self::Unknown(_) => VerdictLabel::Unknown,
        }
    }
}
