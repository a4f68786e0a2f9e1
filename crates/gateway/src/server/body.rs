//! An object's body on its way out, or a few words in its stead.
//!
//! Refuses to end cleanly before its time: a body that breaks off, or is shorter or longer than
//! announced, ends in an error, which resets the connection or the stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Frame, SizeHint};
use object::{BodyError, Interruption, ObjectBody};

/// Smaller frames keep the memory of a reader that does not read small.
const FRAME_BYTES: usize = 64 * 1024;

/// How a body ended.
#[derive(Debug)]
pub struct Ended {
    /// Bytes that were handed to the connection.
    pub bytes: u64,
    /// Whether these are all.
    pub complete: bool,
    /// What broke it off; none also when the client went away.
    pub error: Option<BodyError>,
}

/// Is told of a body's end exactly once: at the end, at an error, or when the client goes away.
pub trait OnEnd: Send + Unpin + 'static {
    /// It has ended.
    fn ended(self, ended: Ended);
}

impl<F: FnOnce(Ended) + Send + Unpin + 'static> OnEnd for F {
    fn ended(self, ended: Ended) {
        self(ended);
    }
}

/// The body of an answer.
pub enum Sent<E: OnEnd> {
    /// A few words, or none.
    Text(Bytes),
    /// An object.
    Object(Outgoing<E>),
}

impl<E: OnEnd> From<Bytes> for Sent<E> {
    fn from(text: Bytes) -> Self {
        Self::Text(text)
    }
}

impl<E: OnEnd> http_body::Body for Sent<E> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Text(text) if text.is_empty() => Poll::Ready(None),
            Self::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Self::Object(object) => Pin::new(object).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Object(object) => object.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Object(object) => object.size_hint(),
        }
    }
}

/// An object's body.
pub struct Outgoing<E: OnEnd> {
    body: ObjectBody,
    length: Option<u64>,
    /// What is left of a chunk larger than a frame.
    rest: Bytes,
    bytes: u64,
    on_end: Option<E>,
}

impl<E: OnEnd> Outgoing<E> {
    /// Sends these bytes, of which there are `length` where that is known.
    pub fn new(body: ObjectBody, length: Option<u64>, on_end: E) -> Self {
        Self {
            body,
            length,
            rest: Bytes::new(),
            bytes: 0,
            on_end: Some(on_end),
        }
    }

    fn is_complete(&self) -> bool {
        self.length == Some(self.bytes)
    }

    fn end(&mut self, complete: bool, error: Option<BodyError>) {
        if let Some(on_end) = self.on_end.take() {
            on_end.ended(Ended {
                bytes: self.bytes,
                complete,
                error,
            });
        }
    }

    fn fail(&mut self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.body = ObjectBody::empty();
        self.rest = Bytes::new();
        self.end(false, Some(error.clone()));
        Poll::Ready(Some(Err(error)))
    }
}

fn wrong_length(what: &str) -> BodyError {
    BodyError::new(Interruption::Protocol, what)
}

impl<E: OnEnd> http_body::Body for Outgoing<E> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.on_end.is_none() {
            return Poll::Ready(None);
        }
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_next(cx)) {
                Some(Ok(chunk)) => self.rest = chunk,
                Some(Err(error)) => return self.fail(error),
                None if self.length.is_none_or(|length| length == self.bytes) => {
                    self.end(true, None);
                    return Poll::Ready(None);
                }
                None => return self.fail(wrong_length("the body is shorter than announced")),
            }
        }
        let take = self.rest.len().min(FRAME_BYTES);
        let frame = self.rest.split_to(take);
        let bytes = self.bytes + take as u64;
        if self.length.is_some_and(|length| bytes > length) {
            return self.fail(wrong_length("the body is longer than announced"));
        }
        self.bytes = bytes;
        if self.is_complete() {
            self.end(true, None);
        }
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.on_end.is_none() || self.is_complete()
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            Some(length) => SizeHint::with_exact(length - self.bytes),
            None => SizeHint::default(),
        }
    }
}

impl<E: OnEnd> Drop for Outgoing<E> {
    fn drop(&mut self) {
        let complete = self.is_complete();
        self.end(complete, None);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::body::Body;
    use futures_util::{StreamExt, stream};
    use http_body_util::BodyExt;

    use super::*;

    type Told = Arc<Mutex<Vec<Ended>>>;

    fn sized(chunks: Vec<usize>, length: Option<u64>) -> (Body, Told) {
        let told = Told::default();
        let chunks = stream::iter(chunks).map(|size| Ok(Bytes::from(vec![b'x'; size])));
        let teller = Arc::clone(&told);
        let on_end = move |ended| teller.lock().unwrap().push(ended);
        let body = Outgoing::new(ObjectBody::new(chunks), length, on_end);
        (Body::new(body), told)
    }

    async fn frames(body: &mut Body) -> Vec<Result<usize, axum::Error>> {
        let mut frames = Vec::new();
        while let Some(frame) = body.frame().await {
            frames.push(frame.map(|frame| frame.into_data().unwrap().len()));
        }
        frames
    }

    #[tokio::test]
    async fn large_chunks_leave_in_small_frames() {
        let (mut body, told) = sized(vec![150_000, 0, 5], Some(150_005));
        let frames = frames(&mut body).await;
        let sizes: Vec<_> = frames.into_iter().map(Result::unwrap).collect();
        assert_eq!(sizes, [65_536, 65_536, 18_928, 5]);
        drop(body);
        let told = told.lock().unwrap();
        assert_eq!(told.len(), 1);
        assert!(told[0].complete);
    }

    #[tokio::test]
    async fn a_body_longer_than_announced_sends_no_byte_beyond_and_fails() {
        let (mut body, told) = sized(vec![10, 11], Some(20));
        let frames = frames(&mut body).await;
        assert_eq!(frames.len(), 2);
        assert!(frames[0].is_ok() && frames[1].is_err());
        drop(body);
        let told = told.lock().unwrap();
        assert_eq!(
            (told.len(), told[0].bytes, told[0].complete),
            (1, 10, false)
        );
    }

    #[tokio::test]
    async fn a_body_that_is_never_asked_for_is_reported_too() {
        let (body, told) = sized(vec![10], None);
        drop(body);
        let (empty, told_empty) = sized(vec![], Some(0));
        assert!(http_body::Body::is_end_stream(&empty));
        drop(empty);
        assert!(!told.lock().unwrap()[0].complete);
        assert!(told_empty.lock().unwrap()[0].complete);
    }
}
