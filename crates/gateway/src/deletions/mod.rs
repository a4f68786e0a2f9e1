//! Which held keys no row of the application names any more.
//!
//! The order is what makes it safe: everything that is held is listed first, and what is named is
//! read afterwards, so that a row which is made meanwhile protects its object. Only says what was
//! found; what is done about it is up to the command.

mod decision;
mod held;
mod spool;

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use state::{TombstoneError, list_tombstones};

use crate::rows::{Gathering, Print, Prints};
use decision::{Known, Lot};

pub(crate) use decision::Tally;
pub(crate) use held::{Age, Gathered, Held, LedgerKey, OriginHolds, chosen};

use crate::app::App;

/// A key that no row names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Rowless {
    #[serde(serialize_with = "as_text")]
    pub(crate) space: Arc<str>,
    pub(crate) key: String,
}

fn as_text<S: Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(text)
}

/// The keys that must stay gone already.
///
/// # Errors
/// They cannot be read; the message carries the remedy.
pub(crate) fn tombstoned(app: &App, directory: &Path) -> Result<Prints, TombstoneError> {
    let spaces = || app.routes.iter().map(|route| &route.space);
    let mut prints = Gathering::default();
    for tombstone in list_tombstones(directory)? {
        let tombstone = tombstone?;
        if spaces().any(|space| **space == *tombstone.scope) {
            prints.add(Print::of_place(&tombstone.scope, &tombstone.key));
        } else {
            // Of a space that no route has any more: it applies to all of them.
            spaces().for_each(|space| prints.add(Print::of_place(space, &tombstone.key)));
        }
    }
    Ok(prints.done())
}

/// What each held key comes to, and those that no row names, sorted.
///
/// # Errors
/// What was listed cannot be read again.
pub(crate) fn decide(
    gathered: Gathered,
    tombstoned: Prints,
    names: Prints,
) -> io::Result<(Tally, Vec<Rowless>)> {
    let known = Known {
        tombstoned,
        young: gathered.young,
        names,
    };
    let (spaces, all) = (gathered.spaces, gathered.all);
    let mut seen = vec![false; all.len()];
    let (mut tally, mut rowless) = (Tally::default(), Vec::new());
    gathered.spool.each(|space, key| {
        let space = &spaces[usize::from(space)];
        let place = Print::of_place(space, key.as_str().as_bytes());
        // Another origin may have it too.
        let first = all
            .index(place)
            .map(|index| std::mem::replace(&mut seen[index], true));
        if first != Some(false) {
            return;
        }
        let lot = known.lot(place, key.as_str());
        tally.count(lot);
        if lot == Lot::Rowless {
            rowless.push(Rowless {
                space: Arc::clone(space),
                key: key.as_str().to_owned(),
            });
        }
    })?;
    rowless.sort_unstable();
    Ok((tally, rowless))
}
