//! The page's parts as they change, for tabs that stay open.
//!
//! Rendered once for everybody who reads the same language, and only while somebody does; only
//! what has changed is sent. A bounded number of tabs; one more is told to come back.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::view::Sections;
use super::words::Language;
use super::{Asked, Watching, language, snapshot};
use crate::admin::Operated;

/// How often a tab is told what has changed.
const EVERY: Duration = Duration::from_secs(2);
/// What was rendered is used again for so long.
const FRESH: Duration = Duration::from_millis(1_900);
/// Tabs at one time.
const TABS: usize = 64;

/// The names of the parts.
const PARTS: [&str; 4] = ["overview", "origins", "migration", "cache"];

/// What open tabs share.
pub(crate) struct Stream {
    tabs: Arc<Semaphore>,
    /// By language, and when.
    rendered: [Mutex<Option<AtOneTime>>; Language::ALL.len()],
    seed: RandomState,
}

type AtOneTime = (Instant, Arc<Rendered>);

/// Every part, with a hash to compare it by.
type Rendered = [(String, u64); PARTS.len()];

impl Stream {
    pub(crate) fn new() -> Self {
        Self {
            tabs: Arc::new(Semaphore::new(TABS)),
            rendered: Default::default(),
            seed: RandomState::new(),
        }
    }

    /// The parts as they are now, or were a moment ago.
    async fn parts(&self, operated: &Operated, language: Language) -> Arc<Rendered> {
        let mut rendered = self.rendered[language as usize].lock().await;
        if let Some((at, parts)) = &*rendered
            && at.elapsed() < FRESH
        {
            return Arc::clone(parts);
        }
        let snapshot = snapshot(operated).await;
        let sections = Sections::of(&snapshot, language);
        let parts = [
            sections.overview.render(),
            sections.origins.render(),
            sections.migration.render(),
            sections.cache.render(),
        ];
        let parts = Arc::new(parts.map(|part| {
            let part = part.unwrap_or_default();
            let hash = self.seed.hash_one(&part);
            (part, hash)
        }));
        *rendered = Some((Instant::now(), Arc::clone(&parts)));
        parts
    }
}

/// One open tab.
struct OpenTab {
    watching: Watching,
    language: Language,
    ticks: Interval,
    /// What was sent last.
    sent: [Option<u64>; PARTS.len()],
    _place: OwnedSemaphorePermit,
}

impl OpenTab {
    /// What has changed since the last time, also while the last downloads finish: then somebody
    /// looks. The listener cuts it off after those.
    async fn next(&mut self) -> Option<Event> {
        self.ticks.tick().await;
        let operated = &self.watching.operated;
        let parts = self.watching.stream.parts(operated, self.language).await;
        let mut changed = BTreeMap::new();
        for (index, (part, hash)) in parts.iter().enumerate() {
            if self.sent[index].replace(*hash) != Some(*hash) {
                changed.insert(PARTS[index], &**part);
            }
        }
        // Also where nothing has: silence means that the gateway is gone. In JSON, because the
        // protocol knows no carriage return, and a key may have one.
        let event = Event::default().event("parts");
        event.json_data(&changed).ok()
    }
}

pub(super) async fn events(
    State(watching): State<Watching>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let Ok(place) = Arc::clone(&watching.stream.tabs).try_acquire_owned() else {
        let later = [(header::RETRY_AFTER, "10")];
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            later,
            "too many open tabs\n",
        )
            .into_response();
    };
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let tab = OpenTab {
        language: language(asked.lang.as_deref(), &headers),
        watching,
        ticks,
        sent: [None; PARTS.len()],
        _place: place,
    };
    let events = stream::unfold(tab, async |mut tab| {
        let event = tab.next().await?;
        Some((Ok::<_, Infallible>(event), tab))
    });
    Sse::new(events).into_response()
}
