//! What the audited origin has: what it lists, or the keys of a file.
//!
//! Nothing is passed over: what no key can name, what no route publishes and what nobody could
//! say is counted.

use std::collections::BinaryHeap;

use futures_util::{StreamExt, stream};
use object::ObjectKey;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::account::Account;
use super::finding::is_young;
use super::home::Home;
use super::listing::Pages;
use super::{Audit, examination, prefixes, seconds};
use crate::difference::Seen as Listed;
use crate::end::{self, Asked};
use crate::error::MigrationError;
use crate::fingerprint::{Fingerprint, Mark};
use crate::inventory::named;
use crate::options::Named;

/// An object of the audited origin.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) key: ObjectKey,
    pub(crate) here: Listed,
}

/// Candidates that are looked at together.
const TOGETHER: usize = 1_000;

/// Keys of the audited origin that were looked at, or that it could not tell of; 16 bytes each.
#[derive(Debug, Default)]
pub(crate) struct Seen(Vec<Fingerprint>);

impl Seen {
    pub(crate) fn contains(&self, key: &ObjectKey) -> bool {
        self.0.binary_search(&Fingerprint::of(key)).is_ok()
    }

    fn add(&mut self, key: &ObjectKey) {
        self.0.push(Fingerprint::of(key));
    }

    fn add_all(&mut self, candidates: &[Candidate]) {
        for one in candidates {
            self.add(&one.key);
        }
    }

    fn settle(mut self) -> Self {
        self.0.sort_unstable();
        self
    }
}

/// Takes the inventory and looks at each object.
pub(crate) async fn take(
    audit: &Audit,
    homes: &[Home],
    account: &mut Account,
    requests: &mut u64,
) -> Result<Seen, MigrationError> {
    let mut seen = Seen::default();
    let mut sample = audit
        .options
        .sample
        .map(|most| Sample::new(most, audit.options.seed));
    if let Some(named) = &audit.options.named {
        let mut at = Some(0);
        while let Some(offset) = at {
            let (lines, next) = named::lines(named, offset).await?;
            let candidates = ask(audit, named, lines, account, &mut seen, requests).await;
            seen.add_all(&candidates);
            look(audit, homes, account, &mut sample, candidates).await?;
            at = next;
        }
    } else {
        let mut pages = Pages::new(&audit.origin, prefixes(audit.routes.iter()));
        while let Some(page) = pages.next().await? {
            *requests += 1;
            for unfit in &page.unfit {
                account.counts.unfit.add(unfit.size_bytes.unwrap_or(0));
            }
            let candidates = page.entries.into_iter().map(|entry| Candidate {
                here: Listed {
                    size_bytes: entry.size_bytes,
                    mark: Mark::of(entry.etag.as_deref()),
                    modified: entry.modified,
                },
                key: entry.key,
            });
            let candidates: Vec<_> = candidates.collect();
            seen.add_all(&candidates);
            look(audit, homes, account, &mut sample, candidates).await?;
        }
    }
    let Some(sample) = sample else {
        return Ok(seen.settle());
    };
    let mut chosen = sample.chosen();
    while !chosen.is_empty() {
        let rest = chosen.split_off(chosen.len().min(TOGETHER));
        examination::examine(audit, homes, account, chosen).await?;
        chosen = rest;
    }
    Ok(seen.settle())
}

/// Looks at candidates, or chooses among them.
async fn look(
    audit: &Audit,
    homes: &[Home],
    account: &mut Account,
    sample: &mut Option<Sample>,
    candidates: Vec<Candidate>,
) -> Result<(), MigrationError> {
    let mut published = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let Candidate { key, here } = &candidate;
        if !audit.routes.iter().any(|route| route.publishes(key)) {
            account.counts.unpublished.add(here.size_bytes);
            continue;
        }
        if is_young(here.modified, audit.now, audit.options.quiet_for) {
            account.young(key.as_str(), here.size_bytes, here.modified.map(seconds));
        }
        match sample {
            Some(sample) => sample.offer(candidate),
            None => published.push(candidate),
        }
    }
    examination::examine(audit, homes, account, published).await
}

/// What was said of one line.
enum Line {
    Candidate(Candidate),
    Absent,
    /// About this key, if it is one.
    Doubt(Option<ObjectKey>, String),
}

/// Asks the audited origin for keys of a file.
async fn ask(
    audit: &Audit,
    named: &Named,
    lines: Vec<String>,
    account: &mut Account,
    seen: &mut Seen,
    requests: &mut u64,
) -> Vec<Candidate> {
    *requests += lines.len() as u64;
    let lines: Vec<Line> = stream::iter(lines)
        .map(|line| ask_one(audit, named, line))
        .buffered(audit.options.jobs.max(1))
        .collect()
        .await;
    let mut candidates = Vec::with_capacity(lines.len());
    for line in lines {
        match line {
            Line::Candidate(candidate) => candidates.push(candidate),
            Line::Absent => account.counts.absent += 1,
            Line::Doubt(key, why) => {
                if let Some(key) = key {
                    seen.add(&key);
                }
                account.doubt_about_a_key(why);
            }
        }
    }
    candidates
}

async fn ask_one(audit: &Audit, named: &Named, line: String) -> Line {
    let key = match (named.read)(&line) {
        Ok(key) => key,
        Err(why) => return Line::Doubt(None, why),
    };
    match audit.origin.vouched(&key).await {
        Asked::Found(head) => {
            if let Some(here) = end::seen(&head) {
                return Line::Candidate(Candidate { key, here });
            }
            let why = format!("{}: its length is not told", key.as_str());
            Line::Doubt(Some(key), why)
        }
        Asked::Missing => Line::Absent,
        Asked::Unknown(failure) => {
            let why = format!("{}: {failure}", key.as_str());
            Line::Doubt(Some(key), why)
        }
    }
}

/// Some candidates of any number, each as likely as every other: those of the lowest sums.
struct Sample {
    most: usize,
    seed: u64,
    chosen: BinaryHeap<Ticket>,
}

/// Ordered by its number, which no two keys share but by chance.
struct Ticket(u64, Candidate);

impl Sample {
    fn new(most: usize, seed: u64) -> Self {
        Self {
            most,
            seed,
            chosen: BinaryHeap::new(),
        }
    }

    fn offer(&mut self, candidate: Candidate) {
        let number = xxh3_64_with_seed(candidate.key.as_str().as_bytes(), self.seed);
        self.chosen.push(Ticket(number, candidate));
        if self.chosen.len() > self.most {
            self.chosen.pop();
        }
    }

    fn chosen(self) -> Vec<Candidate> {
        self.chosen.into_iter().map(|ticket| ticket.1).collect()
    }
}

impl PartialEq for Ticket {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Ticket {}

impl PartialOrd for Ticket {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ticket {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_of_its_size_and_of_another_choice_each_time() {
        let choose = |seed| {
            let mut sample = Sample::new(10, seed);
            for n in 0..1000 {
                let key = ObjectKey::parse(&format!("m/{n}")).unwrap();
                let here = Listed {
                    size_bytes: n,
                    mark: Mark::default(),
                    modified: None,
                };
                sample.offer(Candidate { key, here });
            }
            let chosen = sample.chosen().into_iter();
            let mut chosen: Vec<_> = chosen.map(|one| one.here.size_bytes).collect();
            chosen.sort_unstable();
            chosen
        };
        assert_eq!(choose(1).len(), 10);
        assert_ne!(choose(1), choose(2));
        assert!(choose(3).windows(2).all(|pair| pair[0] != pair[1]));
    }
}
