//! Anything in any order, against a model that is a list of versions.
//!
//! What may be answered of a key: bytes of one version that its origin has had since the key was
//! last purged, never an older one than was answered before; *missing*, if the origin has none
//! now; *unknown*, while no origin answers.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use object::{ByteRange, Part, RangeRequest};
use proptest::prelude::*;

use super::fake::{Object, Says};
use super::fixture::{Fixture, name, noise, read};
use crate::disk::Purge;
use crate::{Answer, Refused};

const KEYS: [&str; 4] = ["a/1", "a/2", "b/1", "b/large"];
/// The disk has room for a few of them, so that they push one another out.
const DISK_BYTES: u64 = 40_000_000;

#[derive(Debug, Clone)]
enum Step {
    Get(usize),
    Range(usize, u64, u64),
    Suffix(usize, u64),
    Head(usize),
    Herd(usize),
    Upload(usize, usize),
    Delete(usize),
    Purge(usize),
    PurgePrefix,
    PurgeAll,
    Erase(usize),
    Outage(bool),
    Age,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..KEYS.len();
    let step = prop_oneof![
        6 => key.clone().prop_map(Step::Get),
        4 => (key.clone(), 0..3_000_000_u64, 1..2_000_000_u64)
            .prop_map(|(key, first, length)| Step::Range(key, first, length)),
        2 => (key.clone(), 1..2_000_000_u64).prop_map(|(key, length)| Step::Suffix(key, length)),
        1 => key.clone().prop_map(Step::Head),
        2 => key.clone().prop_map(Step::Herd),
        5 => (key.clone(), 0..3_500_000_usize).prop_map(|(key, size)| Step::Upload(key, size)),
        2 => key.clone().prop_map(Step::Delete),
        1 => key.clone().prop_map(Step::Purge),
        1 => Just(Step::PurgePrefix),
        1 => Just(Step::PurgeAll),
        1 => key.prop_map(Step::Erase),
        2 => any::<bool>().prop_map(Step::Outage),
        2 => Just(Step::Age),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..30)
}

/// What has been of one key.
#[derive(Default)]
struct History {
    /// Every version there ever was.
    versions: Vec<Bytes>,
    /// The first that may still be answered with.
    from: usize,
    /// Whether the origin has the last one.
    is_there: bool,
}

struct Model {
    keys: BTreeMap<&'static str, History>,
    outage: bool,
    uploads: u64,
}

impl Model {
    fn key(&mut self, key: usize) -> (&'static str, &mut History) {
        let key = KEYS[key];
        (key, self.keys.entry(key).or_default())
    }

    fn tell(&self, fixture: &Fixture) {
        for key in KEYS {
            let history = self.keys.get(key);
            let says = match history.filter(|history| history.is_there) {
                _ if self.outage => Says::Unknown,
                None => Says::Missing,
                Some(history) => {
                    let tag = history.versions.len().to_string();
                    let bytes = history.versions.last().unwrap().clone();
                    Says::Has(Object::of(bytes, &tag))
                }
            };
            fixture.source.set(key, says);
        }
    }

    fn purged(&mut self, matches: impl Fn(&str) -> bool) {
        for (key, history) in &mut self.keys {
            if matches(key) {
                let last = usize::from(history.is_there);
                history.from = history.versions.len() - last;
            }
        }
    }
}

async fn ask(fixture: &Fixture, model: &mut Model, key: usize, part: Part) {
    let outage = model.outage;
    let (key, history) = model.key(key);
    for _ in 0..4 {
        let mut held = match fixture.open(key, part).await {
            Answer::Held(held) => held,
            Answer::Missing { .. } => {
                assert!(!history.is_there, "{key} is there");
                return;
            }
            Answer::Unknown { .. } => {
                assert!(outage, "{key}: the origin answers");
                return;
            }
            Answer::Unsatisfiable { total, .. } => {
                let last = history.versions.last().unwrap();
                assert_eq!(total, last.len() as u64);
                return;
            }
            other => panic!("{key}: {}", name(&other)),
        };
        let total = held.total();
        let range = match part {
            Part::Head => return,
            Part::Whole => Some(ByteRange::whole(total)),
            Part::Range(range) => range.resolve(total),
        };
        let Some(range) = range else {
            return;
        };
        let body = match held.begin(range, part).await {
            Ok(body) => body,
            Err(Refused::Changed) => continue,
            Err(Refused::Unknown { .. }) => {
                assert!(outage, "{key}: the origin answers");
                return;
            }
        };
        let index = |at: u64| usize::try_from(at).unwrap();
        let is_it = |version: &&Bytes, bytes: &[u8]| {
            version.len() as u64 == total && version[index(range.start)..index(range.end)] == *bytes
        };
        match read(body).await {
            Ok(bytes) => {
                let allowed = history.versions.iter().enumerate().skip(history.from);
                let found = allowed.rev().find(|(_, version)| is_it(version, &bytes));
                let (number, _) = found.unwrap_or_else(|| panic!("{key}: bytes of no version"));
                // Two may have the same beginning; the newest is the least that is shown.
                history.from = history.from.max(number.min(history.versions.len() - 1));
            }
            Err(error) => {
                let changed = history.versions.len() > history.from + 1 || !history.is_there;
                assert!(changed || outage, "{key}: {error}");
            }
        }
        return;
    }
    panic!("{key}: it changes all the time");
}

async fn run(steps: Vec<Step>) {
    let mut fixture = Fixture::with(|settings| {
        settings.disk.max_size_bytes = DISK_BYTES;
        settings.memory_bytes = 4 * 1024 * 1024;
        settings.missing = Duration::ZERO;
    })
    .await;
    let mut model = Model {
        keys: BTreeMap::new(),
        outage: false,
        uploads: 0,
    };
    model.tell(&fixture);
    for step in steps {
        match step {
            Step::Get(key) => ask(&fixture, &mut model, key, Part::Whole).await,
            Step::Head(key) => ask(&fixture, &mut model, key, Part::Head).await,
            Step::Range(key, first, length) => {
                let last = first + length - 1;
                let part = Part::Range(RangeRequest::FromTo { first, last });
                ask(&fixture, &mut model, key, part).await;
            }
            Step::Suffix(key, length) => {
                let part = Part::Range(RangeRequest::Suffix { length });
                ask(&fixture, &mut model, key, part).await;
            }
            Step::Herd(key) => herd(&fixture, &mut model, key).await,
            Step::Upload(key, size) => {
                model.uploads += 1;
                let bytes = noise(size, model.uploads);
                let (_, history) = model.key(key);
                history.versions.push(bytes);
                history.is_there = true;
            }
            Step::Delete(key) => model.key(key).1.is_there = false,
            Step::Purge(key) => {
                let key = KEYS[key];
                fixture.cache.purge(fixture.key(key)).await;
                model.purged(|other| other == key);
            }
            Step::PurgePrefix => {
                let what = Purge::Prefix {
                    space: fixture.space.clone(),
                    prefix: "a/".into(),
                };
                fixture.cache.purge(what).await;
                model.purged(|key| key.starts_with("a/"));
            }
            Step::PurgeAll => {
                fixture.cache.purge(Purge::All).await;
                model.purged(|_| true);
            }
            Step::Erase(key) => {
                let key = KEYS[key];
                fixture.erase(key).await;
                model.purged(|other| other == key);
            }
            Step::Outage(outage) => model.outage = outage,
            Step::Age => fixture.pass(Duration::from_hours(24 * 91)),
            Step::Restart => fixture = fixture.restarted().await,
        }
        // A failure is shared for a second; the model's clock has no seconds.
        fixture.cache.forget_failures();
        model.tell(&fixture);
    }
}

/// Five at once, of which one goes away in the middle.
async fn herd(fixture: &Fixture, model: &mut Model, key: usize) {
    let (name, history) = model.key(key);
    let gets = (0..5).map(|_| async {
        let Answer::Held(mut held) = fixture.open(name, Part::Whole).await else {
            return None;
        };
        let whole = ByteRange::whole(held.total());
        let body = held.begin(whole, Part::Whole).await.ok()?;
        read(body).await.ok()
    });
    let leaves = fixture.open(name, Part::Whole);
    let (all, answer) = futures_util::join!(futures_util::future::join_all(gets), leaves);
    drop(answer);
    for bytes in all.into_iter().flatten() {
        let mut allowed = history.versions[history.from..].iter();
        assert!(allowed.any(|version| *version == bytes), "{name}");
    }
}

fn cases() -> u32 {
    match std::env::var_os("MEDIA_GATEWAY_SOAK") {
        Some(_) => 1_000,
        None => 24,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_in_whatever_order_an_answer_is_one_true_version(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(run(steps));
        runtime.shutdown_timeout(Duration::from_secs(5));
    }
}
