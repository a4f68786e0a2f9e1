//! Viewers who never stop asking, and come again where a connection was refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::StreamExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::{Duration, Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::truth::{Life, Told, Truth, length, number};
use crate::kept::harness::Random;
use crate::process::harness::PATIENCE;

/// What a browser leaves as it is in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-');
/// So that an unoptimised program on two processors has time for anything else.
const PAUSE: Duration = Duration::from_millis(25);

/// What readers share.
#[derive(Debug)]
pub(super) struct Readers {
    pub(super) truth: Arc<Truth>,
    /// `http://host:port/` of the gateway.
    pub(super) base: String,
    pub(super) over: CancellationToken,
    /// Whether what is seldom asked for is asked for too.
    pub(super) all: AtomicBool,
    pub(super) answers: AtomicU64,
}

/// What many ask for; the rest waits for the migration.
fn is_popular(key: &str) -> bool {
    number(key).is_multiple_of(3)
}

impl Readers {
    /// Reads until it is over.
    pub(super) async fn read(self: Arc<Self>, seed: u64) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut random = Random(seed);
        let mut ticks = interval(PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.over.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let all = self.all.load(Ordering::Relaxed);
            let live = random.below(8) > 0;
            let key = self.truth.any(&mut random, |key, file| {
                (all || file.is_upload || is_popular(key)) && (file.life == Life::Live) == live
            });
            if let Some(key) = key {
                self.ask(&client, &key, &mut random).await;
            }
        }
    }

    /// Asks for a file, or a part of it, and has the answer judged.
    pub(super) async fn ask(&self, client: &reqwest::Client, key: &str, random: &mut Random) {
        let length = length(key) as u64;
        let range = (random.below(4) == 0).then(|| {
            let first = random.below(length);
            let last = first + random.below(length - first);
            (
                usize::try_from(first).unwrap(),
                usize::try_from(last).unwrap(),
            )
        });
        let (before, began) = (self.truth.file(key), Instant::now());
        let told = self.told(client, key, range).await;
        self.truth.judge(key, range, before, began, &told);
        if told.status != 0 {
            self.answers.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) async fn told(
        &self,
        client: &reqwest::Client,
        key: &str,
        range: Option<(usize, usize)>,
    ) -> Told {
        let url = format!("{}{}", self.base, utf8_percent_encode(key, PATH));
        let mut request = client.get(url);
        if let Some((first, last)) = range {
            request = request.header("range", format!("bytes={first}-{last}"));
        }
        let Ok(Ok(answer)) = timeout(PATIENCE, request.send()).await else {
            return Told::default();
        };
        let header =
            |name: &'static str| answer.headers().get(name).and_then(|one| one.to_str().ok());
        let mut told = Told {
            status: answer.status().as_u16(),
            body: Vec::new(),
            whole: true,
            is_for_now: header("retry-after").is_some()
                && header("cache-control") == Some("no-store"),
            origin: header("x-origin").unwrap_or_default().to_owned(),
        };
        let mut body = answer.bytes_stream();
        while let Ok(Some(chunk)) = timeout(PATIENCE, body.next()).await {
            let Ok(chunk) = chunk else {
                told.whole = false;
                break;
            };
            told.body.extend_from_slice(&chunk);
        }
        told
    }
}
