//! What is still to be told, and when it is tried.
//!
//! Of each alert and subject only the latest word waits, so that it is bounded by what the
//! configuration names, however long a receiver is dead. Pure, but for the lock.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::standing::{About, News};

/// How long a receiver is left alone after it failed; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// The most that a receiver may ask to be left alone.
const MOST_PATIENCE: Duration = Duration::from_hours(1);

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<BTreeMap<About, News>>,
    more: Notify,
}

impl Outbox {
    /// Puts in what was found at one time, so that it becomes one message.
    pub(super) fn put(&self, news: Vec<News>) {
        if news.is_empty() {
            return;
        }
        let news = news.into_iter().map(|news| (news.about.clone(), news));
        self.waiting().extend(news);
        self.more.notify_one();
    }

    /// Returns when something waits, with all of it. It waits on until it is [`Self::done`].
    pub(super) async fn all(&self) -> Vec<News> {
        loop {
            let waiting: Vec<_> = self.waiting().values().cloned().collect();
            if !waiting.is_empty() {
                return waiting;
            }
            self.more.notified().await;
        }
    }

    /// This was told. What has changed in the meantime waits on.
    pub(super) fn done(&self, told: &[News]) {
        let mut waiting = self.waiting();
        for news in told {
            if waiting.get(&news.about) == Some(news) {
                waiting.remove(&news.about);
            }
        }
    }

    /// Nobody is to be told any more.
    pub(super) fn clear(&self) {
        self.waiting().clear();
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<About, News>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long until the next try.
#[derive(Debug, Default)]
pub(super) struct Pause {
    failures: u32,
}

impl Pause {
    /// After a failure; `asked` is what the receiver wants, `random` spreads gateways that failed
    /// together.
    pub(super) fn after_failure(
        &mut self,
        refused_for_good: bool,
        asked: Option<Duration>,
        random: u32,
    ) -> Duration {
        let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        let pause = if refused_for_good {
            LONGEST_PAUSE
        } else {
            doubled.min(LONGEST_PAUSE)
        };
        let spread = pause.mul_f64(f64::from(random) / f64::from(u32::MAX) / 4.0);
        let asked = asked.unwrap_or_default().min(MOST_PATIENCE);
        pause.max(asked) + spread
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::rules::Alert;
    use crate::alerts::standing::Change;

    fn news(subject: &str, change: Change) -> News {
        News {
            about: (Alert::OriginSuspect, subject.to_owned()),
            change,
            summary: String::new(),
            lasted: Duration::ZERO,
        }
    }

    #[tokio::test]
    async fn only_the_latest_word_about_something_waits() {
        let outbox = Outbox::default();
        outbox.put(vec![news("a", Change::Fires), news("b", Change::Fires)]);
        let first = outbox.all().await;
        assert_eq!(first.len(), 2);
        // While that is being told, one of them is over.
        outbox.put(vec![news("a", Change::Over)]);
        outbox.done(&first);
        assert_eq!(outbox.all().await, [news("a", Change::Over)]);
        outbox.clear();
        outbox.put(vec![news("c", Change::Fires)]);
        assert_eq!(outbox.all().await.len(), 1);
    }

    #[test]
    fn a_dead_receiver_is_tried_less_and_less_and_never_never() {
        let mut pause = Pause::default();
        let pauses: Vec<_> = (0..40)
            .map(|_| pause.after_failure(false, None, 0).as_secs())
            .collect();
        assert_eq!(pauses[..4], [1, 2, 4, 8]);
        assert_eq!(pauses[39], 300);
        let spread = pause.after_failure(false, None, u32::MAX);
        assert_eq!(spread, LONGEST_PAUSE + LONGEST_PAUSE / 4);
    }

    #[test]
    fn a_receiver_gets_the_time_that_it_asks_for_within_reason() {
        let ask = |seconds| Some(Duration::from_secs(seconds));
        let after = |asked| Pause::default().after_failure(false, asked, 0);
        assert_eq!(after(ask(7)).as_secs(), 7);
        assert_eq!(after(ask(0)).as_secs(), 1);
        assert_eq!(after(ask(10_000_000)), MOST_PATIENCE);
        assert_eq!(Pause::default().after_failure(true, None, 0), LONGEST_PAUSE);
    }
}
