//! The withdrawn keys of a route, a page at a time.
//!
//! Reads the ledger and blocks; a page reads so many rows at most, whether they are withdrawn or
//! not, so a page may be short, even empty, and still have another one behind it.

use object::ObjectKey;
use state::{LedgerDown, Withdrawn};

use super::Withdrawals;
use super::book::Known;

/// Rows of the ledger that are read for one page.
const MOST_READ: usize = 200_000;

/// One withdrawn key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Where it is missing.
    pub(crate) origin: Box<str>,
    pub(crate) key: ObjectKey,
    pub(crate) withdrawn: Withdrawn,
}

/// Some of them, and where the next page begins.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) listed: Vec<Listed>,
    /// The place behind which it goes on.
    pub(crate) next: Option<(Box<str>, ObjectKey)>,
}

impl Withdrawals {
    /// At most `limit` withdrawn keys behind a place, sorted by origin, the upload origin first,
    /// and key. Those that `publishes` refuses are left out.
    ///
    /// # Errors
    /// The ledger cannot be used.
    pub(crate) fn page(
        &self,
        after: Option<&(Box<str>, ObjectKey)>,
        limit: usize,
        publishes: impl Fn(&ObjectKey) -> bool,
    ) -> Result<Page, LedgerDown> {
        let ledger = self.book.ledger();
        let began = after.and_then(|(origin, _)| self.places.iter().position(|one| one == origin));
        let mut page = Page::default();
        let mut read = 0;
        for (index, origin) in self.places.iter().enumerate().skip(began.unwrap_or(0)) {
            let rows = match after.filter(|_| Some(index) == began) {
                Some((_, key)) => ledger.iter_after(origin, key),
                None => ledger.iter(origin),
            };
            for row in rows {
                let (key, entry) = row?;
                read += 1;
                let withdrawn = entry.withdrawn.filter(|_| publishes(&key));
                if let Some(withdrawn) = withdrawn
                    && self.is_latest(index, &key, withdrawn)
                {
                    page.listed.push(Listed {
                        origin: origin.clone(),
                        key: key.clone(),
                        withdrawn,
                    });
                }
                if page.listed.len() >= limit || read >= MOST_READ {
                    page.next = Some((origin.clone(), key));
                    return Ok(page);
                }
            }
        }
        Ok(page)
    }

    /// Whether nothing later is known of a key that was deleted where the application wrote
    /// before.
    fn is_latest(&self, index: usize, key: &ObjectKey, withdrawn: Withdrawn) -> bool {
        if index == 0 {
            return true;
        }
        match Known::from(self.book.ledger().get(self.uploads_to(), key)) {
            Known::Never => true,
            Known::There { verified } => verified < withdrawn.since,
            Known::Gone(_) => false,
        }
    }
}
