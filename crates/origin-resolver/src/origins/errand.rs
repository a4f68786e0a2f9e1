//! One request of background work to a bucket: sent in its turn, again where that may help, and
//! judged.
//!
//! What a refusal means for the work is not known here; nothing is asked of a viewer's time.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt as _, stream};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, StatusCode};
use object::BodyError;
use reqwest::{Body, Response};
use url::Url;

use super::error_body::ErrorBody;
use super::headers;
use super::judge::{self, Dialect, Meaning, Refusal};
use super::outgoing::{Rope, Streamed};
use super::transport::NoAnswer;
use super::wire::Wire;
use crate::{Failure, Reason, Turns};

/// A thousand keys of the longest kind, in the worst encoding, with all that stands around them.
const MAX_DOCUMENT_BYTES: usize = 8 * 1024 * 1024;

/// What is sent.
pub(super) struct Errand {
    pub(super) method: Method,
    /// Perhaps signed: never printed.
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) cargo: Cargo,
    /// For the answer, once nothing more is to be sent, and for each step before.
    pub(super) patience: Duration,
}

/// What is sent with it.
pub(super) enum Cargo {
    Nothing,
    Rope(Rope),
    Stream(Box<Streamed>, u64),
}

impl Cargo {
    fn length(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Rope(rope) => rope.length,
            Self::Stream(_, length) => *length,
        }
    }
}

/// A success.
pub(super) struct Answered {
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

/// Anything else.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) failure: Failure,
    /// `None` where no answer came.
    pub(super) status: Option<u16>,
    pub(super) code: Option<Box<str>>,
    /// Whether the store may have taken it all the same.
    pub(super) may_have_worked: bool,
    /// How often it was sent.
    pub(super) tries: u32,
}

impl Refused {
    /// What was not sent at all.
    pub(super) fn unsent(failure: Failure) -> Self {
        Self {
            failure,
            status: None,
            code: None,
            may_have_worked: false,
            tries: 0,
        }
    }

    /// Whether the store says that it does not know this kind of request.
    pub(super) fn is_not_implemented(&self) -> bool {
        matches!(self.status, Some(400 | 405 | 501))
            && self.failure.reason != Reason::Credentials
            && self.failure.reason != Reason::Throttled
    }
}

impl Wire {
    /// Sends what `make` makes, which is made anew for each try; `None` ends the trying.
    pub(super) async fn run(
        &self,
        turns: &dyn Turns,
        mut make: impl FnMut() -> Option<Errand> + Send,
    ) -> Result<Answered, Refused> {
        let mut tries = 0;
        let mut last = None;
        loop {
            turns.take().await.map_err(Refused::unsent)?;
            let Some(errand) = make() else {
                let never = || Failure::new(Reason::Protocol, "nothing was sent");
                return Err(last.unwrap_or_else(|| Refused::unsent(never())));
            };
            tries += 1;
            let mut refused = match self.send(errand).await {
                Ok(answered) => {
                    turns.over(Ok(()), tries);
                    return Ok(answered);
                }
                Err(refused) => refused,
            };
            refused.tries = tries;
            let Some(wait) = turns.over(Err(&refused.failure), tries) else {
                return Err(refused);
            };
            tokio::time::sleep(wait).await;
            last = Some(refused);
        }
    }

    async fn send(&self, errand: Errand) -> Result<Answered, Refused> {
        let sent = Arc::new(Sent {
            length: errand.cargo.length(),
            ..Sent::default()
        });
        let patience = errand.patience;
        let mut request = self
            .client()
            .request(errand.method.clone(), errand.url)
            .headers(errand.headers);
        let body = match errand.cargo {
            Cargo::Nothing => None,
            Cargo::Rope(rope) => Some(stream::iter(rope.chunks.into_iter().map(Ok)).boxed()),
            Cargo::Stream(stream, _) => Some(stream.boxed()),
        };
        let has_body = body.is_some();
        // Some servers want a length of nothing too, and the HTTP client leaves that out.
        if has_body || errand.method == Method::POST {
            request = request.header(CONTENT_LENGTH, sent.length);
        }
        if let Some(chunks) = body.filter(|_| sent.length > 0) {
            let counted = Counted(chunks, Arc::clone(&sent));
            request = request.body(Body::wrap_stream(counted));
        }
        let mut answer = pin!(request.send());
        let answer = loop {
            let before = sent.bytes.load(Relaxed);
            match tokio::time::timeout(patience, &mut answer).await {
                Ok(answer) => break answer,
                // It is still being sent, or its own source is being waited for.
                Err(_) if sent.bytes.load(Relaxed) != before || sent.waits.load(Relaxed) => {}
                Err(_) => {
                    let failure = Failure::new(Reason::Timeout, "no answer in time");
                    return Err(self.unanswered(failure, sent.is_whole()));
                }
            }
        };
        match answer {
            Ok(response) => self.judge(response, patience, has_body).await,
            Err(error) => {
                let failure = NoAnswer::of(error, self.origin()).failure;
                let whole = sent.is_whole() && failure.reason != Reason::Dns;
                Err(Refused {
                    may_have_worked: whole,
                    ..Refused::unsent(failure)
                })
            }
        }
    }

    fn unanswered(&self, failure: Failure, may_have_worked: bool) -> Refused {
        Refused {
            may_have_worked,
            ..Refused::unsent(self.named(failure))
        }
    }

    async fn judge(
        &self,
        response: Response,
        patience: Duration,
        has_body: bool,
    ) -> Result<Answered, Refused> {
        self.read_clock(&response);
        let status = response.status();
        if status.is_success() {
            let headers = response.headers().clone();
            let reading = tokio::time::timeout(patience, document(response));
            let text = match reading.await {
                Ok(Ok(text)) => text,
                Ok(Err(what)) => {
                    let failure = Failure::new(Reason::Connect, what);
                    return Err(self.unanswered(failure, true));
                }
                Err(_) => {
                    let failure = Failure::new(Reason::Timeout, "no whole answer in time");
                    return Err(self.unanswered(failure, true));
                }
            };
            return Ok(Answered { headers, text });
        }
        let refused = refusal(response).await;
        // What says that it failed inside may have failed after the work was done.
        let may_have_worked =
            has_body && status.is_server_error() && !matches!(status.as_u16(), 501 | 503);
        Err(Refused {
            failure: self.named(refused.failure),
            may_have_worked,
            ..refused
        })
    }
}

/// Reads an error answer.
async fn refusal(response: Response) -> Refused {
    let status = response.status();
    let html = headers::is_html(response.headers());
    let retry_after = headers::retry_after(response.headers(), SystemTime::now());
    let body = ErrorBody::read(response).await;
    error(status, body.code, body.cut, html, retry_after)
}

/// What an error document says that came with this status.
pub(super) fn error(
    status: StatusCode,
    code: Option<Box<str>>,
    cut: bool,
    html: bool,
    retry_after: Option<Duration>,
) -> Refused {
    let meaning = judge::judge(&Refusal {
        dialect: Dialect::S3 { signed: true },
        status,
        code: code.as_deref(),
        cut,
        html,
        retry_after,
        conditional: true,
    });
    let what = match (&meaning, &code) {
        (_, Some(code)) => format!("answered {} {code}", status.as_u16()),
        (_, None) => format!("answered {}", status.as_u16()),
    };
    let failure = match meaning {
        // It will never know this request, however long it is left alone.
        Meaning::Unknown(failure) if status == StatusCode::NOT_IMPLEMENTED => Failure {
            reason: Reason::Protocol,
            ..failure
        },
        Meaning::Unknown(failure) => failure,
        Meaning::Forbidden => Failure::new(Reason::Denied, what),
        Meaning::Missing | Meaning::Changed => Failure::new(Reason::Protocol, what),
    };
    Refused {
        status: Some(status.as_u16()),
        code,
        ..Refused::unsent(failure)
    }
}

async fn document(response: Response) -> Result<String, &'static str> {
    let mut document = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| "the answer broke off")?;
        document.extend_from_slice(&chunk);
        if document.len() > MAX_DOCUMENT_BYTES {
            return Err("sent far too much");
        }
    }
    Ok(String::from_utf8_lossy(&document).into_owned())
}

/// How far a body has come.
#[derive(Default)]
struct Sent {
    bytes: AtomicU64,
    /// Of the whole.
    length: u64,
    /// The body's own source is being waited for.
    waits: AtomicBool,
}

impl Sent {
    /// Whether the store may have got everything.
    fn is_whole(&self) -> bool {
        self.bytes.load(Relaxed) >= self.length
    }
}

struct Counted(
    Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>,
    Arc<Sent>,
);

impl Stream for Counted {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.0.as_mut().poll_next(cx);
        self.1.waits.store(polled.is_pending(), Relaxed);
        match &polled {
            Poll::Ready(Some(Ok(chunk))) => {
                self.1.bytes.fetch_add(chunk.len() as u64, Relaxed);
            }
            Poll::Ready(None | Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }
}
