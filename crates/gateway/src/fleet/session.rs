//! One connection to Redis, from finding it to losing it.
//!
//! First reads the purges of others, then compares all tombstones, and only then says that what
//! was told has been done here. From then on it looks ten times a second for what is new. A place
//! in a stream moves on only once what stands before it is durable here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cache::{Cache, Purge};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::ledger::{self, Heard};
use super::link::{Entry, Link, Standing, Tick};
use super::running::{Ended, SaidNowAndThen};
use super::spread::{Pending, Told, settle};
use super::{Fleet, FleetPlace, Order, comparing, new_identity, words};
use crate::clock::unix_now;

/// How often Redis is asked.
const EVERY: Duration = Duration::from_millis(100);
/// How often a gateway says that it is there.
const BEAT: Duration = Duration::from_secs(1);
/// How often everything is compared although nothing seems wrong.
const COMPARE_EVERY: Duration = Duration::from_hours(1);
/// How often at most because something could not be told or kept.
const PAUSE: Duration = Duration::from_secs(1);
/// As many as one answer holds: there may be more.
const FULL: usize = 50;
/// More tombstones than this are told by having everybody compare.
const MOST_TOLD: usize = 500;
/// Tombstones that are told at once.
pub(super) const TOGETHER: usize = 25;

pub(super) struct Session<'a> {
    pub(super) fleet: &'a Arc<Fleet>,
    pub(super) cache: &'a Cache,
    pub(super) link: Link,
    refusals: &'a mut SaidNowAndThen,
    /// Up to where the news were taken over; `"$"` before any were asked for.
    news: String,
    purges: String,
    /// The last of this gateway's purges that Redis has.
    told: u64,
    /// Where that is.
    told_at: String,
    epoch: Vec<u8>,
    /// For a set that has none.
    new_epoch: String,
    /// How many tombstones the set had when it was last looked at.
    set: u64,
    catching_up: bool,
    compared: Option<Instant>,
    beaten: Option<Instant>,
    others: Vec<words::Member>,
    now: u64,
    pending: Vec<Pending>,
}

impl<'a> Session<'a> {
    /// Until it is over; and whether Redis was of use for a while.
    pub(super) async fn run(
        fleet: &'a Arc<Fleet>,
        cache: &'a Cache,
        orders: &mut mpsc::Receiver<Order>,
        refusals: &'a mut SaidNowAndThen,
        stop: &CancellationToken,
    ) -> (Ended, bool) {
        let open = Link::open(&fleet.config.redis, &fleet.config.prefix);
        let link = match stop.run_until_cancelled(open).await {
            None => return (Ended::Stopped, false),
            Some(Err(why)) => return (why.into(), false),
            Some(Ok(link)) => link,
        };
        let mut session = Self {
            fleet,
            cache,
            link,
            refusals,
            news: "$".to_owned(),
            purges: "0-0".to_owned(),
            told: 0,
            told_at: "0-0".to_owned(),
            epoch: Vec::new(),
            new_epoch: new_identity(),
            set: 0,
            catching_up: true,
            compared: None,
            beaten: None,
            others: Vec::new(),
            now: 0,
            pending: Vec::new(),
        };
        let lasting = async {
            session.catch_up().await?;
            session.last(orders).await
        };
        let ended = match stop.run_until_cancelled(lasting).await {
            Some(Ok(never)) => match never {},
            Some(Err(ended)) => ended,
            None => {
                let member = fleet.notes().member.clone();
                // It is only good manners: whoever is away is not waited for either.
                let _ = session.link.leave(&member).await;
                Ended::Stopped
            }
        };
        let was_up = session.compared.is_some();
        for told in session.pending {
            // Whoever asked may have gone.
            let _ = told.reply.send(vec![fleet.untold()]);
        }
        (ended, was_up)
    }

    /// Hears what was told while this gateway was away, and tells what was not.
    async fn catch_up(&mut self) -> Result<(), Ended> {
        while self.look().await? {}
        let fleet = self.fleet;
        if self.told > fleet.notes().sequence {
            self.become_another();
        }
        fleet.notes().joined = true;
        self.catching_up = false;
        fleet.keep_notes().await;
        self.tell_purges().await?;
        self.compare().await?;
        fleet.trouble.store(Arc::new(None));
        let others = self.others.len();
        tracing::info!(others, "this gateway and its fleet know the same");
        Ok(())
    }

    /// Its purges would be taken for done. What it has told is told again, in a name of its own.
    fn become_another(&mut self) {
        tracing::warn!(
            "somebody else tells purges in this gateway's name, as after its state directory was copied or put back; it is a new member from now on"
        );
        ledger::rename(&mut self.fleet.notes(), new_identity());
        self.told = 0;
    }

    /// Never ends well.
    async fn last(
        &mut self,
        orders: &mut mpsc::Receiver<Order>,
    ) -> Result<std::convert::Infallible, Ended> {
        let mut looks = tokio::time::interval(EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(order) = orders.recv() => self.carry_out(order).await?,
                _ = looks.tick() => while self.look().await? {},
            }
        }
    }

    /// Looks what is new; whether to look again at once.
    async fn look(&mut self) -> Result<bool, Ended> {
        let beat =
            self.compared.is_some() && self.beaten.is_none_or(|beaten| beaten.elapsed() >= BEAT);
        let member = self.fleet.notes().member.clone();
        let asked = Standing {
            member: &member,
            name: &self.fleet.name,
            sequence: self.told,
            news: &self.news,
            purges: &self.purges,
            beat,
            epoch: &self.new_epoch,
        };
        let tick = self.link.tick(&asked).await?;
        if beat {
            self.beaten = Some(Instant::now());
        }
        if self.epoch.is_empty() {
            self.epoch.clone_from(&tick.epoch);
        } else if self.epoch != tick.epoch {
            return Err(Ended::Emptied);
        }
        let before = (self.news.clone(), self.purges.clone());
        self.take(&member, &tick).await?;
        let moved = before != (self.news.clone(), self.purges.clone());
        if moved {
            // The others wait to hear that it is done.
            self.beaten = None;
        }
        settle(&mut self.pending, &self.others, self.now);
        Ok(moved && (tick.purges.len() >= FULL || tick.news.len() >= FULL || !self.catching_up))
    }

    async fn take(&mut self, member: &str, tick: &Tick) -> Result<(), Ended> {
        self.now = tick.now;
        let others = tick.members.iter().map(words::member);
        let others: Vec<_> = others.filter_map(Result::ok).collect();
        self.others = others.into_iter().filter(|one| one.id != member).collect();
        self.fleet.metrics.members(self.others.len());
        self.take_purges(member, &tick.purges).await;
        if !self.catching_up && tick.purges.len() < FULL {
            let mut notes = self.fleet.notes();
            for other in &self.others {
                ledger::meet(&mut notes, &other.id, other.sequence);
            }
        }
        if self.news == "$" {
            let newest = tick.news.first().map_or("0-0", |entry| &entry.at);
            newest.clone_into(&mut self.news);
            self.set = tick.tombstones;
            return Ok(());
        }
        let missed = words::place(&tick.first_news) > words::place(&self.news);
        let mut compare = missed || tick.tombstones < self.set;
        self.set = tick.tombstones;
        let since = self.compared.map(|at| at.elapsed());
        // Not all the time where what is found cannot be kept.
        let behind = self.fleet.behind.load(Ordering::Acquire);
        compare |= behind && since.is_some_and(|since| since >= PAUSE);
        compare |= since.is_some_and(|since| since >= COMPARE_EVERY);
        let reached = self.take_news(member, &tick.news, &mut compare).await;
        if compare && self.compared.is_some() {
            self.compare().await?;
        }
        if let Some(reached) = reached {
            self.news = reached;
        }
        Ok(())
    }

    /// Purges as others did, and returns when it is noted.
    async fn take_purges(&mut self, member: &str, entries: &[Entry]) {
        let Some(last) = entries.last() else { return };
        let mut what = Vec::new();
        let mut gap = false;
        let mut known = BTreeSet::new();
        for entry in entries {
            let Ok(told) = words::purge(entry) else {
                self.refuse(1, "a purge that no gateway would tell");
                continue;
            };
            if told.member == member {
                if told.sequence >= self.told {
                    self.told = told.sequence;
                    self.told_at.clone_from(&entry.at);
                }
                if !self.catching_up && told.sequence > self.fleet.notes().sequence {
                    self.become_another();
                }
                continue;
            }
            known.insert(told.member.clone());
            let heard = ledger::hear(
                &mut self.fleet.notes(),
                &told.member,
                told.sequence,
                self.catching_up,
            );
            match heard {
                Heard::Before => continue,
                Heard::Stranger => {
                    self.refuse(1, "a purge of one gateway more than there may be");
                    continue;
                }
                Heard::Nonsense => {
                    self.refuse(1, "a purge that no gateway would tell");
                    continue;
                }
                Heard::AfterGap => gap = true,
                Heard::Next => {}
            }
            self.fleet.metrics.told("in", "purge", 1);
            what.extend(told.what);
        }
        if gap {
            tracing::warn!(
                "this gateway was away for longer than purges are kept, so it drops every copy: one of those that it missed may have been of any"
            );
            what = vec![Purge::All];
        }
        if !what.is_empty() {
            let purged = self.cache.purge_all(&what).await;
            tracing::info!(
                objects = purged.versions,
                bytes = purged.bytes,
                "purged with the fleet"
            );
            known.extend(self.others.iter().map(|other| other.id.clone()));
            ledger::forget(&mut self.fleet.notes(), &known);
            self.fleet.keep_notes().await;
        }
        self.purges.clone_from(&last.at);
    }

    /// Takes over tombstones; up to where, if any.
    async fn take_news(
        &mut self,
        member: &str,
        entries: &[Entry],
        compare: &mut bool,
    ) -> Option<String> {
        let last = entries.last()?;
        let now = unix_now();
        let mut actions = Vec::new();
        for entry in entries {
            match words::news(entry, now) {
                Ok((from, _)) if from == member => {}
                Ok((_, told)) if told.is_empty() => *compare = true,
                Ok((_, told)) => {
                    let nonsense = told.iter().filter(|one| one.is_err()).count() as u64;
                    self.refuse(nonsense, "tombstones that no gateway would tell");
                    actions.extend(told.into_iter().filter_map(Result::ok));
                }
                Err(words::Nonsense) => self.refuse(1, "tombstones that no gateway would tell"),
            }
        }
        comparing::follow(self, actions)
            .await
            .then(|| last.at.clone())
    }

    /// Counts what is refused.
    pub(super) fn refuse(&mut self, count: u64, what: &str) {
        self.fleet.metrics.refused(count);
        if count > 0 && self.refusals.may_say() {
            tracing::warn!(
                what,
                "something in Redis was not written by a gateway and is left aside; see who else writes below fleet.prefix"
            );
        }
    }

    /// Says that tombstones of others cannot be kept; it is tried again all the time.
    pub(super) fn fail(&mut self, error: &state::TombstoneError) {
        if self.refusals.may_say() {
            tracing::error!(%error, "tombstones of the fleet cannot be taken over");
        }
    }

    async fn compare(&mut self) -> Result<(), Ended> {
        let was_behind = self.fleet.behind.swap(false, Ordering::AcqRel);
        let compared = comparing::compare(self).await;
        if compared.is_err() && was_behind {
            self.fleet.compare();
        }
        compared?;
        self.compared = Some(Instant::now());
        self.fleet.is_reached(true);
        Ok(())
    }

    /// Tells of the purges of this gateway that Redis does not have; where the last one is.
    async fn tell_purges(&mut self) -> Result<String, Ended> {
        let (member, untold) = {
            let notes = self.fleet.notes();
            let untold = notes.own.iter().filter(|own| own.sequence > self.told);
            (notes.member.clone(), untold.cloned().collect::<Vec<_>>())
        };
        for own in untold {
            self.told_at = self.link.purge(&member, own.sequence, &own.what).await?;
            self.told = own.sequence;
            self.fleet.metrics.told("out", "purge", 1);
        }
        Ok(self.told_at.clone())
    }

    async fn carry_out(&mut self, order: Order) -> Result<(), Ended> {
        let (told, reply) = match order {
            Order::Tombstones(actions, reply) => (
                self.tell_tombstones(&actions)
                    .await
                    .map(|at| (Told::Tombstones, at)),
                reply,
            ),
            Order::Purges(reply) => {
                let told = self.tell_purges().await.map(|at| (Told::Purges, at));
                (told, reply)
            }
        };
        match told {
            Ok((what, at)) => {
                self.pending.push(Pending {
                    what,
                    at,
                    since: self.now,
                    reply,
                });
                Ok(())
            }
            Err(ended) => {
                self.fleet.compare();
                let why = FleetPlace::redis(Some(
                    "it stopped answering; the others are told once Redis can be used".to_owned(),
                ));
                // Whoever asked may have gone.
                let _ = reply.send(vec![why]);
                Err(ended)
            }
        }
    }

    async fn tell_tombstones(&mut self, actions: &[state::Action]) -> Result<String, Ended> {
        let member = self.fleet.notes().member.clone();
        let latest = words::latest(unix_now());
        let pairs: Vec<_> = actions.iter().map(words::pair).collect();
        let many = pairs.len() > MOST_TOLD;
        let mut at = self.news.clone();
        for some in pairs.chunks(TOGETHER) {
            let told = self.link.tell(&member, &latest, !many, some).await?;
            if !many {
                at = told;
            }
        }
        if many {
            at = self.link.tell(&member, &latest, true, &[]).await?;
        }
        self.fleet.metrics.told("out", "tombstone", pairs.len());
        Ok(at)
    }
}
