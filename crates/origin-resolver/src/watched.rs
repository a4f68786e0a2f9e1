//! A body that keeps its promise or says that it did not.
//!
//! Counts the bytes against what was announced and the time between them against the idle
//! timeout. Time counts only while a reader waits: a slow client is not the origin's fault.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use object::{BodyError, Interruption, ObjectBody};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

/// Called once when the body fails.
type OnFailure = Box<dyn FnOnce(&BodyError) + Send>;
/// Called for each chunk, with its length.
type OnBytes = Box<dyn Fn(u64) + Send>;

/// Watches one origin's body.
pub(crate) struct WatchedBody {
    body: ObjectBody,
    /// Bytes still to come; `None` while only the end tells.
    left: Option<u64>,
    idle_timeout: Duration,
    idle: Pin<Box<Sleep>>,
    waiting: bool,
    /// The origin has left the configuration, and its bodies have had their time.
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    on_bytes: OnBytes,
    on_failure: Option<OnFailure>,
}

impl WatchedBody {
    pub(crate) fn new(
        body: ObjectBody,
        length: Option<u64>,
        idle_timeout: Duration,
        cut: WaitForCancellationFutureOwned,
        on_bytes: OnBytes,
        on_failure: OnFailure,
    ) -> Self {
        Self {
            body,
            left: length,
            idle_timeout,
            idle: Box::pin(tokio::time::sleep(idle_timeout)),
            waiting: false,
            cut: Box::pin(cut),
            on_bytes,
            on_failure: Some(on_failure),
        }
    }

    fn fail(&mut self, error: BodyError) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.body = ObjectBody::empty();
        self.left = Some(0);
        if let Some(on_failure) = self.on_failure.take() {
            on_failure(&error);
        }
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for WatchedBody {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.left == Some(0) {
            return Poll::Ready(None);
        }
        if self.cut.as_mut().poll(cx).is_ready() {
            let what = "its origin has left the configuration";
            return self.fail(BodyError::new(Interruption::Cut, what));
        }
        let Poll::Ready(item) = Pin::new(&mut self.body).poll_next(cx) else {
            if !self.waiting {
                self.waiting = true;
                let deadline = Instant::now() + self.idle_timeout;
                self.idle.as_mut().reset(deadline);
            }
            ready!(self.idle.as_mut().poll(cx));
            let what = format!("no byte came for {:?}", self.idle_timeout);
            return self.fail(BodyError::new(Interruption::Stalled, what));
        };
        self.waiting = false;
        match (item, self.left) {
            (Some(Ok(chunk)), Some(left)) => {
                let length = chunk.len() as u64;
                (self.on_bytes)(length);
                // More than announced: the surplus is not ours to serve.
                let chunk = if length > left {
                    chunk.slice(..usize::try_from(left).unwrap_or(chunk.len()))
                } else {
                    chunk
                };
                self.left = Some(left.saturating_sub(length));
                Poll::Ready(Some(Ok(chunk)))
            }
            (Some(Ok(chunk)), None) => {
                (self.on_bytes)(chunk.len() as u64);
                Poll::Ready(Some(Ok(chunk)))
            }
            (Some(Err(error)), _) => self.fail(error),
            (None, Some(left)) => {
                let what = format!("the body ended {left} bytes early");
                self.fail(BodyError::new(Interruption::Cut, what))
            }
            (None, None) => {
                self.left = Some(0);
                Poll::Ready(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt, stream};
    use tokio_util::sync::CancellationToken;

    fn watch(
        chunks: Vec<&'static str>,
        length: Option<u64>,
    ) -> impl Stream<Item = Result<Bytes, BodyError>> {
        let body = ObjectBody::new(stream::iter(
            chunks.into_iter().map(|text| Ok(Bytes::from(text))),
        ));
        WatchedBody::new(
            body,
            length,
            Duration::from_secs(15),
            CancellationToken::new().cancelled_owned(),
            Box::new(|_| ()),
            Box::new(|_| ()),
        )
    }

    #[tokio::test]
    async fn a_body_that_ends_early_is_an_error_and_never_an_end() {
        let items: Vec<_> = watch(vec!["ab"], Some(3)).collect().await;
        assert_eq!(items.len(), 2);
        assert_eq!(items[1].as_ref().unwrap_err().kind, Interruption::Cut);
    }

    #[tokio::test]
    async fn surplus_bytes_are_not_passed_on() {
        let items: Vec<_> = watch(vec!["ab", "cd"], Some(3)).collect().await;
        assert_eq!(items[1].as_ref().unwrap(), "c");
        assert_eq!(items.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_body_is_an_error_after_the_idle_timeout() {
        let body = ObjectBody::new(stream::pending());
        let mut watched = WatchedBody::new(
            body,
            Some(1),
            Duration::from_secs(15),
            CancellationToken::new().cancelled_owned(),
            Box::new(|_| ()),
            Box::new(|_| ()),
        );
        let began = Instant::now();
        let error = watched.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind, Interruption::Stalled);
        assert_eq!(began.elapsed(), Duration::from_secs(15));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_its_time_is_not_the_origins_fault() {
        let mut watched = watch(vec!["a", "b"], Some(2)).boxed();
        assert!(watched.next().await.unwrap().is_ok());
        tokio::time::advance(Duration::from_hours(1)).await;
        assert!(watched.next().await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_body_is_cut_once_its_origin_has_left_for_good() {
        let leaving = CancellationToken::new();
        let mut watched = WatchedBody::new(
            ObjectBody::new(stream::pending()),
            Some(1),
            Duration::from_secs(15),
            leaving.clone().cancelled_owned(),
            Box::new(|_| ()),
            Box::new(|_| ()),
        );
        let next = watched.next();
        leaving.cancel();
        assert_eq!(next.await.unwrap().unwrap_err().kind, Interruption::Cut);
    }
}
