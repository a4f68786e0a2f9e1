//! What both ends have, and so what is to be copied.
//!
//! The target is listed first and kept as a sorted file, so the two listings may come in any
//! order and of any length. Then the source is listed, compared page by page, and planned.
//! Nothing is copied here.

pub(crate) mod named;
mod planning;

use origin_resolver::{Listed, Page};

use crate::difference::Seen;
use crate::error::MigrationError;
use crate::fingerprint::{Fingerprint, Mark};
use crate::migration::Migration;
use crate::progress::Phase;
use crate::record::{Note, NoteKind, Position, TargetPage, seen_to_value};
use crate::selection::Chosen;
use crate::shared::Shared;
use planning::{Candidate, Planning};

/// Lists what is not listed yet, and plans it.
pub(crate) async fn take(migration: &Migration, journal: &Shared) -> Result<(), MigrationError> {
    if migration.options.named.is_some() {
        return named::take(migration, journal).await;
    }
    let prefixes = migration.options.selection.prefixes();
    list_target(migration, journal, &prefixes).await?;
    if journal.look(|journal| journal.standing().source_at.is_none()) {
        return Ok(());
    }
    let present = journal.work(|journal| journal.present()).await?;
    let planning = Planning::new(migration, journal.clone(), Some(present));
    migration.progress.enter(Phase::ListingSource);
    while let Some(at) = journal.look(|journal| journal.standing().source_at.clone()) {
        let (page, next) = page(migration, &prefixes, at, Side::Source).await?;
        let unfit = page.unfit.iter().map(|unfit| {
            let note = Note::new(NoteKind::Unfit, &unfit.name, &unfit.why);
            (note, unfit.size_bytes.unwrap_or(0))
        });
        let unfit = unfit.collect();
        let candidates = page.entries.into_iter().map(Candidate::listed).collect();
        planning.plan_listed(candidates, unfit, next).await?;
    }
    Ok(())
}

async fn list_target(
    migration: &Migration,
    journal: &Shared,
    prefixes: &[String],
) -> Result<(), MigrationError> {
    migration.progress.enter(Phase::ListingTarget);
    while let Some(at) = journal.look(|journal| journal.standing().target_at.clone()) {
        let (page, next) = page(migration, prefixes, at, Side::Target).await?;
        let selection = &migration.options.selection;
        let wanted = page
            .entries
            .iter()
            .filter(|entry| selection.choose(&entry.key) == Chosen::Yes);
        let (mut bytes, mut rows) = (0_u64, Vec::new());
        for entry in wanted {
            bytes = bytes.saturating_add(entry.size_bytes);
            rows.push((Fingerprint::of(&entry.key), seen_to_value(seen(entry))));
        }
        let page = TargetPage { next, bytes, rows };
        journal
            .work(move |journal| journal.add_target(&page))
            .await?;
        let listed = journal.look(|journal| journal.standing().target.objects);
        migration.progress.listed(listed, 0);
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Side {
    Source,
    Target,
}

/// A page, and where the listing goes on behind it.
async fn page(
    migration: &Migration,
    prefixes: &[String],
    at: Position,
    side: Side,
) -> Result<(Page, Option<Position>), MigrationError> {
    let end = match side {
        Side::Source => &migration.from,
        Side::Target => &migration.to,
    };
    let Some(prefix) = prefixes.get(at.prefix as usize) else {
        return Ok((Page::default(), None)); // nothing is wanted
    };
    let page = end.list(prefix, at.after).await;
    let mut page = page.map_err(|failure| MigrationError::Listing {
        origin: end.name().into(),
        failure,
    })?;
    let next = match page.next.take() {
        Some(cursor) => Some(Position {
            prefix: at.prefix,
            after: Some(cursor),
        }),
        None => (at.prefix as usize + 1 < prefixes.len()).then_some(Position {
            prefix: at.prefix + 1,
            after: None,
        }),
    };
    Ok((page, next))
}

fn seen(entry: &Listed) -> Seen {
    Seen {
        size_bytes: entry.size_bytes,
        mark: Mark::of(entry.etag.as_deref()),
        modified: entry.modified,
    }
}
