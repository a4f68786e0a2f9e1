//! Everything an origin lists below some prefixes, page by page.

use origin_resolver::{Cursor, Page};

use crate::end::End;
use crate::error::MigrationError;

/// The pages, one after the other.
pub(crate) struct Pages<'e> {
    end: &'e End,
    /// The last one is listed now.
    prefixes: Vec<String>,
    after: Option<Cursor>,
}

impl<'e> Pages<'e> {
    pub(crate) fn new(end: &'e End, mut prefixes: Vec<String>) -> Self {
        prefixes.reverse();
        Self {
            end,
            prefixes,
            after: None,
        }
    }

    /// The next one; an empty one is not the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Page>, MigrationError> {
        let Some(prefix) = self.prefixes.last() else {
            return Ok(None);
        };
        let page = self.end.list(prefix, self.after.take()).await;
        let mut page = page.map_err(|failure| MigrationError::Listing {
            origin: self.end.name().into(),
            failure,
        })?;
        self.after = page.next.take();
        if self.after.is_none() {
            self.prefixes.pop();
        }
        Ok(Some(page))
    }
}
