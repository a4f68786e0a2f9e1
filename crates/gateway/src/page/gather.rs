//! Puts a [`Snapshot`] together from the running gateway.
//!
//! Asks no origin. What the ledger knows is read beside, for half a second at most: a disk that
//! hangs must not keep anybody from seeing that it does.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use origin_resolver::{GuardedOrigin, OriginState, Standing};
use state::StateDirectory;
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::history::{COARSE_SECONDS, FINE_SECONDS, History, SLOTS, Slot, sum};
use super::numbers::{part, quantile};
use super::plot::{groups, scale};
use super::snapshot::{
    BudgetStatus, CacheStatus, EgressPrice, Health, OriginStatus, PlotNumbers, RouteStatus,
    SavedKey, Saves, Snapshot, Span,
};
use crate::admin::Operated;
use crate::app::App;
use crate::config::{Config, Period};
use crate::live::Live;
use crate::metrics::totals::SECONDS;

/// How long a failure that nothing good has followed is shown as one.
const FAILING: Duration = Duration::from_mins(1);
/// How long what the ledger knows is waited for.
const LEDGER_WITHIN: Duration = Duration::from_millis(500);
/// Saved keys of one origin that are shown.
const SAVED_KEYS: usize = 20;
/// The longest text of an origin that is shown, in characters.
const LONGEST: usize = 300;

/// What is remembered for the page.
pub(crate) struct Watched {
    began: Instant,
    history: Mutex<History>,
    /// What the ledger said last of each rehearsing origin.
    saves: Arc<Mutex<BTreeMap<String, Saves>>>,
    /// One reads it at a time.
    turn: Arc<Semaphore>,
}

impl Watched {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            history: Mutex::new(History::new()),
            saves: Arc::default(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Looks at the counters every ten seconds, until `stop`.
    pub(crate) async fn run(&self, live: &Live, stop: CancellationToken) {
        let mut looks = tokio::time::interval(Duration::from_secs(FINE_SECONDS));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            self.look(&live.app());
        }
    }

    fn look(&self, app: &App) {
        let down = app.origins.iter().filter(|origin| origin.is_in_trouble());
        let down: Vec<Box<str>> = down.map(|origin| origin.name().into()).collect();
        self.history().take(app.metrics.totals(), down);
    }

    fn history(&self) -> std::sync::MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the ledger be read, and returns what it said last.
    async fn saves(&self, app: &App) -> BTreeMap<String, Saves> {
        let rehearsing: Vec<_> = app
            .origins
            .iter()
            .filter(|origin| origin.state() == OriginState::Rehearsal)
            .map(|origin| origin.name().to_owned())
            .collect();
        if let (Some(keeping), false) = (&app.keeping, rehearsing.is_empty())
            && let Ok(turn) = Arc::clone(&self.turn).try_acquire_owned()
        {
            let (state, saves) = (Arc::clone(&keeping.state), Arc::clone(&self.saves));
            let reading = tokio::task::spawn_blocking(move || {
                let read = rehearsing
                    .into_iter()
                    .map(|name| (name.clone(), read_saves(&state, &name)));
                let read = read.collect();
                *saves.lock().unwrap_or_else(PoisonError::into_inner) = read;
                drop(turn);
            });
            // What comes later is shown the next time.
            let _ = tokio::time::timeout(LEDGER_WITHIN, reading).await;
        }
        let saves = self.saves.lock();
        saves.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn read_saves(state: &StateDirectory, origin: &str) -> Saves {
    let ledger = state.ledger();
    let first = ledger.saves(origin).take(SAVED_KEYS);
    let first = first.map_while(Result::ok).map(|save| SavedKey {
        key: save.key.as_str().to_owned(),
        reason: save.reason.label(),
        count: save.count,
    });
    Saves {
        by_reason: BTreeMap::new(),
        first: first.collect(),
        keys: ledger.save_totals(origin).ok().map(|totals| totals.keys),
    }
}

/// The gateway at this moment.
pub(crate) async fn snapshot(operated: &Operated) -> Snapshot {
    let (app, config) = (operated.live.app(), operated.reloading.config());
    let watched = &operated.watched;
    let mut saves = watched.saves(&app).await;
    let now = Instant::now();
    let uptime = now.saturating_duration_since(watched.began).as_secs();
    let mut history = watched.history();
    let since = history.since_last(&app.metrics.totals());
    let hour: Vec<_> = history.hour().copied().collect();
    let day: Vec<_> = history.day().copied().collect();
    let origins = in_order(&app).into_iter().map(|origin| {
        let saves = saves.remove(origin.name());
        let mut status = origin_status(&app, &config, origin, saves);
        if let Some(place) = history.place_of(origin.name()) {
            status.share_in(&hour, &since, place);
        }
        status
    });
    let price = config.admin.egress_price;
    Snapshot {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: uptime,
        accepting: operated.accepting.load(Ordering::Relaxed),
        origins: origins.collect(),
        retired: config.retired.iter().map(ToString::to_string).collect(),
        migrations: operated.migrations.status(now),
        audits: operated.audits.status(now),
        hour: span(&history.sum_of_hour(&since), &hour, FINE_SECONDS, uptime),
        day: span(&history.sum_of_day(&since), &day, COARSE_SECONDS, uptime),
        egress_price: price.map(|price| EgressPrice {
            per_gigabyte: price.per_gigabyte,
            currency: price.currency().to_owned(),
        }),
        routes: app
            .routes
            .iter()
            .map(|route| {
                let totals = app.metrics.withdrawn_totals(&route.config.name);
                RouteStatus {
                    name: route.config.name.to_string(),
                    origins: route
                        .config
                        .origins
                        .iter()
                        .map(ToString::to_string)
                        .collect(),
                    promote_to: route.config.promote_to.as_ref().map(ToString::to_string),
                    withdrawn: totals.withdrawn,
                    withdrawn_brake: totals.brake,
                }
            })
            .collect(),
        promotions_waiting: app.promotions.as_ref().map(|all| all.waiting() as u64),
        cache: cache_status(&app, &config),
        fleet: app.lasting.fleet.as_ref().map(|fleet| fleet.status()),
    }
}

/// Every origin once, as the routes ask them; those that no route asks come last.
fn in_order(app: &App) -> Vec<&Arc<GuardedOrigin>> {
    let asked = app.routes.iter().flat_map(|route| route.resolver.origins());
    let mut all: Vec<&Arc<GuardedOrigin>> = Vec::new();
    for origin in asked.chain(&app.origins) {
        if !all.iter().any(|known| known.name() == origin.name()) {
            all.push(origin);
        }
    }
    all
}

fn origin_status(
    app: &App,
    config: &Config,
    origin: &GuardedOrigin,
    saves: Option<Saves>,
) -> OriginStatus {
    let (name, standing) = (origin.name(), origin.standing());
    let totals = app.metrics.origin_totals(name);
    let rehearses = origin.state() == OriginState::Rehearsal;
    let was_asked = totals.verdicts.iter().any(|(_, count)| *count > 0);
    let budget = config.origin(name).and_then(|origin| origin.max_egress);
    let allowance = app.allowances.get(name);
    OriginStatus {
        name: name.to_owned(),
        state: if rehearses { "rehearsal" } else { "active" },
        up: standing.up,
        suspect: standing.suspect,
        health: health(&standing, was_asked),
        last_failure_reason: standing
            .last_failure
            .as_ref()
            .map(|failure| failure.reason.label()),
        last_failure: standing
            .last_failure
            .map(|failure| shortened(&failure.to_string())),
        failed_seconds_ago: standing.failed_ago.map(|ago| ago.as_secs()),
        found_seconds_ago: standing.found_ago.map(|ago| ago.as_secs()),
        canaries: standing.canaries,
        questions: totals.verdicts.into_iter().collect(),
        served_bytes: totals.served_bytes,
        background_bytes: totals.background_bytes,
        budget: budget
            .zip(allowance)
            .map(|(budget, allowance)| BudgetStatus {
                left_bytes: allowance.left(SystemTime::now()),
                of_bytes: budget.bytes,
                period: match budget.period {
                    Period::Day => "day",
                    Period::Month => "month",
                },
            }),
        promotions: totals.promotions.into_iter().collect(),
        saves: rehearses.then(|| Saves {
            by_reason: totals.saves.into_iter().collect(),
            ..saves.unwrap_or_default()
        }),
        ..OriginStatus::default()
    }
}

/// What everything that is known of an origin comes to.
fn health(standing: &Standing, was_asked: bool) -> Health {
    let failed_last = match (standing.failed_ago, standing.found_ago) {
        (Some(failed), Some(found)) => failed < FAILING && failed < found,
        (Some(failed), None) => failed < FAILING,
        (None, _) => false,
    };
    if !standing.up {
        Health::Down
    } else if standing.suspect {
        Health::Suspect
    } else if failed_last {
        Health::Failing
    } else if was_asked {
        Health::Answers
    } else {
        Health::Unasked
    }
}

impl OriginStatus {
    /// Its part of what was found, in an hour of slots.
    fn share_in(&mut self, hour: &[Slot], since: &Slot, place: usize) {
        let here = |slot: &Slot| u64::from(slot.found_at[place]);
        let anywhere = |slot: &Slot| slot.found_at.iter().map(|count| u64::from(*count)).sum();
        let all = sum(hour.iter().chain([since]));
        self.found_last_hour = here(&all);
        self.found_last_hour_anywhere = anywhere(&all);
        self.share = groups(hour)
            .map(|group| {
                let group = sum(group);
                let whole: u64 = anywhere(&group);
                (whole > 0).then(|| part(here(&group), whole))
            })
            .collect();
    }
}

/// A sum and its slots, each of so many seconds, as they are shown.
fn span(sum_of_all: &Slot, slots: &[Slot], slot_seconds: u64, uptime: u64) -> Span {
    let whole = slot_seconds * SLOTS as u64;
    let looked_up = u64::from(sum_of_all.looked_up);
    let quantiles = |part| quantile(part, &SECONDS, &sum_of_all.first_byte);
    Span {
        seconds: uptime.min(whole),
        found: sum_of_all.found.into(),
        missing: sum_of_all.missing.into(),
        failed: sum_of_all.failed.into(),
        refused: sum_of_all.refused.into(),
        hit_ratio: (looked_up > 0).then(|| part(sum_of_all.held.into(), looked_up)),
        first_byte_seconds: quantiles(0.5)
            .zip(quantiles(0.95).zip(quantiles(0.99)))
            .map(|(half, (most, nearly_all))| [half, most, nearly_all]),
        sent_bytes: sum_of_all.sent_bytes,
        saved_bytes: sum_of_all.held_bytes,
        read_bytes: sum_of_all.read_bytes,
        plot: plot(slots, slot_seconds),
    }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn plot(slots: &[Slot], slot_seconds: u64) -> PlotNumbers {
    let (each, points) = scale(slots.len());
    let mut plot = PlotNumbers {
        step_seconds: slot_seconds * each as u64,
        points,
        ..PlotNumbers::default()
    };
    for group in groups(slots) {
        let seconds = (slot_seconds * group.len() as u64) as f64;
        let group = sum(group);
        plot.found.push(f64::from(group.found) / seconds);
        plot.missing.push(f64::from(group.missing) / seconds);
        plot.failed.push(f64::from(group.failed) / seconds);
        plot.sent_bytes.push(group.sent_bytes as f64 / seconds);
        plot.saved_bytes.push(group.held_bytes as f64 / seconds);
        let first_byte = quantile(0.95, &SECONDS, &group.first_byte);
        plot.first_byte.push(first_byte.unwrap_or(0.0));
    }
    plot
}

fn cache_status(app: &App, config: &Config) -> Option<CacheStatus> {
    let keeping = app.keeping.as_ref()?;
    let totals = app.metrics.cache_totals(&keeping.cache);
    Some(CacheStatus {
        up: totals.up,
        memory_bytes: totals.memory_bytes,
        memory_of_bytes: config.cache.memory_bytes,
        disk_bytes: totals.disk_bytes,
        disk_of_bytes: config.cache.max_size_bytes,
        entries: totals.entries,
        orphans: totals.orphans,
        fills: totals.fills,
        followers: totals.followers,
        hits: totals.hits.into_iter().collect(),
        evicted: totals.evicted.into_iter().collect(),
        errors: totals.errors.into_iter().collect(),
    })
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(up: bool, suspect: bool, failed: Option<u64>, found: Option<u64>) -> Standing {
        Standing {
            up,
            suspect,
            last_failure: None,
            failed_ago: failed.map(Duration::from_secs),
            found_ago: found.map(Duration::from_secs),
            canaries: 0,
        }
    }

    #[test]
    fn an_origin_is_as_well_as_the_last_thing_that_it_did() {
        for (up, suspect, failed, found, expected) in [
            (true, false, None, None, Health::Answers),
            (true, false, Some(5), Some(1), Health::Answers),
            (true, false, Some(1), Some(5), Health::Failing),
            (true, false, Some(1), None, Health::Failing),
            (true, false, Some(61), Some(70), Health::Answers),
            (true, true, None, Some(1), Health::Suspect),
            (false, true, Some(1), None, Health::Down),
        ] {
            let standing = standing(up, suspect, failed, found);
            assert_eq!(health(&standing, true), expected, "{standing:?}");
        }
        let never = standing(true, false, None, None);
        assert_eq!(health(&never, false), Health::Unasked);
    }

    #[test]
    fn a_span_is_no_longer_than_the_gateway_has_run() {
        let slot = Slot {
            found: 30,
            looked_up: 10,
            held: 9,
            ..Slot::default()
        };
        let hour = span(&slot, &[slot], FINE_SECONDS, 25);
        assert_eq!(hour.seconds, 25);
        assert_eq!(hour.hit_ratio, Some(0.9));
        assert_eq!(hour.first_byte_seconds, None);
        assert_eq!((hour.plot.step_seconds, hour.plot.points), (10, 30));
        assert_eq!(hour.plot.found, [3.0]);
        let full = span(&slot, &vec![slot; SLOTS], FINE_SECONDS, 99_999).plot;
        assert_eq!((full.step_seconds, full.points), (30, 120));
        assert_eq!(span(&slot, &[slot], FINE_SECONDS, 99_999).seconds, 3600);
        assert_eq!(span(&slot, &[], COARSE_SECONDS, 99_999).seconds, 86_400);
    }
}
