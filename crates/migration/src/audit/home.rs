//! A remaining origin: what it lists, as sorted rows in memory, and what it says when it is asked.
//!
//! 48 bytes a key. Nothing is written there, and no object is read but by [`Home::same_bytes`].

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::StreamExt;
use object::{Digest, ObjectHead, ObjectKey};
use origin_resolver::Failure;
use sha2::{Digest as _, Sha256};

use super::finding::{Finding, Known, Proof, compare, proven};
use super::listing::Pages;
use crate::difference::Seen;
use crate::end::{self, Asked, End};
use crate::error::MigrationError;
use crate::fingerprint::{Fingerprint, Mark};

/// So many contradictions that were none, one after the other: this origin's tags look like MD5s
/// and are something else, and asking about each would cost a request at both ends.
const FALSE_ALARMS: u32 = 16;

/// An origin that remains.
pub(crate) struct Home {
    pub(crate) end: End,
    /// What it lists; where it was not listed, each key is asked for.
    rows: Option<Vec<Row>>,
    false_alarms: AtomicU32,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    key: Fingerprint,
    size_bytes: u64,
    mark: Mark,
}

/// A key of the audited origin, and what the ledger knows of it there and here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'k> {
    pub(crate) key: &'k ObjectKey,
    pub(crate) here: Seen,
    pub(crate) known: (Option<Known>, Option<Known>),
}

/// Whether an origin has a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Has {
    Yes,
    No,
    Unknown(Box<str>),
}

impl Home {
    /// One that is asked for each key.
    pub(crate) fn asked(end: End) -> Self {
        Self {
            end,
            rows: None,
            false_alarms: AtomicU32::new(0),
        }
    }

    /// Lists it below these prefixes.
    pub(crate) async fn listed(
        end: End,
        prefixes: Vec<String>,
        requests: &mut u64,
    ) -> Result<Self, MigrationError> {
        let mut rows = Vec::new();
        let mut pages = Pages::new(&end, prefixes);
        while let Some(page) = pages.next().await? {
            *requests += 1;
            rows.extend(page.entries.iter().map(|entry| Row {
                key: Fingerprint::of(&entry.key),
                size_bytes: entry.size_bytes,
                mark: Mark::of(entry.etag.as_deref()),
            }));
        }
        rows.sort_unstable_by_key(|row| row.key);
        Ok(Self {
            rows: Some(rows),
            ..Self::asked(end)
        })
    }

    /// Whether it was listed and has nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.as_ref().is_some_and(Vec::is_empty)
    }

    /// Whether it was listed; else each key takes a request.
    pub(crate) fn is_listed(&self) -> bool {
        self.rows.is_some()
    }

    /// Whether it has something under a key, whatever that is.
    pub(crate) async fn has(&self, key: &ObjectKey) -> Has {
        if let Some(rows) = &self.rows {
            let wanted = Fingerprint::of(key);
            let found = rows.binary_search_by_key(&wanted, |row| row.key);
            return found.map_or(Has::No, |_| Has::Yes);
        }
        match self.end.vouched(key).await {
            Asked::Found(_) => Has::Yes,
            Asked::Missing => Has::No,
            Asked::Unknown(failure) => Has::Unknown(failure.to_string().into()),
        }
    }

    /// What it comes to for a key: by what it lists, and by asking where that is not enough.
    pub(crate) async fn find(&self, audited: &End, question: Question<'_>) -> Finding {
        let Some(rows) = &self.rows else {
            return self.ask(audited, question).await;
        };
        let wanted = Fingerprint::of(question.key);
        let row = rows.binary_search_by_key(&wanted, |row| row.key);
        let row = row.ok().map(|at| rows[at]);
        let tags = row.and_then(|row| question.here.mark.agree(row.mark));
        let finding = |tags| {
            let length = row.map(|row| row.size_bytes);
            compare(question.here, length, tags, question.known)
        };
        match finding(tags) {
            Finding::Content if self.is_trusted() => {
                let asked = self.ask(audited, question).await;
                let is_false = !matches!(asked, Finding::Content | Finding::Unknown(_));
                self.note(is_false);
                asked
            }
            // A tag that is no checksum contradicts nothing.
            Finding::Content if tags == Some(false) => finding(None),
            // Who served it since is the last to have verified it; the copy itself says more.
            Finding::Unproven if question.known.1.is_some_and(|known| known.digest.is_some()) => {
                self.ask(audited, question).await
            }
            other => other,
        }
    }

    /// Asks both for what proves their content.
    async fn ask(&self, audited: &End, question: Question<'_>) -> Finding {
        let there = match self.end.vouched(question.key).await {
            Asked::Found(head) => head,
            Asked::Missing => return Finding::Missing,
            Asked::Unknown(failure) => return unknown(&failure),
        };
        let Some(seen) = end::seen(&there) else {
            let what = format!("{}: it does not tell the length", self.end.name());
            return Finding::Unknown(what.into());
        };
        if seen.size_bytes != question.here.size_bytes {
            return Finding::Length(seen.size_bytes);
        }
        let here = match audited.head(question.key).await {
            Asked::Found(head) => head,
            Asked::Missing => {
                let what = format!("{}: it has gone while it was looked at", audited.name());
                return Finding::Unknown(what.into());
            }
            Asked::Unknown(failure) => return unknown(&failure),
        };
        let tags = here.proofs.agree(&there.proofs);
        match compare(question.here, Some(seen.size_bytes), tags, question.known) {
            Finding::Unproven if is_our_copy(&there, question) => proven(Proof::Copy),
            other => other,
        }
    }

    /// Reads a key at both, and compares all bytes.
    pub(crate) async fn same_bytes(&self, audited: &End, key: &ObjectKey, size: u64) -> Finding {
        match futures_util::future::try_join(
            digest(audited, key, size),
            digest(&self.end, key, size),
        )
        .await
        {
            Ok((here, there)) if here == there => proven(Proof::Reading),
            Ok(_) => Finding::Content,
            Err(why) => Finding::Unknown(why.into()),
        }
    }

    fn is_trusted(&self) -> bool {
        self.false_alarms.load(Ordering::Relaxed) < FALSE_ALARMS
    }

    fn note(&self, is_false: bool) {
        if is_false {
            self.false_alarms.fetch_add(1, Ordering::Relaxed);
        } else {
            self.false_alarms.store(0, Ordering::Relaxed);
        }
    }
}

/// Whether a copy of ours has written its digest beside it, the one that the ledger knows, and
/// the audited object has not been written since.
fn is_our_copy(there: &ObjectHead, question: Question<'_>) -> bool {
    let known = question.known.1.and_then(|known| known.digest);
    let is_ours = there.proofs.own.is_some() && there.proofs.own == known;
    let times = question.here.modified.zip(there.last_modified);
    // A copy keeps the time of its source, to the second.
    is_ours && times.is_some_and(|(here, there)| end::to_seconds(here) <= end::to_seconds(there))
}

async fn digest(end: &End, key: &ObjectKey, size: u64) -> Result<(u64, Digest), String> {
    let mut reply = match end.fetch(key, size).await {
        Asked::Found(reply) => reply,
        Asked::Missing => return Err(format!("{}: it has gone", end.name())),
        Asked::Unknown(failure) => return Err(failure.to_string()),
    };
    let (mut length, mut sum) = (0, Sha256::new());
    while let Some(chunk) = reply.body.next().await {
        let chunk = chunk.map_err(|error| error.to_string())?;
        length += chunk.len() as u64;
        sum.update(&chunk);
    }
    Ok((length, Digest(sum.finalize().into())))
}

fn unknown(failure: &Failure) -> Finding {
    Finding::Unknown(failure.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_million_keys_fit_into_24_megabytes() {
        assert_eq!(size_of::<Row>(), 48);
    }
}
