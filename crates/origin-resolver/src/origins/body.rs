//! The wanted bytes of an answer's body, and an error wherever they do not all come.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use futures_core::Stream;
use object::{BodyError, Interruption};

/// Which of the body's bytes are wanted, and how it must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// How many come first that nobody asked for.
    pub(super) skip: u64,
    /// How many are wanted; `None` is all.
    pub(super) take: Option<u64>,
    /// Whether more follow that are none of our business. Otherwise the body is read to its end,
    /// which also gives the connection back, and one more byte is an error.
    pub(super) more_follow: bool,
}

impl Window {
    /// A body that holds what is wanted and nothing else.
    pub(super) fn exactly(length: u64) -> Self {
        Self {
            skip: 0,
            take: Some(length),
            more_follow: false,
        }
    }

    /// A body whose end nobody knows.
    pub(super) fn to_the_end() -> Self {
        Self {
            skip: 0,
            take: None,
            more_follow: false,
        }
    }
}

/// The longest chunk handed on; the client's buffer grows with its origin's speed.
const CHUNK_BYTES: usize = 64 * 1024;

/// A stream through a [`Window`].
pub(super) struct Windowed<S> {
    stream: S,
    window: Window,
    /// Wanted bytes that have come and were not handed on yet.
    ready: Bytes,
    origin: Box<str>,
}

impl<S> Windowed<S> {
    /// `origin` is named in errors.
    pub(super) fn new(stream: S, window: Window, origin: &str) -> Self {
        Self {
            stream,
            window,
            ready: Bytes::new(),
            origin: origin.into(),
        }
    }

    fn error(&self, kind: Interruption, what: &str) -> Poll<Option<Result<Bytes, BodyError>>> {
        let what = format!("{}: {what}", self.origin);
        Poll::Ready(Some(Err(BodyError::new(kind, what))))
    }

    /// Cuts a chunk to the window; `Err` where it holds more than was announced.
    fn cut(&mut self, mut chunk: Bytes) -> Result<Bytes, ()> {
        let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        let skipped = self.window.skip.min(length);
        self.window.skip -= skipped;
        chunk.advance(usize::try_from(skipped).unwrap_or(chunk.len()));
        if let Some(take) = &mut self.window.take {
            let keep = usize::try_from(*take).map_or(chunk.len(), |take| take.min(chunk.len()));
            if keep < chunk.len() && !self.window.more_follow {
                return Err(());
            }
            chunk.truncate(keep);
            *take = take.saturating_sub(u64::try_from(keep).unwrap_or(u64::MAX));
        }
        Ok(chunk)
    }
}

impl<S> Stream for Windowed<S>
where
    S: Stream<Item = Result<Bytes, reqwest::Error>> + Unpin,
{
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if !this.ready.is_empty() {
                let length = this.ready.len().min(CHUNK_BYTES);
                return Poll::Ready(Some(Ok(this.ready.split_to(length))));
            }
            if this.window.take == Some(0) && this.window.more_follow {
                return Poll::Ready(None);
            }
            let Poll::Ready(next) = Pin::new(&mut this.stream).poll_next(cx) else {
                return Poll::Pending;
            };
            match next {
                Some(Ok(chunk)) => match this.cut(chunk) {
                    Ok(wanted) => this.ready = wanted,
                    Err(()) => {
                        return this.error(
                            Interruption::Protocol,
                            "sent more bytes than it had announced",
                        );
                    }
                },
                // The cause is worth nothing to a reader, and its text might hold the URL.
                Some(Err(_)) => {
                    return this.error(Interruption::Cut, "the connection broke inside the body");
                }
                None if this.window.skip > 0 || this.window.take.is_some_and(|take| take > 0) => {
                    return this.error(Interruption::Cut, "the body ended early");
                }
                None => return Poll::Ready(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt as _, stream};

    async fn read(chunks: &[&'static str], window: Window) -> (String, Option<Interruption>) {
        let stream =
            stream::iter(chunks.to_vec()).map(|chunk| Ok(Bytes::from_static(chunk.as_bytes())));
        let mut body = Windowed::new(stream, window, "test");
        let mut text = String::new();
        while let Some(next) = body.next().await {
            match next {
                Ok(bytes) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
                Err(error) => return (text, Some(error.kind)),
            }
        }
        (text, None)
    }

    #[tokio::test]
    async fn only_the_wanted_bytes_pass() {
        for chunks in [
            &["0123456789"][..],
            &["01", "2", "345", "6789"],
            &["", "0123456", "789"],
        ] {
            let window = Window {
                skip: 2,
                take: Some(4),
                more_follow: true,
            };
            assert_eq!(read(chunks, window).await, ("2345".into(), None));
            assert_eq!(
                read(chunks, Window::exactly(10)).await,
                ("0123456789".into(), None)
            );
            assert_eq!(
                read(chunks, Window::to_the_end()).await,
                ("0123456789".into(), None)
            );
        }
    }

    #[tokio::test]
    async fn a_long_chunk_is_handed_on_in_pieces() {
        let chunk = Bytes::from(vec![7; 2 * CHUNK_BYTES + 1]);
        let stream = stream::iter([Ok(chunk.clone())]);
        let body = Windowed::new(stream, Window::exactly(chunk.len() as u64), "test");
        let pieces: Vec<_> = body.map(|piece| piece.unwrap().len()).collect().await;
        assert_eq!(pieces, [CHUNK_BYTES, CHUNK_BYTES, 1]);
    }

    #[tokio::test]
    async fn a_body_that_ends_early_never_ends_cleanly() {
        let short = read(&["012"], Window::exactly(4)).await;
        assert_eq!(short, ("012".into(), Some(Interruption::Cut)));
        let window = Window {
            skip: 5,
            take: Some(1),
            more_follow: true,
        };
        assert_eq!(read(&["012"], window).await.1, Some(Interruption::Cut));
    }

    #[tokio::test]
    async fn a_body_that_goes_on_is_an_error() {
        let long = read(&["012", "3"], Window::exactly(3)).await;
        assert_eq!(long, ("012".into(), Some(Interruption::Protocol)));
    }
}
