//! Tells the operator by a webhook that something should be looked at.
//!
//! Looks every few seconds at what is counted anyway, and says what fires, what still holds after a
//! long time, and what is over. Nothing waits for it: what is told waits in an outbox, and a
//! receiver that is slow, dead or rude delays only the next message. Asks no origin, and tells no
//! key, viewer or secret.
//!
//! | file | what it knows |
//! |---|---|
//! | `rules` | which alerts there are, and their words; the same as Prometheus is given |
//! | `moment` | what they are judged by, gathered from the counters |
//! | `judge`, `window` | which of them hold; what was counted in the last minutes; pure |
//! | `standing` | since when, and when it is told; pure |
//! | `outbox` | what is still to be told, and when that is tried |
//! | `message` | one message in the form of its receiver; pure |
//! | `sending` | one try, and what a refusal means |

mod judge;
mod message;
mod moment;
mod outbox;
mod rules;
mod sending;
mod standing;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use state::{StateDirectory, ToldAlert};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use rules::Alert;
pub(crate) use sending::Unsent;

use crate::clock::unix_now;
use crate::config::Webhook;
use crate::live::Live;
use crate::reloading::Reloading;
use judge::Judge;
use message::Said;
use moment::Moment;
use outbox::{Outbox, Pause};
use standing::{About, Change, News, Standing, Timing};

/// How often it is looked whether there is a webhook now.
const IDLE: Duration = Duration::from_secs(5);
/// Between two messages: Discord takes five in two seconds, and people fewer.
const GAP: Duration = Duration::from_secs(2);

/// Where messages go now.
type Destination = Option<Arc<Webhook>>;

/// Watches and tells until `stop`.
pub(crate) async fn run(
    live: &Live,
    reloading: &Reloading,
    state: &Arc<StateDirectory>,
    stop: CancellationToken,
) {
    let outbox = Outbox::default();
    let (destination, destined) = watch::channel(None);
    let told = Told::read(state).await;
    let watching = watch(live, reloading, &outbox, &destination, told.when.clone());
    let telling = tell(live, &outbox, destined, told);
    let both = async { tokio::join!(watching, telling) };
    let _ = stop.run_until_cancelled(both).await;
}

/// Says to a receiver that messages arrive.
///
/// # Errors
/// They do not.
pub(crate) async fn test(webhook: &Webhook) -> Result<(), Unsent> {
    sending::send(webhook, &Said::Test).await
}

/// Looks again and again at what holds.
async fn watch(
    live: &Live,
    reloading: &Reloading,
    outbox: &Outbox,
    destination: &watch::Sender<Destination>,
    told: BTreeMap<About, u64>,
) {
    let began = Instant::now();
    let mut judge = Judge::default();
    let mut standing: Option<Standing> = None;
    let mut told = Some(told);
    loop {
        let config = reloading.config();
        let at = began.elapsed();
        // Also without a webhook: what happens before there is one is no news then.
        let seen = judge.look(at, &Moment::of(&live.app(), &config));
        let Some(webhook) = &config.webhook else {
            if destination.send_replace(None).is_some() {
                standing = None;
                outbox.clear();
            }
            tokio::time::sleep(IDLE).await;
            continue;
        };
        let before = destination.borrow().clone();
        if before.as_deref().is_some_and(|was| !was.leads_to(webhook)) {
            // Whoever is told now knows of nothing yet.
            standing = None;
        }
        if before.as_deref() != Some(webhook) {
            destination.send_replace(Some(Arc::new(webhook.clone())));
        }
        let timing = Timing {
            after: webhook.after,
            repeat: webhook.repeat,
        };
        let seen = seen.into_iter();
        let seen = seen.filter(|seen| webhook.alerts.contains(&seen.about.0));
        let standing = standing.get_or_insert_with(|| {
            let now = unix_now();
            let told = told.take().unwrap_or_default().into_iter();
            let told = told.filter(|((alert, _), _)| webhook.alerts.contains(alert));
            let told =
                told.map(|(about, then)| (about, Duration::from_secs(now.saturating_sub(then))));
            Standing::inherit(told, at, timing)
        });
        outbox.put(standing.take(at, seen.collect(), timing));
        tokio::time::sleep(webhook.every).await;
    }
}

/// Tells what waits, again and again.
async fn tell(
    live: &Live,
    outbox: &Outbox,
    mut destined: watch::Receiver<Destination>,
    mut told: Told,
) {
    let mut pause = Pause::default();
    loop {
        let news = outbox.all().await;
        let webhook = destined.borrow_and_update().clone();
        let Some(webhook) = webhook else {
            outbox.clear();
            continue;
        };
        let sent = sending::send(&webhook, &Said::News(&news)).await;
        live.app().metrics.webhook(sent.is_ok());
        let rest = match sent {
            Ok(()) => {
                outbox.done(&news);
                told.note(&news).await;
                pause = Pause::default();
                let alerts = news.len();
                tracing::info!(alerts, "the webhook has taken a message");
                GAP
            }
            Err(unsent) => {
                let Unsent { why, remedy, .. } = &unsent;
                let random = getrandom::u32().unwrap_or(0);
                let again = pause.after_failure(unsent.for_good, unsent.retry_after, random);
                tracing::warn!(
                    why,
                    remedy,
                    ?again,
                    "the webhook has not taken a message; it is kept and sent again"
                );
                again
            }
        };
        let changed = async {
            if destined.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        if tokio::time::timeout(rest, changed).await.is_ok() {
            pause = Pause::default();
        }
    }
}

/// Which alerts were told when, and not their end; kept in the state directory, so that a restart
/// tells nothing again that was told.
struct Told {
    state: Arc<StateDirectory>,
    when: BTreeMap<About, u64>,
}

impl Told {
    async fn read(state: &Arc<StateDirectory>) -> Self {
        let from = Arc::clone(state);
        let read = tokio::task::spawn_blocking(move || from.alerts()).await;
        let known = |told: ToldAlert| {
            let mut all = Alert::ALL.iter();
            let alert = all.find(|alert| alert.rule().name == told.alert)?;
            Some(((*alert, told.subject), told.told))
        };
        Self {
            state: Arc::clone(state),
            when: read
                .unwrap_or_default()
                .into_iter()
                .filter_map(known)
                .collect(),
        }
    }

    async fn note(&mut self, news: &[News]) {
        for news in news {
            if news.change == Change::Over {
                self.when.remove(&news.about);
            } else {
                self.when.insert(news.about.clone(), unix_now());
            }
        }
        let told = self.when.iter().map(|((alert, subject), told)| ToldAlert {
            alert: alert.rule().name.to_owned(),
            subject: subject.clone(),
            told: *told,
        });
        let (state, told) = (Arc::clone(&self.state), told.collect::<Vec<_>>());
        let kept = tokio::task::spawn_blocking(move || state.keep_alerts(&told)).await;
        if let Ok(Err(error)) = kept {
            tracing::warn!(%error, "it cannot be written down which alerts were told");
        }
    }
}
