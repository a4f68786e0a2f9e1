//! One question over HTTP: what is sent, and what the answer is taken for.
//!
//! The request is built from nothing. It is always a GET, because a HEAD's error has no body to
//! judge it by, and nothing of a client's request is in it but the key and the range.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use http::StatusCode;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, IF_MATCH, RANGE};
use object::{ObjectBody, ObjectHead, RangeRequest, Validator};
use reqwest::Response;
use url::Url;

use super::body::Windowed;
use super::client::Clients;
use super::content_range::ContentRange;
use super::error_body::ErrorBody;
use super::head::{self, Sender};
use super::headers;
use super::judge::{self, Dialect, Meaning, Refusal};
use super::success::{self, Announced, Framing};
use super::transport::NoAnswer;
use crate::{Answer, Aside, Extent, Failure, Part, Provider, Question, Reason, Reply};

const DOCUMENT_PATIENCE: Duration = Duration::from_secs(10);
const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;

const DRAINED_BYTES: u64 = 4 * 1024;
const DRAIN_PATIENCE: Duration = Duration::from_millis(50);

const CLOCK_UNKNOWN: i64 = i64::MIN;

/// One origin's line.
pub(super) struct Wire {
    origin: Box<str>,
    clients: Clients,
    clock_ahead: AtomicI64,
}

/// Where one key is found, and how the answer is to be read.
pub(super) struct Target {
    /// Perhaps signed: never printed.
    pub(super) url: Url,
    /// Headers beside those that every request has.
    pub(super) headers: &'static [(&'static str, &'static str)],
    /// How refusals are judged.
    pub(super) dialect: Dialect,
    /// How heads are read.
    pub(super) sender: Sender,
    /// Whether a web page can be an object.
    pub(super) allow_html: bool,
}

/// What differs between two requests for one target.
#[derive(Default)]
struct Get<'a> {
    fresh_connection: bool,
    range: Option<&'a str>,
    if_match: Option<&'a str>,
    /// Refuses every encoding.
    plainly: bool,
}

impl Wire {
    /// A line that has carried nothing yet.
    pub(super) fn new(origin: &str, clients: Clients) -> Self {
        Self {
            origin: origin.into(),
            clients,
            clock_ahead: AtomicI64::new(CLOCK_UNKNOWN),
        }
    }

    /// How far the origin's clock is ahead, as the latest answer told.
    pub(super) fn clock_ahead_seconds(&self) -> Option<i64> {
        Some(self.clock_ahead.load(Ordering::Relaxed)).filter(|ahead| *ahead != CLOCK_UNKNOWN)
    }

    /// Asks one question.
    pub(super) async fn ask(&self, question: &Question, target: &Target) -> Answer {
        let range = match question.part {
            Part::Head => "bytes=0-0".to_owned(),
            // A range even here: an origin that sends chunks tells the length only in a 206.
            Part::Whole => "bytes=0-".to_owned(),
            Part::Range(range) => spellable(range).to_string(),
        };
        let response = match self.get(target, &Get::of(question, Some(&range))).await {
            Ok(response) => response,
            Err(none) => return answer_of(none),
        };
        let answer = match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
                self.found(question, target, response).await
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                self.not_satisfiable(question, target, &response).await
            }
            _ => self.refused(question, target, response).await,
        };
        only_this_version(question, answer)
    }

    async fn get(&self, target: &Target, get: &Get<'_>) -> Result<Response, NoAnswer> {
        let client = self.clients.pick(get.fresh_connection);
        let mut request = client.get(target.url.clone());
        for (name, value) in target.headers {
            request = request.header(*name, *value);
        }
        if let Some(range) = get.range {
            request = request.header(RANGE, range);
        }
        if let Some(tag) = get.if_match {
            request = request.header(IF_MATCH, tag);
        }
        if get.plainly {
            request = request.header(ACCEPT_ENCODING, "identity");
        }
        match request.send().await {
            Ok(response) => {
                self.read_clock(&response);
                Ok(response)
            }
            Err(error) => {
                let mut none = NoAnswer::of(error, &self.origin);
                if none.failure.reason == Reason::Tls && self.clients.trusts_nobody {
                    none.failure.what = format!(
                        "{}: this system has no certificate authorities; install ca-certificates and restart",
                        self.origin
                    )
                    .into();
                }
                Err(none)
            }
        }
    }

    async fn found(&self, question: &Question, target: &Target, response: Response) -> Answer {
        if !target.allow_html && headers::is_html(response.headers()) {
            return self.protocol("answered with a web page where an object was expected");
        }
        let announced = Announced {
            partial: response.status() == StatusCode::PARTIAL_CONTENT,
            framing: framing(&response),
            content_range: response
                .headers()
                .get(CONTENT_RANGE)
                .map(|value| value.to_str().unwrap_or("unreadable")),
            multipart: headers::content_type_is(response.headers(), "multipart/byteranges"),
        };
        let delivery = match success::read(question.part, &announced) {
            Ok(delivery) => delivery,
            Err(nonsense) => return self.protocol(nonsense),
        };
        let head = head::read(response.headers(), delivery.length, target.sender);
        let aside = head::aside(response.headers(), target.sender);
        let body = match delivery.extent {
            Extent::None | Extent::Unsatisfiable => {
                drain(response).await;
                ObjectBody::empty()
            }
            Extent::Bytes(_) | Extent::Unbounded => ObjectBody::new(Windowed::new(
                response.bytes_stream(),
                delivery.window,
                &self.origin,
            )),
        };
        Answer::Found(Reply {
            head,
            aside,
            extent: delivery.extent,
            body,
        })
    }

    /// A 416 says that there is an object and that it is short: both must be true.
    async fn not_satisfiable(
        &self,
        question: &Question,
        target: &Target,
        response: &Response,
    ) -> Answer {
        let told = head::text(response.headers(), CONTENT_RANGE.as_str())
            .and_then(ContentRange::parse)
            .and_then(|range| match range {
                ContentRange::None { total } => Some(total),
                ContentRange::Part { .. } => None,
            });
        if let (Part::Range(range), Some(total)) = (question.part, told)
            && total > 0
        {
            return match range.resolve(total) {
                Some(_) => self.protocol("answered 416 to a range that it could satisfy"),
                None => Answer::Found(Reply {
                    head: ObjectHead {
                        length: Some(total),
                        ..head::read(
                            &headers::validators(response.headers()),
                            None,
                            target.sender,
                        )
                    },
                    aside: Aside::default(),
                    extent: Extent::Unsatisfiable,
                    body: ObjectBody::empty(),
                }),
            };
        }
        // An empty object, or nobody knows: a GET without a range cannot be misunderstood.
        let plain = match self.get(target, &Get::of(question, None)).await {
            Ok(plain) => plain,
            Err(none) => return answer_of(none),
        };
        if plain.status() != StatusCode::OK {
            return match plain.status() {
                StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                    self.protocol("answered with a range where none was asked for")
                }
                _ => self.refused(question, target, plain).await,
            };
        }
        if framing(&plain) == Framing::Length(0) && told.is_some_and(|total| total > 0) {
            return self.protocol("contradicts itself about an object's length");
        }
        self.found(question, target, plain).await
    }

    async fn refused(&self, question: &Question, target: &Target, response: Response) -> Answer {
        // R2 is told that gzip may come; should an error come so, it is asked for again.
        let encoded = |response: &Response| response.headers().contains_key(CONTENT_ENCODING);
        let r2 = target.sender == Sender::S3(Some(Provider::R2));
        let response = if r2 && encoded(&response) {
            let plainly = Get {
                plainly: true,
                ..Get::of(question, Some("bytes=0-0"))
            };
            match self.get(target, &plainly).await {
                Ok(plain) if plain.status() == response.status() => plain,
                Ok(_) => return self.protocol("answered two equal questions differently"),
                Err(none) => return answer_of(none),
            }
        } else {
            response
        };
        let conditional = Get::of(question, None).if_match.is_some();
        match meaning(target.dialect, conditional, response).await {
            Meaning::Missing => Answer::Missing,
            Meaning::Forbidden => Answer::Forbidden,
            Meaning::Changed => Answer::Changed,
            Meaning::Unknown(failure) => Answer::Unknown(self.named(failure)),
        }
    }

    /// A short text that is no object, for the doctor.
    pub(super) async fn document(&self, target: &Target) -> Result<String, Failure> {
        let reading = tokio::time::timeout(DOCUMENT_PATIENCE, self.read_document(target));
        reading.await.unwrap_or_else(|_| {
            Err(self.named(Failure::new(Reason::Timeout, "no whole answer in time")))
        })
    }

    async fn read_document(&self, target: &Target) -> Result<String, Failure> {
        let response = self
            .get(target, &Get::default())
            .await
            .map_err(|none| none.failure)?;
        if response.status() != StatusCode::OK {
            return Err(match meaning(target.dialect, false, response).await {
                Meaning::Unknown(failure) => self.named(failure),
                Meaning::Missing | Meaning::Forbidden | Meaning::Changed => {
                    self.named(Failure::new(Reason::Denied, "refused"))
                }
            });
        }
        let mut document = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| NoAnswer::of(error, &self.origin).failure)?;
            document.extend_from_slice(&chunk);
            if document.len() > MAX_DOCUMENT_BYTES {
                return Err(self.named(Failure::new(Reason::Protocol, "sent far too much")));
            }
        }
        Ok(String::from_utf8_lossy(&document).into_owned())
    }

    /// The client for requests that are not questions.
    pub(super) fn client(&self) -> &reqwest::Client {
        self.clients.pick(false)
    }

    /// The origin's name.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    pub(super) fn read_clock(&self, response: &Response) {
        if let Some(ahead) = headers::clock_ahead(response.headers(), SystemTime::now()) {
            self.clock_ahead.store(ahead, Ordering::Relaxed);
        }
    }

    fn protocol(&self, what: &str) -> Answer {
        Answer::Unknown(self.named(Failure::new(Reason::Protocol, what)))
    }

    /// The failure with the origin's name before it.
    pub(super) fn named(&self, mut failure: Failure) -> Failure {
        failure.what = format!("{}: {}", self.origin, failure.what).into();
        failure
    }
}

/// The same range in numbers that servers with signed integers can read; no object is so long that
/// it makes a difference.
fn spellable(range: RangeRequest) -> RangeRequest {
    const MOST: u64 = i64::MAX as u64;
    match range {
        RangeRequest::FromTo { first, last } if last > MOST => RangeRequest::From {
            first: first.min(MOST),
        },
        RangeRequest::From { first } => RangeRequest::From {
            first: first.min(MOST),
        },
        RangeRequest::Suffix { length } => RangeRequest::Suffix {
            length: length.min(MOST),
        },
        RangeRequest::FromTo { .. } => range,
    }
}

async fn meaning(dialect: Dialect, conditional: bool, response: Response) -> Meaning {
    let status = response.status();
    let html = headers::is_html(response.headers());
    let retry_after = headers::retry_after(response.headers(), SystemTime::now());
    let unreadable = response.headers().contains_key(CONTENT_ENCODING);
    let body = ErrorBody::read(response).await;
    judge::judge(&Refusal {
        dialect,
        status,
        code: body.code.as_deref(),
        cut: body.cut || unreadable,
        html,
        retry_after,
        conditional,
    })
}

/// Reads the byte that a probe had to ask for, so that its connection can be used again.
async fn drain(response: Response) {
    if response
        .content_length()
        .is_some_and(|length| length <= DRAINED_BYTES)
    {
        // Whether it comes does not matter: the head is known.
        let _ = tokio::time::timeout(DRAIN_PATIENCE, response.bytes()).await;
    }
}

fn answer_of(none: NoAnswer) -> Answer {
    if none.dropped {
        Answer::Dropped(none.failure)
    } else {
        Answer::Unknown(none.failure)
    }
}

/// Catches origins that ignore `If-Match`, and versions that no header can ask for.
fn only_this_version(question: &Question, answer: Answer) -> Answer {
    match (&question.only, answer) {
        (Some(only), Answer::Found(reply)) if reply.head.validator.as_ref() != Some(only) => {
            Answer::Changed
        }
        (_, answer) => answer,
    }
}

impl<'a> Get<'a> {
    fn of(question: &'a Question, range: Option<&'a str>) -> Self {
        Self {
            fresh_connection: question.fresh_connection,
            range,
            if_match: question.only.as_ref().and_then(Validator::if_match),
            plainly: false,
        }
    }
}

fn framing(response: &Response) -> Framing {
    headers::framing(
        response.content_length(),
        response.version(),
        response.headers(),
    )
}
