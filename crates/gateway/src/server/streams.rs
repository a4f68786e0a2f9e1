//! The tasks of one connection's HTTP/2 streams: owned, ended with the server, and reset when
//! their reader is too slow.
//!
//! A stream waits for its reader's window while the connection writes freely, so the pace of
//! the connection says nothing about it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::watch::Watch;

#[derive(Clone)]
pub(super) struct Streams {
    pub(super) tasks: TaskTracker,
    pub(super) abort: CancellationToken,
    pub(super) watch: Arc<Watch>,
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        // hyper calls the service and then at once hands over the stream's task. Should it stop
        // doing so, a stream is watched by its connection alone.
        let watched = self.watch.take_stream();
        let abort = self.abort.clone();
        self.tasks.spawn(async move {
            let mut stream = pin!(stream);
            let mut aborted = pin!(abort.cancelled());
            let mut alarm = pin!(tokio::time::sleep_until(Instant::now()));
            // Dropping the stream before its end resets it.
            poll_fn(|cx| {
                if stream.as_mut().poll(cx).is_ready() || aborted.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                let Some(deadline) = watched.as_ref().and_then(|stream| stream.deadline()) else {
                    return Poll::Pending;
                };
                if alarm.deadline() != deadline {
                    alarm.as_mut().reset(deadline);
                }
                alarm.as_mut().poll(cx)
            })
            .await;
        });
    }
}
