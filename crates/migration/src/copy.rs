//! One object from the source to the target, verified, or the reason why not.
//!
//! Asks before and after whether the key may be copied at all. Whatever it has stored and could
//! not verify it takes back, and never what somebody else has put in its place.

use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use object::{Interruption, ObjectBody, ObjectHead, ObjectKey};
use origin_resolver::{Failure, Kept, Put, PutError, Reason, Reply, Stored};
use sha2::{Digest as _, Sha256};

use crate::difference::{Barred, Recalled, Written};
use crate::end::{self, Asked};
use crate::estimate::{Verify, held_mib};
use crate::fingerprint::Mark;
use crate::knowledge::{Forgetful, Verified};
use crate::migration::Migration;
use crate::reading::{TRIES, pause};
use crate::record::{Item, Left, Outcome};

/// What became of an item.
pub(crate) struct Copied {
    pub(crate) outcome: Outcome,
    /// What the ledger is told of it.
    pub(crate) verified: Option<Verified>,
    /// It failed for a reason that would befall any other object too.
    pub(crate) is_general: bool,
}

/// Why one attempt came to nothing.
enum Trouble {
    /// The source has another version than the one that was begun.
    Changed(String),
    /// It may work when it is tried again.
    Passing(String, Option<Reason>),
    /// It does not help to try again.
    Lasting(String, Option<Reason>),
    /// It needs no copy after all.
    Left(Left),
}

/// A copy that was stored.
struct Copy {
    head: ObjectHead,
    stored: Stored,
    length: u64,
}

impl Migration {
    /// Copies an item.
    ///
    /// # Errors
    /// Whether it may be copied cannot be told.
    pub(crate) async fn copy(&self, item: &Item) -> Result<Copied, Forgetful> {
        let (mut tries, mut changes, mut spoiled) = (1, 0, 0);
        loop {
            let recalled = self.recall_one(&item.key).await?;
            if let Some(barred) = recalled.barred {
                return Ok(left(barred.into()));
            }
            let mut is_paid = false;
            let trouble = match self.attempt(item, &mut is_paid).await {
                Ok(copy) => return self.afterwards(item, copy).await,
                Err(trouble) => trouble,
            };
            match trouble {
                Trouble::Left(Left::Appeared) if recalled.unseen_at_target => {
                    return Ok(self.appeared(item).await);
                }
                Trouble::Left(why) => return Ok(left(why)),
                // What it brings then are other bytes.
                Trouble::Changed(_) if changes == 0 => changes += 1,
                // Nobody was told that it would be read, and billed, twice.
                Trouble::Passing(why, reason) if is_paid => {
                    let why = format!("{why}; it is read again by the next run only");
                    return Ok(failed(item, why, reason));
                }
                Trouble::Passing(_, None) if spoiled == 0 => spoiled += 1,
                Trouble::Passing(_, Some(_)) if tries < TRIES => {
                    tokio::time::sleep(pause(tries)).await;
                    tries += 1;
                }
                Trouble::Changed(why) => return Ok(failed(item, why, None)),
                Trouble::Passing(why, reason) | Trouble::Lasting(why, reason) => {
                    return Ok(failed(item, why, reason));
                }
            }
        }
    }

    /// What is remembered of a key.
    async fn recall_one(&self, key: &ObjectKey) -> Result<Recalled, Forgetful> {
        let recalled = self.recall(std::slice::from_ref(key)).await?;
        let mut recalled = recalled.first().copied().unwrap_or_default();
        // A row named it when it was planned, by an earlier process: it was deleted since.
        if self.options.is_unreferenced(key) {
            recalled.barred.get_or_insert(Barred::Withdrawn);
        }
        Ok(recalled)
    }

    /// Somebody else has stored it where the application deletes: that it is there is told, or its
    /// deletion would look as if it had never been copied.
    async fn appeared(&self, item: &Item) -> Copied {
        let length = match self.to.head(&item.key).await {
            Asked::Found(head) => head.length,
            // The next listing will tell.
            Asked::Missing | Asked::Unknown(_) => None,
        };
        Copied {
            verified: length.map(|length| Verified {
                key: item.key.clone(),
                length,
                digest: None,
            }),
            ..left(Left::Appeared)
        }
    }

    /// One attempt: the source's body into the target, and what the target says of it. Notes
    /// whether bytes of the source were paid for.
    async fn attempt(&self, item: &Item, is_paid: &mut bool) -> Result<Copy, Trouble> {
        // Before the source is asked, which would not wait for long.
        let held = if self.to.is_bucket() {
            held_mib(item.size_bytes)
        } else {
            0
        };
        let _room = self.room.acquire_many(held).await;
        if let Some(mark) = item.replaces {
            self.is_still(&item.key, mark).await?;
        }
        self.is_worth_reading(&item.key).await?;
        let reply = match self.from.fetch(&item.key, item.size_bytes).await {
            Asked::Found(reply) => reply,
            Asked::Missing => return Err(Trouble::Left(Left::Vanished)),
            Asked::Unknown(failure) => return Err(of_failure(&failure)),
        };
        let Reply {
            head, aside, body, ..
        } = reply;
        *is_paid = self.from.is_bucket();
        // It may have been written anew since it was listed: the newest version is what is wanted.
        let length = head.length.unwrap_or(item.size_bytes);
        let put = Put {
            key: item.key.clone(),
            length,
            // With a checksum that is known before, a bucket is sent the body as it comes, and
            // what it did not take would have to be read again.
            md5: head
                .proofs
                .md5
                .filter(|tag| tag.parts.is_none() && !self.from.is_bucket())
                .map(|tag| tag.digest),
            kept: Kept::of(&head, &aside),
            body: self.passing(body),
            if_absent: item.replaces.is_none(),
        };
        let stored = self.to.put(put).await;
        let in_doubt = matches!(
            &stored,
            Err(PutError::Refused(failure) | PutError::Unanswered(failure)) if is_general(failure.reason)
        );
        self.target_in_doubt.store(in_doubt, Ordering::Relaxed);
        let stored = stored.map_err(of_put)?;
        let copy = Copy {
            head,
            stored,
            length,
        };
        if let Err(trouble) = self.verify(&item.key, &copy).await {
            self.take_back(&item.key, &copy.stored).await;
            return Err(trouble);
        }
        Ok(copy)
    }

    /// A target that has just failed is asked first: what it cannot take is not read, and paid, for
    /// nothing.
    async fn is_worth_reading(&self, key: &ObjectKey) -> Result<(), Trouble> {
        if !self.target_in_doubt.load(Ordering::Relaxed) {
            return Ok(());
        }
        match self.to.head(key).await {
            Asked::Unknown(failure) => Err(of_failure(&failure)),
            Asked::Found(_) | Asked::Missing => Ok(()),
        }
    }

    /// A body that is counted.
    fn passing(&self, body: ObjectBody) -> ObjectBody {
        let progress = std::sync::Arc::clone(&self.progress);
        ObjectBody::new(body.inspect(move |chunk| {
            if let Ok(chunk) = chunk {
                progress.passed(chunk.len() as u64);
            }
        }))
    }

    /// What is to be replaced is still the copy that was seen.
    async fn is_still(&self, key: &ObjectKey, mark: u64) -> Result<(), Trouble> {
        match self.to.head(key).await {
            Asked::Found(head) if Mark::of(end::etag(&head)).short() == mark => Ok(()),
            Asked::Found(_) | Asked::Missing => Err(Trouble::Left(Left::Appeared)),
            Asked::Unknown(failure) => Err(of_failure(&failure)),
        }
    }

    /// Whether what was stored is what the source has.
    async fn verify(&self, key: &ObjectKey, copy: &Copy) -> Result<(), Trouble> {
        let Copy {
            head,
            stored,
            length,
        } = copy;
        let digest = head.proofs.own.or(head.proofs.checksum);
        let md5 = head.proofs.md5.filter(|tag| tag.parts.is_none());
        let wrong = digest.is_some_and(|digest| digest != stored.sha256)
            || md5.is_some_and(|tag| tag.digest != stored.md5);
        if wrong {
            let what = "what arrived is not what the source's checksum says";
            return Err(Trouble::Passing(what.to_owned(), None));
        }
        match self.options.verify {
            Verify::Checksum => Ok(()),
            Verify::Length => match self.to.head(key).await {
                Asked::Found(head) if head.length == Some(*length) => Ok(()),
                Asked::Found(head) => {
                    let there = head.length.unwrap_or(0);
                    let what = format!("{length} bytes were stored, and {there} are there");
                    Err(Trouble::Passing(what, None))
                }
                other => Err(not_there(&other)),
            },
            Verify::Read => match self.to.fetch(key, *length).await {
                Asked::Found(reply) => self.compare(reply.body, stored).await,
                other => Err(not_there(&other)),
            },
        }
    }

    async fn compare(&self, body: ObjectBody, stored: &Stored) -> Result<(), Trouble> {
        let mut body = self.passing(body);
        let mut sum = Sha256::new();
        while let Some(chunk) = body.next().await {
            match chunk {
                Ok(chunk) => sum.update(&chunk),
                Err(error) => {
                    let what = format!("it could not be read again: {error}");
                    return Err(Trouble::Passing(what, None));
                }
            }
        }
        let read: [u8; 32] = sum.finalize().into();
        if read == stored.sha256.0 {
            return Ok(());
        }
        let what = "what the target gives back is not what was stored";
        Err(Trouble::Passing(what.to_owned(), None))
    }

    /// What is left of a copy that may not stay.
    async fn take_back(&self, key: &ObjectKey, stored: &Stored) {
        let Some(etag) = &stored.etag else {
            tracing::warn!(%key, "a copy that could not be verified was left: the target names no version that could be deleted");
            return;
        };
        if let Err(failure) = self.to.take_back(key, etag).await {
            tracing::warn!(%key, %failure, "a copy that could not be verified was left");
        }
    }

    /// A copy that became a tombstone meanwhile does not stay.
    async fn afterwards(&self, item: &Item, copy: Copy) -> Result<Copied, Forgetful> {
        let barred = self.recall_one(&item.key).await;
        if !matches!(barred, Ok(Recalled { barred: None, .. })) {
            self.take_back(&item.key, &copy.stored).await;
        }
        if let Some(barred) = barred?.barred {
            return Ok(left(barred.into()));
        }
        let source = end::etag(&copy.head).or(item.etag.as_deref());
        let written = Written {
            size_bytes: copy.length,
            source: Mark::of(source).short(),
            target: Mark::of(copy.stored.etag.as_deref()).short(),
        };
        Ok(Copied {
            outcome: Outcome::Copied {
                written,
                replaced: item.replaces.is_some(),
            },
            verified: Some(Verified {
                key: item.key.clone(),
                length: copy.length,
                digest: Some(copy.stored.sha256),
            }),
            is_general: false,
        })
    }
}

impl From<Barred> for Left {
    fn from(barred: Barred) -> Self {
        match barred {
            Barred::Tombstoned => Self::Tombstoned,
            Barred::Withdrawn => Self::Withdrawn,
        }
    }
}

fn left(why: Left) -> Copied {
    Copied {
        outcome: Outcome::Left(why),
        verified: None,
        is_general: false,
    }
}

fn failed(item: &Item, why: String, reason: Option<Reason>) -> Copied {
    Copied {
        outcome: Outcome::Failed {
            name: item.key.as_str().into(),
            why: why.into(),
        },
        verified: None,
        is_general: reason.is_some_and(is_general),
    }
}

fn not_there<T>(asked: &Asked<T>) -> Trouble {
    match asked {
        Asked::Unknown(failure) => of_failure(failure),
        Asked::Found(_) | Asked::Missing => {
            let what = "the target does not have what it has just stored";
            Trouble::Passing(what.to_owned(), None)
        }
    }
}

/// What a storing that failed means. One that nobody answered to may have worked: then the next
/// attempt finds an object of that key, and the next run compares it.
fn of_put(error: PutError) -> Trouble {
    match error {
        PutError::Exists => Trouble::Left(Left::Appeared),
        PutError::Refused(failure) | PutError::Unanswered(failure) => of_failure(&failure),
        PutError::Broken(error) => match error.kind {
            Interruption::Changed => Trouble::Changed(error.to_string()),
            Interruption::Protocol => Trouble::Passing(error.to_string(), None),
            Interruption::Cut | Interruption::Stalled => {
                Trouble::Passing(error.to_string(), Some(Reason::Connect))
            }
        },
        PutError::Unverified { what, .. } => Trouble::Passing(what.into(), None),
    }
}

fn of_failure(failure: &Failure) -> Trouble {
    let (what, reason) = (failure.to_string(), Some(failure.reason));
    if failure.reason.trips() || failure.reason == Reason::Breaker {
        Trouble::Passing(what, reason)
    } else {
        Trouble::Lasting(what, reason)
    }
}

/// Whether a reason has nothing to do with the object that it was met at.
fn is_general(reason: Reason) -> bool {
    !matches!(reason, Reason::Denied | Reason::Protocol)
}
