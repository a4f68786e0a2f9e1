//! A toll gate before another HTTP/1.1 server: what passes is counted, and the gate can be shut.
//!
//! Requests and answers pass as they are, `Host` and signature included. It never answers in the
//! server's place but for the 503 of [`Mood::Busy`].

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONTENT_TYPE, HeaderName, RANGE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::door::Door;

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

/// How the gate treats a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mood {
    /// It passes.
    #[default]
    Fair,
    /// It is read, and nothing is said. When that ends, its connection is closed.
    Silent,
    /// It is answered 503 `SlowDown`.
    Busy,
}

/// A request that passed, and as much of the answer as passed.
#[derive(Debug, Clone)]
pub struct Passage {
    /// `GET`, `PUT`, …
    pub method: String,
    /// The request target as it stood in the request line.
    pub target: String,
    /// The `Range` that was asked for.
    pub range: Option<String>,
    /// The answer's status.
    pub status: u16,
    /// Bytes of the answer's body that passed.
    pub bytes: u64,
    /// When the request came.
    pub began: Instant,
    /// When the body came to its end, or was given up; `None` while it passes.
    pub ended: Option<Instant>,
    /// The body came to its end.
    pub whole: bool,
}

/// An open gate; dropping it shuts it and breaks every connection.
#[derive(Debug)]
pub struct Toll {
    door: Door,
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct Gate {
    to: SocketAddr,
    mood: watch::Sender<Mood>,
    passages: Mutex<Vec<Passage>>,
    /// Changes whenever something has passed.
    passing: watch::Sender<()>,
}

impl Toll {
    /// Opens one at a free port of 127.0.0.1, before the server at this address.
    ///
    /// # Errors
    /// No port can be had.
    pub fn before(to: SocketAddr) -> io::Result<Self> {
        let this = Self {
            door: Door::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?,
            gate: Arc::new(Gate {
                to,
                mood: watch::Sender::default(),
                passages: Mutex::default(),
                passing: watch::Sender::default(),
            }),
        };
        this.open()?;
        Ok(this)
    }

    /// `http://127.0.0.1:port`, for path addressing.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.door.addr())
    }

    /// Shuts it and breaks every connection; connects are refused from then on.
    pub async fn shut(&self) {
        self.door.close().await;
    }

    /// Opens it again at the same address; nothing where it is open.
    ///
    /// # Errors
    /// The port cannot be listened on.
    pub fn open(&self) -> io::Result<()> {
        let gate = Arc::clone(&self.gate);
        self.door
            .open(move |stream| pass(stream, Arc::clone(&gate)))
    }

    /// Treats requests so from now on.
    pub fn be(&self, mood: Mood) {
        self.gate.mood.send_replace(mood);
    }

    /// Everything that passed, in the order in which the answers began.
    pub fn passages(&self) -> Vec<Passage> {
        self.gate.passages().clone()
    }

    /// Returns once what has passed is enough; looks whenever more has.
    pub async fn wait_until(&self, mut enough: impl FnMut(&[Passage]) -> bool) {
        let mut passing = self.gate.passing.subscribe();
        while !enough(&self.gate.passages()) {
            passing.changed().await.expect("the gate lives");
        }
    }
}

impl Gate {
    fn passages(&self) -> MutexGuard<'_, Vec<Passage>> {
        self.passages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, number: usize, change: impl FnOnce(&mut Passage)) {
        change(&mut self.passages()[number]);
        self.passing.send_replace(());
    }

    /// An answer; an error closes the connection.
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        server: &tokio::sync::Mutex<SendRequest<Incoming>>,
    ) -> Result<Answer, Closed> {
        let mut mood = self.mood.subscribe();
        let met = *mood.borrow_and_update();
        match met {
            Mood::Fair => {}
            Mood::Silent => {
                let _ = mood.wait_for(|mood| *mood != Mood::Silent).await;
                return Err(Closed);
            }
            Mood::Busy => return Ok(busy()),
        }
        let range = request.headers().get(RANGE);
        let mut passage = Passage {
            method: request.method().to_string(),
            target: request.uri().to_string(),
            range: range.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            status: 0,
            bytes: 0,
            began: Instant::now(),
            ended: None,
            whole: false,
        };
        let sent = server.lock().await.send_request(request).await;
        let answer = sent.map_err(|_| Closed)?;
        passage.status = answer.status().as_u16();
        let number = {
            let mut passages = self.passages();
            passages.push(passage);
            passages.len() - 1
        };
        self.passing.send_replace(());
        let gate = self;
        Ok(answer.map(|inner| {
            let counted = Counted {
                inner,
                gate,
                number,
            };
            counted.boxed()
        }))
    }
}

async fn pass(stream: TcpStream, gate: Arc<Gate>) {
    let _ = stream.set_nodelay(true);
    let Ok(server) = TcpStream::connect(gate.to).await else {
        return;
    };
    let _ = server.set_nodelay(true);
    let Ok((sender, connection)) =
        hyper::client::conn::http1::handshake(TokioIo::new(server)).await
    else {
        return;
    };
    let sender = tokio::sync::Mutex::new(sender);
    let service = service_fn(|request| Arc::clone(&gate).answer(request, &sender));
    let serving =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    tokio::select! {
        // Its errors are clients that went away.
        _ = serving.as_mut() => return,
        _ = connection => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed")]
struct Closed;

fn busy() -> Answer {
    let said = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
                <Error><Code>SlowDown</Code><Message>Please reduce your rate.</Message></Error>";
    let body = Full::new(Bytes::from_static(said.as_bytes()));
    let mut answer = Response::new(body.map_err(|never| match never {}).boxed());
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let kind = hyper::header::HeaderValue::from_static("application/xml");
    let name: HeaderName = CONTENT_TYPE;
    answer.headers_mut().insert(name, kind);
    answer
}

/// An answer's body on its way.
struct Counted {
    inner: Incoming,
    gate: Arc<Gate>,
    number: usize,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.gate
                .change(self.number, |passage| passage.bytes += bytes);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let whole = self.inner.is_end_stream();
        self.gate.change(self.number, |passage| {
            passage.ended = Some(Instant::now());
            passage.whole = whole;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::S3;

    async fn got(url: &str) -> Result<(u16, Bytes), reqwest::Error> {
        let answer = reqwest::get(url).await?;
        Ok((answer.status().as_u16(), answer.bytes().await?))
    }

    #[tokio::test]
    async fn what_passes_is_counted_and_signatures_stay_good() {
        let s3 = S3::start().unwrap();
        s3.create_bucket("media").unwrap();
        let toll = Toll::before(s3.addr()).unwrap();
        let client = crate::BucketClient::new(&toll.endpoint(), "media", s3.keys()).unwrap();
        client
            .put("a b/写真.webp", "image/webp", vec![7; 300_000])
            .await
            .unwrap();
        s3.set_public("media", true);
        let url = format!("{}/media/a%20b/%E5%86%99%E7%9C%9F.webp", toll.endpoint());
        assert_eq!(got(&url).await.unwrap().1, vec![7; 300_000]);
        toll.wait_until(|all| all.len() == 2 && all.iter().all(|one| one.ended.is_some()))
            .await;
        let all = toll.passages();
        assert_eq!(
            (&*all[0].method, all[0].status, all[0].bytes),
            ("PUT", 200, 0)
        );
        assert_eq!(
            (&*all[1].method, all[1].bytes, all[1].whole),
            ("GET", 300_000, true)
        );
        assert_eq!(all[1].target, "/media/a%20b/%E5%86%99%E7%9C%9F.webp");
    }

    #[tokio::test]
    async fn it_refuses_says_nothing_or_is_busy_as_it_is_told() {
        let s3 = S3::start().unwrap();
        s3.create_bucket("media").unwrap();
        s3.set_public("media", true);
        s3.put("media", "a", "text/plain", "hello").await.unwrap();
        let toll = Toll::before(s3.addr()).unwrap();
        let url = format!("{}/media/a", toll.endpoint());
        toll.be(Mood::Busy);
        let (status, said) = got(&url).await.unwrap();
        assert!(status == 503 && said.starts_with(b"<?xml"), "{status}");
        toll.be(Mood::Silent);
        let silent = got(&url);
        let spoken = async {
            tokio::task::yield_now().await;
            toll.be(Mood::Fair);
        };
        // It was asked before or after: closed without an answer, or answered.
        let (asked, ()) = tokio::join!(silent, spoken);
        assert!(asked.is_err() || asked.unwrap().0 == 200);
        toll.shut().await;
        assert!(got(&url).await.unwrap_err().is_connect());
        toll.open().unwrap();
        assert_eq!(
            got(&url).await.unwrap(),
            (200, Bytes::from_static(b"hello"))
        );
        assert!(toll.passages().iter().all(|one| one.status == 200));
    }
}
