//! A whole journey: announced, under way in all sorts of trouble, arrived, rehearsed, proven,
//! and the old place erased.

use std::collections::BTreeSet;
use std::fs;
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{self, StreamExt};
use serde_json::Value;
use tempfile::TempDir;
use test_servers::ReservedPort;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::application::{Uploads, delete};
use super::place::Place;
use super::reader::Readers;
use super::reading::Read;
use super::tools::{listed, rclone_agrees, s3cmd_agrees};
use super::trouble::{Served, kill_migrations, share, storms};
use super::truth::{Life, Side, Truth, length};
use crate::kept::harness::{Random, soak};
use crate::process::harness::Setup;

const READERS: usize = 5;
/// As few at one time as leave something to do for the next run.
const MIGRATE: [&str; 10] = [
    "migrate",
    "--from",
    "old",
    "--to",
    "new",
    "--jobs",
    "4",
    "--max-bandwidth",
    "4 MB/s",
    "--json",
];
/// A file of a directory that was just written may still grow, so no copy of it is kept: then each
/// viewer of it would be a reading.
const SETTLED: Duration = Duration::from_millis(2100);
/// How often a calm migration may have to be run.
const MOST_RUNS: usize = 8;

/// Where the application uploads while storage moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Roads {
    UploadsToNew,
    /// Until nothing is left to be moved.
    UploadsToOld,
}

/// A journey that has not begun.
pub(super) struct Journey {
    old: Place,
    new: Place,
    roads: Roads,
    seed: u64,
    random: Random,
    truth: Arc<Truth>,
    /// For what tools need.
    room: TempDir,
    /// What each run of the migration that ended by itself has said.
    said: Mutex<Vec<String>>,
}

impl Journey {
    pub(super) fn new(old: Place, new: Place, roads: Roads) -> Self {
        let given = std::env::var("MEDIA_GATEWAY_TEST_SEED").ok();
        let seed = given.map_or(u64::from(std::process::id()), |seed| seed.parse().unwrap());
        println!("seed {seed}; the same chance again: MEDIA_GATEWAY_TEST_SEED={seed}");
        Self {
            old,
            new,
            roads,
            seed,
            random: Random(seed),
            truth: Arc::default(),
            room: tempfile::tempdir().unwrap(),
            said: Mutex::default(),
        }
    }

    pub(super) async fn travel(mut self) {
        self.fill().await;
        let port = ReservedPort::any().unwrap();
        let setup = Setup::new(self.moving())
            .server(&format!("listen = \"{}\"", port.addr()))
            .cache("min_free = \"0 B\"");
        let served = Served::default();
        served.restarts(&setup, &self.truth).await;
        let announced = self.announce(&setup).await;
        let (readers, mut reading) = self.readers(&port);
        self.move_in_trouble(&setup, &served).await;
        self.settle(&setup).await;
        readers.all.store(true, Ordering::Relaxed);

        let setup = setup.with_others(self.rehearsing("state = \"rehearsal\"\n"));
        served.restarts(&setup, &self.truth).await;
        self.ask_for_all(&readers).await;
        self.compare().await;
        self.nothing_was_read_twice(&announced);
        self.is_safe(&setup).await;
        let setup = setup.with_others(self.rehearsing("state = \"retired\"\n"));
        served.restarts(&setup, &self.truth).await;
        self.old.erase();
        self.truth.is_erased(Side::Old);
        self.ask_for_all(&readers).await;
        readers.over.cancel();
        while let Some(ended) = reading.join_next().await {
            ended.unwrap();
        }
        self.truth.holds(self.seed, &served.log().await);
        let answers = readers.answers.load(Ordering::Relaxed);
        println!("{answers} answers");
        self.nothing_came_back(&setup, &readers).await;
        self.truth.holds(self.seed, &served.log().await);
        assert!(answers > 200, "only {answers}");
    }

    fn places(&self) -> [&Place; 2] {
        [&self.old, &self.new]
    }

    fn uploads(&self) -> Uploads<'_> {
        match self.roads {
            Roads::UploadsToNew => Uploads {
                side: Side::New,
                place: &self.new,
            },
            Roads::UploadsToOld => Uploads {
                side: Side::Old,
                place: &self.old,
            },
        }
    }

    /// As the guides have it while storage moves.
    fn moving(&self) -> String {
        let route = match self.roads {
            Roads::UploadsToNew => "origins = [\"new\", \"old\"]\nuploads_to = \"new\"\n",
            Roads::UploadsToOld => "origins = [\"old\", \"new\"]\nuploads_to = \"old\"\n",
        };
        self.old.origin("")
            + &self.new.origin("")
            + "[[routes]]\nname = \"media\"\nurl = \"/\"\nkeys = [\"m/\", \"null/\"]\n"
            + route
            + "promote_to = \"new\"\n"
    }

    /// As the guides have it afterwards.
    fn rehearsing(&self, state: &str) -> String {
        let uploads = match self.roads {
            Roads::UploadsToNew => "uploads_to = \"new\"\npromote_to = \"new\"\n",
            Roads::UploadsToOld => "",
        };
        self.old.origin(state)
            + &self.new.origin("")
            + "[[routes]]\nname = \"media\"\nurl = \"/\"\nkeys = [\"m/\", \"null/\"]\n\
               origins = [\"new\", \"old\"]\n"
            + uploads
    }

    async fn fill(&mut self) {
        let files = if soak() { 600 } else { 90 };
        let keys: Vec<_> = (0..files)
            .map(|n| match n % 10 {
                0 => format!("m/夕焼け 写真 {n}.webp"),
                1 => format!("null/a+b;c-{n}.webp"),
                _ => format!("m/{n:04}.webp"),
            })
            .collect();
        let (place, truth) = (&self.old, &*self.truth);
        let put = |key: String| async move {
            place.put(&key).await;
            truth.add(&key, Side::Old, false);
        };
        stream::iter(keys).for_each_concurrent(8, put).await;
        if place.toll().is_none() {
            sleep(SETTLED).await;
        }
    }

    /// What the dry run says will be read from the old place; it reads nothing.
    async fn announce(&self, setup: &Setup) -> BTreeSet<String> {
        let all: BTreeSet<_> = self.truth.keys(|_, _| true).into_iter().collect();
        let report = setup.json(&[&MIGRATE[..], &["--dry-run"]].concat()).await;
        let new = &report["tally"]["new"];
        let bytes: usize = all.iter().map(|key| length(key)).sum();
        assert_eq!(new["objects"], all.len(), "{report}");
        assert_eq!(new["bytes"], bytes, "{report}");
        assert_eq!(report["estimate"]["source_bytes"], bytes, "{report}");
        all
    }

    fn readers(&mut self, port: &ReservedPort) -> (Arc<Readers>, JoinSet<()>) {
        let readers = Arc::new(Readers {
            truth: Arc::clone(&self.truth),
            base: format!("http://{}/", port.addr()),
            over: CancellationToken::new(),
            all: AtomicBool::new(false),
            answers: AtomicU64::new(0),
        });
        let mut reading = JoinSet::new();
        for _ in 0..READERS {
            reading.spawn(Arc::clone(&readers).read(self.random.next()));
        }
        (readers, reading)
    }

    /// Everything at once, until nothing is left to be moved.
    async fn move_in_trouble(&mut self, setup: &Setup, served: &Served) {
        let kills = if soak() { 40 } else { 3 };
        let (storm, application) = (CancellationToken::new(), CancellationToken::new());
        let chances = [(); 4].map(|()| share(&mut self.random));
        let [weather, killing, deleting, migrating] = chances;
        let (truth, places) = (&*self.truth, self.places());
        let moving = async {
            kill_migrations(setup, truth, served, places, &MIGRATE, kills, migrating).await;
            let passes = async {
                sleep(Duration::from_millis(1500)).await;
                storm.cancel();
            };
            let (last, ()) = tokio::join!(self.migrate(setup), passes);
            assert!(last.status.code().is_some(), "{last:?}");
            if self.roads == Roads::UploadsToOld {
                // There would always be something new.
                application.cancel();
            }
            self.until_nothing_new(setup).await;
            application.cancel();
        };
        let (outages, killed, (), (), ()) = tokio::join!(
            storms(truth, places, &storm, weather),
            served.is_killed(setup, truth, &storm, killing),
            self.uploads().go_on(truth, &application),
            delete(setup, truth, served, self.uploads(), &application, deleting),
            moving,
        );
        let gone = truth.keys(|_, file| file.life != Life::Live).len();
        let came = truth.keys(|_, file| file.is_upload).len();
        println!(
            "{outages} outages, {killed} kills of the gateway, {kills} of the migration; {came} \
             uploads, {gone} deletions"
        );
        assert!(outages > 0 && killed > 0 && gone > 0 && came > 0);
    }

    /// One run of the migration, to its end.
    async fn migrate(&self, setup: &Setup) -> Output {
        let began = Instant::now();
        let output = setup.run(&MIGRATE).await;
        let said = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
        let said = format!("from {began:?} to {:?}: {said:?}", Instant::now());
        let mut all = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(said);
        output
    }

    /// Runs the migration as the guides say.
    async fn until_nothing_new(&self, setup: &Setup) -> Value {
        let mut last = Value::Null;
        for _ in 0..MOST_RUNS {
            let output = self.migrate(setup).await;
            let report: Value = serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|error| panic!("seed {}: {error}: {output:?}", self.seed));
            if output.status.success() && report["tally"]["new"]["objects"] == 0 {
                return report;
            }
            last = report;
        }
        panic!("seed {}: it never reports new 0: {last:#}", self.seed);
    }

    /// The application is done with the old place: what is gone is erased everywhere, and what it
    /// deletes from now on at the new one stays gone.
    async fn settle(&mut self, setup: &Setup) {
        self.until_nothing_new(setup).await;
        self.truth.is_copied(Side::Old, Side::New);
        let list = self.room.path().join("gone.txt");
        let buried = self.truth.keys(|_, file| file.life == Life::Buried);
        fs::write(&list, buried.join("\n")).unwrap();
        let list = list.to_str().unwrap();
        self.erase(setup, list).await;
        if self.roads == Roads::UploadsToNew {
            for _ in 0..5 {
                let both = |_: &str, file: super::truth::File| {
                    file.life == Life::Live && file.is_at(Side::Old)
                };
                let key = self.truth.any(&mut self.random, both).unwrap();
                self.truth.becomes(&key, Life::Going);
                self.new.delete(&key).await;
                self.truth.becomes(&key, Life::Deleted);
            }
            let report = self.until_nothing_new(setup).await;
            assert_eq!(report["tally"]["withdrawn"]["objects"], 5, "{report}");
        }
    }

    /// Erases what a file names. What was out of reach a moment ago may still be left alone: then
    /// the same command is given again, as it says itself.
    async fn erase(&self, setup: &Setup, list: &str) {
        let mut said = None;
        for _ in 0..30 {
            let output = setup
                .run(&["tombstone", "add", "--from", list, "--erase"])
                .await;
            if output.status.success() {
                return;
            }
            said = Some(output);
            sleep(Duration::from_secs(1)).await;
        }
        panic!("seed {}: {said:?}", self.seed);
    }

    /// A viewer of each file.
    async fn ask_for_all(&mut self, readers: &Readers) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        for key in self.truth.keys(|_, _| true) {
            readers.ask(&client, &key, &mut self.random).await;
        }
    }

    /// The old place may be switched off, once nothing waits to be promoted. A copy that a kill
    /// kept from being acknowledged has no proof where no sums can be compared; reading it is one.
    async fn is_safe(&self, setup: &Setup) {
        let mut audit = vec!["audit", "old", "--quiet-for", "0s", "--json"];
        for _ in 0..40 {
            let output = setup.run(&audit).await;
            let report: Value = serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|error| panic!("{error}: {output:?}"));
            let blockers = report["blockers"].as_array().unwrap();
            let waits = |one: &Value| one["blocker"] == "promotions_waiting";
            let is_unproven = |one: &Value| one["blocker"] == "unproven";
            let sums = self.places().iter().all(|place| place.toll().is_some());
            let may_read = !sums && audit.len() == 5;
            if may_read && !blockers.is_empty() && blockers.iter().all(is_unproven) {
                println!("{} copies were not acknowledged", blockers.len());
                audit.extend(["--max-egress", "100 MB"]);
                continue;
            }
            if blockers.is_empty() || !blockers.iter().all(waits) {
                let safe = output.status.code() == Some(0) && report["verdict"] == "safe";
                assert!(safe, "seed {}: {report:#}", self.seed);
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("promotions wait for ever");
    }

    /// Others see at both ends what we say is there.
    async fn compare(&self) {
        let (room, places) = (self.room.path(), self.places());
        let both = |_: &str, file: super::truth::File| {
            file.life == Life::Live && file.is_at(Side::Old) && file.is_at(Side::New)
        };
        let both = self.truth.keys(both);
        rclone_agrees(room, places, &both).await;
        s3cmd_agrees(room, places, &both).await;
        let live: BTreeSet<_> = self.live().into_iter().collect();
        let there = listed(room, &self.new).await;
        assert_eq!(there, live, "seed {}", self.seed);
    }

    fn live(&self) -> Vec<String> {
        self.truth.keys(|_, file| file.life == Life::Live)
    }

    fn nothing_was_read_twice(&self, announced: &BTreeSet<String>) {
        let incidents = self.truth.incidents();
        for (side, place) in [(Side::Old, &self.old), (Side::New, &self.new)] {
            let Some(toll) = place.toll() else {
                continue;
            };
            let read = Read::of(&toll.passages());
            // Copies of a directory's files lie in memory only, so each restart costs one reading
            // of what has moved to the bucket meanwhile.
            if self.old.toll().is_some() {
                let (twice, excused) = read.twice(side, &incidents);
                println!("{excused} parts were read again from {side:?} after something broke");
                let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
                let (seed, twice) = (self.seed, twice.join("\n"));
                assert!(
                    twice.is_empty(),
                    "seed {seed}: {twice}\n{}",
                    said.join("\n")
                );
            }
            let migrated = read.migrated();
            for (key, bytes) in &migrated {
                let is_told = announced.contains(*key)
                    || self.roads == Roads::UploadsToOld && self.truth.file(key).is_upload;
                assert!(side == Side::Old && is_told, "{key} was not announced");
                assert!(*bytes <= length(key) as u64, "{key}: {bytes}");
            }
            assert!(side == Side::New || !migrated.is_empty());
        }
    }

    /// With every copy gone, all is answered from the new place, and what was deleted by nobody.
    async fn nothing_came_back(&self, setup: &Setup, readers: &Readers) {
        let purged = setup.run(&["purge", "--all", "--yes"]).await;
        assert!(purged.status.success(), "{purged:?}");
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        for key in self.truth.keys(|_, _| true) {
            let told = readers.told(&client, &key, None).await;
            let is_due = match self.truth.file(&key).life {
                Life::Live => told.status == 200 && told.origin == "new",
                Life::Deleted => told.status == 404,
                Life::Buried => told.status == 410,
                Life::Going => false,
            };
            let file = self.truth.file(&key);
            assert!(
                is_due,
                "seed {}: {key}, {file:?}: {}",
                self.seed, told.status
            );
            let body = super::truth::content(&key);
            assert!(
                told.status != 200 || told.whole && told.body == body,
                "{key}"
            );
        }
        let there = listed(self.room.path(), &self.new).await;
        let live: BTreeSet<_> = self.live().into_iter().collect();
        assert_eq!(there, live, "seed {}", self.seed);
    }
}
