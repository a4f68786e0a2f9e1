//! What an audit and the running gateway tell each other, as JSON.

use migration::Barred;
use migration::audit::{Cached, Known, Recollection, Saved, Standing};
use object::{Digest, ObjectKey};
use serde::{Deserialize, Serialize};

/// Whom an audit is about.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScopeRow {
    pub(crate) origin: String,
    pub(crate) homes: Vec<String>,
    pub(crate) routes: Vec<String>,
}

/// Which keys an audit asks the running gateway about.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecallRequest {
    pub(crate) scope: ScopeRow,
    pub(crate) keys: Vec<String>,
}

/// What else it asks.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StandingRequest {
    pub(crate) scope: ScopeRow,
    /// Saves since then, in seconds since 1970.
    pub(crate) since: u64,
}

/// Of which copies an audit asks the running gateway.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CachedRequest {
    pub(crate) scope: ScopeRow,
    /// Where an earlier answer ended.
    #[serde(default)]
    pub(crate) after: Option<String>,
}

impl CachedRequest {
    /// The place in the cache's own terms.
    ///
    /// # Errors
    /// It is none that was given.
    pub(crate) fn place(&self) -> Result<Option<Vec<u8>>, String> {
        let place = self.after.as_deref().map(hex::decode).transpose();
        place.map_err(|error| error.to_string())
    }
}

/// Some copies.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct CachedRow {
    keys: Vec<String>,
    next: Option<String>,
}

/// What is known of one key.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct RecollectionRow {
    here: Option<KnownRow>,
    there: Vec<Option<KnownRow>>,
    barred: Vec<Option<BarredRow>>,
}

#[derive(Debug, Deserialize, Serialize)]
struct KnownRow {
    length: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    verified: u64,
    copied: bool,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum BarredRow {
    Tombstoned,
    Withdrawn,
}

/// What is known besides keys.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct StandingRow {
    promotions_waiting: u64,
    saves: Vec<SavedRow>,
    unlisted_saves: u64,
}

#[derive(Debug, Deserialize, Serialize)]
struct SavedRow {
    key: String,
    first: u64,
    count: u64,
}

impl From<Known> for KnownRow {
    fn from(known: Known) -> Self {
        Self {
            length: known.length,
            sha256: known.digest.map(|digest| hex::encode(digest.0)),
            verified: known.verified,
            copied: known.copied,
        }
    }
}

impl From<KnownRow> for Known {
    fn from(row: KnownRow) -> Self {
        let digest = |text: String| {
            let mut digest = [0; 32];
            hex::decode_to_slice(text, &mut digest).ok()?;
            Some(Digest(digest))
        };
        Self {
            length: row.length,
            digest: row.sha256.and_then(digest),
            verified: row.verified,
            copied: row.copied,
        }
    }
}

impl From<Recollection> for RecollectionRow {
    fn from(known: Recollection) -> Self {
        let barred = |barred| match barred {
            Barred::Tombstoned => BarredRow::Tombstoned,
            Barred::Withdrawn => BarredRow::Withdrawn,
        };
        let there = known.there.into_iter();
        let bars = known.barred.into_iter();
        Self {
            here: known.here.map(KnownRow::from),
            there: there.map(|one| one.map(KnownRow::from)).collect(),
            barred: bars.map(|one| one.map(barred)).collect(),
        }
    }
}

impl From<RecollectionRow> for Recollection {
    fn from(row: RecollectionRow) -> Self {
        let barred = |barred| match barred {
            BarredRow::Tombstoned => Barred::Tombstoned,
            BarredRow::Withdrawn => Barred::Withdrawn,
        };
        let (there, bars) = (row.there.into_iter(), row.barred.into_iter());
        Self {
            here: row.here.map(Known::from),
            there: there.map(|one| one.map(Known::from)).collect(),
            barred: bars.map(|one| one.map(barred)).collect(),
        }
    }
}

impl From<Cached> for CachedRow {
    fn from(cached: Cached) -> Self {
        let keys = cached.keys.iter().map(|key| key.as_str().to_owned());
        Self {
            keys: keys.collect(),
            next: cached.next,
        }
    }
}

impl CachedRow {
    /// What a running gateway has said.
    ///
    /// # Errors
    /// A key is none.
    pub(crate) fn read(self) -> Result<Cached, String> {
        let keys = self.keys.iter().map(|key| ObjectKey::parse(key));
        let keys: Result<_, _> = keys.collect();
        Ok(Cached {
            keys: keys.map_err(|error| error.to_string())?,
            next: self.next,
        })
    }
}

impl From<Standing> for StandingRow {
    fn from(standing: Standing) -> Self {
        let saves = standing.saves.into_iter().map(|save| SavedRow {
            key: save.key.as_str().to_owned(),
            first: save.first,
            count: save.count,
        });
        Self {
            promotions_waiting: standing.promotions_waiting,
            saves: saves.collect(),
            unlisted_saves: standing.unlisted_saves,
        }
    }
}

impl StandingRow {
    /// What a running gateway has said.
    ///
    /// # Errors
    /// A key is none.
    pub(crate) fn read(self) -> Result<Standing, String> {
        let saves = self.saves.into_iter().map(|save| {
            Ok(Saved {
                key: ObjectKey::parse(&save.key).map_err(|error| error.to_string())?,
                first: save.first,
                count: save.count,
            })
        });
        Ok(Standing {
            is_serving: true,
            promotions_waiting: self.promotions_waiting,
            saves: saves.collect::<Result<_, String>>()?,
            unlisted_saves: self.unlisted_saves,
        })
    }
}
