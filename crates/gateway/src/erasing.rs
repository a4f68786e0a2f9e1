//! Deletes what must stay gone wherever this gateway may delete, and says what is left.
//!
//! Only after the tombstones are durable: a copy that is on its way to an origin in this moment is
//! taken back by whoever makes it. Asks only origins of routes that publish the key, so it deletes
//! nothing that was never served. Retired origins are never asked.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cache::{Cache, Purged};
use futures_util::{StreamExt, stream};
use object::{ObjectKey, Part};
use origin_resolver::{Erased, Failure, GuardedOrigin, Means, Reason, Verdict};
use serde::{Deserialize, Serialize};

use crate::app::{App, Route};
use crate::routes::is_published;

/// Deletions at one time.
const AT_ONCE: usize = 8;
/// How often the cache is told again while files are being removed; it waits 5 s each time.
const CACHE_TRIES: usize = 6;

/// What became of an object at one place.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Erasure {
    /// The origin's name; the last one is the cache.
    pub(crate) place: String,
    #[serde(flatten)]
    pub(crate) fate: Fate,
}

/// The four ways that can end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(crate) enum Fate {
    /// It is gone, with all versions that the place tells of.
    Erased {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        versions: Option<u32>,
    },
    /// It was not there, and the place is believed.
    Absent,
    /// It is there, or nobody can say.
    Left { why: String },
    /// An origin that is retired.
    Retired,
}

impl Erasure {
    pub(crate) fn is_left(&self) -> bool {
        matches!(self.fate, Fate::Left { .. })
    }

    /// Of the copies of this gateway, once they are dropped.
    pub(crate) fn of_cache(fate: Fate) -> Self {
        let place = "cache".to_owned();
        Self { place, fate }
    }
}

impl Fate {
    pub(crate) const ERASED: Self = Self::Erased { versions: None };

    pub(crate) fn left(why: impl Into<String>) -> Self {
        Self::Left { why: why.into() }
    }

    /// What a cache came to that was told to drop something.
    pub(crate) fn of_purge(purged: &Purged) -> Self {
        match (purged.durable, purged.swept) {
            (true, true) => Self::ERASED,
            (true, false) => Self::left("its files are still being removed; do it again"),
            (false, _) => Self::left(
                "the cache's disk cannot be used at the moment; do it again when it can, or empty the cache directory",
            ),
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Erased { versions: Some(n) } if *n > 1 => write!(f, "erased, {n} versions"),
            Self::Erased { .. } => f.write_str("erased"),
            Self::Absent => f.write_str("was not there"),
            Self::Left { why } => write!(f, "left: {why}"),
            Self::Retired => f.write_str("retired, never asked"),
        }
    }
}

/// Routes of a cache space that publish a key: what a tombstone there takes away.
pub(crate) fn publishing<'a>(
    app: &'a App,
    space: &'a str,
    key: &'a ObjectKey,
) -> impl Iterator<Item = &'a Arc<Route>> {
    let routes = app.routes.iter();
    routes.filter(move |route| &*route.space == space && is_published(&route.config, key))
}

/// Drops copies, and waits until their files are unlinked as long as that may help.
pub(crate) async fn erase_copies(cache: &Cache, places: &[(Arc<str>, ObjectKey)]) -> Fate {
    let mut purged = cache.erase(places).await;
    for _ in 1..CACHE_TRIES {
        if purged.swept || !purged.durable {
            break;
        }
        purged = cache.erase(places).await;
    }
    Fate::of_purge(&purged)
}

/// Deletes keys at the origins of their routes; for each of them what became of it, in the order
/// in which its origins are asked. Dropping the future ends it between two requests.
pub(crate) async fn erase_at_origins(
    app: &App,
    places: &[(Arc<str>, ObjectKey)],
) -> Vec<Vec<Erasure>> {
    let mut plan = Plan::default();
    for (space, key) in places {
        plan.add(app, space, key);
    }
    let jobs = std::mem::take(&mut plan.jobs);
    let fates: Vec<_> = stream::iter(jobs)
        .map(Job::run)
        .buffered(AT_ONCE)
        .collect()
        .await;
    plan.told(&fates)
}

/// What is to be done, each thing once, and for which keys.
#[derive(Default)]
struct Plan {
    jobs: Vec<Job>,
    /// Where two routes have the same origin and key, there is one job.
    known: BTreeMap<(Box<str>, ObjectKey), usize>,
    keys: Vec<Vec<(Box<str>, Option<usize>)>>,
}

impl Plan {
    fn add(&mut self, app: &App, space: &str, key: &ObjectKey) {
        let mut wanted: Vec<(Box<str>, Option<usize>)> = Vec::new();
        for route in publishing(app, space, key) {
            for origin in route.resolver.origins() {
                if !wanted.iter().any(|(name, _)| **name == *origin.name()) {
                    let job = self.job(route, origin, key);
                    wanted.push((origin.name().into(), Some(job)));
                }
            }
            for name in &route.config.retired {
                if !wanted.iter().any(|(known, _)| known == name) {
                    wanted.push((name.clone(), None));
                }
            }
        }
        self.keys.push(wanted);
    }

    fn job(&mut self, route: &Arc<Route>, origin: &Arc<GuardedOrigin>, key: &ObjectKey) -> usize {
        let (jobs, place) = (&mut self.jobs, (origin.name().into(), key.clone()));
        *self.known.entry(place).or_insert_with(|| {
            jobs.push(Job {
                route: Arc::clone(route),
                origin: Arc::clone(origin),
                key: key.clone(),
            });
            jobs.len() - 1
        })
    }

    fn told(self, fates: &[Fate]) -> Vec<Vec<Erasure>> {
        let erasure = |(name, job): (Box<str>, Option<usize>)| Erasure {
            place: name.into(),
            fate: job.map_or(Fate::Retired, |job| fates[job].clone()),
        };
        let keys = self.keys.into_iter();
        keys.map(|wanted| wanted.into_iter().map(erasure).collect())
            .collect()
    }
}

/// One key at one origin.
struct Job {
    route: Arc<Route>,
    origin: Arc<GuardedOrigin>,
    key: ObjectKey,
}

impl Job {
    async fn run(self) -> Fate {
        let fate = match self.origin.writable() {
            Ok(()) => self.delete().await,
            Err(_) => {
                self.look("this origin cannot be written; delete it there yourself")
                    .await
            }
        };
        let (origin, key) = (self.origin.name(), self.key.as_str());
        match &fate {
            Fate::Left { why } => tracing::warn!(origin, key, why, "an object could not be erased"),
            fate => tracing::info!(origin, key, %fate, "an object is erased"),
        }
        fate
    }

    async fn delete(&self) -> Fate {
        match self.origin.delete(&self.key, None).await {
            Ok(Erased { versions: 0, .. }) => self.absent().await,
            Ok(Erased { versions, .. }) => Fate::Erased {
                versions: Some(versions),
            },
            // These keys may read only, and there may be nothing to delete.
            Err(failure) if failure.reason == Reason::Denied => {
                self.look(&self.said(&failure)).await
            }
            Err(failure) => Fate::left(self.said(&failure)),
        }
    }

    /// Where nothing can be deleted: whether there is anything.
    async fn look(&self, why: &str) -> Fate {
        let means = Means::default();
        let asked = self.origin.fetch(&self.key, Part::Head, None, &means);
        match asked.await {
            Verdict::Found(_) | Verdict::Withheld => Fate::left(why),
            Verdict::Missing => self.absent().await,
            Verdict::Unknown(failure) => Fate::left(self.said(&failure)),
        }
    }

    /// A *missing* of another bucket than the one that is meant says nothing.
    async fn absent(&self) -> Fate {
        if self.route.resolver.is_believed(self.origin.name()).await {
            return Fate::Absent;
        }
        Fate::left("objects it is known to hold are missing there; is it still the same storage?")
    }

    fn said(&self, failure: &Failure) -> String {
        // That it is left alone tells nobody what to mend.
        let last = self.origin.standing().last_failure;
        let failure = match last {
            Some(last) if failure.reason == Reason::Breaker => last,
            _ => failure.clone(),
        };
        let named = format!("{}: ", self.origin.name());
        let what = failure.what.strip_prefix(&*named).unwrap_or(&failure.what);
        format!("{}: {what}", failure.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_is_one_line_and_one_object() {
        let erased = |versions| Fate::Erased {
            versions: Some(versions),
        };
        for (fate, line, json) in [
            (erased(1), "erased", r#""state":"erased","versions":1"#),
            (
                erased(2),
                "erased, 2 versions",
                r#""state":"erased","versions":2"#,
            ),
            (Fate::ERASED, "erased", r#""state":"erased""#),
            (Fate::Absent, "was not there", r#""state":"absent""#),
            (Fate::left("x"), "left: x", r#""state":"left","why":"x""#),
            (
                Fate::Retired,
                "retired, never asked",
                r#""state":"retired""#,
            ),
        ] {
            assert_eq!(fate.to_string(), line);
            let erasure = Erasure {
                place: "old".to_owned(),
                fate,
            };
            let text = serde_json::to_string(&erasure).unwrap();
            assert_eq!(text, format!("{{\"place\":\"old\",{json}}}"));
            let again: Erasure = serde_json::from_str(&text).unwrap();
            assert_eq!(again, erasure);
            assert_eq!(erasure.is_left(), line == "left: x");
        }
    }

    #[test]
    fn a_cache_is_erased_only_when_its_files_are_gone_for_good() {
        let purged = |durable, swept| Purged {
            durable,
            swept,
            ..Purged::NOTHING
        };
        assert_eq!(Fate::of_purge(&purged(true, true)), Fate::ERASED);
        for (durable, swept) in [(true, false), (false, true), (false, false)] {
            let fate = Fate::of_purge(&purged(durable, swept));
            assert!(matches!(fate, Fate::Left { .. }), "{fate}");
        }
    }
}
