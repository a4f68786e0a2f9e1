//! A cap on the bytes per second of work in the background; many bodies may share one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use object::ObjectBody;
use tokio::time::Instant;

/// Bytes per second that whoever shares it may move together.
#[derive(Debug)]
pub struct Bandwidth {
    bytes_per_second: f64,
    /// When what was moved so far would be over at that rate.
    paid_until: Mutex<Option<Instant>>,
}

impl Bandwidth {
    /// A cap; at least one byte per second.
    pub fn new(bytes_per_second: u64) -> Arc<Self> {
        #[expect(clippy::cast_precision_loss, reason = "no network is that fast")]
        let bytes_per_second = bytes_per_second.max(1) as f64;
        Arc::new(Self {
            bytes_per_second,
            paid_until: Mutex::new(None),
        })
    }

    /// Pays for bytes that were moved: how long to wait before the next.
    fn pay(&self, bytes: usize, now: Instant) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "chunks are small")]
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        let mut paid = self.paid_until.lock().expect("no panic under this lock");
        let until = paid.map_or(now, |until| until.max(now)) + cost;
        *paid = Some(until);
        until.saturating_duration_since(now)
    }

    /// The body at this rate.
    pub(crate) fn slowed(self: &Arc<Self>, body: ObjectBody) -> ObjectBody {
        let start = (body, Arc::clone(self), Duration::ZERO);
        ObjectBody::new(stream::unfold(start, |(mut body, cap, wait)| async move {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            let chunk = body.next().await?;
            let moved = chunk.as_ref().map_or(0, bytes::Bytes::len);
            let wait = cap.pay(moved, Instant::now());
            Some((chunk, (body, cap, wait)))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn two_bodies_under_one_cap_take_as_long_as_both_together() {
        let cap = Bandwidth::new(1000);
        let body = || {
            let chunks = (0..10).map(|_| Ok(bytes::Bytes::from_static(&[0; 100])));
            cap.slowed(ObjectBody::new(stream::iter(chunks)))
        };
        let began = Instant::now();
        let (one, two) = (body().count(), body().count());
        let counts = futures_util::future::join(one, two).await;
        assert_eq!(counts, (10, 10));
        let took = began.elapsed().as_secs_f64();
        assert!((1.8..2.2).contains(&took), "{took}");
    }
}
