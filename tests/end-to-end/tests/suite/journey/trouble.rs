//! What goes wrong on purpose, by chance and without end: outages of either end, and a gateway
//! that is killed and started again.

use rustix::process::Signal;
use test_servers::toll::Toll;
use tokio::sync::Mutex;
use tokio::time::{Duration, Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::place::{Outage, Place};
use super::truth::{Side, Trouble, Truth};
use crate::kept::harness::Random;
use crate::process::harness::{Gateway, PATIENCE, Setup};

/// Outages of one end or, now and then, of both, until it is over; then both are well.
pub(super) async fn storms(
    truth: &Truth,
    places: [&Place; 2],
    over: &CancellationToken,
    mut random: Random,
) -> usize {
    let mut outages = 0;
    while !passes(over, &mut random, 200, 700).await {
        let outage = match random.below(4) {
            0 => Outage::Silent,
            1 => Outage::Busy,
            _ => Outage::Gone,
        };
        let both = random.below(6) == 0;
        let first = random.below(2);
        let mut hit = Vec::new();
        for (n, side) in (0..).zip([Side::Old, Side::New]) {
            if both || n == first {
                hit.push((side, truth.begins(Trouble::Outage(side))));
                places[side as usize].fails(outage).await;
            }
        }
        outages += 1;
        passes(over, &mut random, 200, 900).await;
        for (side, incident) in hit {
            places[side as usize].recovers();
            truth.ends(incident);
        }
    }
    outages
}

/// Lets so many milliseconds pass; whether it is over.
async fn passes(over: &CancellationToken, random: &mut Random, least: u64, most: u64) -> bool {
    let pause = Duration::from_millis(least + random.below(most - least));
    tokio::time::timeout(pause, over.cancelled()).await.is_ok()
}

/// A gateway that somebody always starts again. Who needs it to be there holds it.
#[derive(Default)]
pub(super) struct Served(pub(super) Mutex<Option<Gateway>>);

impl Served {
    /// Kills it at any moment until it is over.
    pub(super) async fn is_killed(
        &self,
        setup: &Setup,
        truth: &Truth,
        over: &CancellationToken,
        mut random: Random,
    ) -> usize {
        let mut kills = 0;
        while !passes(over, &mut random, 300, 1500).await {
            let mut gateway = self.0.lock().await;
            let incident = truth.begins(Trouble::Gateway);
            let mut killed = gateway.take().unwrap();
            killed.signal(Signal::KILL);
            killed.ended().await;
            kills += 1;
            *gateway = Some(started(setup).await);
            truth.ends(incident);
        }
        kills
    }

    /// Stops it in good order and starts it with another configuration.
    pub(super) async fn restarts(&self, setup: &Setup, truth: &Truth) {
        let mut gateway = self.0.lock().await;
        let incident = truth.begins(Trouble::Gateway);
        if let Some(gateway) = gateway.take() {
            gateway.stopped().await;
        }
        *gateway = Some(started(setup).await);
        truth.ends(incident);
    }

    /// What it has logged.
    pub(super) async fn log(&self) -> String {
        let gateway = self.0.lock().await;
        gateway.as_ref().map(Gateway::log).unwrap_or_default()
    }
}

/// Starts it, again and again while a command that found no gateway holds the state directory.
async fn started(setup: &Setup) -> Gateway {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match setup.try_start().await {
            Ok(gateway) => return gateway,
            Err(log) => assert!(Instant::now() < deadline, "it does not start: {log}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// A migration that is killed so many times, each time a while after it has begun to ask.
pub(super) async fn kill_migrations(
    setup: &Setup,
    truth: &Truth,
    served: &Served,
    places: [&Place; 2],
    arguments: &[&str],
    kills: usize,
    mut random: Random,
) {
    for _ in 0..kills {
        let before = asked(places);
        let running = {
            // One that finds no gateway would keep it from starting.
            let _there = served.0.lock().await;
            let running = setup.begin(arguments);
            let asking = async {
                while asked(places) == before {
                    sleep(Duration::from_millis(10)).await;
                }
            };
            // It may have nothing to ask while an origin is out of reach.
            let _ = tokio::time::timeout(Duration::from_secs(1), asking).await;
            running
        };
        let due = Instant::now() + Duration::from_millis(100 + random.below(900));
        running.kill_when(|| Instant::now() >= due).await;
        let incident = truth.begins(Trouble::Migration);
        truth.ends(incident);
    }
}

/// Requests that only a migration makes: listings and whole objects; and copies.
fn asked(places: [&Place; 2]) -> usize {
    let tolls = places.into_iter().filter_map(Place::toll);
    let passages = tolls.flat_map(Toll::passages);
    passages
        .filter(|one| {
            one.method == "PUT"
                || one.target.contains("list-type=2")
                || one.range.as_deref() == Some("bytes=0-")
        })
        .count()
}

/// Somebody's own share of the chance.
pub(super) fn share(random: &mut Random) -> Random {
    Random(random.next())
}
